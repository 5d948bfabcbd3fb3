//! The dials that make lists and answers about one entity lie, over HTTP.

use std::collections::BTreeSet;

use clerk_emulator::{ApiFaults, Config, Faults};
use serde_json::{Value, json};

use crate::support::{Clerk, Endpoint, FrozenClock, delivering_to, id};

async fn turn(clerk: &Clerk, api: Value) {
    clerk.put("/_emulator/faults", json!({"api": api})).await.ok();
}

async fn users(clerk: &Clerk, query: &str) -> Vec<String> {
    clerk.get(&format!("/v1/users?{query}")).await.rows().iter().map(|user| id(user).to_owned()).collect()
}

#[tokio::test]
async fn a_repeated_row_pushes_the_last_one_out_and_keeps_the_total() {
    let clerk = Clerk::start(Config { users: 9, ..Config::default() }).await;
    let all = users(&clerk, "").await;
    turn(&clerk, json!({"repeated_row": 1.0})).await;
    let page = users(&clerk, "limit=6").await;
    assert_eq!(page.len(), 6);
    let distinct: Vec<_> =
        page.iter().enumerate().filter(|(at, id)| !page[..*at].contains(id)).map(|(_, id)| id).collect();
    assert_eq!(distinct, all[..5].iter().collect::<Vec<_>>());
    let listing = clerk.get("/v1/organization_memberships?limit=6").await.ok();
    let rows: BTreeSet<&str> = listing["data"].as_array().unwrap().iter().map(id).collect();
    assert_eq!((rows.len(), &listing["total_count"]), (5, &json!(11)));
}

#[tokio::test]
async fn a_skipped_row_leaves_a_page_that_looks_full() {
    let clerk = Clerk::start(Config { users: 9, ..Config::default() }).await;
    let all = users(&clerk, "").await;
    turn(&clerk, json!({"skipped_row": 1.0})).await;
    let page = users(&clerk, "limit=6").await;
    assert_eq!((page.len(), &page[0], &page[5]), (6, &all[0], &all[6]));
    assert_eq!(all[..7].iter().filter(|id| !page.contains(id)).count(), 1);
    let last = users(&clerk, &format!("limit=6&starting_after={}", all[4])).await;
    assert_eq!((last.len(), &last[2]), (3, &all[8]), "nothing moves up at the end");
}

#[tokio::test]
async fn a_clamped_list_says_nothing_of_it_and_its_total_stays_true() {
    let clerk = Clerk::start(Config { users: 9, ..Config::default() }).await;
    let all = users(&clerk, "").await;
    turn(&clerk, json!({"limit_clamp": 4})).await;
    for limit in ["", "limit=4", "limit=500"] {
        assert_eq!(users(&clerk, limit).await, all[..4], "{limit}");
    }
    assert_eq!(users(&clerk, "limit=3").await, all[..3]);
    assert_eq!(users(&clerk, "limit=500&offset=4").await, all[4..8]);
    let listing = clerk.get("/v1/organization_memberships?limit=100").await.ok();
    assert_eq!((listing["data"].as_array().unwrap().len(), &listing["total_count"]), (4, &json!(11)));
}

#[tokio::test]
async fn faults_are_confined_to_the_named_lists_and_operations() {
    let clerk = Clerk::start(Config { users: 9, ..Config::default() }).await;
    turn(&clerk, json!({"limit_clamp": 1, "lists": ["/v1/organizations"]})).await;
    assert_eq!(users(&clerk, "").await.len(), 9);
    assert_eq!(clerk.get("/v1/organizations").await.rows().len(), 1);
    turn(&clerk, json!({"server_error": 1.0, "requests": ["GET /v1/users/count", "PATCH /v1/users/{user_id}"]})).await;
    let somebody = users(&clerk, "limit=1").await.remove(0);
    assert_eq!(clerk.get("/v1/users/count").await.refusal().0, 500);
    clerk.get(&format!("/v1/users/{somebody}")).await.ok();
    assert_eq!(clerk.patch(&format!("/v1/users/{somebody}"), json!({})).await.refusal().0, 500);
    for (api, complaint) in [
        (json!({"lists": ["/v1/user"]}), "api.lists contains /v1/user, but the known lists are /v1/users,"),
        (json!({"requests": ["/v1/users"]}), "api.requests contains /v1/users, but an operation must look like GET"),
        (json!({"churn": 2}), "api.churn is 2"),
    ] {
        let refused = clerk.put("/_emulator/faults", json!({"api": api})).await;
        assert_eq!(refused.status, 400, "{api}");
        assert!(refused.body["error"].as_str().unwrap().starts_with(complaint), "{}", refused.body);
    }
}

