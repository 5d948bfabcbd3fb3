//! `POST /profiles/ensure`: the rows of the five systems that it plays, through the API.

use std::time::{Duration, Instant};

use clerk_emulator::{ApiFaults, TokenRequest};
use rollcall_tests::World;
use serde_json::{Value, json};

use crate::monitoring::metrics::counted;
use crate::{membership, organization, user};

/// A user, and an organization that the user administrates, of whom nothing has arrived yet.
pub(crate) async fn newcomer(world: &World) -> (String, String) {
    let ada = json!({ "first_name": "Ada", "last_name": "Example", "email_address": ["ada@example.com"] });
    let ada = world.clerk("POST", "/users", ada).await["id"].as_str().unwrap().to_owned();
    let acme = json!({ "name": "Acme", "slug": "acme", "created_by": ada });
    let acme = world.clerk("POST", "/organizations", acme).await["id"].as_str().unwrap().to_owned();
    (ada, acme)
}

pub(crate) fn with_clerk(world: &World, api: ApiFaults) {
    let mut faults = world.stack.clerk.faults();
    faults.api = api;
    world.stack.clerk.set_faults(faults).unwrap();
}

#[tokio::test]
async fn b4_what_is_missing_is_created_once_and_said() {
    let world = World::with(&[
        ("PROFILE_DEFAULTS", r#"{"level":1,"badges":[]}"#),
        ("MEMBERSHIP_PROFILE_DEFAULTS", r#"{"seat":"free"}"#),
    ])
    .await;
    let (ada, acme) = newcomer(&world).await;
    let answer = world.ensure(&world.session(&ada, Some(&acme))).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.created(), ["user", "organization", "membership", "profile", "membership_profile"]);
    let id = answer.body["user"]["id"].clone();
    for (path, value) in [
        ("/user/clerk_user_id", json!(ada)),
        ("/user/name", json!("Ada Example")),
        ("/user/email", json!("ada@example.com")),
        ("/organization/name", json!("Acme")),
        ("/membership/role", json!("org:admin")),
        ("/profile/user_id", id.clone()),
        ("/profile/level", json!(1)),
        ("/profile/badges", json!([])),
        ("/membership_profile/user_id", id.clone()),
        ("/membership_profile/organization_id", json!(acme)),
        ("/membership_profile/seat", json!("free")),
    ] {
        assert_eq!(answer.body.pointer(path), Some(&value), "{path}");
    }
    for internal in ["rank", "digest", "pk\"", "\"sk", "applied", "delivery_id"] {
        assert!(!answer.text.contains(internal), "{internal} is nobody's business: {}", answer.text);
    }
    // The same as the webhook would have written, and found by it again.
    let event = world.clerk("GET", &format!("/users/{ada}"), Value::Null).await;
    let event = rollcall_tests::event("user.created", &event, world.now().get());
    assert_eq!(world.post(&event).await.brief(), (200, "duplicate"));
    assert_eq!(world.item(&user(&ada)).await.unwrap()["applied_by"], "ensure");
    assert_eq!((world.directory().await.len(), world.profiles().await.len()), (3, 2));
    let again = world.ensure(&world.session(&ada, Some(&acme))).await;
    assert_eq!((again.status, again.created().len()), (200, 0));
    for part in ["user", "organization", "membership", "profile", "membership_profile"] {
        assert_eq!(again.body[part], answer.body[part], "{part}");
    }
}

#[tokio::test]
async fn b4_only_what_is_missing_is_asked_for() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    assert_eq!(world.ensure(&world.session(&ada, None)).await.created(), ["user", "profile"]);
    let before = world.clerk_calls();
    let answer = world.ensure(&world.session(&ada, Some(&acme))).await;
    assert_eq!(answer.created(), ["organization", "membership", "membership_profile"]);
    assert_eq!(world.clerk_calls() - before, 2, "the user is known");
}

