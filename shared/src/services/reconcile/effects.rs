//! Completes pending effects. A stream keeps its records for a day, and Lambda drops those that fail too often. The
//! Directory shows which effects are missing, and reconcile does the same steps as react.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{ReconcileError, RunExecutor, count};
use crate::adapters::clerk::error::ClerkError;
use crate::adapters::dynamo::operations::runs::CandidatePage;
use crate::adapters::lambda::metrics;
use crate::core::explain::reason::Reason;
use crate::core::id::{EntityId, Key, Kind, UserId};
use crate::core::mirror::item::Item;
use crate::core::reconcile::absence::Candidate;
use crate::core::reconcile::phase::Phase;
use crate::core::reconcile::run::Mode;
use crate::core::write_back;
use crate::services::deletion::Own;
use crate::services::deletion::cascade::Remaining;
use crate::services::deletion::purge::PurgeError;
use crate::services::write_back as linking;

/// Write-backs of one step: so few that it ends in time even at the lowest rate.
const LINKED_TOGETHER: usize = 10;
/// Write-backs of one scheduled run. Two requests each, at a fifth of a production instance's rate limit: a quarter of
/// an hour.
pub const MAX_LINKS: u64 = 10_000;
/// Attempts at a write-back. Before each, the user is read again.
const MAX_ATTEMPTS: usize = 3;
/// Number of consecutive users for whom Clerk fails, after which a run stops.
const MAX_FAILURES: u32 = 3;
/// The pause before another attempt.
const WAIT: Duration = Duration::from_millis(500);