#[tokio::test]
async fn a_proxy_s_404_hides_one_entity_and_is_not_clerk_s() {
    let clerk = Clerk::start(Config { users: 9, ..Config::default() }).await;
    let membership = clerk.get("/v1/organization_memberships?limit=1").await.rows().remove(0);
    let user = membership["public_user_data"]["user_id"].as_str().unwrap().to_owned();
    let organization = id(&membership["organization"]).to_owned();
    turn(&clerk, json!({"not_found": 1.0})).await;
    for path in [
        format!("/v1/users/{user}"),
        format!("/v1/users/{user}?fields=all"),
        format!("/v1/organizations/{organization}"),
        format!("/v1/organizations/{organization}/memberships?limit=1&user_id={user}"),
        format!("/v1/organizations/{organization}/memberships?user_id%5B%5D={user}"),
    ] {
        let url = format!("{}{path}", clerk.emulator.url());
        let answer = clerk.client.get(url).bearer_auth(clerk.emulator.secret_key()).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/html"), "{path}");
        let text = answer.text().await.unwrap();
        assert!(text.starts_with("<html>") && !text.contains(&user), "{text}");
    }
    assert_eq!(clerk.get("/v1/users").await.rows().len(), 9);
    assert_eq!(clerk.get(&format!("/v1/organizations/{organization}/memberships")).await.status, 200);
    clerk.patch(&format!("/v1/users/{user}"), json!({"first_name": "Ada"})).await.ok();
}

#[tokio::test]
async fn an_invented_429_tells_the_seconds_of_its_dial() {
    let clerk = Clerk::start(Config::default()).await;
    for (dial, told) in [(json!(null), "1"), (json!(0), "0"), (json!(7), "7")] {
        turn(&clerk, json!({"too_many_requests": 1.0, "retry_after_s": dial})).await;
        let refused = clerk.get("/v1/users").await;
        assert_eq!((refused.status, refused.headers["retry-after"].to_str().unwrap()), (429, told));
    }
}

#[tokio::test]
async fn an_instance_is_one_for_development_unless_told_and_another_one_on_a_bad_day() {
    let clerk = Clerk::start(Config::default()).await;
    let own = clerk.get("/v1/instance").await.ok();
    assert_eq!((own["environment_type"].as_str(), id(&own)), (Some("development"), clerk.emulator.instance_id()));
    turn(&clerk, json!({"wrong_instance": true})).await;
    let wrong = clerk.get("/v1/instance").await.ok();
    assert!(id(&wrong).starts_with("ins_2") && id(&wrong).len() == id(&own).len(), "{wrong}");
    assert_ne!(id(&wrong), id(&own));
    let clerk = Clerk::start(Config { production: true, ..Config::default() }).await;
    assert_eq!(clerk.get("/v1/instance").await.ok()["environment_type"], "production");
}

#[tokio::test]
async fn organizations_can_be_switched_off_and_nothing_else_with_them() {
    let clerk = Clerk::start(Config { users: 3, ..Config::default() }).await;
    turn(&clerk, json!({"organizations_off": true})).await;
    for path in ["/v1/organizations", "/v1/organization_memberships", "/v1/organizations/org_1/memberships"] {
        let refused = clerk.get(path).await;
        assert_eq!(refused.status, 403, "{path}");
        assert_eq!(refused.body["errors"][0]["code"], "organization_not_enabled_in_instance", "{path}");
    }
    assert_eq!(clerk.get("/v1/users").await.status, 200);
    turn(&clerk, json!({})).await;
    assert_eq!(clerk.get("/v1/organizations").await.status, 200);
}

/// Lists everything forty times under churn, and answers with every page and every event.
async fn listings_under_churn(seed: u64, rate: f64) -> (Vec<Vec<String>>, Vec<String>) {
    let endpoint = Endpoint::start().await;
    let api = ApiFaults { churn: rate, ..ApiFaults::default() };
    let config = Config { users: 20, seed, faults: Faults { api, ..Faults::default() }, ..delivering_to(&endpoint) };
    let clerk = Clerk::start(Config { clock: FrozenClock::new().clock(), ..config }).await;
    let mut pages = Vec::new();
    for round in 0..40 {
        let list = ["/v1/users", "/v1/organizations", "/v1/organization_memberships"][round % 3];
        let rows = clerk.get(&format!("{list}?limit=100")).await.rows();
        pages.push(rows.iter().map(|row| id(row).to_owned()).collect());
    }
    clerk.emulator.settled().await;
    (pages, endpoint.kinds())
}

#[tokio::test]
async fn somebody_else_s_changes_shift_a_listing_the_same_way_for_the_same_seed() {
    let (pages, events) = listings_under_churn(3, 1.0).await;
    assert!((30..=40).contains(&events.len()), "nearly every list is followed by a change: {events:?}");
    let kinds: BTreeSet<&str> = events.iter().map(String::as_str).collect();
    let expected = ["organizationMembership.created", "organizationMembership.deleted", "user.created", "user.deleted"];
    assert_eq!(kinds, BTreeSet::from(expected));
    assert!(pages.iter().step_by(3).collect::<BTreeSet<_>>().len() > 5, "users come and go");
    assert_eq!((pages, events), listings_under_churn(3, 1.0).await);
    let (pages, events) = listings_under_churn(3, 0.0).await;
    assert_eq!((pages.iter().step_by(3).collect::<BTreeSet<_>>().len(), events.len()), (1, 0));
    let sometimes = listings_under_churn(3, 0.3).await.1.len();
    assert!((3..25).contains(&sometimes), "{sometimes}");
}

#[tokio::test]
async fn churn_does_nothing_to_an_empty_instance_that_it_cannot() {
    let clerk = Clerk::start(Config::default()).await;
    turn(&clerk, json!({"churn": 1.0})).await;
    for _ in 0..12 {
        clerk.get("/v1/organization_memberships").await.ok();
    }
    turn(&clerk, json!({})).await;
    let created = users(&clerk, "").await.len();
    assert!((1..=12).contains(&created), "only users can be made from nothing: {created}");
}
