//! What an emulator is started with, and the constants that make its defaults the same every time.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use crate::{Faults, HostName};

/// Tells the time as Unix milliseconds. A test hands in a frozen one to put two changes into one millisecond.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The secret key that the Backend API accepts unless another is configured.
pub const SECRET_KEY: &str = "sk_test_cm9sbGNhbGwtZW11bGF0b3Itc2VjcmV0LWtleQ";

/// The signing secret of the first webhook endpoint unless another is configured.
pub const WEBHOOK_SECRET: &str = "whsec_cm9sbGNhbGwtZW11bGF0b3Itd2ViaG9vaw==";

/// The instance whose events are under `events/`, so that samples and live deliveries belong together.
pub const INSTANCE_ID: &str = "ins_2nUcuErN3glWyZnAP6qLqp85VBT";

/// The origin that session tokens name as their authorized party unless another is configured: where Vite serves.
pub const FRONT_END: &str = "http://localhost:5173";

/// Svix's waits before each attempt: now, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h (docs.svix.com/retries).
pub const SVIX_RETRY_SCHEDULE: [Duration; 8] = [
    Duration::ZERO,
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(10),
];

/// How much faster than Svix the default schedule runs: an hour of waiting takes 3.6 s, the whole schedule 99 s.
pub const RETRY_SCALE: u32 = 1000;

/// How long an endpoint has to answer. Svix's own value, not scaled: it limits the receiver's work, not the waiting.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(15);

/// How to start an emulator. `Config::default()` listens on a free port, holds nobody and delivers nowhere.
#[derive(Clone)]
pub struct Config {
    /// The port on 127.0.0.1; 0 picks a free one.
    pub port: u16,
    /// Under which names it may be asked, beside those of this machine; pages of these hosts may ask, too.
    pub allow_hosts: Vec<HostName>,
    /// The bearer token that the Backend API requires.
    pub secret_key: String,
    /// The secret of the endpoint at `webhook_url`: `whsec_` and base64.
    pub webhook_secret: String,
    /// The `instance_id` of every event and of `GET /v1/instance`.
    pub instance_id: String,
    /// Whether `GET /v1/instance` says that the instance is one for production, not for development.
    pub production: bool,
    /// The `iss` of session tokens, which at Clerk is the Frontend API's URL; without one the emulator's own URL.
    pub issuer: Option<String>,
    /// The `azp` of session tokens, unless the request for one has an `Origin`. Pages of this origin may ask.
    pub front_end: String,
    /// The first webhook endpoint. Further ones come by [`crate::Emulator::add_endpoint`].
    pub webhook_url: Option<String>,
    /// Where all randomness starts: ids, secrets of added endpoints, faults.
    pub seed: u64,
    /// How many sample users an empty instance is given.
    pub users: usize,
    /// Who else there is, without taking memory: see [`Generated`]. Not to be had together with a snapshot.
    pub generated: Generated,
    /// Whether the sample users are announced by webhooks, too. Off: they were there before the endpoint was.
    pub announce_samples: bool,
    /// The file that the instance is loaded from and saved to.
    pub snapshot: Option<PathBuf>,
    /// The wait before each attempt; its length is the number of attempts. An empty one means a single attempt at once.
    pub retry_schedule: Vec<Duration>,
    /// How long an endpoint has to answer before an attempt counts as failed.
    pub delivery_timeout: Duration,
    /// How many attempts may be under way to one endpoint. 1 keeps the order of changes while nothing fails.
    pub concurrency: usize,
    /// Clerk's rate limits, if they are to be felt.
    pub rate_limits: Option<RateLimits>,
    /// What goes wrong from the start.
    pub faults: Faults,
    /// Where times come from.
    pub clock: Clock,
}

/// A population that is computed on demand, from the seed, so that a million users cost no memory and no start-up time.
/// They came one a millisecond from 2024-01-01 on, and no webhook ever announced them; for the rest they are users,
/// organizations and memberships like others. What is changed of them takes memory from then on.
///
/// Lists by creation, counts without filters but those by time, and everything about one entity take no longer than
/// with a small population; other filters and orders walk over everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generated {
    /// How many users, up to 1,000,000,000 like the other two.
    pub users: u64,
    pub organizations: u64,
    /// How many memberships: one pair of the users and the organizations each, so no more than there are pairs.
    pub memberships: u64,
}

/// Requests allowed within a window, as Clerk counts them (clerk.com/docs, "system limits").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests to the Backend API as a whole.
    pub requests: u32,
    /// Changes of one user, organization or membership (PATCH and PUT).
    pub changes_per_entity: u32,
    /// The length of the window.
    pub window: Duration,
}

impl RateLimits {
    /// A development instance: 100 requests in 10 s, 10 changes of one entity.
    pub const DEVELOPMENT: Self = Self { requests: 100, changes_per_entity: 10, window: Duration::from_secs(10) };
    /// A production instance: 1,000 requests in 10 s, 10 changes of one entity.
    pub const PRODUCTION: Self = Self { requests: 1000, ..Self::DEVELOPMENT };
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 0,
            allow_hosts: Vec::new(),
            secret_key: SECRET_KEY.to_owned(),
            webhook_secret: WEBHOOK_SECRET.to_owned(),
            instance_id: INSTANCE_ID.to_owned(),
            production: false,
            issuer: None,
            front_end: FRONT_END.to_owned(),
            webhook_url: None,
            seed: 0,
            users: 0,
            generated: Generated::default(),
            announce_samples: false,
            snapshot: None,
            retry_schedule: SVIX_RETRY_SCHEDULE.iter().map(|wait| *wait / RETRY_SCALE).collect(),
            delivery_timeout: DELIVERY_TIMEOUT,
            concurrency: 1,
            rate_limits: None,
            faults: Faults::default(),
            clock: Arc::new(system_clock),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("port", &self.port)
            .field("instance_id", &self.instance_id)
            .field("production", &self.production)
            .field("issuer", &self.issuer)
            .field("front_end", &self.front_end)
            .field("webhook_url", &self.webhook_url)
            .field("seed", &self.seed)
            .field("users", &self.users)
            .field("generated", &self.generated)
            .field("snapshot", &self.snapshot)
            .field("concurrency", &self.concurrency)
            .field("rate_limits", &self.rate_limits)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}

/// The one place where the library looks at the machine's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a default has to come from somewhere; everything else is handed a clock"
)]
fn system_clock() -> i64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_form_of_a_config_shows_no_secret() {
        let shown = format!("{:?}", Config::default());
        assert!(!shown.contains("sk_test_") && !shown.contains("whsec_"), "{shown}");
    }

    #[test]
    fn the_default_schedule_is_svix_s_a_thousand_times_faster() {
        let ms = [0, 5, 300, 1_800, 7_200, 18_000, 36_000, 36_000];
        assert_eq!(Config::default().retry_schedule, ms.map(Duration::from_millis));
        assert_eq!(Config::default().delivery_timeout, Duration::from_secs(15), "not scaled");
    }
}
