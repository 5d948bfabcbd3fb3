//! Builds an environment of real parts: the local stack, its functions called through API Gateway events, its DynamoDB
//! through a [`Wire`], and a clock that only the test advances.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use authorizer::Authorizer;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use clerk_emulator::{ApiFaults, Faults, TokenRequest, WebhookFaults};
use lambda_http::tower::ServiceExt;
use react::React;
use reconcile::{Order, Reconcile};
use reqwest::Method;
use rollcall::adapters::aws::backups::Backups;
use rollcall::adapters::dynamo::operations::owned_lists;
use rollcall::adapters::dynamo::row::plain;
use rollcall::core::id::{EntityId, InstanceId, Key, OrganizationId, UserId};
use rollcall::core::millis::Clock;
use rollcall::core::millis::Millis;
use rollcall::core::profile;
use rollcall::core::reconcile::run::Run;
use rollcall_cli::dev::gateway;
use rollcall_cli::dev::local_log::LocalLog;
use rollcall_cli::dev::stack::{self, Config, Stack};
use rollcall_cli::dev::stream::Feed;
use rollcall_cli::functions::Functions;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::answer::{Answer, gateway_event, read};
use crate::authorize;
use crate::events::{SAMPLE_TIME, Sent};
use crate::follow;
use crate::openapi::contract;
use crate::wire::Wire;

type Row = HashMap<String, AttributeValue>;
pub(crate) type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

pub struct World {
    /// The stack. Its emulator delivers no webhooks by itself unless configured.
    pub stack: Arc<Stack>,
    /// The wire between the function under test and DynamoDB.
    pub wire: Wire,
    /// The HTTP functions under test.
    pub functions: Functions,
    /// The react function, which processes the stream when a test calls it.
    pub react: Arc<React>,
    pub(crate) authorizer: Arc<Authorizer>,
    pub(crate) now: Arc<AtomicU64>,
    pub(crate) lookup: Lookup,
    /// The log that commands read. A test that wants lines in it makes it the subscriber's writer.
    pub log: LocalLog,
    pub(crate) feed: Mutex<Option<Feed>>,
    messages: AtomicU64,
    is_damaged: AtomicBool,
    http: reqwest::Client,
}

impl World {
    /// A world with the default settings.
    pub async fn start() -> World {
        World::with(&[]).await
    }

    /// A world with some settings of the functions, by name.
    pub async fn with(settings: &[(&str, &str)]) -> World {
        World::with_clerk(clerk_emulator::Config::default(), settings).await
    }

    /// A world with a given configuration of the emulator.
    ///
    /// # Panics
    ///
    /// If the world cannot start.
    pub async fn with_clerk(clerk: clerk_emulator::Config, settings: &[(&str, &str)]) -> World {
        let now = Arc::new(AtomicU64::new(SAMPLE_TIME));
        let reading = now.clone();
        let mut config = Config::new(Arc::new(move || millis(reading.load(Ordering::SeqCst))));
        // After a test advances the clock beyond 03:00, the stack's own run would be a second run.
        config.nightly = false;
        config.reacts = false;
        config.records = Some(runtime_folder().join("rollcall"));
        let log = config.log.clone();
        // A write-back is another difference until its event arrives.
        config.lookup = given(&[&[("METADATA_WRITEBACK", "off")], settings].concat());
        // The tests send the events themselves, in the order that they test.
        config.clerk = clerk_emulator::Config { faults: faults(ApiFaults::default()), ..clerk };
        let stack = Arc::new(Box::pin(Stack::start(config)).await.unwrap());
        let world = Box::pin(World::over(stack, now, settings)).await;
        World { log, ..world }
    }

    /// A world that runs by itself: Clerk delivers its events, the functions of the stack apply them and process the
    /// stream. Its clock advances by a millisecond at every read.
    ///
    /// # Panics
    ///
    /// If the world cannot start.
    pub async fn live(clerk: clerk_emulator::Config, settings: &[(&str, &str)]) -> World {
        let now = Arc::new(AtomicU64::new(SAMPLE_TIME));
        let reading = now.clone();
        let mut config = Config::new(Arc::new(move || millis(reading.fetch_add(1, Ordering::SeqCst))));
        config.nightly = false;
        config.clerk = clerk;
        config.records = Some(runtime_folder().join("rollcall"));
        config.lookup = given(settings);
        let stack = Arc::new(Box::pin(Stack::start(config)).await.unwrap());
        Box::pin(World::over(stack, now, settings)).await
    }

    /// Sets the faults of Clerk's API from now on.
    ///
    /// # Panics
    ///
    /// If a fault setting is invalid.
    pub fn set_faults(&self, api: ApiFaults) {
        self.stack.clerk.set_faults(faults(api)).unwrap();
    }

