//! The routes of Clerk's Backend API under `/v1`.

mod gate;
mod memberships;
mod organizations;
mod params;
mod sessions;
mod user_filter;
mod users;

use std::sync::Arc;

use axum::{
    Json, Router,
    http::{Method, Uri},
    middleware,
    routing::{get, patch, post},
};
use serde_json::{Value, json};

use crate::{
    app::{App, Call},
    errors::ApiError,
    faults::Variants,
    instance::Instance,
    svix,
};

/// The response of an operation: a JSON document or Clerk's error object.
type Answer = Result<Json<Value>, ApiError>;

/// The path of the public JWKS, as below the issuer in Clerk.
pub(crate) const JWKS_PATH: &str = "/.well-known/jwks.json";

/// The instance id of the fault `wrong_instance`.
const WRONG_INSTANCE_ID: &str = "ins_2AnotherInstanceAltogether0";

/// The path of the JWKS with the secret key.
const BACKEND_JWKS_PATH: &str = "/v1/jwks";

/// Every route of the Backend API and the public JWKS, behind the middleware that checks the key and injects faults.
pub(crate) fn router(app: &Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route("/v1/instance", get(instance))
        .route("/v1/users", get(users::list).post(users::create))
        .route("/v1/users/count", get(users::count))
        .route("/v1/users/{user_id}", get(users::get).patch(users::edit).delete(users::delete))
        .route("/v1/users/{user_id}/metadata", patch(users::merge_metadata).put(users::replace_metadata))
        .route("/v1/users/{user_id}/ban", post(users::ban))
        .route("/v1/users/{user_id}/unban", post(users::unban))
        .route("/v1/users/{user_id}/lock", post(users::lock))
        .route("/v1/users/{user_id}/unlock", post(users::unlock))
        .route("/v1/users/{user_id}/organization_memberships", get(memberships::list_of_user))
        .route("/v1/organizations", get(organizations::list).post(organizations::create))
        .route(
            "/v1/organizations/{organization_id}",
            get(organizations::get).patch(organizations::edit).delete(organizations::delete),
        )
        .route(
            "/v1/organizations/{organization_id}/metadata",
            patch(organizations::merge_metadata).put(organizations::replace_metadata),
        )
        .route(
            "/v1/organizations/{organization_id}/memberships",
            get(memberships::list_in_organization).post(memberships::create),
        )
        .route(
            "/v1/organizations/{organization_id}/memberships/{user_id}",
            patch(memberships::edit).delete(memberships::delete),
        )
        .route("/v1/organizations/{organization_id}/memberships/{user_id}/metadata", patch(memberships::merge_metadata))
        .route("/v1/organization_memberships", get(memberships::list_all))
        .route("/v1/sessions", post(sessions::create))
        .route("/v1/sessions/{session_id}", get(sessions::get))
        .route("/v1/sessions/{session_id}/revoke", post(sessions::revoke))
        .route("/v1/sessions/{session_id}/tokens", post(sessions::create_token))
        .route(BACKEND_JWKS_PATH, get(sessions::jwks))
        .route(JWKS_PATH, get(sessions::jwks))
        .merge(svix::clerk_router())
        .fallback(no_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(app), gate::pass))
}

async fn instance(call: Call) -> Json<Value> {
    let wrong = call.app.faults.lock().faults().api.wrong_instance;
    Json(json!({
        "object": "instance",
        "id": if wrong { WRONG_INSTANCE_ID } else { &call.app.instance_id },
        "environment_type": if call.app.production { "production" } else { "development" },
        "allowed_origins": [],
        "workspace_id": null,
    }))
}

async fn no_route(method: Method, uri: Uri) -> ApiError {
    ApiError::no_route(method.as_str(), uri.path())
}

async fn method_not_allowed(method: Method) -> ApiError {
    ApiError::method_not_allowed(method.as_str())
}

/// A page of a list with a total, as all lists have except that of users.
struct Listing {
    rows: Vec<Value>,
    limit: usize,
    total: usize,
}

impl Listing {
    /// Renders only the rows of the page and the row after it, which a fault may need.
    fn new<T>(page: params::Page, total: usize, all: impl Iterator<Item = T>, render: impl Fn(T) -> Value) -> Self {
        Self { rows: page.select(all).map(render).collect(), limit: page.limit, total }
    }

    /// Fault settings may change the page; the total stays correct.
    fn into_answer(self, call: &Call) -> Json<Value> {
        let rows = call.shown(self.limit, self.rows);
        Json(json!({"data": rows, "total_count": self.total}))
    }
}

impl Call {
    /// The latest creation that lists show, by a variant that delays it.
    fn latest_of(&self, lag: impl FnOnce(&Variants) -> u64) -> i64 {
        match lag(&self.app.faults.lock().faults().variants) {
            0 => i64::MAX,
            lag => (self.app.clock)().saturating_sub_unsigned(lag),
        }
    }

    fn read<T>(&self, look: impl FnOnce(&Instance) -> Result<T, ApiError>) -> Result<T, ApiError> {
        look(&self.app.instance.lock())
    }
}
