//! Starts and stops the local stack: an embedded DynamoDB, a Clerk emulator and the functions, on loopback ports of one
//! process.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use aws_config::{Region, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodbstreams::Client as Streams;
use clerk_emulator::claim::Claim;
use clerk_emulator::{Door, Emulator, HostName};
use react::React;
use reconcile::Reconcile;
use rollcall::adapters::aws::backups::Backups;
use rollcall::adapters::aws::event_bus::Bus;
use rollcall::adapters::dynamo::operations::owned_lists;
use rollcall::core::session::origins::Origins;
use rollcall::settings::variables::CLERK_WEBHOOK_SIGNING_SECRET;
use tempfile::TempPath;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::addresses::publishable_key;
pub use super::addresses::{Addresses, setting};
use super::database;
use super::folder;
use super::gateway;
use super::local_log::{LocalLog, Removed};
use super::places::{self, Folder};
use super::record::{self, Published, Record};
use super::schedule;
use super::server::Server;
use super::stream::{Feed, Looks};
use super::tables::{self, Tables};
use crate::Clock;
use crate::functions::{FUNCTIONS, Functions};

/// Where Next.js serves. Pages of this origin are allowed besides those of Vite.
const NEXT_JS: &str = "http://localhost:3000";

/// Returns the value of a setting.
pub type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The configuration of a stack.
#[derive(Clone)]
pub struct Config {
    /// Port of the functions; 0 selects a free port.
    pub port: u16,
    /// Port of the Clerk emulator.
    pub clerk_port: u16,
    pub dynamodb_port: u16,
    /// Additional host names that requests may name, besides those of this machine.
    pub allow_hosts: Vec<HostName>,
    /// The folder of the data, which stays after the stop; `None` for memory only.
    pub data: Option<PathBuf>,
    /// The folder in which the record of the stack is published; `None` for a stack that commands need not find.
    pub records: Option<PathBuf>,
    /// The log of the functions, which the stack opens; the process decides what comes through it.
    pub log: LocalLog,
    /// Whether reconcile runs every night.
    pub nightly: bool,
    /// Whether react processes the stream.
    pub reacts: bool,
    /// The configuration of the emulator. The stack overrides port, clock, snapshot and endpoint.
    pub clerk: clerk_emulator::Config,
    /// The secrets that the webhook accepts, separated by spaces; the emulator signs with the first.
    pub webhook_secrets: String,
    /// Further settings of the functions, as `DELETION_POLICY`, by name.
    pub lookup: Lookup,
    /// The clock.
    pub clock: Clock,
}

impl Config {
    /// The configuration of a stack on free ports, in memory, without users.
    pub fn new(clock: Clock) -> Config {
        Config {
            port: 0,
            clerk_port: 0,
            dynamodb_port: 0,
            allow_hosts: Vec::new(),
            data: None,
            records: None,
            log: LocalLog::default(),
            nightly: true,
            reacts: true,
            clerk: clerk_emulator::Config::default(),
            webhook_secrets: clerk_emulator::WEBHOOK_SECRET.to_owned(),
            lookup: Arc::new(|_| None),
            clock,
        }
    }
}

/// A running stack. Dropping it stops it at once; [`Stack::stop`] stops it cleanly.
pub struct Stack {
    pub addresses: Addresses,
    /// A client of the stack's DynamoDB.
    pub dynamodb: Client,
    pub clerk: Emulator,
    /// The functions, for tests that invoke them directly.
    pub functions: Functions,
    /// The reconcile function, which the schedule invokes.
    pub reconcile: Arc<Reconcile>,
    schedule: Option<Server>,
    stream: Option<Server>,
    looks: watch::Receiver<Looks>,
    api: Server,
    database: Server,
    /// Where commands find the stack.
    _record: Option<Published>,
    /// Locks the folder.
    _claim: Option<Claim>,
    /// Removes the temporary files of the bus, the backups and the log when the stack is dropped.
    _left: (Option<TempPath>, Option<Folder>, Option<Removed>),
}

impl Stack {
    /// Starts all parts and returns when all of them answer.
    ///
    /// # Errors
    ///
    /// If a port is in use, the folder cannot be used, or a setting is malformed.
    pub async fn start(config: Config) -> anyhow::Result<Stack> {
        // Before anything else: a second process must not change the files of the first.
        let claim = config.data.as_deref().map(folder::claim).transpose()?;
        let tables = Tables::default();
        let door = Door::new(&config.allow_hosts);

        let listener = listen(config.dynamodb_port, "--dynamodb-port").await?;
        let dynamodb_url = format!("http://{}", listener.local_addr()?);
        let database = places::database(config.data.as_deref())?;
        let router = door.by_host_and_origin(database::router(database));
        let database = Server::spawn(|stop| async move {
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop).await {
                tracing::error!(%error, "the embedded DynamoDB stopped");
            }
        });
        let dynamodb = client(&dynamodb_url).await;
        tables::create(&dynamodb, &tables).await?;

