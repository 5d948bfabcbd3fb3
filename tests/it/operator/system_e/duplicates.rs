//! `rollcall fix-duplicates`.

use aws_sdk_dynamodb::types::AttributeValue;
use rollcall_tests::owned::Row;
use rollcall_tests::{Fault, World};
use serde_json::{Value, json};

use super::{PURGE, killed_before, over_the_wire, ran, restored, rows, text_row};
use crate::operator::commands::{rollcall, typed};

const FIX: [&str; 7] = ["fix-duplicates", "--table", "moods", "--by", "user_id,day", "--oldest", "made_at"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    FIX.into_iter().chain(more.iter().copied()).collect()
}

fn mood(id: &str, user: &str, day: &str, made_at: Option<AttributeValue>, text: &str) -> Row {
    let mut row = text_row(&[("mood_id", id), ("user_id", user), ("day", day), ("text", text)]);
    row.extend(made_at.map(|at| ("made_at".to_owned(), at)));
    row
}

fn s(text: &str) -> Option<AttributeValue> {
    Some(AttributeValue::S(text.to_owned()))
}

fn n(digits: &str) -> Option<AttributeValue> {
    Some(AttributeValue::N(digits.to_owned()))
}

/// Ada's three rows of a day in three notations, of which a is the oldest by its key; Bob's two, one without a time;
/// and rows that have no duplicates.
async fn scene() -> World {
    let world = World::with(&PURGE).await;
    world.make_owned_tables().await;
    let rows = vec![
        mood("b", "user_ada", "1", s("2024-01-01T01:00:00+01:00"), "same"),
        mood("a", "user_ada", "1", s("2024-01-01T00:00:00Z"), "same"),
        mood("c", "user_ada", "1", n("1706745600000"), "fuller"),
        mood("d", "user_bob", "1", None, "x"),
        mood("e", "user_bob", "1", s("2024-01-01T00:00:00Z"), "x"),
        mood("f", "user_bob", "2", n("1706745600"), "x"),
        mood("g", "user_ada", "3", s("never"), "x"),
        text_row(&[("mood_id", "h"), ("user_id", "user_ada")]),
        text_row(&[("mood_id", "i"), ("user_id", "user_ada")]),
    ];
    world.put_rows(rows.into_iter().map(|row| ("moods", row)).collect()).await;
    world
}

async fn ids(world: &World) -> String {
    let moods = rows(world).await.into_iter().filter(|(table, _)| table == "moods");
    let mut ids: Vec<String> = moods.map(|(_, row)| row["mood_id"].as_s().unwrap().clone()).collect();
    ids.sort();
    ids.concat()
}

