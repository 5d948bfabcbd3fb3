//! What becomes of items in doubt: memberships end with their parents, whoever Clerk still has is brought up to date,
//! and whoever is proven to be gone ends, unless that would be so many that an operator must look first.

use std::collections::HashSet;

use futures_util::{StreamExt, stream};

use super::{ReconcileError, SAID, Walk, concerns_one};
use crate::adapters::clerk_lists::{MOST_IDS, Row};
use crate::adapters::dynamo_directory::PutUnder;
use crate::adapters::dynamo_survey::Rows;
use crate::core::clerk::Entity;
use crate::core::decide::{self, Next};
use crate::core::id::{EntityId, Key, Kind, UserId};
use crate::core::item::{Item, Writer};
use crate::core::projection::Context;
use crate::core::reconcile::absence::{Doubt, is_too_many};
use crate::core::reconcile::presence::is_settled;
use crate::core::reconcile::run::{Mode, Phase};
use crate::core::rule::{Guard, Outcome};
use crate::core::tombstone::{Deletion, DeletionPolicy};

/// Items in doubt that are looked at together: with the witness as many as Clerk may be asked about.
const TOGETHER: usize = MOST_IDS - 1;
/// Proofs at once. The pace decides how fast they go.
const PROOFS_AT_ONCE: usize = 4;
/// Proofs between two renewals of the lease.
const PROOFS_A_BEAT: usize = 40;
/// Attempts at ending a membership whose item, or whose parent, is changing.
const MOST_ATTEMPTS: usize = 4;

/// Absences of one kind.
#[derive(Default)]
struct Absences {
    /// Those that will be proven, each with what was stored before.
    open: Vec<(EntityId, Item)>,
    /// Those that will not: there are too many.
    held: u64,
}

