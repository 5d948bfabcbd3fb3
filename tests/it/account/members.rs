//! `GET /organizations/{id}/members`.

use std::collections::BTreeSet;

use rollcall_tests::World;
use serde_json::{Value, json};

use super::{arrived, create_user, get, join};
use crate::ensure::profiles::newcomer;

fn names(page: &Value) -> BTreeSet<String> {
    page["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["user"]["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn b8_members_have_names_and_addresses_in_three_requests() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    let grace = create_user(&world, "Grace").await;
    join(&world, &acme, &grace, "org:member").await;
    arrived(&world).await;
    let path = format!("/organizations/{acme}/members");
    let answer = get(&world, &world.session(&ada, Some(&acme)), &path).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let mut operations: Vec<String> = world.wire.take().into_iter().map(|call| call.operation).collect();
    operations.sort();
    assert_eq!(operations, ["BatchGetItem", "BatchGetItem", "Query"]);
    assert_eq!(names(&answer.body), ["Ada Example", "Grace Example"].map(str::to_owned).into());
    let of_grace = answer.body["members"].as_array().unwrap().iter().find(|it| it["user"]["clerk_user_id"] == grace);
    let of_grace = of_grace.unwrap();
    assert_eq!((&of_grace["user"]["email"], &of_grace["role"]), (&json!("grace@example.com"), &json!("org:member")));
    assert_eq!((&of_grace["user"].get("public_metadata"), &answer.body["next_cursor"]), (&None, &Value::Null));
    let admins = get(&world, &world.session(&ada, Some(&acme)), &format!("{path}?role=org:admin")).await;
    assert_eq!(names(&admins.body), ["Ada Example".to_owned()].into());
}

#[tokio::test]
async fn b6_nobody_reads_members_of_an_organization_without_being_one() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    let grace = create_user(&world, "Grace").await;
    join(&world, &acme, &grace, "org:member").await;
    arrived(&world).await;
    let path = format!("/organizations/{acme}/members");
    let of_grace = world.session(&grace, Some(&acme));
    assert_eq!(names(&get(&world, &of_grace, &path).await.body).len(), 2);
    // The caller was removed, but the token still names the organization.
    let removed = world.clerk("DELETE", &format!("/organizations/{acme}/memberships/{grace}"), Value::Null).await;
    let removed = rollcall_tests::event("organizationMembership.deleted", &removed, world.now().get() + 5);
    assert_eq!(world.post(&removed).await.brief(), (200, "applied"));
    assert_eq!(get(&world, &of_grace, &path).await.brief(), (404, "organization_not_found"));
    assert_eq!(names(&get(&world, &world.session(&ada, Some(&acme)), &path).await.body).len(), 1);
    // A token that claims another organization grants no access to it. The answer for an organization that does not
    // exist is the same.
    let eve = create_user(&world, "Eve").await;
    world.reconcile().await;
    for organization in [&*acme, "org_unknown"] {
        let path = format!("/organizations/{organization}/members");
        let answer = get(&world, &world.session(&eve, Some(&acme)), &path).await;
        assert_eq!(answer.brief(), (404, "organization_not_found"));
    }
}

#[tokio::test]
async fn pages_come_to_an_end_with_everybody_once() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    for number in 0..12 {
        let user = create_user(&world, &format!("U{number}")).await;
        join(&world, &acme, &user, if number % 3 == 0 { "org:admin" } else { "org:member" }).await;
    }
    arrived(&world).await;
    let token = world.session(&ada, Some(&acme));
    for (filter, all) in [
        ("", 13),
        ("&role=org:admin", 5),
        ("&role=org:member", 8),
        ("&role=org:none", 0),
        ("&role=admin", 5),
        ("&role=member", 8),
        ("&role=min", 0),
    ] {
        for limit in [1, 5, 13, 48] {
            let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
            loop {
                let path = format!("/organizations/{acme}/members?limit={limit}{filter}{cursor}");
                let page = get(&world, &token, &path).await;
                assert_eq!(page.status, 200, "{path} {}", page.text);
                let members = page.body["members"].as_array().unwrap();
                assert!(members.len() <= limit);
                seen.extend(members.iter().map(|member| member["user"]["id"].to_string()));
                pages += 1;
                let Some(next) = page.body["next_cursor"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            let different: BTreeSet<_> = seen.iter().collect();
            assert_eq!((seen.len(), different.len()), (all, all), "{filter} {limit}");
            assert!(pages <= all.div_ceil(limit) + 1, "{filter} {limit}: {pages} pages");
        }
    }
}

#[tokio::test]
async fn i14_a_page_of_48_members_is_three_requests() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    for number in 1..49 {
        let user = create_user(&world, &format!("U{number}")).await;
        join(&world, &acme, &user, "org:member").await;
    }
    arrived(&world).await;
    let token = world.session(&ada, Some(&acme));
    let path = format!("/organizations/{acme}/members?limit=48");
    let first = get(&world, &token, &path).await;
    let mut operations: Vec<String> = world.wire.take().into_iter().map(|call| call.operation).collect();
    operations.sort();
    assert_eq!(operations, ["BatchGetItem", "BatchGetItem", "Query"]);
    assert_eq!(first.body["members"].as_array().unwrap().len(), 48);
    let cursor = first.body["next_cursor"].as_str().unwrap();
    let second = get(&world, &token, &format!("{path}&cursor={cursor}")).await;
    assert_eq!((names(&second.body).len(), &second.body["next_cursor"]), (1, &Value::Null));
    assert!(names(&first.body).is_disjoint(&names(&second.body)));
}
