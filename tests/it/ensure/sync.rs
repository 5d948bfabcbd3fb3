//! `GET /sync`: a browser comes by with its cookie and is sent back where it came from.

use clerk_emulator::{ApiFaults, FRONT_END, TokenRequest};
use rollcall_tests::{Answer, World};
use serde_json::{Value, json};

use crate::ensure::profiles::{newcomer, with_clerk};
use crate::user;

const SIGN_IN: &str = "https://accounts.example.com/sign-in";

async fn sync(world: &World, token: &str, redirect_url: &str, passes: &str) -> Answer {
    let query = url::form_urlencoded::byte_serialize(redirect_url.as_bytes()).collect::<String>();
    let cookie = format!("__session={token}; {passes}");
    world.call("GET", &format!("/sync?redirect_url={query}"), &[("cookie", &cookie), ("accept", "text/html,*/*")]).await
}

#[tokio::test]
async fn d2_a_signed_in_browser_is_synchronised_and_sent_back() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    let page = format!("{FRONT_END}/courses?id=7#top");
    let answer = sync(&world, &world.session(&ada, Some(&acme)), &page, "").await;
    assert_eq!((answer.status, answer.header("location")), (303, Some(page.as_str())), "{}", answer.text);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!((world.directory().await.len(), world.profiles().await.len()), (3, 2));
    // Nothing is missing any more, but Clerk has changed, and no event has come about it.
    world.set_now(world.now().get() + 10_000);
    world.clerk("PATCH", &format!("/users/{ada}"), json!({ "first_name": "Augusta" })).await;
    let before = world.clerk_calls();
    assert_eq!(sync(&world, &world.session(&ada, Some(&acme)), "/courses", "").await.status, 303);
    assert_eq!(world.item(&user(&ada)).await.unwrap()["first_name"], "Augusta");
    assert_eq!(world.clerk_calls() - before, 3, "user, organization, membership");
    let without = world.call("GET", "/sync", &[("cookie", &format!("__session={}", world.session(&ada, None)))]).await;
    assert_eq!(without.header("location"), Some("http://localhost:5173/"), "the first allowed site");
}

#[tokio::test]
async fn d2_never_to_a_foreign_site() {
    let world = World::with(&[("SIGN_IN_URL", SIGN_IN)]).await;
    let (ada, _) = newcomer(&world).await;
    let token = world.session(&ada, None);
    for foreign in
        ["https://evil.example.com/", "//evil.example.com", "javascript:alert(1)", "http://localhost:5173@evil.com/"]
    {
        for token in [token.as_str(), ""] {
            let answer = sync(&world, token, foreign, "").await;
            assert_eq!((answer.status, answer.header("location")), (400, None), "{foreign}");
            assert!(answer.text.contains("Redirect not allowed") && !answer.text.contains("evil"), "{}", answer.text);
        }
    }
    assert!(world.directory().await.is_empty(), "nothing is done for a page that cannot be returned to");
}

#[tokio::test]
async fn d2_never_into_a_loop() {
    let world = World::start().await;
    let (ada, _) = newcomer(&world).await;
    let token = world.session(&ada, None);
    // A browser that keeps its cookies, and a page that sends it here again and again.
    let mut cookie = String::new();
    for pass in 1..=3 {
        let answer = sync(&world, &token, FRONT_END, &cookie).await;
        assert_eq!(answer.status, 303, "{pass}");
        let set = answer.header("set-cookie").unwrap();
        assert!(set.ends_with("; Max-Age=90; Path=/; HttpOnly; Secure; SameSite=Lax"), "{set}");
        cookie = set.split(';').next().unwrap().to_owned();
    }
    let before = world.clerk_calls();
    let answer = sync(&world, &token, FRONT_END, &cookie).await;
    assert_eq!((answer.status, answer.header("location"), answer.header("set-cookie")), (508, None, None));
    assert!(answer.text.contains("Too many redirects"), "{}", answer.text);
    assert_eq!(world.clerk_calls(), before);
    let back = sync(&world, &token, "/sync?redirect_url=/", "").await;
    assert_eq!(back.status, 400, "nor to this very route");
}

#[tokio::test]
async fn d2_whoever_is_not_signed_in_goes_to_sign_in() {
    let world = World::with(&[("SIGN_IN_URL", SIGN_IN)]).await;
    let (ada, _) = newcomer(&world).await;
    let expired = world.token(&TokenRequest { issued_ago: 3600, ..TokenRequest::new(&ada) });
    for token in ["", "rubbish", expired.as_str()] {
        let answer = sync(&world, token, &format!("{FRONT_END}/courses"), "").await;
        let expected = format!("{SIGN_IN}?redirect_url=http%3A%2F%2Flocalhost%3A5173%2Fcourses");
        assert_eq!((answer.status, answer.header("location")), (303, Some(expected.as_str())));
        assert!(answer.header("set-cookie").is_some(), "this counts as a pass, too");
    }
    assert!(world.directory().await.is_empty());
    // Without a page to go to, it is an error.
    let without = World::start().await;
    let answer = sync(&without, "", FRONT_END, "").await;
    assert_eq!((answer.status, answer.header("content-type")), (401, Some("text/html; charset=utf-8")));
}

