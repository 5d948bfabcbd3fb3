//! The endpoints of the application.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{
    errors::SvixError,
    gate::{Key, body},
    shape,
};
use crate::{
    app::App,
    webhooks::{queue::Queue, registered::Registered, sender::check},
};

/// The longest page.
const MOST: usize = 250;
/// Svix's default grace of an earlier secret, and the longest one, in seconds.
const GRACE: u32 = 86_400;
const LONGEST_GRACE: u32 = 604_800;

pub(super) type Ids = Path<(String, String)>;

#[derive(Deserialize)]
pub(super) struct Page {
    limit: Option<usize>,
    iterator: Option<String>,
    order: Option<String>,
}

impl Page {
    /// The limit, also that of the fault `page_size`.
    pub(super) fn limit(&self, app: &App) -> usize {
        let asked = self.limit.unwrap_or(50).min(MOST);
        app.faults.lock().faults().svix.page_size.map_or(asked, |most| asked.min(most))
    }

    pub(super) fn rows(&self, app: &App, mut rows: Vec<(String, Value)>) -> Json<Value> {
        if self.order.as_deref() == Some("descending") {
            rows.reverse();
        }
        Json(shape::page(&rows, self.iterator.as_deref(), self.limit(app)))
    }
}

/// The index of an endpoint, by its id or its uid.
pub(super) fn find(queue: &Queue, id: &str) -> Result<usize, SvixError> {
    let is = |endpoint: &Registered| endpoint.id == id || endpoint.uid.as_deref() == Some(id);
    let found = queue.registered().find(|(_, endpoint)| is(endpoint)).map(|(at, _)| at);
    found.ok_or_else(SvixError::not_found)
}

fn show(app: &App, endpoint: &Registered) -> Value {
    shape::endpoint(endpoint, &app.faults.lock().faults().svix)
}

/// Reads an endpoint.
fn read<T>(app: &App, id: &str, work: impl FnOnce(&Registered) -> T) -> Result<T, SvixError> {
    app.sender.with_queue(|queue| find(queue, id).map(|at| work(queue.endpoint(at))))
}

/// Changes an endpoint, which the snapshot has afterwards.
fn change<T>(app: &App, id: &str, work: impl FnOnce(&mut Registered) -> T) -> Result<T, SvixError> {
    let changed = app.sender.with_queue(|queue| find(queue, id).map(|at| queue.change(at, work)));
    app.unsaved.notify_one();
    changed
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    key: Key,
    Query(page): Query<Page>,
) -> Result<Json<Value>, SvixError> {
    key.may("ViewBase")?;
    let all: Vec<Registered> = app.sender.with_queue(|queue| queue.registered().map(|(_, it)| it.clone()).collect());
    let rows = all.iter().map(|endpoint| (endpoint.id.clone(), show(&app, endpoint))).collect();
    Ok(page.rows(&app, rows))
}

/// A field that is absent, null or has a value.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// What a request says of an endpoint. A field that is absent stays as it is; with PUT it is reset.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Given {
    url: Option<String>,
    description: Option<String>,
    #[serde(default, deserialize_with = "given")]
    uid: Option<Option<String>>,
    disabled: Option<bool>,
    #[serde(default, alias = "filterTypes", deserialize_with = "given")]
    event_types: Option<Option<BTreeSet<String>>>,
    #[serde(default, deserialize_with = "given")]
    channels: Option<Option<BTreeSet<String>>>,
    #[serde(default, alias = "rateLimit", deserialize_with = "given")]
    throttle_rate: Option<Option<u16>>,
    metadata: Option<BTreeMap<String, String>>,
    headers: Option<BTreeMap<String, String>>,
    secret: Option<String>,
}

impl Given {
    fn check(&self, url: &str, secret: &str) -> Result<(), SvixError> {
        check(url, secret).map_err(|error| SvixError::invalid(&["body", "url"], &error.to_string()))?;
        if self.event_types.as_ref().is_some_and(|types| types.as_ref().is_some_and(BTreeSet::is_empty)) {
            return Err(SvixError::invalid(&["body", "eventTypes"], "eventTypes must not be empty"));
        }
        Ok(())
    }

