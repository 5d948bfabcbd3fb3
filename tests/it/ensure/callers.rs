//! Who calls: tokens and cookies through the API, and what pages of which sites may do.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clerk_emulator::{FRONT_END, TokenRequest};
use rollcall::core::session::cookies::PublishableKey;
use rollcall_tests::World;
use rollcall_tests::answer::Answer;
use rollcall_tests::tokens::{ISSUER, KEY, ORIGIN, PUBLIC_KEY, claims, header, sign};
use serde_json::json;

use crate::ensure::profiles::newcomer;
use crate::ensure::sessions::{NOW, not_signed, signed_but_wrong};
use crate::properties::failures::Log;

/// A world that verifies with a PEM, at the time of the hand-made tokens.
async fn with_pem() -> World {
    let key = PUBLIC_KEY.replace('\n', "\\n");
    let world = World::with(&[("CLERK_JWT_KEY", &key), ("CLERK_ISSUER", ISSUER), ("ALLOWED_ORIGINS", ORIGIN)]).await;
    world.set_now(NOW * 1000);
    world
}

#[tokio::test]
async fn a_bad_token_gets_the_code_of_its_rule_and_nothing_is_read_written_or_told() {
    let (world, log) = (with_pem().await, Log::default());
    let _listening = log.listen();
    let cases = [signed_but_wrong(), not_signed()].concat();
    let mut tried = 0;
    for (name, token, rejection) in &cases {
        let Ok(value) = http::HeaderValue::from_str(&format!("Bearer {token}")) else { continue };
        // Nothing after the scheme is no token at all.
        let code = if token.is_empty() { "token_malformed" } else { rejection.code() };
        let value = value.to_str().unwrap();
        // White space around a token is the header's, not the token's.
        if token.trim() != token {
            continue;
        }
        let answer = world.call("POST", "/profiles/ensure", &[("authorization", value)]).await;
        assert_eq!(answer.brief(), (401, code), "{name}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{name}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert!(token.len() < 20 || !answer.text.contains(&token[..20]), "{name}: {}", answer.text);
        tried += 1;
    }
    assert!(tried > 85, "{tried}");
    assert!(world.wire.take().is_empty() && world.clerk_calls() == 0);
    let lines = log.text();
    assert_eq!(lines.lines().count(), tried, "one line an invocation");
    for (name, token, _) in cases.iter().filter(|(_, token, _)| token.len() >= 20) {
        for part in token.split('.').filter(|part| part.len() >= 20) {
            assert!(!lines.contains(&part[..20]), "{name}");
        }
    }
    // And a good one passes.
    let good = sign(&header(), &claims(NOW), KEY);
    assert_eq!(world.ensure(&good).await.brief(), (404, "user_not_found"));
}

#[tokio::test]
async fn somebody_without_a_token_is_told_how_to_send_one() {
    let world = World::start().await;
    for headers in [
        &[][..],
        &[("authorization", "Basic dXNlcjpwYXNz")],
        &[("authorization", "Bearer")],
        &[("cookie", "theme=dark; __session=; __client_uat=1")],
        &[("cookie", "__sessions=a.b.c; x__session=a.b.c")],
    ] {
        let answer = world.call("POST", "/profiles/ensure", headers).await;
        assert_eq!(answer.brief(), (401, "session_missing"), "{headers:?}");
        assert!(answer.body["detail"].as_str().unwrap().contains("Authorization: Bearer"));
    }
    assert!(world.wire.take().is_empty());
}

#[tokio::test]
async fn a_cookie_is_a_session_too_but_only_from_an_allowed_page() {
    let world = World::start().await;
    let (ada, _) = newcomer(&world).await;
    let token = world.session(&ada, None);
    let other = world.token(&TokenRequest { issued_ago: 3600, ..TokenRequest::new(&ada) });
    let own = own_cookie(&world);
    for cookie in [
        format!("__session={token}"),
        format!("{own}={token}; theme=dark"),
        format!("a=b; __session={other}; {own}={token}"),
        format!("__session_other={other}; {own}={token}"),
        format!("__session={token}; __session_other=rubbish"),
    ] {
        for (origin, allowed) in [
            (Some(FRONT_END), true),
            (None, false),
            (Some("null"), false),
            (Some("https://evil.example.com"), false),
            (Some("http://localhost:5174"), false),
            (Some("http://localhost"), false),
        ] {
            let mut headers = vec![("cookie", cookie.as_str())];
            headers.extend(origin.map(|origin| ("origin", origin)));
            let answer = world.call("POST", "/profiles/ensure", &headers).await;
            if allowed {
                assert!(answer.status < 300, "{cookie}: {}", answer.text);
            } else {
                assert_eq!(answer.brief(), (403, "origin_not_allowed"), "{origin:?}");
            }
        }
    }
    // A bearer token comes from no browser by itself, so it needs no origin; it goes before any cookie.
    let bearer = format!("bearer {token}");
    assert_eq!(world.call("POST", "/profiles/ensure", &[("authorization", &bearer)]).await.status, 200);
    let (bad, cookie) = (format!("Bearer {other}"), format!("__session={token}"));
    let both = [("authorization", bad.as_str()), ("cookie", &cookie), ("origin", FRONT_END)];
    assert_eq!(world.call("POST", "/profiles/ensure", &both).await.brief(), (401, "token_expired"));
    let two = format!("__session={other}; {own}=rubbish");
    let answer = world.call("POST", "/profiles/ensure", &[("cookie", &two), ("origin", FRONT_END)]).await;
    assert_eq!(answer.brief(), (401, "token_malformed"), "of several bad ones the one with a suffix is told about");
}

/// The name of the session cookie of the emulated instance, a development one.
fn own_cookie(world: &World) -> String {
    let host = world.stack.clerk.issuer().trim_start_matches("http://");
    let key = format!("pk_test_{}", STANDARD.encode(format!("{host}$")));
    format!("__session_{}", PublishableKey::parse(&key).unwrap().suffix())
}

/// Who the cookies say calls: Clerk's id, or the code of the refusal.
async fn caller(world: &World, headers: &[(&str, &str)]) -> String {
    let headers = [headers, &[("origin", FRONT_END)]].concat();
    let answer = world.call("POST", "/profiles/ensure", &headers).await;
    answer.body["user"]["clerk_user_id"].as_str().or(answer.body["code"].as_str()).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn i17_a_cookie_of_another_suffix_neither_lets_in_nor_locks_out() {
    let world = World::start().await;
    let (ada, _) = newcomer(&world).await;
    let mallory = world
        .clerk("POST", "/users", json!({ "first_name": "Mallory", "email_address": ["mallory@example.com"] }))
        .await;
    let mallory = mallory["id"].as_str().unwrap();
    let (victim, attacker) = (world.session(&ada, None), world.session(mallory, None));
    let own = own_cookie(&world);
    let rubbish =
        |count: usize| (0..count).map(|n| format!("__session_{n:08}={attacker}; ")).collect::<Vec<_>>().concat();
    for (cookies, expected) in [
        (format!("__session={victim}; __session_zzz={attacker}"), ada.as_str()),
        (format!("__session_zzz={attacker}; __session={victim}"), &ada),
        (format!("{own}={victim}; __session={attacker}; __session_zzz={attacker}"), &ada),
        (format!("__session_zzz={attacker}"), "session_missing"),
        // Nine and ninety instances on one host, as on a developer's localhost.
        (format!("{}{own}={victim}", rubbish(9)), &ada),
        (format!("{}{own}={victim}", rubbish(90)), &ada),
        (format!("{}__session={victim}", rubbish(90)), &ada),
        // A sibling subdomain can also compute this very name: rubbish does not lock out, another user's is not
        // believed.
        (format!("{}{own}={victim}", format!("{own}=rubbish; ").repeat(9)), &ada),
        (format!("{own}={attacker}; {own}={victim}"), "session_ambiguous"),
        (format!("{own}={victim}; {own}={attacker}"), "session_ambiguous"),
    ] {
        assert_eq!(caller(&world, &[("cookie", &cookies)]).await, expected, "{}", &cookies[..60]);
    }
    // A proxied Frontend API has an address of its own; the key names the instance.
    let proxied = world.beside(&[("CLERK_PUBLISHABLE_KEY", "pk_live_Y2xlcmsuZXhhbXBsZS5jb20k")]).await;
    let named = PublishableKey::parse("pk_live_Y2xlcmsuZXhhbXBsZS5jb20k").unwrap().suffix();
    assert_eq!(caller(&proxied, &[("cookie", &format!("__session_{named}={victim}"))]).await, ada);
    assert_eq!(caller(&proxied, &[("cookie", &format!("{own}={victim}"))]).await, "session_missing");
}

/// github.com/hyperium/headers/issues/85: one cookie that is no ASCII hides all.
#[tokio::test]
async fn fault_b1_each_cookie_is_read_by_itself() {
    let world = World::start().await;
    let (ada, _) = newcomer(&world).await;
    let token = world.session(&ada, None);
    let own = own_cookie(&world);
    for cookies in [
        format!("city=Zürich; {own}={token}"),
        format!("{own}={token}; city=Zürich"),
        format!("Größe=1;{own}={token};x=y"),
        format!("novalue; ={own}; {own}=\"{token}\""),
    ] {
        assert_eq!(caller(&world, &[("cookie", &cookies)]).await, ada, "{}", &cookies[..20]);
    }
    let session = format!("{own}={token}");
    for two in [["city=Zürich", &session], [&session, "theme=dark"]] {
        assert_eq!(caller(&world, &two.map(|cookie| ("cookie", cookie))).await, ada, "two Cookie headers");
    }
    // Bytes that are no UTF-8, as an application in Latin-1 writes them: API Gateway's JSON shows them as U+FFFD, the
    // local gateway likewise.
    for neighbour in ["city=Z\u{fc}rich", "city=Z\u{fffd}rich", "bell=\u{7}"] {
        let event = json!({
            "version": "2.0", "routeKey": "POST /profiles/ensure", "rawPath": "/profiles/ensure", "rawQueryString": "",
            "cookies": [neighbour, session], "headers": { "origin": FRONT_END, "host": "api.example.com" },
            "requestContext": {
                "http": { "method": "POST", "path": "/profiles/ensure" }, "requestId": "the-request",
                "routeKey": "POST /profiles/ensure", "stage": "$default",
            },
            "isBase64Encoded": false,
        });
        let answer = world.invoke_ensure(event).await;
        assert_eq!(answer.body["user"]["clerk_user_id"], json!(ada), "{neighbour:?}: {}", answer.text);
    }
    let mut headers = http::HeaderMap::new();
    headers.append("cookie", http::HeaderValue::from_bytes(b"city=Z\xfcrich; a=1").unwrap());
    headers.append("cookie", http::HeaderValue::from_static("b=\"2\""));
    let read: Vec<_> = rollcall::adapters::lambda::http::cookies(&headers).collect();
    assert_eq!(read, [("a", "1"), ("b", "2")]);
}

#[tokio::test]
async fn i18_a_deprovisioned_user_is_turned_away_until_the_directory_brings_the_user_back() {
    let world = World::start().await;
    let (ada, _) = newcomer(&world).await;
    let token = world.session(&ada, None);
    assert_eq!(world.ensure(&token).await.status, 201);
    let user = world.clerk("GET", &format!("/users/{ada}"), serde_json::Value::Null).await;
    for (step, (deprovisioned, expected)) in
        [(true, (403, "user_deprovisioned")), (false, (200, "")), (true, (403, "user_deprovisioned"))]
            .into_iter()
            .enumerate()
    {
        let mut changed = user.clone();
        changed["deprovisioned"] = json!(deprovisioned);
        changed["updated_at"] = json!(user["updated_at"].as_u64().unwrap() + 1 + step as u64);
        assert_eq!(world.post(&rollcall_tests::event("user.updated", &changed, world.now().get())).await.status, 200);
        assert_eq!(world.ensure(&token).await.brief(), expected);
    }
}

#[tokio::test]
async fn i5_somebody_who_has_left_reads_nothing_of_the_organization() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    let bob = world.clerk("POST", "/users", json!({ "first_name": "Bob", "email_address": ["bob@example.com"] })).await
        ["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let member = json!({ "user_id": bob, "role": "org:member" });
    let membership = world.clerk("POST", &format!("/organizations/{acme}/memberships"), member).await;
    let token = world.session(&bob, Some(&acme));
    assert_eq!(world.ensure(&token).await.body["organization"]["name"], "Acme");
    assert_eq!(world.ensure(&world.session(&ada, Some(&acme))).await.body["organization"]["name"], "Acme");
    world.clerk("DELETE", &format!("/organizations/{acme}/memberships/{bob}"), json!({})).await;
    world.post(&rollcall_tests::event("organizationMembership.deleted", &membership, world.now().get() + 1)).await;
    let renamed = world.clerk("PATCH", &format!("/organizations/{acme}"), json!({ "name": "Secret" })).await;
    world.post(&rollcall_tests::event("organization.updated", &renamed, world.now().get() + 1)).await;
    for world in [&world, &world.beside(&[("ENSURE_POLICY", "verify")]).await] {
        let answer = world.ensure(&token).await;
        for name in ["organization", "membership", "membership_profile"] {
            assert_eq!(answer.body[name], json!(null), "{name}: {}", answer.text);
        }
        assert!(!answer.text.contains("Secret") && !answer.text.contains("Acme"), "{}", answer.text);
    }
}

/// While Clerk has yet to say whether there is the membership that a token claims, nobody reads what is stored of the
/// organization.
#[tokio::test]
async fn i5_while_clerk_is_silent_about_a_membership_nothing_of_the_organization_is_read() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    assert_eq!(world.ensure(&world.session(&ada, Some(&acme))).await.body["organization"]["name"], "Acme");
    let bob = world.clerk("POST", "/users", json!({ "email_address": ["bob@example.com"] })).await;
    let bob = bob["id"].as_str().unwrap();
    let claim = TokenRequest { organization_id: Some(acme.clone()), ..TokenRequest::new(bob) };
    let token = world.token(&claim);
    let api = clerk_emulator::ApiFaults { server_error: 1.0, ..clerk_emulator::ApiFaults::default() };
    crate::ensure::profiles::with_clerk(&world, api);
    let answer = world.ensure(&token).await;
    assert_eq!((answer.status, &answer.body["needs_sync"]), (201, &json!(true)), "{}", answer.text);
    assert_eq!(answer.body["organization"], json!(null), "{}", answer.text);
    assert!(!answer.text.contains("Acme"), "{}", answer.text);
}

/// Supabase's guide for Clerk puts `role: "authenticated"` into every token.
#[tokio::test]
async fn fault_b2_a_claim_of_another_product_decides_nothing() {
    let world = World::start().await;
    let ada = json!({ "email_address": ["ada@example.com"], "public_metadata": { "role": "admin" } });
    let ada = world.clerk("POST", "/users", ada).await["id"].as_str().unwrap().to_owned();
    let id = world.ensure(&world.session(&ada, None)).await.body["user"]["id"].clone();
    let mut request = TokenRequest::new(&ada);
    for (claims, needs_sync) in [
        (json!({ "role": "authenticated", "metadata": { "dbId": id, "role": "admin" } }), false),
        (json!({ "role": "authenticated", "dbId": 7, "metadata": { "dbId": id, "role": "admin" } }), false),
        (json!({ "dbId": id, "role": "admin", "metadata": null }), false),
        (json!({ "dbId": "another product's", "role": "admin", "metadata": null }), true),
    ] {
        request.claims = claims.as_object().unwrap().clone();
        assert_eq!(world.ensure(&world.token(&request)).await.body["needs_sync"], json!(needs_sync), "{claims}");
    }
}

#[tokio::test]
async fn fault_b14_the_applications_own_roles_are_kept_and_unknown_ones_are_counted() {
    let world = World::with(&[("ROLES", "admin,owner")]).await;
    for (role, stored, counted) in [("owner", "owner", None), ("moderator", "user", Some(&1)), ("admin", "admin", None)]
    {
        let user = json!({ "email_address": [format!("{role}@example.com")], "public_metadata": { "role": role } });
        let id = world.clerk("POST", "/users", user).await["id"].as_str().unwrap().to_owned();
        let (answer, counts) = crate::monitoring::metrics::counted(world.ensure(&world.session(&id, None))).await;
        assert_eq!((&answer.body["user"]["role"], counts.get("UnknownRoles")), (&json!(stored), counted), "{role}");
        assert_eq!(answer.body["user"]["public_metadata"]["role"], role, "what Clerk says stays there");
    }
}

#[tokio::test]
async fn fault_b17_an_impersonation_is_shown_and_logged() {
    let (world, log) = (World::start().await, Log::default());
    let (ada, _) = newcomer(&world).await;
    let mut request = TokenRequest::new(&ada);
    request.claims.insert("act".to_owned(), json!({ "sub": "user_support", "iss": "https://dashboard.clerk.com" }));
    let listening = log.listen();
    let answer = world.ensure(&world.token(&request)).await;
    drop(listening);
    assert_eq!((answer.status, &answer.body["actor"]), (201, &json!("user_support")));
    assert!(log.text().contains("user_support"), "{}", log.text());
    assert_eq!(world.ensure(&world.session(&ada, None)).await.body["actor"], json!(null));
}

#[tokio::test]
async fn fault_b8_a_site_for_each_branch_and_an_application_without_a_site_can_be_named() {
    let world =
        World::with(&[("ALLOWED_ORIGINS", "http://localhost:5173 https://*.example.com tauri://localhost")]).await;
    let (ada, _) = newcomer(&world).await;
    for (site, allowed) in [
        ("https://branch-7.example.com", true),
        ("tauri://localhost", true),
        ("https://a.b.example.com", false),
        ("https://example.com", false),
        ("https://evil.com/.example.com", false),
    ] {
        let mut request = TokenRequest::new(&ada);
        request.claims.insert("azp".to_owned(), json!(site));
        let bearer = format!("Bearer {}", world.token(&request));
        let answer = world.call("POST", "/profiles/ensure", &[("authorization", &bearer), ("origin", site)]).await;
        assert_eq!(answer.status < 300, allowed, "{site}: {}", answer.text);
        assert_eq!(answer.header("access-control-allow-origin"), allowed.then_some(site), "{site}");
    }
}

#[tokio::test]
async fn tokens_of_both_versions_and_of_rotated_keys_are_good() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    for version in [clerk_emulator::TokenVersion::V1, clerk_emulator::TokenVersion::V2] {
        let token = TokenRequest { version, organization_id: Some(acme.clone()), ..TokenRequest::new(&ada) };
        let answer = world.ensure(&world.token(&token)).await;
        assert_eq!(answer.body["membership"]["role"], "org:admin", "{}", answer.text);
    }
    let _ = world.stack.clerk.rotate_keys(true);
    assert_eq!(world.ensure(&world.session(&ada, None)).await.brief(), (401, "token_key_unknown"));
    world.set_now(world.now().get() + 60_000);
    assert_eq!(world.ensure(&world.session(&ada, None)).await.status, 200, "a minute after the keys were fetched");
}

