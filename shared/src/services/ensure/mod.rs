//! ensure-profile's work for a signed-in caller: reads the stored rows, asks Clerk for missing entities, applies them
//! by the rule, creates missing records. One DynamoDB request if nothing is missing.

pub mod questions;
pub mod recent;
pub mod uncopied;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thiserror::Error;
use tokio::time::{Instant, sleep};

use super::apply::{Applied, Applier, ApplyError, NotApplied};
use super::ensure::questions::{Leave, Questions};
use super::ensure::recent::Recent;
use crate::adapters::clerk::error::ClerkError;
use crate::adapters::dynamo::caller::Stored;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::profiles::write::{OwnerState, Provisioned};
use crate::adapters::dynamo::stores::Stores;
use crate::core::clerk::objects::Entity;
use crate::core::ensure::admission::{Refusal, admit};
use crate::core::ensure::decide;
use crate::core::ensure::decide::{EnsurePolicy, Ensured, Extent, Known};
use crate::core::ensure::questions::{Earlier, budget, question};
use crate::core::id::{EntityId, Kind, PerKind};
use crate::core::millis::Millis;
use crate::core::mirror::decide::Evidence;
use crate::core::mirror::item::{Item, Provenance, Writer};
use crate::core::mirror::projection::Context;
use crate::core::mirror::rule::Outcome;
use crate::core::profile::{Defaults, Profile};
use crate::core::session::claims::Session;

/// How long all requests to Clerk for one caller may take. A frontend waits as long.
pub const CLERK_PATIENCE: Duration = Duration::from_secs(2);
/// The pauses of a caller who waits for the results of another call about the same caller: the first, and the longest.
const LOOKS_AFTER: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(400)];
/// After a failed request, Clerk is not asked for this many ms: otherwise all callers would wait in vain.
const CLERK_PAUSE: u64 = 10_000;
/// No event asked for these entities, so any state of Clerk is accepted.
const NO_EVIDENCE: Evidence = Evidence::Undated { ended: false };

#[derive(Debug)]
pub struct Ensurer {
    pub stores: Stores,
    pub applier: Applier,
    /// Whether missing rows and records are created.
    pub policy: EnsurePolicy,
    /// Whether live users and memberships are stored.
    pub mirror: bool,
    /// The default attributes of new records.
    pub defaults: Defaults,
    /// When a request to Clerk last failed.
    pub circuit_breaker: CircuitBreaker,
    /// The limits of requests to Clerk.
    pub questions: Questions,
    /// The share of Clerk's rate limit that may be used, in percent.
    pub rate_share: u8,
    /// Clerk's recent responses about entities that are not stored.
    pub recent: Recent,
}

/// When a request to Clerk last failed, in Unix ms; 0 for never.
#[derive(Debug, Default)]
pub struct CircuitBreaker(AtomicU64);

impl CircuitBreaker {
    fn lasts(&self, now: Millis) -> bool {
        let since = self.0.load(Ordering::Relaxed);
        since > 0 && now.get().abs_diff(since) < CLERK_PAUSE
    }

    fn note(&self, now: Millis) {
        self.0.store(now.get(), Ordering::Relaxed);
    }
}

/// The result for a caller.
#[derive(Debug)]
pub struct Outcomes {
    /// The response, or why the caller is rejected.
    pub answer: Result<Ensured, Refusal>,
    /// Whether, under `verify`, the row of the active organization or of the membership is missing.
    pub organization_missed: bool,
    /// Requests to Clerk.
    pub clerk_calls: u32,
    /// Why Clerk was not asked, or failed; nothing if all requests succeeded.
    pub unasked: Option<Unasked>,
}