    fn apply(self, endpoint: &mut Registered, now: i64) {
        let Given { url, description, uid, disabled, event_types, channels, throttle_rate, metadata, headers, secret } =
            self;
        fn put<T>(place: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *place = value;
            }
        }
        put(&mut endpoint.url, url);
        put(&mut endpoint.description, description);
        put(&mut endpoint.uid, uid);
        put(&mut endpoint.event_types, event_types);
        put(&mut endpoint.channels, channels);
        put(&mut endpoint.throttle_rate, throttle_rate);
        put(&mut endpoint.metadata, metadata);
        put(&mut endpoint.headers, headers);
        put(&mut endpoint.secret, secret);
        if disabled == Some(false) {
            endpoint.failing_since = None;
        }
        put(&mut endpoint.disabled, disabled);
        endpoint.updated_at = now;
    }
}

fn is_taken(queue: &Queue, uid: Option<&str>, but: Option<usize>) -> bool {
    uid.is_some_and(|uid| {
        queue.registered().any(|(at, endpoint)| Some(at) != but && endpoint.uid.as_deref() == Some(uid))
    })
}

/// A new endpoint with what the request says.
fn made(app: &App, given: Given) -> Result<Registered, SvixError> {
    let url = given.url.clone().ok_or_else(|| SvixError::invalid(&["body", "url"], "field required"))?;
    let (id, letters) = {
        let mut instance = app.instance.lock();
        (instance.issue("ep"), instance.letters(32))
    };
    let secret = given.secret.clone().unwrap_or_else(|| format!("whsec_{letters}"));
    given.check(&url, &secret)?;
    let now = (app.clock)();
    let mut endpoint = Registered::new(id, url, secret, now);
    given.apply(&mut endpoint, now);
    Ok(endpoint)
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    key: Key,
    bytes: Bytes,
) -> Result<(StatusCode, Json<Value>), SvixError> {
    key.may("ManageEndpoint")?;
    let endpoint = made(&app, body(&bytes)?)?;
    let shown = show(&app, &endpoint);
    app.sender.with_queue(|queue| {
        if is_taken(queue, endpoint.uid.as_deref(), None) {
            return Err(SvixError::conflict());
        }
        queue.add_endpoint(endpoint);
        Ok(())
    })?;
    app.unsaved.notify_one();
    Ok((StatusCode::CREATED, Json(shown)))
}

pub(super) async fn get(State(app): State<Arc<App>>, key: Key, Path((_, id)): Ids) -> Result<Json<Value>, SvixError> {
    key.may("ViewBase")?;
    let endpoint = read(&app, &id, Registered::clone)?;
    Ok(Json(show(&app, &endpoint)))
}

/// Replaces an endpoint, or makes one whose uid is the id of the path.
pub(super) async fn put(
    State(app): State<Arc<App>>,
    key: Key,
    Path((_, id)): Ids,
    bytes: Bytes,
) -> Result<(StatusCode, Json<Value>), SvixError> {
    key.may("ManageEndpoint")?;
    let given: Given = body(&bytes)?;
    let mut endpoint = made(&app, given)?;
    let (status, shown) = app.sender.with_queue(|queue| match find(queue, &id) {
        Ok(at) => {
            queue.change(at, |old| {
                endpoint.id.clone_from(&old.id);
                endpoint.secret.clone_from(&old.secret);
                endpoint.past_secrets.clone_from(&old.past_secrets);
                endpoint.created_at = old.created_at;
                endpoint.uid = endpoint.uid.take().or_else(|| old.uid.clone());
                *old = endpoint.clone();
            });
            (StatusCode::OK, endpoint)
        }
        Err(_) => {
            endpoint.uid = endpoint.uid.take().or(Some(id));
            queue.add_endpoint(endpoint.clone());
            (StatusCode::CREATED, endpoint)
        }
    });
    app.unsaved.notify_one();
    Ok((status, Json(show(&app, &shown))))
}

pub(super) async fn patch(
    State(app): State<Arc<App>>,
    key: Key,
    Path((_, id)): Ids,
    bytes: Bytes,
) -> Result<Json<Value>, SvixError> {
    key.may("ManageEndpoint")?;
    let given: Given = body(&bytes)?;
    let now = (app.clock)();
    let endpoint = app.sender.with_queue(|queue| {
        let at = find(queue, &id)?;
        let old = queue.endpoint(at);
        given.check(given.url.as_deref().unwrap_or(&old.url), &old.secret)?;
        if is_taken(queue, given.uid.as_ref().and_then(Option::as_deref), Some(at)) {
            return Err(SvixError::conflict());
        }
        queue.change(at, |endpoint| given.apply(endpoint, now));
        Ok(queue.endpoint(at).clone())
    })?;
    app.unsaved.notify_one();
    Ok(Json(show(&app, &endpoint)))
}

