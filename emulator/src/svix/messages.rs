//! Messages and attempts.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    endpoints::{Ids, find},
    errors::SvixError,
    gate::Key,
    shape,
};
use crate::{
    app::App,
    faults::SvixFaults,
    webhooks::{
        DeliveryState,
        message::{Followed, Message},
        registered::Registered,
    },
};

/// Messages and attempts of so many days are listed unless `after` is given, in ms.
const WINDOW: i64 = 90 * 24 * 3_600_000;

/// The window and the filters of a list, the newest first.
#[derive(Default, Deserialize)]
pub(super) struct Search {
    limit: Option<usize>,
    iterator: Option<String>,
    before: Option<String>,
    after: Option<String>,
    since: Option<String>,
    until: Option<String>,
    status: Option<u8>,
    status_code_class: Option<u16>,
    /// Names, with commas between them.
    event_types: Option<String>,
    with_content: Option<bool>,
    with_msg: Option<bool>,
}

impl Search {
    fn has(&self, at: i64, event_type: &str, now: i64) -> Result<bool, SvixError> {
        let time = |text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => shape::ms(text)
                .map(Some)
                .ok_or_else(|| SvixError::invalid(&["query"], "a time in RFC 3339 is expected")),
        };
        let after = time(&self.after)?.or(time(&self.since)?).unwrap_or(now - WINDOW);
        let before = time(&self.before)?.or(time(&self.until)?).unwrap_or(i64::MAX);
        let is_type = self.event_types.as_ref().is_none_or(|types| types.split(',').any(|name| name == event_type));
        Ok(at >= after && at < before && is_type)
    }

    fn page(&self, app: &App, rows: &[(String, Value)]) -> Json<Value> {
        let limit = app.faults.lock().faults().svix.page_size.unwrap_or(usize::MAX).min(self.limit.unwrap_or(50));
        Json(shape::page(rows, self.iterator.as_deref(), limit))
    }
}

/// What the emulator knows at a time.
struct Now {
    faults: SvixFaults,
    at: i64,
}

impl Now {
    fn of(app: &App) -> Now {
        Now { faults: app.faults.lock().faults().svix.clone(), at: (app.clock)() }
    }

    fn message(&self, message: &Arc<Message>, with_content: bool) -> Value {
        shape::message(message, with_content, shape::is_expired(message, &self.faults, self.at))
    }
}

fn followed(app: &App) -> Vec<(Followed, Registered)> {
    app.sender.with_queue(|queue| {
        queue
            .followed()
            .map(|one| (queue.endpoint(one.endpoint).clone(), one))
            .map(|(endpoint, one)| (one, endpoint))
            .collect()
    })
}

/// The attempts of these deliveries, the newest first. A fault shows them late.
fn attempts(app: &App, search: &Search, of: impl Fn(&Followed, &Registered) -> bool) -> Result<Json<Value>, SvixError> {
    let now = Now::of(app);
    let late = i64::try_from(now.faults.attempts_late_ms).unwrap_or(i64::MAX);
    let mut rows = Vec::new();
    for (one, endpoint) in followed(app) {
        if !of(&one, &endpoint) {
            continue;
        }
        for kept in &one.attempts {
            let at = kept.attempt.at;
            let code = kept.attempt.status.unwrap_or_default();
            let is_class = search.status_code_class.is_none_or(|class| code / 100 * 100 == class);
            let is_status =
                search.status.is_none_or(|status| (status == 0) == (200..300).contains(&code) && status != 1);
            if search.has(at, &one.message.event_type, now.at)? && is_class && is_status && at + late <= now.at {
                let mut row = shape::attempt(&one, kept, &endpoint, &now.faults);
                if search.with_content == Some(false) {
                    row["response"] = json!("");
                }
                if search.with_msg == Some(true) {
                    // Without its payload, whatever is asked for.
                    row["msg"] = now.message(&one.message, false);
                }
                rows.push((at, kept.id.clone(), row));
            }
        }
    }
    rows.sort_by(|one, other| (other.0, &other.1).cmp(&(one.0, &one.1)));
    Ok(search.page(app, &rows.into_iter().map(|(_, id, row)| (id, row)).collect::<Vec<_>>()))
}

pub(super) async fn attempts_of_endpoint(
    State(app): State<Arc<App>>,
    key: Key,
    Path((_, id)): Ids,
    Query(search): Query<Search>,
) -> Result<Json<Value>, SvixError> {
    key.may("ViewBase")?;
    let id = app.sender.with_queue(|queue| find(queue, &id).map(|at| queue.endpoint(at).id.clone()))?;
    attempts(&app, &search, |_, endpoint| endpoint.id == id)
}