#[tokio::test]
async fn b4_a_race_lost_to_the_webhook_is_a_success() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    let path = format!("/organizations/{acme}/memberships");
    let bodies = [
        ("user.created", world.clerk("GET", &format!("/users/{ada}"), Value::Null).await),
        ("organization.created", world.clerk("GET", &format!("/organizations/{acme}"), Value::Null).await),
        ("organizationMembership.created", world.clerk("GET", &path, Value::Null).await["data"][0].clone()),
    ];
    let webhook = world.beside(&[]).await;
    // Held before its first write, while everything arrives.
    let mut held = world.wire.hold();
    let token = world.session(&ada, Some(&acme));
    let ensuring = world.ensure(&token);
    let arriving = async {
        let write = loop {
            match held.recv().await.unwrap() {
                write if write.operation == "PutItem" => break write,
                before => before.release(),
            }
        };
        for (kind, body) in &bodies {
            let event = rollcall_tests::event(kind, body, world.now().get());
            assert_eq!(webhook.post(&event).await.brief(), (200, "applied"));
        }
        write.release();
        while let Some(held) = held.recv().await {
            held.release();
        }
    };
    let answer = tokio::select! {
        answer = ensuring => answer,
        () = arriving => unreachable!("the wire stays"),
    };
    assert_eq!((answer.status, answer.created()), (201, vec!["profile", "membership_profile"]), "{}", answer.text);
    assert_eq!(answer.body["user"]["email"], "ada@example.com");
    assert_eq!(world.item(&user(&ada)).await.unwrap()["applied_by"], "webhook");
}

#[tokio::test]
async fn b4_two_calls_at_once_create_everything_once() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    let token = world.session(&ada, Some(&acme));
    let answers = tokio::join!(world.ensure(&token), world.ensure(&token), world.ensure(&token));
    let answers = [answers.0, answers.1, answers.2];
    let mut created: Vec<&str> = answers.iter().flat_map(|answer| answer.created()).collect();
    created.sort_unstable();
    assert_eq!(created, ["membership", "membership_profile", "organization", "profile", "user"]);
    assert!(answers.iter().all(|answer| answer.status < 300 && answer.body["profile"] == answers[0].body["profile"]));
}

#[tokio::test]
async fn b4_without_clerk_a_placeholder_stands_in_until_the_next_real_event() {
    for api in [
        ApiFaults { server_error: 1.0, ..ApiFaults::default() },
        ApiFaults { too_many_requests: 1.0, ..ApiFaults::default() },
        ApiFaults { unauthorized: 1.0, ..ApiFaults::default() },
        ApiFaults { slow_ms: 20_000, ..ApiFaults::default() },
    ] {
        let world = World::start().await;
        let (ada, acme) = newcomer(&world).await;
        // The keys are there from an earlier call.
        assert_eq!(world.ensure(&world.session("user_nobody", None)).await.brief(), (404, "user_not_found"));
        let before = world.clerk_calls();
        with_clerk(&world, api.clone());
        let token = |metadata: Value| {
            let mut request = TokenRequest { organization_id: Some(acme.clone()), ..TokenRequest::new(&ada) };
            request.claims.insert("metadata".to_owned(), metadata);
            world.token(&request)
        };
        let started = Instant::now();
        let answer = world.ensure(&token(json!({ "role": "admin" }))).await;
        assert!(started.elapsed() < Duration::from_secs(3), "{api:?} took {:?}", started.elapsed());
        assert_eq!(answer.status, 201, "{api:?}: {}", answer.text);
        assert_eq!(answer.created(), ["user", "organization", "membership", "profile", "membership_profile"]);
        assert_eq!(answer.body["needs_sync"], true);
        assert_eq!(answer.body["organization"], json!({ "organization_id": acme, "name": "acme", "slug": "acme" }));
        // It grants nothing, whatever the token says.
        assert_eq!(answer.body["membership"], json!({ "organization_id": acme, "clerk_user_id": ada }));
        assert_eq!((&answer.body["user"]["role"], &answer.body["user"]["name"]), (&json!("user"), &json!("User")));
        let rows = world.directory().await;
        assert!(rows.iter().all(|row| row["rank"] == "0000000000000.0.0000000000000" && row["user_pk"].is_null()));
        // Clerk is left alone for a while, and everybody is answered at once.
        let again = world.ensure(&token(json!({ "dbId": answer.body["user"]["id"], "role": "user" }))).await;
        assert_eq!(
            (again.status, &again.body["needs_sync"]),
            (200, &json!(true)),
            "the claims do not lag, the copy does"
        );
        assert_eq!(world.clerk_calls() - before, 3, "{api:?}");

        with_clerk(&world, ApiFaults::default());
        let event = world.clerk("GET", &format!("/organizations/{acme}"), Value::Null).await;
        let event = rollcall_tests::event("organization.updated", &event, world.now().get());
        assert_eq!(world.post(&event).await.brief(), (200, "applied"), "the next real event replaces it");
        assert_eq!(world.item(&organization(&acme)).await.unwrap()["name"], "Acme");
        // And so does the next call, for what no event has come about.
        world.set_now(world.now().get() + 10_000);
        let healed = world.ensure(&world.session(&ada, Some(&acme))).await;
        assert_eq!((healed.status, healed.created().len()), (200, 0), "{}", healed.text);
        assert_eq!(healed.body["membership"]["role"], "org:admin");
        assert_eq!(healed.body["user"]["email"], "ada@example.com");
        assert_eq!(world.item(&membership(&ada, &acme)).await.unwrap()["applied_by"], "ensure");
    }
}

