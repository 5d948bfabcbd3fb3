//! Refused requests: without a session, with an invalid one, and with a token that is older than the copy.

use clerk_emulator::FRONT_END;
use rollcall_tests::World;
use rollcall_tests::tokens::{ISSUER, ORIGIN, PUBLIC_KEY};
use serde_json::{Value, json};

use super::{KINDS, appsync, context, payload_1, refusal, rest_request, rest_token, simple, websocket, with_ada};
use crate::account::refused::event as happens;
use crate::ensure::sessions::{NOW, not_signed, signed_but_wrong};
use crate::monitoring::metrics::counted;
use crate::properties::failures::Log;

#[tokio::test]
async fn i18_whoever_is_turned_away_is_so_from_the_next_read_on_whatever_the_token_says() {
    for (what, code) in
        [("deleted", "user_deleted"), ("banned", "user_banned"), ("deprovisioned", "user_deprovisioned")]
    {
        let (world, ada, acme) = with_ada().await;
        let token = world.session(&ada, Some(&acme));
        for (_, event) in KINDS {
            context(&world, event(&token)).await;
        }
        let change = happens(&world, what, &ada, &acme).await;
        assert_eq!(world.post(&change).await.brief(), (200, "applied"));
        let _ = world.wire.take();
        for (kind, event) in KINDS {
            let code = if kind == "AppSync" { "refused" } else { code };
            let (refused, counts) = counted(refusal(&world, event(&token))).await;
            assert_eq!(refused, code, "{kind}");
            assert_eq!(counts, [(format!("Refusals{{Reason=user_{what}}}"), 1)].into(), "{kind}");
            assert_eq!(world.wire.take().len(), 1, "{kind}");
        }
    }
}

#[tokio::test]
async fn i18_whoever_has_left_an_organization_is_in_none_from_the_next_read_on() {
    for what in ["removed", "organization deleted"] {
        let (world, ada, acme) = with_ada().await;
        let token = world.session(&ada, Some(&acme));
        for (kind, event) in KINDS {
            assert_eq!(context(&world, event(&token)).await["organization_id"], json!(acme), "{kind}");
        }
        let change = happens(&world, what, &ada, &acme).await;
        // No cascade has run.
        assert_eq!(world.post(&change).await.brief(), (200, "applied"));
        for (kind, event) in KINDS {
            let said = context(&world, event(&token)).await;
            let of_organization = [&said["organization_id"], &said["organization_role"], &said["permissions"]];
            assert_eq!(of_organization, [&json!(""), &json!(""), &json!("")], "{what}, {kind}");
        }
    }
}

#[tokio::test]
async fn whoever_is_not_copied_yet_is_refused() {
    let world = World::start().await;
    let (ada, acme) = crate::ensure::profiles::newcomer(&world).await;
    assert_eq!(refusal(&world, simple(&world.session(&ada, Some(&acme)))).await, "user_not_synced");
}

#[tokio::test]
async fn i17_every_wrong_token_is_refused_by_the_code_of_its_rule_and_nothing_is_read_or_told() {
    let key = PUBLIC_KEY.replace('\n', "\\n");
    let world = World::with(&[("CLERK_JWT_KEY", &key), ("CLERK_ISSUER", ISSUER), ("ALLOWED_ORIGINS", ORIGIN)]).await;
    world.set_now(NOW * 1000);
    let log = Log::default();
    let listening = log.listen();
    let cases = [signed_but_wrong(), not_signed()].concat();
    let mut tried = 0;
    for (name, token, rejection) in &cases {
        if token.is_empty() || token.trim() != token || http::HeaderValue::from_str(token).is_err() {
            continue;
        }
        for (kind, event) in KINDS {
            // AppSync's event has only the value of the header, in which the word `Bearer` is allowed.
            if kind == "AppSync" && name == "Bearer left in" {
                continue;
            }
            let code = if kind == "AppSync" { "refused" } else { rejection.code() };
            assert_eq!(refusal(&world, event(token)).await, code, "{kind}: {name}");
            tried += 1;
        }
    }
    assert!(tried > 400, "{tried}");
    drop(listening);
    assert!(world.wire.take().is_empty() && world.clerk_calls() == 0);
    let lines = log.text();
    assert_eq!(lines.lines().count(), tried, "one line an invocation");
    for (name, token, _) in &cases {
        for part in token.split('.').filter(|part| part.len() >= 20) {
            assert!(!lines.contains(&part[..20]), "{name}");
        }
    }
}

