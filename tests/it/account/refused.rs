//! I18: a caller is deleted, banned, deprovisioned, demoted or removed between any two requests of a route to DynamoDB.
//! From the next read on the caller is rejected, although the token is unchanged.

use clerk_emulator::TokenRequest;
use rollcall_tests::World;
use rollcall_tests::answer::Answer;
use serde_json::{Value, json};

use super::{arrived, create_user, join, with};
use crate::ensure::profiles::newcomer;

const SETTINGS: [(&str, &str); 2] = [("PROFILE_WRITABLE", "*"), ("ACCOUNT_DELETION", "on")];

/// A request of each route, about an organization.
fn routes(organization: &str, user: &str) -> Vec<(&'static str, String, &'static str)> {
    vec![
        ("GET", "/me".to_owned(), ""),
        ("GET", "/me/profile".to_owned(), ""),
        ("GET", format!("/me/profile?organization_id={organization}"), ""),
        ("PUT", "/me/profile".to_owned(), r#"{"bio":"VALUE"}"#),
        ("PUT", format!("/me/profile?organization_id={organization}"), r#"{"bio":"VALUE"}"#),
        ("PATCH", "/me/profile".to_owned(), r#"{"size":"VALUE"}"#),
        ("POST", "/me/profile".to_owned(), "{}"),
        ("GET", "/me/authorization?role=org:member".to_owned() + &format!("&organization_id={organization}"), ""),
        ("GET", format!("/organizations/{organization}/members"), ""),
        ("GET", format!("/users/{user}"), ""),
        ("GET", format!("/users?id={user}"), ""),
    ]
}

async fn send(world: &World, token: &str, (method, path, body): &(&str, String, &str)) -> Answer {
    let media_type = if *method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    // Each request changes the record, so that each has a transaction.
    let value = fastrand::u64(..).to_string();
    with(world, token, method, path, &[("content-type", media_type)], body.replace("VALUE", &value)).await
}

/// The event that deletes, bans, demotes or removes the caller.
pub(crate) async fn event(world: &World, what: &str, user: &str, organization: &str) -> Value {
    let now = world.now().get();
    let path = format!("/users/{user}");
    match what {
        "deleted" => {
            rollcall_tests::event("user.deleted", &json!({ "id": user, "object": "user", "deleted": true }), now + 9)
        }
        "banned" | "deprovisioned" => {
            let mut fetched = world.clerk("GET", &path, Value::Null).await;
            fetched[what] = true.into();
            fetched["updated_at"] = (now + 5).into();
            rollcall_tests::event("user.updated", &fetched, now + 9)
        }
        "demoted" => {
            let path = format!("/organizations/{organization}/memberships?user_id={user}");
            let mut membership = world.clerk("GET", &path, Value::Null).await["data"][0].clone();
            membership["role"] = "org:guest".into();
            membership["updated_at"] = (now + 5).into();
            rollcall_tests::event("organizationMembership.updated", &membership, now + 9)
        }
        "removed" => {
            let path = format!("/organizations/{organization}/memberships?user_id={user}");
            let membership = world.clerk("GET", &path, Value::Null).await["data"][0].clone();
            assert!(membership["id"].is_string());
            rollcall_tests::event("organizationMembership.deleted", &membership, now + 9)
        }
        _ => {
            let deleted = json!({ "id": organization, "object": "organization", "deleted": true });
            rollcall_tests::event("organization.deleted", &deleted, now + 9)
        }
    }
}

/// Whether the answer to the next request of a route, after the event, is right.
fn is_right(what: &str, (method, path, _): &(&str, String, &str), next: &Answer) -> bool {
    match what {
        "deleted" => next.brief() == (410, "user_deleted"),
        "banned" => next.brief() == (403, "user_banned"),
        "deprovisioned" => next.brief() == (403, "user_deprovisioned"),
        "demoted" if path.starts_with("/me/authorization") => next.body["because"] == "other_role",
        "demoted" => next.status < 300 || next.brief() == (409, "profile_exists"),
        _ if path == "/me" => next.status == 200 && next.body["organizations"] == json!([]),
        _ if path.starts_with("/me/authorization") => next.body["because"] == "not_a_member",
        _ if path.starts_with("/users?") => next.body["users"] == json!([null]),
        _ if path.starts_with("/users/") => next.brief() == (404, "no_such_user"),
        _ if path == "/me/profile" && *method == "POST" => next.brief() == (409, "profile_exists"),
        _ if path == "/me/profile" => next.status == 200,
        _ => next.brief() == (404, "organization_not_found"),
    }
}

#[tokio::test]
async fn i18_whatever_happens_between_two_requests_counts_from_the_next_read_on() {
    let mut cases = 0;
    for what in ["deleted", "banned", "deprovisioned", "removed", "organization deleted", "demoted"] {
        let world = World::with(&SETTINGS).await;
        let (ada, acme) = newcomer(&world).await;
        let grace = create_user(&world, "Grace").await;
        join(&world, &acme, &grace, "org:member").await;
        arrived(&world).await;
        let token = world.session(&grace, Some(&acme));
        let change = event(&world, what, &grace, &acme).await;
        let rows = world.directory().await;
        for route in routes(&acme, &ada) {
            let _ = world.wire.take();
            let good = send(&world, &token, &route).await;
            assert!(good.status < 300 || good.status == 409, "{what} {route:?}: {}", good.text);
            let requests = world.wire.take().len();
            for before in 0..=requests {
                let records = world.profiles().await;
                let during = with_change(&world, &token, &route, &change, before).await;
                assert!(during.status < 500, "{what} {route:?} {before}: {}", during.text);
                // The event was stored before the read, or before the transaction that checks the owners.
                let owners_end =
                    what == "deleted" || (what.ends_with("deleted") || what == "removed") && route.1.contains("org_");
                if before == 0 && owners_end || before == 1 && owners_end && ["PUT", "PATCH"].contains(&route.0) {
                    assert_eq!(world.profiles().await, records, "{what} {route:?} {before}");
                }
                let next = send(&world, &token, &route).await;
                assert!(is_right(what, &route, &next), "{what} {route:?} {before}: {} {}", next.status, next.text);
                for row in &rows {
                    world.put(&world.stack.addresses.directory_table, row).await;
                }
                cases += 1;
            }
        }
    }
    assert!(cases > 100, "{cases}");
}

/// A deletion uses up the user, so that each case has its own.
#[tokio::test]
async fn i18_whatever_happens_before_a_deletion_is_read_keeps_the_account_in_clerk() {
    let mut cases = 0;
    for what in ["deleted", "banned", "deprovisioned", "removed", "organization deleted", "demoted"] {
        let is_refusal = ["deleted", "banned", "deprovisioned"].contains(&what);
        let world = World::with(&SETTINGS).await;
        let (_, acme) = newcomer(&world).await;
        let mut requests = usize::MAX;
        for before in 0.. {
            if before > requests {
                break;
            }
            let user = create_user(&world, &format!("U{before}")).await;
            join(&world, &acme, &user, "org:member").await;
            world.reconcile().await;
            let change = event(&world, what, &user, &acme).await;
            let (rows, records) = (world.directory().await, world.profiles().await);
            let fresh = || {
                let claims = json!({ "fva": [0, -1] }).as_object().unwrap().clone();
                let organization_id = Some(acme.clone());
                world.token(&TokenRequest { claims, organization_id, ..TokenRequest::new(&user) })
            };
            let route = ("DELETE", "/me".to_owned(), "");
            let _ = world.wire.take();
            let during = with_change(&world, &fresh(), &route, &change, before).await;
            requests = world.wire.take().len();
            let found = world.clerk("GET", &format!("/users?user_id={user}"), Value::Null).await;
            let is_in_clerk = found.as_array().is_some_and(|users| !users.is_empty());
            if before == 0 && is_refusal {
                assert!(is_right(what, &route, &during), "{what}: {}", during.text);
                assert!(is_in_clerk, "{what}: the change came before the read");
            } else {
                assert_eq!(during.brief(), (202, "accepted"), "{what} {before}: {}", during.text);
                assert!(!is_in_clerk, "{what} {before}");
            }
            assert_eq!(world.profiles().await, records, "{what} {before}: only the event changes the tables");
            world.set_now(world.now().get() + 11_000);
            let next = with(&world, &fresh(), "DELETE", "/me", &[], String::new()).await;
            if is_refusal {
                assert!(is_right(what, &route, &next), "{what} {before}: {} {}", next.status, next.text);
            } else {
                // Whoever is in no organization may delete the account, too.
                assert_eq!(next.brief(), (202, "accepted"), "{what} {before}");
            }
            for row in &rows {
                world.put(&world.stack.addresses.directory_table, row).await;
            }
            cases += 1;
        }
        assert_eq!(requests, 3, "{what}: the rows of the caller, the question, the budget");
    }
    assert_eq!(cases, 6 * 4);
}

/// Sends a request to a route, and stores the event after this number of the route's requests to DynamoDB.
async fn with_change(
    world: &World,
    token: &str,
    route: &(&str, String, &str),
    change: &Value,
    before: usize,
) -> Answer {
    let mut held = world.wire.hold();
    let (done, mut finished) = tokio::sync::oneshot::channel();
    let call = async {
        let answer = send(world, token, route).await;
        let _ = done.send(());
        answer
    };
    let meanwhile = async {
        let (mut released, mut has_come) = (0, false);
        loop {
            if released == before && !has_come {
                has_come = true;
                assert_eq!(world.beside(&[]).await.post(change).await.brief(), (200, "applied"));
            }
            tokio::select! {
                Some(request) = held.recv() => {
                    request.release();
                    released += 1;
                }
                _ = &mut finished => break,
            }
        }
        if !has_come {
            assert_eq!(world.beside(&[]).await.post(change).await.brief(), (200, "applied"));
        }
    };
    let (answer, ()) = tokio::join!(call, meanwhile);
    answer
}