#[tokio::test]
async fn b5_a_call_that_misses_nothing_is_one_read() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    for organization in [None, Some(acme.as_str())] {
        world.ensure(&world.session(&ada, organization)).await;
        let (calls, records) = (world.clerk_calls(), world.stream_records().await);
        let (rows, _) = ((world.directory().await, world.profiles().await), world.wire.take());
        for _ in 0..5 {
            assert_eq!(world.ensure(&world.session(&ada, organization)).await.status, 200);
        }
        let requests = world.wire.take();
        assert_eq!(requests.len(), 5, "{requests:?}");
        assert!(requests.iter().all(|call| call.operation == "BatchGetItem" && call.status == 200));
        assert_eq!((world.clerk_calls(), world.stream_records().await), (calls, records));
        assert_eq!((world.directory().await, world.profiles().await), rows);
    }
}

#[tokio::test]
async fn c3_verify_creates_nothing_and_names_support() {
    let world = World::with(&[("ENSURE_POLICY", "verify"), ("SUPPORT_CONTACT", "help@example.com")]).await;
    let (ada, acme) = newcomer(&world).await;
    let before = world.clerk_calls();
    let log = crate::properties::failures::Log::default();
    {
        let _listening = log.listen();
        let answer = world.ensure(&world.session(&ada, Some(&acme))).await;
        assert_eq!(answer.brief(), (404, "user_not_synced"));
        assert_eq!(answer.body["support"], "help@example.com");
        assert!(answer.body["detail"].as_str().unwrap().contains("contact support"), "{}", answer.text);
    }
    assert!(world.directory().await.is_empty() && world.profiles().await.is_empty());
    let requests: Vec<String> = world.wire.take().into_iter().map(|call| call.operation).collect();
    assert_eq!((requests, world.clerk_calls() - before), (vec!["BatchGetItem".to_owned()], 0));
    // What an operator finds, once the alarm on NotSynced has gone off.
    let line: Value = serde_json::from_str(&log.text()).unwrap();
    assert_eq!(
        (&line["level"], &line["outcome"], &line["id"]),
        (&json!("ERROR"), &json!("user_not_synced"), &json!(ada))
    );

    let event = world.clerk("GET", &format!("/users/{ada}"), Value::Null).await;
    world.post(&rollcall_tests::event("user.created", &event, world.now().get())).await;
    let answer = world.ensure(&world.session(&ada, None)).await;
    assert_eq!((answer.status, &answer.body["profile"], answer.created().len()), (200, &Value::Null, 0));
    // The organization has not arrived: that is told, and nobody is turned away.
    let log = crate::properties::failures::Log::default();
    {
        let _listening = log.listen();
        let (answer, counts) = counted(world.ensure(&world.session(&ada, Some(&acme)))).await;
        assert_eq!((answer.status, &answer.body["organization"]), (200, &Value::Null));
        assert_eq!((&answer.body["needs_sync"], counts.get("NotSynced")), (&json!(true), Some(&1)));
    }
    assert!(log.text().contains("organization_not_synced"), "{}", log.text());
    assert!(world.profiles().await.is_empty());
    // One that has ended is not missed.
    world.post(&rollcall_tests::deletion_event("organization.deleted", &acme, world.now().get())).await;
    let log = crate::properties::failures::Log::default();
    {
        let _listening = log.listen();
        assert_eq!(world.ensure(&world.session(&ada, Some(&acme))).await.status, 200);
    }
    assert!(!log.text().contains("organization_not_synced"), "{}", log.text());
}

