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

/// Whether the session's claims lack the application's id or differ in the role. A claim without a role means what a user
/// without one has. An id that differs is no lag: it is never changed, so that synchronising would not help.
#[must_use]
pub fn claims_lag(session: &Session, user: &Item) -> bool {
    let stored = user.fields.get("role").and_then(Value::as_str);
    session.db_id.is_none() || Role::named(session.role.as_deref()) != Role::named(stored)
}
