//! The log has one set of fields, and docs/logs.md lists it: whoever searches the log of one function can search all.

use std::collections::BTreeSet;

use clerk_emulator::ApiFaults;
use rollcall_cli::functions::FUNCTIONS;
use rollcall_tests::{ATTEMPTS, Action, Fault, Land, SAMPLE_TIME, World, deletion_event, event, sample};
use serde_json::{Map, Value, json};

use crate::ADA;
use crate::properties::failures::Log;

/// The words in backticks in the first column of the tables.
fn documented() -> BTreeSet<&'static str> {
    let rows = include_str!("../../../docs/logs.md").lines().filter_map(|line| line.strip_prefix("| "));
    let fields = rows.filter_map(|row| row.split_once(" |").map(|(first, _)| first));
    fields.flat_map(|first| first.split('`').skip(1).step_by(2)).collect()
}

/// The names of a line's fields, those of its span included.
fn names(line: &Map<String, Value>) -> Vec<String> {
    let of_span =
        |span: &Value| span.as_object().into_iter().flatten().map(|(name, _)| format!("span.{name}")).collect();
    let names = line.iter().flat_map(|(name, value)| if name == "span" { of_span(value) } else { vec![name.clone()] });
    names.collect()
}

#[tokio::test]
async fn every_line_of_the_log_is_an_object_of_documented_fields() {
    let log = Log::default();
    let listening = log.listen();
    Box::pin(busy_days()).await;
    drop(listening);
    let (documented, text) = (documented(), log.text());
    assert!(documented.contains("svix_id") && documented.len() > 60, "{documented:?}");
    let (mut seen, mut targets) = (BTreeSet::new(), BTreeSet::new());
    for line in text.lines() {
        let read: Map<String, Value> = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(["timestamp", "level", "target", "message"].iter().all(|name| read.contains_key(*name)), "{line}");
        targets.extend(read["target"].as_str().and_then(|target| target.split("::").next()).map(str::to_owned));
        let names = names(&read);
        let foreign: Vec<_> = names.iter().filter(|name| !documented.contains(name.as_str())).collect();
        assert!(foreign.is_empty(), "{foreign:?} in {line}");
        seen.extend(names);
    }
    for function in FUNCTIONS {
        assert!(targets.contains(function.log_target), "no line of {}: {targets:?}", function.name);
    }
    // Otherwise it would say little.
    for name in ["svix_id", "type", "kind", "made", "failed_at", "cause", "in_sync", "purged", "span.request_id"] {
        assert!(seen.contains(name), "{name} is in no line: {seen:?}");
    }
}

/// Days on which much happens and much fails.
async fn busy_days() {
    let world = World::with(&[("PURGE_AFTER_HOURS", "1")]).await;
    let mut land = Land::populate(&world).await;
    for action in
        [Action::SignUp, Action::SignUp, Action::Found(0), Action::Join(1, 0), Action::Rename(0), Action::DeleteUser(1)]
    {
        land.happen(action, true).await;
    }
    for number in 0..land.events.len() {
        land.happen(Action::Deliver(number), false).await;
    }
    world.ensure(&world.session(ADA, None)).await;
    // Whatever a function says of a caller without anything.
    for route in FUNCTIONS.iter().flat_map(|function| function.routes) {
        let (method, path) = route.split_once(' ').unwrap();
        world.call(method, path, &[]).await;
    }
    land.happen(Action::Ensure(0, Some(0)), false).await;
    for token in [world.session(ADA, None), String::new()] {
        let _ = world.authorize(crate::authorizer::rest_request(&token)).await;
        let _ = world.authorize(crate::authorizer::appsync(&token)).await;
    }
    world.wire.fail([Fault::Unavailable; ATTEMPTS]);
    world.authorize(crate::authorizer::simple(&world.session(ADA, None))).await.unwrap_err();
    world.authorize(json!({})).await.unwrap_err();
    world.wire.fail([Fault::Unavailable; ATTEMPTS]);
    world.post(&sample("user.created")).await;
    world.post(&event("user.updated", &json!({ "id": 7 }), SAMPLE_TIME)).await;
    world.post(&event("session.created", &json!({}), SAMPLE_TIME)).await;
    world.post(&deletion_event("user.deleted", ADA, SAMPLE_TIME)).await;
    world.send(&world.sign(&sample("user.created")).with("svix-signature", Some("v1,AAAA"))).await;
    world.wire.fail([Fault::Unavailable; ATTEMPTS]);
    world.react.react(world.batch().await, None).await;
    world.follow().await;
    world.set_faults(ApiFaults { too_many_requests: 0.5, ..ApiFaults::default() });
    let _ = world
        .reconciler()
        .await
        .run(&reconcile::Order::Run(rollcall::core::reconcile::run::Mode::Repair), None, &|_| ())
        .await;
    world.set_faults(ApiFaults::default());
    world.reconcile().await;
    world.wait_hours(3);
    world.purge_due().await;
}
