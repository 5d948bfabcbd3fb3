//! Reconcile on good days and bad ones: what it repairs, what it costs, what it holds, what it says.

use clerk_emulator::Generated;
use reconcile::Order;
use rollcall::adapters::clerk::error::ClerkError;
use rollcall::core::reconcile::run::{Mode, Run, RunState};
use rollcall::core::reconcile::tally::Drift;
use rollcall::services::reconcile::ReconcileError;
use rollcall_tests::proxy::{asks_by_name, behind, hidden};
use rollcall_tests::{Action, Land, World, alive, event, projected};
use serde_json::{Value, json};

use crate::{state, user};

/// Past the time in which what was stored contradicts nothing yet.
const LATER: Action = Action::Wait(16);

/// A land of some users, the first of whom has founded an organization that the others have joined.
async fn populated(world: &World, users: usize) -> Land<'_> {
    let mut land = Land::populate(world).await;
    for number in 0..users {
        land.happen(Action::SignUp, true).await;
        let then = if number == 0 { Action::Found(0) } else { Action::Join(number, 0) };
        land.happen(then, true).await;
    }
    land
}

/// Writes to the Directory since the last time this was asked.
fn directory_writes(world: &World) -> usize {
    let is_write = |call: &rollcall_tests::Call| {
        let to_directory = call.table.as_deref() == Some(&world.stack.addresses.directory_table);
        call.operation == "TransactWriteItems" || (to_directory && call.operation != "Scan")
    };
    world.wire.take().iter().filter(|call| is_write(call)).count()
}

#[tokio::test]
async fn b9_a_first_run_fills_an_empty_directory_and_a_second_one_changes_nothing() {
    let world = World::start().await;
    let land = populated(&world, 4).await;
    let run = world.reconcile().await;
    let total = run.total();
    assert_eq!((run.state, total.created, total.updated, total.deleted), (RunState::Done, 9, 0, 0));
    assert_eq!(total.drift, Drift { missing: 9, ..Drift::default() });
    assert!(run.is_in_sync());
    assert_eq!(alive(&world).await, projected(&world).await);
    let (before, records) = (world.directory().await, world.stream_records().await);
    let _ = world.wire.take();
    let again = world.reconcile().await;
    assert_eq!((again.total().unchanged, again.total().drift, directory_writes(&world)), (9, Drift::default(), 0));
    assert_eq!((world.directory().await, world.stream_records().await), (before, records));
    // Every row says by which path it came.
    assert!(world.directory().await.iter().all(|row| row["applied_by"] == "reconcile"));
    assert_eq!(land.users.len(), 4);
}

#[tokio::test]
async fn b7_there_is_one_row_for_each_pair_whatever_came_how_often() {
    let world = World::start().await;
    let mut land = populated(&world, 3).await;
    for event in 0..land.events.len() {
        land.happen(Action::Deliver(event), true).await;
        land.happen(Action::Deliver(event), true).await;
    }
    land.happen(Action::Leave(1, 0), true).await;
    land.happen(Action::Join(1, 0), true).await;
    land.happen(Action::Ensure(1, Some(0)), true).await;
    land.happen(LATER, true).await;
    world.reconcile().await;
    let memberships: Vec<Value> =
        world.directory().await.into_iter().filter(|row| row["sk"].as_str().unwrap().starts_with("ORG#")).collect();
    assert_eq!(memberships.len(), 3, "{memberships:?}");
    assert_eq!(alive(&world).await, projected(&world).await);
}

#[tokio::test]
async fn c1_a_reporting_run_finds_the_same_and_writes_nothing_but_its_report() {
    let world = World::start().await;
    let reporting = world.beside(&[("RECONCILE_POLICY", "report")]).await;
    let mut land = populated(&world, 60).await;
    for event in 0..land.events.len() {
        land.happen(Action::Deliver(event), false).await;
    }
    // Each kind of drift once: changed, gone, joined, left, and an organization gone with all its memberships.
    land.happen(Action::Rename(1), true).await;
    land.happen(Action::DeleteUser(2), true).await;
    land.happen(Action::SignUp, true).await;
    land.happen(Action::Leave(4, 0), true).await;
    land.happen(LATER, true).await;
    let before = world.directory().await;
    let planned = reporting.reconcile().await;
    assert_eq!((planned.mode, planned.state), (Mode::Report, RunState::Done));
    assert!(!planned.is_in_sync());
    assert_eq!(directory_writes(&reporting), 0);
    assert_eq!(world.directory().await, before);
    let total = planned.total();
    assert_eq!((total.created, total.updated, total.deleted, total.cascade_deleted), (0, 0, 0, 0));
    // The repair does what was planned, neither more nor less.
    let repaired = world.reconcile().await;
    assert_eq!(repaired.total().drift, total.drift);
    let drift = Drift { missing: 1, outdated: 1, absent: 2, orphaned: 1, ..Drift::default() };
    assert_eq!(total.drift, drift);
    let total = repaired.total();
    assert_eq!((total.created, total.updated, total.deleted, total.cascade_deleted), (1, 1, 2, 1));
    assert_eq!(alive(&world).await, projected(&world).await);
}

