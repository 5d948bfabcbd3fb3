//! I22 for tables: random rows, a kill before a random request, and rows that change between scan and update. The counts add
//! up, a second run writes nothing, nothing else is touched, and an undo removes what was written.

use std::collections::BTreeMap;

use rollcall_tests::World;
use serde_json::{Value, json};

use super::rekey_table::{Mapped, REFERENCE, mood};
use crate::operator::system_e::killed_before;

/// Tables of one run of the tests. By hand: `ROLLCALL_MIGRATIONS=300`.
const TABLES: u64 = 6;
const USERS: usize = 4;

/// A row before, and what the rekey makes of it.
struct Row {
    before: Value,
    after: Value,
    result: &'static str,
}

fn random_row(random: &mut fastrand::Rng, id: &str, users: &[String]) -> Row {
    let at = random.usize(0..USERS);
    let (old, clerk) = (format!("b{}", at + 1), json!(users[at]));
    let known = mood(id, &old);
    let with = |value: &Value| {
        let mut row = known.clone();
        row["clerk_user_id"] = value.clone();
        row
    };
    let (before, after, result) = match random.u8(0..7) {
        0 => (mood(id, "b99"), mood(id, "b99"), "unmatched"),
        1 => (mood(id, "nobody"), mood(id, "nobody"), "unmatched"),
        2 => (json!({ "mood_id": id }), json!({ "mood_id": id }), "missing"),
        3 => (with(&clerk), with(&clerk), "unchanged"),
        4 => (with(&json!("user_other")), with(&json!("user_other")), "conflict"),
        _ => (known.clone(), with(&clerk), "changed"),
    };
    Row { before, after, result }
}

/// Changes a row as an application may: the row is deleted, gets another reference, or another attribute.
async fn change(world: &World, random: &mut fastrand::Rng, row: &mut Row, mapped: &Mapped) {
    let id = row.before["mood_id"].as_str().unwrap().to_owned();
    match random.u8(0..3) {
        0 => {
            mapped.delete(&id).await;
            row.after = Value::Null;
        }
        1 => {
            let at = random.usize(0..USERS);
            let now = mood(&id, &format!("b{}", at + 1));
            world.put("moods", &now).await;
            row.after = now.clone();
            row.after["clerk_user_id"] = json!(mapped.users[at]);
        }
        _ => {
            let mut now = row.before.clone();
            now["new"] = "of the application".into();
            world.put("moods", &now).await;
            row.after["new"] = now["new"].clone();
        }
    }
}

async fn rekey(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mapped = Mapped::open(USERS).await;
    let mut rows = BTreeMap::new();
    for number in 0..random.usize(3..40) {
        let id = format!("r{number:02}");
        let row = random_row(&mut random, &id, &mapped.users);
        mapped.put("moods", row.before.clone()).await;
        rows.insert(id, row);
    }
    let args = mapped.args("moods", &REFERENCE);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    killed_before(&mapped.old.world, &args, random.usize(1..40)).await;
    // Some rows change between the scan and the first write of the next run.
    let victims: Vec<String> = rows.keys().filter(|_| random.u8(0..4) == 0).cloned().collect();
    let mut held = mapped.old.world.wire.hold();
    let racing = async {
        let mut is_first = true;
        while let Some(request) = held.recv().await {
            if request.operation == "UpdateItem" && std::mem::take(&mut is_first) {
                let now = mapped.moods().await;
                for id in &victims {
                    let row = rows.get_mut(id).unwrap();
                    // Those that are not written yet.
                    if row.result == "changed" && now[id]["clerk_user_id"].is_null() {
                        change(&mapped.old.world, &mut random, row, &mapped).await;
                    }
                }
            }
            request.release();
        }
        unreachable!("the wire goes on")
    };
    let said = tokio::select! {
        said = mapped.rekey(&REFERENCE) => said,
        () = racing => unreachable!(),
    };
    drop(held);
    let report = said.json();
    for counts in report["passes"].as_array().unwrap().iter().chain([&report["plan"]]) {
        let sum: u64 = counts["by_result"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!(json!(sum), counts["read"], "{seed}: {report}");
    }
    let is_left = rows.values().any(|row| ["unmatched", "missing", "conflict"].contains(&row.result));
    assert_eq!(said.status, Some(if is_left { 2 } else { 0 }), "{seed}: {report} {}", said.err);
    let expected: BTreeMap<String, Value> =
        rows.iter().filter(|(_, row)| !row.after.is_null()).map(|(id, row)| (id.clone(), row.after.clone())).collect();
    assert_eq!(mapped.moods().await, expected, "{seed}");
    mapped.writes("moods");
    mapped.rekey(&REFERENCE).await;
    assert_eq!(mapped.writes("moods"), Vec::<String>::new(), "{seed}: a second run writes nothing");
    let undone = mapped.rekey(&["--undo"]).await;
    assert_eq!(undone.status, Some(0), "{seed}: {} {}", undone.out, undone.err);
    let after = mapped.moods().await;
    for (id, row) in rows.iter().filter(|(_, row)| !row.after.is_null()) {
        let mut expected = row.after.clone();
        if row.result == "changed" {
            expected.as_object_mut().unwrap().remove("clerk_user_id");
        }
        assert_eq!(after[id], expected, "{seed}: {id} after the undo");
    }
}

#[tokio::test]
async fn i22_a_random_table_loses_no_row_and_nothing_else_is_touched() {
    #[expect(clippy::disallowed_methods, reason = "a number for a run by hand")]
    let tables = std::env::var("ROLLCALL_MIGRATIONS").ok().and_then(|number| number.parse().ok());
    for seed in 0..tables.unwrap_or(TABLES) {
        println!("seed {seed}");
        Box::pin(rekey(seed)).await;
    }
}
