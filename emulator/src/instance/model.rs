//! Data types of the emulated instance as they are stored. `render` converts them to Clerk's JSON.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Metadata as in Clerk: always an object.
pub(crate) type Metadata = Map<String, Value>;

/// An e-mail address or a phone number, verified or reserved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Contact {
    pub(crate) id: String,
    /// The address or the number.
    pub(crate) value: String,
    pub(crate) proof: Proof,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

/// How a contact was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Proof {
    /// Created through the Backend API, which counts as verified by an administrator.
    Admin,
    /// The user typed the code.
    Code,
    /// Reserved for the user, not verified: `verification` is null.
    Reserved,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) external_id: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    pub(crate) locale: Option<String>,
    pub(crate) emails: Vec<Contact>,
    pub(crate) phones: Vec<Contact>,
    pub(crate) primary_email_address_id: Option<String>,
    pub(crate) primary_phone_number_id: Option<String>,
    pub(crate) public_metadata: Metadata,
    pub(crate) private_metadata: Metadata,
    pub(crate) unsafe_metadata: Metadata,
    pub(crate) password_enabled: bool,
    pub(crate) banned: bool,
    pub(crate) locked: bool,
    pub(crate) delete_self_enabled: bool,
    pub(crate) create_organization_enabled: bool,
    pub(crate) create_organizations_limit: Option<i64>,
    pub(crate) bypass_client_trust: bool,
    pub(crate) legal_accepted_at: Option<i64>,
    pub(crate) last_sign_in_at: Option<i64>,
    pub(crate) last_active_at: Option<i64>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

impl User {
    /// The address whose id is `primary_email_address_id`.
    pub(crate) fn primary_email(&self) -> Option<&str> {
        find(&self.emails, self.primary_email_address_id.as_deref())
    }

    /// The number whose id is `primary_phone_number_id`.
    pub(crate) fn primary_phone(&self) -> Option<&str> {
        find(&self.phones, self.primary_phone_number_id.as_deref())
    }

    /// The identifier that other members see.
    pub(crate) fn identifier(&self) -> Option<&str> {
        self.primary_email().or(self.username.as_deref()).or(self.primary_phone())
    }

    /// The values that must be unique within the instance, as keys of one index.
    pub(crate) fn identifiers(&self) -> Vec<String> {
        let mut keys = Vec::new();
        keys.extend(self.emails.iter().map(|email| identifier_key("email_address", &email.value)));
        keys.extend(self.phones.iter().map(|phone| identifier_key("phone_number", &phone.value)));
        keys.extend(self.username.iter().map(|name| identifier_key("username", name)));
        keys.extend(self.external_id.iter().map(|id| external_id_key(id)));
        keys
    }
}

/// Clerk compares addresses and usernames without regard to case.
pub(crate) fn identifier_key(kind: &str, value: &str) -> String {
    format!("{kind}:{}", value.to_lowercase())
}

/// External ids are compared exactly.
pub(crate) fn external_id_key(id: &str) -> String {
    format!("external_id:{id}")
}

fn find<'a>(contacts: &'a [Contact], id: Option<&str>) -> Option<&'a str> {
    let id = id?;
    contacts.iter().find(|contact| contact.id == id).map(|contact| contact.value.as_str())
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Organization {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) slug: String,
    pub(crate) created_by: Option<String>,
    /// 0 means no limit.
    pub(crate) max_allowed_memberships: i64,
    pub(crate) admin_delete_enabled: bool,
    pub(crate) public_metadata: Metadata,
    pub(crate) private_metadata: Metadata,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Membership {
    pub(crate) id: String,
    pub(crate) organization_id: String,
    pub(crate) user_id: String,
    pub(crate) role: String,
    pub(crate) public_metadata: Metadata,
    pub(crate) private_metadata: Metadata,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

/// A session of a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) client_id: String,
    pub(crate) user_id: String,
    /// The active organization. Whether the user is still a member must be looked up.
    pub(crate) organization_id: Option<String>,
    /// The stored status. That a session has expired is not stored.
    pub(crate) status: SessionStatus,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SessionStatus {
    Active,
    /// Revoked by a request, or because the user was banned.
    Revoked,
    /// The user was deleted.
    Removed,
    Expired,
}

impl Session {
    /// The lifetime of a session, Clerk's default: 7 days.
    const LIFETIME_MS: i64 = 7 * 24 * 60 * 60 * 1000;
    /// The time after which the client of a session is abandoned: 30 days.
    const ABANDONED_MS: i64 = 30 * 24 * 60 * 60 * 1000;

    pub(crate) fn expire_at(&self) -> i64 {
        self.created_at + Self::LIFETIME_MS
    }

    pub(crate) fn abandon_at(&self) -> i64 {
        self.created_at + Self::ABANDONED_MS
    }

    pub(crate) fn status_at(&self, now: i64) -> SessionStatus {
        match self.status {
            SessionStatus::Active if now >= self.expire_at() => SessionStatus::Expired,
            status => status,
        }
    }
}

/// Clerk's deep merge: objects merge, anything else replaces, and null removes its key at any level.
pub(crate) fn merge(target: &mut Metadata, patch: Metadata) {
    for (key, value) in patch {
        match value {
            Value::Null => {
                target.remove(&key);
            }
            Value::Object(nested) => {
                let slot = target.entry(key).or_insert_with(|| Value::Object(Map::new()));
                // A value that is no object is replaced by one, so that nested nulls are removed there, too.
                if !slot.is_object() {
                    *slot = Value::Object(Map::new());
                }
                if let Value::Object(inner) = slot {
                    merge(inner, nested);
                }
            }
            plain => {
                target.insert(key, plain);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deep_merge_removes_nulls_at_any_level_and_keeps_the_rest() {
        let cases = [
            (json!({"a": 1}), json!({"b": 2}), json!({"a": 1, "b": 2})),
            (json!({"a": 1}), json!({"a": null}), json!({})),
            (json!({"a": {"x": 1, "y": 2}}), json!({"a": {"x": null}}), json!({"a": {"y": 2}})),
            (json!({"a": {"x": {"p": 1, "q": 1}}}), json!({"a": {"x": {"p": null}}}), json!({"a": {"x": {"q": 1}}})),
            (json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]})),
            (json!({"a": 1}), json!({"a": {"x": null, "y": 2}}), json!({"a": {"y": 2}})),
            (json!({}), json!({"a": {"x": null}}), json!({"a": {}})),
        ];
        for (before, patch, after) in cases {
            let mut target = before.as_object().unwrap().clone();
            merge(&mut target, patch.as_object().unwrap().clone());
            assert_eq!(Value::Object(target), after, "{before} merged with {patch}");
        }
    }
}
