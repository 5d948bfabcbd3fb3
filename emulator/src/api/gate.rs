//! What every request passes before it is answered: counting, faults, rate limits, the key.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{Method, header::AUTHORIZATION},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{app::App, errors::ApiError, faults::RequestFate};

/// The seconds that an invented 429 tells the client to wait.
const INVENTED_RETRY_AFTER: u64 = 1;

pub(super) async fn pass(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    // Clerk's limits, keys and faults guard its API, not the emulator's own control plane.
    if !request.uri().path().starts_with("/v1/") {
        return next.run(request).await;
    }
    let template = request.extensions().get::<MatchedPath>().map_or("*", MatchedPath::as_str);
    *app.requests.lock().entry(format!("{} {template}", request.method())).or_default() += 1;
    let (fate, slow_ms) = {
        let mut faults = app.faults.lock();
        (faults.request(), faults.faults().api.slow_ms)
    };
    if slow_ms > 0 {
        tokio::time::sleep(Duration::from_millis(slow_ms)).await;
    }
    match admit(&app, &request, fate) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn admit(app: &App, request: &Request, fate: RequestFate) -> Result<(), ApiError> {
    match fate {
        RequestFate::Unauthorized => return Err(ApiError::unauthorized()),
        RequestFate::TooManyRequests => return Err(ApiError::too_many_requests(INVENTED_RETRY_AFTER)),
        RequestFate::ServerError => return Err(ApiError::internal()),
        RequestFate::Answered => {}
    }
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    match header.and_then(|value| value.strip_prefix("Bearer ")) {
        None => return Err(ApiError::missing_authorization()),
        Some(key) if key != app.secret_key => return Err(ApiError::unauthorized()),
        Some(_) => {}
    }
    let writes = *request.method() == Method::PATCH || *request.method() == Method::PUT;
    let changed = writes.then(|| request.uri().path().trim_end_matches("/metadata"));
    app.limiter.as_ref().map_or(Ok(()), |limiter| limiter.admit(changed).map_err(ApiError::too_many_requests))
}
