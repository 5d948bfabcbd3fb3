//! Decides for a caller which entities to fetch from Clerk, which rows and records to create, and what to return.
//!
//! All decisions concern only the caller, whom a verified session names, and the active organization of the session. A
//! tombstone is final: no deleted user comes back.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::core::clerk::objects;
use crate::core::ensure::admission::Refusal;
use crate::core::id::PerKind;
use crate::core::mirror::decide;
use crate::core::mirror::decide::{Evidence, Next, Write};
use crate::core::mirror::item::Item;
use crate::core::mirror::projection::Context;
use crate::core::mirror::roles::Roles;
use crate::core::mirror::rule::Guard;
use crate::core::profile::Profile;
use crate::core::session::claims::Session;
use crate::core::write_back;

/// What ensure-profile does about missing rows and records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnsurePolicy {
    /// Fetch it from Clerk and create it.
    Create,
    /// Report it, and create nothing: the webhook is the only writer.
    Verify,
}

/// Which entities are fetched from Clerk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    Missing,
    /// All entities, as a user on `/sync` expects.
    All,
}

/// The entities to fetch from Clerk. A deleted organization needs no request, and neither does its membership. A
/// deleted membership does, because the session claims it: the user may have left and joined again.
pub fn wanted(session: &Session, stored: &PerKind<Option<Item>>, extent: Extent) -> PerKind<bool> {
    let claimed = session.entities().map(|entity| entity.is_some());
    let is_wanted = |item: &Option<Item>| {
        item.as_ref().is_none_or(|item| !item.is_deleted() && (extent == Extent::All || item.is_placeholder()))
    };
    let organization_ended = stored.organization.as_ref().is_some_and(Item::is_deleted);
    let membership_ended = stored.membership.as_ref().is_some_and(Item::is_deleted);
    PerKind {
        user: claimed.user && is_wanted(&stored.user),
        organization: claimed.organization && is_wanted(&stored.organization),
        membership: claimed.membership && !organization_ended && (membership_ended || is_wanted(&stored.membership)),
    }
}

/// What to do about a fetched entity; `stored` was read before the request.
pub fn answered(found: objects::Entity, stored: Option<&Item>, context: &Context<'_>) -> Next {
    decide::fetched(Some(found), stored, &Evidence::Undated { ended: false }, context)
}

/// The write of a placeholder, which replaces no row.
pub fn stand_in(placeholder: Item) -> Next {
    Next::Again(Box::new(Write::new(placeholder, Guard::Absent)))
}

/// The state of a caller after all possible steps. Entities that are missing or deleted are absent.
#[derive(Debug, Default)]
pub struct Known {
    pub copies: PerKind<Option<Item>>,
    /// The record of the user in Profiles.
    pub profile: Option<Profile>,
    /// The record of the membership in Profiles.
    pub membership_profile: Option<Profile>,
    /// The names of what was created.
    pub created: Vec<&'static str>,
    /// Whether a request to Clerk failed.
    pub unsettled: bool,
}

/// The response: the rows and records of the caller, what was created, and whether the browser should visit `/sync`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ensured {
    /// The row of the user.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::core::mirror::projection::User))]
    pub user: Map<String, Value>,
    /// The record of the user in Profiles.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Map<String, serde_json::Value>>))]
    pub profile: Option<Map<String, Value>>,
    /// The row of the active organization.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::core::mirror::projection::Organization>))]
    pub organization: Option<Map<String, Value>>,
    /// The row of the membership in it.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::core::mirror::projection::Membership>))]
    pub membership: Option<Map<String, Value>>,
    /// The record of that membership in Profiles.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Map<String, serde_json::Value>>))]
    pub membership_profile: Option<Map<String, Value>>,
    /// Which of them this call created.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub created: Vec<&'static str>,
    /// Whether the session's claims lack the internal id or differ in the role, or a placeholder stands for an entity.
    pub needs_sync: bool,
    /// The impersonator, by the claim `act`.
    pub actor: Option<String>,
}

impl Known {
    /// Removes what readers must not see: a membership without a live organization, and an organization without a live
    /// membership.
    #[must_use]
    pub fn honouring_tombstones(mut self) -> Known {
        self.copies = self.copies.map(|item| item.filter(|item| !item.is_deleted()));
        if self.copies.organization.is_none() {
            self.copies.membership = None;
        }
        if self.copies.membership.is_none() {
            self.copies.organization = None;
            self.membership_profile = None;
        }
        self
    }

