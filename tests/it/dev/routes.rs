//! Which function answers a request: API Gateway chooses the route, the function obeys its route key.

use clerk_emulator::FRONT_END;
use proptest::prelude::*;
use rollcall::adapters::lambda::function::Function;
use rollcall_cli::functions::FUNCTIONS;
use rollcall_tests::{World, gateway_event, sample};
use serde_json::{Value, json};

use crate::ensure::profiles::newcomer;
use crate::monitoring::metrics::counted;

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

/// Those that API Gateway calls.
fn of_http() -> Vec<Function> {
    FUNCTIONS.into_iter().filter(|function| !function.routes.is_empty()).collect()
}

#[tokio::test]
async fn every_function_refuses_the_routes_of_others_and_counts_the_refusal() {
    let world = World::start().await;
    assert!(of_http().len() >= 2);
    for function in of_http() {
        let (method, path) = function.routes[0].split_once(' ').unwrap();
        let others = FUNCTIONS.iter().filter(|other| other.name != function.name).flat_map(|other| other.routes);
        for route_key in others.copied().chain(["$default", "", "GET /nothing", &format!("{method} /a{path}")]) {
            let mut event = call(function.routes[0], path, "no token");
            event["routeKey"] = route_key.into();
            event["requestContext"]["routeKey"] = route_key.into();
            let (answer, counts) = counted(world.invoke_function(function.name, event)).await;
            assert_eq!(answer.brief(), (404, "route_not_found"), "{} by {route_key:?}", function.name);
            let refusal = [("Refusals{Reason=route_not_found}".to_owned(), 1)];
            assert_eq!(counts, refusal.into(), "{} by {route_key:?}", function.name);
        }
    }
}

/// API Gateway answers such a request itself, without a function.
#[tokio::test]
async fn the_local_gateway_says_of_a_broken_body_that_it_is_broken_and_of_a_large_one_that_it_is_large() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let world = World::start().await;
    let url = rollcall_tests::serve(world.router()).await;
    let (at, head) = (url.trim_start_matches("http://"), "Host: localhost\r\nContent-Type: application/json\r\n");
    for path in ["/me/profile", "/webhooks/clerk", "/profiles/ensure"] {
        for body in [
            "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n5\r\n{}",
            "Content-Length: 7\r\n\r\n{}",
        ] {
            let mut connection = tokio::net::TcpStream::connect(at).await.unwrap();
            let request = format!("POST {path} HTTP/1.1\r\n{head}{body}");
            let _ = connection.write_all(request.as_bytes()).await;
            // The client sends no more.
            let _ = connection.shutdown().await;
            let mut answer = Vec::new();
            let _ = connection.read_to_end(&mut answer).await;
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{path} {body:?}: {answer}");
        }
        let answer = world.call_with("POST", path, &[], vec![b' '; 10 * 1024 * 1024 + 1]).await;
        assert_eq!((answer.status, &answer.body["message"]), (413, &json!("Request Entity Too Large")), "{path}");
    }
}

#[test]
fn no_event_whatever_its_parts_makes_a_function_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::start());
    let part = || prop_oneof![".{0,12}", "[ -~]{0,24}", "[A-Za-z0-9_.-]{0,40}", "(/[!-~]{0,6}){1,3}"];
    let routes: Vec<(&str, &str)> =
        of_http().into_iter().flat_map(|it| it.routes.iter().map(move |route| (it.name, *route))).collect();
    let keys = (0..routes.len(), prop_oneof![4 => Just(None), 1 => part().prop_map(Some)]);
    let parts = (keys, any::<bool>(), [part(), part(), part(), part(), part()]);
    let (mut runner, seed) = rollcall_tests::runner(1_000);
    let played = runner.run(&parts, |((at, other), base64, parts)| {
        let (function, route) = routes[at];
        let route = other.unwrap_or_else(|| route.to_owned());
        let (method, path) = route.split_once(' ').unwrap_or(("GET", &route));
        let [query, cookie, header, value, stage] = parts;
        let event = json!({
            "version": "2.0", "routeKey": route, "rawPath": path, "rawQueryString": query, "cookies": [cookie],
            "headers": { "origin": value, "accept": header, "host": value, "authorization": value, "svix-id": header },
            "requestContext": {
                "http": { "method": method, "path": path }, "requestId": "the-request", "routeKey": route, "stage": stage,
            },
            "body": query, "isBase64Encoded": base64,
        });
        let answer = runtime.block_on(world.invoke_function(function, event));
        // 500 without a code: API Gateway's, for an event that is none, as one with a control character in a header.
        let is_fault = answer.status >= 500 && !answer.brief().1.is_empty();
        prop_assert!(!is_fault, "{function}: {answer:?}");
        Ok(())
    });
    played.unwrap_or_else(|failure| panic!("{failure}\n{seed}"));
}
