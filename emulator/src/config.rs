//! The configuration of an emulator, and the fixed values of its defaults.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use crate::{Faults, HostName};

/// Returns the current time in Unix ms. A test passes a frozen clock to make two changes in one millisecond.
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

/// The time limit of a delivery attempt. Svix's own value, not scaled: it limits the receiver's work, not the waiting.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(15);

/// The configuration of an emulator. `Config::default()` listens on a free port and has no users and no endpoints.
#[derive(Clone)]
pub struct Config {
    /// The port on 127.0.0.1; 0 selects a free port.
    pub port: u16,
    /// Additional host names that requests may name, besides those of this machine; pages of these hosts are allowed,
    /// too.
    pub allow_hosts: Vec<HostName>,
    /// The bearer token that the Backend API requires.
    pub secret_key: String,
    /// The secret of the endpoint at `webhook_url`: `whsec_` and base64.
    pub webhook_secret: String,
    /// The `instance_id` of every event and of `GET /v1/instance`.
    pub instance_id: String,
    /// Whether `GET /v1/instance` returns a production instance instead of a development instance.
    pub production: bool,
    /// The `iss` of session tokens, which at Clerk is the Frontend API's URL; without one the emulator's own URL.
    pub issuer: Option<String>,
    /// The `azp` of session tokens, unless the token request has an `Origin`. Pages of this origin are allowed.
    pub front_end: String,
    /// The URL of the first webhook endpoint. [`crate::Emulator::add_endpoint`] adds others.
    pub webhook_url: Option<String>,
    /// The seed of the random generator: ids, secrets of added endpoints, faults.
    pub seed: u64,
    /// The number of sample users of an empty instance.
    pub users: usize,
    /// The generated entities, which need no memory: see [`Generated`]. Cannot be combined with a snapshot.
    pub generated: Generated,
    /// Whether webhooks are sent for the sample users.
    pub announce_samples: bool,
    /// The file that the instance is loaded from and saved to.
    pub snapshot: Option<PathBuf>,
    /// The wait before each attempt; its length is the number of attempts. An empty schedule means one attempt at once.
    pub retry_schedule: Vec<Duration>,
    /// The time limit of a delivery attempt.
    pub delivery_timeout: Duration,
    /// The maximum number of concurrent attempts to one endpoint. 1 keeps the order of changes as long as no attempt
    /// fails.
    pub concurrency: usize,
    /// The rate limits; `None` for no limits.
    pub rate_limits: Option<RateLimits>,
    /// The fault settings at the start.
    pub faults: Faults,
    /// The clock.
    pub clock: Clock,
}

/// The size of a population that is computed on demand from the seed, so that a million users need no memory and no
/// start-up time. Generated entities were created one per millisecond from 2024-01-01 on, and no webhooks are sent for
/// them; otherwise they behave like stored entities. A changed entity is stored in memory.
///
/// Lists by creation, counts without filters except those by time, and requests about one entity take as long as with a
/// small population; other filters and orders read all entities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generated {
    /// The number of users, up to 1,000,000,000 like the other two.
    pub users: u64,
    pub organizations: u64,
    /// The number of memberships, each of another pair of a user and an organization.
    pub memberships: u64,
}

/// Requests allowed within a window, as Clerk counts them (clerk.com/docs, "system limits").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// All requests to the Backend API.
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

    /// The limits of an instance of this kind.
    pub fn of(production: bool) -> Self {
        if production { Self::PRODUCTION } else { Self::DEVELOPMENT }
    }
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

/// The only place where the library reads the machine's clock.
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
