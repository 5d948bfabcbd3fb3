//! Searches the Directory for absence candidates.

use super::confirm::TOGETHER;
use super::{ReconcileError, RunExecutor};
use crate::adapters::dynamo::operations::runs::CandidatePage;
use crate::core::explain::reason::Reason;
use crate::core::id::{EntityId, Key, Kind, PerKind};
use crate::core::mirror::item::Item;
use crate::core::reconcile::absence::{Candidate, candidate};
use crate::core::reconcile::difference::Difference;
use crate::core::reconcile::listed::Here;
use crate::core::reconcile::phase::Phase;
use crate::core::reconcile::presence::is_settled;

impl RunExecutor<'_> {
    /// Searches one page.
    pub(super) async fn search(&mut self, from: Option<&Key>) -> Result<(), ReconcileError> {
        if from.is_none() {
            // From here on, empty lists are used as well.
            self.reconciler.applier.clerk.prove().await?;
            self.run.unproven = None;
        }
        let page = self.reconciler.stores.directory.scan_presence(from).await?;
        self.run.cost.read_units += page.units;
        let mut candidates = PerKind::<Vec<Candidate>>::default();
        for key in &page.unreadable {
            self.run.tally.get_mut(Kind::from_key(key).unwrap_or(Kind::User)).drift.unreadable += 1;
        }
        for item in page.items.values() {
            let Some(kind) = Kind::from_key(&item.key) else { continue };
            if let Some(candidate) = self.look_at(kind, item) {
                candidates.get_mut(kind).push(candidate);
            }
        }
        for kind in Kind::ALL {
            for candidates in candidates.get(kind).chunks(TOGETHER) {
                self.save_page(kind, CandidatePage::Found, candidates).await?;
            }
        }
        self.run.next = if let Some(from) = page.next {
            Phase::Search { from: Some(from) }
        } else {
            for kind in Kind::ALL {
                *self.run.unproven_before.get_mut(kind) = self.run.tally.get(kind).drift.unproven;
            }
            Phase::Screen { kind: Kind::User, after: None }
        };
        Ok(())
    }

    fn look_at(&mut self, kind: Kind, item: &Item) -> Option<Candidate> {
        let start = self.run.started_at;
        let instance = &self.reconciler.applier.instance;
        // A row with a key that does not match its ids could not be found again to delete it.
        let entity = item.entity().filter(|entity| entity.key(instance) == item.key);
        if item.is_deleted() {
            // Entities that were deleted during the listing, before their page was listed.
            if item.provenance.applied_at >= start
                && entity.is_some_and(|entity| self.seen_of(&entity).get(kind).is_none())
            {
                *self.run.ended_meanwhile.get_mut(kind) += 1;
            }
            return None;
        }
        let Some(entity) = entity else {
            let key = item.key.made_here();
            let (pk, sk) = (key.map(|key| &key.pk), key.map(|key| &key.sk));
            tracing::warn!(
                pk,
                sk,
                reason = Reason::KeyMismatch.name(),
                "the key of a Directory row does not match its ids"
            );
            self.run.tally.get_mut(kind).drift.unreadable += 1;
            return None;
        };
        if !self.run.mirror && kind != Kind::Organization {
            self.tell(&entity, Difference::Unmirrored);
            self.run.tally.get_mut(kind).drift.unmirrored += 1;
            return None;
        }
        if self.run.listings.get(kind).is_off {
            // The kind is disabled in Clerk, so Clerk says nothing about its stored entities.
            self.tell(&entity, Difference::Unproven);
            self.run.tally.get_mut(kind).drift.unproven += 1;
            return None;
        }
        let seen = self.seen_of(&entity);
        let is_unconfirmed = seen.get(kind).is_none() && !is_settled(item, start) && item.provenance.applied_at < start;
        self.run.tally.get_mut(kind).unconfirmed += u64::from(is_unconfirmed && self.run.is_complete(kind));
        candidate(&entity, item, &seen, start)
    }

    fn seen_of(&mut self, entity: &EntityId) -> PerKind<Option<Here>> {
        let mut seen = PerKind::default();
        for entity in entity.parents().iter().chain([entity]) {
            let kind = entity.kind();
            *seen.get_mut(kind) = self.seen.get_mut(kind).get(self.run.run.as_str(), entity);
        }
        seen
    }
}