#[tokio::test]
async fn d2_a_user_without_an_email_address_gets_a_clear_error() {
    let world = World::start().await;
    let phone = world.clerk("POST", "/users", json!({ "phone_number": ["+15555550100"] })).await;
    let token = world.session(phone["id"].as_str().unwrap(), None);
    assert_eq!(sync(&world, &token, FRONT_END, "").await.status, 303, "a phone number is a contact, too");
    let nameless = world.clerk("POST", "/users", json!({ "username": "ada" })).await;
    let token = world.session(nameless["id"].as_str().unwrap(), None);
    let answer = sync(&world, &token, FRONT_END, "").await;
    assert_eq!((answer.status, answer.header("location")), (422, None));
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(
        answer.text.contains(
            "no primary e-mail address and no phone number. Add an e-mail address or a phone \
                                  number"
        ),
        "{}",
        answer.text
    );
    // Whoever does not look at pages gets a problem.
    let answer = world.call("GET", "/sync", &[("cookie", &format!("__session={token}"))]).await;
    assert_eq!(answer.brief(), (422, "email_missing"));
}

#[tokio::test]
async fn a_browser_is_sent_back_while_clerk_is_down() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    assert_eq!(sync(&world, &world.session("user_nobody", None), FRONT_END, "").await.status, 404);
    with_clerk(&world, ApiFaults { server_error: 1.0, ..ApiFaults::default() });
    assert_eq!(sync(&world, &world.session(&ada, Some(&acme)), FRONT_END, "").await.status, 303);
    assert_eq!(world.profiles().await.len(), 2);
}

#[tokio::test]
async fn under_verify_a_browser_changes_nothing() {
    let world = World::with(&[("ENSURE_POLICY", "verify"), ("SUPPORT_CONTACT", "<help@example.com>")]).await;
    let (ada, _) = newcomer(&world).await;
    let token = world.session(&ada, None);
    let answer = sync(&world, &token, FRONT_END, "").await;
    assert_eq!(answer.status, 404);
    assert!(answer.text.contains("Support: &lt;help@example.com&gt;"), "{}", answer.text);
    assert!(answer.text.contains("not set up yet") && answer.text.contains("Request "));
    assert!(world.directory().await.is_empty() && world.profiles().await.is_empty());
    let event = world.clerk("GET", &format!("/users/{ada}"), Value::Null).await;
    world.post(&rollcall_tests::event("user.created", &event, world.now().get())).await;
    let rows = world.directory().await;
    assert_eq!(sync(&world, &token, FRONT_END, "").await.status, 303);
    assert_eq!((world.directory().await, world.profiles().await.len()), (rows, 0));
}

#[tokio::test]
async fn a_deleted_or_banned_user_is_told_so() {
    let world = World::start().await;
    let (ada, _) = newcomer(&world).await;
    let token = world.session(&ada, None);
    world.clerk("POST", &format!("/users/{ada}/ban"), json!({})).await;
    assert_eq!(sync(&world, &token, FRONT_END, "").await.status, 403);
    // The ban is lifted, and its event lost: whoever comes to be synchronised is let in again.
    world.set_now(world.now().get() + 10_000);
    world.clerk("POST", &format!("/users/{ada}/unban"), json!({})).await;
    assert_eq!(world.ensure(&token).await.status, 403);
    assert_eq!(sync(&world, &token, FRONT_END, "").await.status, 303);
    assert_eq!(world.ensure(&token).await.status, 200);
    world.post(&rollcall_tests::deletion_event("user.deleted", &ada, world.now().get())).await;
    assert_eq!(sync(&world, &token, FRONT_END, "").await.status, 410);
}

/// github.com/clerk/javascript/issues/8231: a navigation carries no Origin, so Clerk's token names no site.
#[tokio::test]
async fn fault_b5_a_navigation_is_synchronised_though_its_token_names_no_site() {
    let world = World::with(&[("SIGN_IN_URL", SIGN_IN)]).await;
    let (ada, _) = newcomer(&world).await;
    let mut request = TokenRequest::new(&ada);
    request.claims.insert("azp".to_owned(), json!(null));
    let token = world.token(&request);
    let answer = sync(&world, &token, FRONT_END, "").await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("http://localhost:5173/")), "{}", answer.text);
    assert_eq!(world.directory().await.len(), 1);
    // Everywhere else such a token is refused, and so is one that names another site.
    assert_eq!(world.ensure(&token).await.brief(), (401, "token_origin"));
    let bearer = format!("Bearer {token}");
    let sent = world.call("GET", "/sync", &[("authorization", &bearer)]).await;
    assert!(sent.header("location").unwrap().starts_with(SIGN_IN), "a bearer token is no navigation's");
    request.claims.insert("azp".to_owned(), json!("https://evil.example.com"));
    let without = World::start().await;
    let answer = sync(&without, &without.token(&request), FRONT_END, "").await;
    assert_eq!(answer.status, 401);
    assert!(answer.text.contains("sign in and try again") && !answer.text.contains("AZP"), "{}", answer.text);
}

#[tokio::test]
async fn fault_b6_a_prefetch_does_nothing_and_counts_as_nothing() {
    let world = World::start().await;
    let (ada, _) = newcomer(&world).await;
    let cookie = format!("__session={}", world.session(&ada, None));
    let before = world.clerk_calls();
    for (name, value) in [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
        ("next-router-prefetch", "1"),
        ("next-router-segment-prefetch", "/_tree"),
    ] {
        let headers = [("cookie", cookie.as_str()), ("accept", "text/html"), (name, value)];
        let (answer, counts) = crate::monitoring::metrics::counted(world.call("GET", "/sync", &headers)).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (403, None), "{name}");
        assert_eq!((answer.header("cache-control"), counts.len()), (Some("no-store"), 0), "{name}: {counts:?}");
    }
    assert!(world.directory().await.is_empty() && world.clerk_calls() == before);
    let answer = world.call("GET", "/sync", &[("cookie", &cookie), ("sec-purpose", "")]).await;
    assert_eq!(answer.status, 303, "the click");
    assert!(answer.header("set-cookie").unwrap().starts_with("rollcall_sync=1;"));
}