        // The emulator needs the functions' address before they run: requests that it sends meanwhile wait in the
        // listener's queue.
        let listener = listen(config.port, "--port").await?;
        let api = format!("http://{}", listener.local_addr()?);
        let clock = config.clock.clone();
        let allowed_origins =
            (config.lookup)("ALLOWED_ORIGINS").unwrap_or_else(|| format!("{} {NEXT_JS}", config.clerk.front_end));
        let front_end = Origins::parse(&allowed_origins).and_then(|origins| origins.home().map(str::to_owned));
        let has_rate_limits = config.clerk.rate_limits.is_some();
        let clerk = Emulator::start(clerk_emulator::Config {
            port: config.clerk_port,
            allow_hosts: config.allow_hosts,
            webhook_url: Some(format!("{api}/webhooks/clerk")),
            webhook_secret: config.webhook_secrets.split_whitespace().next().unwrap_or_default().to_owned(),
            announce_samples: true,
            front_end: front_end.unwrap_or(config.clerk.front_end),
            snapshot: config.data.as_deref().map(|data| data.join("clerk.json")),
            clock: Arc::new(move || i64::try_from(clock().get()).unwrap_or(i64::MAX)),
            ..config.clerk
        })
        .await
        .context("starting the Clerk emulator (--clerk-port)")?;

        let (event_bus, bus) = places::bus(config.data.as_deref())?;
        let (backups, folder) = places::backups(config.data.as_deref(), &dynamodb_url)?;
        let addresses = Addresses {
            backups: backups.to_string_lossy().into_owned(),
            event_bus: event_bus.to_string_lossy().into_owned(),
            api,
            clerk: clerk.url().to_owned(),
            dynamodb: dynamodb_url,
            clerk_secret_key: clerk.secret_key().to_owned(),
            clerk_publishable_key: publishable_key(clerk.url()),
            webhook_secret: clerk.webhook_secret().to_owned(),
            clerk_instance_id: clerk.instance_id().to_owned(),
            clerk_issuer: clerk.issuer().to_owned(),
            clerk_jwks_url: clerk.jwks_url(),
            allowed_origins,
            directory_table: tables.directory,
            profiles_table: tables.profiles,
            operations_table: tables.operations,
        };
        let (secrets, ours, given) = (config.webhook_secrets.clone(), addresses.clone(), config.lookup.clone());
        let lookup = move |name: &str| match name {
            "CLERK_WEBHOOK_SECRET" => Some(secrets.clone()),
            // Already taken into account.
            CLERK_WEBHOOK_SIGNING_SECRET => None,
            name => setting(&ours, name).or_else(|| given(name)).or_else(|| usual(name)),
        };
        let data = config.data.as_deref().map(Path::canonicalize).transpose()?;
        let record = Record {
            process: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            log: log_file(data.as_deref(), config.records.as_deref(), &addresses.api),
            data,
            addresses: addresses.clone(),
            settings: settings(&lookup),
            rate_limits: has_rate_limits,
        };
        // Before the functions start.
        let log = open_log(&config.log, &record)?;
        let lookup = owned_lists::lookup(lookup, &dynamodb).await?;
        let functions = Functions::new(&lookup, &dynamodb, config.clock.clone())?;
        let settings = reconcile::settings::Settings::read(&lookup)?;
        let aws = local_config(&addresses.dynamodb).await;
        let backups = Backups::for_removal(&settings.removal, &aws);
        let reconcile = Arc::new(Reconcile::new(settings, &dynamodb, backups, config.clock.clone()));
        let settings = react::settings::Settings::read(&lookup)?;
        let backups = Backups::for_removal(&settings.removal, &aws);
        let react = Arc::new(React::new(settings, &dynamodb, backups, Bus::File(event_bus), config.clock.clone()));
        let (looked, looks) = watch::channel(Looks::default());
        let feed = if config.reacts { feed(&dynamodb, &addresses, config.data.as_deref()).await? } else { None };
        let stream = feed.map(|feed| Server::spawn_forever(feed.follow(react, looked)));
        let schedule = config.nightly;
        let schedule = schedule.then(|| Server::spawn_forever(schedule::run(reconcile.clone(), config.clock)));
        let router = door.by_host(gateway::router(functions.clone()));
        let api = Server::spawn(|stop| async move {
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop).await {
                tracing::error!(%error, "the HTTP API stopped");
            }
        });
        let record = config.records.map(|folder| {
            let published = record::publish(&folder, &record);
            published.with_context(|| format!("writing the record of the stack to {}", folder.display()))
        });
        let record = record.transpose()?;
        Ok(Stack {
            addresses,
            dynamodb,
            clerk,
            functions,
            reconcile,
            schedule,
            stream,
            looks,
            api,
            database,
            _record: record,
            _claim: claim,
            _left: (bus, folder, log),
        })
    }

    /// Waits until every change in Clerk is delivered and its effects are complete.
    ///
    /// # Panics
    ///
    /// Never: the task that reads the stream lives as long as the stack.
    pub async fn settled(&self) {
        loop {
            self.clerk.settled().await;
            let Some(_) = &self.stream else { return };
            let mut looks = self.looks.clone();
            let before = looks.borrow_and_update().records;
            // One read may have begun before the last write.
            for _ in 0..2 {
                if looks.changed().await.is_err() {
                    return;
                }
            }
            let quiet = looks.wait_for(|looks| looks.empty >= 2).await.map(|looks| looks.records);
            if quiet.is_ok_and(|records| records == before) {
                return;
            }
        }
    }

    /// Stops all parts: requests in progress are answered, the data of the emulator are saved.
    ///
    /// # Errors
    ///
    /// If the emulator's data cannot be saved.
    pub async fn stop(self) -> anyhow::Result<()> {
        // In the order in which the parts call each other.
        if let Some(schedule) = self.schedule {
            schedule.stop().await;
        }
        if let Some(stream) = self.stream {
            stream.stop().await;
        }
        let saved = self.clerk.stop().await;
        self.api.stop().await;
        self.database.stop().await;
        Ok(saved?)
    }
}

