//! The account routes with `MIRROR=off`: they ask Clerk about the caller, at most once in ten seconds.

use clerk_emulator::ApiFaults;
use rollcall_tests::{ATTEMPTS, Fault, World};
use serde_json::{Value, json};

use super::{create_user, get, write};
use crate::ensure::profiles::newcomer;
use crate::properties::failures::Log;

const OFF: [(&str, &str); 2] = [("MIRROR", "off"), ("PROFILE_WRITABLE", "*")];

#[tokio::test]
async fn a_record_of_a_user_who_is_not_copied_belongs_to_the_user() {
    let world = World::with(&OFF).await;
    let (ada, acme) = newcomer(&world).await;
    let token = world.session(&ada, Some(&acme));
    assert_eq!(get(&world, &token, "/me/profile").await.brief(), (404, "profile_not_found"));
    let created = write(&world, &token, "POST", &[], json!({ "bio": "b" })).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let changed = write(&world, &token, "PATCH", &[], json!({ "bio": "c" })).await;
    assert_eq!((changed.status, &changed.body["bio"]), (200, &json!("c")), "{}", changed.text);
    let of_membership = get(&world, &token, &format!("/me/profile?organization_id={acme}")).await;
    assert_eq!(of_membership.brief(), (404, "profile_not_found"), "a member without a record");
    let foreign = get(&world, &token, "/me/profile?organization_id=org_other").await;
    assert_eq!(foreign.brief(), (404, "organization_not_found"));
    assert_eq!(
        get(&world, &token, &format!("/organizations/{acme}/members")).await.brief(),
        (404, "members_not_copied")
    );
    assert_eq!(get(&world, &token, &format!("/users/{ada}")).await.status, 200);
    // The user is deleted: the tombstone alone rejects the caller, although Clerk's recent response has the user.
    let deleted = json!({ "id": ada, "object": "user", "deleted": true });
    let deleted = rollcall_tests::event("user.deleted", &deleted, world.now().get() + 2);
    assert_eq!(world.post(&deleted).await.brief(), (200, "applied"));
    for path in ["/me", "/me/profile", "/me/authorization?role=user"] {
        assert_eq!(get(&world, &token, path).await.brief(), (410, "user_deleted"), "{path}");
    }
    assert_eq!(write(&world, &token, "PATCH", &[], json!({ "bio": "d" })).await.brief(), (410, "user_deleted"));
}

#[tokio::test]
async fn i18_a_ban_counts_within_ten_seconds() {
    let world = World::with(&OFF).await;
    let (ada, _) = newcomer(&world).await;
    let before = world.clerk_calls();
    assert_eq!(get(&world, &world.session(&ada, None), "/me").await.status, 200);
    assert!(world.clerk_calls() > before);
    world.clerk("POST", &format!("/users/{ada}/ban"), Value::Null).await;
    world.set_now(world.now().get() + 11_000);
    let token = world.session(&ada, None);
    for path in ["/me", "/me/profile", "/me/authorization?role=user", &format!("/users/{ada}")] {
        assert_eq!(get(&world, &token, path).await.brief(), (403, "user_banned"), "{path}");
    }
}

#[tokio::test]
async fn nobody_is_let_in_while_clerk_cannot_answer_and_nobody_who_is_not_in_clerk() {
    let world = World::with(&OFF).await;
    let (ada, _) = newcomer(&world).await;
    world.set_faults(ApiFaults { server_error: 1.0, ..ApiFaults::default() });
    let answer = get(&world, &world.session(&ada, None), "/me").await;
    assert_eq!(answer.brief(), (503, "clerk_unavailable"), "{}", answer.text);
    world.set_faults(ApiFaults::default());
    world.set_now(world.now().get() + 11_000);
    let gone = create_user(&world, "Gone").await;
    let token = world.session(&gone, None);
    world.clerk("DELETE", &format!("/users/{gone}"), Value::Null).await;
    assert_eq!(get(&world, &token, "/me").await.brief(), (404, "user_not_found"));
    assert_eq!(get(&world, &world.session(&ada, None), "/me").await.status, 200);
    assert!(world.profiles().await.is_empty());
}

