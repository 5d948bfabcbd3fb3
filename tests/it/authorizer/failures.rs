//! If the authorizer cannot decide, it returns an error and never allows the request. Then API Gateway answers 500 and
//! caches nothing.

use std::time::{Duration, Instant};

use rollcall_tests::{ATTEMPTS, Fault, World};
use serde_json::{Value, json};

use super::{KINDS, context, refusal, simple, with_ada};
use crate::monitoring::metrics::counted;
use crate::properties::failures::Log;
use crate::{membership, user};

const STORE: &str = "the copy of Clerk cannot be read";

#[tokio::test]
async fn a_store_that_does_not_answer_is_an_error_for_every_kind_of_api() {
    let (world, ada, acme) = with_ada().await;
    let token = world.session(&ada, Some(&acme));
    for (kind, event) in KINDS {
        for fault in [Fault::Throttled, Fault::ServerError, Fault::Unavailable, Fault::AccessDenied, Fault::NoTable] {
            let log = Log::default();
            let listening = log.listen();
            world.wire.fail([fault; ATTEMPTS]);
            let (error, counts) = counted(world.authorize(event(&token))).await;
            assert_eq!(error.unwrap_err(), STORE, "{kind}, {fault:?}");
            assert_eq!(counts, [("Failures".to_owned(), 1)].into(), "{kind}, {fault:?}");
            drop(listening);
            let line: Value = serde_json::from_str(log.text().lines().last().unwrap()).unwrap();
            assert_eq!(
                (&line["level"], &line["outcome"], &line["id"]),
                (&json!("ERROR"), &json!("failed"), &json!(ada))
            );
            world.wire.fail([]);
        }
        context(&world, event(&token)).await;
    }
}

#[tokio::test]
async fn one_failure_of_the_store_is_retried_within_the_invocation() {
    let (world, ada, _) = with_ada().await;
    for fault in [Fault::Throttled, Fault::Unavailable, Fault::Unprocessed] {
        world.wire.fail([fault]);
        context(&world, simple(&world.session(&ada, None))).await;
        assert_eq!(world.wire.take().len(), 2, "{fault:?}");
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_an_error_whichever_of_the_three_it_is() {
    for entity in 0..3 {
        let (world, ada, acme) = with_ada().await;
        let entity = [user(&ada), crate::organization(&acme), membership(&ada, &acme)][entity].clone();
        let mut row = world.item(&entity).await.unwrap();
        row["rank"] = "no rank".into();
        world.put(&world.stack.addresses.directory_table, &row).await;
        let answer = world.authorize(simple(&world.session(&ada, Some(&acme)))).await;
        assert_eq!(answer.unwrap_err(), STORE, "{entity}");
    }
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_are_an_error_for_every_kind_of_api() {
    let (world, ada, acme) = with_ada().await;
    let token = world.session(&ada, Some(&acme));
    let without_keys = world.beside(&[("CLERK_JWKS_URL", "http://127.0.0.1:9/jwks.json")]).await;
    for (kind, event) in KINDS {
        let (error, counts) = counted(without_keys.authorize(event(&token))).await;
        assert_eq!(error.unwrap_err(), "the signing keys of the Clerk instance cannot be fetched", "{kind}");
        assert_eq!(counts, [("Failures".to_owned(), 1)].into(), "{kind}");
    }
    assert!(without_keys.wire.take().is_empty());
}

#[tokio::test]
async fn a_store_that_is_silent_is_an_error_within_the_ten_seconds_for_which_apis_wait() {
    let (world, ada, _) = with_ada().await;
    let token = world.session(&ada, None);
    context(&world, simple(&token)).await;
    let _held = world.wire.hold();
    let started = Instant::now();
    let (error, counts) = counted(world.authorize(simple(&token))).await;
    assert_eq!(error.unwrap_err(), STORE);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(counts, [("Failures".to_owned(), 1)].into());
}

#[tokio::test]
async fn an_attribute_that_somebody_has_changed_grants_nothing() {
    let (world, ada, acme) = with_ada().await;
    let token = world.session(&ada, Some(&acme));
    let table = world.stack.addresses.directory_table.clone();
    let (person, member) =
        (world.item(&user(&ada)).await.unwrap(), world.item(&membership(&ada, &acme)).await.unwrap());
    for (name, value, permissions) in [
        ("permissions", json!("org:a:b org:c:d"), ""),
        ("permissions", json!({ "org:a:b": true }), ""),
        ("permissions", json!(["org:a:b", 7, "", "org:c:d org:e:f", "org:g:h"]), "org:a:b org:g:h"),
    ] {
        let mut row = member.clone();
        row[name] = value.clone();
        world.put(&table, &row).await;
        assert_eq!(context(&world, simple(&token)).await["permissions"], permissions, "{value}");
    }
    for role in [json!("owner"), json!(7), json!(["admin"])] {
        let mut row = person.clone();
        row["role"] = role.clone();
        world.put(&table, &row).await;
        assert_eq!(context(&world, simple(&token)).await["role"], "user", "{role}");
    }
    let mut row = person;
    row["banned"] = true.into();
    world.put(&table, &row).await;
    assert_eq!(refusal(&world, simple(&token)).await, "user_banned");
}

#[tokio::test]
async fn the_log_has_the_id_of_the_request_and_no_other_personal_data() {
    let (world, ada, acme) = with_ada().await;
    let log = Log::default();
    let listening = log.listen();
    let token = world.session(&ada, Some(&acme));
    for (_, event) in KINDS {
        context(&world, event(&token)).await;
    }
    drop(listening);
    let lines = log.text();
    assert_eq!(lines.lines().count(), KINDS.len());
    for (line, (kind, _)) in lines.lines().zip(KINDS) {
        let read: Value = serde_json::from_str(line).unwrap();
        let expected = if kind.contains("TOKEN") { "the-invocation" } else { "the-request" };
        let said = (&read["span"]["request_id"], &read["outcome"], &read["id"]);
        assert_eq!(said, (&json!(expected), &json!("complete"), &json!(ada)), "{kind}");
    }
    for personal in ["Ada", "ada@example.com", "Acme", &token[token.len() - 30..]] {
        assert!(!lines.contains(personal), "{personal} in {lines}");
    }
}

#[tokio::test]
async fn an_event_that_is_none_is_an_error_and_nothing_is_read() {
    let world = World::start().await;
    for event in [json!({}), json!(null), json!([]), json!("TOKEN"), json!({ "Records": [] })] {
        let (error, counts) = counted(world.authorize(event.clone())).await;
        assert_eq!(error.unwrap_err(), "the event is not an authorizer request", "{event}");
        assert_eq!(counts, [("Failures".to_owned(), 1)].into(), "{event}");
    }
    assert!(world.wire.take().is_empty());
}