#[tokio::test]
async fn e6_the_oldest_row_of_each_group_stays_and_the_others_come_back_from_the_backup() {
    let world = scene().await;
    let before = rows(&world).await;
    let plan = ran(&world, &with(&["--dry-run"]), 2).await;
    assert_eq!(
        (&plan["rows"], &plan["groups"], &plan["duplicates"], &plan["undecided"], &plan["ungrouped"]),
        (&json!(9), &json!(1), &json!(2), &json!(1), &json!(2)),
        "{plan}"
    );
    assert_eq!(plan["differing"], json!({ "made_at": 2, "text": 1 }));
    let pair = |id: &str, removed: bool| json!({ "keeps": { "mood_id": { "S": "a" } }, "duplicate": { "mood_id": { "S": id } }, "removed": removed });
    assert_eq!(plan["pairs"], json!([pair("b", false), pair("c", false)]), "{plan}");
    let keys = json!([{ "mood_id": { "S": "d" } }, { "mood_id": { "S": "e" } }]);
    assert_eq!(plan["undecided_groups"], json!([{ "why": "no_time", "rows": 2, "keys": keys }]));
    let text = rollcall(&world, &with(&["--dry-run"]), &[]).await;
    assert!(
        text.out.contains("2 duplicates in 1 group") && text.out.contains("time of a row is missing"),
        "{}",
        text.out
    );
    assert!(!text.out.contains("fuller"), "no contents: {}", text.out);
    assert!(text.out.contains(r#"{"mood_id":{"S":"c"}}, keeps {"mood_id":{"S":"a"}}"#), "{}", text.out);
    let asked = typed(&world, &FIX, "n\r").await;
    assert!(asked.status == Some(2) && asked.out.contains("Nothing was written."), "{}", asked.out);
    let said = rollcall(&world, &with(&["--yes"]), &[("RECONCILE_POLICY", "report")]).await;
    assert_eq!(said.status, Some(2), "{}", said.err);
    assert_eq!(rows(&world).await, before);
    assert!(world.backups().is_empty());

    let done = ran(&world, &with(&["--yes"]), 2).await;
    assert_eq!((&done["removed"], &done["changed"], &done["backups"]), (&json!(2), &json!(0), &json!(1)), "{done}");
    assert_eq!(done["pairs"], json!([pair("b", true), pair("c", true)]), "{done}");
    assert_eq!(ids(&world).await, "adefghi");
    let again = ran(&world, &with(&["--yes"]), 2).await;
    assert_eq!((&again["duplicates"], &again["removed"], &again["undecided"]), (&json!(0), &Value::Null, &json!(1)));
    let pattern = done["backup_pattern"].as_str().unwrap();
    let run = pattern.rsplit('-').nth(1).unwrap();
    assert!(world.backups().keys().all(|file| file.contains(&format!("-{run}-"))), "{pattern}");
    assert_eq!(restored(&world).await["restored"], json!({ "moods": 2 }));
    assert_eq!(rows(&world).await, before);
}

#[tokio::test]
async fn e6_rows_of_several_users_of_nobody_and_records_of_rollcall_are_no_duplicates() {
    let world = scene().await;
    let made = || n("1706745600");
    let strangers = vec![
        mood("x", "507f1f77bcf86cd799439011", "9", made(), "x"),
        mood("y", "507f1f77bcf86cd799439011", "9", made(), "x"),
    ];
    world.put_rows(strangers.into_iter().map(|row| ("moods", row)).collect()).await;
    let before = rows(&world).await;
    let plan =
        ran(&world, &["fix-duplicates", "--table", "moods", "--by", "text", "--oldest", "made_at", "--yes"], 2).await;
    assert_eq!((&plan["duplicates"], &plan["undecided"]), (&json!(1), &json!(1)), "a and b alone are Ada's: {plan}");
    let plan = ran(&world, &with(&["--dry-run"]), 2).await;
    let whys: Vec<&str> =
        plan["undecided_groups"].as_array().unwrap().iter().map(|group| group["why"].as_str().unwrap()).collect();
    assert!(whys.contains(&"no_user"), "{plan}");
    restored(&world).await;
    assert_eq!(rows(&world).await, before);

    let profiles = world.stack.addresses.profiles_table.clone();
    let pk = format!("USER#{}", world.internal("user_ada"));
    for (sk, at) in [("PROFILE", 1), ("ORG#org_1", 1), ("NOTE#1", 2), ("NOTE#2", 1)] {
        let row = json!({ "pk": pk, "sk": sk, "user_id": "ada", "at": 1_706_745_600 + at });
        world.put(&profiles, &row).await;
    }
    let args = ["fix-duplicates", "--table", &profiles, "--by", "user_id", "--oldest", "at", "--yes"];
    let done = ran(&world, &args, 0).await;
    assert_eq!((&done["records"], &done["removed"]), (&json!(2), &json!(1)), "{done}");
    let sks: Vec<Value> = world.profiles().await.into_iter().map(|row| row["sk"].clone()).collect();
    assert_eq!(sks, ["NOTE#2", "ORG#org_1", "PROFILE"]);
}

#[tokio::test]
async fn e6_a_row_or_its_oldest_that_changes_meanwhile_keeps_the_group() {
    for changed in ["a", "b", "gone"] {
        let world = scene().await;
        let mut held = world.wire.hold();
        let racing = async {
            while let Some(request) = held.recv().await {
                if request.operation == "TransactWriteItems" {
                    if changed == "gone" {
                        let id = AttributeValue::S("a".to_owned());
                        let request = world.stack.dynamodb.delete_item().table_name("moods").key("mood_id", id);
                        request.send().await.unwrap();
                    } else {
                        let row = mood(changed, "user_ada", "1", s("2024-01-01T00:00:00Z"), "changed");
                        world.put_rows(vec![("moods", row)]).await;
                    }
                }
                request.release();
            }
            unreachable!("the wire goes on")
        };
        let args = with(&["--yes", "--json"]);
        let said = tokio::select! {
            said = over_the_wire(&world, &args) => said,
            () = racing => unreachable!(),
        };
        let json = said.json();
        let (removed, changed_rows, left) = match changed {
            "b" => (1, 1, "abdefghi"),
            "a" => (0, 2, "abcdefghi"),
            _ => (0, 2, "bcdefghi"),
        };
        assert_eq!((&json["removed"], &json["changed"]), (&json!(removed), &json!(changed_rows)), "{changed} {json}");
        let gone = json["pairs"].as_array().unwrap().iter().filter(|pair| pair["removed"] == true).count();
        assert_eq!(gone, removed, "{changed} {json}");
        assert_eq!((said.status, ids(&world).await.as_str()), (Some(2), left), "{changed}");
    }
}

#[tokio::test]
async fn e6_killed_before_any_request_or_throttled_it_is_gone_on_with() {
    let world = scene().await;
    let before = rows(&world).await;
    let args = with(&["--yes", "--json"]);
    let mut request = 0;
    while !killed_before(&world, &args, request).await {
        let left = ids(&world).await;
        assert!(left.starts_with('a') && left.ends_with("defghi"), "before request {request}: {left}");
        let is_backed_up =
            |id: &str| world.backups().values().any(|text| text.contains(&format!("\"mood_id\":{{\"S\":\"{id}\"}}")));
        assert!(["b", "c"].iter().all(|id| left.contains(id) || is_backed_up(id)), "before request {request}: {left}");
        request += 1;
    }
    assert!(request > 8, "{request}");
    assert_eq!(ids(&world).await, "adefghi");
    restored(&world).await;
    assert_eq!(rows(&world).await, before);
    for faults in [[Fault::Throttled; 9], [Fault::LostAnswer; 9]] {
        restored(&world).await;
        world.wire.fail_after(6, faults);
        let said = over_the_wire(&world, &args).await;
        let json = said.json();
        assert_eq!((said.status, ids(&world).await.as_str()), (Some(2), "adefghi"), "{json}");
    }
}

#[tokio::test]
async fn e6_many_duplicates_need_an_approval_of_their_number() {
    let world = scene().await;
    let rows_of_a_day = (0..26).map(|at| mood(&format!("m{at:02}"), "user_eve", "1", s("2024-01-01T00:00:00Z"), "x"));
    world.put_rows(rows_of_a_day.map(|row| ("moods", row)).collect()).await;
    let before = rows(&world).await;
    for (more, says) in [(&[][..], "more than this command changes"), (&["--approve", "26"], "says 26")] {
        let said = rollcall(&world, &[with(&["--yes"]).as_slice(), more].concat(), &[]).await;
        assert!(said.status == Some(2) && said.err.contains(says), "{} {}", said.out, said.err);
        assert!(said.err.contains("--approve 27") && said.out.contains("--json has all keys"), "{}", said.err);
        assert_eq!(rows(&world).await, before);
    }
    let said =
        rollcall(&world, &["full-sync", "--duplicates", "moods:user_id,day:made_at", "--yes", "--json"], &[]).await;
    let json = said.json();
    assert_eq!((said.status, &json["plan"]["duplicates_held"]), (Some(2), &json!(true)), "{json}");
    assert_eq!(ids(&world).await.matches('m').count(), 26);
    let done = ran(&world, &with(&["--yes", "--approve", "27"]), 2).await;
    assert_eq!((&done["removed"], &done["held"]), (&json!(27), &json!(false)), "{done}");
    assert_eq!(ids(&world).await, "adefghim00");
}

#[tokio::test]
async fn e6_an_attribute_that_no_row_has_is_an_error() {
    let world = scene().await;
    let before = rows(&world).await;
    let args = |by, oldest| ["fix-duplicates", "--table", "moods", "--by", by, "--oldest", oldest, "--yes", "--json"];
    for (by, oldest, status, says) in [
        ("user_id,dya", "made_at", 1, "no row of moods has the attribute dya"),
        ("user_id,day", "made", 1, "no row of moods has the attribute made"),
        ("", "made_at", 64, "a value is required"),
        ("user_id", "", 64, "a value is required"),
    ] {
        let said = rollcall(&world, &args(by, oldest), &[]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(status), ""), "{by} {oldest} {}", said.err);
        assert!(said.err.contains(says), "{by} {oldest} {}", said.err);
        if status == 1 {
            assert!(said.err.contains("made_at") && said.err.contains("mood_id"), "it names others: {}", said.err);
            assert!(!said.err.contains("user_ada") && !said.err.contains("2024"), "names only: {}", said.err);
        }
    }
    let said = rollcall(&world, &["full-sync", "--duplicates", "moods:dya:made_at", "--yes"], &[]).await;
    assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{}", said.err);
    assert!(said.err.contains("check the rule") && !said.err.contains("--by"), "{}", said.err);
    assert_eq!(rows(&world).await, before);
}
