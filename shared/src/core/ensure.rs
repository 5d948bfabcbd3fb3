//! What a caller is owed who may have arrived before the webhook: what to ask Clerk, what to create, what to answer.
//!
//! Everything here acts for the caller alone, whom a verified session names, and for the organization that the session is
//! active in. A tombstone is final: nobody is brought back.

use serde::Serialize;
use serde_json::{Map, Value};

use super::clerk;
use super::decide::{self, Next, Said, Write};
use super::id::Each;
use super::item::Item;
use super::profile::Profile;
use super::projection::{Context, Role};
use super::rule::Guard;
use super::session::Session;

/// What `ensure` may do about what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Fetch it from Clerk and create it.
    Create,
    /// Say so, and create nothing: the webhook is the only writer.
    Verify,
}

/// How much to ask Clerk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What is missing.
    Missing,
    /// Everything, as whoever is sent to be synchronised expects.
    All,
}

/// Why a caller is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The user has been deleted, and stays so.
    Deleted,
    /// An administrator has banned the user.
    Banned,
    /// Clerk does not know the user.
    NotFound,
    /// The copy should hold the user, and does not.
    NotSynced,
}

impl Refusal {
    /// The machine-readable name, in answers and logs alike.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Refusal::Deleted => "user_deleted",
            Refusal::Banned => "user_banned",
            Refusal::NotFound => "user_not_found",
            Refusal::NotSynced => "user_not_synced",
        }
    }
}

/// Whether a stored user may go on.
///
/// # Errors
///
/// [`Refusal::Deleted`] or [`Refusal::Banned`].
pub fn admit(user: Option<&Item>) -> Result<(), Refusal> {
    match user {
        Some(user) if user.is_deleted() => Err(Refusal::Deleted),
        Some(user) if user.fields.get("banned") == Some(&Value::Bool(true)) => Err(Refusal::Banned),
        _ => Ok(()),
    }
}

/// Which entities Clerk is to be asked for. An organization that has ended needs no question, nor does the membership of
/// it. A membership that has ended does, for the session says that there is one: it may have been left and rejoined.
#[must_use]
pub fn wanted(session: &Session, stored: &Each<Option<Item>>, extent: Extent) -> Each<bool> {
    let claimed = session.entities().map(|entity| entity.is_some());
    let is_wanted = |item: &Option<Item>| {
        item.as_ref().is_none_or(|item| !item.is_deleted() && (extent == Extent::All || item.is_placeholder()))
    };
    let organization_ended = stored.organization.as_ref().is_some_and(Item::is_deleted);
    let membership_ended = stored.membership.as_ref().is_some_and(Item::is_deleted);
    Each {
        user: claimed.user && is_wanted(&stored.user),
        organization: claimed.organization && is_wanted(&stored.organization),
        membership: claimed.membership && !organization_ended && (membership_ended || is_wanted(&stored.membership)),
    }
}

/// What to do about an entity that Clerk was asked for, beside `stored`, which was read before the question.
#[must_use]
pub fn answered(found: clerk::Entity, stored: Option<&Item>, context: &Context<'_>) -> Next {
    decide::fetched(Some(found), stored, &Said::Undated { ended: false }, context)
}

/// The write of a placeholder, which replaces nothing.
#[must_use]
pub fn stand_in(placeholder: Item) -> Next {
    Next::Again(Box::new(Write::new(placeholder, Guard::Absent)))
}

/// Everything known about a caller once all is done that could be. What does not exist is absent, and so is what has
/// ended.
#[derive(Debug, Default)]
pub struct Known {
    /// The copies.
    pub copies: Each<Option<Item>>,
    /// The application's record of the user.
    pub profile: Option<Profile>,
    /// The application's record of the membership.
    pub membership_profile: Option<Profile>,
    /// What was created on the way.
    pub created: Vec<&'static str>,
    /// Whether Clerk could not be asked about something.
    pub unsettled: bool,
}

/// The answer: what the caller has, what was created for it, and whether to come again by `/sync`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ensured {
    /// The copy of the user.
    pub user: Map<String, Value>,
    /// The application's record of the user.
    pub profile: Option<Map<String, Value>>,
    /// The copy of the active organization.
    pub organization: Option<Map<String, Value>>,
    /// The copy of the membership of it.
    pub membership: Option<Map<String, Value>>,
    /// The application's record of that membership.
    pub membership_profile: Option<Map<String, Value>>,
    /// Which of them this call created.
    pub created: Vec<&'static str>,
    /// Whether the session's claims lack the application's id or differ in the role, or something stands in for what
    /// Clerk has yet to say.
    pub needs_sync: bool,
}