pub(super) async fn attempts_of_message(
    State(app): State<Arc<App>>,
    key: Key,
    Path((_, id)): Ids,
    Query(search): Query<Search>,
) -> Result<Json<Value>, SvixError> {
    key.may("ViewBase")?;
    attempts(&app, &search, |one, _| one.message.svix_id == id)
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    key: Key,
    Query(search): Query<Search>,
) -> Result<Json<Value>, SvixError> {
    key.may("ViewBase")?;
    let now = Now::of(&app);
    let messages = app.sender.with_queue(|queue| queue.messages().to_vec());
    let mut rows = Vec::new();
    for message in messages.iter().rev() {
        if search.has(message.at, &message.event_type, now.at)? {
            let row = now.message(message, search.with_content != Some(false));
            rows.push((message.svix_id.clone(), row));
        }
    }
    Ok(search.page(&app, &rows))
}

pub(super) async fn get(State(app): State<Arc<App>>, key: Key, Path((_, id)): Ids) -> Result<Json<Value>, SvixError> {
    key.may("ViewBase")?;
    let found = app.sender.with_queue(|queue| queue.messages().iter().find(|it| it.svix_id == id).cloned());
    Ok(Json(Now::of(&app).message(&found.ok_or_else(SvixError::not_found)?, true)))
}

/// The endpoints to which a message was sent.
pub(super) async fn endpoints_of(
    State(app): State<Arc<App>>,
    key: Key,
    Path((_, id)): Ids,
    Query(search): Query<Search>,
) -> Result<Json<Value>, SvixError> {
    key.may("ViewBase")?;
    let now = Now::of(&app);
    let all = followed(&app).into_iter().filter(|(one, _)| one.message.svix_id == id && !one.attempts.is_empty());
    let rows = all.map(|(one, endpoint)| {
        let mut row = shape::endpoint(&endpoint, &now.faults);
        let (number, word) = shape::status(one.state);
        (row["status"], row["statusText"]) = (json!(number), json!(word));
        (endpoint.id.clone(), row)
    });
    Ok(search.page(&app, &rows.collect::<Vec<_>>()))
}

/// The messages of an endpoint, the newest first.
pub(super) async fn of_endpoint(
    State(app): State<Arc<App>>,
    key: Key,
    Path((_, id)): Ids,
    Query(search): Query<Search>,
) -> Result<Json<Value>, SvixError> {
    key.may("ViewBase")?;
    let now = Now::of(&app);
    let at = app.sender.with_queue(|queue| find(queue, &id))?;
    let mut rows = Vec::new();
    for (one, _) in followed(&app).into_iter().rev().filter(|(one, _)| one.endpoint == at) {
        let (number, word) = shape::status(one.state);
        let is_wanted = search.status.is_none_or(|status| status == number) && one.state != DeliveryState::Dropped;
        if is_wanted && search.has(one.message.at, &one.message.event_type, now.at)? {
            let mut row = now.message(&one.message, search.with_content != Some(false));
            (row["status"], row["statusText"]) = (json!(number), json!(word));
            let wait = one.next.map(|next| next.saturating_duration_since(tokio::time::Instant::now()));
            let due = wait.map(|wait| shape::time(now.at + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)));
            row["nextAttempt"] = json!(due);
            rows.push((one.message.svix_id.clone(), row));
        }
    }
    Ok(search.page(&app, &rows))
}

pub(super) async fn stats(
    State(app): State<Arc<App>>,
    key: Key,
    Path((_, id)): Ids,
    Query(search): Query<Search>,
) -> Result<Json<Value>, SvixError> {
    key.may("ViewBase")?;
    let now = (app.clock)();
    let at = app.sender.with_queue(|queue| find(queue, &id))?;
    let (mut success, mut pending, mut fail) = (0, 0, 0);
    for (one, _) in followed(&app).into_iter().filter(|(one, _)| one.endpoint == at) {
        if search.has(one.message.at, &one.message.event_type, now)? {
            match one.state {
                DeliveryState::Delivered => success += 1,
                DeliveryState::Pending => pending += 1,
                DeliveryState::Failed | DeliveryState::Aborted => fail += 1,
                DeliveryState::Dropped => {}
            }
        }
    }
    Ok(Json(json!({ "success": success, "pending": pending, "sending": 0, "fail": fail, "canceled": 0 })))
}
