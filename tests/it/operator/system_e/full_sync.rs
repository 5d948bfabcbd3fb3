//! `rollcall full-sync`.

use serde_json::{Value, json};

use super::{deleted, office, ran, rows, stored, text_row};
use crate::operator::commands::{rollcall, typed};

#[tokio::test]
async fn e7_everything_is_repaired_after_one_plan_and_one_consent() {
    let (world, users, _) = office(6).await;
    // Of one who is deleted rows remained, a record is missing, one is new in Clerk, and a day was saved twice.
    deleted(&world, &users[0]).await;
    world.follow().await;
    world.wait_hours(25);
    assert_eq!(world.purge_due().await.purges.unwrap().purged, 1);
    world.give_rows(&users[0], 1, "late").await;
    let profiles = &world.stack.addresses.profiles_table;
    let text = |text: String| aws_sdk_dynamodb::types::AttributeValue::S(text);
    let record = world.stack.dynamodb.delete_item().table_name(profiles);
    let record = record.key("pk", text(format!("USER#{}", world.internal(&users[1]))));
    record.key("sk", text("PROFILE".to_owned())).send().await.unwrap();
    world.clerk("POST", "/users", json!({ "email_address": ["new@example.com"] })).await;
    for (id, at) in [("x", "2024-01-01T00:00:00Z"), ("y", "2024-01-01T00:00:01Z")] {
        let row = text_row(&[("mood_id", id), ("user_id", &users[2]), ("day", "1"), ("at", at)]);
        world.put_rows(vec![("moods", row)]).await;
    }
    let args = ["full-sync", "--duplicates", "moods:user_id,day:at"];
    let before = stored(&world).await;
    let plan = ran(&world, &[&args[..], &["--dry-run"]].concat(), 2).await;
    assert_eq!(plan["analysis"]["user"]["missing"], 1, "{plan}");
    assert_eq!(plan["plan"]["profiles"]["users"], 1, "{plan}");
    assert_eq!(plan["plan"]["cleanup"]["users"], 1, "{plan}");
    assert_eq!(plan["plan"]["duplicates"][0]["duplicates"], 1, "{plan}");
    let asked = typed(&world, &args, "n\r").await;
    assert!(asked.status == Some(2) && asked.out.matches("Carry out this plan?").count() >= 1, "{}", asked.out);
    for step in ["1. analyze", "2. reconcile", "3. fix-profiles", "4. cleanup", "5. fix-duplicates"] {
        assert!(asked.out.contains(step), "{step}: {}", asked.out);
    }
    let said = rollcall(&world, &[&args[..], &["--yes"]].concat(), &[("RECONCILE_POLICY", "report")]).await;
    assert_eq!(said.status, Some(2), "{}", said.err);
    assert_eq!(stored(&world).await, before);

    let done = ran(&world, &[&args[..], &["--yes"]].concat(), 0).await;
    assert_eq!(done["done"]["reconcile"]["run"]["tally"]["user"]["created"], 1, "{done}");
    assert_eq!((&done["done"]["cleanup"]["users"], &done["done"]["duplicates"][0]["removed"]), (&json!(1), &json!(1)));
    assert!(
        !rows(&world).await.iter().any(|(_, row)| row.values().any(|value| value.as_s().is_ok_and(|it| it == "late")))
    );
    assert_eq!(world.profiles().await.iter().filter(|row| row["sk"] == "PROFILE").count(), 6);
    let again = ran(&world, &[&args[..], &["--yes"]].concat(), 0).await;
    assert_eq!(
        (&again["dry_run"], &again["done"], &again["analysis"]["in_sync"]),
        (&json!(true), &Value::Null, &json!(true))
    );
    let said = rollcall(&world, &[&args[..], &["--yes"]].concat(), &[]).await;
    assert!(said.out.contains("All in sync.") && said.out.contains("nothing to remove"), "{}", said.out);
}
