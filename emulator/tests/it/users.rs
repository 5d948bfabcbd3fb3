//! Users: lists, paging, metadata, times.

use clerk_emulator::Config;
use serde_json::{Value, json};

use crate::support::{Clerk, FrozenClock, NOW, id};

fn ids(users: &[Value]) -> Vec<String> {
    users.iter().map(|user| id(user).to_owned()).collect()
}

#[tokio::test]
async fn a_list_has_ten_users_unless_asked_and_ten_again_when_asked_for_too_many() {
    let clerk = Clerk::start(Config { users: 30, ..Config::default() }).await;
    for (query, rows) in [("", 10), ("?limit=25", 25), ("?limit=500", 30), ("?limit=501", 10), ("?limit=0", 10)] {
        assert_eq!(clerk.get(&format!("/v1/users{query}")).await.rows().len(), rows, "{query}");
    }
    assert_eq!(clerk.get("/v1/users/count").await.ok()["total_count"], 30);
}

#[tokio::test]
async fn the_newest_come_first_and_a_plus_turns_the_order_round() {
    let clerk = Clerk::start(Config { users: 5, ..Config::default() }).await;
    let newest_first = ids(&clerk.get("/v1/users").await.rows());
    let mut oldest_first = ids(&clerk.get("/v1/users?order_by=%2Bcreated_at").await.rows());
    assert_ne!(newest_first, oldest_first);
    oldest_first.reverse();
    assert_eq!(newest_first, oldest_first);
    assert_eq!(ids(&clerk.get("/v1/users?order_by=-created_at").await.rows()), newest_first);
}

#[tokio::test]
async fn a_cursor_walks_over_everybody_once_even_when_all_came_in_one_millisecond() {
    let clerk = Clerk::start(Config { clock: FrozenClock::new().clock(), ..Config::default() }).await;
    for number in 0..7 {
        clerk.create_user(&format!("user{number}")).await;
    }
    for order in ["-created_at", "%2Bcreated_at", "created_at"] {
        let mut walked = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = clerk.get(&format!("/v1/users?limit=3&order_by={order}{cursor}")).await.rows();
            walked.extend(ids(&page));
            if page.len() < 3 {
                break;
            }
            cursor = format!("&starting_after={}", walked.last().unwrap());
        }
        assert_eq!(walked, ids(&clerk.get(&format!("/v1/users?limit=50&order_by={order}")).await.rows()));
        assert_eq!(walked.len(), 7);
    }
}

#[tokio::test]
async fn a_cursor_goes_with_no_offset_and_no_other_order() {
    let clerk = Clerk::start(Config { users: 3, ..Config::default() }).await;
    let first = clerk.get("/v1/users").await.rows().remove(0);
    let cursor = format!("/v1/users?starting_after={}", id(&first));
    clerk.get(&format!("{cursor}&offset=0")).await.ok();
    for query in ["&offset=1", "&order_by=updated_at"] {
        assert_eq!(clerk.get(&format!("{cursor}{query}")).await.refusal().0, 422, "{query}");
    }
    assert_eq!(clerk.get("/v1/users?starting_after=user_gone").await.refusal().0, 422);
    clerk.delete(&format!("/v1/users/{}", id(&first))).await.ok();
    assert_eq!(clerk.get(&cursor).await.refusal(), (422, "form_param_value_invalid"), "deleted meanwhile");
}

#[tokio::test]
async fn users_are_found_by_id_in_both_spellings_up_to_a_hundred() {
    let clerk = Clerk::start(Config { users: 20, ..Config::default() }).await;
    let all = ids(&clerk.get("/v1/users?limit=20").await.rows());
    let wanted = &all[3..15];
    for key in ["user_id", "user_id[]", "user_id%5B%5D"] {
        let query = wanted.iter().map(|id| format!("{key}={id}")).collect::<Vec<_>>().join("&");
        assert_eq!(ids(&clerk.get(&format!("/v1/users?limit=12&{query}")).await.rows()), wanted);
        assert_eq!(clerk.get(&format!("/v1/users?{query}")).await.rows().len(), 10, "the default limit holds");
    }
    let others = clerk.get(&format!("/v1/users?limit=20&user_id=-{}", all[0])).await.rows();
    assert_eq!(ids(&others), &all[1..]);
    assert!(clerk.get("/v1/users?user_id=user_none").await.rows().is_empty());
    let too_many = vec!["user_id=user_none"; 101].join("&");
    assert_eq!(clerk.get(&format!("/v1/users?{too_many}")).await.refusal().0, 422);
}

