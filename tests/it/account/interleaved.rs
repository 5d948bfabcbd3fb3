//! I20: with any concurrent writers, no write of an owner is lost, no owner changes a field that is not writable, and
//! no record of a deleted owner is created or changed.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use fastrand::Rng;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rollcall::core::account::document::merged;
use rollcall::core::id::EntityId;
use rollcall_tests::World;
use rollcall_tests::answer::Answer;
use serde_json::{Value, json};

use super::{create_user, get, write};

const SETTINGS: [(&str, &str); 2] =
    [("PROFILE_WRITABLE", r#"["theme","bio"]"#), ("PROFILE_DEFAULTS", r#"{"points":0}"#)];
const HISTORIES: u64 = 200;

/// A request of an owner.
#[derive(Clone, Debug)]
struct Sent {
    method: &'static str,
    body: Value,
    /// Whether the write has the entity tag that was read at the beginning.
    is_conditional: bool,
}

fn sent(at: usize, random: &mut Rng) -> Sent {
    let is_conditional = random.bool();
    match random.u8(0..5) {
        0 => Sent { method: "POST", body: json!({ "bio": format!("post {at}") }), is_conditional: false },
        1 => Sent { method: "PUT", body: json!({ "bio": format!("put {at}") }), is_conditional },
        2 => Sent { method: "PUT", body: json!({ "theme": { format!("put{at}"): 1 } }), is_conditional },
        3 => Sent { method: "PATCH", body: json!({ "theme": { format!("patch{at}"): 1 } }), is_conditional },
        _ => Sent {
            method: "PATCH",
            body: json!({ "bio": format!("patch {at}"), "theme": { "common": null } }),
            is_conditional,
        },
    }
}

#[tokio::test]
async fn i20_two_hundred_histories_of_concurrent_writes_lose_nothing() {
    let world = World::with(&SETTINGS).await;
    let (mut stored, mut refused, mut deletions) = (0, 0, 0);
    for seed in 0..HISTORIES {
        let (answers, was_deleted) = history(&world, seed).await;
        stored += answers.iter().filter(|answer| answer.status < 300).count();
        refused += answers.iter().filter(|answer| [409, 410, 412].contains(&answer.status)).count();
        deletions += usize::from(was_deleted);
    }
    println!("{stored} writes stored, {refused} refused, {deletions} owners deleted");
    assert!(stored > 200 && refused > 100 && deletions > 20, "{stored} {refused} {deletions}");
}

/// Runs one history. Returns the answers to the owner, and whether the owner was deleted in the meantime.
async fn history(world: &World, seed: u64) -> (Vec<Answer>, bool) {
    let mut random = Rng::with_seed(seed);
    let user = create_user(world, &format!("H{seed}")).await;
    let fetched = world.clerk("GET", &format!("/users/{user}"), Value::Null).await;
    let created = rollcall_tests::event("user.created", &fetched, world.now().get());
    assert_eq!(world.post(&created).await.brief(), (200, "applied"));
    let token = world.session(&user, None);
    let has_record = random.bool();
    if has_record {
        assert_eq!(write(world, &token, "POST", &[], json!({ "theme": { "common": 1 } })).await.status, 201);
    }
    let first = get(world, &token, "/me/profile").await;
    let etag = first.header("etag").unwrap_or("\"none\"").to_owned();
    let all: Vec<Sent> = (0..random.usize(3..7)).map(|at| sent(at, &mut random)).collect();
    let deletes = random.u8(0..3) == 0;

    let mut held = world.wire.hold();
    let mut writes: FuturesUnordered<_> = all
        .iter()
        .enumerate()
        .map(|(at, sent)| {
            let (etag, token) = (etag.clone(), token.clone());
            async move {
                let headers: &[(&str, &str)] = if sent.is_conditional { &[("if-match", &etag)] } else { &[] };
                (at, write(world, &token, sent.method, headers, sent.body.clone()).await)
            }
        })
        .collect();
    let (mut waiting, mut answers, mut points) = (Vec::new(), BTreeMap::new(), 0_u64);
    let mut at_deletion = None;
    while answers.len() < all.len() {
        // All tasks run until each waits for a release.
        tokio::select! {
            biased;
            Some((at, answer)) = writes.next() => { answers.insert(at, answer); continue; }
            Some(request) = held.recv() => { waiting.push(request); continue; }
            () = tokio::time::sleep(std::time::Duration::from_millis(2)) => {}
        }
        match random.u8(0..6) {
            0 => points += u64::from(add_point(world, &user).await),
            1 if deletes && at_deletion.is_none() => {
                let deleted = json!({ "id": user, "object": "user", "deleted": true });
                let deleted = rollcall_tests::event("user.deleted", &deleted, world.now().get() + 2);
                let put = directly(world, &deleted).await;
                assert_eq!(put.brief(), (200, "applied"));
                at_deletion = Some(record(world, &user).await);
            }
            _ if !waiting.is_empty() => waiting.swap_remove(random.usize(..waiting.len())).release(),
            _ => {}
        }
    }
    drop(writes);
    held.close();
    let last = record(world, &user).await;
    if let Some(at_deletion) = &at_deletion {
        assert_eq!(&without_points(&last), &without_points(at_deletion), "seed {seed}: the owner was deleted");
    }
    check(seed, &all, &answers, &first.body, has_record, last.as_ref(), points);
    (answers.into_values().collect(), at_deletion.is_some())
}

/// Applying the stored writes to the first record, in the order of their versions, must result in the last record.
fn check(
    seed: u64,
    all: &[Sent],
    answers: &BTreeMap<usize, Answer>,
    first: &Value,
    has_record: bool,
    last: Option<&Value>,
    points: u64,
) {
    let mut stored: Vec<(u64, usize)> = Vec::new();
    for (at, answer) in answers {
        assert!([200, 201, 404, 409, 410, 412].contains(&answer.status), "seed {seed}: {}", answer.text);
        if answer.status < 300 {
            stored.push((answer.body["profile_version"].as_u64().unwrap_or_default(), *at));
        }
        if all[*at].is_conditional && answer.status < 300 {
            // Of the writes with the first record's entity tag, only one can be stored, and only as a change of that
            // record.
            assert!(has_record, "seed {seed}");
        }
    }
    let conditional = stored.iter().filter(|(_, at)| all[*at].is_conditional);
    assert!(conditional.count() <= 1, "seed {seed}: a lost update");
    stored.sort_unstable();
    let mut model = first.clone();
    let mut version = model["profile_version"].as_u64().unwrap_or_default();
    let mut creations = usize::from(has_record);
    for (number, at) in stored {
        let sent = &all[at];
        if sent.method == "POST" {
            creations += 1;
            model = json!({ "bio": sent.body["bio"] });
            continue;
        }
        let before = json!({ "bio": model["bio"], "theme": model["theme"] });
        let after = if sent.method == "PUT" { sent.body.clone() } else { merged(model.clone(), sent.body.clone()) };
        let changes = ["bio", "theme"].iter().any(|name| before[*name] != after[*name]);
        // The answer to a write that changes nothing has the stored version.
        version += u64::from(changes);
        assert_eq!(number, version, "seed {seed}: {sent:?}");
        (model["bio"], model["theme"]) = (after["bio"].clone(), after["theme"].clone());
    }
    assert!(creations <= 1, "seed {seed}: created twice");
    let Some(last) = last else { return assert_eq!(creations, 0, "seed {seed}") };
    assert_eq!(creations, 1, "seed {seed}");
    for name in ["bio", "theme"] {
        assert_eq!(last[name], model[name], "seed {seed}: {name}");
    }
    assert_eq!(last["points"], points, "seed {seed}: what the application has written");
}

/// Sends an event to the webhook of another process, whose requests do not pass the controlled wire.
async fn directly(world: &World, event: &Value) -> Answer {
    world.beside(&[]).await.post(event).await
}

/// The application adds a point, if the record exists.
async fn add_point(world: &World, user: &str) -> bool {
    let row = key(world, user);
    let request = world.stack.dynamodb.update_item().table_name(&world.stack.addresses.profiles_table);
    let request = request.key("pk", AttributeValue::S(row)).key("sk", AttributeValue::S("PROFILE".to_owned()));
    let request = request.update_expression("SET points = points + :one").condition_expression("attribute_exists(pk)");
    request.expression_attribute_values(":one", AttributeValue::N("1".to_owned())).send().await.is_ok()
}

fn key(world: &World, user: &str) -> String {
    let instance = world.stack.addresses.clerk_instance_id.parse().unwrap();
    EntityId::User(user.parse().unwrap()).key(&instance).pk
}

async fn record(world: &World, user: &str) -> Option<Value> {
    let key = key(world, user);
    world.profiles().await.into_iter().find(|row| row["pk"] == key.as_str())
}

fn without_points(record: &Option<Value>) -> Option<Value> {
    record.clone().map(|mut record| {
        record["points"] = Value::Null;
        record
    })
}
