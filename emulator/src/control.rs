//! The control routes of the emulator under `/_emulator`: only on loopback, without a key.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    app::App,
    faults::Faults,
    tokens::TokenRequest,
    webhooks::{Delivery, Endpoint},
};

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/_emulator/faults", get(show_faults).put(set_faults))
        .route("/_emulator/endpoints", get(endpoints).post(add_endpoint))
        .route("/_emulator/deliveries", get(deliveries))
        .route("/_emulator/deliveries/{svix_id}/replay", post(replay))
        .route("/_emulator/tokens", post(mint))
        .route("/_emulator/keys/rotate", post(rotate_keys))
        .route("/_emulator/requests", get(requests))
        .route("/_emulator/settle", post(settle))
        .route("/_emulator/reset", post(reset))
}

/// The error of a control route, in one sentence.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

/// The message of serde names the unknown field and the known fields.
fn parse<T: for<'de> Deserialize<'de>>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal(StatusCode::BAD_REQUEST, error.to_string()))
}

async fn show_faults(State(app): State<Arc<App>>) -> Json<Faults> {
    Json(app.faults.lock().faults().clone())
}

async fn set_faults(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<Faults>, Refusal> {
    let faults: Faults = parse(&body)?;
    faults.check().map_err(|error| Refusal(StatusCode::BAD_REQUEST, error.to_string()))?;
    app.faults.lock().set(faults.clone());
    Ok(Json(faults))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewEndpoint {
    url: String,
    secret: Option<String>,
}

async fn endpoints(State(app): State<Arc<App>>) -> Json<Vec<Endpoint>> {
    Json(app.sender.endpoints())
}

async fn add_endpoint(State(app): State<Arc<App>>, body: Bytes) -> Result<(StatusCode, Json<Endpoint>), Refusal> {
    let new: NewEndpoint = parse(&body)?;
    let added = app.add_endpoint(&new.url, new.secret);
    let endpoint = added.map_err(|error| Refusal(StatusCode::BAD_REQUEST, error.to_string()))?;
    Ok((StatusCode::CREATED, Json(endpoint)))
}

async fn deliveries(State(app): State<Arc<App>>) -> Json<Vec<Delivery>> {
    Json(app.sender.deliveries())
}

async fn replay(State(app): State<Arc<App>>, Path(svix_id): Path<String>) -> Result<Json<Vec<Delivery>>, Refusal> {
    let replayed = app.sender.replay(&svix_id);
    if replayed.is_empty() {
        return Err(Refusal(StatusCode::NOT_FOUND, format!("no message with the svix-id {svix_id} was sent")));
    }
    Ok(Json(replayed))
}

async fn mint(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let request: TokenRequest = parse(&body)?;
    let minted = app.mint(&request).map_err(|error| Refusal(StatusCode::BAD_REQUEST, error.to_string()))?;
    Ok(Json(json!({"jwt": minted})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotation {
    /// Whether the JWKS drops the earlier keys.
    #[serde(default)]
    drop: bool,
}

async fn rotate_keys(State(app): State<Arc<App>>, uri: Uri) -> Result<Json<Value>, Refusal> {
    let rotation = Query::<Rotation>::try_from_uri(&uri);
    let Query(rotation) = rotation.map_err(|error| Refusal(StatusCode::BAD_REQUEST, error.body_text()))?;
    Ok(Json(json!({"kid": app.rotate_keys(rotation.drop)})))
}

async fn requests(State(app): State<Arc<App>>) -> Json<BTreeMap<String, u64>> {
    Json(app.requests.lock().clone())
}

async fn reset(State(app): State<Arc<App>>) -> Result<Json<Value>, Refusal> {
    app.reset().map_err(|error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(Json(json!({"reset": true})))
}

async fn settle(State(app): State<Arc<App>>) -> Json<Value> {
    app.sender.settled().await;
    Json(json!({"settled": true}))
}
