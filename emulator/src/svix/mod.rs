//! Svix as far as Clerk uses it: the application of the instance, its endpoints, messages and attempts.
//!
//! Clerk's secret key gets a link with a one-time token (`/v1/webhooks/svix_url`, see `clerk`); the token is exchanged for
//! the key of one application (`portal`), which the routes below `/api/v1` take. The shapes are those of Svix's published
//! specification; the tests read them with Svix's own client. `gate` checks keys and makes faults, `shape` renders.
//!
//! Not emulated: organization-wide routes, operational webhooks, transformations that run, bulk-replay.

mod clerk;
mod endpoints;
mod errors;
mod gate;
mod messages;
mod portal;
mod replays;
mod shape;

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{get, post},
};

use crate::app::App;

pub(crate) use clerk::router as clerk_router;
pub(crate) use portal::{Portal, Stored};

/// The routes below `/api/v1`.
pub(crate) fn router(app: &Arc<App>) -> Router<Arc<App>> {
    const ENDPOINT: &str = "/api/v1/app/{app_id}/endpoint/{endpoint_id}";
    let below = |path: &str| format!("{ENDPOINT}/{path}");
    Router::new()
        .route("/api/v1/health", get(portal::health))
        .route("/api/v1/auth/one-time-token", post(portal::exchange))
        .route("/api/v1/auth/logout", post(portal::logout))
        .route("/api/v1/event-type", get(portal::event_types))
        .route("/api/v1/background-task/{task_id}", get(replays::task))
        .route("/api/v1/app/{app_id}/endpoint", get(endpoints::list).post(endpoints::create))
        .route(ENDPOINT, get(endpoints::get).put(endpoints::put).patch(endpoints::patch).delete(endpoints::delete))
        .route(&below("secret"), get(endpoints::secret))
        .route(&below("secret/rotate"), post(endpoints::rotate))
        .route(&below("headers"), get(endpoints::headers).put(endpoints::put_headers).patch(endpoints::patch_headers))
        .route(&below("transformation"), get(endpoints::transformation).patch(endpoints::patch_transformation))
        .route(&below("stats"), get(messages::stats))
        .route(&below("msg"), get(messages::of_endpoint))
        .route(&below("recover"), post(replays::recover))
        .route(&below("replay-missing"), post(replays::replay_missing))
        .route(&below("send-example"), post(replays::send_example))
        .route("/api/v1/app/{app_id}/attempt/endpoint/{endpoint_id}", get(messages::attempts_of_endpoint))
        .route("/api/v1/app/{app_id}/attempt/msg/{msg_id}", get(messages::attempts_of_message))
        .route("/api/v1/app/{app_id}/msg", get(messages::list))
        .route("/api/v1/app/{app_id}/msg/{msg_id}", get(messages::get))
        .route("/api/v1/app/{app_id}/msg/{msg_id}/endpoint", get(messages::endpoints_of))
        .route("/api/v1/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend", post(replays::resend))
        .layer(middleware::from_fn_with_state(Arc::clone(app), gate::pass))
}
