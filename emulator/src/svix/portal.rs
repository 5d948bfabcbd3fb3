//! The application, the tokens that lead to it, and the types of events.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    errors::SvixError,
    gate::{Key, body},
    shape,
};
use crate::{app::App, faults::Exchange, webhooks::registered::Registered};

/// What a key of the application may do, unless its owner restricts the key.
pub(super) const CAPABILITIES: [&str; 6] = [
    "ViewBase",
    "ViewEndpointSecret",
    "ManageEndpointSecret",
    "ManageTransformations",
    "CreateAttempts",
    "ManageEndpoint",
];

/// How long a one-time token can be exchanged, in ms. Svix does not say.
const ONE_TIME: i64 = 60_000;
/// How long a key is valid, in ms: Svix's default.
const LIFETIME: i64 = 7 * 24 * 3_600_000;

/// Every type of event that Clerk sends about users, organizations and memberships.
const TYPES: [&str; 9] = [
    "organization.created",
    "organization.deleted",
    "organization.updated",
    "organizationMembership.created",
    "organizationMembership.deleted",
    "organizationMembership.updated",
    "user.created",
    "user.deleted",
    "user.updated",
];

/// The application and its tokens.
#[derive(Debug, Default)]
pub(crate) struct Portal {
    /// The id of the application.
    pub(crate) app: Option<String>,
    /// Until when each one-time token can be exchanged.
    one_time: BTreeMap<String, i64>,
    keys: BTreeMap<String, Granted>,
    /// The messages that each background task has sent.
    pub(super) tasks: BTreeMap<String, Task>,
}

/// What a key may do, and until when.
#[derive(Clone, Debug)]
pub(super) struct Granted {
    pub(super) capabilities: BTreeSet<String>,
    until: i64,
}

/// A background task.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) kind: &'static str,
    pub(super) sent: usize,
    pub(super) at: i64,
}

/// What a snapshot has of Svix.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) app: Option<String>,
    pub(crate) endpoints: Vec<Registered>,
}

impl Portal {
    /// The portal of an application, if the instance has one.
    pub(crate) fn of(app: Option<String>) -> Self {
        Self { app, ..Self::default() }
    }

    pub(super) fn offer(&mut self, token: String, now: i64) {
        self.one_time.insert(token, now + ONE_TIME);
    }

    /// Exchanges a one-time token, once.
    fn exchange(&mut self, token: &str, key: String, capabilities: BTreeSet<String>, now: i64) -> bool {
        let is_valid = self.one_time.remove(token).is_some_and(|until| until > now);
        if is_valid {
            self.keys.insert(key, Granted { capabilities, until: now + LIFETIME });
        }
        is_valid
    }

    pub(super) fn granted(&self, key: &str, now: i64) -> Option<Granted> {
        self.keys.get(key).filter(|granted| granted.until > now).cloned()
    }

    /// Ends every token.
    pub(super) fn forget(&mut self) {
        self.one_time.clear();
        self.keys.clear();
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OneTime {
    one_time_token: String,
}

pub(super) async fn exchange(State(app): State<Arc<App>>, given: axum::body::Bytes) -> Result<Response, SvixError> {
    let OneTime { one_time_token } = body(&given)?;
    let (fault, limited) = {
        let faults = app.faults.lock();
        let svix = &faults.faults().svix;
        (svix.exchange, svix.capabilities.clone())
    };
    match fault {
        Exchange::Works => {}
        Exchange::Refused => return Err(SvixError::unauthorized()),
        Exchange::Gone => return Err(SvixError::not_found()),
        Exchange::Html => return Ok(Html("<!doctype html><title>Svix</title>").into_response()),
        Exchange::Tokenless => return Ok(Json(json!({ "capabilities": CAPABILITIES })).into_response()),
    }
    let all = || CAPABILITIES.map(str::to_owned).into();
    let capabilities: BTreeSet<String> = limited.map_or_else(all, |limited| limited.into_iter().collect());
    let key = format!("appsk_{}.local", app.instance.lock().letters(32));
    let shown = json!({ "token": key, "capabilities": capabilities });
    if !app.portal.lock().exchange(&one_time_token, key, capabilities, (app.clock)()) {
        return Err(SvixError::unauthorized());
    }
    Ok(Json(shown).into_response())
}

/// Ends a key.
pub(super) async fn logout(State(app): State<Arc<App>>, key: Key) -> StatusCode {
    app.portal.lock().keys.remove(&key.text);
    StatusCode::NO_CONTENT
}

pub(super) async fn health() -> StatusCode {
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
pub(super) struct Limit {
    limit: Option<usize>,
}

pub(super) async fn event_types(
    State(app): State<Arc<App>>,
    _key: Key,
    Query(Limit { limit }): Query<Limit>,
) -> Json<Value> {
    let at = shape::time((app.clock)());
    let shown = TYPES.iter().take(limit.unwrap_or(TYPES.len()));
    let data: Vec<Value> = shown
        .map(|name| {
            json!({ "name": name, "description": "", "archived": false, "deprecated": false, "createdAt": at,
                    "updatedAt": at })
        })
        .collect();
    Json(json!({ "data": data, "iterator": null, "prevIterator": null, "done": true }))
}
