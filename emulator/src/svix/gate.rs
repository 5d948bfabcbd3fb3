//! Middleware and extractors of Svix's routes: counts requests, makes faults, checks keys.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State},
    http::{header::AUTHORIZATION, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;

use super::errors::SvixError;
use crate::{app::App, faults::RequestFate};

pub(super) async fn pass(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let template = request.extensions().get::<MatchedPath>().map_or("*", MatchedPath::as_str);
    let operation = format!("{} {template}", request.method());
    let (fate, commits) = {
        let mut faults = app.faults.lock();
        let fate = faults.svix_request(&operation);
        let commits = request.method() == axum::http::Method::POST
            && template.ends_with("/endpoint")
            && std::mem::take(&mut faults.once().create_commits_then_fails);
        (fate, commits)
    };
    *app.requests.lock().entry(operation).or_default() += 1;
    match fate {
        RequestFate::TooManyRequests => SvixError::too_many_requests().into_response(),
        RequestFate::Answered => {
            let answer = next.run(request).await;
            if commits { SvixError::internal().into_response() } else { answer }
        }
        _ => SvixError::internal().into_response(),
    }
}

/// A valid key of the application.
pub(super) struct Key {
    pub(super) text: String,
    capabilities: std::collections::BTreeSet<String>,
}

impl Key {
    /// Whether the key may do something.
    pub(super) fn may(&self, capability: &str) -> Result<(), SvixError> {
        if self.capabilities.contains(capability) { Ok(()) } else { Err(SvixError::forbidden()) }
    }
}

impl FromRequestParts<Arc<App>> for Key {
    type Rejection = SvixError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, SvixError> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let text =
            header.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(SvixError::unauthorized)?.to_owned();
        let (granted, own) = {
            let portal = app.portal.lock();
            (portal.granted(&text, (app.clock)()), portal.app.clone())
        };
        let granted = granted.ok_or_else(SvixError::unauthorized)?;
        // Another application is not there for this key.
        let params = RawPathParams::from_request_parts(parts, app).await.map_err(|_| SvixError::not_found())?;
        let asked = params.iter().find(|(name, _)| *name == "app_id").map(|(_, id)| id.to_owned());
        if asked.is_some_and(|asked| Some(asked) != own) {
            return Err(SvixError::not_found());
        }
        Ok(Self { text, capabilities: granted.capabilities })
    }
}

/// The body of a request, in JSON.
pub(super) fn body<T: DeserializeOwned>(given: &Bytes) -> Result<T, SvixError> {
    serde_json::from_slice(given).map_err(|error| SvixError::invalid(&["body"], &error.to_string()))
}
