//! Processes a verified event: decides which write it needs, then applies it.

use super::apply::{Applied, Applier, ApplyError, NotApplied};
use crate::core::clerk::event::Dated;
use crate::core::explain::reason::Asked;
use crate::core::id::{DeliveryId, EntityId};
use crate::core::millis::Millis;
use crate::core::mirror::decide;
use crate::core::mirror::decide::{Evidence, Next, Plan, Policy};
use crate::core::mirror::item::{Item, Provenance, Writer};
use crate::core::mirror::projection::Context;
use crate::core::mirror::rank::Rank;
use crate::core::mirror::rule::Stamp;

/// The dependencies of receiving an event.
#[derive(Debug)]
pub struct Receiver {
    pub applier: Applier,
    /// The deletion policy, and whether live users and memberships are stored.
    pub policy: Policy,
}

/// The result of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// The entity of the event.
    pub entity: EntityId,
    /// The result of the write; nothing if entities of this kind are not stored.
    pub applied: Option<Applied>,
    /// Why Clerk was asked, if Clerk was asked.
    pub asked: Option<Asked>,
}

/// Why an event was not applied, with what is known of it.
#[derive(Debug)]
pub struct NotReceived {
    pub error: ApplyError,
    /// The rank of the event; nothing if the event has no usable time.
    pub rank: Option<Rank>,
    /// Why Clerk was asked, if Clerk was asked.
    pub asked: Option<Asked>,
}

impl Receiver {
    /// Applies one event.
    ///
    /// # Errors
    ///
    /// [`NotReceived`]: except for [`ApplyError::Undated`], another delivery of the message may succeed.
    pub async fn receive(&self, dated: Dated, delivery: DeliveryId, now: Millis) -> Result<Receipt, NotReceived> {
        let entity = dated.event.entity();
        let provenance = Provenance { applied_at: now, applied_by: Writer::Webhook, delivery_id: Some(delivery) };
        let context = Context { instance: &self.applier.instance, roles: &self.applier.roles, provenance: &provenance };
        let (next, said) = match decide::plan(dated, self.policy, &context, now) {
            Plan::Ignore => return Ok(Receipt { entity, applied: None, asked: None }),
            Plan::Fetch(said) => (Next::Fetch, said),
            Plan::Write(write) => {
                let said = Evidence::Dated(Stamp::from(&write.item));
                (Next::Again(write), said)
            }
        };
        let offered = match &said {
            Evidence::Dated(stamp) => Some(stamp.rank),
            Evidence::Undated { .. } => None,
        };
        // A fetch without a write before it.
        let fetch = match (&next, offered) {
            (Next::Fetch, None) => Some(Asked::Untimed),
            (Next::Fetch, Some(_)) => Some(Asked::Unclear),
            _ => None,
        };
        let asked = |calls: u32, met: Option<&Item>| {
            (calls > 0).then(|| fetch.unwrap_or_else(|| Asked::after(offered, met.map(|met| met.rank))))
        };
        match self.applier.apply(&entity, next, None, &said, &context, None).await {
            Ok(applied) => {
                let asked = asked(applied.clerk_calls, applied.item.as_ref());
                Ok(Receipt { entity, applied: Some(applied), asked })
            }
            Err(NotApplied { error, stored, rank, clerk_calls }) => {
                Err(NotReceived { error, rank: rank.or(offered), asked: asked(clerk_calls, stored.as_ref()) })
            }
        }
    }
}
