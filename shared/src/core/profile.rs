//! Profiles: the application's records of users and memberships.
//!
//! Rollcall creates a record once, with the application's defaults, and never changes it afterwards: none of Clerk's
//! values are copied into it. The application may store anything in it.

use serde_json::{Map, Value};

use super::id::{EntityId, InstanceId, InternalId, Key, OrganizationId, PerKind, UserId, user_pk};
use super::millis::Millis;

/// The attributes that Rollcall sets and defaults cannot.
pub const RESERVED: [&str; 5] = ["pk", "sk", "user_id", "organization_id", "created_at"];

/// Attributes that neither defaults nor the owner of a record may set: [`RESERVED`], the mark of a redaction, the count of the
/// owner's writes, and the attribute that a table of the application's own making may use as its time to live.
pub const PROTECTED: [&str; 8] =
    ["pk", "sk", "user_id", "organization_id", "created_at", "redacted_at", "profile_version", "expires_at"];

/// The default attributes of new records, besides [`RESERVED`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defaults {
    pub user: Map<String, Value>,
    pub membership: Map<String, Value>,
}

/// One record, all attributes included.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile(pub Map<String, Value>);

impl Profile {
    /// The new record of a user.
    pub fn of_user(instance: &InstanceId, user: &UserId, defaults: &Defaults, now: Millis) -> Profile {
        Profile::new(user_key(instance, user), instance.internal_id(user), None, &defaults.user, now)
    }

    /// The new record of a membership.
    pub fn of_membership(
        instance: &InstanceId,
        user: &UserId,
        organization: &OrganizationId,
        defaults: &Defaults,
        now: Millis,
    ) -> Profile {
        let key = membership_key(instance, user, organization);
        Profile::new(key, instance.internal_id(user), Some(organization), &defaults.membership, now)
    }

    /// A new record with these fields.
    pub fn of_record(id: &RecordId, instance: &InstanceId, fields: &Map<String, Value>, now: Millis) -> Profile {
        let user = instance.internal_id(&id.user);
        Profile::new(id.key(instance), user, id.organization.as_ref(), fields, now)
    }

    fn new(
        key: Key,
        user: InternalId,
        organization: Option<&OrganizationId>,
        defaults: &Map<String, Value>,
        now: Millis,
    ) -> Profile {
        let mut attributes = defaults.clone();
        attributes.insert("pk".to_owned(), key.pk.into());
        attributes.insert("sk".to_owned(), key.sk.into());
        attributes.insert("user_id".to_owned(), user.to_string().into());
        attributes.extend(organization.map(|id| ("organization_id".to_owned(), id.as_str().into())));
        attributes.insert("created_at".to_owned(), now.get().into());
        Profile(attributes)
    }

    /// What the owner sees: all attributes except the keys of the table.
    pub fn shown(mut self) -> Map<String, Value> {
        self.0.remove("pk");
        self.0.remove("sk");
        self.0
    }
}

/// Which record: that of a user, or that of the user's membership of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordId {
    pub user: UserId,
    pub organization: Option<OrganizationId>,
}

impl RecordId {
    pub fn key(&self, instance: &InstanceId) -> Key {
        match &self.organization {
            None => user_key(instance, &self.user),
            Some(organization) => membership_key(instance, &self.user, organization),
        }
    }

    /// The keys of the rows on which the record depends: the user, and of a membership's record the organization and the
    /// membership.
    pub fn owners(&self, instance: &InstanceId) -> PerKind<Option<Key>> {
        let organization = self.organization.clone();
        let membership = organization.clone().map(|organization| {
            let user = self.user.clone();
            EntityId::Membership { user, organization }.key(instance)
        });
        PerKind {
            user: Some(EntityId::User(self.user.clone()).key(instance)),
            organization: organization.map(|organization| EntityId::Organization(organization).key(instance)),
            membership,
        }
    }
}

/// The key of a user's record.
pub fn user_key(instance: &InstanceId, user: &UserId) -> Key {
    Key { pk: user_pk(instance, user), sk: "PROFILE".to_owned() }
}

/// The key of a membership's record: the same as that of the membership in the Directory.
pub fn membership_key(instance: &InstanceId, user: &UserId, organization: &OrganizationId) -> Key {
    EntityId::Membership { user: user.clone(), organization: organization.clone() }.key(instance)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_new_record_holds_the_defaults_and_whose_it_is_and_nothing_of_clerks() {
        let instance: InstanceId = "ins_1".parse().unwrap();
        let (user, organization) = ("user_1".parse().unwrap(), "org_1".parse().unwrap());
        let defaults = |value: Value| value.as_object().unwrap().clone();
        let defaults = Defaults { user: defaults(json!({ "level": 1 })), membership: defaults(json!({ "seats": [] })) };
        let now = Millis::try_from(7).unwrap();
        let id = instance.internal_id(&user).to_string();
        let record = Profile::of_user(&instance, &user, &defaults, now);
        assert_eq!((&record.0["pk"], &record.0["sk"]), (&json!(format!("USER#{id}")), &json!("PROFILE")));
        assert_eq!(Value::Object(record.shown()), json!({ "user_id": id, "created_at": 7, "level": 1 }));
        let record = Profile::of_membership(&instance, &user, &organization, &defaults, now);
        assert_eq!((&record.0["pk"], &record.0["sk"]), (&json!(format!("USER#{id}")), &json!("ORG#org_1")));
        let shown = json!({ "user_id": id, "organization_id": "org_1", "created_at": 7, "seats": [] });
        assert_eq!(Value::Object(record.shown()), shown);
    }
}
