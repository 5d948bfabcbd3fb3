//! Starts, runs and stops the emulator: listener, background tasks, snapshot.

use std::{
    collections::BTreeMap,
    fmt, io,
    net::Ipv4Addr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinSet,
};

use crate::{
    api::{self, JWKS_PATH},
    app::{App, Population},
    config::{Config, Generated},
    control,
    door::Door,
    faults::{FaultDesk, Faults, InvalidFaultSetting},
    instance::{GeneratedError, Instance, SnapshotError},
    limits::Limiter,
    lock::Lock,
    serve::serve,
    svix::{self, Portal, Stored},
    tokens::{KeyRing, MintError, TokenRequest},
    webhooks::{Delivery, Endpoint, EndpointError, queue::Queue, sender::Sender},
};

/// The delay between a change and the write of the snapshot, which includes later changes up to then.
const SAVE_DELAY: Duration = Duration::from_millis(200);

/// The reasons for which an emulator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is in use or not allowed.
    #[error("cannot listen on port {port} of 127.0.0.1")]
    Listen {
        /// The requested port.
        port: u16,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// The snapshot exists but cannot be used.
    #[error("the snapshot cannot be loaded (--snapshot)")]
    Snapshot(#[from] SnapshotError),
    /// The population cannot be generated.
    #[error("the entities cannot be generated (`generated`)")]
    Generated(#[from] GeneratedError),
    /// The webhook URL or its secret.
    #[error("the webhook endpoint cannot be used (--webhook-url, --webhook-secret)")]
    Endpoint(#[from] EndpointError),
    #[error("the fault settings are invalid")]
    Faults(#[from] InvalidFaultSetting),
    /// The HTTP client for webhooks could not be built.
    #[error("the HTTP client for webhooks cannot be created")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The sample users contradict one another, which is a bug in the emulator.
    #[error("the sample users cannot be created")]
    Samples,
}

/// A running emulator. Dropping it stops its tasks and connections at once, without a last snapshot: prefer
/// [`Emulator::stop`].
pub struct Emulator {
    app: Arc<App>,
    url: String,
    webhook_secret: String,
    stopping: watch::Sender<bool>,
    server: JoinSet<()>,
    background: JoinSet<()>,
}

impl Emulator {
    /// Listens on 127.0.0.1 and answers until [`Emulator::stop`]. Needs a tokio runtime with IO and time, of any
    /// flavour.
    ///
    /// # Errors
    ///
    /// If the port is in use, the snapshot cannot be read, a setting is malformed, or a population is impossible.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let webhook_secret = config.webhook_secret.clone();
        let listening = |source| StartError::Listen { port: config.port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port)).await.map_err(listening)?;
        let url = format!("http://{}", listener.local_addr().map_err(listening)?);
        let door = Door::new(&config.allow_hosts).and_page(&config.front_end);
        let app = build(config, &url)?;
        let (stopping, stopped) = watch::channel(false);

        let router = control::router().merge(api::router(&app)).merge(svix::router(&app)).with_state(Arc::clone(&app));
        let router = door.by_host_and_origin(router);
        let mut server = JoinSet::new();
        server.spawn(serve(listener, router, stopped));
        let mut background = JoinSet::new();
        background.spawn(Arc::clone(&app.sender).run());
        background.spawn(keep_saved(Arc::clone(&app)));
        tracing::info!(%url, "the Clerk emulator listens");
        Ok(Self { app, url, webhook_secret, stopping, server, background })
    }

    /// The address, for example `http://127.0.0.1:4401`. Clerk's SDKs call it the API URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The bearer token that the Backend API requires.
    pub fn secret_key(&self) -> &str {
        &self.app.secret_key
    }

    /// The signing secret of the configured endpoint.
    pub fn webhook_secret(&self) -> &str {
        &self.webhook_secret
    }

    /// The instance id in events and in `GET /v1/instance`.
    pub fn instance_id(&self) -> &str {
        &self.app.instance_id
    }

    /// The `iss` of session tokens.
    pub fn issuer(&self) -> &str {
        &self.app.issuer
    }

    /// The JWKS URL of session tokens: always this emulator, whatever the issuer.
    pub fn jwks_url(&self) -> String {
        format!("{}{JWKS_PATH}", self.url)
    }

    /// The public key of session tokens as PEM, for verifiers without a network.
    pub fn jwt_key(&self) -> &str {
        self.app.public_key_pem()
    }

    /// Creates a session token with any defect, as `POST /_emulator/tokens` does. Signing is slow in a debug build and
    /// blocks the thread.
    ///
    /// # Errors
    ///
    /// If the retired key is requested and the keys were never rotated.
    pub fn mint(&self, request: &TokenRequest) -> Result<String, MintError> {
        self.app.mint(request)
    }

    /// Rotates the signing keys and returns the `kid` of the new key. The JWKS still contains the earlier keys, unless
    /// they are dropped.
    #[must_use = "the result is the key's id"]
    pub fn rotate_keys(&self, drop_retired: bool) -> String {
        self.app.rotate_keys(drop_retired)
    }

    /// Replaces the fault settings and restarts the random sequence.
    ///
    /// # Errors
    ///
    /// If a rate is not between 0 and 1, or the list to which faults are limited does not exist; the settings then stay
    /// unchanged.
    pub fn set_faults(&self, faults: Faults) -> Result<(), InvalidFaultSetting> {
        faults.check()?;
        self.app.faults.lock().set(faults);
        Ok(())
    }

    /// The current fault settings.
    pub fn faults(&self) -> Faults {
        self.app.faults.lock().faults().clone()
    }

    /// Adds a webhook endpoint for changes from now on; generates a secret if none is given.
    ///
    /// # Errors
    ///
    /// If the URL is not an HTTP URL, or the secret is not `whsec_` followed by base64.
    pub fn add_endpoint(&self, url: &str, secret: Option<&str>) -> Result<Endpoint, EndpointError> {
        self.app.add_endpoint(url, secret.map(str::to_owned))
    }

    /// The number of requests to the Backend API and the public JWKS since the start, by method and route template
    /// (`GET /v1/users/{user_id}`); `*` counts unknown paths.
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.app.requests.lock().clone()
    }

    /// All deliveries since the start, in the order of the changes.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.app.sender.deliveries()
    }

    /// Sends a message again to all its endpoints, with the same svix-id. Returns the deliveries; empty if there is no
    /// such message.
    #[must_use = "an empty result means that nothing is sent"]
    pub fn replay(&self, svix_id: &str) -> Vec<Delivery> {
        self.app.sender.replay(svix_id)
    }

    /// Waits until no delivery is pending, in progress or waiting for a retry.
    pub async fn settled(&self) {
        self.app.sender.settled().await;
    }

    /// Finishes the requests in progress, aborts those that take longer than [`crate::STOP_GRACE`], and saves the
    /// snapshot. Pending deliveries are lost.
    ///
    /// # Errors
    ///
    /// If the snapshot cannot be written.
    pub async fn stop(mut self) -> Result<(), SnapshotError> {
        self.stopping.send_replace(true);
        while self.server.join_next().await.is_some() {}
        self.background.shutdown().await;
        self.app.save()
    }
}