#[tokio::test]
async fn pages_of_allowed_sites_may_read_answers_and_others_may_not() {
    let world = World::with(&[("ALLOWED_ORIGINS", "https://app.example.com, http://localhost:5173")]).await;
    for (origin, allowed) in
        [("https://app.example.com", true), (FRONT_END, true), ("https://evil.example.com", false), ("null", false)]
    {
        let asked = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization"),
        ];
        let preflight = world.call("OPTIONS", "/profiles/ensure", &asked).await;
        let answer = world.call("POST", "/profiles/ensure", &[("origin", origin)]).await;
        for answer in [preflight, answer] {
            let shown = answer.header("access-control-allow-origin");
            assert_eq!(shown, allowed.then_some(origin), "{}", answer.status);
        }
    }
}

/// Sentry and OpenTelemetry add headers to every request of a page, and the browser asks for permission for each.
/// Sources: <https://www.w3.org/TR/trace-context/>, <https://www.w3.org/TR/baggage/>, and for `sentry-trace`
/// <https://develop.sentry.dev/sdk/telemetry/traces/>.
#[tokio::test]
async fn fault_b12_a_page_that_traces_its_requests_may_ask_as_in_the_template() {
    // The template's own lists, so that the local stack and the deployed one cannot differ.
    let template = include_str!("../../../template.yaml");
    let rule = |name: &str| template.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap();
    let list = |name: &str| -> Vec<&str> { rule(name).trim_matches(['[', ']']).split(", ").collect() };
    let listed = list("allowHeaders: ");
    for name in ["authorization", "content-type", "baggage", "sentry-trace", "traceparent", "tracestate"] {
        assert!(listed.contains(&name), "{name} is not in template.yaml: {listed:?}");
    }
    let world = World::start().await;
    let asked = [
        ("origin", FRONT_END),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", &*listed.join(",")),
    ];
    let preflight = world.call("OPTIONS", "/profiles/ensure", &asked).await;
    assert_eq!(preflight.header("access-control-allow-origin"), Some(FRONT_END));
    fn shown<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
        answer.header(name).unwrap().split(',').map(str::trim).collect()
    }
    assert_eq!(shown(&preflight, "access-control-allow-headers"), listed);
    assert_eq!(shown(&preflight, "access-control-allow-methods"), list("allowMethods: "));
    assert_eq!(preflight.header("access-control-max-age"), Some(rule("maxAge: ")));
    let answer = world.call("POST", "/profiles/ensure", &[("origin", FRONT_END)]).await;
    assert_eq!(shown(&answer, "access-control-expose-headers"), list("exposeHeaders: "));
}

