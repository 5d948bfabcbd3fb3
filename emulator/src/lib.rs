//! A Clerk that answers like Clerk, for development and tests: its Backend API, its webhooks as Svix delivers them, and
//! bad days on demand. Nothing leaves the machine, unless a webhook URL points elsewhere.
//!
//! In reading order:
//!
//! - [`Config`] says what an emulator is started with, [`Emulator`] is a running one;
//! - `instance` holds users, organizations, memberships and sessions, and is the only place that changes them;
//! - `tokens` signs what a session is proved with, rightly or with a defect;
//! - `api` is `/v1` over it, `errors` Clerk's way of refusing, `limits` its rate limits;
//! - `webhooks` takes every change's events to the endpoints: a queue that decides, a sender that posts;
//! - `faults` are the dials, `churn` is the one that changes the instance, `control` the routes under `/_emulator` that
//!   turn them and look inside;
//! - `door` keeps the pages out that a developer's browser shows beside;
//! - `samples` fills an empty instance, `serve` answers until told to stop;
//! - [`claim`] keeps two processes from one folder or file, [`output`] is how this program, and the `rollcall` command,
//!   print;
//! - the program of the same name is arguments, environment and signals around all this.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use clerk_emulator::{Config, Emulator};
//!
//! let webhook_url = Some("http://127.0.0.1:3000/webhooks/clerk".to_owned());
//! let clerk = Emulator::start(Config { users: 20, webhook_url, ..Config::default() }).await?;
//! println!("CLERK_API_URL={} CLERK_SECRET_KEY={}", clerk.url(), clerk.secret_key());
//! clerk.settled().await;
//! clerk.stop().await?;
//! # Ok(())
//! # }
//! ```

#![deny(clippy::print_stdout, clippy::print_stderr)]
// A Clerk user is one `json!` literal of some fifty fields, each of which is a step of the macro.
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
mod tokens;
mod webhooks;

pub use config::{
    Clock, Config, DELIVERY_TIMEOUT, FRONT_END, Generated, INSTANCE_ID, RETRY_SCALE, RateLimits, SECRET_KEY,
    SVIX_RETRY_SCHEDULE, WEBHOOK_SECRET,
};
pub use door::{Door, HostName, InvalidHostName};
pub use emulator::{Emulator, StartError};
pub use faults::{ApiFaults, Faults, InvalidDial, WebhookFaults};
pub use instance::{GeneratedError, SnapshotError};
pub use serve::STOP_GRACE;
pub use tokens::{MintError, TOKEN_LIFETIME_SECONDS, Tamper, TokenAlgorithm, TokenKey, TokenRequest, TokenVersion};
pub use webhooks::{Attempt, Delivery, DeliveryState, Endpoint, EndpointError};