#[tokio::test]
async fn d7_a_session_whose_claims_lag_needs_a_sync() {
    let world = World::start().await;
    let (ada, _) = newcomer(&world).await;
    let id = world.ensure(&world.session(&ada, None)).await.body["user"]["id"].clone();
    world.clerk("PATCH", &format!("/users/{ada}/metadata"), json!({ "public_metadata": { "role": "admin" } })).await;
    let stored = world.clerk("GET", &format!("/users/{ada}"), Value::Null).await;
    for (role, stored_role) in [("user", "user"), ("admin", "admin")] {
        if role == "admin" {
            let event = rollcall_tests::event("user.updated", &stored, world.now().get());
            world.set_now(world.now().get() + 1);
            world.post(&event).await;
        }
        for (metadata, needs_sync) in [
            (json!(null), true),
            (json!({}), true),
            (json!({ "role": role }), true),
            (json!({ "dbId": 7, "role": role }), true),
            (json!({ "dbId": id, "role": role }), false),
            (json!({ "dbId": id }), role == "admin"),
            (json!({ "dbId": id, "role": if role == "admin" { "user" } else { "admin" } }), true),
            // It is never changed, so that synchronising would not help.
            (json!({ "dbId": "another", "role": role }), false),
        ] {
            let mut request = TokenRequest::new(&ada);
            request.claims.insert("metadata".to_owned(), metadata.clone());
            let answer = world.ensure(&world.token(&request)).await;
            assert_eq!(
                answer.body["needs_sync"], needs_sync,
                "{metadata} while {stored_role} is stored: {}",
                answer.text
            );
        }
    }
}

#[tokio::test]
async fn a_deleted_user_is_gone_and_stays_so() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    let at = world.now().get();
    world.post(&rollcall_tests::deletion_event("user.deleted", &ada, at)).await;
    let rows = world.directory().await;
    let _ = world.wire.take();
    let before = world.clerk_calls();
    for organization in [None, Some(acme.as_str())] {
        assert_eq!(world.ensure(&world.session(&ada, organization)).await.brief(), (410, "user_deleted"));
    }
    assert_eq!(world.wire.take().len(), 2);
    assert_eq!((world.clerk_calls(), world.directory().await), (before, rows));
    assert!(world.profiles().await.is_empty());
}

