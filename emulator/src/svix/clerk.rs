//! Clerk's three routes about the instance's application at Svix.

use std::sync::Arc;

use axum::{
    Json, Router,
    http::StatusCode,
    routing::{delete, post},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    app::{App, Call},
    errors::ApiError,
};

/// The routes, for the router of the Backend API, whose middleware checks the key.
pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/webhooks/svix", post(create).merge(delete(remove)))
        .route("/v1/webhooks/svix_url", post(link))
}

/// Makes the application, of which an instance has one at most.
async fn create(call: Call) -> Result<Json<Value>, ApiError> {
    let races = std::mem::take(&mut call.app.faults.lock().once().app_exists);
    let mut portal = call.app.portal.lock();
    if portal.app.is_some() {
        return Err(ApiError::svix_app_exists());
    }
    portal.app = Some(call.app.instance.lock().issue("app"));
    drop(portal);
    call.app.unsaved.notify_one();
    if races {
        // Another caller was faster, by a moment.
        return Err(ApiError::svix_app_exists());
    }
    answer(&call)
}

/// A fresh link.
async fn link(call: Call) -> Result<Json<Value>, ApiError> {
    answer(&call)
}

fn answer(call: &Call) -> Result<Json<Value>, ApiError> {
    let now = (call.app.clock)();
    let token = call.app.instance.lock().letters(40);
    let mut portal = call.app.portal.lock();
    let app_id = portal.app.clone().ok_or_else(ApiError::svix_app_missing)?;
    portal.offer(token.clone(), now);
    let key = json!({ "appId": app_id, "oneTimeToken": token, "region": "local" }).to_string();
    // As in the public service but for the host: the fragment is no part of a request.
    Ok(Json(json!({ "svix_url": format!("{}/login#key={}", call.app.url, STANDARD.encode(key)) })))
}

/// Deletes the application with its endpoints.
async fn remove(call: Call) -> Result<StatusCode, ApiError> {
    let mut portal = call.app.portal.lock();
    if portal.app.take().is_none() {
        return Err(ApiError::svix_app_missing());
    }
    portal.forget();
    drop(portal);
    call.app.sender.with_queue(|queue| {
        let all: Vec<usize> = queue.registered().map(|(at, _)| at).collect();
        all.into_iter().for_each(|at| queue.delete(at));
    });
    call.app.unsaved.notify_one();
    Ok(StatusCode::NO_CONTENT)
}
