//! A proxy between reconcile and Clerk that changes Clerk's responses in ways that the emulator's fault settings
//! cannot.

use axum::Json;
use axum::http::{StatusCode, Uri};
use serde_json::Value;

use crate::world::{World, serve};

/// Starts a proxy that changes each JSON response of Clerk, given its path, status and body. Returns the URL of the
/// proxy.
///
/// # Panics
///
/// If Clerk does not respond with JSON.
pub async fn behind<C>(world: &World, change: C) -> String
where
    C: Fn(&Uri, u16, Value) -> (u16, Value) + Clone + Send + Sync + 'static,
{
    let (clerk, key) = (world.stack.addresses.clerk.clone(), world.stack.addresses.clerk_secret_key.clone());
    let answer = move |uri: Uri| {
        let (clerk, key, change) = (clerk.clone(), key.clone(), change.clone());
        async move {
            let answer = reqwest::Client::new().get(format!("{clerk}{uri}")).bearer_auth(key).send().await.unwrap();
            let (status, body) = change(&uri, answer.status().as_u16(), answer.json().await.unwrap());
            (StatusCode::from_u16(status).unwrap(), Json(body))
        }
    };
    serve(axum::Router::new().fallback(answer)).await
}

/// Starts a proxy that changes the text of each response, also into text that no JSON value of this process can be.
///
/// # Panics
///
/// If Clerk does not answer.
pub async fn behind_text<C>(world: &World, change: C) -> String
where
    C: Fn(String) -> String + Clone + Send + Sync + 'static,
{
    let (clerk, key) = (world.stack.addresses.clerk.clone(), world.stack.addresses.clerk_secret_key.clone());
    let answer = move |uri: Uri| {
        let (clerk, key, change) = (clerk.clone(), key.clone(), change.clone());
        async move {
            let answer = reqwest::Client::new().get(format!("{clerk}{uri}")).bearer_auth(key).send().await.unwrap();
            (StatusCode::from_u16(answer.status().as_u16()).unwrap(), change(answer.text().await.unwrap()))
        }
    };
    serve(axum::Router::new().fallback(answer)).await
}

/// Hides some users from the list of all users and its count, as an index that lags. Requests for their ids return
/// them.
///
/// # Panics
///
/// If more users are hidden than Clerk counts.
pub fn hidden(ids: Vec<String>) -> impl Fn(&Uri, u16, Value) -> (u16, Value) + Clone + Send + Sync + 'static {
    move |uri, status, mut body| {
        if uri.path() == "/v1/users/count" {
            body["total_count"] = (body["total_count"].as_u64().unwrap() - u64::try_from(ids.len()).unwrap()).into();
        } else if let (Some(rows), false) = (body.as_array_mut(), asks_by_name(uri)) {
            rows.retain(|row| !ids.iter().any(|id| row["id"] == id.as_str()));
        }
        (status, body)
    }
}

/// Whether the request lists users by their ids.
pub fn asks_by_name(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.contains("user_id"))
}
