//! Routes of sessions and of the JWKS, with and without the secret key: `/v1/sessions`, `/v1/jwks`,
//! `/.well-known/jwks.json`.

use std::{ops::RangeInclusive, sync::Arc};

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, header::ORIGIN},
};
use serde_json::{Value, json};

use super::{Answer, params::Form};
use crate::{
    app::{App, Call},
    errors::ApiError,
    instance::render,
    tokens::TOKEN_LIFETIME_SECONDS,
};

/// The valid range of `expires_in_seconds`.
const LIFETIMES: RangeInclusive<i64> = 30..=315_360_000;

pub(super) async fn create(call: Call, form: Form) -> Answer {
    form.allow(&["user_id", "active_organization_id"])?;
    let (user_id, organization) = (form.required("user_id")?, form.text("active_organization_id")?);
    call.change(|change| change.create_session(user_id, organization.as_deref())).map(Json)
}

pub(super) async fn get(call: Call, Path(id): Path<String>) -> Answer {
    let now = (call.app.clock)();
    call.read(|instance| {
        let session = instance.session(&id).ok_or_else(|| ApiError::not_found("session", &id))?;
        Ok(Json(render::session(instance, session, now)))
    })
}

pub(super) async fn revoke(call: Call, Path(id): Path<String>) -> Answer {
    call.change(|change| change.revoke_session(&id)).map(Json)
}

pub(super) async fn create_token(call: Call, Path(id): Path<String>, headers: HeaderMap, form: Form) -> Answer {
    form.allow(&["expires_in_seconds"])?;
    let expires_in = form.integer("expires_in_seconds")?.unwrap_or(TOKEN_LIFETIME_SECONDS);
    if !LIFETIMES.contains(&expires_in) {
        return Err(ApiError::refused_value("expires_in_seconds", "must be from 30 to 315360000"));
    }
    let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
    let jwt = call.app.session_token(&id, origin, expires_in)?;
    Ok(Json(json!({"object": "token", "jwt": jwt})))
}

pub(super) async fn jwks(State(app): State<Arc<App>>) -> Json<Value> {
    Json(app.jwks())
}