#[tokio::test]
async fn users_are_found_by_address_by_part_of_a_name_and_by_time() {
    let clock = FrozenClock::new();
    let clerk = Clerk::start(Config { clock: clock.clock(), ..Config::default() }).await;
    clerk.create_user("ada").await;
    clock.advance(1000);
    clerk.create_user("grace").await;
    let grace = "grace@example.com";
    for (query, expected) in [
        ("email_address=GRACE@example.com".to_owned(), vec![grace]),
        ("email_address[]=grace@example.com&email_address[]=nobody@example.com".to_owned(), vec![grace]),
        ("query=rac".to_owned(), vec![grace]),
        ("query=example".to_owned(), vec![grace, "ada@example.com"]),
        (format!("created_at_after={NOW}"), vec![grace]),
        (format!("created_at_before={}", NOW + 1000), vec!["ada@example.com"]),
        (format!("created_at_before={NOW}"), vec![]),
        ("banned=true".to_owned(), vec![]),
    ] {
        let rows = clerk.get(&format!("/v1/users?{query}")).await.rows();
        let found: Vec<&Value> = rows.iter().map(|user| &user["email_addresses"][0]["email_address"]).collect();
        assert_eq!(found, expected, "{query}");
        let count = clerk.get(&format!("/v1/users/count?{query}")).await.ok();
        assert_eq!(count["total_count"], expected.len(), "{query}");
    }
}

#[tokio::test]
async fn metadata_merges_deeply_with_patch_and_is_replaced_with_put() {
    let clerk = Clerk::start(Config::default()).await;
    let ada = clerk.create_user("ada").await;
    let path = format!("/v1/users/{}/metadata", id(&ada));
    let deep = json!({"public_metadata": {"a": {"x": 1, "y": {"z": 2}}, "b": 3}, "private_metadata": {"secret": 1}});
    clerk.patch(&path, deep).await.ok();
    let merged =
        clerk.patch(&path, json!({"public_metadata": {"a": {"y": {"z": null}, "w": 4}, "b": null}})).await.ok();
    assert_eq!(merged["public_metadata"], json!({"a": {"x": 1, "y": {}, "w": 4}}));
    assert_eq!(merged["private_metadata"], json!({"secret": 1}), "a field that was not given stays");
    let replaced = clerk.put(&path, json!({"public_metadata": {"c": 5}})).await.ok();
    assert_eq!(replaced["public_metadata"], json!({"c": 5}));
    assert_eq!(replaced["private_metadata"], json!({"secret": 1}), "a field that was not given stays");
}

#[tokio::test]
async fn two_changes_in_one_millisecond_share_their_updated_at() {
    let clock = FrozenClock::new();
    let clerk = Clerk::start(Config { clock: clock.clock(), ..Config::default() }).await;
    let ada = clerk.create_user("ada").await;
    let path = format!("/v1/users/{}", id(&ada));
    clock.advance(1);
    let first = clerk.patch(&path, json!({"first_name": "A"})).await.ok();
    let second = clerk.patch(&path, json!({"first_name": "B"})).await.ok();
    assert_eq!((&first["updated_at"], &second["updated_at"]), (&json!(NOW + 1), &json!(NOW + 1)));
    assert_ne!(first, second);
    clock.advance(-10);
    let third = clerk.patch(&path, json!({"first_name": "C"})).await.ok();
    assert_eq!(third["updated_at"], NOW + 1, "a clock that goes back takes no updated_at with it");
    assert_eq!(third["created_at"], NOW);
}

