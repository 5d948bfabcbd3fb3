//! The hot path of account: a page reads its user and the user's organizations, `GET /me`. The caller is that of
//! ensure-profile.

use rollcall::core::millis::Millis;
use rollcall::services::account::me::{Me, OrganizationOfCaller};
use serde_json::{Value, json};

use crate::callers::{self, Caller};
use crate::hot_path::{Answered, Asked, DIRECTORY_TABLE, HotPath, SOMEBODY_WAITS};
use crate::rows;

/// The path: the user's partition, then the organization.
///
/// # Errors
///
/// If a sample is not what it was.
pub(crate) fn hot_path() -> anyhow::Result<HotPath> {
    let caller = Caller::of_samples()?;
    let stored = |item: &rollcall::core::mirror::item::Item| rows::stored(&item.to_attributes());
    // In the order of the sort keys.
    let partition =
        json!({ "Items": [stored(&caller.membership)?, stored(&caller.user)?], "Count": 2, "ScannedCount": 2 });
    let organizations =
        json!({ "Responses": { DIRECTORY_TABLE: [stored(&caller.organization)?] }, "UnprocessedKeys": {} });
    Ok(HotPath {
        function: "account",
        settings: callers::settings(&[]),
        limit: SOMEBODY_WAITS,
        asks: vec![Asked::new("Query", partition.to_string()), Asked::new("BatchGetItem", organizations.to_string())],
        answer: Answered::Body(answer(&caller)?),
        events,
    })
}

fn events(now: Millis, count: usize) -> anyhow::Result<Vec<String>> {
    callers::calls("GET /me", now, count)
}

fn answer(caller: &Caller) -> anyhow::Result<Value> {
    let active = caller.organization.fields.get("organization_id").cloned().unwrap_or_default();
    Ok(serde_json::to_value(Me {
        user: caller.user.shown(),
        organizations: vec![OrganizationOfCaller {
            organization: caller.organization.shown(),
            membership: caller.membership.shown(),
        }],
        active_organization_id: serde_json::from_value(active)?,
        needs_sync: false,
        actor: None,
    })?)
}
