//! What a command, and a run, look at before they write: the tables, and the settings under which a run began.

use aws_sdk_dynamodb::types::{AttributeValue, StreamSpecification};
use reconcile::{Order, Outcome};
use rollcall::core::reconcile::phase::Phase;
use rollcall::core::reconcile::run::{Mode, Run};
use rollcall_cli::dev::tables::{self, Tables};
use rollcall_cli::operator::report;
use rollcall_tests::World;
use serde_json::Value;

use crate::operator::commands::{Evidence, people, rollcall};

/// Runs a command on a deployment without deletions, with other settings.
async fn deployed(world: &World, args: &[&str], settings: &[(&str, &str)]) -> Evidence {
    // The last one counts.
    rollcall(world, args, &[&[("DELETION_POLICY", "retain")], settings].concat()).await
}

async fn all(world: &World) -> [Vec<Value>; 3] {
    [world.directory().await, world.profiles().await, world.operations().await]
}

#[tokio::test]
async fn fault_a6_tables_that_are_not_what_they_are_called_are_named_before_anything_is_written() {
    let world = World::start().await;
    let (users, _) = people(&world, 2).await;
    let before = all(&world).await;
    let (directory, profiles) = ("rollcall-directory", "rollcall-profiles");
    let id = users[0].as_str();
    let exchanged = [("DIRECTORY_TABLE", profiles), ("PROFILES_TABLE", directory)];
    for args in [
        &["reconcile", "--yes"][..],
        &["reconcile", "--dry-run"],
        &["analyze"],
        &["undo", id, "--yes"],
        &["erase", id, "--yes", "--now"],
        &["export", id],
        &["restore", "backup.ndjson", "--yes"],
    ] {
        let said = deployed(&world, args, &exchanged).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{args:?} {}", said.err);
        for named in ["DIRECTORY_TABLE names rollcall-profiles: ", "PROFILES_TABLE names rollcall-directory: "] {
            assert!(said.err.contains(named), "{args:?} {}", said.err);
        }
    }
    for (settings, expected) in [
        (("DIRECTORY_TABLE", "rollcall-typo"), "DIRECTORY_TABLE names rollcall-typo: the table does not exist"),
        (("PROFILES_TABLE", "rollcall-typo"), "PROFILES_TABLE names rollcall-typo: the table does not exist"),
        (("OPERATIONS_TABLE", directory), "OPERATIONS_TABLE names the same table as DIRECTORY_TABLE"),
        (("PROFILES_TABLE", "rollcall-operations"), "OPERATIONS_TABLE names the same table as PROFILES_TABLE"),
    ] {
        let said = deployed(&world, &["reconcile", "--yes"], &[settings]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{settings:?} {}", said.err);
        assert!(said.err.contains(expected), "{}", said.err);
    }
    // A table of another application's.
    let client = &world.stack.dynamodb;
    world.make_owned_tables().await;
    let said = deployed(&world, &["reconcile", "--yes"], &[("PROFILES_TABLE", "user_progress")]).await;
    assert!(
        said.status == Some(1) && said.err.contains("PROFILES_TABLE names user_progress: the keys"),
        "{}",
        said.err
    );
    assert_eq!(all(&world).await, before);

    assert_eq!(deployed(&world, &["reconcile", "--yes"], &[]).await.status, Some(0));
    let none = StreamSpecification::builder().stream_enabled(false).build().unwrap();
    client.update_table().table_name(directory).stream_specification(none).send().await.unwrap();
    let said = deployed(&world, &["reconcile", "--yes"], &[]).await;
    assert!(
        said.status == Some(1) && said.err.contains("the table lacks the stream of new and old images"),
        "{}",
        said.err
    );
}

/// A run that is interrupted where it would look for what was left undone.
async fn interrupted(world: &World) -> Run {
    let until = world.now().next();
    let stop = |run: &Run| {
        if matches!(run.next, Phase::Effects { .. }) {
            world.set_now(until.get() + 1_000);
        }
    };
    let report = world.reconciler().await.run(&Order::Run(Mode::Repair), Some(until), &stop).await.unwrap();
    assert_eq!(report.state, Outcome::Continue);
    report.run.unwrap()
}

#[tokio::test]
async fn i16_a_run_goes_on_only_under_the_settings_that_it_began_with() {
    let world = World::start().await;
    people(&world, 2).await;
    let tables = Tables { directory: "rollcall-other".to_owned(), ..Tables::default() };
    tables::create(&world.stack.dynamodb, &tables).await.unwrap();
    for (settings, named) in [
        (("DIRECTORY_TABLE", "rollcall-other"), "DIRECTORY_TABLE"),
        (("DELETION_POLICY", "retain"), "DELETION_POLICY"),
        (("OWNED_TABLES", r#"[{"table":"tasks","key":"user_id"}]"#), "OWNED_TABLES"),
        (("METADATA_WRITEBACK", "on"), "METADATA_WRITEBACK"),
    ] {
        let first = interrupted(&world).await;
        let other = world.beside(&[settings]).await;
        let reconciler = other.reconciler().await;
        let report = reconciler.run(&Order::Run(Mode::Repair), None, &|_| ()).await.unwrap();
        let run = report.run.clone().unwrap();
        assert!(run.run != first.run && run.is_in_sync(), "{named}: {run:?}");
        let instead = run.instead_of.clone().unwrap();
        assert_eq!((&instead.run, instead.settings), (&first.run, vec![named.to_owned()]));
        let text = report::text(&report, "");
        let said = format!("Run {} was interrupted. That run was started with other settings ({named})", first.run);
        assert!(text.contains(&said), "{text}");
        // Under its own settings the first one is still there.
        let again = world.reconcile().await;
        assert!(again.run == first.run && again.is_in_sync() && again.instead_of.is_none(), "{again:?}");
    }
    assert_eq!(world.rows("rollcall-other").await.len(), 5, "two users, one organization, two memberships");
}

#[tokio::test]
async fn i16_a_checkpoint_of_an_earlier_version_is_read_and_not_gone_on_with() {
    let world = World::start().await;
    people(&world, 2).await;
    let first = interrupted(&world).await;
    let table = &world.stack.addresses.operations_table;
    let text = AttributeValue::S;
    let update = world.stack.dynamodb.update_item().table_name(table).update_expression("REMOVE basis");
    let update = update.key("pk", text("RUN#reconcile".to_owned())).key("sk", text(first.run.to_string()));
    update.send().await.unwrap();
    let run = world.reconcile().await;
    assert!(run.run != first.run && run.is_in_sync(), "{run:?}");
    assert_eq!(run.instead_of.clone().map(|instead| (instead.run, instead.settings)), Some((first.run, vec![])));
    let report = rollcall::services::reconcile::RunResult::Ran(Box::new(run)).into();
    assert!(report::text(&report, "").contains("started by an earlier version"));
}

#[tokio::test]
async fn i16_a_held_run_is_approved_only_under_the_settings_that_it_began_with() {
    let world = World::start().await;
    let (users, _) = people(&world, 4).await;
    world.reconcile().await;
    world.set_now(world.now().get() + 60 * 60 * 1000);
    for user in &users[1..] {
        world.clerk("DELETE", &format!("/users/{user}"), Value::Null).await;
    }
    let held = world.reconcile().await;
    assert!(held.is_pending_approval(), "{held:?}");
    let other = world.beside(&[("DELETION_POLICY", "retain")]).await;
    let refused = other.reconciler().await.run(&Order::Approve(held.run.clone()), None, &|_| ()).await.unwrap_err();
    assert!(refused.to_string().contains("was started with other settings (DELETION_POLICY)"), "{refused}");
    assert_eq!(world.approve(&held).await.tally.user.deleted, 3);
}

#[tokio::test]
async fn fault_s13_by_hand_nothing_is_done_before_clerk_has_said_whose_the_key_is() {
    let purge = [("DELETION_POLICY", "purge"), ("PURGE_AFTER_HOURS", "1")];
    let world = World::with(&purge).await;
    let (users, _) = people(&world, 2).await;
    world.set_now(world.now().get() + 60_000);
    world.reconcile().await;
    let deleted = rollcall_tests::deletion_event("user.deleted", &users[0], world.now().get());
    world.clerk("DELETE", &format!("/users/{}", users[0]), serde_json::Value::Null).await;
    assert_eq!(world.post(&deleted).await.status, 200);
    world.follow().await;
    world.wait_hours(3);
    let before = (world.directory().await, world.profiles().await, world.operations().await);
    let key = ("CLERK_SECRET_KEY", "sk_test_refused");
    for command in ["--yes", "--dry-run"] {
        let said = rollcall(&world, &["reconcile", command], &[purge[0], purge[1], key]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{command}: {}", said.err);
        assert!(said.err.contains("Clerk rejected the secret key"), "{}", said.err);
    }
    assert_eq!((world.directory().await, world.profiles().await, world.operations().await), before);
    // The function does by night what needs no answer of Clerk's, and reports the key.
    let refused = world.beside(&[purge[0], purge[1], key]).await.reconciler().await;
    let refused = refused.run(&Order::Run(Mode::Repair), None, &|_| ()).await;
    assert!(refused.is_err(), "{refused:?}");
    let finished = world.directory().await.into_iter().filter(|row| !row["consequences_at"].is_null()).count();
    assert!(finished > 0, "the purge that was due is done");
}
