//! `GET /users/{id}` and `GET /users?id=…`.

use rollcall_tests::World;
use serde_json::{Value, json};

use super::{arrived, create_user, get, join};
use crate::ensure::profiles::newcomer;

#[tokio::test]
async fn c4_users_are_read_by_either_id_and_many_at_once() {
    let world = World::with(&[("USER_VISIBILITY", "signed-in")]).await;
    let (ada, acme) = newcomer(&world).await;
    let (grace, eve) = (create_user(&world, "Grace").await, create_user(&world, "Eve").await);
    join(&world, &acme, &grace, "org:member").await;
    arrived(&world).await;
    let (token, clerk_calls) = (world.session(&ada, Some(&acme)), world.clerk_calls());
    let by_clerk_id = get(&world, &token, &format!("/users/{grace}")).await;
    assert_eq!(by_clerk_id.status, 200, "{}", by_clerk_id.text);
    let id = by_clerk_id.body["user"]["id"].as_str().unwrap();
    assert_eq!(get(&world, &token, &format!("/users/{id}")).await.body, by_clerk_id.body);
    let _ = world.wire.take();
    let path = format!("/users?id={eve}&id={id}&id=user_unknown&id={ada},{grace}");
    let answer = get(&world, &token, &path).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(world.wire.take().len(), 2, "the caller, and all of them");
    assert_eq!(world.clerk_calls(), clerk_calls);
    let users = answer.body["users"].as_array().unwrap();
    let fields = |at: usize| users[at].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!((users.len(), &users[2]), (5, &Value::Null));
    assert_eq!(fields(0), ["clerk_user_id", "id", "image_url", "name"], "of a stranger the name and the image");
    assert_eq!((&users[1]["email"], &users[4]), (&json!("grace@example.com"), &users[1]));
    assert_eq!(users[3]["email"], "ada@example.com");
    let hundred = (0..100).map(|at| format!("id=user_{at}")).collect::<Vec<_>>().join("&");
    assert_eq!(get(&world, &token, &format!("/users?{hundred}")).await.body["users"].as_array().unwrap().len(), 100);
    let more = get(&world, &token, &format!("/users?{hundred}&id=user_more")).await;
    assert_eq!(more.brief(), (400, "too_many_user_ids"));
}

#[tokio::test]
async fn by_default_only_members_of_the_active_organization_are_visible() {
    let world = World::start().await;
    let (ada, acme) = newcomer(&world).await;
    let (grace, eve) = (create_user(&world, "Grace").await, create_user(&world, "Eve").await);
    join(&world, &acme, &grace, "org:member").await;
    arrived(&world).await;
    let seen = async |token: &str, user: &str| get(&world, token, &format!("/users/{user}")).await.status;
    let token = world.session(&ada, Some(&acme));
    assert_eq!((seen(&token, &grace).await, seen(&token, &eve).await, seen(&token, &ada).await), (200, 404, 200));
    let without = world.session(&ada, None);
    assert_eq!((seen(&without, &grace).await, seen(&without, &ada).await), (404, 200));
    // A token that claims an organization does not replace a membership.
    assert_eq!(seen(&world.session(&eve, Some(&acme)), &grace).await, 404);
    // An administrator of the application sees all users.
    world.clerk("PATCH", &format!("/users/{eve}/metadata"), json!({ "public_metadata": { "role": "admin" } })).await;
    world.reconcile().await;
    let all = get(&world, &world.session(&eve, None), &format!("/users/{grace}")).await;
    assert_eq!((all.status, all.body["user"].get("public_metadata").is_some()), (200, true));
    // No caller sees a deleted user.
    let deleted = json!({ "id": grace, "object": "user", "deleted": true });
    let deleted = rollcall_tests::event("user.deleted", &deleted, world.now().get() + 2);
    assert_eq!(world.post(&deleted).await.brief(), (200, "applied"));
    assert_eq!((seen(&token, &grace).await, seen(&world.session(&eve, None), &grace).await), (404, 404));
}