/// Why Clerk was not asked, or failed.
#[derive(Debug, Error)]
pub enum Unasked {
    /// A request to Clerk failed.
    #[error(transparent)]
    Clerk(#[from] ClerkError),
    /// A request failed a moment ago, perhaps that of another caller.
    #[error("Clerk is not asked, because a request to it failed less than ten seconds ago")]
    Paused,
    /// The request budget of this function is used up.
    #[error("the function's share of Clerk's rate limit is used up (CLERK_RATE_SHARE)")]
    Share,
}

impl Outcomes {
    fn at_once(answer: Result<Ensured, Refusal>) -> Outcomes {
        Outcomes { answer, organization_missed: false, clerk_calls: 0, unasked: None }
    }
}

/// The caller of one call.
struct Call<'a> {
    session: &'a Session,
    caller: PerKind<Option<EntityId>>,
    context: Context<'a>,
    now: Millis,
    /// The end of the time for requests to Clerk.
    until: Instant,
}

/// Clerk's response about one entity.
#[derive(Debug)]
enum Reply {
    NotAsked,
    Silent,
    Nothing,
    Found(Box<Entity>),
}

/// The result for one entity.
#[derive(Debug, Default)]
struct Brought {
    item: Option<Item>,
    created: bool,
    unsettled: bool,
    clerk_calls: u32,
    unasked: Option<ClerkError>,
}

impl Ensurer {
    /// Creates the missing rows and records of a session's caller.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: written rows stay, and the next call continues from there.
    pub async fn ensure(&self, session: &Session, extent: Extent, now: Millis) -> Result<Outcomes, StoreError> {
        let caller = session.entities();
        let stored = self.read(session, &caller, now).await?;
        let asks_anew = extent == Extent::All && self.policy == EnsurePolicy::Create;
        match admit(stored.copies.user.as_ref()) {
            Ok(_) => {}
            // Clerk is asked below.
            Err(Refusal::NotSynced) if self.policy == EnsurePolicy::Create => {}
            // The user may have been unbanned since, and the event lost.
            Err(refusal) if asks_anew && refusal.may_be_outdated() => {}
            Err(refusal) => return Ok(Outcomes::at_once(Err(refusal))),
        }
        if self.policy == EnsurePolicy::Verify {
            return Ok(self.verify(session, stored));
        }
        let provenance = Provenance { applied_at: now, applied_by: Writer::Ensure, delivery_id: None };
        let context = Context { instance: &self.applier.instance, roles: &self.applier.roles, provenance: &provenance };
        let call = Call { session, caller, context, now, until: Instant::now() + CLERK_PATIENCE };
        // Boxed: most calls end before and should not contain its large future.
        Box::pin(self.create(stored, extent, &call)).await
    }

    /// The stored rows and records of a caller.
    async fn read(
        &self,
        session: &Session,
        caller: &PerKind<Option<EntityId>>,
        now: Millis,
    ) -> Result<Stored, StoreError> {
        let mut stored = self.stores.caller(&self.applier.instance, caller).await?;
        if !self.mirror {
            // Under `MIRROR=off` only tombstones of users are stored. A row from the time before is outdated.
            stored.copies = self.with_recent(stored.copies, session, now);
        }
        Ok(stored)
    }