impl Walk<'_> {
    /// All that is in doubt of one kind.
    pub(super) async fn settle(&mut self, kind: Kind) -> Result<(), ReconcileError> {
        let mut absences = Absences::default();
        let mut from = None;
        loop {
            let (doubts, next) = self.reconciler.runs.doubts(&self.run.run, kind, from).await?;
            for doubts in doubts.chunks(TOGETHER) {
                if self.is_out_of_time() {
                    // From the start again next time: half of the absences must not pass for all of them.
                    return Ok(());
                }
                self.sift(kind, doubts, &mut absences).await?;
                self.beat().await?;
            }
            from = next;
            if from.is_none() {
                break;
            }
        }
        self.run.tally.of_mut(kind).held = absences.held;
        if absences.held > 0 {
            tracing::warn!(kind = kind.name(), held = absences.held, "so many absences wait for an operator");
        }
        let mut open = absences.open;
        while !open.is_empty() {
            if self.is_out_of_time() {
                return Ok(());
            }
            let rest = open.split_off(open.len().min(PROOFS_A_BEAT));
            self.prove(kind, std::mem::replace(&mut open, rest)).await?;
            self.beat().await?;
        }
        match kind {
            Kind::User => self.run.next = Phase::Settle { kind: Kind::Organization },
            Kind::Organization => self.run.next = Phase::Settle { kind: Kind::Membership },
            Kind::Membership => self.run.finish(self.reconciler.mirror, (self.reconciler.clock)()),
        }
        Ok(())
    }

    /// Looks at items in doubt as they are now: ends memberships whose parents have ended, and adds to the absences those
    /// that Clerk, asked about them by name, does not show either.
    async fn sift(&mut self, kind: Kind, doubts: &[Doubt], absences: &mut Absences) -> Result<(), ReconcileError> {
        let instance = &self.reconciler.applier.instance;
        let keys: Vec<Key> = doubts.iter().map(|doubt| doubt.entity.key(instance)).collect();
        let mut stored = self.read(&keys).await?;
        let mut live = Vec::new();
        for (doubt, key) in doubts.iter().zip(&keys) {
            let item = stored.items.remove(key).filter(|item| !item.is_deleted());
            live.extend(item.map(|item| (doubt, item)));
        }
        if kind == Kind::Membership {
            live = self.end_with_parents(live).await?;
        }
        let start = self.run.started_at;
        let is_absent = |doubt: &Doubt, item: &Item| doubt.absent && is_settled(item, start);
        let mut absent: Vec<(EntityId, Item)> = live
            .into_iter()
            .filter(|(doubt, item)| is_absent(doubt, item))
            .map(|(doubt, item)| (doubt.entity.clone(), item))
            .collect();
        if absent.is_empty() || !self.run.is_complete(kind) {
            return Ok(());
        }
        let is_held = |walk: &Self| absences.held > 0 || walk.run.is_held();
        if !is_held(self) && kind == Kind::User {
            absent = self.screen(absent).await?;
        }
        let seen = self.run.listings.of(kind).seen;
        let many = u64::try_from(absences.open.len() + absent.len()).unwrap_or(u64::MAX);
        if is_held(self) || (!self.run.approved && is_too_many(many, seen)) {
            absences.held += many;
            absences.open.clear();
        } else {
            absences.open.append(&mut absent);
        }
        Ok(())
    }

    async fn read(&mut self, keys: &[Key]) -> Result<Rows, ReconcileError> {
        let rows = self.reconciler.survey.read(keys).await?;
        self.run.cost.read_units += rows.units;
        Ok(rows)
    }

    /// Ends those memberships whose user or organization has ended, and gives back the others.
    async fn end_with_parents<'d>(
        &mut self,
        live: Vec<(&'d Doubt, Item)>,
    ) -> Result<Vec<(&'d Doubt, Item)>, ReconcileError> {
        let instance = &self.reconciler.applier.instance;
        let parents: HashSet<Key> =
            live.iter().flat_map(|(doubt, _)| doubt.entity.parents()).map(|parent| parent.key(instance)).collect();
        let parents = self.read(&parents.into_iter().collect::<Vec<_>>()).await?;
        let mut others = Vec::new();
        for (doubt, item) in live {
            let ended = doubt
                .entity
                .parents()
                .into_iter()
                .find_map(|parent| parents.items.get(&parent.key(instance)).filter(|parent| parent.is_deleted()));
            let condemned = doubt.entity.parents().iter().any(|parent| self.condemned.contains(parent));
            match ended {
                Some(parent) => self.end_with(&doubt.entity, item, parent.clone()).await?,
                None if condemned => self.run.tally.membership.drift.orphaned += 1,
                None => others.push((doubt, item)),
            }
        }
        Ok(others)
    }

    /// Ends a membership because its parent has ended.
    async fn end_with(&mut self, entity: &EntityId, item: Item, parent: Item) -> Result<(), ReconcileError> {
        self.run.tally.membership.drift.orphaned += 1;
        if !self.writes() {
            return Ok(());
        }
        let reconciler = self.reconciler;
        let provenance = reconciler.provenance(Writer::Cascade);
        let context = Context { instance: &reconciler.applier.instance, provenance: &provenance };
        let (mut item, mut parent) = (Some(item), Some(parent));
        for _ in 0..MOST_ATTEMPTS {
            let Some((stored, ended)) =
                item.zip(parent).filter(|(item, parent)| !item.is_deleted() && parent.is_deleted())
            else {
                return Ok(());
            };
            let deletion = Deletion {
                entity: entity.clone(),
                membership_id: stored.membership_id(),
                generation: stored.rank.generation,
                at: ended.rank.version,
            };
            let tombstone = deletion.tombstone(reconciler.deletion, Some(&stored), &context);
            let guard = match reconciler.deletion {
                // It keeps what was read, so that must still be what it replaces.
                DeletionPolicy::Retain => Guard::Exactly(stored.rank, stored.digest.clone()),
                DeletionPolicy::Redact | DeletionPolicy::Purge => Guard::Newer,
            };
            match reconciler.applier.directory.put_under(&tombstone, &guard, &ended).await? {
                PutUnder::Applied { units } => {
                    self.run.cost.write_units += units;
                    self.run.tally.membership.ended += 1;
                    tracing::info!(id = %entity, rank = %tombstone.rank, "a membership has ended with its parent");
                    return Ok(());
                }
                PutUnder::Refused => {
                    let mut now = self.read(&[stored.key.clone(), ended.key.clone()]).await?;
                    (item, parent) = (now.items.remove(&stored.key), now.items.remove(&ended.key));
                }
            }
        }
        // Somebody is busy with it. The next run looks again.
        self.run.tally.membership.drift.unproven += 1;
        Ok(())
    }

    /// Asks Clerk about absent users by their ids, all at once, and brings those that it still has up to date. One who is
    /// known to live is asked about as well: if not even that one comes back, the answer is worth nothing.
    async fn screen(&mut self, absent: Vec<(EntityId, Item)>) -> Result<Vec<(EntityId, Item)>, ReconcileError> {
        let Some(witness) = self.run.witness.clone() else {
            // Nobody lives who could. Each is proven by itself anyway.
            return Ok(absent);
        };
        let ids = absent.iter().filter_map(|(entity, _)| match entity {
            EntityId::User(user) => Some(user),
            EntityId::Organization(_) | EntityId::Membership { .. } => None,
        });
        let ids: Vec<&UserId> = ids.chain([&witness]).collect();
        let page = self.reconciler.applier.clerk.users_among(&ids).await?;
        let mut found: Vec<(EntityId, Option<Entity>)> = Vec::new();
        for row in page.rows {
            match row {
                Row::Read(entity) => found.push((entity.id(), Some(*entity))),
                Row::Unreadable(Some(entity)) => found.push((entity, None)),
                Row::Unreadable(None) => {}
            }
        }
        if !found.iter().any(|(entity, _)| *entity == EntityId::User(witness.clone())) {
            tracing::warn!(users = absent.len(), "Clerk does not even show a user who is known to live");
            self.run.tally.user.drift.unproven += u64::try_from(absent.len()).unwrap_or(u64::MAX);
            return Ok(Vec::new());
        }
        let mut still_absent = Vec::new();
        for (id, stored) in absent {
            match found.iter().position(|(entity, _)| *entity == id).map(|at| found.swap_remove(at).1) {
                None => still_absent.push((id, stored)),
                Some(entity) => self.bring_up_to_date(&id, entity, stored).await?,
            }
        }
        Ok(still_absent)
    }

    /// Applies what Clerk says of somebody who was not listed, but lives.
    async fn bring_up_to_date(
        &mut self,
        id: &EntityId,
        entity: Option<Entity>,
        stored: Item,
    ) -> Result<(), ReconcileError> {
        let tally = self.run.tally.of_mut(id.kind());
        let Some(entity) = entity else {
            tally.drift.unreadable += 1;
            return Ok(());
        };
        let reconciler = self.reconciler;
        let provenance = reconciler.provenance(Writer::Reconcile);
        let context = Context { instance: &reconciler.applier.instance, provenance: &provenance };
        let next = decide::fetched(Some(entity), Some(&stored), &SAID, &context);
        let Next::Again(_) = &next else {
            tally.unchanged += 1;
            return Ok(());
        };
        tally.drift.outdated += 1;
        if self.writes() {
            let applied = reconciler.applier.apply(id, next, Some(stored), &SAID, &context, None).await;
            let outcome = self.settled(id.kind(), applied)?;
            self.run.tally.of_mut(id.kind()).updated += u64::from(outcome == Some(Outcome::Applied));
        }
        Ok(())
    }

    /// Asks Clerk about each by itself, and ends whoever it does not have.
    async fn prove(&mut self, kind: Kind, absent: Vec<(EntityId, Item)>) -> Result<(), ReconcileError> {
        let clerk = &self.reconciler.applier.clerk;
        let ask = async |(id, stored): (EntityId, Item)| (clerk.fetch(&id).await, id, stored);
        let mut proofs = stream::iter(absent.into_iter().map(ask)).buffer_unordered(PROOFS_AT_ONCE);
        while let Some((answer, id, stored)) = proofs.next().await {
            match answer {
                Ok(Some(entity)) => self.bring_up_to_date(&id, Some(entity), stored).await?,
                Ok(None) => self.end(id, stored).await?,
                Err(error) if concerns_one(&error) => {
                    tracing::warn!(kind = kind.name(), id = %id, %error, "Clerk gives no proof");
                    self.run.tally.of_mut(kind).drift.unproven += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Ends somebody whom Clerk does not have.
    async fn end(&mut self, id: EntityId, stored: Item) -> Result<(), ReconcileError> {
        let kind = id.kind();
        self.run.tally.of_mut(kind).drift.absent += 1;
        if self.run.mode == Mode::Report {
            self.condemned.insert(id);
            return Ok(());
        }
        let reconciler = self.reconciler;
        let provenance = reconciler.provenance(Writer::Reconcile);
        let context = Context { instance: &reconciler.applier.instance, provenance: &provenance };
        // The generation is the one that was stored before Clerk was asked: a membership that has come back since is
        // another one.
        let deletion = Deletion {
            entity: id.clone(),
            membership_id: stored.membership_id(),
            generation: stored.rank.generation,
            at: self.run.started_at,
        };
        let write = decide::tombstone(deletion, reconciler.deletion, &context);
        let rank = write.item.rank;
        let next = Next::Again(Box::new(write));
        let applied = reconciler.applier.apply(&id, next, Some(stored), &SAID, &context, None).await;
        if self.settled(kind, applied)? == Some(Outcome::Applied) {
            self.run.tally.of_mut(kind).deleted += 1;
            tracing::info!(kind = kind.name(), id = %id, %rank, "it has ended: Clerk does not have it any more");
        }
        Ok(())
    }
}
