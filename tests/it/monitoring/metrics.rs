//! What is counted for CloudWatch, by name and dimensions: each as the function counts it at work. That CloudWatch's
//! alarms go by the same names is shown on the deployed template, by tests/cloud.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use clerk_emulator::ApiFaults;
use metrics::{SharedString, Unit};
use metrics_util::CompositeKey;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use rollcall::core::clerk::event::{Envelope, SUBSCRIBED_EVENTS};
use rollcall_tests::{ATTEMPTS, Action, Fault, Land, SAMPLE_TIME, World, deletion_event, event, sample, user_event};
use serde_json::{Value, json};

use crate::properties::failures::Log;
use crate::{ADA, user};

/// What one thing counts, as `Events{Outcome=applied,Type=user.created}`, and how much.
pub(crate) type Counts = BTreeMap<String, u64>;

/// What a action counts, all of it done on this thread.
pub(crate) fn counted<'a, T>(action: impl Future<Output = T> + 'a) -> Pin<Box<dyn Future<Output = (T, Counts)> + 'a>> {
    Box::pin(async {
        let recorder = DebuggingRecorder::new();
        let counting = metrics::set_default_local_recorder(&recorder);
        let done = action.await;
        drop(counting);
        (done, recorder.snapshotter().snapshot().into_vec().into_iter().filter_map(read).collect())
    })
}

fn read((key, _, _, value): (CompositeKey, Option<Unit>, Option<SharedString>, DebugValue)) -> Option<(String, u64)> {
    let mut labels: Vec<String> =
        key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
    labels.sort();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    let value = match value {
        DebugValue::Counter(count) => count,
        // One event at a time; its lag is a whole number.
        DebugValue::Histogram(values) => values[0].to_string().parse().unwrap(),
        DebugValue::Gauge(_) => panic!("{key:?} is no count"),
    };
    (value > 0).then(|| (format!("{}{labels}", key.key().name()), value))
}