#[tokio::test]
async fn a_banned_user_is_turned_away_and_gets_no_profile() {
    let world = World::with(&[("SUPPORT_CONTACT", "help@example.com")]).await;
    let (ada, _) = newcomer(&world).await;
    let token = world.session(&ada, None);
    world.clerk("POST", &format!("/users/{ada}/ban"), json!({})).await;
    for _ in 0..2 {
        let answer = world.ensure(&token).await;
        assert_eq!((answer.brief(), &answer.body["support"]), ((403, "user_banned"), &json!("help@example.com")));
    }
    assert_eq!(world.item(&user(&ada)).await.unwrap()["banned"], true);
    assert!(world.profiles().await.is_empty());
}

#[tokio::test]
async fn a_user_whom_clerk_does_not_know_leaves_nothing_behind() {
    let world = World::start().await;
    let (_, acme) = newcomer(&world).await;
    assert_eq!(world.ensure(&world.session("user_nobody", Some(&acme))).await.brief(), (404, "user_not_found"));
    assert!(world.directory().await.is_empty() && world.profiles().await.is_empty());
}

#[tokio::test]
async fn a_token_that_claims_more_than_clerk_grants_gets_what_clerk_grants() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    let eve = world.clerk("POST", "/users", json!({ "email_address": ["eve@example.com"] })).await;
    let eve = eve["id"].as_str().unwrap();
    // An organization that she is not in, one that does not exist, and a role that she does not have.
    for claimed in [acme.as_str(), "org_nowhere"] {
        let answer = world.ensure(&world.session(eve, Some(claimed))).await;
        assert!(answer.status < 300, "{}", answer.text);
        assert!(answer.body["membership"].is_null() && answer.body["membership_profile"].is_null(), "{}", answer.text);
        assert!(world.item(&membership(eve, claimed)).await.is_none());
    }
    assert!(world.item(&organization("org_nowhere")).await.is_none());
    let path = format!("/organizations/{acme}/memberships");
    world.clerk("POST", &path, json!({ "user_id": eve, "role": "org:member" })).await;
    // What Clerk did not have is remembered for ten seconds.
    world.set_now(world.now().get() + 10_000);
    let mut request = TokenRequest { organization_id: Some(acme.clone()), ..TokenRequest::new(eve) };
    let o = json!({ "id": acme, "rol": "admin", "slg": "acme", "per": "manage", "fpm": "1" });
    request.claims.insert("o".to_owned(), o);
    request.claims.insert("metadata".to_owned(), json!({ "role": "admin" }));
    let answer = world.ensure(&world.token(&request)).await;
    assert_eq!(
        (&answer.body["membership"]["role"], &answer.body["user"]["role"]),
        (&json!("org:member"), &json!("user"))
    );
    assert_eq!(answer.body["needs_sync"], true);
    assert!(world.item(&user(&ada)).await.is_none(), "nobody else is touched");
}

#[tokio::test]
async fn whoever_left_is_no_member_until_clerk_says_so_again() {
    let world = World::start().await;
    let (_, acme) = newcomer(&world).await;
    let bob = world.clerk("POST", "/users", json!({ "email_address": ["bob@example.com"] })).await;
    let bob = bob["id"].as_str().unwrap();
    let path = format!("/organizations/{acme}/memberships");
    world.clerk("POST", &path, json!({ "user_id": bob, "role": "org:member" })).await;
    let token = world.session(bob, Some(&acme));
    let first = world.ensure(&token).await;
    assert_eq!(first.body["membership"]["role"], "org:member");
    world.set_now(world.now().get() + 10_000);
    let left = world.clerk("DELETE", &format!("{path}/{bob}"), Value::Null).await;
    world.post(&rollcall_tests::event("organizationMembership.deleted", &left, world.now().get())).await;
    let answer = world.ensure(&token).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.body["membership"].is_null() && answer.body["membership_profile"].is_null(), "an old token");
    assert!(answer.body["organization"].is_null(), "nor does anybody who has left read of the organization");
    world.set_now(world.now().get() + 10_000);
    world.clerk("POST", &path, json!({ "user_id": bob, "role": "org:admin" })).await;
    let answer = world.ensure(&world.session(bob, Some(&acme))).await;
    assert_eq!((answer.created(), &answer.body["membership"]["role"]), (vec!["membership"], &json!("org:admin")));
    assert_eq!(answer.body["membership_profile"], first.body["membership_profile"], "the application's, and kept");
    // The organization ends: so does everybody's membership, at once.
    world.post(&rollcall_tests::deletion_event("organization.deleted", &acme, world.now().get())).await;
    let before = world.clerk_calls();
    let answer = world.ensure(&world.session(bob, Some(&acme))).await;
    assert!(answer.body["organization"].is_null() && answer.body["membership"].is_null(), "{}", answer.text);
    assert_eq!(world.clerk_calls(), before);
}

