//! What purges hold in memory: a page at a time, few pages at once, and of a page only what the backup needs.

use aws_sdk_dynamodb::types::AttributeValue;
use rollcall::services::deletion::purge::MAX_PAGES;
use rollcall_tests::owned::Row;
use rollcall_tests::{OWNED_TABLES, World};

use crate::deletion::large::{ended, row};

const USERS: usize = 8;
const ROWS: usize = 60;
/// Small maps in each row: 30 KB in the table, 2 MB in memory.
const MAPS: usize = 4_000;

fn heavy(user: &str, at: usize) -> Row {
    let map = || AttributeValue::M([("a".to_owned(), AttributeValue::N("1".to_owned()))].into());
    let mut heavy = row(&[("user_id", user.to_owned()), ("task_id", format!("{at}"))]);
    heavy.insert("list".to_owned(), AttributeValue::L((0..MAPS).map(|_| map()).collect()));
    heavy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_s18_eight_users_with_nested_rows_are_read_a_small_page_at_a_time() {
    let world = World::with(&[("DELETION_POLICY", "purge"), ("OWNED_TABLES", OWNED_TABLES)]).await;
    world.make_owned_tables().await;
    for user in (0..USERS).map(|at| format!("user_{at}")) {
        for at in 0..ROWS / 4 {
            world.put_rows((0..4).map(|row| ("tasks", heavy(&user, 4 * at + row))).collect()).await;
        }
        world.put_rows(ended(&world, &user).into()).await;
    }
    world.wait_hours(25);
    let _ = world.wire.take();
    let mut held = world.wire.hold();
    let reconciler = world.reconciler().await;
    // Reads of the table that are under way at once: each stays on the wire until no more come.
    let counting = async {
        let (mut waiting, mut most) = (Vec::new(), 0);
        loop {
            match tokio::time::timeout(std::time::Duration::from_millis(100), held.recv()).await {
                Ok(Some(request)) if request.operation == "Query" && request.table.as_deref() == Some("tasks") => {
                    waiting.push(request);
                    most = most.max(waiting.len());
                    if most > MAX_PAGES {
                        return most;
                    }
                }
                Ok(Some(request)) => request.release(),
                Ok(None) => return most,
                Err(_) => waiting.drain(..).for_each(rollcall_tests::Held::release),
            }
        }
    };
    let settled = tokio::select! {
        settled = reconciler.purge_due(None) => settled,
        most = counting => panic!("{most} pages are held at once"),
    };
    let settled = settled.unwrap().purges.unwrap();
    assert_eq!((settled.purged, settled.rows), (USERS as u64, (USERS * ROWS) as u64), "{settled:?}");
    let reads = world
        .wire
        .take()
        .iter()
        .filter(|call| call.table.as_deref() == Some("tasks") && call.operation == "Query")
        .count();
    // After the first page of ten rows, none has more than 8 MB: four rows of 2 MB.
    assert!(reads >= USERS * (ROWS - 10) / 4, "{reads} pages for {} rows", USERS * ROWS);
    assert!(world.backups().len() >= USERS);
    // Rows are backed up and removed once they take 4 MB: those of one user take more.
    let largest = world.backups().values().map(String::len).max().unwrap();
    assert!(largest < 4_500_000, "{largest} bytes in one backup");
}
