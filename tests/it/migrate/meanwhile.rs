//! What happens in Clerk between the plan, the second reading and the write.

use rollcall_tests::{Fault, Point, Wire};
use serde_json::{Value, json};

use super::Old;
use super::random::prepared;
use crate::operator::commands;

#[tokio::test]
async fn a1_a_user_who_is_gone_or_full_before_the_write_is_a_failure_and_the_others_are_written() {
    let old = Old::open().await;
    let names = ["kept", "gone before the second reading", "gone before the write", "full before the write"];
    let mut ids = Vec::new();
    for name in names {
        ids.push(old.user(name, json!({})).await);
    }
    let file = old.rows(&names.map(|name| json!({ "_id": name, "plan": "pro" })));
    let wire = Wire::start(old.world.stack.addresses.clerk.clone()).await;
    let (command, _folder, _published) = prepared(&old, &wire, &file, &["--field", "plan"]);
    let mut held = wire.hold_at(Point::Request);
    let work = commands::finish(command);
    let meanwhile = async {
        let (mut lists, mut is_written) = (0, false);
        while let Some(request) = held.recv().await {
            lists += usize::from(request.operation == "/v1/users");
            if lists == 2 && !request.writes {
                old.world.clerk("DELETE", &format!("/users/{}", ids[1]), Value::Null).await;
            }
            if request.writes && !is_written {
                is_written = true;
                old.world.clerk("DELETE", &format!("/users/{}", ids[2]), Value::Null).await;
                let body = json!({ "public_metadata": { "text": "x".repeat(8_175) } });
                old.world.clerk("PATCH", &format!("/users/{}/metadata", ids[3]), body).await;
            }
            request.release();
        }
    };
    let said = tokio::select! {
        said = work => said,
        () = meanwhile => unreachable!("the wire outlives the command"),
    };
    assert_eq!(said.status, Some(2), "{}", said.err);
    assert_eq!(said.json()["done"]["by_result"], json!({ "changed": 1, "failed": 3 }));
    let results = old.lines("results.ndjson");
    let reason = |at: usize| results[at]["reason"].as_str().unwrap_or_default();
    assert_eq!(results[0]["result"], "changed");
    assert_eq!([reason(1), reason(2)], ["Clerk does not have the user any more"; 2]);
    assert!(reason(3).contains("422"), "{}", reason(3));
    assert_eq!(old.metadata_of(&ids[0]).await, json!({ "plan": "pro" }));
    let (report, status) = old.report(&file, &["--undo"]).await;
    assert_eq!((status, &report["changes"]), (Some(0), &json!(1)), "a rejected change is not there to undo: {report}");
}

#[tokio::test]
async fn a1_two_rows_of_one_user_and_an_unanswering_clerk_write_nothing_more() {
    let old = Old::open().await;
    let user = old.user("one", json!({})).await;
    let file = old.rows(&[
        json!({ "_id": "one", "clerk": user, "plan": "pro" }),
        json!({ "_id": "two", "clerk": user, "plan": "free" }),
    ]);
    let (report, status) = old.report(&file, &["--field", "plan", "--clerk-id", "clerk"]).await;
    assert_eq!((status, &report["plan"]["by_result"]), (Some(2), &json!({ "ambiguous": 2 })), "{report}");
    assert!(old.lines("ambiguous.ndjson").iter().all(|line| line["reason"] == "user_of_several_rows"));
    assert_eq!(old.patches(), 0);
    assert!(old.lines("map.ndjson").iter().all(|line| line["no_user"] == "ambiguous"));

    for number in 0..130 {
        old.user(&format!("u{number}"), json!({})).await;
    }
    std::fs::remove_dir_all(old.folder.path().join("users.json.migration")).unwrap();
    let file =
        old.rows(&(0..130).map(|number| json!({ "_id": format!("u{number}"), "plan": "pro" })).collect::<Vec<_>>());
    let fault = clerk_emulator::ApiFaults {
        too_many_requests: 1.0,
        retry_after_s: Some(0),
        requests: vec!["PATCH /v1/users/{user_id}/metadata".to_owned()],
        ..clerk_emulator::ApiFaults::default()
    };
    old.world.set_faults(fault);
    let said = old.migrate(&file, &["--field", "plan", "--yes", "--json"]).await;
    assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{}", said.err);
    assert_eq!(old.patches(), 500, "the second batch is not begun after five attempts at the first one");
    old.world.set_faults(clerk_emulator::ApiFaults::default());
    let (report, status) = old.report(&file, &["--field", "plan"]).await;
    assert_eq!((status, &report["done"]["by_result"]), (Some(0), &json!({ "changed": 130 })));
}

#[tokio::test]
async fn a1_a_change_whose_answer_is_lost_is_a_change_and_sent_once() {
    let old = Old::open().await;
    let user = old.user("one", json!({})).await;
    let file = old.rows(&[json!({ "_id": "one", "plan": "pro" })]);
    let wire = Wire::start(old.world.stack.addresses.clerk.clone()).await;
    let (command, _folder, _published) = prepared(&old, &wire, &file, &["--field", "plan"]);
    let mut held = wire.hold_at(Point::Request);
    let faults = async {
        while let Some(request) = held.recv().await {
            if request.writes {
                wire.fail([Fault::LostAnswer]);
            }
            request.release();
        }
    };
    let said = tokio::select! {
        said = commands::finish(command) => said,
        () = faults => unreachable!("the wire outlives the command"),
    };
    assert_eq!((said.status, &said.json()["done"]["by_result"]), (Some(0), &json!({ "changed": 1 })), "{}", said.err);
    assert_eq!((old.patches(), old.metadata_of(&user).await), (1, json!({ "plan": "pro" })));
    let kinds: Vec<Value> = old.lines("journal.ndjson").iter_mut().map(|line| line["kind"].take()).collect();
    assert_eq!(kinds, ["intent", "done"]);
}

#[tokio::test]
async fn a1_one_old_id_of_two_users_is_nobodys() {
    let old = Old::open().await;
    let ids = [old.user("one", json!({})).await, old.user("two", json!({})).await];
    let file = old.rows(&ids.map(|id| json!({ "_id": "same", "clerk": id, "plan": "pro" })));
    let (report, status) = old.report(&file, &["--field", "plan", "--clerk-id", "clerk"]).await;
    assert_eq!((status, &report["plan"]["by_result"]), (Some(2), &json!({ "ambiguous": 2 })), "{report}");
    assert!(old.lines("ambiguous.ndjson").iter().all(|line| line["reason"] == "id_of_several_rows"));
}

#[tokio::test]
async fn a1_an_undo_goes_back_to_the_last_value_that_was_not_the_migrations() {
    let old = Old::open().await;
    let user = old.user("one", json!({ "plan": "free" })).await;
    let file = old.rows(&[json!({ "_id": "one", "plan": "pro" })]);
    let options = ["--field", "plan", "--on-conflict", "source"];
    assert_eq!(old.report(&file, &options).await.1, Some(0));
    let body = json!({ "public_metadata": { "plan": "team" } });
    old.world.clerk("PATCH", &format!("/users/{user}/metadata"), body).await;
    assert_eq!(old.report(&file, &options).await.1, Some(0));
    assert_eq!(old.metadata_of(&user).await, json!({ "plan": "pro" }));
    let (report, status) = old.report(&file, &["--undo"]).await;
    let undone = &report["undone"];
    assert_eq!((status, &undone["restored"], &undone["changed_since"]), (Some(2), &json!(1), &json!(1)), "{report}");
    assert_eq!(old.metadata_of(&user).await, json!({ "plan": "team" }));
}