    async fn create(&self, stored: Stored, extent: Extent, call: &Call<'_>) -> Result<Outcomes, StoreError> {
        let mut outcomes = Outcomes::at_once(Err(Refusal::NotFound));
        let (stored, answers, is_held_back) = self.answers(stored, extent, call, &mut outcomes).await?;
        if is_held_back && !self.mirror && matches!(answers.user, Reply::Silent) {
            // Without a stored user, only Clerk can say whether the user is banned. A caller who uses up the limit must
            // not be admitted.
            outcomes.answer = Err(Refusal::NotAsked);
            return Ok(outcomes);
        }
        let Stored { copies, profile, membership_profile } = stored;
        if matches!(answers.user, Reply::Nothing) {
            return Ok(outcomes);
        }
        let caller = call.caller.as_ref();
        let (user, organization) = tokio::join!(
            self.bring(caller.user.as_ref(), answers.user, copies.user, call),
            self.bring(caller.organization.as_ref(), answers.organization, copies.organization, call),
        );
        let (user, organization) = (user?, organization?);
        // Only if both are live: a membership of a parent that was deleted meanwhile must not appear.
        let membership = if lives(&user) && lives(&organization) {
            self.bring(caller.membership.as_ref(), answers.membership, copies.membership, call).await?
        } else {
            Brought::default()
        };
        let mut brought = PerKind { user, organization, membership };
        for one in [&mut brought.user, &mut brought.organization, &mut brought.membership] {
            if let Some(error) = one.unasked.take() {
                self.note_clerk_error(error, call, &mut outcomes);
            }
        }
        if !self.mirror {
            let said = PerKind {
                user: brought.user.item.as_ref(),
                organization: None,
                membership: brought.membership.item.as_ref(),
            };
            self.recent.keep(call.session, said, call.now);
        }
        let mut known = Known { profile, membership_profile, ..Known::default() };
        let names = PerKind { user: "user", organization: "organization", membership: "membership" };
        for (one, name) in brought.as_ref().zip(names).into_array() {
            outcomes.clerk_calls += one.clerk_calls;
            known.unsettled |= one.unsettled;
            known.created.extend(one.created.then_some(name));
        }
        known.copies = brought.map(|one| one.item);
        outcomes.answer = match admit(known.copies.user.as_ref()) {
            // While Clerk does not respond, a placeholder is the best available row; without any row there is no
            // response.
            Ok(_) | Err(Refusal::NotSynced) => self.provision(known.honouring_tombstones(), call).await?,
            Err(refusal) => Err(refusal),
        };
        Ok(outcomes)
    }

    /// Clerk's responses about the wanted entities, with the rows that were stored before, and whether Clerk was not
    /// asked only because it was asked about this caller a moment ago. One caller cannot use up Clerk's rate limit: see
    /// [`Questions`].
    async fn answers(
        &self,
        mut stored: Stored,
        extent: Extent,
        call: &Call<'_>,
        outcomes: &mut Outcomes,
    ) -> Result<(Stored, PerKind<Reply>, bool), StoreError> {
        let [mut pause, longest] = LOOKS_AFTER;
        let begun = Instant::now();
        loop {
            let wanted = decide::wanted(call.session, &stored.copies, extent);
            let requests = wanted.into_array().map(u32::from).iter().sum();
            if requests == 0 {
                return Ok((stored, wanted.map(silent), false));
            }
            if self.circuit_breaker.lasts(call.now) {
                outcomes.unasked = Some(Unasked::Paused);
                return Ok((stored, wanted.map(silent), false));
            }
            if self.questions.budget.is_spent(call.now) {
                outcomes.unasked = Some(Unasked::Share);
                return Ok((stored, wanted.map(silent), false));
            }
            let caller = self.applier.instance.internal_id(&call.session.user);
            let organization = call.session.organization.as_ref().map(|active| &active.id);
            let question = question(organization, if self.mirror { "" } else { self.recent.process() });
            let most = budget(self.rate_share, self.applier.clerk.has_production_key().await);
            match self.questions.leave(caller, question, (requests, most), call.now).await? {
                Leave::Granted(round) => {
                    let answers = self.ask(wanted, call, outcomes).await;
                    let kinds =
                        PerKind { user: Kind::User, organization: Kind::Organization, membership: Kind::Membership };
                    let unknown = answers.as_ref().zip(kinds).into_array().into_iter();
                    let unknown = unknown.filter(|(answer, _)| matches!(answer, Reply::Nothing));
                    let unknown: BTreeSet<Kind> = unknown.map(|(_, kind)| kind).collect();
                    let is_silent = answers.as_ref().into_array().iter().any(|answer| matches!(answer, Reply::Silent));
                    if is_silent || !unknown.is_empty() {
                        self.questions.over(round, &unknown, call.now).await?;
                    }
                    return Ok((stored, answers, false));
                }
                Leave::Spent(round) => {
                    outcomes.unasked = Some(Unasked::Share);
                    self.questions.over(round, &BTreeSet::new(), call.now).await?;
                    return Ok((stored, wanted.map(silent), false));
                }
                Leave::Earlier(earlier) => {
                    let missing = decide::wanted(call.session, &stored.copies, Extent::Missing);
                    // Another call is asking Clerk: its results are better than placeholders.
                    let until = call.until.min(begun + Duration::from_millis(earlier.is_awaited_for));
                    if !missing.into_array().contains(&true) || Instant::now() + pause > until {
                        return Ok((stored, earlier_answers(wanted, missing, &earlier), true));
                    }
                    sleep(pause).await;
                    pause = longest.min(pause * 2);
                    stored = self.read(call.session, &call.caller, call.now).await?;
                }
            }
        }
    }