#[tokio::test]
async fn a_verified_address_can_become_the_primary_one_and_a_reserved_one_cannot() {
    let clerk = Clerk::start(Config::default()).await;
    let statuses = ["verified", "verified", "reserved"];
    let addresses = ["a@example.com", "b@example.com", "c@example.com"];
    let body = json!({"email_address": addresses, "email_address_identification_status": statuses});
    let user = clerk.post("/v1/users", body).await.ok();
    let path = format!("/v1/users/{}", id(&user));
    let address = |index: usize| json!({"primary_email_address_id": user["email_addresses"][index]["id"]});
    assert_eq!(user["primary_email_address_id"], user["email_addresses"][0]["id"]);
    assert!(user["email_addresses"][2]["verification"].is_null());
    let changed = clerk.patch(&path, address(1)).await.ok();
    assert_eq!(changed["primary_email_address_id"], user["email_addresses"][1]["id"]);
    assert_eq!(clerk.patch(&path, address(2)).await.refusal().0, 422);
}

#[tokio::test]
async fn what_a_deleted_user_had_is_free_again() {
    let clerk = Clerk::start(Config::default()).await;
    let body = json!({"email_address": ["ada@example.com"], "username": "ada", "external_id": "ex_1"});
    let ada = clerk.post("/v1/users", body.clone()).await.ok();
    let deleted = clerk.delete(&format!("/v1/users/{}", id(&ada))).await.ok();
    assert_eq!(deleted, json!({"object": "user", "id": ada["id"], "deleted": true, "external_id": "ex_1"}));
    assert_eq!(clerk.get(&format!("/v1/users/{}", id(&ada))).await.refusal(), (404, "resource_not_found"));
    let next = clerk.post("/v1/users", body).await.ok();
    assert_ne!(next["id"], ada["id"], "an id never comes again");
}

#[tokio::test]
async fn a_field_of_metadata_has_at_most_8_kb_after_each_change() {
    let clerk = Clerk::start(Config::default()).await;
    let text = |bytes: usize| json!({ "t": "x".repeat(bytes - r#"{"t":""}"#.len()) });
    for field in ["public_metadata", "private_metadata", "unsafe_metadata"] {
        let body = |bytes: usize| json!({ "skip_user_requirement": true, field: text(bytes) });
        let refused = clerk.post("/v1/users", body(8193)).await;
        assert_eq!(refused.refusal(), (422, "form_param_exceeds_allowed_size"), "{field}");
        assert_eq!(refused.body["errors"][0]["meta"]["param_name"], *field);
        let user = clerk.post("/v1/users", body(8192)).await.ok();
        // The size of the result counts, and not that of the change.
        let path = format!("/v1/users/{}/metadata", id(&user));
        let refused = clerk.patch(&path, json!({ field: { "a": 1 } })).await;
        assert_eq!(refused.refusal(), (422, "form_param_exceeds_allowed_size"), "{field}");
        assert_eq!(clerk.get(&format!("/v1/users/{}", id(&user))).await.ok(), user, "nothing is changed");
        clerk.patch(&path, json!({ field: { "t": null, "a": 1 } })).await.ok();
        assert_eq!(clerk.call("PUT", &path, Some(json!({ field: text(8193) }))).await.status, 422);
        clerk.call("PUT", &path, Some(json!({ field: text(8192) }))).await.ok();
    }
    let refused = clerk.post("/v1/organizations", json!({ "name": "Acme", "public_metadata": text(8193) })).await;
    assert_eq!(refused.refusal(), (422, "form_param_exceeds_allowed_size"));
}

#[tokio::test]
async fn one_sign_before_an_id_includes_or_excludes_and_the_next_one_belongs_to_the_id() {
    let clerk = Clerk::start(Config::default()).await;
    for external in ["-Nx1", "+Nx1", "Nx1"] {
        clerk.post("/v1/users", json!({ "skip_user_requirement": true, "external_id": external })).await.ok();
    }
    for (filter, found) in [
        ("Nx1", &["Nx1"][..]),
        ("%2BNx1", &["Nx1"]),
        ("%2B-Nx1", &["-Nx1"]),
        ("%2B%2BNx1", &["+Nx1"]),
        ("-Nx1", &["+Nx1", "-Nx1"]),
        ("--Nx1", &["+Nx1", "Nx1"]),
        ("-%2BNx1", &["-Nx1", "Nx1"]),
    ] {
        let rows = clerk.get(&format!("/v1/users?external_id={filter}")).await.rows();
        let mut ids: Vec<&str> = rows.iter().map(|user| user["external_id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        assert_eq!(ids, found, "{filter}");
    }
}
