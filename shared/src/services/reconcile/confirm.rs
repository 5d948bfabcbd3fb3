//! Confirms absence candidates and deletes the confirmed ones: memberships of deleted parents are deleted, entities
//! that Clerk still has are updated, and confirmed absences are deleted, unless they are so many that an operator must
//! approve them.

use std::collections::HashSet;

use futures_util::{StreamExt, stream};

use super::{NO_EVIDENCE, ReconcileError, RunExecutor, count};
use crate::adapters::clerk::lists::{ClerkRow, MAX_IDS};
use crate::adapters::dynamo::directory::scan::Rows;
use crate::adapters::dynamo::operations::runs::CandidatePage;
use crate::core::clerk::objects::Entity;
use crate::core::controls::{Invariant, guards};
use crate::core::explain::reason::Reason;
use crate::core::id::{EntityId, Key, Kind, UserId};
use crate::core::mirror::decide;
use crate::core::mirror::decide::Next;
use crate::core::mirror::item::{Item, Writer};
use crate::core::mirror::projection::Context;
use crate::core::mirror::rule::Outcome;
use crate::core::mirror::tombstone::Deletion;
use crate::core::reconcile::absence::Candidate;
use crate::core::reconcile::difference::Difference;
use crate::core::reconcile::phase::Phase;
use crate::core::reconcile::presence::{Presence, is_settled};
use crate::core::reconcile::run::Run;
use crate::services::deletion::cascade::One;

/// Absence candidates that are checked in one request: with two control users as many as one request may name.
pub(super) const TOGETHER: usize = MAX_IDS - 2;
/// Absences that are confirmed in one step: so few that it ends in time even at the lowest rate.
const PROVEN_TOGETHER: usize = 20;
/// Maximum number of concurrent confirmations. The rate limiter decides how fast they are.
const PROOFS_AT_ONCE: usize = 4;