#[tokio::test]
async fn a_token_without_an_origin_needs_a_setting() {
    let world = World::start().await;
    let (ada, _) = newcomer(&world).await;
    let mut request = TokenRequest::new(&ada);
    request.claims.insert("azp".to_owned(), json!(null));
    let token = world.token(&request);
    assert_eq!(world.ensure(&token).await.brief(), (401, "token_origin"));
    let lax = world.beside(&[("ALLOW_MISSING_AZP", "true")]).await;
    assert_eq!(lax.ensure(&token).await.status, 201);
}

#[test]
fn no_event_whatever_its_parts_makes_the_function_panic() {
    use proptest::prelude::*;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::start());
    let (ada, _) = runtime.block_on(newcomer(&world));
    let token = world.session(&ada, None);
    let part = || prop_oneof![".{0,12}", "[ -~]{0,24}", "[A-Za-z0-9_.-]{0,40}", "(/[!-~]{0,6}){1,3}"];
    let path = prop_oneof![4 => Just("/profiles/ensure".to_owned()), 4 => Just("/sync".to_owned()), 1 => part()];
    let parts = (path, any::<bool>(), any::<bool>(), [part(), part(), part(), part(), part()]);
    let (mut runner, seed) = rollcall_tests::runner(1_000);
    let played = runner.run(&parts, |(path, is_post, is_signed_in, parts)| {
        let [query, cookie, header, value, stage] = parts;
        let method = if is_post { "POST" } else { "GET" };
        let route = format!("{method} {path}");
        let session = if is_signed_in { format!("__session={token}") } else { format!("__session_x={cookie}") };
        let event = json!({
            "version": "2.0", "routeKey": route, "rawPath": path,
            "rawQueryString": format!("redirect_url={query}&{query}"),
            "cookies": [session, cookie, format!("rollcall_sync={value}")],
            "headers": { "origin": FRONT_END, "accept": header, "host": value, "authorization": if is_signed_in { "" } else { &value } },
            "requestContext": {
                "http": { "method": method, "path": path }, "requestId": "the-request", "routeKey": route, "stage": stage,
            },
            "body": query, "isBase64Encoded": false,
        });
        let answer = runtime.block_on(world.invoke_ensure(event));
        // 500: API Gateway's, for an event that is none, as one with a control character in a header.
        let is_known = matches!(answer.status, 200 | 201 | 303 | 400 | 401 | 404 | 508);
        prop_assert!(is_known || answer.status == 500 && answer.brief().1.is_empty(), "{:?}", answer);
        if let Some(location) = answer.header("location") {
            prop_assert!(location.starts_with(&format!("{FRONT_END}/")), "{location}");
        }
        Ok(())
    });
    played.unwrap_or_else(|failure| panic!("{failure}\n{seed}"));
}
