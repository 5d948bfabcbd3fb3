//! Which function answers a request: API Gateway chooses the route, the function obeys its route key.

use clerk_emulator::FRONT_END;
use rollcall_cli::functions::FUNCTIONS;
use rollcall_tests::{World, gateway_event, sample};
use serde_json::{Value, json};

use crate::ensure::profiles::newcomer;

/// A call of ensure-profile with a session, by a route key and a path.
fn call(route_key: &str, path: &str, token: &str) -> Value {
    let method = route_key.split(' ').next();
    json!({
        "version": "2.0", "routeKey": route_key, "rawPath": path, "rawQueryString": "",
        "headers": { "authorization": format!("Bearer {token}"), "host": "api.example.com" },
        "requestContext": {
            "http": { "method": method, "path": path }, "requestId": "the-request", "routeKey": route_key, "stage": "$default",
        },
        "isBase64Encoded": false,
    })
}

#[tokio::test]
async fn ensure_profile_obeys_the_route_key_behind_stages_and_custom_domains() {
    let world = World::start().await;
    let (ada, _) = newcomer(&world).await;
    let token = world.session(&ada, None);
    for path in ["/profiles/ensure", "/prod/profiles/ensure", "/api/v2/people/me"] {
        let answer = world.invoke_ensure(call("POST /profiles/ensure", path, &token)).await;
        assert_eq!(answer.body["user"]["clerk_user_id"], json!(ada), "{path}: {}", answer.text);
    }
    let answer = world.invoke_ensure(call("GET /sync", "/prod/sync", &token)).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some(&*format!("{FRONT_END}/"))), "{}", answer.text);
    for route_key in ["POST /webhooks/clerk", "GET /profiles/ensure", "POST /sync", "GET /a/sync", "$default", ""] {
        let answer = world.invoke_ensure(call(route_key, "/profiles/ensure", &token)).await;
        assert_eq!(answer.brief(), (404, "route_not_found"), "{route_key:?}");
    }
}

#[tokio::test]
async fn the_webhook_obeys_the_route_key_and_refuses_the_routes_of_others() {
    let world = World::start().await;
    let sent = world.sign(&sample("user.created"));
    let at = |route_key: &str, path: &str| {
        let mut event = gateway_event(&sent, false);
        event["rawPath"] = path.into();
        event["requestContext"]["http"]["path"] = path.into();
        event["requestContext"]["routeKey"] = route_key.into();
        event
    };
    for route_key in ["POST /profiles/ensure", "POST /webhooks/clerks", "POST /a/webhooks/clerk", "$default", ""] {
        let answer = world.invoke(at(route_key, "/webhooks/clerk")).await;
        assert_eq!((answer.brief(), answer.aborts()), ((404, "route_not_found"), false), "{route_key:?}");
    }
    assert!(world.directory().await.is_empty());
    assert_eq!(world.invoke(at("POST /webhooks/clerk", "/prod/webhooks/clerk")).await.brief(), (200, "applied"));
}

#[tokio::test]
async fn the_local_gateway_serves_every_route_of_the_registry_and_no_other() {
    let world = World::start().await;
    let routes: Vec<_> = FUNCTIONS.iter().flat_map(|function| function.routes).collect();
    assert!(routes.len() >= 3, "{routes:?}");
    for route in routes {
        let (method, path) = route.split_once(' ').unwrap();
        let answer = world.call(method, path, &[]).await;
        assert!(answer.status != 404 && answer.body["code"] != "route_not_found", "{route}: {}", answer.text);
        let answer = world.call(method, &format!("/prod{path}"), &[]).await;
        assert_eq!((answer.status, &answer.body["message"]), (404, &json!("Not Found")), "{route}");
    }
}
