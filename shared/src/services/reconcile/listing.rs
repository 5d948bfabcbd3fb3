//! Lists Clerk's entities and repairs drift page by page.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};

use super::{CONCURRENCY, NO_EVIDENCE, ReconcileError, RunExecutor, count};
use crate::adapters::clerk::error::ClerkError;
use crate::adapters::clerk::lists::{ClerkRow, PAGE, Page};
use crate::adapters::dynamo::operations::runs::CandidatePage;
use crate::core::clerk::objects::Entity;
use crate::core::controls::{Invariant, guards};
use crate::core::explain::reason::Reason;
use crate::core::id::{EntityId, Key, Kind};
use crate::core::millis::Millis;
use crate::core::mirror::decide;
use crate::core::mirror::decide::{Next, Write};
use crate::core::mirror::item::{Item, Writer};
use crate::core::mirror::projection::Context;
use crate::core::mirror::rule::Guard;
use crate::core::reconcile::absence::{Candidate, Listing};
use crate::core::reconcile::difference::Difference;
use crate::core::reconcile::listed::{Here, ListedSet};
use crate::core::reconcile::phase::{Cursor, Phase};
use crate::core::reconcile::plan::{Offered, Plan, plan};
use crate::core::reconcile::presence::Presence;
use crate::core::reconcile::tally::Drift;