#[tokio::test]
async fn a_missing_token_is_the_error_that_rest_apis_answer_with_401_and_elsewhere_a_refusal() {
    let world = World::start().await;
    let without = |mut event: Value| {
        for headers in ["headers", "multiValueHeaders"] {
            if let Some(headers) = event.get_mut(headers).and_then(Value::as_object_mut) {
                headers.retain(|name, _| !name.eq_ignore_ascii_case("authorization"));
            }
        }
        if event.get("authorizationToken").is_some() {
            event["authorizationToken"] = "".into();
        }
        event
    };
    for (event, said, is_error) in [
        (rest_token(""), "Unauthorized", true),
        (rest_request(""), "Unauthorized", true),
        (websocket(""), "Unauthorized", true),
        (payload_1(""), "session_missing", false),
        (simple(""), "session_missing", false),
        (appsync(""), "refused", false),
    ] {
        let (refused, counts) = counted(refusal(&world, without(event.clone()))).await;
        assert_eq!(refused, said, "{event}");
        let mut expected = vec![("Refusals{Reason=session_missing}".to_owned(), 1)];
        // Lambda counts this answer as an error, so the alarm on errors must subtract it.
        expected.extend(is_error.then(|| ("UnauthorizedErrors".to_owned(), 1)));
        assert_eq!(counts, expected.into_iter().collect(), "{event}");
    }
}

/// An event whose token is in a cookie, by this method, with these origins.
fn with_cookie(mut event: Value, cookie: &str, method: &str, origins: &[&str]) -> Value {
    let is_rest = event.get("methodArn").is_some();
    event["headers"] = json!({ "x": "y" });
    if is_rest {
        event["headers"]["Cookie"] = format!("a=b; {cookie}").into();
        event["headers"]["Origin"] = origins.last().map_or(Value::Null, |origin| json!(origin));
        event["httpMethod"] = method.into();
        if event.get("multiValueHeaders").is_some() {
            event["multiValueHeaders"] = json!({ "Cookie": [format!("a=b; {cookie}")], "Origin": origins });
        }
    } else {
        event["cookies"] = json!(["a=b", cookie]);
        if !origins.is_empty() {
            event["headers"]["origin"] = origins.join(",").into();
        }
        event["requestContext"]["http"]["method"] = method.into();
    }
    event
}

#[tokio::test]
async fn a_cookie_counts_in_events_with_a_method_and_for_changes_only_from_our_pages() {
    let (world, ada, _) = with_ada().await;
    let token = world.session(&ada, None);
    let cookie = format!("__session={token}");
    let foreign = "https://evil.example";
    for (kind, event) in KINDS.into_iter().filter(|(kind, _)| kind.contains("payload") || kind.contains("REQUEST")) {
        for (method, origins, is_allowed) in [
            ("GET", &[][..], true),
            ("HEAD", &[foreign], true),
            ("POST", &[FRONT_END], true),
            ("DELETE", &[FRONT_END], true),
            ("POST", &[], false),
            ("POST", &[foreign], false),
            ("POST", &["null"], false),
            ("POST", &["\u{7}"], false),
            ("get", &[], false),
            ("", &[], false),
        ] {
            let event = with_cookie(event("no token"), &cookie, method, origins);
            if is_allowed {
                assert_eq!(context(&world, event).await["clerk_user_id"], json!(ada), "{kind}: {method} {origins:?}");
            } else {
                let refused = refusal(&world, event).await;
                assert_eq!(refused, "origin_not_allowed", "{kind}: {method} {origins:?}");
            }
        }
        // A cookie with the suffix of another instance does not count.
        let other = with_cookie(event("no token"), &format!("__session_aaaaaaaa={token}"), "GET", &[]);
        let missing = if kind.contains("payload") { "session_missing" } else { "Unauthorized" };
        assert_eq!(refusal(&world, other).await, missing, "{kind}");
    }
    // Two origins, in either order, are rejected.
    for origins in [[FRONT_END, foreign], [foreign, FRONT_END]] {
        let event = with_cookie(rest_request("no token"), &cookie, "POST", &origins);
        assert_eq!(refusal(&world, event).await, "origin_not_allowed");
    }
    // A page of any site can open a WebSocket with the cookies of its user.
    let opened = |origin: Option<&str>| {
        let mut event = websocket("no token");
        let headers = json!({ "Cookie": [cookie], "Origin": origin.into_iter().collect::<Vec<_>>() });
        event["multiValueHeaders"] = headers;
        event
    };
    for (origin, code) in [(None, "origin_not_allowed"), (Some(foreign), "origin_not_allowed")] {
        assert_eq!(refusal(&world, opened(origin)).await, code, "{origin:?}");
    }
    assert_eq!(context(&world, opened(Some(FRONT_END))).await["clerk_user_id"], json!(ada));
}

#[tokio::test]
async fn a_cookie_is_nothing_where_the_event_says_no_method() {
    let (world, ada, _) = with_ada().await;
    let cookie = format!("__session={}", world.session(&ada, None));
    for (mut event, said) in [(rest_token(""), "Unauthorized"), (appsync(""), "refused")] {
        event["authorizationToken"] = "".into();
        event["headers"] = json!({ "Cookie": cookie, "Origin": FRONT_END });
        event["cookies"] = json!([cookie]);
        event["httpMethod"] = "GET".into();
        assert_eq!(refusal(&world, event).await, said);
    }
}

#[tokio::test]
async fn a_bearer_token_goes_before_every_cookie() {
    let (world, ada, _) = with_ada().await;
    let cookie = format!("__session={}", world.session(&ada, None));
    let mut event = with_cookie(simple(""), &cookie, "GET", &[]);
    event["headers"]["authorization"] = "Bearer x".into();
    assert_eq!(refusal(&world, event).await, "token_malformed");
}
