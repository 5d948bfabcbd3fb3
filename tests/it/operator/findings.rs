//! What the commands say of what they found: the latest finding, in one word each, and nothing as repaired that is not.

use std::time::{SystemTime, UNIX_EPOCH};

use reconcile::Order;
use rollcall::core::id::Kind;
use rollcall::core::reconcile::phase::Phase;
use rollcall::core::reconcile::run::{Mode, Run};
use rollcall_tests::World;
use serde_json::{Value, json};

use crate::operator::commands::{people, rollcall};
use crate::{ADA, user};

/// The machine's time, by which the binary goes, in Unix ms.
#[expect(clippy::disallowed_methods, reason = "the binary reads the same clock")]
pub(crate) fn machine_time() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[tokio::test]
async fn fault_a10_a_user_whom_clerk_does_not_have_is_shown_and_never_called_repaired() {
    let world = World::start().await;
    people(&world, 2).await;
    world.reconcile().await;
    world.set_now(machine_time());
    // As `rollcall trigger user.created` does: signed, and about somebody whom this Clerk has never had.
    let mut event = rollcall_tests::sample("user.created");
    event["timestamp"] = world.now().get().into();
    assert_eq!(world.post(&event).await.status, 200);
    world.follow().await;
    // Those of Clerk's own lack nothing there.
    let writeback = [("METADATA_WRITEBACK", "on")];
    assert_eq!(rollcall(&world, &["reconcile", "--yes"], &writeback).await.status, Some(0));

    let said = rollcall(&world, &["analyze", "--json"], &writeback).await;
    let json = said.json();
    assert_eq!(
        (said.status, &json["in_sync"], &json["user"]["unconfirmed"]),
        (Some(2), &json!(false), &json!(1)),
        "{json}"
    );
    let said = rollcall(&world, &["analyze"], &writeback).await;
    assert!(said.status == Some(2) && said.out.contains("  1  unconfirmed  "), "{}", said.out);
    for _ in 0..2 {
        let said = rollcall(&world, &["reconcile", "--yes"], &writeback).await;
        assert!(!said.out.contains("completed by this run") && !said.out.contains("dbId"), "{}", said.out);
        assert!(said.out.contains("1 row was stored less than 15 minutes before the run"), "{}", said.out);
        let json = rollcall(&world, &["reconcile", "--yes", "--json"], &writeback).await.json();
        assert_eq!(json["run"]["effects"]["links"], 0, "{json}");
        assert_eq!(json["run"]["tally"]["user"]["unconfirmed"], 1, "{json}");
    }
    // Once it is older than that, it is a difference that a run ends.
    let mut row = world.item(&user(ADA)).await.unwrap();
    row["applied_at"] = (row["applied_at"].as_u64().unwrap() - 16 * 60 * 1000).into();
    world.put(&world.stack.addresses.directory_table, &row).await;
    let json = rollcall(&world, &["analyze", "--json"], &writeback).await.json();
    assert_eq!((&json["user"]["unconfirmed"], &json["user"]["absent"]), (&json!(0), &json!(1)), "{json}");
    assert_eq!(json["effects"]["links"], 0, "Clerk has nobody to write anything back to: {json}");
    assert_eq!(rollcall(&world, &["reconcile", "--yes"], &writeback).await.status, Some(0));
    assert!(world.item(&user(ADA)).await.unwrap()["deleted_at"].is_u64());
}

#[tokio::test]
async fn fault_a10_who_is_gone_by_the_time_of_the_write_back_is_not_counted_as_done() {
    let world = World::with(&[("METADATA_WRITEBACK", "on")]).await;
    let (users, _) = people(&world, 2).await;
    let until = world.now().next();
    let stop = |run: &Run| {
        if matches!(run.next, Phase::WriteBack { .. }) {
            world.set_now(until.get() + 1_000);
        }
    };
    let reconciler = world.reconciler().await;
    let first = reconciler.run(&Order::Run(Mode::Repair), Some(until), &stop).await.unwrap().run.unwrap();
    assert_eq!((first.effects.links, first.effects.linked), (2, 0), "{first:?}");
    world.clerk("DELETE", &format!("/users/{}", users[1]), Value::Null).await;
    let undone = reconciler.run(&Order::Run(Mode::Repair), None, &|_| ()).await.unwrap().run.unwrap().effects;
    assert_eq!((undone.links, undone.linked, undone.gone), (1, 1, 1), "{undone:?}");
}