/// The file of the log: in the folder of the data, or beside the record of a stack in memory.
fn log_file(data: Option<&Path>, records: Option<&Path>, api: &str) -> Option<PathBuf> {
    let beside = || Some(records?.join(format!("{}.ndjson", api.rsplit(':').next()?)));
    data.map(|data| data.join("log.ndjson")).or_else(beside)
}

/// Opens the log of the stack of this record. That of a stack in memory is removed when the answer is dropped.
fn open_log(log: &LocalLog, record: &Record) -> anyhow::Result<Option<Removed>> {
    let Some(path) = &record.log else { return Ok(None) };
    let opened = match (&record.data, path.parent()) {
        (Some(_), _) => log.open(path).map(|()| None),
        (None, Some(folder)) => record::make_folder(folder).and_then(|()| log.open_until_dropped(path)).map(Some),
        (None, None) => Ok(None),
    };
    opened.with_context(|| format!("opening the log {}", path.display()))
}

/// Opens the Directory's stream at the saved position, if the table has a stream.
async fn feed(dynamodb: &Client, addresses: &Addresses, data: Option<&Path>) -> anyhow::Result<Option<Feed>> {
    let file = data.map(|data| data.join("stream.json"));
    let streams = streams(&addresses.dynamodb).await;
    Feed::open(dynamodb, streams, &addresses.directory_table, file).await
}

/// The settings of all functions that are set, by name.
fn settings(lookup: impl Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
    let names = FUNCTIONS.iter().flat_map(|function| function.variables()).map(|variable| variable.name);
    names.filter_map(|name| Some((name.to_owned(), lookup(name)?))).collect()
}

/// The defaults of the local stack.
fn usual(name: &str) -> Option<String> {
    // The local stack is the only client of its Clerk emulator.
    (name == "CLERK_RATE_SHARE").then(|| "100".to_owned())
}

/// A client of the streams of a DynamoDB on this machine.
pub async fn streams(url: &str) -> Streams {
    Streams::new(&local_config(url).await)
}

/// A client of a DynamoDB on this machine.
pub async fn client(url: &str) -> Client {
    rollcall::adapters::dynamo::client::client(&local_config(url).await)
}

/// The configuration of a client of a local DynamoDB, which requires credentials but does not check them.
pub async fn local_config(url: &str) -> SdkConfig {
    let loader = rollcall::adapters::aws::config::loader()
        .endpoint_url(url)
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local"));
    loader.load().await
}

async fn listen(port: u16, option: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    listener.with_context(|| {
        format!("cannot listen on port {port} of 127.0.0.1: choose another port with {option}, or 0 for a free port")
    })
}
