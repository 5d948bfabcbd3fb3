//! The merge by which a migration decides is that of Clerk: random metadata and patches, compared with the emulator's
//! `PATCH /users/{id}/metadata` over HTTP.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use rollcall_migrate::metadata::decide::{Change, undo};
use rollcall_migrate::metadata::merge::{Metadata, at, merged, same, size};
use rollcall_tests::{World, runner};
use serde_json::{Value, json};

/// Patches of one run.
const CASES: u32 = 150;

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        2 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i32>().prop_map(Value::from),
        1 => prop_oneof![Just(1.0), Just(-0.5), Just(1e15)].prop_map(Value::from),
        2 => "[a-zé\" ]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            1 => proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => proptest::collection::hash_map("[abc]", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn objects() -> impl Strategy<Value = Metadata> {
    proptest::collection::hash_map("[abcd]", values(), 0..5).prop_map(|map| json!(map).as_object().unwrap().clone())
}

/// The values that a patch changes, at the shortest paths at which one of both sides is no object.
fn changes(path: &mut Vec<String>, before: &Metadata, after: &Metadata) -> Vec<Change> {
    let mut found = Vec::new();
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        path.push(key.clone());
        match (before.get(key), after.get(key)) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => found.extend(changes(path, before, after)),
            (before, after) if before == after => {}
            (before, after) => {
                found.push(Change { path: path.clone(), before: before.cloned(), after: after.cloned() });
            }
        }
        path.pop();
    }
    found
}

async fn public_metadata(world: &World, user: &str) -> Metadata {
    let user = world.clerk("GET", &format!("/users/{user}"), Value::Null).await;
    user["public_metadata"].as_object().unwrap().clone()
}

async fn patch(world: &World, user: &str, patch: &Metadata) {
    world.clerk("PATCH", &format!("/users/{user}/metadata"), json!({ "public_metadata": patch })).await;
}

#[tokio::test]
async fn a1_the_merge_and_the_undo_of_a_migration_agree_with_clerk() {
    let world = World::start().await;
    let (mut runner, again) = runner(CASES);
    for _ in 0..CASES {
        // A new user has the first patch as it is stored: without nulls in objects.
        let user = world.clerk("POST", "/users", json!({ "skip_user_requirement": true })).await;
        let user = user["id"].as_str().unwrap().to_owned();
        let (first, second) = (objects(), objects()).new_tree(&mut runner).unwrap().current();
        patch(&world, &user, &first).await;
        let current = public_metadata(&world, &user).await;
        assert_eq!(current, merged(&Metadata::new(), &first), "{first:?}: {again}");
        patch(&world, &user, &second).await;
        let after = public_metadata(&world, &user).await;
        let expected = merged(&current, &second);
        assert!(size(&expected) <= 8 * 1024);
        assert_eq!(after, expected, "{current:?} by {second:?}: {again}");
        // Back.
        let changes = changes(&mut Vec::new(), &current, &after);
        for change in &changes {
            assert_eq!(at(&after, &change.path), change.after.as_ref());
        }
        let back = undo(&after, &changes);
        assert_eq!(back.changed_since, Vec::<Vec<String>>::new(), "{again}");
        if back.patch.is_empty() {
            assert!(same(&current.clone().into(), &after.clone().into()), "{again}");
            continue;
        }
        patch(&world, &user, &back.patch).await;
        let restored = public_metadata(&world, &user).await;
        assert_eq!(restored, current, "{second:?} was taken back by {:?}: {again}", back.patch);
        assert_eq!(restored, merged(&after, &back.patch), "{again}");
    }
}
