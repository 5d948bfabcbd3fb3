//! Every scenario, invariant and budget, in one binary. Tests carry the name of what they show: `i7_…` an invariant, `b3_…`
//! a row of one of five systems, `trace8_…` and `bug4_…` failures that must not come back. docs/guarantees.md lists them.

mod agreement;
mod analyze;
mod backups;
mod bad_input;
mod bad_settings;
mod bad_settings_ensure;
mod bad_settings_react;
mod budgets;
mod bus;
mod callers;
mod careful;
mod cascade;
mod consequences;
mod convergence;
mod damaged_rows;
mod data_folder;
mod deletion;
mod ensure;
mod ensure_failures;
mod failures;
mod findings;
mod interleaved;
mod interrupted;
mod invariants;
mod large;
mod listing_faults;
mod listing_proofs;
mod logs;
mod long_lists;
mod main_job;
mod metrics;
mod operator;
mod pages;
mod payloads;
mod payloads_altered;
mod peer_bugs;
mod person;
mod personal_data;
mod printing;
mod purge_interrupted;
mod purge_large;
mod purge_memory;
mod purge_others;
mod purge_twice;
mod rate;
mod react;
mod reconcile;
mod restore_files;
mod samples;
mod scenarios;
mod secrets;
mod sessions;
mod signature_vectors;
mod sync;
mod traces;
mod traces_reconcile;
mod trigger;
mod unknown_ids;

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