impl RunExecutor<'_> {
    /// A page of users.
    pub(super) async fn list_users(
        &mut self,
        after: Option<Cursor>,
        since: Option<Millis>,
    ) -> Result<(), ReconcileError> {
        let clerk = &self.reconciler.applier.clerk;
        if after.is_none() && since.is_none() {
            self.run.listings.user = Listing { before: clerk.count_users().await?, ..Listing::default() };
        }
        let page = match clerk.users(after.as_ref(), since.map(Millis::get)).await {
            Err(ClerkError::Rejected(..) | ClerkError::Unreadable(404))
                if after.as_ref().is_some_and(|after| after.created_at.is_some()) =>
            {
                // The user of the cursor is deleted: continue from the time of that user's creation.
                self.run.next = Phase::Users { after: None, since: after.and_then(|after| after.created_at) };
                return Ok(());
            }
            page => page?,
        };
        let rows = page.rows.len();
        let last = last(&page);
        let again = async || clerk.users(after.as_ref(), since.map(Millis::get)).await;
        self.page(Kind::User, page, again).await?;
        let seen = count(self.seen.user.count());
        let listing = &mut self.run.listings.user;
        listing.seen = seen;
        let is_short = rows < PAGE;
        // A page may be short without being the last one: only Clerk's count, or an empty page, ends the list.
        if rows == 0 || seen >= listing.before {
            // For an empty list, Clerk need not be asked for the count again.
            let after = if rows == 0 && listing.before == 0 { 0 } else { clerk.count_users().await? };
            // After a full page there may be another one.
            if is_short || after <= seen {
                (listing.is_finished, listing.after) = (true, after);
                if rows == 0 {
                    self.unproven();
                }
                self.run.next = Phase::Listed { kind: Kind::Organization, offset: 0 };
                return Ok(());
            }
        }
        listing.short_pages += u64::from(is_short);
        let leads_on = |last: &Cursor| after.as_ref().is_none_or(|after| after.id != last.id);
        self.run.next = match last.filter(leads_on) {
            Some(last) => Phase::Users { after: Some(last), since },
            // A page without any id, or the same page again, gives no next page. The listing is then incomplete, and is
            // reported as such.
            None => Phase::Listed { kind: Kind::Organization, offset: 0 },
        };
        Ok(())
    }

    /// A page of organizations or memberships.
    pub(super) async fn list(&mut self, kind: Kind, offset: u64) -> Result<(), ReconcileError> {
        let clerk = &self.reconciler.applier.clerk;
        let page = match clerk.listed(kind, offset).await {
            Err(ClerkError::SwitchedOff) => {
                let off = Listing { is_off: true, ..Listing::default() };
                (self.run.listings.organization, self.run.listings.membership) = (off, off);
                self.unproven();
                self.run.next = Phase::Search { from: None };
                return Ok(());
            }
            page => page?,
        };
        let (rows, total) = (count(page.rows.len()), page.total.unwrap_or_default());
        self.page(kind, page, async || clerk.listed(kind, offset).await).await?;
        if rows == 0 {
            self.unproven();
        }
        let seen = count(self.seen.get_mut(kind).count());
        let listing = self.run.listings.get_mut(kind);
        if offset == 0 {
            (listing.before, listing.after) = (total, total);
        }
        // Entities that were deleted from earlier pages have moved the rest up by the same number. The total of such
        // steps back is limited by the length of the list: counts that go up and down for ever are not followed.
        let moved = listing.after.saturating_sub(total).min(listing.before.saturating_sub(listing.again));
        (listing.seen, listing.after, listing.again) = (seen, total, listing.again + moved);
        let next = (offset + rows).saturating_sub(moved);
        if rows == 0 || next >= total {
            listing.is_finished = true;
            self.run.next = self.after_list(kind);
        } else {
            listing.short_pages += u64::from(rows < count(PAGE));
            self.run.next = Phase::Listed { kind, offset: next };
        }
        Ok(())
    }

    /// Notes that this page was empty, and that it is not proven since that it came from this instance.
    fn unproven(&mut self) {
        let page = self.run.next.clone();
        self.run.unproven.get_or_insert(page);
    }

    fn after_list(&mut self, kind: Kind) -> Phase {
        if kind == Kind::Membership || !self.run.mirror {
            return Phase::Search { from: None };
        }
        let organizations = &self.run.listings.organization;
        if organizations.before == 0 && organizations.seen == 0 {
            // Without organizations there are no memberships. Stored ones are absence candidates all the same.
            self.run.listings.membership = Listing { is_finished: true, ..Listing::default() };
            return Phase::Search { from: None };
        }
        Phase::Listed { kind: Kind::Membership, offset: 0 }
    }

    /// Processes one page: plans it, applies the plan, and saves the listed entities.
    async fn page(
        &mut self,
        kind: Kind,
        page: Page,
        again: impl AsyncFnOnce() -> Result<Page, ClerkError>,
    ) -> Result<(), ReconcileError> {
        let Plan { writes, fetches, reports, entries, control_user, tally } = self.plan(kind, page.rows).await?;
        if tally.drift != Drift::default() {
            // Before the page is used. Rows that agree with the stored ones are proof enough.
            self.reconciler.applier.clerk.prove().await?;
        }
        *self.run.tally.get_mut(kind) = *self.run.tally.get(kind) + tally;
        if let Some(user) = control_user {
            self.run.control_user(user);
        }
        let conflicts = reports.iter().filter(|(_, found)| *found == Presence::Conflict);
        let conflicts = conflicts.map(|(entity, _)| Candidate { entity: entity.clone(), absent: false });
        let conflicts: Vec<Candidate> = conflicts.collect();
        if !conflicts.is_empty() {
            // For `rollcall undo --run`.
            self.save_page(kind, CandidatePage::Conflict, &conflicts).await?;
        }
        let written = writes.iter().map(|change| (&change.entity, change.found));
        let open = fetches.iter().map(|(entity, _)| (entity, Presence::Tied));
        let reported = reports.iter().map(|(entity, found)| (entity, *found));
        for (entity, found) in written.chain(open).chain(reported) {
            Difference::listed(found).into_iter().for_each(|difference| self.tell(entity, difference));
        }
        for (entity, found) in reports {
            let what = match found {
                Presence::Conflict => "the entity is deleted in the Directory and exists in Clerk",
                _ => "the Directory row is newer than Clerk's state",
            };
            let reason = Reason::of_row(found).map(Reason::name);
            tracing::warn!(entity = kind.name(), id = %entity, reason, "{what}");
        }
        if self.writes() {
            let writes = writes.into_iter().map(|change| {
                let write = Write::new(*change.item, Guard::Newer);
                (change.entity, change.found, Next::Again(Box::new(write)), change.stored)
            });
            self.apply(kind, writes.collect()).await?;
            if !fetches.is_empty() {
                // A second read of the page resolves all of its ties with one request: it is newer than the read of the
                // stored rows.
                let page = again().await?;
                self.reconciler.applier.clerk.prove().await?;
                let fetched = self.fetched(page, fetches);
                self.apply(kind, fetched).await?;
            }
        }
        if !entries.is_empty() {
            if guards(Invariant::I11) {
                self.run.cost.write_units +=
                    self.reconciler.stores.operations.save_listed(&self.run, kind, &entries).await?;
            }
            self.run.pages += 1;
            self.seen.get_mut(kind).extend(entries);
        }
        Ok(())
    }

    /// Plans a page by the stored rows.
    async fn plan(&mut self, kind: Kind, rows: Vec<ClerkRow>) -> Result<Plan, ReconcileError> {
        let reconciler = self.reconciler;
        let salt = self.run.run.as_str();
        let provenance = reconciler.provenance(Writer::Reconcile);
        let context = Context {
            instance: &reconciler.applier.instance,
            roles: &reconciler.applier.roles,
            provenance: &provenance,
        };
        let (mut offered, mut unreadable, mut nameless) = (Offered::new(), Vec::new(), 0);
        for row in rows {
            match row {
                ClerkRow::Read(entity) => {
                    let id = entity.id();
                    offered.insert(id.key(context.instance), (id, context.entity(*entity)));
                }
                ClerkRow::Unreadable(entity) => {
                    let id = entity.as_ref().map(ToString::to_string);
                    let reason = Reason::UnreadableInClerk.name();
                    tracing::error!(entity = kind.name(), id, reason, "an entry of Clerk's list cannot be read");
                    nameless += u64::from(entity.is_none());
                    unreadable.extend(entity);
                }
            }
        }
        let keys: Vec<Key> = offered.keys().cloned().collect();
        let stored = reconciler.stores.directory.compare(&keys).await?;
        self.run.cost.read_units += stored.units;
        self.run.listings.get_mut(kind).nameless += nameless;
        let left_alone = BTreeSet::from_iter(stored.unreadable);
        let mut plan = plan(offered, stored.items, &left_alone, self.run.started_at, salt);
        unreadable.iter().for_each(|entity| self.tell(entity, Difference::Unreadable));
        plan.tally.drift.unreadable += nameless + count(unreadable.len());
        plan.entries.extend(unreadable.iter().map(|entity| ListedSet::entry(salt, entity, Here::Live)));
        Ok(plan)
    }

    /// The entities of the second read of a page that were open after the first. Those that are not on it any more are
    /// fetched separately.
    fn fetched(
        &self,
        page: Page,
        open: Vec<(EntityId, Option<Item>)>,
    ) -> Vec<(EntityId, Presence, Next, Option<Item>)> {
        let provenance = self.reconciler.provenance(Writer::Reconcile);
        let context = Context {
            instance: &self.reconciler.applier.instance,
            roles: &self.reconciler.applier.roles,
            provenance: &provenance,
        };
        let mut found: BTreeMap<EntityId, Entity> = BTreeMap::new();
        for row in page.rows {
            if let ClerkRow::Read(entity) = row {
                found.insert(entity.id(), *entity);
            }
        }
        let settle = |(id, stored): (EntityId, Option<Item>)| {
            let next = match found.remove(&id) {
                Some(entity) if context.entity(entity.clone()).is_some() => {
                    decide::fetched(Some(entity), stored.as_ref(), &NO_EVIDENCE, &context)
                }
                _ => Next::Fetch,
            };
            (id, Presence::Tied, next, stored)
        };
        open.into_iter().map(settle).collect()
    }

    /// Applies the plan, many writes at once.
    async fn apply(
        &mut self,
        kind: Kind,
        planned: Vec<(EntityId, Presence, Next, Option<Item>)>,
    ) -> Result<(), ReconcileError> {
        let reconciler = self.reconciler;
        let provenance = reconciler.provenance(Writer::Reconcile);
        let context = Context {
            instance: &reconciler.applier.instance,
            roles: &reconciler.applier.roles,
            provenance: &provenance,
        };
        let apply = async |(entity, found, next, stored): (EntityId, Presence, Next, Option<Item>)| {
            let applied = reconciler.applier.apply(&entity, next, stored, &NO_EVIDENCE, &context, None).await;
            (entity, found, applied)
        };
        let mut applying = stream::iter(planned.into_iter().map(apply)).buffer_unordered(CONCURRENCY);
        while let Some((entity, found, applied)) = applying.next().await {
            match self.outcome_of(&entity, applied)? {
                Some(outcome) => self.run.tally.get_mut(kind).settle(found, outcome),
                // The reason why it was not repaired is counted instead.
                None => self.run.tally.get_mut(kind).take_back(found),
            }
        }
        Ok(())
    }
}

/// The position after the last user of a page with an id.
fn last(page: &Page) -> Option<Cursor> {
    page.rows.iter().rev().find_map(|row| match row {
        ClerkRow::Read(entity) => match &**entity {
            Entity::User(user) => Some(Cursor { id: user.id.clone(), created_at: user.created_at }),
            Entity::Organization(_) | Entity::Membership(_) => None,
        },
        ClerkRow::Unreadable(Some(EntityId::User(id))) => Some(Cursor { id: id.clone(), created_at: None }),
        ClerkRow::Unreadable(_) => None,
    })
}
