//! Processes a verified event: decides which write it needs, then applies it.

use super::apply::{Applied, Applier, ApplyError};
use crate::core::clerk::event::Dated;
use crate::core::id::{DeliveryId, EntityId};
use crate::core::millis::Millis;
use crate::core::mirror::decide;
use crate::core::mirror::decide::{Evidence, Next, Plan, Policy};
use crate::core::mirror::item::{Provenance, Writer};
use crate::core::mirror::projection::Context;
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
}

impl Receiver {
    /// Applies one event.
    ///
    /// # Errors
    ///
    /// [`ApplyError`]: except for [`ApplyError::Undated`], another delivery of the message may succeed.
    pub async fn receive(&self, dated: Dated, delivery: DeliveryId, now: Millis) -> Result<Receipt, ApplyError> {
        let entity = dated.event.entity();
        let provenance = Provenance { applied_at: now, applied_by: Writer::Webhook, delivery_id: Some(delivery) };
        let context = Context { instance: &self.applier.instance, roles: &self.applier.roles, provenance: &provenance };
        let (next, said) = match decide::plan(dated, self.policy, &context, now) {
            Plan::Ignore => return Ok(Receipt { entity, applied: None }),
            Plan::Fetch(said) => (Next::Fetch, said),
            Plan::Write(write) => {
                let said = Evidence::Dated(Stamp::from(&write.item));
                (Next::Again(write), said)
            }
        };
        let applied =
            self.applier.apply(&entity, next, None, &said, &context, None).await.map_err(|failed| failed.error)?;
        Ok(Receipt { entity, applied: Some(applied) })
    }
}
