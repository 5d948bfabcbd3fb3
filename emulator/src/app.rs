//! State shared by all handlers; applies a change and queues its events.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    extract::{FromRequestParts, MatchedPath},
    http::{header::USER_AGENT, request::Parts},
};
use tokio::sync::Notify;

use crate::{
    churn,
    config::{Clock, Generated},
    emulator::StartError,
    errors::ApiError,
    faults::{FaultDesk, Faults, Intrusion},
    instance::{Change, Instance, SnapshotError, snapshot},
    limits::Limiter,
    lock::Lock,
    samples,
    svix::{Portal, Stored},
    tokens::KeyRing,
    webhooks::{Endpoint, EndpointError, Event, registered::Registered, sender::Sender},
};

/// The user agent of events that no request caused.
const SAMPLES_AGENT: &str = "clerk-emulator (samples)";

/// The user agent of simulated changes (fault setting `churn`).
const CHURN_AGENT: &str = "clerk-emulator (churn)";

pub(crate) struct App {
    pub(crate) secret_key: String,
    pub(crate) instance_id: String,
    pub(crate) production: bool,
    /// The `iss` of session tokens.
    pub(crate) issuer: String,
    /// The `azp` of session tokens that were requested without an `Origin`.
    pub(crate) front_end: String,
    pub(crate) clock: Clock,
    pub(crate) snapshot: Option<PathBuf>,
    pub(crate) instance: Lock<Instance>,
    pub(crate) keys: Lock<KeyRing>,
    pub(crate) faults: Lock<FaultDesk>,
    pub(crate) sender: Arc<Sender>,
    pub(crate) portal: Lock<Portal>,
    /// The emulator's own address.
    pub(crate) url: String,
    pub(crate) limiter: Option<Limiter>,
    /// Requests by method and route template.
    pub(crate) requests: Lock<BTreeMap<String, u64>>,
    /// The population at the start, for a reset.
    pub(crate) population: Population,
    /// Notified when the instance differs from its snapshot.
    pub(crate) unsaved: Notify,
}

/// The population of a new instance.
pub(crate) struct Population {
    /// The seed of the next instance: a svix-id must not be issued twice.
    pub(crate) seed: AtomicU64,
    pub(crate) generated: Generated,
    /// The number of sample users.
    pub(crate) users: usize,
    /// Whether webhooks are sent for the sample users.
    pub(crate) announces: bool,
}

impl Population {
    /// A new instance, and the events of its sample users.
    pub(crate) fn instance(&self, now: i64) -> Result<(Instance, Vec<(i64, Event)>), StartError> {
        let seed = self.seed.fetch_add(1, Ordering::Relaxed);
        let mut instance = Instance::generated(seed, self.generated)?;
        let mut announced = Vec::new();
        let announce = |at, event| {
            if self.announces {
                announced.push((at, event));
            }
        };
        samples::fill(&mut instance, self.users, now, announce).map_err(|_| StartError::Samples)?;
        Ok((instance, announced))
    }
}

impl App {
    /// Replaces the instance by a new one with new sample users, and switches off all faults.
    pub(crate) fn reset(&self) -> Result<(), StartError> {
        let (instance, announced) = self.population.instance((self.clock)())?;
        *self.instance.lock() = instance;
        self.faults.lock().set(Faults::default());
        self.announce(announced);
        self.unsaved.notify_one();
        Ok(())
    }

