//! I23: a purge removes a row only while it still belongs to the deleted user. The application may hand a row to
//! somebody else at any moment, and an index shows yesterday's owner for a while.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use rollcall::adapters::dynamo::owned::rows::DynamoOwned;
use rollcall::core::deletion::owned::Owner;
use rollcall::core::deletion::owned::owned_tables;
use rollcall::services::operator::restore::Backup;
use rollcall_tests::owned::Row;
use rollcall_tests::{OWNED_TABLES, World};

use crate::deletion::large::{ended, row};

const ADA: &str = "user_ada";
const EVE: &str = "user_eve";

async fn world(rows: usize) -> World {
    let world = World::with(&[("DELETION_POLICY", "purge"), ("OWNED_TABLES", OWNED_TABLES)]).await;
    world.make_owned_tables().await;
    let mood = |at: usize| ("moods", row(&[("mood_id", format!("{at}")), ("user_id", ADA.to_owned())]));
    let mut all: Vec<(&str, Row)> = (0..rows).map(mood).collect();
    all.extend(ended(&world, ADA));
    world.put_rows(all).await;
    world.wait_hours(25);
    world
}

/// The application hands a row to Eve if it is there and still Ada's. Answers whether it was.
async fn hand_over(world: &World, mood: &str) -> bool {
    let request =
        world.stack.dynamodb.update_item().table_name("moods").key("mood_id", AttributeValue::S(mood.to_owned()));
    let request = request.update_expression("SET user_id = :eve").condition_expression("user_id = :ada");
    let request = request.expression_attribute_values(":eve", AttributeValue::S(EVE.to_owned()));
    request.expression_attribute_values(":ada", AttributeValue::S(ADA.to_owned())).send().await.is_ok()
}

async fn of_eve(world: &World) -> BTreeSet<String> {
    let rows = world.exactly(&["moods"]).await;
    let of_eve = rows.into_iter().filter(|(_, row)| row["user_id"].as_s().unwrap() == EVE);
    of_eve.map(|(_, row)| row["mood_id"].as_s().unwrap().clone()).collect()
}

/// All backups hold rows of Ada's alone.
fn only_hers(world: &World) {
    for text in world.backups().values() {
        assert!(!text.contains(EVE), "a backup holds a row of somebody else's");
        assert!(!Backup::parse(text).unwrap().lines.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i23_of_three_thousand_rows_that_move_while_the_purge_runs_none_of_anybody_elses_is_removed() {
    const ROWS: usize = 3_000;
    let world = world(ROWS).await;
    let reconciler = world.reconciler().await;
    let moving = async {
        let mut moved = BTreeSet::new();
        // Every third one, from the end on, so that some are moved before they are read, some between, and some too
        // late.
        for at in (0..ROWS).rev().step_by(3) {
            if hand_over(&world, &at.to_string()).await {
                moved.insert(at.to_string());
            }
        }
        moved
    };
    let (settled, moved) = tokio::join!(reconciler.purge_due(None), moving);
    let settled = settled.unwrap().purges.unwrap();
    println!("{} moved, {settled:?}", moved.len());
    assert!(!moved.is_empty() && moved.len() < ROWS);
    assert_eq!((settled.purged, settled.failed), (1, 0), "{settled:?}");
    assert_eq!(of_eve(&world).await, moved, "rows of somebody else are gone");
    assert_eq!(world.exactly(&["moods"]).await.len(), moved.len(), "and all of hers are");
    assert_eq!(settled.rows, (ROWS - moved.len()) as u64, "what stays is not counted as removed");
    // A backup may hold what was hers when it was read; putting it back replaces nothing of Eve's.
    only_hers(&world);
    for text in world.backups().values() {
        world.restore(text, true).await;
    }
    assert_eq!(of_eve(&world).await, moved);
}

#[tokio::test]
async fn i23_rows_that_move_between_the_backup_and_the_delete_stay() {
    let world = world(40).await;
    let reconciler = world.reconciler().await;
    let mut held = world.wire.hold();
    let moving = async {
        loop {
            let request = held.recv().await.unwrap();
            if ["DeleteItem", "BatchWriteItem"].contains(&request.operation.as_str()) {
                for at in 0..20 {
                    assert!(hand_over(&world, &at.to_string()).await);
                }
                drop(held);
                request.release();
                return;
            }
            request.release();
        }
    };
    let (settled, ()) = tokio::join!(reconciler.purge_due(None), moving);
    assert_eq!(settled.unwrap().purges.unwrap().rows, 20);
    assert_eq!(of_eve(&world).await.len(), 20);
    assert_eq!(world.exactly(&["moods"]).await.len(), 20);
}

#[tokio::test]
async fn i23_an_index_that_lags_gives_away_nobody_elses_row() {
    let world = world(8).await;
    // The index is asked once as the purge asks it, and answers so from then on.
    world.wire.lag("moods");
    let client = rollcall_cli::dev::stack::client(world.wire.url()).await;
    let moods = owned_tables(OWNED_TABLES).unwrap().into_iter().find(|table| table.index.is_some()).unwrap();
    let owner = Owner { clerk: ADA.parse().unwrap(), internal: world.internal(ADA) };
    let (rows, _) = DynamoOwned::new(client, moods).page(&owner, None).await.unwrap();
    assert_eq!(rows.len(), 8);
    for at in 0..5 {
        assert!(hand_over(&world, &at.to_string()).await);
    }
    let settled = world.purge_due().await.purges.unwrap();
    assert_eq!((settled.purged, settled.rows), (1, 3), "{settled:?}");
    assert_eq!(of_eve(&world).await.len(), 5, "rows of somebody else are gone");
    only_hers(&world);
    assert_eq!(Backup::parse(world.backups().values().next().unwrap()).unwrap().lines.len(), 3);
}