#[tokio::test]
async fn c1_a_policy_that_only_reports_outranks_every_order() {
    let world = World::start().await;
    let reporting = world.beside(&[("RECONCILE_POLICY", "report")]).await;
    let mut land = populated(&world, 3).await;
    // Whatever is ordered, nothing is written.
    let ordered = reporting.reconciler().await.run(&Order::Run(Mode::Repair), None, &|_| ()).await.unwrap();
    assert_eq!((ordered.run.unwrap().mode, world.directory().await), (Mode::Report, vec![]));
    world.reconcile().await;
    land.happen(Action::DeleteUser(1), true).await;
    land.happen(Action::DeleteUser(2), true).await;
    land.happen(LATER, true).await;
    let held = world.reconcile().await;
    assert_eq!(held.state, RunState::PendingApproval);
    let refused = reporting.reconciler().await.run(&Order::Approve(held.run.clone()), None, &|_| ()).await;
    assert!(matches!(refused, Err(ReconcileError::ReportOnly)), "{refused:?}");
    // And a run that only reported has nothing that could be approved, whoever asks.
    let planned = reporting.reconcile().await;
    assert_eq!((planned.state, planned.tally.user.pending_approval), (RunState::PendingApproval, 2));
    let refused = world.reconciler().await.run(&Order::Approve(planned.run), None, &|_| ()).await;
    assert!(matches!(refused, Err(ReconcileError::NotPendingApproval(_))), "{refused:?}");
    assert_eq!(world.approve(&held).await.tally.user.deleted, 2);
}

#[tokio::test]
async fn i4_many_absences_wait_for_an_operator_and_are_proven_again() {
    let world = World::start().await;
    let mut land = populated(&world, 100).await;
    world.reconcile().await;
    for number in 10..40 {
        land.happen(Action::DeleteUser(number), true).await;
    }
    land.happen(LATER, true).await;
    let before = world.directory().await;
    let held = world.reconcile().await;
    assert_eq!(held.state, RunState::PendingApproval);
    assert_eq!(
        (held.tally.user.pending_approval, held.tally.membership.pending_approval, held.total().deleted),
        (30, 30, 0)
    );
    assert!(!held.is_in_sync());
    assert_eq!(world.directory().await, before, "nothing was deleted");
    // Every night it is held anew, until somebody looks.
    land.happen(Action::Wait(24 * 60), true).await;
    let held = world.reconcile().await;
    assert_eq!((held.state, held.total().pending_approval), (RunState::PendingApproval, 60));
    // As long as Clerk does not say whose the key is, nothing is approved, and the run still waits.
    let refused = world.beside(&[("CLERK_SECRET_KEY", "sk_test_refused")]).await.reconciler().await;
    let refused = refused.run(&Order::Approve(held.run.clone()), None, &|_| ()).await;
    assert!(matches!(refused, Err(ReconcileError::Clerk(_))), "{refused:?}");
    let kept = world.reconciler().await.operations().run(&held.run).await.unwrap().unwrap();
    assert_eq!((kept.state, kept.approved), (RunState::PendingApproval, false));
    let (approved, counts) = crate::monitoring::metrics::counted(world.approve(&held)).await;
    assert_eq!(
        (approved.state, approved.tally.user.deleted, approved.tally.membership.cascade_deleted),
        (RunState::Done, 30, 30)
    );
    assert_eq!(counts["DriftHealed"], 60, "{counts:?}");
    assert_eq!(alive(&world).await, projected(&world).await);
    // What is over cannot be approved again, what never was neither.
    let again = world.reconciler().await.run(&Order::Approve(held.run), None, &|_| ()).await;
    assert!(matches!(again, Err(ReconcileError::NotPendingApproval(_))), "{again:?}");
    let unknown = Order::Approve("2020-01-01T00:00:00.000Z".parse().unwrap());
    let unknown = world.reconciler().await.run(&unknown, None, &|_| ()).await;
    assert!(matches!(unknown, Err(ReconcileError::Unknown(_))), "{unknown:?}");
}