    /// Fetches all wanted entities from Clerk at once.
    async fn ask(&self, wanted: PerKind<bool>, call: &Call<'_>, outcomes: &mut Outcomes) -> PerKind<Reply> {
        let asked = call.caller.as_ref().zip(wanted).map(|(entity, wanted)| entity.as_ref().filter(|_| wanted));
        let ask = async |entity: Option<&EntityId>| match entity {
            None => Ok(Reply::NotAsked),
            Some(entity) => {
                let found = self.applier.ask(entity, Some(call.until)).await?;
                Ok(found.map_or(Reply::Nothing, |found| Reply::Found(Box::new(found))))
            }
        };
        outcomes.clerk_calls += asked.map(|entity| u32::from(entity.is_some())).into_array().iter().sum::<u32>();
        let (user, organization, membership) =
            tokio::join!(ask(asked.user), ask(asked.organization), ask(asked.membership));
        PerKind { user, organization, membership }.map(|answer| {
            answer.unwrap_or_else(|error: ClerkError| {
                self.note_clerk_error(error, call, outcomes);
                Reply::Silent
            })
        })
    }

    /// Remembers that a request to Clerk failed. An unreadable response concerns one entity, other errors concern all
    /// callers.
    fn note_clerk_error(&self, error: ClerkError, call: &Call<'_>, outcomes: &mut Outcomes) {
        if !error.concerns_one() {
            self.circuit_breaker.note(call.now);
        }
        outcomes.unasked.get_or_insert(error.into());
    }

    /// Applies Clerk's response about one entity, or creates a placeholder if there is none.
    async fn bring(
        &self,
        entity: Option<&EntityId>,
        answer: Reply,
        stored: Option<Item>,
        call: &Call<'_>,
    ) -> Result<Brought, StoreError> {
        let Some(entity) = entity else { return Ok(Brought::default()) };
        let is_kept = self.mirror || matches!(entity, EntityId::Organization(_));
        let placeholder = || call.context.placeholder(entity, call.session);
        let next = match (answer, &stored) {
            (Reply::NotAsked, _) => return Ok(Brought { item: stored, ..Brought::default() }),
            // A stored row is deleted by its own event, or by reconcile.
            (Reply::Nothing, _) => return Ok(Brought::default()),
            (Reply::Found(found), _) if !is_kept => {
                return Ok(Brought { item: call.context.entity(*found), ..Brought::default() });
            }
            (Reply::Found(found), _) => decide::answered(*found, stored.as_ref(), &call.context),
            (Reply::Silent, Some(_)) => return Ok(Brought { item: stored, unsettled: true, ..Brought::default() }),
            (Reply::Silent, None) if !is_kept => {
                return Ok(Brought { item: Some(placeholder()), unsettled: true, ..Brought::default() });
            }
            (Reply::Silent, None) => decide::stand_in(placeholder()),
        };
        let is_new = stored.as_ref().is_none_or(Item::is_deleted);
        match self.applier.apply(entity, next, stored, &NO_EVIDENCE, &call.context, Some(call.until)).await {
            Ok(Applied { outcome, item, clerk_calls, .. }) => {
                let created = outcome == Outcome::Applied && is_new;
                Ok(Brought { item, created, clerk_calls, ..Brought::default() })
            }
            Err(NotApplied { error: ApplyError::Store(error), .. }) => Err(error),
            // A request to Clerk was necessary and failed: the stored row is used.
            Err(NotApplied { error, stored, clerk_calls, .. }) => {
                let unasked = if let ApplyError::Clerk(error) = error { Some(error) } else { None };
                Ok(Brought { item: stored, created: false, unsettled: true, clerk_calls, unasked })
            }
        }
    }