impl Known {
    /// Leaves out what readers must not see: a membership without a live organization does not exist.
    #[must_use]
    pub fn honouring_tombstones(mut self) -> Known {
        self.copies = self.copies.map(|item| item.filter(|item| !item.is_deleted()));
        if self.copies.organization.is_none() {
            self.copies.membership = None;
        }
        if self.copies.membership.is_none() {
            self.membership_profile = None;
        }
        self
    }

    /// The answer.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] if there is no user to answer about.
    pub fn answer(self, session: &Session) -> Result<Ensured, Refusal> {
        let user = self.copies.user.as_ref().ok_or(Refusal::NotFound)?;
        let stands_in = self.copies.as_ref().into_array().into_iter().flatten().any(Item::is_placeholder);
        let needs_sync = self.unsettled || stands_in || claims_lag(session, user);
        let shown = self.copies.as_ref().map(|item| item.as_ref().map(Item::shown));
        Ok(Ensured {
            user: user.shown(),
            profile: self.profile.map(Profile::shown),
            organization: shown.organization,
            membership: shown.membership,
            membership_profile: self.membership_profile.map(Profile::shown),
            created: self.created,
            needs_sync,
        })
    }
}

impl Ensured {
    /// Whether Clerk says that the user has neither a primary e-mail address nor a primary phone number. Of a placeholder nobody
    /// knows.
    #[must_use]
    pub fn lacks_contact(&self) -> bool {
        let has = |name| self.user.contains_key(name);
        !has("email") && !has("phone") && has("updated_at")
    }
}

/// Whether the session's claims lack the application's id or differ in the role. A claim without a role means what a user
/// without one has. An id that differs is no lag: it is never changed, so that synchronising would not help.
#[must_use]
pub fn claims_lag(session: &Session, user: &Item) -> bool {
    let stored = user.fields.get("role").and_then(Value::as_str);
    session.db_id.is_none() || Role::named(session.role.as_deref()) != Role::named(stored)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::event::{Envelope, Event};
    use crate::core::id::{EntityId, InstanceId};
    use crate::core::item::{Provenance, Writer};
    use crate::core::millis::Millis;
    use crate::core::projection::SHOWN;
    use crate::core::rank::Rank;
    use crate::core::session::ActiveOrganization;
    use crate::core::tombstone::{Deletion, DeletionPolicy};

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
            db_id: None,
            role: Some("admin".to_owned()),
            is_impersonated: false,
            first_factor_age: None,
        }
    }

    fn with_context<T>(decide: impl FnOnce(&Context<'_>) -> T) -> T {
        let instance: InstanceId = "ins_1".parse().unwrap();
        let provenance = Provenance { applied_at: Millis::ZERO, applied_by: Writer::Ensure, delivery_id: None };
        decide(&Context { instance: &instance, provenance: &provenance })
    }

    /// The three entities of a session in one state: missing, placeholder, live, ended.
    fn copies(states: [&str; 3]) -> Each<Option<Item>> {
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
        Each {
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
    fn the_ended_and_the_banned_are_turned_away_and_nobody_else() {
        for state in ["missing", "placeholder", "live"] {
            assert_eq!(admit(copies([state, "live", "live"]).user.as_ref()), Ok(()), "{state}");
        }
        let mut user = copies(["live", "live", "live"]).user.unwrap();
        user.fields.insert("banned".to_owned(), json!(true));
        assert_eq!(admit(Some(&user)), Err(Refusal::Banned));
        assert_eq!(admit(copies(["ended", "live", "live"]).user.as_ref()), Err(Refusal::Deleted));
    }

    #[test]
    fn readers_see_neither_what_has_ended_nor_what_hangs_off_it() {
        for (states, seen) in [
            (["live", "live", "live"], [true, true, true]),
            (["live", "ended", "live"], [true, false, false]),
            (["live", "missing", "live"], [true, false, false]),
            (["live", "live", "ended"], [true, true, false]),
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
            include_str!("../../../events/user.created.json"),
            include_str!("../../../events/organization.created.json"),
            include_str!("../../../events/organizationMembership.created.json"),
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