    /// Makes one change and queues its events in the order of the changes: the instance stays locked until then.
    pub(crate) fn change<T>(
        &self,
        user_agent: &str,
        make: impl FnOnce(&mut Change<'_>) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut instance = self.instance.lock();
        let mut faults = self.faults.lock();
        let now = (self.clock)();
        let settings = faults.faults();
        let (cascades, variants) = (settings.webhooks.cascade_membership_events, settings.variants.clone());
        let mut change = Change::at(now, &mut instance, cascades, variants);
        let answer = make(&mut change)?;
        let events = change.into_events();
        for event in events {
            self.send(&mut instance, &mut faults, event, now, user_agent);
        }
        self.unsaved.notify_one();
        Ok(answer)
    }

    /// Makes a simulated change, with its events.
    fn intrude(&self, intrusion: Intrusion) {
        let struck = self.change(CHURN_AGENT, |change| churn::strike(change, intrusion));
        if let Err(error) = struck {
            tracing::debug!(?error, change = ?intrusion.shift, "the simulated change during a listing (fault `churn`) was not possible");
        }
    }

    /// Sends the events of the sample users.
    pub(crate) fn announce(&self, samples: Vec<(i64, Event)>) {
        let (mut instance, mut faults) = (self.instance.lock(), self.faults.lock());
        for (at, event) in samples {
            self.send(&mut instance, &mut faults, event, at, SAMPLES_AGENT);
        }
    }

    fn send(&self, instance: &mut Instance, faults: &mut FaultDesk, event: Event, at: i64, user_agent: &str) {
        if faults.faults().svix.silent {
            return;
        }
        let body = event.envelope(&self.instance_id, at, user_agent).to_string();
        // The id comes from the instance, whose snapshot contains the counter of issued ids: a svix-id is a receiver's
        // idempotency key and must not be issued again after a restart.
        self.sender.push(instance.issue("msg"), event, body, at, || faults.message());
    }

    /// Adds an endpoint of the configuration or of a test; generates a secret if none is given.
    pub(crate) fn add_endpoint(&self, url: &str, secret: Option<String>) -> Result<Endpoint, EndpointError> {
        let mut instance = self.instance.lock();
        // 32 letters and digits are the base64 of some 24 bytes, the length of Svix's own secrets.
        let secret = secret.unwrap_or_else(|| format!("whsec_{}", instance.letters(32)));
        let endpoint = Registered::new(instance.issue("ep"), url.to_owned(), secret, (self.clock)());
        let endpoint = Registered { is_configured: true, ..endpoint };
        let shown = endpoint.shown();
        self.sender.add_endpoint(endpoint)?;
        Ok(shown)
    }

    /// What a snapshot has of Svix: the endpoints that were made with Svix's routes. Others belong to the configuration.
    fn stored(&self) -> Stored {
        let app = self.portal.lock().app.clone();
        let endpoints = self.sender.with_queue(|queue| {
            let own = queue.registered().filter(|(_, endpoint)| !endpoint.is_configured);
            own.map(|(_, endpoint)| endpoint.clone()).collect()
        });
        Stored { app, endpoints }
    }

    pub(crate) fn save(&self) -> Result<(), SnapshotError> {
        let Some(path) = &self.snapshot else { return Ok(()) };
        let contents = self.instance.lock().to_snapshot(&self.stored())?;
        snapshot::write(path, &contents)
    }
}

/// The context of one request.
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    /// The template of the route, for example `/v1/users/{user_id}`.
    template: String,
    user_agent: String,
}

impl Call {
    pub(crate) fn change<T>(&self, make: impl FnOnce(&mut Change<'_>) -> Result<T, ApiError>) -> Result<T, ApiError> {
        self.app.change(&self.user_agent, make)
    }

    /// The rows of a page after the faults: `rows` has up to `limit` rows and the row after the page. Afterwards a
    /// simulated change may follow.
    pub(crate) fn shown<T: Clone>(&self, limit: usize, rows: Vec<T>) -> Vec<T> {
        let (shown, intrusion) = {
            let mut faults = self.app.faults.lock();
            (faults.page(&self.template, limit, rows), faults.intrusion())
        };
        if let Some(intrusion) = intrusion {
            self.app.intrude(intrusion);
        }
        shown
    }
}

impl FromRequestParts<Arc<App>> for Call {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let user_agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        let template = parts.extensions.get::<MatchedPath>().map_or("*", MatchedPath::as_str).to_owned();
        Ok(Self { app: Arc::clone(app), template, user_agent: user_agent.unwrap_or_default().to_owned() })
    }
}