fn counts<const N: usize>(expected: [(&str, u64); N]) -> Counts {
    expected.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

#[tokio::test]
async fn b10_each_event_is_counted_once_by_its_type_and_by_what_became_of_it() {
    let world = World::start().await;
    let created = SAMPLE_TIME - 7_000;
    let ada = |kind: &str, name: &str, at: u64| user_event(kind, ADA, name, at);
    for (sent, expected) in [
        (
            ada("user.created", "Ada", created),
            counts([("Events{Outcome=applied,Type=user.created}", 1), ("SyncLag", 7_000)]),
        ),
        (ada("user.created", "Ada", created), counts([("Events{Outcome=duplicate,Type=user.created}", 1)])),
        (ada("user.updated", "Add", created - 1), counts([("Events{Outcome=superseded,Type=user.updated}", 1)])),
        (
            deletion_event("user.deleted", ADA, SAMPLE_TIME - 2_000),
            counts([("Events{Outcome=applied,Type=user.deleted}", 1), ("SyncLag", 2_000)]),
        ),
        // Whoever holds a signing secret may name types without end: each would be a metric that costs money.
        (event("session.created", &json!({}), SAMPLE_TIME), counts([("Events{Outcome=ignored,Type=other}", 1)])),
        (
            event("user.updated", &json!({ "id": 7 }), SAMPLE_TIME),
            counts([
                ("Events{Outcome=quarantined,Type=user.updated}", 1),
                ("Quarantined", 1),
                ("Refusals{Reason=unprocessable_event}", 1),
            ]),
        ),
    ] {
        let (_, mut counted) = counted(world.post(&sent)).await;
        // The function's own time is in it, too.
        if let (Some(lag), Some(least)) = (counted.get_mut("SyncLag"), expected.get("SyncLag")) {
            assert!((*least..least + 1000).contains(lag), "{lag} ms");
            *lag = *least;
        }
        assert_eq!(counted, expected, "{sent}");
    }
}

#[tokio::test]
async fn b10_the_lag_goes_on_until_the_change_is_stored() {
    let world = World::start().await;
    let slow = Duration::from_millis(300);
    let mut held = world.wire.hold();
    let sent = user_event("user.created", ADA, "Ada", SAMPLE_TIME - 7_000);
    let (_, counted) = counted(async {
        let store = async {
            let request = held.recv().await.unwrap();
            tokio::time::sleep(slow).await;
            request.release();
        };
        tokio::join!(world.post(&sent), store)
    })
    .await;
    assert!(counted["SyncLag"] >= 7_300, "{counted:?}");
}

#[tokio::test]
async fn b10_what_is_not_clerks_is_counted_by_its_reason_and_as_no_event() {
    let world = World::start().await;
    let sent = |name: &str, value: Option<&str>| world.sign(&sample("user.created")).with(name, value);
    let mut foreign = sample("user.created");
    foreign["instance_id"] = json!("ins_another");
    for (sent, reason) in [
        (sent("svix-signature", None), "signature_headers"),
        (sent("svix-signature", Some("v1,AAAA")), "signature_invalid"),
        (world.sign(&foreign), "foreign_instance"),
    ] {
        let mut expected = counts([(&*format!("Refusals{{Reason={reason}}}"), 1)]);
        // A wrong secret, or somebody else's signature: an alarm is on it.
        if reason == "signature_invalid" {
            expected.insert("BadSignatures".to_owned(), 1);
        }
        assert_eq!(counted(world.send(&sent)).await.1, expected);
    }
}

#[tokio::test]
async fn b3_b10_an_answer_of_this_sides_fault_counts_as_a_failure() {
    let world = World::start().await;
    world.wire.fail([Fault::Unavailable; ATTEMPTS]);
    let (answer, counted_there) = counted(world.post(&sample("user.created"))).await;
    assert_eq!(answer.status, 503);
    assert_eq!(counted_there, counts([("Events{Outcome=failed,Type=user.created}", 1), ("Failures", 1)]));
    // The caller of ensure-profile likewise, without an event.
    let body = json!({ "first_name": "Grace", "email_address": ["grace@example.com"] });
    let grace = world.clerk("POST", "/users", body).await["id"].as_str().unwrap().to_owned();
    world.wire.fail([Fault::Unavailable; ATTEMPTS]);
    let (answer, counted_there) = counted(world.ensure(&world.session(&grace, None))).await;
    assert_eq!((answer.status, counted_there), (503, counts([("Failures", 1)])));
}

#[tokio::test]
async fn b10_requests_to_clerk_are_counted_repeated_ones_included() {
    let world = World::start().await;
    let body = json!({ "first_name": "Grace", "email_address": ["grace@example.com"] });
    let grace = world.clerk("POST", "/users", body).await["id"].as_str().unwrap().to_owned();
    let before = world.clerk_calls();
    let (answer, of_ensure) = counted(world.ensure(&world.session(&grace, None))).await;
    assert_eq!((answer.status, of_ensure), (201, counts([("ClerkCalls", 1)])));
    let (_, of_reconcile) = counted(world.reconcile()).await;
    assert_eq!(of_reconcile["ClerkCalls"], world.clerk_calls() - before - 1, "{of_reconcile:?}");
}

#[tokio::test]
async fn b10_c3_a_caller_whom_the_webhook_has_not_brought_is_counted() {
    let world = World::with(&[("ENSURE_POLICY", "verify")]).await;
    let body = json!({ "first_name": "Grace", "email_address": ["grace@example.com"] });
    let grace = world.clerk("POST", "/users", body).await["id"].as_str().unwrap().to_owned();
    let (answer, not_synced) = counted(world.ensure(&world.session(&grace, None))).await;
    assert_eq!(answer.status, 404);
    assert_eq!(not_synced, counts([("NotSynced", 1), ("Refusals{Reason=user_not_synced}", 1)]));
    let (answer, refused) = counted(world.ensure("no token")).await;
    assert_eq!(answer.status, 401);
    let code = answer.body["code"].as_str().unwrap();
    assert_eq!(refused, counts([(&*format!("Refusals{{Reason={code}}}"), 1)]));
}

#[tokio::test]
async fn b10_a_batch_of_changes_that_stops_counts_as_a_failure_and_a_conflict_as_one() {
    let world = World::with(&[("METADATA_WRITEBACK", "on")]).await;
    world.post(&sample("user.created")).await;
    world.wire.fail([Fault::Unavailable; ATTEMPTS]);
    let (answer, failed) = counted(world.react.react(world.batch().await, None)).await;
    assert_eq!((answer.batch_item_failures.len(), failed.get("Failures")), (1, Some(&1)));

    let world = World::with(&[("METADATA_WRITEBACK", "on")]).await;
    let mut linked = sample("user.created");
    linked["data"]["public_metadata"] = json!({ "dbId": "another", "role": "user" });
    world.post(&linked).await;
    let (_, conflict) = counted(world.follow()).await;
    assert_eq!(conflict, counts([("WritebackConflicts", 1)]));
    // Reconcile meets it again every night, and the alarm is on that.
    let (_, again) = counted(world.reconcile()).await;
    assert_eq!(again.get("WritebackConflicts"), Some(&1), "{again:?}");
}

#[tokio::test]
async fn b10_a_run_that_is_over_counts_what_it_has_found_healed_and_held() {
    let world = World::start().await;
    let mut land = Land::populate(&world).await;
    for _ in 0..4 {
        land.happen(Action::SignUp, true).await;
    }
    let counted_in = |counts: &Counts, name: &str| counts.get(name).copied().unwrap_or_default();
    let (run, first) = counted(world.reconcile()).await;
    assert_eq!(counted_in(&first, "Drift{Kind=missing}"), run.total().drift.missing);
    assert_eq!((counted_in(&first, "DriftHealed"), counted_in(&first, "RunsFinished")), (run.total().created, 1));
    assert_eq!((first.get("OutOfSync"), first.get("DeletionsPendingApproval")), (None, None), "{first:?}");
    // All is well: a run is counted, and nothing else but its questions.
    let (_, second) = counted(world.reconcile()).await;
    assert_eq!(second.keys().collect::<Vec<_>>(), ["ClerkCalls", "RunsFinished"]);
    // Half of them are gone: too many for a run to believe it.
    land.happen(Action::DeleteUser(0), true).await;
    land.happen(Action::DeleteUser(1), true).await;
    land.happen(Action::DeleteUser(2), true).await;
    land.happen(Action::Wait(24 * 60), true).await;
    let (run, held) = counted(world.reconcile()).await;
    assert!(run.is_pending_approval(), "{run:?}");
    assert_eq!(
        (counted_in(&held, "DeletionsPendingApproval"), counted_in(&held, "OutOfSync")),
        (run.total().pending_approval, 1)
    );
    assert_eq!(held.get("DriftHealed"), None, "{held:?}");
}

#[tokio::test]
async fn b10_a_run_that_fails_or_goes_on_is_no_finished_one() {
    let world = World::start().await;
    world.set_faults(ApiFaults { server_error: 1.0, ..ApiFaults::default() });
    let reconciler = world.reconciler().await;
    let order = reconcile::Order::Run(reconciler.policy());
    let (ran, failed) = counted(reconciler.run(&order, None, &|_| ())).await;
    assert!(ran.is_err());
    assert_eq!((failed.get("Failures"), failed.get("RunsFinished")), (Some(&1), None));
    world.set_faults(ApiFaults::default());
    let (ran, goes_on) = counted(reconciler.run(&order, Some(world.now()), &|_| ())).await;
    assert_eq!(ran.unwrap().state, reconcile::Outcome::Continue);
    assert_eq!((goes_on.get("Failures"), goes_on.get("RunsFinished")), (None, None), "{goes_on:?}");
}

#[tokio::test]
async fn b10_a_settling_that_fails_counts_as_a_failure() {
    let world = World::start().await;
    let reconciler = world.reconciler().await;
    world.wire.fail([Fault::Unavailable; ATTEMPTS]);
    let (settled, failed) = counted(reconciler.purge_due(None)).await;
    assert!(settled.is_err());
    assert_eq!(failed, counts([("Failures", 1)]));
}

/// The names and values of dimensions are words of the code; what people are called and who they are is in none.
#[tokio::test]
async fn i13_no_metric_holds_anything_of_anybody() {
    let world = World::start().await;
    let log = Log::default();
    let listening = log.listen();
    let ((), counted) = counted(async {
        world.post(&sample("user.created")).await;
        world.post(&sample("organization.created")).await;
        world.post(&event("user.updated", &json!({ "id": ADA, "first_name": 7 }), SAMPLE_TIME)).await;
        world.post(&deletion_event("user.deleted", ADA, SAMPLE_TIME)).await;
        world.ensure("a.token.of-somebody").await;
        world.follow().await;
        world.reconcile().await;
    })
    .await;
    drop(listening);
    let copy = world.item(&user(ADA)).await.unwrap_or(Value::Null);
    let id = copy["id"].as_str().unwrap_or_default();
    let all = counted.keys().cloned().collect::<Vec<_>>().join(" ");
    assert!(log.text().contains(id) && !id.is_empty(), "the log does name it, or this test sees nothing");
    for mark in [ADA, id, "Ada", "example.com", "msg_", "org_", "somebody"] {
        assert!(!all.contains(mark), "{mark} in {all}");
    }
}

#[test]
fn b12_exactly_the_followed_types_are_read() {
    let open = |kind: &str| {
        let body = json!({ "type": kind, "instance_id": "ins_1", "timestamp": SAMPLE_TIME, "data": {} }).to_string();
        Envelope::parse(body.as_bytes()).unwrap().open()
    };
    for kind in SUBSCRIBED_EVENTS {
        assert!(!matches!(open(kind), Ok(None)), "{kind} is not followed");
    }
    for kind in ["session.created", "user.createdAtEdge", "organizationInvitation.created"] {
        assert!(matches!(open(kind), Ok(None)), "{kind}");
    }
}
