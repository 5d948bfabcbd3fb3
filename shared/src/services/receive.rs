//! The webhook's path, once a message is known to be Clerk's: decide, then apply.

use super::apply::{Applied, Applier, ApplyError};
use crate::core::clerk::event::Dated;
use crate::core::id::{DeliveryId, EntityId};
use crate::core::millis::Millis;
use crate::core::mirror::decide;
use crate::core::mirror::decide::{Evidence, Next, Plan, Policy};
use crate::core::mirror::item::{Provenance, Writer};
use crate::core::mirror::projection::Context;
use crate::core::mirror::rule::Stamp;

/// What receiving an event needs.
#[derive(Debug)]
pub struct Receiver {
    pub applier: Applier,
    /// What deletions leave, and whether anything is kept.
    pub policy: Policy,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// Whose state it was.
    pub entity: EntityId,
    /// What became of it; nothing if the policy keeps no such entity.
    pub applied: Option<Applied>,
}

impl Receiver {
    /// Applies one event.
    ///
    /// # Errors
    ///
    /// [`ApplyError`]: but for [`ApplyError::Undated`], nothing is lost if the message is delivered again.
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