#[tokio::test]
async fn fault_a12_reports_after_the_last_repair_decide_how_it_stands() {
    let world = World::start().await;
    people(&world, 2).await;
    assert_eq!(rollcall(&world, &["reconcile", "--yes"], &[]).await.status, Some(0));
    assert_eq!(rollcall(&world, &["status"], &[]).await.status, Some(0));
    world.clerk("POST", "/users", json!({ "email_address": ["new@example.com"] })).await;
    let policy = [("RECONCILE_POLICY", "report")];
    for _ in 0..3 {
        assert_eq!(rollcall(&world, &["reconcile", "--json"], &policy).await.status, Some(2));
    }
    let status = rollcall(&world, &["status"], &[]).await;
    assert_eq!(status.status, Some(2), "{}", status.out);
    let last = status.out.lines().last().unwrap();
    assert!(last.starts_with("In sync at the last repair, 20") && last.contains("; 1 difference since"), "{last}");
    let json = rollcall(&world, &["status", "--json"], &[]).await.json();
    assert_eq!((&json["in_sync"], &json["differences"]), (&json!(false), &json!(1)));
    assert_eq!(rollcall(&world, &["reconcile", "--yes"], &[]).await.status, Some(0));
    assert_eq!(rollcall(&world, &["status"], &[]).await.status, Some(0));
}

#[tokio::test]
async fn fault_c6_a_word_means_the_same_in_reconcile_and_in_analyze() {
    let world = World::start().await;
    let (users, acme) = people(&world, 9).await;
    world.reconcile().await;
    world.set_now(world.now().get() + 60_000);
    // Three are new, two renamed, one is gone; an organization has ended, and its memberships not yet. No two numbers
    // are equal.
    for number in 0..3 {
        world.clerk("POST", "/users", json!({ "email_address": [format!("new{number}@example.com")] })).await;
    }
    world.clerk("PATCH", &format!("/users/{}", users[6]), json!({ "first_name": "Nobody" })).await;
    world.clerk("DELETE", &format!("/users/{}", users[8]), Value::Null).await;
    world.clerk("PATCH", &format!("/users/{}", users[7]), json!({ "first_name": "Nobody" })).await;
    world.clerk("DELETE", &format!("/organizations/{acme}"), Value::Null).await;
    let data = json!({ "id": acme, "object": "organization", "deleted": true });
    let event = rollcall_tests::event("organization.deleted", &data, world.now().get() + 1_000);
    assert_eq!(world.post(&event).await.status, 200);
    let plan = rollcall(&world, &["reconcile", "--dry-run", "--json"], &[]).await.json();
    let analysis = rollcall(&world, &["analyze", "--json"], &[]).await.json();
    for kind in Kind::ALL.map(Kind::name) {
        let tally = &plan["run"]["tally"][kind];
        for (name, number) in tally["drift"].as_object().unwrap() {
            assert_eq!(&analysis[kind][name], number, "{kind} {name}: {tally} {analysis}");
        }
        for name in ["pending_approval", "unconfirmed"] {
            assert_eq!(analysis[kind][name], tally[name], "{kind} {name}");
        }
    }
    let user = &analysis["user"];
    assert_eq!((&user["missing"], &user["absent"], &user["outdated"]), (&json!(3), &json!(1), &json!(2)), "{analysis}");
    assert_eq!(analysis["membership"]["orphaned"], 9, "{analysis}");
}