fn build(config: Config, url: &str) -> Result<Arc<App>, StartError> {
    config.faults.check()?;
    if config.snapshot.is_some() && config.generated != Generated::default() {
        return Err(GeneratedError::Snapshot.into());
    }
    // Only an instance without a snapshot gets sample users: a snapshot without users was made on purpose.
    let saved = config.snapshot.as_deref().map(|path| Instance::load(path, config.seed));
    let population = Population {
        seed: AtomicU64::new(config.seed),
        generated: config.generated,
        users: config.users,
        announces: config.announce_samples,
    };
    let (instance, stored, announced) = match saved.transpose()?.flatten() {
        Some((instance, stored)) => (instance, stored, Vec::new()),
        None => {
            let (instance, announced) = population.instance((config.clock)())?;
            (instance, Stored::default(), announced)
        }
    };
    let queue = Queue::new(config.retry_schedule, config.concurrency);
    let sender = Sender::new(queue, config.delivery_timeout, Arc::clone(&config.clock));
    let app = App {
        secret_key: config.secret_key,
        instance_id: config.instance_id,
        production: config.production,
        issuer: config.issuer.unwrap_or_else(|| url.to_owned()),
        front_end: config.front_end,
        clock: config.clock,
        snapshot: config.snapshot,
        instance: Lock::new(instance),
        keys: Lock::new(KeyRing::default()),
        faults: Lock::new(FaultDesk::new(config.faults, config.seed)),
        sender: Arc::new(sender.map_err(|error| StartError::Client(error.into()))?),
        portal: Lock::new(Portal::of(stored.app)),
        url: url.to_owned(),
        limiter: config.rate_limits.map(Limiter::new),
        requests: Lock::new(BTreeMap::new()),
        population,
        unsaved: Notify::new(),
    };
    if let Some(url) = config.webhook_url {
        app.add_endpoint(&url, Some(config.webhook_secret))?;
        // An endpoint is one of an application.
        let mut portal = app.portal.lock();
        if portal.app.is_none() {
            // Not issued: the ids of an instance do not depend on whether there is an endpoint.
            portal.app = Some(app.instance_id.replacen("ins_", "app_", 1));
        }
    }
    for endpoint in stored.endpoints {
        app.sender.add_endpoint(endpoint)?;
    }
    app.announce(announced);
    // The times of the samples are those of this start: the next start must not create them again.
    app.unsaved.notify_one();
    Ok(Arc::new(app))
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Writes the snapshot shortly after each change. The write blocks the thread on purpose: it is short, and the end of
/// the emulator cannot interrupt it.
async fn keep_saved(app: Arc<App>) {
    loop {
        app.unsaved.notified().await;
        tokio::time::sleep(SAVE_DELAY).await;
        if let Err(error) = app.save() {
            tracing::warn!(error = &error as &dyn std::error::Error, "the snapshot cannot be saved");
        }
    }
}
