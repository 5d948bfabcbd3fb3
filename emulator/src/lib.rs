//! An emulator of Clerk for development and tests: Backend API, webhooks as Svix delivers them, and faults that a test
//! sets. It sends nothing to other machines, unless a webhook URL names one.
//!
//! In reading order:
//!
//! - [`Config`] is the configuration of an emulator, [`Emulator`] a running emulator;
//! - `instance` contains users, organizations, memberships and sessions, and is the only module that changes them;
//! - `tokens` creates session tokens, valid ones and ones with a defect;
//! - `api` is the Backend API under `/v1`, `errors` Clerk's error object, `limits` the rate limits;
//! - `svix` has the routes of Svix, with which the endpoints are managed;
//! - `webhooks` delivers the events of each change to the endpoints: a queue that decides, a sender that posts;
//! - `faults` are the fault settings, `churn` makes the simulated changes, `control` has the routes under `/_emulator`;
//! - `door` rejects requests of other pages in the developer's browser;
//! - `samples` fills an empty instance, `serve` answers requests until the stop signal;
//! - [`claim`] locks a folder or a file for one process, [`output`] prints for this program and the `rollcall` command;
//! - the program of the same name adds arguments, environment and signals.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use clerk_emulator::{Config, Emulator};
//!
//! let webhook_url = Some("http://127.0.0.1:4400/webhooks/clerk".to_owned());
//! let clerk = Emulator::start(Config { users: 20, webhook_url, ..Config::default() }).await?;
//! println!("CLERK_API_URL={} CLERK_SECRET_KEY={}", clerk.url(), clerk.secret_key());
//! clerk.settled().await;
//! clerk.stop().await?;
//! # Ok(())
//! # }
//! ```

#![deny(clippy::print_stdout, clippy::print_stderr)]
// A Clerk user is one `json!` literal of about fifty fields; each of them is a step of the macro.
#![recursion_limit = "256"]

mod api;
mod app;
mod churn;
pub mod claim;
mod config;
mod control;
mod door;
mod emulator;
mod errors;
mod faults;
mod instance;
mod limits;
mod lock;
pub mod output;
mod samples;
mod serve;
mod svix;
mod tokens;
mod webhooks;

pub use config::{
    Clock, Config, DELIVERY_TIMEOUT, FRONT_END, Generated, INSTANCE_ID, RETRY_SCALE, RateLimits, SECRET_KEY,
    SVIX_RETRY_SCHEDULE, WEBHOOK_SECRET,
};
pub use door::{Door, HostName, InvalidHostName};
pub use emulator::{Emulator, StartError};
pub use faults::{
    ApiFaults, Exchange, Faults, InvalidFaultSetting, Once, SvixFaults, TaskFault, Variants, WebhookFaults,
};
pub use instance::{GeneratedError, SnapshotError};
pub use serve::STOP_GRACE;
pub use tokens::{MintError, TOKEN_LIFETIME_SECONDS, Tamper, TokenAlgorithm, TokenKey, TokenRequest, TokenVersion};
pub use webhooks::{Attempt, Delivery, DeliveryState, Endpoint, EndpointError};
