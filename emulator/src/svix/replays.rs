//! Messages that are sent again, and the background tasks that do so.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    endpoints::{Ids, find},
    errors::SvixError,
    gate::{Key, body},
    portal::Task,
    shape,
};
use crate::{
    app::App,
    faults::TaskFault,
    webhooks::{DeliveryState, message::Message, queue::Queue},
};

/// The open-source server recovers messages of so many days, in ms.
const RECOVERED: i64 = 14 * 24 * 3_600_000;

#[derive(Deserialize)]
struct Window {
    since: String,
    until: Option<String>,
}

impl Window {
    /// From and to, in unix ms.
    fn read(bytes: &Bytes, now: i64) -> Result<(i64, i64), SvixError> {
        let Window { since, until } = body(bytes)?;
        let time = |text: &str, name: &str| {
            shape::ms(text).ok_or_else(|| SvixError::invalid(&["body", name], "a time in RFC 3339 is expected"))
        };
        let until = until.map(|until| time(&until, "until")).transpose()?.unwrap_or(now + 1);
        Ok((time(&since, "since")?, until))
    }
}

/// The messages of an endpoint in a window, chosen by what became of them there: nothing if they were never sent.
fn chosen(
    queue: &Queue,
    endpoint: usize,
    (since, until): (i64, i64),
    is_chosen: impl Fn(Option<(DeliveryState, usize)>) -> bool,
) -> Vec<Arc<Message>> {
    let here: Vec<_> = queue.followed().filter(|one| one.endpoint == endpoint).collect();
    let fate = |message: &Arc<Message>| {
        let one = here.iter().find(|one| one.message.svix_id == message.svix_id);
        one.map(|one| (one.state, one.attempts.len()))
    };
    let accepts = |message: &Arc<Message>| queue.endpoint(endpoint).accepts(&message.event_type);
    let is_in = |message: &Arc<Message>| message.at >= since && message.at < until;
    let messages = queue.messages().iter().filter(|message| is_in(message) && accepts(message));
    messages.filter(|message| is_chosen(fate(message))).cloned().collect()
}

fn begin(
    app: &App,
    id: &str,
    kind: &'static str,
    window: (i64, i64),
    is_chosen: impl Fn(Option<(DeliveryState, usize)>) -> bool,
) -> Result<(StatusCode, Json<Value>), SvixError> {
    let (now, fault, faults) = {
        let faults = app.faults.lock();
        ((app.clock)(), faults.faults().svix.task, faults.faults().svix.clone())
    };
    let sent = app.sender.with_queue(|queue| {
        let at = find(queue, id)?;
        let mut messages = chosen(queue, at, window, is_chosen);
        // What is gone cannot be sent.
        messages.retain(|message| !shape::is_expired(message, &faults, now));
        if fault == TaskFault::Works {
            queue.resend(at, &messages, Instant::now());
        }
        Ok(messages.len())
    })?;
    let task_id = app.instance.lock().issue("qtask");
    app.portal.lock().tasks.insert(task_id.clone(), Task { kind, sent, at: now });
    let shown = json!({ "id": task_id, "status": "running", "task": kind, "updatedAt": shape::time(now) });
    Ok((StatusCode::ACCEPTED, Json(shown)))
}

/// Sends again what failed.
pub(super) async fn recover(
    State(app): State<Arc<App>>,
    key: Key,
    Path((_, id)): Ids,
    bytes: Bytes,
) -> Result<(StatusCode, Json<Value>), SvixError> {
    key.may("CreateAttempts")?;
    let now = (app.clock)();
    let window = Window::read(&bytes, now)?;
    if window.0 < now - RECOVERED {
        return Err(SvixError::invalid(&["body", "since"], "Cannot recover messages more than 14 days old"));
    }
    let failed =
        |fate| matches!(fate, Some((DeliveryState::Failed | DeliveryState::Aborted, attempts)) if attempts > 0);
    begin(&app, &id, "endpoint.recover", window, failed)
}

/// Sends what was never attempted.
pub(super) async fn replay_missing(
    State(app): State<Arc<App>>,
    key: Key,
    Path((_, id)): Ids,
    bytes: Bytes,
) -> Result<(StatusCode, Json<Value>), SvixError> {
    key.may("CreateAttempts")?;
    let window = Window::read(&bytes, (app.clock)())?;
    let never = |fate| match fate {
        None => true,
        Some((state, attempts)) => attempts == 0 && state != DeliveryState::Pending,
    };
    begin(&app, &id, "endpoint.replay", window, never)
}

/// Sends one message again, with its svix-id.
pub(super) async fn resend(
    State(app): State<Arc<App>>,
    key: Key,
    Path((_, message, endpoint)): Path<(String, String, String)>,
) -> Result<(StatusCode, Json<Value>), SvixError> {
    key.may("CreateAttempts")?;
    let (faults, now) = (app.faults.lock().faults().svix.clone(), (app.clock)());
    app.sender.with_queue(|queue| {
        let at = find(queue, &endpoint)?;
        let found = queue.messages().iter().find(|it| it.svix_id == message).cloned();
        let found = found.ok_or_else(SvixError::not_found)?;
        if shape::is_expired(&found, &faults, now) {
            return Err(SvixError::bad_request("missing_payload", "The payload of the message is gone"));
        }
        queue.resend(at, &[found], Instant::now());
        Ok(())
    })?;
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}

/// A background task. What it sends is sent at once.
pub(super) async fn task(
    State(app): State<Arc<App>>,
    key: Key,
    Path(id): Path<String>,
) -> Result<Json<Value>, SvixError> {
    key.may("ViewBase")?;
    let task = app.portal.lock().tasks.get(&id).cloned().ok_or_else(SvixError::not_found)?;
    let status = match app.faults.lock().faults().svix.task {
        TaskFault::Works => "finished",
        TaskFault::Fails => "failed",
        TaskFault::NeverEnds => "running",
    };
    let data = json!({ "messagesSent": task.sent });
    Ok(Json(json!({ "id": id, "status": status, "task": task.kind, "updatedAt": shape::time(task.at), "data": data })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Example {
    event_type: String,
}

/// Sends an example to one endpoint. It is a message of no instance.
pub(super) async fn send_example(
    State(app): State<Arc<App>>,
    key: Key,
    Path((_, id)): Ids,
    bytes: Bytes,
) -> Result<(StatusCode, Json<Value>), SvixError> {
    key.may("CreateAttempts")?;
    let Example { event_type } = body(&bytes)?;
    let (now, svix_id) = ((app.clock)(), app.instance.lock().issue("msg"));
    let data = json!({ "id": "user_29w83sxmDNGwOuEthce5gg56FcC", "object": "user" });
    let payload =
        json!({ "data": data, "instance_id": "ins_123", "object": "event", "timestamp": now, "type": event_type });
    let message = Arc::new(Message {
        svix_id: svix_id.clone(),
        event_type,
        entity_id: "user_29w83sxmDNGwOuEthce5gg56FcC".to_owned(),
        body: payload.to_string(),
        at: now,
    });
    let shown = shape::message(&message, true, false);
    app.sender.with_queue(|queue| {
        let at = find(queue, &id)?;
        queue.resend(at, &[Arc::clone(&message)], Instant::now());
        Ok::<_, SvixError>(())
    })?;
    Ok((StatusCode::ACCEPTED, Json(shown)))
}