    /// A function on the same stack with other settings.
    pub async fn beside(&self, settings: &[(&str, &str)]) -> World {
        Box::pin(World::over(self.stack.clone(), self.now.clone(), settings)).await
    }

    async fn over(stack: Arc<Stack>, now: Arc<AtomicU64>, settings: &[(&str, &str)]) -> World {
        let wire = Wire::start(stack.addresses.dynamodb.clone()).await;
        let given = given(settings);
        let addresses = stack.addresses.clone();
        let lookup: Lookup = Arc::new(move |name| {
            let usual = || match name {
                // Tests do not wait for the rate limiter.
                "CLERK_RATE_SHARE" => Some("100".to_owned()),
                // Most tests count requests to Clerk, or compare the copy with the state in Clerk.
                "METADATA_WRITEBACK" => Some("off".to_owned()),
                name => stack::setting(&addresses, name),
            };
            given(name).or_else(usual)
        });
        let client = stack::client(wire.url()).await;
        // As every function does at its start.
        let lookup = owned_lists::lookup(move |name: &str| lookup(name), &stack.dynamodb).await.unwrap();
        let lookup: Lookup = Arc::new(lookup);
        let reading = now.clone();
        let clock: Clock = Arc::new(move || millis(reading.load(Ordering::SeqCst)));
        let functions = Functions::new(&*lookup, &client, clock).unwrap();
        let authorizer = Arc::new(authorize::function(&client, &*lookup));
        let react = Arc::new(follow::function(&client, &stack, &*lookup, &now).await);
        let feed = Mutex::new(follow::feed(&stack).await);
        let (messages, is_damaged, http) = (AtomicU64::new(0), AtomicBool::new(false), reqwest::Client::new());
        let log = LocalLog::default();
        World { log, stack, wire, functions, react, authorizer, now, lookup, feed, messages, is_damaged, http }
    }

    /// The current time of the clock.
    pub fn now(&self) -> Millis {
        millis(self.now.load(Ordering::SeqCst))
    }

    /// The clock, for a function that the test creates.
    pub fn clock(&self) -> Clock {
        let now = self.now.clone();
        Arc::new(move || millis(now.load(Ordering::SeqCst)))
    }

    /// Sets the clock, in Unix ms.
    pub fn set_now(&self, now: u64) {
        self.now.store(now, Ordering::SeqCst);
    }

    /// Signs an event as a new message.
    pub fn sign(&self, event: &Value) -> Sent {
        let id = format!("msg_{}", self.messages.fetch_add(1, Ordering::SeqCst));
        Sent::signed(event.to_string().into_bytes(), &id, &self.stack.addresses.webhook_secret, self.now())
    }

    /// Signs an event and invokes the webhook with it.
    pub async fn post(&self, event: &Value) -> Answer {
        self.send(&self.sign(event)).await
    }

    /// Invokes the webhook with a message as API Gateway does.
    pub async fn send(&self, sent: &Sent) -> Answer {
        self.invoke(gateway_event(sent, false)).await
    }

    /// Invokes the webhook with a message in base64.
    pub async fn send_base64(&self, sent: &Sent) -> Answer {
        self.invoke(gateway_event(sent, true)).await
    }

    /// Invokes the webhook with any event.
    ///
    /// # Panics
    ///
    /// If the answer cannot be read.
    pub async fn invoke(&self, event: Value) -> Answer {
        self.invoke_function("webhook", event).await
    }

    /// Invokes ensure-profile with any event.
    ///
    /// # Panics
    ///
    /// If the answer cannot be read.
    pub async fn invoke_ensure(&self, event: Value) -> Answer {
        self.invoke_function("ensure-profile", event).await
    }

    /// Invokes an HTTP function, by its name in the registry, with any event.
    ///
    /// # Panics
    ///
    /// If there is no such function, or the answer cannot be read.
    pub async fn invoke_function(&self, name: &str, event: Value) -> Answer {
        let route = event["requestContext"]["routeKey"].as_str().unwrap_or_default().to_owned();
        let answer = read(self.functions.clone().invoke(name, event).await.unwrap()).await;
        self.check(&route, &answer);
        answer
    }

    /// From now on responses may lack members that docs/openapi.json requires: a test has damaged the rows that they are
    /// made from.
    pub fn expect_damaged_rows(&self) {
        self.is_damaged.store(true, Ordering::SeqCst);
    }

    fn check(&self, route: &str, answer: &Answer) {
        if !self.is_damaged.load(Ordering::SeqCst) {
            contract::check(route, answer);
        }
    }

