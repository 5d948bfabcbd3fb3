//! `rollcall fix-profiles`.

use rollcall_tests::{Fault, World};
use serde_json::{Value, json};

use super::{killed_before, over_the_wire, ran, tombstoned};
use crate::operator::commands::{people, rollcall, typed};

/// Three users and their memberships without records, but for one record that the application has filled.
async fn without_records() -> (World, Value, String) {
    let world = World::with(&[("PROFILE_DEFAULTS", r#"{"level":1}"#)]).await;
    let (users, _) = people(&world, 3).await;
    world.set_now(world.now().get() + 60_000);
    world.reconcile().await;
    let profiles = &world.stack.addresses.profiles_table;
    let kept = json!({
        "pk": format!("USER#{}", world.internal(&users[0])), "sk": "PROFILE", "mood": "hers", "created_at": 1,
    });
    for row in world.profiles().await {
        let text = |name: &str| aws_sdk_dynamodb::types::AttributeValue::S(row[name].as_str().unwrap().to_owned());
        let request = world.stack.dynamodb.delete_item().table_name(profiles);
        request.key("pk", text("pk")).key("sk", text("sk")).send().await.unwrap();
    }
    world.put(profiles, &kept).await;
    (world, kept, users[2].clone())
}

#[tokio::test]
async fn e4_missing_records_are_shown_then_created_and_no_other_is_changed() {
    let (world, kept, deleted) = without_records().await;
    let plan = ran(&world, &["fix-profiles", "--dry-run"], 2).await;
    assert_eq!(
        plan,
        json!({ "dry_run": true, "rows": 7, "unreadable": 0, "users": 2, "memberships": 3, "created": 0 })
    );
    // A deleted user and the memberships of one need no record, before the cascade, too.
    tombstoned(&world, &deleted).await;
    let plan = rollcall(&world, &["fix-profiles", "--dry-run"], &[]).await;
    assert!(plan.out.contains("1 user, 2 memberships") && plan.status == Some(2), "{} {}", plan.out, plan.err);
    let refused = typed(&world, &["fix-profiles"], "n\r").await;
    assert!(refused.status == Some(2) && refused.out.contains("Nothing was written."), "{}", refused.out);
    let said = rollcall(&world, &["fix-profiles", "--yes"], &[("RECONCILE_POLICY", "report")]).await;
    assert!(said.status == Some(2) && said.err.contains("RECONCILE_POLICY=report"), "{}", said.err);
    let said = rollcall(&world, &["fix-profiles", "--yes"], &[("MIRROR", "off")]).await;
    assert!(said.status == Some(1) && said.err.contains("MIRROR=off"), "{}", said.err);
    assert_eq!(world.profiles().await, std::slice::from_ref(&kept));

    let done = ran(&world, &["fix-profiles", "--yes"], 0).await;
    assert_eq!((&done["created"], &done["dry_run"]), (&json!(3), &json!(false)));
    let records = world.profiles().await;
    assert!(records.len() == 4 && records.contains(&kept), "{records:?}");
    assert_eq!(records.iter().filter(|row| row["sk"] == "PROFILE" && row["level"] == 1).count(), 1);
    let again = ran(&world, &["fix-profiles", "--yes"], 0).await;
    assert_eq!((&again["created"], &again["dry_run"]), (&json!(0), &json!(false)));
    assert_eq!(world.profiles().await, records);
}

#[tokio::test]
async fn e4_a_row_that_cannot_be_read_is_counted_and_is_work_left() {
    let (world, _, last) = without_records().await;
    ran(&world, &["fix-profiles", "--yes"], 0).await;
    let mut row = world.item(&crate::user(&last)).await.unwrap();
    row.as_object_mut().unwrap().insert("rank".to_owned(), "garbage".into());
    world.put(&world.stack.addresses.directory_table, &row).await;
    for args in [["fix-profiles", "--dry-run"], ["fix-profiles", "--yes"]] {
        let said = rollcall(&world, &[&args[..], &["--json"]].concat(), &[]).await;
        let json: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(said.status, Some(2), "{json}");
        assert_eq!((&json["rows"], &json["unreadable"]), (&json!(7), &json!(1)), "{json}");
        let said = rollcall(&world, &args, &[]).await;
        assert!(said.out.contains("1 row of the Directory cannot be read"), "{}", said.out);
    }
}

#[tokio::test]
async fn e4_killed_before_any_request_or_throttled_it_is_gone_on_with() {
    let (world, kept, _) = without_records().await;
    let mut request = 0;
    while !killed_before(&world, &["fix-profiles", "--yes", "--json"], request).await {
        assert!(world.profiles().await.contains(&kept), "before request {request}");
        request += 1;
    }
    assert!(request > 8, "{request} requests");
    assert_eq!(world.profiles().await.len(), 6);
    let again = ran(&world, &["fix-profiles", "--yes"], 0).await;
    assert_eq!((&again["users"], &again["memberships"]), (&json!(0), &json!(0)));

    let (world, kept, _) = without_records().await;
    world.wire.fail_after(5, [Fault::Throttled; 9]);
    let said = over_the_wire(&world, &["fix-profiles", "--yes", "--json"]).await;
    assert_eq!((said.status, &said.json()["created"]), (Some(0), &json!(5)), "{}", said.err);
    assert!(world.profiles().await.len() == 6 && world.profiles().await.contains(&kept));
}
