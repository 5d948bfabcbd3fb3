//! The webhook's endpoint at Svix: what it should be, what is changed, and why events do not arrive.
//!
//! [`plan`] compares the endpoints of the application with the wanted one; only the endpoint with the stack's own uid is
//! ever changed. [`cause`] tells from the endpoint, its attempts and the secrets why events do not arrive.

pub mod cause;
pub mod plan;

use std::collections::{BTreeMap, BTreeSet};

use crate::core::clerk::event::{OF_ROLES, SUBSCRIBED_EVENTS};
use crate::core::id::InstanceId;

/// The value of the metadata key `owner` of an endpoint that Rollcall manages.
pub const OWNER: &str = "rollcall";

/// An endpoint at Svix, as far as Rollcall looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `ep_…`.
    pub id: String,
    pub uid: Option<String>,
    pub url: String,
    pub is_disabled: bool,
    /// The types that are sent; all if absent.
    pub types: Option<BTreeSet<String>>,
    /// Clerk's messages have no channel: an endpoint with channels gets none.
    pub channels: Option<BTreeSet<String>>,
    /// Messages in a second at most.
    pub throttle_rate: Option<u64>,
    pub metadata: BTreeMap<String, String>,
    /// RFC 3339.
    pub updated_at: String,
}

/// The endpoint that a stack needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub uid: String,
    pub url: String,
    pub description: String,
}

impl Wanted {
    /// The endpoint of a stack. Its uid tells it from those of other stacks and of other instances.
    pub fn of(instance: &InstanceId, stack: &str, url: &str) -> Wanted {
        Wanted {
            uid: format!("rollcall-{instance}-{stack}"),
            url: url.to_owned(),
            description: format!("Rollcall, stack {stack}"),
        }
    }

    /// The types that the endpoint gets.
    pub fn types() -> BTreeSet<String> {
        SUBSCRIBED_EVENTS.iter().map(|name| (*name).to_owned()).collect()
    }
}

/// The types that an endpoint gets after a change: the wanted ones, and those about roles if it has them, which an operator
/// may have chosen, to hear of changes that the nightly run repairs.
pub fn kept_types(endpoint: &Endpoint) -> BTreeSet<String> {
    let chosen = endpoint.types.iter().flatten().filter(|name| OF_ROLES.contains(&name.as_str()));
    Wanted::types().into_iter().chain(chosen.cloned()).collect()
}

/// The wanted types that an endpoint does not get.
pub fn missing_types(endpoint: &Endpoint) -> Vec<String> {
    let gets = |name: &String| endpoint.types.as_ref().is_none_or(|types| types.contains(name));
    Wanted::types().into_iter().filter(|name| !gets(name)).collect()
}