impl RunExecutor<'_> {
    /// Completes the pending effects of a page of the Directory.
    pub(super) async fn complete_effects(&mut self, from: Option<&Key>) -> Result<(), ReconcileError> {
        let page = self.reconciler.stores.directory.scan_effects(from).await?;
        self.run.cost.read_units += page.units;
        // If only the webhook writes the Directory, deletions have no effects.
        if self.reconciler.policy == Mode::Repair {
            for tombstone in page.items.values().filter(|item| item.is_unfinished()) {
                if !self.finish(tombstone).await? {
                    // Out of time: the same page is repeated.
                    return Ok(());
                }
            }
            self.forget_late(&page.items).await?;
        }
        let is_kept = |item: &&Item| self.run.mirror || Kind::from_key(&item.key) == Some(Kind::Organization);
        let live: Vec<&Item> = page.items.values().filter(|item| !item.is_deleted()).filter(is_kept).collect();
        self.provision(&live).await?;
        self.collect_unlinked(&live).await?;
        self.run.next = match page.next {
            Some(from) => Phase::Effects { from: Some(from) },
            None if self.writes() && self.run.effects.links > 0 => Phase::WriteBack { after: None },
            None => Phase::Done,
        };
        Ok(())
    }

    /// Creates missing records.
    async fn provision(&mut self, live: &[&Item]) -> Result<(), ReconcileError> {
        let reconciler = self.reconciler;
        let (missing, units) = reconciler.provision.missing(live, false).await?;
        self.run.cost.read_units += units;
        if self.writes() {
            // Because of the eventually consistent read, some existed already.
            self.run.effects.profiles += reconciler.provision.create(missing).await?;
        } else {
            let (owed, units) = reconciler.provision.owed(missing, &reconciler.stores.directory).await?;
            self.run.cost.read_units += units;
            self.run.effects.profiles += count(owed.len());
        }
        Ok(())
    }

    /// Completes the effects of a deletion, unless the deadline is reached.
    async fn finish(&mut self, tombstone: &Item) -> Result<bool, ReconcileError> {
        let deletions = &self.reconciler.deletions;
        if !self.writes() {
            let waits = deletions.waits(tombstone);
            self.run.effects.waiting += u64::from(waits);
            self.run.effects.tombstones += u64::from(!waits);
            return Ok(true);
        }
        let followed = if deletions.waits(tombstone) {
            deletions.follow(tombstone, self.deadline).await
        } else {
            deletions.follow_at_once(tombstone, self.deadline).await
        };
        let followed = match followed {
            Ok(followed) => followed,
            Err(PurgeError::Store(error)) => return Err(error.into()),
            // A failure of one owned table, or of the backups, must not block all other effects.
            Err(error) => {
                deletions.failed(tombstone, &error).await;
                self.run.effects.tombstones += 1;
                self.run.effects.left += 1;
                return Ok(true);
            }
        };
        let finished = followed.cascade;
        if finished.left == Remaining::Deadline {
            return Ok(false);
        }
        self.run.cost.write_units += finished.units;
        self.run.tally.membership.cascade_deleted += finished.ended;
        let waits = matches!(followed.own, Own::Waits(_));
        self.run.effects.waiting += u64::from(waits);
        self.run.effects.purged += u64::from(matches!(followed.own, Own::Removed(_)));
        self.run.effects.tombstones += u64::from(!waits || finished.ended > 0);
        self.run.effects.left += u64::from(finished.left == Remaining::Memberships);
        self.beat().await?;
        Ok(true)
    }

    /// Removes Clerk's ids from the tombstones of memberships that were written after their user's tombstone was
    /// finished.
    async fn forget_late(&mut self, page: &BTreeMap<Key, Item>) -> Result<(), ReconcileError> {
        let cascade = &self.reconciler.deletions.cascade;
        if !self.writes() || self.reconciler.deletions.purger.is_none() {
            return Ok(());
        }
        let user = |key: &Key| Key { pk: key.pk.clone(), sk: "USER".to_owned() };
        let is_open = |(key, item): &(&Key, &Item)| {
            Kind::from_key(key) == Some(Kind::Membership) && item.is_deleted() && !item.is_finished()
        };
        let open: Vec<(&Key, &Item)> = page.iter().filter(is_open).collect();
        // Most are in the same page as their users: the rows of a partition are consecutive.
        let others: BTreeSet<Key> =
            open.iter().map(|(key, _)| user(key)).filter(|user| !page.contains_key(user)).collect();
        let others = self.reconciler.stores.directory.read(&others.into_iter().collect::<Vec<_>>()).await?;
        self.run.cost.read_units += others.units;
        for (key, item) in open {
            let user = user(key);
            if page.get(&user).or_else(|| others.items.get(&user)).is_some_and(|user| cascade.forgets(user)) {
                cascade.forget_late(item).await?;
            }
        }
        Ok(())
    }

    /// Saves the users whose metadata lack something, up to the limit of a run.
    async fn collect_unlinked(&mut self, live: &[&Item]) -> Result<(), ReconcileError> {
        if !self.reconciler.writes_back {
            return Ok(());
        }
        let mut unlinked = Vec::new();
        for item in live {
            let link = write_back::of_item(item);
            if link.conflicts {
                tracing::warn!(
                    pk = item.key.pk,
                    reason = Reason::WriteBackConflict.name(),
                    "the dbId in the user's metadata in Clerk is not the internal id; the metadata was not changed"
                );
                metrics::writeback_conflict();
                self.run.effects.conflicts += 1;
            }
            if !link.missing.is_empty()
                && let Some(entity @ EntityId::User(_)) = item.entity()
                && !self.is_not_listed(&entity)
            {
                unlinked.push(Candidate { entity, absent: false });
            }
        }
        let most = self.reconciler.max_links.unwrap_or(u64::MAX);
        let room = usize::try_from(most.saturating_sub(self.run.effects.links)).unwrap_or(usize::MAX);
        self.run.effects.links += count(unlinked.len());
        if !self.writes() {
            return Ok(());
        }
        self.run.effects.backlog += count(unlinked.len().saturating_sub(room));
        unlinked.truncate(room);
        for some in unlinked.chunks(LINKED_TOGETHER) {
            self.save_page(Kind::User, CandidatePage::Unlinked, some).await?;
        }
        Ok(())
    }

    /// Whether the complete list of users did not contain this user: then there is no user to write back to.
    fn is_not_listed(&mut self, user: &EntityId) -> bool {
        self.run.is_complete(Kind::User) && self.seen.user.get(self.run.run.as_str(), user).is_none()
    }

    /// Does a page of write-backs.
    pub(super) async fn link(&mut self, after: Option<&Key>) -> Result<(), ReconcileError> {
        let page = self
            .reconciler
            .stores
            .operations
            .candidates(&self.run.run, Kind::User, CandidatePage::Unlinked, after)
            .await?;
        // An earlier search of the same run may have saved more pages than the last one.
        let number = |place: &Key| place.sk.rsplit('#').next().and_then(|number| number.parse::<u64>().ok());
        let is_current = |place: &Key| number(place).is_some_and(|number| number < self.run.unlinked_pages);
        let Some((place, users)) = page.filter(|(place, _)| is_current(place)) else {
            self.run.next = Phase::Done;
            return Ok(());
        };
        let (mut left, mut linked, mut gone, mut failures) = (0, 0, 0, 0);
        for Candidate { entity, .. } in users {
            let EntityId::User(user) = entity else { continue };
            if self.is_out_of_time() {
                // The same page is repeated: users who are done lack nothing any more.
                return Ok(());
            }
            match self.link_one(&user).await {
                Ok(found) => {
                    failures = 0;
                    if found { linked += 1 } else { gone += 1 }
                }
                // Clerk may fail permanently for one user. After some failures in a row the problem is Clerk's.
                Err(error) => {
                    failures += u32::from(!error.concerns_one());
                    if failures == MAX_FAILURES || matches!(error, ClerkError::Unauthorized(_)) {
                        return Err(error.into());
                    }
                    let id = &user;
                    let reason = Reason::WriteBackFailed.name();
                    tracing::warn!(%id, reason, %error, "the write-back of dbId and role failed; the next run tries again");
                    left += 1;
                }
            }
            self.beat().await?;
        }
        let effects = &mut self.run.effects;
        effects.left += left;
        effects.linked += linked;
        // Nothing was written for them.
        (effects.gone, effects.links) = (effects.gone + gone, effects.links.saturating_sub(gone));
        self.run.next = Phase::WriteBack { after: Some(place) };
        Ok(())
    }

    /// Does the write-back for one user; not if Clerk does not have the user.
    async fn link_one(&self, user: &UserId) -> Result<bool, ClerkError> {
        let applier = &self.reconciler.applier;
        let mut attempts = 1;
        loop {
            match linking::link(&applier.clerk, &applier.instance, user).await {
                Ok(linked) => return Ok(linked.found),
                Err(ClerkError::Unavailable(_)) if attempts < MAX_ATTEMPTS => tokio::time::sleep(WAIT).await,
                Err(error) => return Err(error),
            }
            attempts += 1;
        }
    }
}