    /// The answer.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] if there is no user to answer about.
    pub fn answer(self, session: &Session, roles: &Roles) -> Result<Ensured, Refusal> {
        let user = self.copies.user.as_ref().ok_or(Refusal::NotFound)?;
        let stands_in = self.copies.as_ref().into_array().into_iter().flatten().any(Item::is_placeholder);
        let needs_sync = self.unsettled || stands_in || claims_lag(session, user, roles);
        let mut shown = self.copies.as_ref().map(|item| item.as_ref().map(Item::shown));
        // While the membership is a placeholder, the response contains only what the token says of the organization.
        let is_proven = self.copies.membership.as_ref().is_some_and(|membership| !membership.is_placeholder());
        shown.organization = shown
            .organization
            .filter(|_| is_proven || self.copies.organization.as_ref().is_some_and(Item::is_placeholder));
        Ok(Ensured {
            user: user.shown(),
            profile: self.profile.map(Profile::shown),
            organization: shown.organization,
            membership: shown.membership,
            membership_profile: self.membership_profile.map(Profile::shown),
            created: self.created,
            needs_sync,
            actor: session.actor.clone(),
        })
    }
}

impl Ensured {
    /// Whether Clerk's user has neither a primary e-mail address nor a primary phone number. Unknown for a placeholder.
    pub fn lacks_contact(&self) -> bool {
        let has = |name| self.user.contains_key(name);
        !has("email") && !has("phone") && has("updated_at")
    }
}

