//! Middleware of the Backend API: counts requests, applies faults and rate limits, checks the secret key.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{Method, StatusCode, header::AUTHORIZATION},
    middleware::Next,
    response::{Html, IntoResponse, Response},
};

use super::{BACKEND_JWKS_PATH, JWKS_PATH};
use crate::{app::App, errors::ApiError, faults::RequestFate};

/// The default `Retry-After` of an injected 429, in seconds.
const INVENTED_RETRY_AFTER: u64 = 1;

/// The response of a proxy between a client and Clerk, instead of Clerk's own 404.
const PROXY_PAGE: &str = "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n\
    <center><h1>404 Not Found</h1></center>\r\n<hr><center>proxy</center>\r\n</body>\r\n</html>\r\n";

pub(super) async fn pass(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    // Rate limits, keys and faults apply to the Backend API, not to the emulator's own control routes.
    let backend = request.uri().path().starts_with("/v1/");
    if !backend && request.uri().path() != JWKS_PATH {
        return next.run(request).await;
    }
    let template = request.extensions().get::<MatchedPath>().map_or("*", MatchedPath::as_str);
    let operation = format!("{} {template}", request.method());
    let of_one_entity = asks_for_one_entity(&operation, request.uri().query().unwrap_or_default());
    let (fate, slow_ms, retry_after, is_off) = {
        let mut faults = app.faults.lock();
        // The rates apply to the Backend API only; the public JWKS has a fault setting of its own.
        let fate = if backend { faults.request(&operation, of_one_entity) } else { RequestFate::Answered };
        let down = faults.faults().api.jwks_down && [JWKS_PATH, BACKEND_JWKS_PATH].contains(&request.uri().path());
        let api = &faults.faults().api;
        let retry_after = api.retry_after_s.unwrap_or(INVENTED_RETRY_AFTER);
        let is_off = api.organizations_off && template.starts_with("/v1/organization");
        (if down { RequestFate::ServerError } else { fate }, api.slow_ms, retry_after, is_off)
    };
    *app.requests.lock().entry(operation).or_default() += 1;
    if slow_ms > 0 {
        tokio::time::sleep(Duration::from_millis(slow_ms)).await;
    }
    match fate {
        RequestFate::Unauthorized => ApiError::unauthorized().into_response(),
        RequestFate::TooManyRequests => ApiError::too_many_requests(retry_after).into_response(),
        RequestFate::ServerError => ApiError::internal().into_response(),
        RequestFate::HiddenByProxy => (StatusCode::NOT_FOUND, Html(PROXY_PAGE)).into_response(),
        RequestFate::Answered => match if backend { admit(&app, &request) } else { Ok(()) } {
            Ok(()) if is_off => ApiError::organizations_off().into_response(),
            Ok(()) => next.run(request).await,
            Err(refusal) => refusal.into_response(),
        },
    }
}

/// Whether a request reads exactly one entity. A membership has no route of its own: it is read as the list of one user
/// in one organization.
fn asks_for_one_entity(operation: &str, query: &str) -> bool {
    match operation {
        "GET /v1/users/{user_id}" | "GET /v1/organizations/{organization_id}" => true,
        "GET /v1/organizations/{organization_id}/memberships" => query.split('&').any(|pair| {
            pair.starts_with("user_id=") || pair.starts_with("user_id%5B%5D=") || pair.starts_with("user_id[]=")
        }),
        _ => false,
    }
}

fn admit(app: &App, request: &Request) -> Result<(), ApiError> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    match header.and_then(|value| value.strip_prefix("Bearer ")) {
        None => return Err(ApiError::missing_authorization()),
        Some(key) if key != app.secret_key => return Err(ApiError::unauthorized()),
        Some(_) => {}
    }
    // Clerk counts every operation except this one.
    if request.uri().path() == BACKEND_JWKS_PATH {
        return Ok(());
    }
    let writes = *request.method() == Method::PATCH || *request.method() == Method::PUT;
    let changed = writes.then(|| request.uri().path().trim_end_matches("/metadata"));
    app.limiter.as_ref().map_or(Ok(()), |limiter| limiter.admit(changed).map_err(ApiError::too_many_requests))
}