#[tokio::test]
async fn i4_consent_covers_only_what_is_proven_when_it_is_given() {
    let world = World::start().await;
    let mut land = populated(&world, 4).await;
    world.reconcile().await;
    // Three of four are gone, as far as the list shows. A proxy's mistake.
    land.happen(LATER, true).await;
    let (hide, ids) = (hidden(land.users[..3].to_vec()), land.users[..3].to_vec());
    let hiding = behind(&world, move |uri, status, body| {
        let (status, mut body) = hide(uri, status, body);
        let rows = body.as_array_mut().into_iter();
        rows.for_each(|rows| rows.retain(|row| !ids.iter().any(|id| row["id"] == id.as_str())));
        (status, body)
    });
    let hiding = hiding.await;
    let tested = world.beside(&[("CLERK_API_URL", &hiding)]).await;
    let held = tested.reconcile().await;
    assert_eq!((held.state, held.tally.user.pending_approval), (RunState::PendingApproval, 3));
    // By the time an operator consents, Clerk shows them again.
    let approved = world.approve(&held).await;
    assert_eq!((approved.state, approved.total().deleted), (RunState::Done, 0));
    assert_eq!(alive(&world).await, projected(&world).await);
    // And a consent that comes too late is none.
    let held = tested.reconcile().await;
    land.happen(Action::Wait(7 * 24 * 60 + 1), true).await;
    let late = world.reconciler().await.run(&Order::Approve(held.run), None, &|_| ()).await;
    assert!(matches!(late, Err(ReconcileError::TooOld(_))), "{late:?}");
}

#[tokio::test]
async fn i4_consent_covers_no_more_than_what_was_pending() {
    let world = World::start().await;
    let mut land = populated(&world, 4).await;
    world.reconcile().await;
    // The only organization is gone, which is held. So are three of four users, but that night Clerk says nothing of
    // them.
    land.happen(Action::DeleteOrganization(0), true).await;
    for number in 1..4 {
        land.happen(Action::DeleteUser(number), true).await;
    }
    land.happen(LATER, true).await;
    let silent = behind(&world, |uri, status, body| (status, if asks_by_name(uri) { json!([]) } else { body })).await;
    let held = world.beside(&[("CLERK_API_URL", &silent)]).await.reconcile().await;
    assert_eq!(
        (held.tally.user.pending_approval, held.tally.user.drift.unproven, held.tally.organization.pending_approval),
        (0, 3, 1)
    );
    // Who consents to the end of one organization has not consented to that of three users.
    let approved = world.approve(&held).await;
    assert_eq!(
        (approved.state, approved.total().deleted, approved.tally.user.pending_approval),
        (RunState::PendingApproval, 0, 3)
    );
    let approved = world.approve(&approved).await;
    let deleted = (approved.tally.user.deleted, approved.tally.organization.deleted);
    assert_eq!((approved.state, deleted), (RunState::Done, (3, 1)));
    assert_eq!(alive(&world).await, projected(&world).await);
}