/// Whether the session's claims lack the internal id or differ in the role. A claim without a role means the role of a
/// user without one. A different id is not outdated: Rollcall never changes it, so synchronizing would not help. Other
/// products put their own claims at the top level: an id counts there only if it is the user's, a role only if it is in
/// `ROLES`.
pub fn claims_lag(session: &Session, user: &Item, roles: &Roles) -> bool {
    let metadata = user.fields.get("public_metadata");
    let ids = [user.fields.get("id"), metadata.and_then(|metadata| metadata.get(write_back::ID))];
    let is_known = |id: &str| ids.into_iter().flatten().any(|known| known.as_str() == Some(id));
    let stored = user.fields.get("role").and_then(Value::as_str);
    let claimed = session.role.known(|role| roles.knows(role));
    session.db_id.known(is_known).is_none() || roles.named(claimed) != roles.named(stored)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::clerk::event::{Envelope, Event};
    use crate::core::ensure::admission::admit;
    use crate::core::id::{EntityId, InstanceId};
    use crate::core::millis::Millis;
    use crate::core::mirror::item::SHOWN;
    use crate::core::mirror::item::{Provenance, Writer};
    use crate::core::mirror::rank::Rank;
    use crate::core::mirror::tombstone::{Deletion, DeletionPolicy};
    use crate::core::session::claims::{ActiveOrganization, Claim};

    fn session(organization: bool) -> Session {
        let active = |id: &str| ActiveOrganization {
            id: id.parse().unwrap(),
            slug: Some("acme".to_owned()),
            role: Some("org:admin".to_owned()),
            permissions: Vec::new(),
        };
        Session {
            user: "user_1".parse().unwrap(),
            organization: organization.then(|| active("org_1")),
            db_id: Claim::default(),
            role: Claim { metadata: Some("admin".to_owned()), top: None },
            actor: None,
            first_factor_age: None,
            issued_at: None,
        }
    }

    fn with_context<T>(decide: impl FnOnce(&Context<'_>) -> T) -> T {
        let instance: InstanceId = "ins_1".parse().unwrap();
        let provenance = Provenance { applied_at: Millis::ZERO, applied_by: Writer::Ensure, delivery_id: None };
        decide(&Context { instance: &instance, roles: Roles::usual(), provenance: &provenance })
    }

    /// The three entities of a session in one state: missing, placeholder, live, deleted.
    fn copies(states: [&str; 3]) -> PerKind<Option<Item>> {
        let session = session(true);
        let [user, organization, membership] = session.entities().into_array();
        let item = |entity: Option<EntityId>, state: &str| {
            let entity = entity.unwrap();
            let placeholder = with_context(|context| context.placeholder(&entity, &session));
            match state {
                "missing" => None,
                "placeholder" => Some(placeholder),
                "live" => Some(Item { rank: Rank::live(Millis::ZERO, Millis::MAX), ..placeholder }),
                _ => {
                    let deletion = Deletion { entity, membership_id: None, generation: Millis::ZERO, at: Millis::MAX };
                    Some(with_context(|context| deletion.tombstone(DeletionPolicy::Redact, None, context)))
                }
            }
        };
        PerKind {
            user: item(user, states[0]),
            organization: item(organization, states[1]),
            membership: item(membership, states[2]),
        }
    }

    #[test]
    fn clerk_is_asked_for_what_is_missing_and_never_for_what_has_ended_for_good() {
        use Extent::{All, Missing};
        let all = [true, true, true];
        for (states, extent, wanted) in [
            (["missing", "missing", "missing"], Missing, all),
            (["placeholder", "placeholder", "placeholder"], Missing, all),
            (["live", "live", "live"], Missing, [false, false, false]),
            (["live", "live", "live"], All, all),
            (["live", "missing", "missing"], Missing, [false, true, true]),
            (["live", "live", "ended"], Missing, [false, false, true]),
            (["live", "ended", "live"], Missing, [false, false, false]),
            (["live", "ended", "missing"], Missing, [false, false, false]),
            (["live", "ended", "ended"], All, [true, false, false]),
            (["ended", "live", "live"], All, [false, true, true]),
        ] {
            let found = super::wanted(&session(true), &copies(states), extent).into_array();
            assert_eq!(found, wanted, "{states:?} {extent:?}");
        }
        let alone = super::wanted(&session(false), &copies(["missing", "missing", "missing"]), All);
        assert_eq!(alone.into_array(), [true, false, false]);
    }

    #[test]
    fn i18_the_deleted_the_banned_and_the_deprovisioned_are_turned_away_and_nobody_else() {
        let user = |state: &str| copies([state, "live", "live"]).user;
        assert_eq!(admit(user("live").as_ref()).err(), None);
        for unknown in ["missing", "placeholder"] {
            assert_eq!(admit(user(unknown).as_ref()).err(), Some(Refusal::NotSynced), "{unknown}");
        }
        for (name, value, refusal) in [
            ("banned", json!(true), Some(Refusal::Banned)),
            ("deprovisioned", json!(true), Some(Refusal::Deprovisioned)),
            ("banned", json!(false), None),
            ("deprovisioned", json!(false), None),
            ("locked", json!(true), None),
        ] {
            let mut user = user("live").unwrap();
            user.fields.insert(name.to_owned(), value);
            assert_eq!(admit(Some(&user)).err(), refusal, "{name}");
            user.rank = copies(["ended", "live", "live"]).user.unwrap().rank;
            assert_eq!(admit(Some(&user)).err(), Some(Refusal::Deleted), "{name}");
        }
    }

    #[test]
    fn a_claim_of_another_product_decides_nothing() {
        let own = "2d649aef-0000-5000-8000-000000000000";
        let mut user = copies(["live", "live", "live"]).user.unwrap();
        user.fields.insert("id".to_owned(), json!(own));
        user.fields.insert("role".to_owned(), json!("admin"));
        user.fields.insert("public_metadata".to_owned(), json!({ "dbId": "legacy-7" }));
        let claim = |metadata: &str, top: &str| {
            let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Claim { metadata: text(metadata), top: text(top) }
        };
        for (db_id, role, lags) in [
            (claim(own, ""), claim("admin", "authenticated"), false),
            (claim(own, "42"), claim("admin", ""), false),
            (claim("", own), claim("", "admin"), false),
            (claim("", "legacy-7"), claim("admin", ""), false),
            (claim("of another database", ""), claim("admin", ""), false),
            (claim("", "42"), claim("admin", ""), true),
            (claim(own, ""), claim("", "authenticated"), true),
            (claim(own, ""), claim("user", "admin"), true),
            (claim(own, ""), claim("owner", "admin"), true),
        ] {
            let session = Session { db_id, role, ..session(false) };
            assert_eq!(claims_lag(&session, &user, Roles::usual()), lags, "{session:?}");
        }
    }

    #[test]
    fn readers_see_neither_what_has_ended_nor_what_hangs_off_it() {
        for (states, seen) in [
            (["live", "live", "live"], [true, true, true]),
            (["live", "ended", "live"], [true, false, false]),
            (["live", "missing", "live"], [true, false, false]),
            (["live", "live", "ended"], [true, false, false]),
            (["live", "live", "missing"], [true, false, false]),
            (["live", "live", "placeholder"], [true, true, true]),
            (["live", "placeholder", "placeholder"], [true, true, true]),
        ] {
            let record = || Some(Profile(Map::new()));
            let known =
                Known { copies: copies(states), profile: record(), membership_profile: record(), ..Known::default() };
            let known = known.honouring_tombstones();
            assert_eq!(known.copies.as_ref().map(Option::is_some).into_array(), seen, "{states:?}");
            assert_eq!((known.profile.is_some(), known.membership_profile.is_some()), (true, seen[2]));
        }
    }

    #[test]
    fn what_readers_see_is_the_projection_without_what_is_there_for_an_index() {
        for sample in [
            include_str!("../../../../events/user.created.json"),
            include_str!("../../../../events/organization.created.json"),
            include_str!("../../../../events/organizationMembership.created.json"),
        ] {
            let item = match Envelope::parse(sample.as_bytes()).unwrap().open().unwrap().unwrap().event {
                Event::User(user) => with_context(|context| context.user(user)),
                Event::Organization(organization) => with_context(|context| context.organization(organization)),
                Event::Membership(membership) => with_context(|context| context.membership(membership)).unwrap(),
                other => panic!("{other:?}"),
            };
            let hidden: Vec<&String> = item.fields.keys().filter(|name| !SHOWN.contains(&name.as_str())).collect();
            assert!(hidden.is_empty() || hidden == ["user_pk"], "{hidden:?}");
            let shown = item.shown();
            assert!(
                shown.contains_key("created_at") && shown.contains_key("updated_at") && !shown.contains_key("rank")
            );
        }
    }
}
