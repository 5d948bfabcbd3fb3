//! I1: whatever happened to Clerk's entities, and however little of it arrived, late, twice or out of order, with
//! whatever calls of `ensure` in between: after one complete run of reconcile the Directory is what Clerk is.

use proptest::prelude::*;
use rollcall::core::mirror::item::CONSEQUENCES_AT;
use rollcall::core::reconcile::run::{Run, RunState};
use rollcall::core::reconcile::tally::Drift;
use rollcall_tests::{Action, Land, World, alive, projected};
use serde_json::Value;

/// A action, and whether a millisecond passes before it.
fn action() -> impl Strategy<Value = (Action, bool)> {
    let (user, organization) = (|| 0..4_usize, || 0..3_usize);
    let action = prop_oneof![
        3 => Just(Action::SignUp),
        2 => user().prop_map(Action::Found),
        2 => user().prop_map(Action::Rename),
        1 => (user(), any::<bool>()).prop_map(|(user, admin)| Action::Promote(user, admin)),
        1 => user().prop_map(Action::Ban),
        1 => organization().prop_map(Action::RenameOrganization),
        3 => (user(), organization()).prop_map(|(user, organization)| Action::Join(user, organization)),
        1 => (user(), organization(), any::<bool>()).prop_map(|(user, of, admin)| Action::Role(user, of, admin)),
        3 => (user(), organization()).prop_map(|(user, organization)| Action::Leave(user, organization)),
        1 => user().prop_map(Action::DeleteUser),
        1 => organization().prop_map(Action::DeleteOrganization),
        10 => (0..64_usize).prop_map(Action::Deliver),
        1 => (user(), prop::option::of(organization())).prop_map(|(user, of)| Action::Ensure(user, of)),
        1 => prop_oneof![Just(1_u64), Just(11), Just(20)].prop_map(Action::Wait),
    ];
    (action, prop::bool::weighted(0.8))
}

/// What happens before the run, and which events come after it.
fn history() -> impl Strategy<Value = (Vec<(Action, bool)>, Vec<usize>)> {
    let beginning = [Action::SignUp, Action::Found(0), Action::SignUp, Action::Join(1, 0)].map(|action| (action, true));
    let then = prop::collection::vec(action(), 0..24);
    let actions = then.prop_map(move |then| beginning.into_iter().chain(then).collect());
    (actions, prop::collection::vec(0..64_usize, 0..4))
}

/// A complete run, with an operator's consent if it asks for that.
async fn complete(world: &World) -> Run {
    let run = world.reconcile().await;
    if run.state == RunState::PendingApproval { world.approve(&run).await } else { run }
}

/// All rows of the Directory. When the consequences of an end were done is not Clerk's.
async fn rows(world: &World) -> Vec<Value> {
    let mut rows = world.directory().await;
    rows.iter_mut().filter_map(Value::as_object_mut).for_each(|row| drop(row.remove(CONSEQUENCES_AT)));
    rows
}

async fn play(world: &World, actions: &[(Action, bool)], late: &[usize]) -> Result<(), TestCaseError> {
    let mut land = Land::populate(world).await;
    for (action, ticks) in actions {
        land.happen(*action, *ticks).await;
    }
    // Until then what has just been stored contradicts nothing.
    land.happen(Action::Wait(16), true).await;
    let run = complete(world).await;
    prop_assert_eq!(run.state, RunState::Done, "{:?}", run);
    let expected = projected(world).await;
    prop_assert_eq!(alive(world).await, expected.clone());
    let drift = run.total().drift;
    prop_assert_eq!((drift.conflict, drift.ahead, drift.unproven, drift.unreadable), (0, 0, 0, 0));
    // What was lost may still come. It changes nothing any more.
    for which in late {
        land.happen(Action::Deliver(*which), true).await;
    }
    prop_assert_eq!(alive(world).await, expected);
    // And another run finds nothing to do.
    let before = rows(world).await;
    let again = complete(world).await;
    prop_assert!(again.is_in_sync() && again.total().drift == Drift::default());
    prop_assert_eq!(rows(world).await, before);
    Ok(())
}

fn converges(policy: &str, histories: u32) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::with(&[("DELETION_POLICY", policy)]));
    let (mut runner, seed) = rollcall_tests::runner(histories);
    let result = runner.run(&history(), |(actions, late)| runtime.block_on(play(&world, &actions, &late)));
    result.unwrap_or_else(|failure| panic!("under {policy}: {failure}\n{seed}"));
}

#[test]
fn i1_one_run_makes_the_copy_equal_under_redact() {
    converges("redact", 800);
}

#[test]
fn i1_one_run_makes_the_copy_equal_under_purge() {
    converges("purge", 600);
}

#[test]
fn i1_one_run_makes_the_copy_equal_under_retain() {
    converges("retain", 600);
}
