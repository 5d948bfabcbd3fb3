//! Purges that run at once, and deletions that are undone and repeated between two steps of one: finished is finished,
//! and another tombstone is another one.

use futures_util::future::join_all;
use rollcall::adapters::dynamo::directory::Directory;
use rollcall::adapters::dynamo::directory::write::{ClerkId, PutUnder};
use rollcall::core::deletion::subject::Subject;
use rollcall::core::id::EntityId;
use rollcall::core::mirror::item::Item;
use rollcall::core::mirror::rule::Guard;
use rollcall_cli::dev::tables;
use rollcall_tests::{OWNED_TABLES, World, deletion_event};
use serde_json::Value;

use crate::operator::commands::people;
use crate::{membership, user};

const PURGE: [(&str, &str); 2] = [("DELETION_POLICY", "purge"), ("OWNED_TABLES", OWNED_TABLES)];
const HERS: usize = 4;

async fn office(users: usize, settings: &[(&str, &str)]) -> (World, Vec<String>, String) {
    let clerk = clerk_emulator::Config { production: true, ..clerk_emulator::Config::default() };
    let world = World::with_clerk(clerk, settings).await;
    world.make_owned_tables().await;
    let (users, acme) = people(&world, users).await;
    world.set_now(world.now().get() + 60_000);
    assert!(world.reconcile().await.is_in_sync());
    (world, users, acme)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_s10_purges_of_the_same_users_at_once_finish_all_of_them_and_report_none_as_left() {
    for at_once in [2, 3, 4] {
        let (world, users, acme) = office(200, &PURGE).await;
        // Each in several organizations.
        for number in 1..HERS {
            for user in &users {
                let mut row = world.item(&membership(user, &acme)).await.unwrap();
                row["organization_id"] = format!("org_{number}").into();
                row["sk"] = format!("ORG#org_{number}").into();
                world.put(&world.stack.addresses.directory_table, &row).await;
            }
        }
        for user in &users {
            world.set_now(world.now().get() + 1);
            assert_eq!(world.post(&deletion_event("user.deleted", user, world.now().get())).await.status, 200);
        }
        // The stream is off: the night ends the memberships and notes what is due.
        world.wait_hours(1);
        world.reconcile().await;
        world.wait_hours(26);
        let reconcilers = join_all((0..at_once).map(|_| world.reconciler())).await;
        let settled = join_all(reconcilers.iter().map(|reconciler| reconciler.purge_due(None))).await;
        let settled: Vec<_> = settled.into_iter().map(|settled| settled.unwrap().purges.unwrap()).collect();
        assert_eq!(settled.iter().map(|it| it.failed).sum::<u64>(), 0, "{at_once} at once: {settled:?}");
        assert_eq!(settled.iter().map(|it| it.purged).sum::<u64>(), users.len() as u64, "{at_once}: {settled:?}");
        for user in &users {
            let copy = world.item(&crate::user(user)).await.unwrap();
            assert!(copy["consequences_at"].is_u64() && copy["purging_at"].is_null(), "{copy}");
        }
        let members: Vec<Value> = world.directory().await.into_iter().filter(|row| row["sk"] != "USER").collect();
        assert!(members.iter().filter(|row| row["sk"] != "ORG").all(|row| row["consequences_at"].is_u64()));
    }
}

#[tokio::test]
async fn fault_s10_what_another_purge_has_finished_meanwhile_is_not_left_because_a_membership_could_not_be_read() {
    let (world, users, acme) = office(2, &PURGE).await;
    let ada = users[1].clone();
    world.set_now(world.now().get() + 1_000);
    assert_eq!(world.post(&deletion_event("user.deleted", &ada, world.now().get())).await.status, 200);
    world.wait_hours(1);
    world.reconcile().await;
    let directory = world.stack.addresses.directory_table.clone();
    let good = world.item(&membership(&ada, &acme)).await.unwrap();
    let mut broken = good.clone();
    broken["rank"] = "no rank".into();
    world.put(&directory, &broken).await;
    world.wait_hours(25);
    let purger = world.reconciler().await;
    let others = world.beside(&PURGE).await;
    let mut held = world.wire.hold();
    let meanwhile = async {
        let mut has_read_members = false;
        loop {
            let request = held.recv().await.unwrap();
            if has_read_members {
                // Somebody mends the row, and another purge is faster.
                world.put(&directory, &good).await;
                let settled = others.reconciler().await.purge_due(None).await.unwrap().purges.unwrap();
                assert_eq!((settled.purged, settled.failed), (1, 0), "{settled:?}");
                drop(held);
                request.release();
                return;
            }
            has_read_members = request.operation == "Query" && request.table.as_deref() == Some(&*directory);
            request.release();
        }
    };
    let (settled, ()) = tokio::join!(purger.purge_due(None), meanwhile);
    let settled = settled.unwrap().purges.unwrap();
    assert_eq!((settled.purged, settled.failed), (0, 0), "finished is finished: {settled:?}");
}

#[tokio::test]
async fn fault_s9_a_deletion_undone_and_repeated_between_two_steps_of_a_purge_has_a_hold_of_its_own() {
    let (world, users, _) = office(1, &PURGE).await;
    let ada = users[0].clone();
    world.set_now(world.now().get() + 1_000);
    let deletion = deletion_event("user.deleted", &ada, world.now().get());
    assert_eq!(world.post(&deletion).await.status, 200);
    world.wait_hours(1);
    world.reconcile().await;
    world.wait_hours(25);
    let purger = world.reconciler().await;
    let others = world.beside(&PURGE).await;
    let mut held = world.wire.hold();
    let repeating = async {
        loop {
            let request = held.recv().await.unwrap();
            if request.operation == "UpdateItem" {
                let subject: Subject = ada.parse().unwrap();
                Box::pin(others.reconciler().await.into_operator().undo(&subject)).await.unwrap();
                // The same message once more, an hour later.
                world.wait_hours(1);
                assert_eq!(others.post(&deletion).await.status, 200);
                drop(held);
                request.release();
                return;
            }
            request.release();
        }
    };
    let (settled, ()) = tokio::join!(purger.purge_due(None), repeating);
    assert_eq!(settled.unwrap().purges.unwrap().purged, 0);
    let copy = world.item(&user(&ada)).await.unwrap();
    assert!(copy["deleted_at"].is_u64(), "{copy}");
    assert!(copy["purging_at"].is_null() && copy["consequences_at"].is_null(), "the new tombstone is marked: {copy}");
    let subject: Subject = ada.parse().unwrap();
    Box::pin(world.reconciler().await.into_operator().undo(&subject))
        .await
        .expect("the grace period of the new one has begun");
}

#[tokio::test]
async fn fault_s9_every_mark_names_the_exact_tombstone() {
    let (world, users, acme) = office(2, &PURGE).await;
    let directory = Directory::new(world.stack.dynamodb.clone(), world.stack.addresses.directory_table.clone());
    let read = async |entity: &EntityId| -> Item { serde_json::from_value(world.item(entity).await.unwrap()).unwrap() };
    assert_eq!(world.post(&deletion_event("user.deleted", &users[1], world.now().get())).await.status, 200);
    let stored = read(&user(&users[1])).await;
    let mut earlier = stored.clone();
    // Undone and repeated: the rank and the digest are the same.
    let at = i64::try_from(stored.provenance.applied_at.get()).unwrap();
    earlier.provenance.applied_at = (at - 1).try_into().unwrap();
    let member = read(&membership(&users[1], &acme)).await;
    let (now, before) = (world.now(), world.directory().await);
    assert_eq!(directory.begin_purge(&earlier, now).await.unwrap(), None, "begin_purge");
    for id in [ClerkId::Keep, ClerkId::Redact, ClerkId::Remove] {
        assert_eq!(directory.finish(&earlier, now, id).await.unwrap(), None, "finish");
    }
    assert!(!directory.withdraw(&earlier).await.unwrap(), "withdraw");
    let digest = member.digest.clone();
    let under = directory.put_under(&[(member, Guard::NewerOrSeen(digest))], &earlier).await.unwrap();
    assert_eq!(under, PutUnder::ConditionFailed, "put_under");
    assert_eq!(world.directory().await, before);
    directory.finish(&stored, now, ClerkId::Keep).await.unwrap().expect("the exact one is marked");
    let finished = world.directory().await;
    directory.reopen(&earlier).await.unwrap();
    assert_eq!(world.directory().await, finished, "reopen");
    directory.reopen(&stored).await.unwrap();
    assert_eq!(world.directory().await, before);
}

#[tokio::test]
async fn fault_s8_no_attribute_makes_a_tombstone_expire() {
    let world = World::start().await;
    let client = &world.stack.dynamodb;
    let addresses = &world.stack.addresses;
    let lives = async |table: &str| {
        let described = client.describe_time_to_live().table_name(table).send().await.unwrap();
        described.time_to_live_description.and_then(|it| it.attribute_name)
    };
    assert_eq!(lives(&addresses.directory_table).await, None);
    assert_eq!(lives(&addresses.profiles_table).await, None);
    assert_eq!(lives(&addresses.operations_table).await.as_deref(), Some("expires_at"));
    // A folder of an earlier version has a table that expires; the next start mends it.
    let specification = aws_sdk_dynamodb::types::TimeToLiveSpecification::builder();
    let on = specification.enabled(true).attribute_name("expires_at").build().unwrap();
    let request = client.update_time_to_live().table_name(&addresses.directory_table);
    request.time_to_live_specification(on).send().await.unwrap();
    tables::create(client, &tables::Tables::default()).await.unwrap();
    assert_eq!(lives(&addresses.directory_table).await, None);
}
