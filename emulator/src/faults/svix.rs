//! The fault settings of Svix.

use serde::{Deserialize, Serialize};

/// Faults of Svix and of the way to it. By default no fault occurs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SvixFaults {
    /// What becomes of the exchange of a one-time token.
    pub exchange: Exchange,
    /// The rights of a key; default: all.
    pub capabilities: Option<Vec<String>>,
    /// The rate of requests answered with 429.
    pub too_many_requests: f64,
    /// The rate of requests answered with 500.
    pub server_error: f64,
    /// The operations to which the two rates apply, as method and route template; empty means all.
    pub requests: Vec<String>,
    /// Faults that occur once.
    pub once: Once,
    /// The maximum number of rows of a page, whatever `limit` says.
    pub page_size: Option<usize>,
    /// Whether endpoints have the names of before 2026-07-21 alone: `filterTypes` and `rateLimit`.
    pub old_names: bool,
    /// Whether answers have fields and values that are unknown today.
    pub unknown_values: bool,
    /// How long an attempt is not shown, in ms.
    pub attempts_late_ms: u64,
    /// What becomes of background tasks.
    pub task: TaskFault,
    /// How long the payload of a message is kept, in ms; default: for ever.
    pub retention_ms: Option<u64>,
    /// Whether Clerk sends nothing at all: no message reaches Svix.
    pub silent: bool,
}

/// What becomes of the exchange of a one-time token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exchange {
    #[default]
    Works,
    /// 401, as for a token that was used or has expired.
    Refused,
    /// 404: the route does not exist any more.
    Gone,
    /// A page.
    Html,
    /// An answer without a key.
    Tokenless,
}

/// What becomes of background tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskFault {
    #[default]
    Works,
    /// The task sends nothing and has failed.
    Fails,
    /// The task sends nothing and runs for ever.
    NeverEnds,
}

/// Faults that occur at the next request of their kind, and not again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Once {
    /// The next new endpoint is made, and the answer is 500.
    pub create_commits_then_fails: bool,
    /// Somebody else makes the application at the same moment: the answer is `svix_app_exists`.
    pub app_exists: bool,
}
