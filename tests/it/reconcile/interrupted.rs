//! I11: a run that is killed anywhere, or whose store or Clerk fails anywhere, is gone on with or begun anew, and ends
//! in the same state as one that nothing has happened to.

use reconcile::{Order, Outcome};
use rollcall::core::millis::Millis;
use rollcall::core::reconcile::run::{Mode, Run, RunState};
use rollcall::services::reconcile::ReconcileError;
use rollcall_tests::{ATTEMPTS, Action, Fault, Land, World, alive, killed_after, projected};
use serde_json::Value;

/// A land with drift of every kind: somebody missing, outdated, rejoined unnoticed, gone with and without a membership,
/// tied; and memberships whose organization has ended.
async fn drifted(world: &World) -> Land<'_> {
    let mut land = Land::populate(world).await;
    for action in [
        Action::SignUp,
        Action::Found(0),
        Action::Found(0),
        Action::SignUp,
        Action::Join(1, 0),
        Action::Join(1, 1),
        Action::SignUp,
        Action::Join(2, 0),
        Action::SignUp,
        Action::SignUp,
    ] {
        land.happen(action, true).await;
    }
    for event in 0..land.events.len() {
        land.happen(Action::Deliver(event), false).await;
    }
    for action in [Action::Rename(0), Action::DeleteUser(2), Action::DeleteUser(3), Action::Leave(1, 0), Action::SignUp]
    {
        land.happen(action, true).await;
    }
    // The organization's end arrives, the end of its memberships is nobody's event.
    land.happen(Action::DeleteOrganization(1), true).await;
    land.happen(Action::Deliver(land.events.len() - 1), false).await;
    let id = land.users[4].clone();
    let mut other = world.clerk("GET", &format!("/users/{id}"), Value::Null).await;
    other["first_name"] = "Other".into();
    let tied = rollcall_tests::event("user.updated", &other, world.now().get());
    assert_eq!(world.post(&tied).await.brief().0, 200);
    land.happen(Action::Wait(16), true).await;
    land
}

/// How many rows have ended.
async fn tombstones(world: &World) -> usize {
    world.directory().await.iter().filter(|row| !row["deleted_at"].is_null()).count()
}

#[tokio::test]
async fn i11_a_run_killed_after_any_await_ends_like_any_other() {
    let world = World::start().await;
    let mut polls = 1;
    loop {
        let mut land = drifted(&world).await;
        let reconciler = world.reconciler().await;
        let order = Order::Run(Mode::Repair);
        let killed = killed_after(polls, reconciler.run(&order, None, &|_| ())).await;
        // Its lease must end before another one begins.
        if killed.is_none() && reconciler.run(&order, None, &|_| ()).await.unwrap().state == Outcome::Busy {
            land.happen(Action::Wait(6), true).await;
        }
        let run = world.reconcile().await;
        let run = if run.state == RunState::PendingApproval { world.approve(&run).await } else { run };
        assert_eq!(run.state, RunState::Done, "killed after {polls} polls: {run:?}");
        assert_eq!(alive(&world).await, projected(&world).await, "killed after {polls} polls");
        assert_eq!(tombstones(&world).await, 7, "killed after {polls} polls");
        if killed.is_some() {
            break;
        }
        polls += 1;
    }
    println!("{polls} awaits");
    assert!(polls > 30, "{polls}");
}

#[tokio::test]
async fn i11_a_checkpoint_moves_only_after_what_it_covers_is_durable() {
    let world = World::start().await;
    drifted(&world).await;
    // How many requests a run takes when nothing happens to it.
    let _ = world.wire.take();
    world.reconcile().await;
    let requests = world.wire.take().len();
    for failing in 0..requests {
        let mut land = drifted(&world).await;
        world.wire.fail_after(failing, [Fault::ServerError; ATTEMPTS]);
        let reconciler = world.reconciler().await;
        let failed = reconciler.run(&Order::Run(Mode::Repair), None, &|_| ()).await;
        world.wire.fail([]);
        if let Err(failure) = failed {
            assert!(matches!(failure, ReconcileError::Store(_)), "{failure:?}");
        }
        land.happen(Action::Wait(6), true).await;
        let run = world.reconcile().await;
        // It has seen everybody: no page was passed over although it was not remembered.
        let seen = [run.listings.user.seen, run.listings.organization.seen, run.listings.membership.seen];
        assert_eq!(seen, [4, 1, 1], "request {failing} of {requests} failed");
        let run = if run.state == RunState::PendingApproval { world.approve(&run).await } else { run };
        assert_eq!((run.state, run.is_in_sync()), (RunState::Done, true), "request {failing} of {requests} failed");
        assert_eq!(alive(&world).await, projected(&world).await, "request {failing} of {requests} failed");
    }
}