#[tokio::test]
async fn while_clerk_is_given_a_rest_a_caller_who_was_never_asked_about_is_told_that_clerk_fails() {
    let world = World::with(&OFF).await;
    let (ada, _) = newcomer(&world).await;
    let grace = create_user(&world, "Grace").await;
    let grace = world.session(&grace, None);
    world.set_faults(ApiFaults { server_error: 1.0, ..ApiFaults::default() });
    assert_eq!(get(&world, &world.session(&ada, None), "/me").await.brief(), (503, "clerk_unavailable"));
    let before = world.clerk_calls();
    for path in ["/me", "/me/profile", "/me/authorization?role=user", "/users?id=user_1"] {
        let log = Log::default();
        let answer = {
            let _listening = log.listen();
            get(&world, &grace, path).await
        };
        assert_eq!(answer.brief(), (503, "clerk_unavailable"), "{path}: {}", answer.text);
        assert!(log.text().contains(r#""outcome":"failed""#), "{path}: {}", log.text());
        assert!(log.text().contains("Clerk is not asked"), "{path}: {}", log.text());
    }
    assert_eq!(world.clerk_calls(), before, "the pause");
    // After the time in Retry-After, both are served.
    world.set_faults(ApiFaults::default());
    let answer = get(&world, &grace, "/me").await;
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    world.set_now(world.now().get() + wait * 1_000);
    assert_eq!(get(&world, &grace, "/me").await.status, 200);
    assert_eq!(get(&world, &world.session(&ada, None), "/me").await.status, 200);
}

/// Every 503 that may have cost the caller the question to Clerk, and what a repeat gets after the time in
/// `Retry-After`.
#[tokio::test]
async fn who_waits_as_long_as_retry_after_says_is_asked_about_again() {
    let share = [("CLERK_RATE_SHARE", "1")];
    for (name, settings, faults, wire) in [
        ("down", &[][..], ApiFaults { server_error: 1.0, ..ApiFaults::default() }, vec![]),
        ("429", &[][..], ApiFaults { too_many_requests: 1.0, ..ApiFaults::default() }, vec![]),
        ("a proxy's 404", &[][..], ApiFaults { not_found: 1.0, ..ApiFaults::default() }, vec![]),
        ("the share is spent", &share[..], ApiFaults::default(), vec![]),
        ("the store fails", &[][..], ApiFaults::default(), vec![Fault::Unavailable; ATTEMPTS]),
    ] {
        let settings: Vec<_> = OFF.into_iter().chain(settings.iter().copied()).collect();
        let world = World::with(&settings).await;
        world.set_now(world.now().get() / 10_000 * 10_000);
        let (ada, acme) = newcomer(&world).await;
        if name == "the share is spent" {
            // The share is one question of three requests.
            let first = create_user(&world, "First").await;
            super::join(&world, &acme, &first, "org:member").await;
            assert_eq!(get(&world, &world.session(&first, Some(&acme)), "/me").await.status, 200);
        }
        world.set_faults(faults);
        // The rows of the caller are read, the question is noted, and the budget is not.
        world.wire.fail_after(2, wire);
        let token = world.session(&ada, None);
        let answer = get(&world, &token, "/me").await;
        world.set_faults(ApiFaults::default());
        world.wire.fail([]);
        assert_eq!(answer.status, 503, "{name}: {}", answer.text);
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        world.set_now(world.now().get() + wait * 1_000);
        let again = get(&world, &token, "/me").await;
        assert_eq!(again.status, 200, "{name}: {}", again.text);
    }
}

#[tokio::test]
async fn i24_one_caller_cannot_spend_clerks_rate() {
    let world = World::with(&OFF).await;
    let (ada, acme) = newcomer(&world).await;
    let token = world.session(&ada, Some(&acme));
    let before = world.clerk_calls();
    for _ in 0..50 {
        for path in ["/me", "/me/profile", "/me/authorization?role=user"] {
            let _ = get(&world, &token, path).await;
        }
    }
    let calls = world.clerk_calls() - before;
    assert!(calls <= 12, "{calls} requests to Clerk for 150 requests of one caller");
}

#[tokio::test]
async fn i24_processes_that_start_together_all_answer_one_caller() {
    let world = World::with(&OFF).await;
    let (ada, acme) = newcomer(&world).await;
    let token = world.session(&ada, Some(&acme));
    for _ in 0..3 {
        let process = world.beside(&OFF).await;
        assert_eq!(get(&process, &token, "/me").await.status, 200);
        assert_eq!(get(&process, &token, "/me/profile").await.brief(), (404, "profile_not_found"));
        assert_eq!(get(&process, &token, "/me/authorization?role=user").await.status, 200);
    }
}

#[tokio::test]
async fn rows_of_others_from_the_days_of_a_mirror_are_shown_to_nobody() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    let grace = create_user(&world, "Grace").await;
    super::join(&world, &acme, &grace, "org:member").await;
    world.reconcile().await;
    let token = world.session(&ada, Some(&acme));
    assert_eq!(get(&world, &token, &format!("/users/{grace}")).await.status, 200);
    let off = world.beside(&[("MIRROR", "off"), ("USER_VISIBILITY", "signed-in")]).await;
    assert_eq!(get(&off, &token, &format!("/users/{grace}")).await.brief(), (404, "no_such_user"));
    assert_eq!(get(&off, &token, &format!("/users/{ada}")).await.status, 200);
    assert_eq!(get(&off, &token, &format!("/organizations/{acme}/members")).await.brief(), (404, "members_not_copied"));
}

#[tokio::test]
async fn a_record_of_a_membership_waits_for_the_row_of_its_organization() {
    let world = World::with(&OFF).await;
    let (ada, acme) = newcomer(&world).await;
    let token = world.session(&ada, Some(&acme));
    let path = format!("/me/profile?organization_id={acme}");
    let json_type = [("content-type", "application/json")];
    let create = async || super::with(&world, &token, "POST", &path, &json_type, "{}".to_owned()).await;
    let answer = create().await;
    assert_eq!(answer.brief(), (404, "organization_not_synced"), "the user lacks nothing");
    assert!(answer.text.contains("POST /profiles/ensure"), "{}", answer.text);
    let of_user = write(&world, &token, "POST", &[], json!({})).await;
    assert_eq!(of_user.status, 201, "{}", of_user.text);
    // What the text says helps.
    assert_eq!(world.ensure(&token).await.status, 201);
    assert_eq!(create().await.brief(), (409, "profile_exists"), "ensure has created the record, too");
}

#[tokio::test]
async fn a_record_of_a_membership_is_created_after_the_event_of_the_organization() {
    let world = World::with(&OFF).await;
    let (ada, acme) = newcomer(&world).await;
    let token = world.session(&ada, Some(&acme));
    let path = format!("/me/profile?organization_id={acme}");
    let json_type = [("content-type", "application/json")];
    let create = async || super::with(&world, &token, "POST", &path, &json_type, "{}".to_owned()).await;
    let fetched = world.clerk("GET", &format!("/organizations/{acme}"), Value::Null).await;
    let created = rollcall_tests::event("organization.created", &fetched, world.now().get());
    assert_eq!(world.post(&created).await.brief(), (200, "applied"));
    assert_eq!(create().await.status, 201);
}