    /// Creates the missing records of live owners.
    async fn provision(&self, mut known: Known, call: &Call<'_>) -> Result<Result<Ensured, Refusal>, StoreError> {
        let Session { user, organization, .. } = call.session;
        let instance = &self.applier.instance;
        // The user first, whose record needs no other owner.
        let rules = PerKind {
            user: Some(if self.mirror { OwnerState::Lives } else { OwnerState::HasNotEnded }),
            organization: Some(OwnerState::Lives),
            membership: self.mirror.then_some(OwnerState::Lives),
        };
        let owners = call.caller.as_ref().zip(rules).into_array().into_iter();
        let owners: Vec<_> =
            owners.filter_map(|(entity, rule)| Some((entity.as_ref()?.key(instance), rule?))).collect();

        if known.profile.is_none() {
            let record = Profile::of_user(instance, user, &self.defaults, call.now);
            match self.stores.profiles.create(record, &owners[..1]).await? {
                Provisioned::Stored { profile, created } => {
                    known.profile = Some(profile);
                    known.created.extend(created.then_some("profile"));
                }
                Provisioned::Ended(_) => return Ok(Err(Refusal::Deleted)),
                Provisioned::Ownerless => known.unsettled = true,
            }
        }
        if let (Some(active), true, None) = (organization, known.copies.membership.is_some(), &known.membership_profile)
        {
            let record = Profile::of_membership(instance, user, &active.id, &self.defaults, call.now);
            match self.stores.profiles.create(record, &owners).await? {
                Provisioned::Stored { profile, created } => {
                    known.membership_profile = Some(profile);
                    known.created.extend(created.then_some("membership_profile"));
                }
                Provisioned::Ended(0) => return Ok(Err(Refusal::Deleted)),
                Provisioned::Ended(1) => known.copies.organization = None,
                Provisioned::Ended(_) => known.copies.membership = None,
                Provisioned::Ownerless => known.unsettled = true,
            }
        }
        Ok(known.honouring_tombstones().answer(call.session, &self.applier.roles))
    }

    /// The stored rows, without requests to Clerk and without writes.
    fn verify(&self, session: &Session, stored: Stored) -> Outcomes {
        let missing = |item: &Option<Item>| item.as_ref().is_none_or(Item::is_placeholder);
        let has_ended = stored.copies.organization.as_ref().is_some_and(Item::is_deleted);
        let organization_missed = session.organization.is_some()
            && !has_ended
            && (missing(&stored.copies.organization) || missing(&stored.copies.membership));
        let Stored { copies, profile, membership_profile } = stored;
        let known = Known { copies, profile, membership_profile, unsettled: organization_missed, ..Known::default() };
        let answer = known.honouring_tombstones().answer(session, &self.applier.roles);
        Outcomes { organization_missed, ..Outcomes::at_once(answer) }
    }
}

/// The response for an entity while Clerk cannot be asked.
fn silent(wanted: bool) -> Reply {
    if wanted { Reply::Silent } else { Reply::NotAsked }
}

/// The responses if Clerk was asked a moment ago: what it did not have is still missing, and stored rows are new
/// enough.
fn earlier_answers(wanted: PerKind<bool>, missing: PerKind<bool>, earlier: &Earlier) -> PerKind<Reply> {
    wanted.zip(missing).zip(earlier.unknown).map(|((wanted, missing), unknown)| match (wanted, missing, unknown) {
        (true, true, true) => Reply::Nothing,
        (true, true, false) => Reply::Silent,
        _ => Reply::NotAsked,
    })
}

fn lives(brought: &Brought) -> bool {
    brought.item.as_ref().is_some_and(|item| !item.is_deleted())
}