#[tokio::test]
async fn e11_a_run_stops_before_its_time_is_over_and_goes_on_from_there() {
    let generated = clerk_emulator::Generated { users: 1_100, organizations: 2, memberships: 600 };
    let clerk = clerk_emulator::Config { generated, production: true, ..clerk_emulator::Config::default() };
    let world = World::with_clerk(clerk, &[]).await;
    let order = Order::Run(Mode::Repair);
    let mut steps = Vec::new();
    // So little time that an invocation makes one step at most: its clock moves with each.
    let run = loop {
        let reconciler = world.reconciler().await;
        let begun = world.now();
        let until = Millis::try_from(i64::try_from(begun.get() + 1).unwrap()).unwrap();
        let report = reconciler.run(&order, Some(until), &|_| world.set_now(world.now().get() + 10)).await.unwrap();
        let run = report.run.unwrap();
        if report.state != Outcome::Continue {
            break run;
        }
        assert!(!steps.contains(&run.next), "it makes progress: {steps:?} {:?}", run.next);
        steps.push(run.next);
    };
    assert_eq!((run.state, run.total().created), (RunState::Done, 1_702));
    assert!(steps.len() >= 3 + 1 + 2 + 2 + 3 - 1, "{} steps", steps.len());
    assert_eq!(alive(&world).await, projected(&world).await);
}

/// Does what is ordered, one step an invocation, as often as it takes.
async fn step_by_step(world: &World, order: &Order) -> (Run, usize) {
    for invocations in 1.. {
        let until = Millis::try_from(i64::try_from(world.now().get() + 1).unwrap()).unwrap();
        let tick = |_: &Run| world.set_now(world.now().get() + 10);
        let report = world.reconciler().await.run(order, Some(until), &tick).await.unwrap();
        if report.state != Outcome::Continue {
            return (report.run.unwrap(), invocations);
        }
    }
    unreachable!("there is no end of numbers")
}

#[tokio::test]
async fn i11_absences_are_sifted_and_proven_over_many_invocations_as_in_one() {
    let generated = clerk_emulator::Generated { users: 700, organizations: 2, memberships: 400 };
    let clerk = clerk_emulator::Config { generated, production: true, ..clerk_emulator::Config::default() };
    let world = World::with_clerk(clerk, &[]).await;
    world.reconcile().await;
    // So many that they fill several pages: of users, some of whom are members.
    let page = world.clerk("GET", "/users?limit=250&offset=300", Value::Null).await;
    for user in page.as_array().unwrap() {
        world.clerk("DELETE", &format!("/users/{}", user["id"].as_str().unwrap()), Value::Null).await;
    }
    world.set_now(world.now().get() + 16 * 60_000);
    let reporting = world.beside(&[("RECONCILE_POLICY", "report")]).await;
    let (plan, invocations) = step_by_step(&reporting, &Order::Run(Mode::Report)).await;
    assert_eq!((plan.state, plan.tally.user.pending_approval), (RunState::PendingApproval, 250));
    assert!(invocations > 8, "{invocations}");
    let (held, _) = step_by_step(&world, &Order::Run(Mode::Repair)).await;
    assert_eq!(
        (held.state, held.tally.user.pending_approval, held.total().deleted),
        (RunState::PendingApproval, 250, 0)
    );
    assert_eq!(held.total().drift, plan.total().drift);
    // Consent is given once, and the rest of it is gone on with, not begun again.
    let (done, invocations) = step_by_step(&world, &Order::Approve(held.run.clone())).await;
    assert!(invocations > 16, "{invocations}");
    assert_eq!((done.state, done.tally.user.deleted, done.total().pending_approval), (RunState::Done, 250, 0));
    assert_eq!(
        done.tally.membership.cascade_deleted + done.tally.membership.deleted,
        held.tally.membership.pending_approval
    );
    // Each was asked about twice, once together with others and once alone, and nobody a third time. Whose answers they
    // were is asked once for each page of twenty: there are five of a page of 98 in doubt.
    let calls = done.cost.clerk_calls - held.cost.clerk_calls;
    let proofs = 5 + 5 + 3;
    let most = 250 + proofs + 5 + u64::try_from(invocations).unwrap();
    assert!(calls <= most, "{calls} calls, {most} at most");
    assert_eq!(alive(&world).await, projected(&world).await);
}

