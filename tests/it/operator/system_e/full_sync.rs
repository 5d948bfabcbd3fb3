//! `rollcall full-sync`.

use rollcall::adapters::dynamo::operations::Operations;
use serde_json::{Value, json};

use super::{deleted, office, over_the_wire, ran, rows, stored, text_row};
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
        (&json!(false), &Value::Null, &json!(true))
    );
    let said = rollcall(&world, &[&args[..], &["--yes"]].concat(), &[]).await;
    assert!(said.out.contains("All in sync.") && said.out.contains("nothing to remove"), "{}", said.out);
}

#[tokio::test]
async fn e7_another_run_that_begins_after_the_plan_stops_the_further_steps() {
    let (world, users, _) = office(6).await;
    deleted(&world, &users[0]).await;
    world.clerk("POST", "/users", json!({ "email_address": ["new@example.com"] })).await;
    let before = stored(&world).await;
    // Not over the wire, whose requests are held.
    let table = world.stack.addresses.operations_table.clone();
    let operations = Operations::new(world.stack.dynamodb.clone(), table);
    let mut held = world.wire.hold();
    let late = rollcall::core::millis::Millis::try_from(9_999_000_000_000).unwrap();
    let racing = async {
        while let Some(request) = held.recv().await {
            // As soon as the analysis has given its lease back.
            if request.operation == "Scan" {
                let _ = operations.acquire_lease("somebody", late).await.unwrap();
            }
            request.release();
        }
        unreachable!("the wire goes on")
    };
    let said = tokio::select! {
        said = over_the_wire(&world, &["full-sync", "--yes", "--json"]) => said,
        () = racing => unreachable!(),
    };
    let json = said.json();
    assert_eq!((said.status, &json["done"]["reconcile"]["state"]), (Some(2), &json!("busy")), "{json}");
    assert_eq!((&json["done"]["complete"], &json["done"]["cleanup"]), (&json!(false), &Value::Null), "{json}");
    assert!(json["plan"]["cleanup"]["users"] == 1, "{json}");
    assert_eq!(stored(&world).await, before);
}

#[tokio::test]
async fn a_policy_that_only_reports_plans_the_same_and_says_what_it_forbids() {
    let (world, users, _) = office(6).await;
    deleted(&world, &users[0]).await;
    let row = |id: &str, at: &str| text_row(&[("mood_id", id), ("user_id", &users[2]), ("day", "1"), ("at", at)]);
    let twice = [row("x", "2024-01-01T00:00:00Z"), row("y", "2024-01-01T00:00:01Z")];
    world.put_rows(twice.into_iter().map(|row| ("moods", row)).collect()).await;
    let record = world.profiles().await.into_iter().find(|row| row["sk"] == "PROFILE").unwrap();
    let text = |name: &str| aws_sdk_dynamodb::types::AttributeValue::S(record[name].as_str().unwrap().to_owned());
    let delete = world.stack.dynamodb.delete_item().table_name(&world.stack.addresses.profiles_table);
    delete.key("pk", text("pk")).key("sk", text("sk")).send().await.unwrap();
    let before = stored(&world).await;
    for args in [
        &["fix-profiles"][..],
        &["cleanup"],
        &["fix-duplicates", "--table", "moods", "--by", "user_id,day", "--oldest", "at"],
        &["full-sync", "--duplicates", "moods:user_id,day:at"],
    ] {
        let mut plans = Vec::new();
        for (how, policy) in [("--dry-run", "repair"), ("--dry-run", "report"), ("--yes", "report")] {
            let settings = [("RECONCILE_POLICY", policy)];
            let said = rollcall(&world, &[args, &[how]].concat(), &settings).await;
            let is_said = said.err.contains("RECONCILE_POLICY=report");
            assert_eq!(is_said, policy == "report", "{args:?} {how} {policy} {}", said.err);
            let said = rollcall(&world, &[args, &[how, "--json"]].concat(), &settings).await;
            let mut plan = said.json();
            // The analysis is a run of its own.
            let fields = plan.as_object_mut().unwrap();
            drop(fields.remove("analysis"));
            assert_eq!(fields.remove("dry_run"), Some(json!(how == "--dry-run")), "{args:?} {how} {policy}");
            assert_eq!(fields.remove("forbidden_by_policy").is_some(), policy == "report", "{args:?} {how} {policy}");
            plans.push((said.status, plan));
        }
        assert!(plans[0] == plans[1] && plans[1] == plans[2], "{args:?} {plans:?}");
    }
    assert_eq!(stored(&world).await, before);
}
