//! What every request passes before it is answered: counting, faults, rate limits, the key.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{Method, header::AUTHORIZATION},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{BACKEND_JWKS_PATH, JWKS_PATH};
use crate::{app::App, errors::ApiError, faults::RequestFate};

/// The seconds that an invented 429 tells the client to wait.
const INVENTED_RETRY_AFTER: u64 = 1;

pub(super) async fn pass(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    // Clerk's limits, keys and faults guard its API, not the emulator's own control plane.
    let backend = request.uri().path().starts_with("/v1/");
    if !backend && request.uri().path() != JWKS_PATH {
        return next.run(request).await;
    }
    let template = request.extensions().get::<MatchedPath>().map_or("*", MatchedPath::as_str);
    *app.requests.lock().entry(format!("{} {template}", request.method())).or_default() += 1;
    let (fate, slow_ms) = {
        let mut faults = app.faults.lock();
        // The rates are the Backend API's; what the public JWKS suffers from is a dial of its own.
        let fate = if backend { faults.request() } else { RequestFate::Answered };
        let down = faults.faults().api.jwks_down && [JWKS_PATH, BACKEND_JWKS_PATH].contains(&request.uri().path());
        (if down { RequestFate::ServerError } else { fate }, faults.faults().api.slow_ms)
    };
    if slow_ms > 0 {
        tokio::time::sleep(Duration::from_millis(slow_ms)).await;
    }
    let admitted = strike(fate).and_then(|()| if backend { admit(&app, &request) } else { Ok(()) });
    match admitted {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn strike(fate: RequestFate) -> Result<(), ApiError> {
    match fate {
        RequestFate::Unauthorized => Err(ApiError::unauthorized()),
        RequestFate::TooManyRequests => Err(ApiError::too_many_requests(INVENTED_RETRY_AFTER)),
        RequestFate::ServerError => Err(ApiError::internal()),
        RequestFate::Answered => Ok(()),
    }
}

fn admit(app: &App, request: &Request) -> Result<(), ApiError> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    match header.and_then(|value| value.strip_prefix("Bearer ")) {
        None => return Err(ApiError::missing_authorization()),
        Some(key) if key != app.secret_key => return Err(ApiError::unauthorized()),
        Some(_) => {}
    }
    // Clerk counts every operation but this one.
    if request.uri().path() == BACKEND_JWKS_PATH {
        return Ok(());
    }
    let writes = *request.method() == Method::PATCH || *request.method() == Method::PUT;
    let changed = writes.then(|| request.uri().path().trim_end_matches("/metadata"));
    app.limiter.as_ref().map_or(Ok(()), |limiter| limiter.admit(changed).map_err(ApiError::too_many_requests))
}