#[tokio::test]
async fn without_a_mirror_clerk_is_asked_and_only_the_profile_is_kept() {
    let world = World::with(&[("MIRROR", "off")]).await;
    let (ada, acme) = newcomer(&world).await;
    for created in [vec!["organization", "profile", "membership_profile"], vec![]] {
        let answer = world.ensure(&world.session(&ada, Some(&acme))).await;
        assert_eq!(answer.created(), created, "{}", answer.text);
        assert_eq!(
            (&answer.body["user"]["email"], &answer.body["membership"]["role"]),
            (&json!("ada@example.com"), &json!("org:admin"))
        );
        let keys: Vec<Value> = world.directory().await.into_iter().map(|row| row["sk"].clone()).collect();
        assert_eq!(keys, ["ORG"], "no user and no membership");
        assert_eq!(world.profiles().await.len(), 2);
    }
    world.post(&rollcall_tests::deletion_event("user.deleted", &ada, world.now().get())).await;
    assert_eq!(world.ensure(&world.session(&ada, Some(&acme))).await.brief(), (410, "user_deleted"));
}

#[tokio::test]
async fn a_mirror_that_was_switched_off_is_not_looked_into() {
    let mirrored = World::start().await;
    let (ada, acme) = newcomer(&mirrored).await;
    let bob = mirrored.clerk("POST", "/users", json!({ "email_address": ["bob@example.com"] })).await;
    let bob = bob["id"].as_str().unwrap();
    let path = format!("/organizations/{acme}/memberships");
    mirrored.clerk("POST", &path, json!({ "user_id": bob, "role": "org:member" })).await;
    let token = mirrored.session(bob, Some(&acme));
    assert_eq!(mirrored.ensure(&token).await.status, 201);
    // From now on no event changes the rows of users and memberships any more.
    let world = mirrored.beside(&[("MIRROR", "off")]).await;
    world.set_now(world.now().get() + 10_000);
    world.clerk("DELETE", &format!("{path}/{bob}"), Value::Null).await;
    world.clerk("PATCH", &format!("/users/{bob}"), json!({ "first_name": "Robert" })).await;
    let answer = world.ensure(&token).await;
    assert_eq!((&answer.body["user"]["first_name"], &answer.body["membership"]), (&json!("Robert"), &Value::Null));
    // The other way round, too: an end that was mirrored is not the end of a membership begun since.
    let left = json!({ "id": "orgmem_1", "created_at": 1, "organization": { "id": acme }, "public_user_data": { "user_id": ada } });
    mirrored.post(&rollcall_tests::event("organizationMembership.deleted", &left, world.now().get())).await;
    let answer = world.ensure(&world.session(&ada, Some(&acme))).await;
    assert_eq!(answer.body["membership"]["role"], "org:admin");
    assert!(answer.body["membership_profile"].is_object(), "{}", answer.text);
    world.clerk("POST", &format!("/users/{bob}/ban"), json!({})).await;
    world.set_now(world.now().get() + 10_000);
    assert_eq!(world.ensure(&token).await.brief(), (403, "user_banned"));
}

