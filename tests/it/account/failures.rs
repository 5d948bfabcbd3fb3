//! The responses to callers while DynamoDB fails, and the lines in the log for the operator.

use rollcall_tests::{ATTEMPTS, Fault, World};
use serde_json::json;

use super::{arrived, get, write};
use crate::ensure::profiles::newcomer;

/// A request to each route that reads.
fn reads(organization: &str, user: &str) -> [String; 6] {
    [
        "/me".to_owned(),
        "/me/profile".to_owned(),
        "/me/authorization?role=admin".to_owned(),
        format!("/organizations/{organization}/members"),
        format!("/users/{user}"),
        format!("/users?id={user}"),
    ]
}

#[tokio::test]
async fn d8_a_fault_for_an_operator_names_support_and_leaks_no_internals() {
    let world = World::with(&[("SUPPORT_CONTACT", "help@example.com"), ("PROFILE_WRITABLE", "*")]).await;
    let (ada, acme) = newcomer(&world).await;
    arrived(&world).await;
    let token = world.session(&ada, Some(&acme));
    for path in reads(&acme, &ada) {
        for fault in [Fault::AccessDenied, Fault::NoTable] {
            world.wire.fail([fault]);
            let answer = get(&world, &token, &path).await;
            world.wire.fail([]);
            assert_eq!(answer.brief(), (500, "internal_error"), "{path} {fault:?}");
            assert_eq!(answer.body["support"], json!("help@example.com"));
            let text = answer.text.replace(answer.body["request_id"].as_str().unwrap(), "").to_lowercase();
            for internal in ["table", "dynamo", "exception", "arn:", "rollcall-", "ada"] {
                assert!(!text.contains(internal), "{internal} in {text}");
            }
        }
        world.wire.fail([Fault::Unavailable; 2 * ATTEMPTS]);
        let answer = get(&world, &token, &path).await;
        world.wire.fail([]);
        assert_eq!(answer.brief(), (503, "unavailable"), "{path}");
        assert_eq!(answer.header("retry-after"), Some("2"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(get(&world, &token, &path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_not_done_twice() {
    let world = World::with(&[("PROFILE_WRITABLE", "*")]).await;
    let (ada, _) = newcomer(&world).await;
    arrived(&world).await;
    let token = world.session(&ada, None);
    // The read succeeds; DynamoDB stores the change, and its answer is lost.
    world.wire.fail_after(1, [Fault::LostAnswer]);
    let answer = write(&world, &token, "PATCH", &[], json!({ "count": 1 })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let read = get(&world, &token, "/me/profile").await;
    assert_eq!((&read.body["count"], &read.body["profile_version"]), (&json!(1), &json!(1)));
    assert_eq!(read.header("etag"), answer.header("etag"));
    for failing in 0..2 {
        world.wire.fail_after(failing, [Fault::ServerError]);
        let answer = write(&world, &token, "PATCH", &[], json!({ "again": failing })).await;
        assert_eq!(answer.status, 200, "{failing}: {}", answer.text);
    }
    assert_eq!(get(&world, &token, "/me/profile").await.body["profile_version"], 3);
}
