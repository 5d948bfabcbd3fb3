//! A running emulator: its start, its tasks, its end.

use std::{collections::BTreeMap, fmt, io, net::Ipv4Addr, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinSet,
};

use crate::{
    api::{self, JWKS_PATH},
    app::App,
    config::{Config, Generated},
    control,
    door::Door,
    faults::{FaultDesk, Faults, InvalidDial},
    instance::{GeneratedError, Instance, SnapshotError},
    limits::Limiter,
    lock::Lock,
    samples,
    serve::serve,
    tokens::{KeyRing, MintError, TokenRequest},
    webhooks::{Delivery, Endpoint, EndpointError, queue::Queue, sender::Sender},
};

/// How long after a change the snapshot is written, together with whatever else has changed by then.
const SAVE_DELAY: Duration = Duration::from_millis(200);

/// Why an emulator could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken or not allowed.
    #[error("cannot listen on port {port} of 127.0.0.1")]
    Listen {
        /// The port that was asked for.
        port: u16,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The snapshot exists but cannot be used.
    #[error("instance cannot be loaded")]
    Snapshot(#[from] SnapshotError),
    /// The population to generate is impossible.
    #[error("population cannot be generated")]
    Generated(#[from] GeneratedError),
    /// The webhook URL or its secret.
    #[error("first webhook endpoint cannot be used")]
    Endpoint(#[from] EndpointError),
    #[error("faults cannot be set")]
    Faults(#[from] InvalidDial),
    /// The HTTP client for webhooks could not be built.
    #[error("client for webhooks cannot be built")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The sample users contradict one another, which is a bug in the emulator.
    #[error("sample users cannot be created")]
    Samples,
}

/// A running emulator. Dropping it ends its tasks and connections at once, without a last snapshot: prefer
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
    /// If the port is taken, the snapshot unreadable, a setting malformed, or a population impossible to generate.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let webhook_secret = config.webhook_secret.clone();
        let listening = |source| StartError::Listen { port: config.port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port)).await.map_err(listening)?;
        let url = format!("http://{}", listener.local_addr().map_err(listening)?);
        let door = Door::new(&config.allow_hosts).and_page(&config.front_end);
        let app = build(config, &url)?;
        let (stopping, stopped) = watch::channel(false);

        let router = control::router().merge(api::router(&app)).with_state(Arc::clone(&app));
        let router = door.by_host_and_origin(router);
        let mut server = JoinSet::new();
        server.spawn(serve(listener, router, stopped));
        let mut background = JoinSet::new();
        background.spawn(Arc::clone(&app.sender).run());
        background.spawn(keep_saved(Arc::clone(&app)));
        tracing::info!(%url, "clerk emulator listens");
        Ok(Self { app, url, webhook_secret, stopping, server, background })
    }

    /// Where it listens, for example `http://127.0.0.1:3001`: what Clerk's SDKs call the API URL.
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

    /// The instance that events and `GET /v1/instance` name.
    pub fn instance_id(&self) -> &str {
        &self.app.instance_id
    }

    /// The `iss` of session tokens.
    pub fn issuer(&self) -> &str {
        &self.app.issuer
    }

    /// Where everybody finds the keys of session tokens: at this emulator, whatever the issuer.
    pub fn jwks_url(&self) -> String {
        format!("{}{JWKS_PATH}", self.url)
    }

    /// The public half of the key that signs session tokens now, as PEM: for verifiers that ask nobody.
    pub fn jwt_key(&self) -> &str {
        self.app.public_key_pem()
    }

    /// A session token to order, with any defect: the code behind `POST /_emulator/tokens`. Signing takes a while in
    /// a debug build, and keeps the thread busy for as long.
    ///
    /// # Errors
    ///
    /// If a retired key is to sign and the keys were never rotated.
    pub fn mint(&self, request: &TokenRequest) -> Result<String, MintError> {
        self.app.mint(request)
    }

    /// Makes the next key sign and answers with its `kid`. The JWKS shows the keys before it, too, unless they are
    /// dropped.
    #[must_use = "the answer is the key's id"]
    pub fn rotate_keys(&self, drop_retired: bool) -> String {
        self.app.rotate_keys(drop_retired)
    }

    /// Sets the fault dials and starts their dice anew.
    ///
    /// # Errors
    ///
    /// If a rate is not between 0 and 1, or faults are confined to a list that there is not; the dials then stay as
    /// they were.
    pub fn set_faults(&self, faults: Faults) -> Result<(), InvalidDial> {
        faults.check()?;
        self.app.faults.lock().set(faults);
        Ok(())
    }

    /// The fault dials as they stand.
    pub fn faults(&self) -> Faults {
        self.app.faults.lock().faults().clone()
    }

    /// Adds a webhook endpoint for changes from now on; without a secret it is given one.
    ///
    /// # Errors
    ///
    /// If the URL is not one of HTTP, or the secret not `whsec_` and base64.
    pub fn add_endpoint(&self, url: &str, secret: Option<&str>) -> Result<Endpoint, EndpointError> {
        self.app.add_endpoint(url, secret.map(str::to_owned))
    }

    /// Requests to the Backend API and for the public JWKS since the start, by method and route template
    /// (`GET /v1/users/{user_id}`); those to unknown paths count as `*`.
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.app.requests.lock().clone()
    }

    /// Every delivery since the start, in the order of the changes.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.app.sender.deliveries()
    }

    /// Sends a message again to every endpoint it was meant for, under the same svix-id. Answers with the deliveries
    /// concerned: none if there is no such message.
    #[must_use = "an empty answer means that nothing is sent"]
    pub fn replay(&self, svix_id: &str) -> Vec<Delivery> {
        self.app.sender.replay(svix_id)
    }

    /// Returns when no delivery is pending or under way, retries that wait for their time included.
    pub async fn settled(&self) {
        self.app.sender.settled().await;
    }

    /// Finishes the requests under way, ends those that take longer than [`crate::STOP_GRACE`], and saves the snapshot.
    /// Deliveries that are still pending are lost.
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
    // Only an instance that was never saved gets samples: whoever deleted them all wants it that way.
    let saved = config.snapshot.as_deref().map(|path| Instance::load(path, config.seed));
    let mut announced = Vec::new();
    let instance = if let Some(instance) = saved.transpose()?.flatten() {
        instance
    } else {
        let announce = |at, event| {
            if config.announce_samples {
                announced.push((at, event));
            }
        };
        let mut instance = Instance::generated(config.seed, config.generated)?;
        samples::fill(&mut instance, config.users, (config.clock)(), announce).map_err(|_| StartError::Samples)?;
        instance
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
        limiter: config.rate_limits.map(Limiter::new),
        requests: Lock::new(BTreeMap::new()),
        unsaved: Notify::new(),
    };
    if let Some(url) = config.webhook_url {
        app.add_endpoint(&url, Some(config.webhook_secret))?;
    }
    app.announce(announced);
    // The samples' times are those of this start: the next one must not make them up again.
    app.unsaved.notify_one();
    Ok(Arc::new(app))
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Writes the snapshot a moment after each change. The writing blocks the thread on purpose: it is small, and what is
/// never awaited cannot be cut in half by the emulator's end.
async fn keep_saved(app: Arc<App>) {
    loop {
        app.unsaved.notified().await;
        tokio::time::sleep(SAVE_DELAY).await;
        if let Err(error) = app.save() {
            tracing::warn!(error = &error as &dyn std::error::Error, "snapshot not saved");
        }
    }
}