#[tokio::test]
async fn i5_the_key_of_another_instance_is_refused_before_anything_is_read() {
    let world = World::start().await;
    populated(&world, 3).await;
    world.reconcile().await;
    let before = world.directory().await;
    world.set_faults(clerk_emulator::ApiFaults { wrong_instance: true, ..clerk_emulator::ApiFaults::default() });
    let _ = world.wire.take();
    let refused = world.reconciler().await.run(&Order::Run(Mode::Repair), None, &|_| ()).await;
    assert!(matches!(&refused, Err(ReconcileError::Clerk(ClerkError::Foreign(_)))), "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("CLERK_INSTANCE_ID"));
    assert_eq!(world.wire.take(), []);
    assert_eq!(world.directory().await, before);
}

#[tokio::test]
async fn trace11_memberships_end_with_their_parents_without_proof_and_whatever_their_number() {
    for policy in ["redact", "purge", "retain"] {
        let world = World::with(&[("DELETION_POLICY", policy)]).await;
        let mut land = populated(&world, 40).await;
        for event in 0..land.events.len() {
            land.happen(Action::Deliver(event), false).await;
        }
        // The organization's end arrives, that of its memberships never does: Clerk sends no such events.
        land.happen(Action::DeleteOrganization(0), true).await;
        let end = land.events.len() - 1;
        land.happen(Action::Deliver(end), true).await;
        let run = world.reconcile().await;
        assert_eq!(
            (run.state, run.tally.membership.cascade_deleted, run.total().pending_approval),
            (RunState::Done, 40, 0),
            "{policy}"
        );
        // No question was put to Clerk about any of them: the five of a run without a change, and one whose the page is
        // that differs.
        assert!(run.cost.clerk_calls <= 6, "{} calls", run.cost.clerk_calls);
        let rows = world.directory().await;
        let ended = rows.iter().filter(|row| row["sk"].as_str().unwrap().starts_with("ORG#"));
        let of_parent = rows.iter().find(|row| row["sk"] == "ORG").unwrap();
        for row in ended {
            assert_eq!((&row["applied_by"], &row["deleted_at"]), (&json!("cascade"), &of_parent["deleted_at"]));
            assert_eq!(row["permissions"].is_null(), policy != "retain", "{row}");
            assert!(row["user_pk"].is_null(), "it is not listed among the members any more");
        }
        assert_eq!(alive(&world).await, projected(&world).await);
    }
}

#[tokio::test]
async fn what_has_ended_here_and_lives_in_clerk_is_reported_until_somebody_looks() {
    let world = World::start().await;
    let mut land = populated(&world, 3).await;
    world.reconcile().await;
    // A signed delete of somebody whom Clerk still has. Right after it Clerk may merely be slow.
    let id = land.users[1].clone();
    let answer = world.post(&rollcall_tests::deletion_event("user.deleted", &id, world.now().get())).await;
    assert_eq!(answer.brief(), (200, "applied"));
    assert!(world.reconcile().await.is_in_sync());
    land.happen(LATER, true).await;
    for _ in 0..2 {
        let run = world.reconcile().await;
        assert_eq!((run.state, run.tally.user.drift.conflict, run.is_in_sync()), (RunState::Done, 1, false));
        assert!(world.item(&user(&id)).await.unwrap()["deleted_at"].is_u64(), "a tombstone is final");
        land.happen(Action::Wait(60), true).await;
    }
}

#[tokio::test]
async fn what_nobody_here_has_written_is_left_alone_and_reported() {
    let world = World::start().await;
    let land = populated(&world, 3).await;
    world.reconcile().await;
    let mut row = world.item(&user(&land.users[1])).await.unwrap();
    row["rank"] = "high".into();
    let item = serde_dynamo::to_item(&row).unwrap();
    let table = &world.stack.addresses.directory_table;
    world.stack.dynamodb.put_item().table_name(table).set_item(Some(item)).send().await.unwrap();
    let run = world.reconcile().await;
    assert_eq!((run.state, run.tally.user.drift.unreadable, run.is_in_sync()), (RunState::Incomplete, 1, false));
    assert_eq!(world.item(&user(&land.users[1])).await.unwrap(), row);
}

#[tokio::test]
async fn a6_without_a_mirror_organizations_are_listed_and_nobody_else() {
    let world = World::with(&[("MIRROR", "off")]).await;
    let mut land = populated(&world, 3).await;
    let run = world.reconcile().await;
    assert_eq!((run.state, run.total().created, run.tally.organization.created), (RunState::Done, 1, 1));
    assert!(run.is_in_sync());
    // A row from before the mirror was switched off is somebody's business.
    let mirroring = world.beside(&[]).await;
    assert_eq!(mirroring.post(&land.events[0]).await.brief(), (200, "applied"));
    let run = world.reconcile().await;
    assert_eq!((run.tally.user.drift.unmirrored, run.is_in_sync()), (1, false));
    land.happen(Action::DeleteOrganization(0), true).await;
    land.happen(LATER, true).await;
    let held = world.reconcile().await;
    assert_eq!(
        (held.state, held.tally.organization.pending_approval),
        (RunState::PendingApproval, 1),
        "all that there are are many"
    );
    assert_eq!(world.approve(&held).await.tally.organization.deleted, 1);
}

#[tokio::test]
async fn a_row_of_clerks_that_cannot_be_read_hides_nobody_else() {
    let world = World::start().await;
    let land = populated(&world, 3).await;
    world.reconcile().await;
    let broken = land.users[1].clone();
    let url = behind(&world, move |_, status, mut body| {
        for row in body.as_array_mut().into_iter().flatten().filter(|row| row["id"] == broken.as_str()) {
            row["updated_at"] = "yesterday".into();
        }
        (status, body)
    });
    let url = url.await;
    let tested = world.beside(&[("CLERK_API_URL", &url)]).await;
    world.set_now(world.now().get() + 16 * 60_000);
    let run = tested.reconcile().await;
    assert_eq!((run.state, run.tally.user.drift.unreadable, run.total().deleted), (RunState::Incomplete, 1, 0));
    assert_eq!(alive(&world).await, projected(&world).await);
}

async fn counted(world: &World) -> (Run, u64) {
    let before = world.clerk_calls();
    let run = world.reconcile().await;
    (run, world.clerk_calls() - before)
}

#[tokio::test]
async fn i14_a_run_costs_its_pages_and_five_calls_at_most() {
    for (users, organizations, memberships) in
        [(0, 0, 0), (1, 0, 0), (499, 1, 1), (500, 1, 500), (501, 3, 501), (1_000, 2, 1_000)]
    {
        let generated = Generated { users, organizations, memberships };
        let clerk = clerk_emulator::Config { generated, production: true, ..clerk_emulator::Config::default() };
        let world = World::with_clerk(clerk, &[]).await;
        let pages = [users, organizations, memberships].map(|rows| rows.div_ceil(500)).iter().sum::<u64>();
        let most = pages + 5;
        let (first, calls) = counted(&world).await;
        assert_eq!((first.state, first.total().created), (RunState::Done, users + organizations + memberships));
        // Before a page is written, Clerk is asked whose it is.
        assert!(calls <= most + pages, "{calls} calls for {generated:?}");
        assert_eq!(first.cost.clerk_calls, calls);
        let _ = world.wire.take();
        let (unchanged, calls) = counted(&world).await;
        assert!(calls <= most, "{calls} calls for {generated:?}");
        assert_eq!((unchanged.total().drift, directory_writes(&world)), (Drift::default(), 0));
        assert_eq!(unchanged.total().unchanged, users + organizations + memberships);
    }
}

#[tokio::test]
async fn i14_ten_changes_are_ten_writes() {
    let generated = Generated { users: 600, organizations: 2, memberships: 600 };
    let clerk = clerk_emulator::Config { generated, production: true, ..clerk_emulator::Config::default() };
    let world = World::with_clerk(clerk, &[]).await;
    world.reconcile().await;
    let page = world.clerk("GET", "/users?limit=20&offset=300", Value::Null).await;
    for row in &page.as_array().unwrap()[..10] {
        let path = format!("/users/{}", row["id"].as_str().unwrap());
        world.clerk("PATCH", &path, json!({ "first_name": "Changed" })).await;
    }
    let _ = world.wire.take();
    let (run, calls) = counted(&world).await;
    assert_eq!((run.tally.user.updated, run.total().drift.outdated, directory_writes(&world)), (10, 10, 10));
    assert!(calls <= 2 + 1 + 2 + 5, "{calls} calls");
}

#[tokio::test]
async fn ties_of_a_page_are_settled_by_one_more_call() {
    let world = World::start().await;
    let mut land = populated(&world, 8).await;
    world.reconcile().await;
    // All of them changed within the millisecond of what is stored: nothing but their contents tells.
    let now = world.now().get();
    for number in 0..8 {
        let id = land.users[number].clone();
        let body = world.clerk("PATCH", &format!("/users/{id}"), json!({ "first_name": "Tied" })).await;
        let mut other = body.clone();
        other["first_name"] = "Other".into();
        assert_eq!(world.post(&event("user.updated", &other, now)).await.brief(), (200, "applied"));
    }
    land.happen(LATER, true).await;
    let (run, calls) = counted(&world).await;
    // The page once more, and three questions whose the answers are: of the page, of what it differs in, of the page
    // again.
    assert_eq!((run.tally.user.drift.tied, run.tally.user.updated, calls), (8, 8, 10));
    assert_eq!(alive(&world).await, projected(&world).await);
    let unchanged = world.item(&user(&land.users[0])).await.map(state);
    assert!(world.reconcile().await.is_in_sync());
    assert_eq!(world.item(&user(&land.users[0])).await.map(state), unchanged);
}