#[tokio::test]
async fn a_profile_is_the_applications_and_comes_back_as_it_is() {
    use aws_sdk_dynamodb::types::AttributeValue;
    let world = World::start().await;
    let (ada, _) = newcomer(&world).await;
    let id = world.ensure(&world.session(&ada, None)).await.body["user"]["id"].as_str().unwrap().to_owned();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let many = "12345678901234567890123456789012345678";
    let put = world.stack.dynamodb.put_item().table_name(&world.stack.addresses.profiles_table);
    let put = put.item("pk", text(&format!("USER#{id}"))).item("sk", text("PROFILE"));
    let put = put
        .item("binary", AttributeValue::B(b"\x00\xff".to_vec().into()))
        .item("set", AttributeValue::Ns(vec!["1".to_owned()]))
        .item("digits", AttributeValue::N(many.to_owned()))
        .item("large", AttributeValue::N("9007199254740993".to_owned()))
        .item("price", AttributeValue::N("12.5".to_owned()))
        .item("nothing", AttributeValue::Null(true));
    put.send().await.unwrap();
    let answer = world.ensure(&world.session(&ada, None)).await;
    let expected = json!({ "binary": "AP8=", "set": [1], "digits": many, "large": "9007199254740993", "price": 12.5, "nothing": null });
    assert_eq!((answer.status, &answer.body["profile"]), (200, &expected));
}

#[tokio::test]
async fn the_body_counts_for_nothing() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    let token = world.session(&ada, None);
    let (path, bearer) = (format!("/profiles/ensure?organization_id={acme}"), format!("Bearer {token}"));
    let body = json!({ "organization_id": acme, "user_id": "user_other", "profile": { "level": 99 } }).to_string();
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let answer = world.call_with("POST", &path, &headers, body).await;
    assert_eq!(answer.created(), ["user", "profile"], "the organization is the token's");
    assert!(answer.body["profile"]["level"].is_null());
}

#[tokio::test]
async fn an_answer_of_clerks_about_somebody_else_is_not_believed() {
    let world = World::start().await;
    let (ada, _) = newcomer(&world).await;
    let eve = world.clerk("POST", "/users", json!({ "email_address": ["eve@example.com"] })).await;
    let url = {
        let eve = eve.clone();
        rollcall_tests::serve(axum::Router::new().fallback(move || async move { axum::Json(eve) })).await
    };
    let confused = world.beside(&[("CLERK_API_URL", &url)]).await;
    let answer = confused.ensure(&world.session(&ada, None)).await;
    assert_eq!(answer.body["user"]["clerk_user_id"], ada, "{}", answer.text);
    assert!(world.item(&user(eve["id"].as_str().unwrap())).await.is_none(), "nobody else's row is written");
    assert!(!answer.text.contains("eve@example.com") && answer.body["needs_sync"] == true);
}

#[tokio::test]
async fn nobody_who_is_deleted_meanwhile_becomes_a_member() {
    for (kind, answered) in [("user.deleted", (410, "user_deleted")), ("organization.deleted", (201, ""))] {
        let world = World::start().await;
        let (ada, acme) = newcomer(&world).await;
        let (webhook, token) = (world.beside(&[]).await, world.session(&ada, Some(&acme)));
        let id = if kind == "user.deleted" { &ada } else { &acme };
        let end = rollcall_tests::deletion_event(kind, id, world.now().get());
        let mut held = world.wire.hold();
        // The end arrives while the first copies wait to be written.
        let ending = async move {
            while let Some(request) = held.recv().await {
                if request.operation == "PutItem" {
                    assert_eq!(webhook.post(&end).await.status, 200);
                }
                request.release();
            }
        };
        let answer = tokio::select! {
            answer = world.ensure(&token) => answer,
            () = ending => unreachable!("the wire stays"),
        };
        assert_eq!(answer.brief(), answered, "{}", answer.text);
        assert!(world.item(&membership(&ada, &acme)).await.is_none(), "{kind}");
        assert!(world.profiles().await.iter().all(|record| record["sk"] == "PROFILE"), "{kind}");
    }
}
