//! The account function: its routes for signed-in callers.

mod authorization;
mod bad_input;
mod deletion;
mod failures;
mod interleaved;
mod me;
mod members;
mod mirror_off;
mod openapi;
mod profile;
pub(crate) mod refused;
mod users;

use rollcall_tests::World;
use rollcall_tests::answer::Answer;
use serde_json::{Value, json};

/// Sends a request with a session token.
async fn get(world: &World, token: &str, path: &str) -> Answer {
    with(world, token, "GET", path, &[], String::new()).await
}

async fn with(world: &World, token: &str, method: &str, path: &str, headers: &[(&str, &str)], body: String) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers: Vec<_> = [("authorization", bearer.as_str())].into_iter().chain(headers.iter().copied()).collect();
    world.call_with(method, path, &headers, body).await
}

/// Sends JSON to `/me/profile`, with the media type of the method.
async fn write(world: &World, token: &str, method: &str, headers: &[(&str, &str)], body: Value) -> Answer {
    let media_type = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let headers: Vec<_> = [("content-type", media_type)].into_iter().chain(headers.iter().copied()).collect();
    with(world, token, method, "/me/profile", &headers, body.to_string()).await
}

/// Creates a user with this first name in Clerk.
async fn create_user(world: &World, name: &str) -> String {
    let email = format!("{}@example.com", name.to_lowercase());
    let user = json!({ "first_name": name, "last_name": "Example", "email_address": [email] });
    world.clerk("POST", "/users", user).await["id"].as_str().unwrap().to_owned()
}

/// Makes a user a member of an organization in Clerk.
async fn join(world: &World, organization: &str, user: &str, role: &str) {
    let body = json!({ "user_id": user, "role": role });
    world.clerk("POST", &format!("/organizations/{organization}/memberships"), body).await;
}

/// Copies Clerk's entities by a run of reconcile, and discards the recorded requests.
async fn arrived(world: &World) {
    world.reconcile().await;
    let _ = world.wire.take();
}