impl RunExecutor<'_> {
    /// Screens a page of absence candidates: deletes memberships of deleted parents, and adds to the absences those
    /// entities that Clerk does not return by their ids either.
    pub(super) async fn screen(&mut self, kind: Kind, after: Option<&Key>) -> Result<(), ReconcileError> {
        let page =
            self.reconciler.stores.operations.candidates(&self.run.run, kind, CandidatePage::Found, after).await?;
        let Some((place, candidates)) = page else {
            let pending_approval = self.run.tally.get(kind).pending_approval;
            if pending_approval > 0 {
                tracing::warn!(
                    entity = kind.name(),
                    pending_approval,
                    "too many absences: the deletions are pending approval; see `rollcall status`"
                );
            }
            self.run.next = self.run.after_screening(kind);
            return Ok(());
        };
        self.run.next = Phase::Screen { kind, after: Some(place) };
        let mut live = self.still_live(&candidates).await?;
        if kind == Kind::Membership {
            live = self.end_with_parents(live).await?;
        }
        let start = self.run.started_at;
        let mut absent: Vec<(&Candidate, Item)> =
            live.into_iter().filter(|(candidate, item)| candidate.absent && is_settled(item, start)).collect();
        if !self.run.is_complete(kind) {
            return Ok(());
        }
        let was_pending = self.run.must_be_approved(kind);
        if kind == Kind::User && !was_pending {
            absent = self.screen_by_list(absent).await?;
        }
        *self.run.absent.get_mut(kind) += count(absent.len());
        if self.run.must_be_approved(kind) {
            // All of them, with those of earlier pages.
            self.run.tally.get_mut(kind).pending_approval = *self.run.absent.get(kind);
        } else {
            let absent: Vec<Candidate> = absent.into_iter().map(|(candidate, _)| candidate.clone()).collect();
            for absent in absent.chunks(PROVEN_TOGETHER) {
                self.save_page(kind, self.absences(), absent).await?;
            }
        }
        Ok(())
    }

    /// Confirms a page of absences: asks Clerk about each, and deletes those that Clerk does not have.
    pub(super) async fn confirm(&mut self, kind: Kind, after: Option<&Key>) -> Result<(), ReconcileError> {
        let page = self.reconciler.stores.operations.candidates(&self.run.run, kind, self.absences(), after).await?;
        let Some((place, absences)) = page else {
            self.run.next = Run::after_confirmation(kind);
            return Ok(());
        };
        self.run.next = Phase::Confirm { kind, after: Some(place) };
        let start = self.run.started_at;
        // Read before Clerk is asked: a later write is another state or generation, and makes the deletion fail.
        let live = self.still_live(&absences).await?;
        let clerk = &self.reconciler.applier.clerk;
        let asked = live.into_iter().filter(|(_, item)| is_settled(item, start));
        let asked: Vec<(EntityId, Item)> = asked.map(|(candidate, item)| (candidate.entity.clone(), item)).collect();
        let ask = async |(id, stored): (EntityId, Item)| {
            let answer = if guards(Invariant::I4) { clerk.fetch(&id).await } else { Ok(None) };
            (answer, id, stored)
        };
        let mut proofs = stream::iter(asked.into_iter().map(ask)).buffer_unordered(PROOFS_AT_ONCE);
        let (mut answers, mut proven) = (Vec::new(), Vec::new());
        while let Some(answered) = proofs.next().await {
            answers.push(answered);
        }
        drop(proofs);
        if answers.iter().any(|(answer, ..)| answer.is_ok()) {
            // Another instance would have none of them.
            clerk.prove().await?;
        }
        for (answer, id, stored) in answers {
            match answer {
                Ok(Some(entity)) => self.bring_up_to_date(&id, Some(entity), stored).await?,
                Ok(None) => {
                    self.end(&id, stored).await?;
                    proven.push(Candidate { entity: id, absent: true });
                }
                Err(error) if error.concerns_one() => {
                    let reason = Reason::Unconfirmed.name();
                    tracing::warn!(entity = kind.name(), id = %id, reason, %error, "the absence cannot be confirmed");
                    self.tell(&id, Difference::Unproven);
                    self.run.tally.get_mut(kind).drift.unproven += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        if !self.writes() && !proven.is_empty() {
            // No tombstone is written by which their memberships could be found.
            self.save_page(kind, CandidatePage::Proven, &proven).await?;
        }
        Ok(())
    }

    /// The users and organizations that this run would have deleted, if it wrote.
    async fn would_delete(&mut self) -> Result<&HashSet<EntityId>, ReconcileError> {
        if self.would_delete.is_none() {
            let mut would_delete = HashSet::new();
            for kind in [Kind::User, Kind::Organization].into_iter().filter(|_| !self.writes()) {
                let mut after = None;
                while let Some((place, candidates)) = self
                    .reconciler
                    .stores
                    .operations
                    .candidates(&self.run.run, kind, CandidatePage::Proven, after.as_ref())
                    .await?
                {
                    would_delete.extend(candidates.into_iter().map(|candidate| candidate.entity));
                    after = Some(place);
                }
            }
            self.would_delete = Some(would_delete);
        }
        Ok(self.would_delete.get_or_insert_default())
    }

    pub(super) async fn save_page(
        &mut self,
        kind: Kind,
        page: CandidatePage,
        candidates: &[Candidate],
    ) -> Result<(), ReconcileError> {
        self.run.cost.write_units +=
            self.reconciler.stores.operations.save_candidates(&self.run, kind, page, candidates).await?;
        match page {
            CandidatePage::Unlinked => self.run.unlinked_pages += 1,
            _ => self.run.pages += 1,
        }
        Ok(())
    }

    /// Those absence candidates that are still live, as they are stored now.
    async fn still_live<'c>(
        &mut self,
        candidates: &'c [Candidate],
    ) -> Result<Vec<(&'c Candidate, Item)>, ReconcileError> {
        let instance = &self.reconciler.applier.instance;
        let keys: Vec<Key> = candidates.iter().map(|candidate| candidate.entity.key(instance)).collect();
        let mut stored = self.read(&keys).await?;
        let live = candidates.iter().zip(&keys).filter_map(|(candidate, key)| {
            let item = stored.items.remove(key).filter(|item| !item.is_deleted())?;
            Some((candidate, item))
        });
        Ok(live.collect())
    }

    async fn read(&mut self, keys: &[Key]) -> Result<Rows, ReconcileError> {
        let rows = self.reconciler.stores.directory.read(keys).await?;
        self.run.cost.read_units += rows.units;
        Ok(rows)
    }

    /// Deletes the memberships whose user or organization is deleted, and returns the others.
    async fn end_with_parents<'c>(
        &mut self,
        live: Vec<(&'c Candidate, Item)>,
    ) -> Result<Vec<(&'c Candidate, Item)>, ReconcileError> {
        let instance = &self.reconciler.applier.instance;
        let parents: HashSet<Key> = live
            .iter()
            .flat_map(|(candidate, _)| candidate.entity.parents())
            .map(|parent| parent.key(instance))
            .collect();
        let parents = self.read(&parents.into_iter().collect::<Vec<_>>()).await?;
        let mut others = Vec::new();
        for (candidate, item) in live {
            let ended = candidate
                .entity
                .parents()
                .into_iter()
                .find_map(|parent| parents.items.get(&parent.key(instance)).filter(|parent| parent.is_deleted()));
            let would_delete = self.would_delete().await?;
            let would_delete = candidate.entity.parents().iter().any(|parent| would_delete.contains(parent));
            match ended {
                Some(parent) => self.end_with(&candidate.entity, item, parent.clone()).await?,
                None if would_delete => {
                    self.tell(&candidate.entity, Difference::Orphaned);
                    self.run.tally.membership.drift.orphaned += 1;
                }
                None => others.push((candidate, item)),
            }
        }
        Ok(others)
    }

    /// Deletes a membership because its parent is deleted.
    async fn end_with(&mut self, entity: &EntityId, item: Item, parent: Item) -> Result<(), ReconcileError> {
        self.tell(entity, Difference::Orphaned);
        self.run.tally.membership.drift.orphaned += 1;
        if !self.writes() {
            return Ok(());
        }
        match self.reconciler.deletions.cascade.end(item, parent).await? {
            One::Ended { rank, units } => {
                self.run.cost.write_units += units;
                self.run.tally.membership.cascade_deleted += 1;
                tracing::info!(id = %entity, %rank, "the membership of a deleted user or organization was deleted");
            }
            One::Nothing => {}
            // Another writer is changing it. The next run checks it again.
            One::Busy => {
                let drift = &mut self.run.tally.membership.drift;
                (drift.orphaned, drift.unproven) = (drift.orphaned.saturating_sub(1), drift.unproven + 1);
            }
        }
        Ok(())
    }

    /// Asks Clerk about absent users by their ids in one request, and updates those that it still has. The request also
    /// names two control users: if Clerk returns neither, its response is not used.
    async fn screen_by_list<'c>(
        &mut self,
        absent: Vec<(&'c Candidate, Item)>,
    ) -> Result<Vec<(&'c Candidate, Item)>, ReconcileError> {
        if absent.is_empty() {
            return Ok(absent);
        }
        let control_users = self.run.control_users.clone();
        if control_users.is_empty() {
            // No live user can be a control user. Each absence is confirmed separately anyway.
            return Ok(absent);
        }
        let ids = absent.iter().filter_map(|(candidate, _)| match &candidate.entity {
            EntityId::User(user) => Some(user),
            EntityId::Organization(_) | EntityId::Membership { .. } => None,
        });
        let ids: Vec<&UserId> = ids.chain(&control_users).collect();
        let page = self.reconciler.applier.clerk.users_among(&ids).await?;
        let mut found: Vec<(EntityId, Option<Entity>)> = Vec::new();
        for row in page.rows {
            match row {
                ClerkRow::Read(entity) => found.push((entity.id(), Some(*entity))),
                ClerkRow::Unreadable(Some(entity)) => found.push((entity, None)),
                ClerkRow::Unreadable(None) => {}
            }
        }
        let is_control_user = |entity: &EntityId| match entity {
            EntityId::User(user) => control_users.contains(user),
            EntityId::Organization(_) | EntityId::Membership { .. } => false,
        };
        let (known, others): (Vec<_>, Vec<_>) = found.iter().partition(|(entity, _)| is_control_user(entity));
        if known.is_empty() || !others.is_empty() {
            self.reconciler.applier.clerk.prove().await?;
        }
        if known.is_empty() {
            tracing::warn!(
                users = absent.len(),
                "Clerk's response lacks the control users; the absence of these users was not confirmed"
            );
            absent.iter().for_each(|(candidate, _)| self.tell(&candidate.entity, Difference::Unproven));
            self.run.tally.user.drift.unproven += count(absent.len());
            return Ok(Vec::new());
        }
        let mut still_absent = Vec::new();
        for (candidate, stored) in absent {
            match found.iter().position(|(entity, _)| *entity == candidate.entity).map(|at| found.swap_remove(at).1) {
                None => still_absent.push((candidate, stored)),
                Some(entity) => self.bring_up_to_date(&candidate.entity, entity, stored).await?,
            }
        }
        Ok(still_absent)
    }

    /// Applies Clerk's state of an entity that was not listed, but exists.
    async fn bring_up_to_date(
        &mut self,
        id: &EntityId,
        entity: Option<Entity>,
        stored: Item,
    ) -> Result<(), ReconcileError> {
        let Some(entity) = entity else {
            self.tell(id, Difference::Unreadable);
            self.run.tally.get_mut(id.kind()).drift.unreadable += 1;
            return Ok(());
        };
        let reconciler = self.reconciler;
        let provenance = reconciler.provenance(Writer::Reconcile);
        let context = Context {
            instance: &reconciler.applier.instance,
            roles: &reconciler.applier.roles,
            provenance: &provenance,
        };
        let next = decide::fetched(Some(entity), Some(&stored), &NO_EVIDENCE, &context);
        let Next::Again(_) = &next else {
            self.run.tally.get_mut(id.kind()).unchanged += 1;
            return Ok(());
        };
        self.tell(id, Difference::Outdated);
        self.run.tally.get_mut(id.kind()).drift.outdated += 1;
        if self.writes() {
            let applied = reconciler.applier.apply(id, next, Some(stored), &NO_EVIDENCE, &context, None).await;
            let outcome = self.outcome_of(id, applied)?;
            let tally = self.run.tally.get_mut(id.kind());
            tally.updated += u64::from(outcome == Some(Outcome::Applied));
            if outcome.is_none() {
                tally.take_back(Presence::Outdated);
            }
        }
        Ok(())
    }

    /// Deletes an entity that Clerk does not have.
    async fn end(&mut self, id: &EntityId, stored: Item) -> Result<(), ReconcileError> {
        let kind = id.kind();
        self.tell(id, Difference::Absent);
        self.run.tally.get_mut(kind).drift.absent += 1;
        if !self.writes() {
            return Ok(());
        }
        let reconciler = self.reconciler;
        let provenance = reconciler.provenance(Writer::Reconcile);
        let context = Context {
            instance: &reconciler.applier.instance,
            roles: &reconciler.applier.roles,
            provenance: &provenance,
        };
        // The generation of the row that was stored before Clerk was asked: a membership that was created since is
        // another one.
        let deletion = Deletion {
            entity: id.clone(),
            membership_id: stored.membership_id(),
            generation: stored.rank.generation,
            at: self.run.started_at,
        };
        let write = decide::tombstone(deletion, reconciler.deletions.cascade.deletion, &context);
        let rank = write.item.rank;
        let next = Next::Again(Box::new(write));
        let applied = reconciler.applier.apply(id, next, Some(stored), &NO_EVIDENCE, &context, None).await;
        match self.outcome_of(id, applied)? {
            Some(Outcome::Applied) => {
                self.run.tally.get_mut(kind).deleted += 1;
                tracing::info!(
                    entity = kind.name(),
                    id = %id,
                    %rank,
                    "an entity that does not exist in Clerk was deleted"
                );
            }
            Some(_) => {}
            None => {
                let drift = &mut self.run.tally.get_mut(kind).drift;
                drift.absent = drift.absent.saturating_sub(1);
            }
        }
        Ok(())
    }
}