pub(super) async fn delete(State(app): State<Arc<App>>, key: Key, Path((_, id)): Ids) -> Result<StatusCode, SvixError> {
    key.may("ManageEndpoint")?;
    app.sender.with_queue(|queue| find(queue, &id).map(|at| queue.delete(at)))?;
    app.unsaved.notify_one();
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn secret(
    State(app): State<Arc<App>>,
    key: Key,
    Path((_, id)): Ids,
) -> Result<Json<Value>, SvixError> {
    key.may("ViewEndpointSecret")?;
    let secret = read(&app, &id, |endpoint| endpoint.secret.clone())?;
    Ok(Json(json!({ "key": secret })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rotation {
    key: Option<String>,
    grace_period_seconds: Option<u32>,
}

pub(super) async fn rotate(
    State(app): State<Arc<App>>,
    key: Key,
    Path((_, id)): Ids,
    bytes: Bytes,
) -> Result<Json<Value>, SvixError> {
    key.may("ManageEndpointSecret")?;
    let rotation: Rotation = body(&bytes)?;
    let grace = rotation.grace_period_seconds.unwrap_or(GRACE);
    if grace > LONGEST_GRACE {
        return Err(SvixError::invalid(&["body", "gracePeriodSeconds"], "at most 604800"));
    }
    let secret = rotation.key.unwrap_or_else(|| format!("whsec_{}", app.instance.lock().letters(32)));
    check("http://127.0.0.1/", &secret).map_err(|error| SvixError::invalid(&["body", "key"], &error.to_string()))?;
    let now = (app.clock)();
    let shown = json!({ "key": secret });
    change(&app, &id, |endpoint| endpoint.rotate(secret, i64::from(grace) * 1000, now))?;
    Ok(Json(shown))
}

#[derive(Deserialize)]
struct Headers {
    headers: BTreeMap<String, Option<String>>,
}

pub(super) async fn headers(
    State(app): State<Arc<App>>,
    key: Key,
    Path((_, id)): Ids,
) -> Result<Json<Value>, SvixError> {
    key.may("ViewBase")?;
    let headers = read(&app, &id, |endpoint| endpoint.headers.clone())?;
    Ok(Json(json!({ "headers": headers, "sensitive": [] })))
}

pub(super) async fn put_headers(
    State(app): State<Arc<App>>,
    key: Key,
    Path((_, id)): Ids,
    bytes: Bytes,
) -> Result<StatusCode, SvixError> {
    key.may("ManageEndpoint")?;
    let Headers { headers } = body(&bytes)?;
    let headers = headers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    change(&app, &id, |endpoint| endpoint.headers = headers)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn patch_headers(
    State(app): State<Arc<App>>,
    key: Key,
    Path((_, id)): Ids,
    bytes: Bytes,
) -> Result<StatusCode, SvixError> {
    key.may("ManageEndpoint")?;
    let Headers { headers } = body(&bytes)?;
    change(&app, &id, |endpoint| {
        for (name, value) in headers {
            match value {
                Some(value) => drop(endpoint.headers.insert(name, value)),
                None => drop(endpoint.headers.remove(&name)),
            }
        }
    })?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn transformation(
    State(app): State<Arc<App>>,
    key: Key,
    Path((_, id)): Ids,
) -> Result<Json<Value>, SvixError> {
    key.may("ViewBase")?;
    let code = read(&app, &id, |endpoint| endpoint.transformation.clone())?;
    Ok(Json(json!({ "code": code, "enabled": code.is_some() })))
}

#[derive(Deserialize)]
struct Transformation {
    code: Option<String>,
    enabled: Option<bool>,
}

pub(super) async fn patch_transformation(
    State(app): State<Arc<App>>,
    key: Key,
    Path((_, id)): Ids,
    bytes: Bytes,
) -> Result<StatusCode, SvixError> {
    key.may("ManageTransformations")?;
    let Transformation { code, enabled } = body(&bytes)?;
    change(&app, &id, |endpoint| endpoint.transformation = code.filter(|_| enabled != Some(false)))?;
    Ok(StatusCode::NO_CONTENT)
}