    /// The API over the functions under test, to be served.
    pub fn router(&self) -> axum::Router {
        gateway::router(self.functions.clone())
    }

    /// Sends a request without a body to the API over the functions under test.
    ///
    /// # Panics
    ///
    /// If the request is none.
    pub async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.call_with(method, path, headers, String::new()).await
    }

    /// Sends a request to the API over the functions under test, as a browser would.
    ///
    /// # Panics
    ///
    /// If the request is none.
    pub async fn call_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<axum::body::Body>,
    ) -> Answer {
        let mut request = http::Request::builder().method(method).uri(path).header("host", "api.example.com");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let answer = read(self.router().oneshot(request).await.unwrap()).await;
        let path = path.split(['?', '#']).next().unwrap_or_default();
        if let Some((_, route)) = rollcall_cli::functions::route(method, path) {
            self.check(route, &answer);
        }
        answer
    }

    /// `POST /profiles/ensure` with a session token.
    pub async fn ensure(&self, token: &str) -> Answer {
        self.call("POST", "/profiles/ensure", &[("authorization", &format!("Bearer {token}"))]).await
    }

    /// A new instance of the reconcile function.
    ///
    /// # Panics
    ///
    /// If the settings are incomplete.
    pub async fn reconciler(&self) -> Reconcile {
        let settings = reconcile::settings::Settings::read(&*self.lookup).unwrap();
        let backups = Backups::for_removal(&settings.removal, &stack::local_config(self.wire.url()).await);
        Reconcile::new(settings, &stack::client(self.wire.url()).await, backups, self.clock())
    }

    /// A run of reconcile, from its start or from where it was interrupted.
    ///
    /// # Panics
    ///
    /// If the run fails, or another run is active.
    pub async fn reconcile(&self) -> Run {
        let reconciler = self.reconciler().await;
        reconciler.run(&Order::Run(reconciler.policy()), None, &|_| ()).await.unwrap().run.unwrap()
    }

    /// The rest of a run whose deletions were pending approval.
    ///
    /// # Panics
    ///
    /// If the run fails, or another run is active.
    pub async fn approve(&self, run: &Run) -> Run {
        let order = Order::Approve(run.run.clone());
        self.reconciler().await.run(&order, None, &|_| ()).await.unwrap().run.unwrap()
    }

    /// A session token of the emulated Clerk.
    ///
    /// # Panics
    ///
    /// If the token cannot be created.
    pub fn token(&self, request: &TokenRequest) -> String {
        self.stack.clerk.mint(request).unwrap()
    }

    /// A session token of a user who is active in an organization.
    pub fn session(&self, user: &str, organization: Option<&str>) -> String {
        self.token(&TokenRequest { organization_id: organization.map(str::to_owned), ..TokenRequest::new(user) })
    }

    /// The row of an entity in the Directory.
    ///
    /// # Panics
    ///
    /// If DynamoDB does not answer.
    pub async fn item(&self, entity: &EntityId) -> Option<Value> {
        let instance: InstanceId = self.stack.addresses.clerk_instance_id.parse().unwrap();
        let key = entity.key(&instance);
        let text = AttributeValue::S;
        let table = &self.stack.addresses.directory_table;
        let request = self.stack.dynamodb.get_item().table_name(table).consistent_read(true);
        let found = request.key("pk", text(key.pk)).key("sk", text(key.sk)).send().await.unwrap().item;
        found.map(|item| serde_dynamo::from_item(item).unwrap())
    }

    /// All rows of a table, in the order of their keys.
    ///
    /// # Panics
    ///
    /// If DynamoDB does not answer.
    pub async fn rows(&self, table: &str) -> Vec<Value> {
        let scan = self.stack.dynamodb.scan().table_name(table).consistent_read(true);
        let pages = scan.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await.unwrap();
        // Binary values are in base64, because JSON has no binary type.
        let read = |row: Row| serde_dynamo::from_item(row.clone()).unwrap_or_else(|_| Value::Object(plain(row)));
        let mut rows: Vec<Value> = pages.into_iter().map(read).collect();
        rows.sort_by_key(|row| format!("{} {}", row["pk"], row["sk"]));
        rows
    }

    /// Puts a row into a table without a condition, as an application or an operator would.
    ///
    /// # Panics
    ///
    /// If DynamoDB rejects the row.
    pub async fn put(&self, table: &str, row: &Value) {
        let row = serde_dynamo::to_item(row).unwrap();
        self.stack.dynamodb.put_item().table_name(table).set_item(Some(row)).send().await.unwrap();
    }

    /// All rows of the Directory.
    pub async fn directory(&self) -> Vec<Value> {
        self.rows(&self.stack.addresses.directory_table).await
    }

    /// All stored rows of a user and a membership: the user, the organization, the membership, and the two records in
    /// Profiles.
    ///
    /// # Panics
    ///
    /// If DynamoDB does not answer, or leaves something out.
    pub async fn stored(&self, user: &str, organization: &str) -> [Option<Value>; 5] {
        let instance: InstanceId = self.stack.addresses.clerk_instance_id.parse().unwrap();
        let (user, organization) = (user.parse::<UserId>().unwrap(), organization.parse::<OrganizationId>().unwrap());
        let membership = EntityId::Membership { user: user.clone(), organization: organization.clone() };
        let (directory, profiles) = (&self.stack.addresses.directory_table, &self.stack.addresses.profiles_table);
        let keys = [
            (directory, EntityId::User(user.clone()).key(&instance)),
            (directory, EntityId::Organization(organization.clone()).key(&instance)),
            (directory, membership.key(&instance)),
            (profiles, profile::user_key(&instance, &user)),
            (profiles, profile::membership_key(&instance, &user, &organization)),
        ];
        let mut request = self.stack.dynamodb.batch_get_item();
        for table in [directory, profiles] {
            let of_table = keys.iter().filter(|(of, _)| *of == table).map(|(_, key)| {
                let text = |text: &str| AttributeValue::S(text.to_owned());
                HashMap::from([("pk".to_owned(), text(&key.pk)), ("sk".to_owned(), text(&key.sk))])
            });
            let of_table = KeysAndAttributes::builder().set_keys(Some(of_table.collect())).consistent_read(true);
            request = request.request_items(table, of_table.build().unwrap());
        }
        let found = request.send().await.unwrap();
        assert!(found.unprocessed_keys().is_none_or(HashMap::is_empty));
        let tables = found.responses.unwrap_or_default();
        let find = |(table, key): (&String, Key)| {
            let mut rows =
                tables.get(table).into_iter().flatten().cloned().map(|row| serde_dynamo::from_item(row).unwrap());
            rows.find(|row: &Value| row["pk"] == key.pk && row["sk"] == key.sk)
        };
        keys.map(find)
    }

    /// All rows of the Profiles table.
    pub async fn profiles(&self) -> Vec<Value> {
        self.rows(&self.stack.addresses.profiles_table).await
    }

    /// All rows of the Operations table.
    pub async fn operations(&self) -> Vec<Value> {
        self.rows(&self.stack.addresses.operations_table).await
    }

    /// The quarantine notes of a message id, of all days.
    ///
    /// # Panics
    ///
    /// If DynamoDB does not answer.
    pub async fn note(&self, id: &str) -> Vec<Value> {
        let scan = self.stack.dynamodb.scan().table_name(&self.stack.addresses.operations_table);
        let scan =
            scan.filter_expression("sk = :id").expression_attribute_values(":id", AttributeValue::S(id.to_owned()));
        let rows = scan.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await.unwrap();
        rows.into_iter().map(|row| serde_dynamo::from_item(row).unwrap()).collect()
    }

    /// Calls the emulator's Backend API, as `("POST", "/users", …)`.
    ///
    /// # Panics
    ///
    /// If it does not answer in 2xx.
    pub async fn clerk(&self, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}/v1{path}", self.stack.addresses.clerk);
        let request = self
            .http
            .request(Method::from_bytes(method.as_bytes()).unwrap(), url)
            .bearer_auth(&self.stack.addresses.clerk_secret_key);
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "{method} {path} answered {status} {body}");
        body
    }

    /// The number of requests to the emulator's Backend API.
    pub fn clerk_calls(&self) -> u64 {
        let requests = self.stack.clerk.requests();
        requests.iter().filter(|(route, _)| route.contains(" /v1/")).map(|(_, count)| count).sum()
    }
}

/// Only the tests send events.
/// The value of `XDG_RUNTIME_DIR` for commands on the stacks of tests.
pub fn runtime_folder() -> PathBuf {
    std::env::temp_dir().join("rollcall-tests")
}

/// Settings by name; of two values for one name the last counts.
fn given(settings: &[(&str, &str)]) -> Lookup {
    let settings: HashMap<String, String> =
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Arc::new(move |name| settings.get(name).cloned())
}

fn faults(api: ApiFaults) -> Faults {
    Faults { webhooks: WebhookFaults { drop: 1.0, ..WebhookFaults::default() }, api, ..Faults::default() }
}

pub(crate) fn millis(value: u64) -> Millis {
    i64::try_from(value).ok().and_then(|value| Millis::try_from(value).ok()).unwrap()
}

/// Serves given responses on a free port, for responses that no emulator returns, and returns the URL.
///
/// # Panics
///
/// If no port can be listened on.
pub async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}