#[tokio::test]
async fn whoever_wakes_up_after_another_has_finished_changes_nothing() {
    let world = World::start().await;
    let mut land = drifted(&world).await;
    let (asleep, awake) = (world.reconciler().await, world.reconciler().await);
    let order = Order::Run(Mode::Repair);
    // It falls asleep in the middle of its first page.
    let mut sleeper = Box::pin(asleep.run(&order, None, &|_| ()));
    for _ in 0..25 {
        assert!(killed_after(1, sleeper.as_mut()).await.is_none());
    }
    land.happen(Action::Wait(6), true).await;
    let other = awake.run(&order, None, &|_| ()).await.unwrap().run.unwrap();
    assert_ne!(other.state, RunState::Running);
    let (runs, rows) = (awake.operations().latest_runs(10).await.unwrap(), world.directory().await);
    assert!(matches!(sleeper.await, Err(ReconcileError::Overtaken)));
    assert_eq!(awake.operations().latest_runs(10).await.unwrap(), runs);
    assert_eq!(world.directory().await, rows);
}

#[tokio::test]
async fn two_runs_are_never_under_way_at_once() {
    let world = World::start().await;
    drifted(&world).await;
    let (one, other) = (world.reconciler().await, world.reconciler().await);
    let order = Order::Run(Mode::Repair);
    let nobody = |_: &_| ();
    let (one, other) = tokio::join!(one.run(&order, None, &nobody), other.run(&order, None, &nobody));
    let states = [one.unwrap().state, other.unwrap().state];
    assert!(states.contains(&Outcome::Busy) && states != [Outcome::Busy; 2], "{states:?}");
    // Whoever finished has given the lease back.
    let reconciler = world.reconciler().await;
    assert_eq!(reconciler.operations().lease(world.now()).await.unwrap(), None);
    assert_eq!(reconciler.run(&order, None, &nobody).await.unwrap().state, Outcome::Done);
}

#[tokio::test]
async fn bug11_a_run_that_holds_deletions_is_not_taken_for_a_finished_one() {
    let world = World::start().await;
    let mut land = Land::populate(&world).await;
    for _ in 0..3 {
        land.happen(Action::SignUp, true).await;
    }
    world.reconcile().await;
    land.happen(Action::DeleteUser(0), true).await;
    land.happen(Action::DeleteUser(1), true).await;
    land.happen(Action::Wait(16), true).await;
    let held = world.reconcile().await;
    assert_eq!(
        (held.state, held.tally.user.pending_approval, held.is_in_sync()),
        (RunState::PendingApproval, 2, false)
    );
    // The next run begins at the beginning, and holds them again.
    land.happen(Action::Wait(1), true).await;
    let again = world.reconcile().await;
    assert_ne!(again.run, held.run);
    assert_eq!((again.state, again.tally.user.pending_approval), (RunState::PendingApproval, 2));
}

#[tokio::test]
async fn bug12_a_run_is_checked_by_counts() {
    let world = World::start().await;
    let mut land = Land::populate(&world).await;
    for _ in 0..30 {
        land.happen(Action::SignUp, true).await;
    }
    world.reconcile().await;
    land.happen(Action::DeleteUser(7), true).await;
    land.happen(Action::Wait(16), true).await;
    // One row is left out, and nothing else is wrong with the page.
    world.set_faults(clerk_emulator::ApiFaults { skipped_row: 1.0, ..clerk_emulator::ApiFaults::default() });
    let run = world.reconcile().await;
    let users = run.listings.user;
    assert_eq!((run.state, users.seen, users.before, users.after), (RunState::Incomplete, 28, 29, 29));
    assert_eq!(run.total().deleted, 0, "not even whoever is really gone");
}
