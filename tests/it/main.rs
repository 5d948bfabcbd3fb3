//! Every scenario, invariant and budget, in one binary. Tests carry the name of what they show: `i7_…` an invariant,
//! `b3_…` a row of one of five systems, `trace8_…` and `bug4_…` failures that must not come back. docs/guarantees.md
//! lists them.

mod account;
mod authorizer;
mod deletion;
mod dev;
mod documents;
mod ensure;
mod migrate;
mod monitoring;
mod operator;
mod properties;
mod react;
mod reconcile;
mod settings;
mod webhook;

use rollcall::core::id::EntityId;

/// The user of most sample events.
const ADA: &str = "user_2nNG9rEYQoliquKw5eHQ9eFeurU";
/// The user of the sample memberships.
const GRACE: &str = "user_2nMJFInNtsSb6BrJ4VfmGuv246c";
/// The organization of the sample events.
const ACME: &str = "org_2nyiGxAxOOuSJqJjeif62e4qZfa";

fn user(id: &str) -> EntityId {
    EntityId::User(id.parse().unwrap())
}

fn organization(id: &str) -> EntityId {
    EntityId::Organization(id.parse().unwrap())
}

fn membership(user: &str, organization: &str) -> EntityId {
    EntityId::Membership { user: user.parse().unwrap(), organization: organization.parse().unwrap() }
}

/// What a state says, without how and when it came here.
fn state(mut item: serde_json::Value) -> serde_json::Value {
    if let Some(fields) = item.as_object_mut() {
        fields.retain(|name, _| !["applied_at", "applied_by", "delivery_id"].contains(&name.as_str()));
    }
    item
}
