//! What Clerk shows: each page compared with what is stored, and what differs written by the rule.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};

use super::{AT_ONCE, ReconcileError, SAID, Walk};
use crate::adapters::clerk_api::ClerkError;
use crate::adapters::clerk_lists::{PAGE, Page, Row};
use crate::core::clerk::Entity;
use crate::core::decide::{self, Next, Write};
use crate::core::id::{EntityId, Key, Kind};
use crate::core::item::{Item, Writer};
use crate::core::millis::Millis;
use crate::core::projection::Context;
use crate::core::reconcile::absence::Listing;
use crate::core::reconcile::presence::{Presence, presence};
use crate::core::reconcile::run::{Cursor, Phase};
use crate::core::reconcile::seen::{Here, Seen};
use crate::core::reconcile::tally::Tally;
use crate::core::rule::{Guard, Outcome};

/// What one page asks for.
#[derive(Default)]
struct Plan {
    writes: Vec<(EntityId, Presence, Box<Item>, Option<Item>)>,
    /// What only a second look at Clerk can settle, and what was stored before it.
    fetches: Vec<(EntityId, Option<Item>)>,
    entries: Vec<u64>,
    last: Option<Cursor>,
}

impl Walk<'_> {
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
            Err(ClerkError::Refused(_)) if after.as_ref().is_some_and(|after| after.created_at.is_some()) => {
                // The cursor's user is gone: on from the moment of that user's creation.
                self.run.next = Phase::Users { after: None, since: after.and_then(|after| after.created_at) };
                return Ok(());
            }
            page => page?,
        };
        let rows = page.rows.len();
        let plan = self.plan(Kind::User, page.rows).await?;
        let again = async || clerk.users(after.as_ref(), since.map(Millis::get)).await;
        let last = self.carry_out(Kind::User, plan, again).await?;
        let seen = u64::try_from(self.seen.user.count()).unwrap_or(u64::MAX);
        let listing = &mut self.run.listings.user;
        listing.seen = seen;
        let is_short = rows < PAGE;
        // A page may be short for other reasons than being the last: only Clerk's own count, or nothing at all, ends the list.
        if rows == 0 || (is_short && seen >= listing.before) {
            listing.ended = true;
            listing.after = clerk.count_users().await?;
            self.run.next = Phase::Listed { kind: Kind::Organization, offset: 0 };
            return Ok(());
        }
        listing.short_pages += u64::from(is_short);
        self.run.next = match last {
            Some(last) => Phase::Users { after: Some(last), since },
            // A page without a single id leads nowhere. The listing has not ended, and says so.
            None => Phase::Listed { kind: Kind::Organization, offset: 0 },
        };
        Ok(())
    }

    /// A page of organizations or memberships.
    pub(super) async fn list(&mut self, kind: Kind, offset: u64) -> Result<(), ReconcileError> {
        let clerk = &self.reconciler.applier.clerk;
        let page = clerk.listed(kind, offset).await?;
        let (rows, total) = (u64::try_from(page.rows.len()).unwrap_or(u64::MAX), page.total.unwrap_or_default());
        let plan = self.plan(kind, page.rows).await?;
        self.carry_out(kind, plan, async || clerk.listed(kind, offset).await).await?;
        let seen = u64::try_from(self.seen.of_mut(kind).count()).unwrap_or(u64::MAX);
        let listing = self.run.listings.of_mut(kind);
        if offset == 0 {
            (listing.before, listing.after) = (total, total);
        }
        // Whatever has gone from the pages before this one has moved the rest up by as much.
        let moved = listing.after.saturating_sub(total);
        (listing.seen, listing.after) = (seen, total);
        let next = (offset + rows).saturating_sub(moved);
        if rows == 0 || next >= total {
            listing.ended = true;
            self.run.next = self.after_list(kind);
        } else {
            listing.short_pages += u64::from(rows < u64::try_from(PAGE).unwrap_or(u64::MAX));
            self.run.next = Phase::Listed { kind, offset: next };
        }
        Ok(())
    }

    fn after_list(&mut self, kind: Kind) -> Phase {
        if kind == Kind::Membership || !self.reconciler.mirror {
            return Phase::Search { from: None };
        }
        let organizations = &self.run.listings.organization;
        if organizations.before == 0 && organizations.seen == 0 {
            // Without an organization there is no membership. What is stored of them is in doubt all the same.
            self.run.listings.membership = Listing { ended: true, ..Listing::default() };
            return Phase::Search { from: None };
        }
        Phase::Listed { kind: Kind::Membership, offset: 0 }
    }

    /// Compares a page with what is stored.
    async fn plan(&mut self, kind: Kind, rows: Vec<Row>) -> Result<Plan, ReconcileError> {
        let reconciler = self.reconciler;
        let provenance = reconciler.provenance(Writer::Reconcile);
        let context = Context { instance: &reconciler.applier.instance, provenance: &provenance };
        let mut plan = Plan::default();
        // By key: a list that shifts repeats rows.
        let mut offered: BTreeMap<Key, (EntityId, Option<Item>)> = BTreeMap::new();
        for row in rows {
            let (entity, item) = match row {
                Row::Read(entity) => {
                    let created_at = created_at(&entity);
                    let (id, item) = (entity.id(), context.entity(*entity));
                    plan.last = cursor(&id, created_at).or(plan.last);
                    (id, item)
                }
                Row::Unreadable(entity) => {
                    let id = entity.as_ref().map(ToString::to_string);
                    tracing::error!(kind = kind.name(), id, "a row of Clerk's list cannot be read");
                    self.run.tally.of_mut(kind).drift.unreadable += 1;
                    let Some(entity) = entity else {
                        self.run.listings.of_mut(kind).nameless += 1;
                        continue;
                    };
                    plan.last = cursor(&entity, None).or(plan.last);
                    plan.entries.push(Seen::entry(self.run.run.as_str(), &entity, Here::Live));
                    continue;
                }
            };
            offered.insert(entity.key(&reconciler.applier.instance), (entity, item));
        }
        let keys: Vec<Key> = offered.keys().cloned().collect();
        let mut stored = reconciler.survey.compare(&keys).await?;
        self.run.cost.read_units += stored.units;
        for (key, (entity, item)) in offered {
            if stored.unreadable.contains(&key) {
                // The search counts it. Nothing is written over what nobody here has written.
                plan.entries.push(Seen::entry(self.run.run.as_str(), &entity, Here::Live));
                continue;
            }
            let stored = stored.items.remove(&key);
            self.compare(&mut plan, entity, item, stored);
        }
        Ok(plan)
    }

    fn compare(&mut self, plan: &mut Plan, entity: EntityId, item: Option<Item>, stored: Option<Item>) {
        let tally = self.run.tally.of_mut(entity.kind());
        let Some(item) = item else {
            // A membership without its date: fetched by itself it may have one.
            tally.drift.tied += 1;
            plan.entries.push(Seen::entry(self.run.run.as_str(), &entity, Here::Live));
            plan.fetches.push((entity, stored));
            return;
        };
        let found = presence(&item, stored.as_ref(), self.run.started_at);
        let has_ended =
            matches!(found, Presence::Unchanged | Presence::Conflict) && stored.as_ref().is_some_and(Item::is_deleted);
        let here = if has_ended { Here::Tombstone } else { Here::Live };
        plan.entries.push(Seen::entry(self.run.run.as_str(), &entity, here));
        if let (EntityId::User(user), Here::Live) = (&entity, here) {
            self.run.witness = Some(user.clone());
        }
        let drift = &mut tally.drift;
        match found {
            Presence::Unchanged => tally.unchanged += 1,
            Presence::Missing => drift.missing += 1,
            Presence::Outdated => drift.outdated += 1,
            Presence::Behind => drift.behind += 1,
            Presence::Tied => drift.tied += 1,
            Presence::Conflict => {
                drift.conflict += 1;
                tracing::warn!(kind = entity.kind().name(), id = %entity, "it has ended here and lives in Clerk");
            }
            Presence::Ahead => {
                drift.ahead += 1;
                tracing::warn!(kind = entity.kind().name(), id = %entity, "what is stored is newer than Clerk's");
            }
        }
        match found {
            Presence::Missing | Presence::Outdated | Presence::Behind => {
                plan.writes.push((entity, found, Box::new(item), stored));
            }
            Presence::Tied => plan.fetches.push((entity, stored)),
            Presence::Unchanged | Presence::Conflict | Presence::Ahead => {}
        }
    }

    /// Writes what a page asks for, then remembers whom it has shown.
    async fn carry_out(
        &mut self,
        kind: Kind,
        plan: Plan,
        again: impl AsyncFnOnce() -> Result<Page, ClerkError>,
    ) -> Result<Option<Cursor>, ReconcileError> {
        let Plan { writes, fetches, entries, last } = plan;
        if self.writes() {
            let writes = writes.into_iter().map(|(entity, found, item, stored)| {
                (entity, found, Next::Again(Box::new(Write::new(*item, Guard::Newer))), stored)
            });
            self.apply(kind, writes.collect()).await?;
            if !fetches.is_empty() {
                // The page once more settles all of its ties with one request: it was read after what is stored.
                let fetched = self.fetched(again().await?, fetches);
                self.apply(kind, fetched).await?;
            }
        }
        if !entries.is_empty() {
            self.run.cost.write_units += self.reconciler.runs.keep_seen(&self.run, kind, &entries).await?;
            self.run.pages += 1;
            self.seen.of_mut(kind).extend(entries);
        }
        Ok(last)
    }

    /// What a second look at a page says about those that it left open. Whoever is not on it any more is fetched alone.
    fn fetched(
        &self,
        page: Page,
        open: Vec<(EntityId, Option<Item>)>,
    ) -> Vec<(EntityId, Presence, Next, Option<Item>)> {
        let provenance = self.reconciler.provenance(Writer::Reconcile);
        let context = Context { instance: &self.reconciler.applier.instance, provenance: &provenance };
        let mut found: BTreeMap<EntityId, Entity> = BTreeMap::new();
        for row in page.rows {
            if let Row::Read(entity) = row {
                found.insert(entity.id(), *entity);
            }
        }
        let settle = |(id, stored): (EntityId, Option<Item>)| {
            let next = match found.remove(&id) {
                Some(entity) if context.entity(entity.clone()).is_some() => {
                    decide::fetched(Some(entity), stored.as_ref(), &SAID, &context)
                }
                _ => Next::Fetch,
            };
            (id, Presence::Tied, next, stored)
        };
        open.into_iter().map(settle).collect()
    }

    /// Applies what was planned, many at once.
    async fn apply(
        &mut self,
        kind: Kind,
        planned: Vec<(EntityId, Presence, Next, Option<Item>)>,
    ) -> Result<(), ReconcileError> {
        let reconciler = self.reconciler;
        let provenance = reconciler.provenance(Writer::Reconcile);
        let context = Context { instance: &reconciler.applier.instance, provenance: &provenance };
        let apply = async |(entity, found, next, stored): (EntityId, Presence, Next, Option<Item>)| {
            (found, reconciler.applier.apply(&entity, next, stored, &SAID, &context, None).await)
        };
        let mut applying = stream::iter(planned.into_iter().map(apply)).buffer_unordered(AT_ONCE);
        while let Some((found, applied)) = applying.next().await {
            if let Some(outcome) = self.settled(kind, applied)? {
                count(self.run.tally.of_mut(kind), found, outcome);
            }
        }
        Ok(())
    }
}

fn count(tally: &mut Tally, found: Presence, outcome: Outcome) {
    match (outcome, found) {
        (Outcome::Applied, Presence::Missing) => tally.created += 1,
        (Outcome::Applied, _) => tally.updated += 1,
        // Somebody was faster, or Clerk has changed its mind.
        (Outcome::Duplicate | Outcome::Superseded | Outcome::Tie | Outcome::Unproven, _) => tally.unchanged += 1,
    }
}

fn created_at(entity: &Entity) -> Option<Millis> {
    match entity {
        Entity::User(user) => user.created_at,
        Entity::Organization(_) | Entity::Membership(_) => None,
    }
}

fn cursor(entity: &EntityId, created_at: Option<Millis>) -> Option<Cursor> {
    match entity {
        EntityId::User(id) => Some(Cursor { id: id.clone(), created_at }),
        EntityId::Organization(_) | EntityId::Membership { .. } => None,
    }
}
