//! Rows of the Directory to which somebody has done something: what the rule needs of them is read, and nothing of them
//! is said.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use rollcall::core::id::{EntityId, InstanceId};
use rollcall::core::mirror::item::{CONSEQUENCES_AT, PURGING_AT};
use rollcall_tests::{SAMPLE_TIME, World, deletion_event, sample, user_event};
use serde_json::{Value, json};

use crate::operator::commands::rollcall;
use crate::properties::failures::Log;
use crate::{ACME, ADA, GRACE, membership, organization, user};

const T: u64 = SAMPLE_TIME - 60_000;
const SECRET: &str = "ada.secret@example.com";

/// Sets an attribute of a row of the Directory, past all rules.
async fn set(world: &World, entity: &EntityId, name: &str, value: AttributeValue) {
    let instance: InstanceId = world.stack.addresses.clerk_instance_id.parse().unwrap();
    let key = entity.key(&instance);
    let update = world.stack.dynamodb.update_item().table_name(&world.stack.addresses.directory_table);
    let update = update.key("pk", AttributeValue::S(key.pk)).key("sk", AttributeValue::S(key.sk));
    let update = update.update_expression("SET #name = :value").expression_attribute_names("#name", name);
    update.expression_attribute_values(":value", value).send().await.unwrap();
}

/// What somebody may do to a row without touching what the rule needs.
fn damages() -> Vec<(&'static str, AttributeValue)> {
    let bytes = || AttributeValue::B(Blob::new(SECRET.as_bytes()));
    let text = || AttributeValue::S(SECRET.to_owned());
    let nested = AttributeValue::M([("photo".to_owned(), bytes())].into());
    vec![
        // zenlist/serde_dynamo#8: https://github.com/zenlist/serde_dynamo/issues/8
        ("photo", bytes()),
        ("photos", AttributeValue::Bs(vec![Blob::new(SECRET.as_bytes())])),
        ("public_metadata", nested),
        ("applied_by", text()),
        ("applied_at", text()),
        ("applied_at", AttributeValue::N("-1".to_owned())),
        ("applied_at", AttributeValue::N("1796032070329.5".to_owned())),
        ("delivery_id", text()),
        ("created_at", text()),
        ("updated_at", bytes()),
        ("name", bytes()),
        ("banned", text()),
        // The marks of a tombstone mean nothing on a live row.
        (CONSEQUENCES_AT, AttributeValue::N("7".to_owned())),
        (PURGING_AT, AttributeValue::N("7".to_owned())),
    ]
}

async fn people(world: &World) {
    for event in ["user.created", "organization.created", "organizationMembership.created"] {
        assert_eq!(world.post(&sample(event)).await.brief(), (200, "applied"), "{event}");
    }
    let grace = user_event("user.created", GRACE, "Grace", T);
    assert_eq!(world.post(&grace).await.brief(), (200, "applied"));
}

#[tokio::test]
async fn fault_a13_a_deletion_happens_whatever_else_is_in_the_row() {
    for policy in ["redact", "purge", "retain"] {
        let world = World::with(&[("DELETION_POLICY", policy)]).await;
        world.expect_damaged_rows();
        for (name, damage) in damages() {
            people(&world).await;
            world.follow().await;
            for entity in [user(GRACE), organization(ACME), membership(GRACE, ACME)] {
                set(&world, &entity, name, damage.clone()).await;
            }
            let log = Log::default();
            let listening = log.listen();
            // Whoever calls is answered.
            let answer = world.ensure(&world.session(GRACE, Some(ACME))).await;
            assert!([200, 201].contains(&answer.status), "{policy} {name}: {}", answer.text);
            assert_eq!(answer.body["membership"]["role"], "org:member", "{policy} {name}");
            // An older event is settled, a newer one applied.
            let older = user_event("user.updated", GRACE, "Old", T - 1);
            assert_eq!(world.post(&older).await.brief(), (200, "superseded"), "{policy} {name}");
            // The end comes, and its consequences do.
            assert_eq!(
                world.post(&deletion_event("user.deleted", GRACE, T + 60)).await.brief(),
                (200, "applied"),
                "{policy} {name}"
            );
            world.follow().await;
            let row = world.item(&user(GRACE)).await.unwrap();
            assert_eq!(row["deleted_at"], T + 60, "{policy} {name}");
            let ended = world.exactly(&[&world.stack.addresses.directory_table]).await;
            let ended = format!("{ended:?}");
            assert!(ended.contains("cascade"), "{policy} {name}: the membership has not ended");
            drop(listening);
            let said = log.text();
            assert!(!said.contains("secret") && !said.contains("97, 100, 97"), "{policy} {name}: {said}");
            assert!(
                said.contains("some attributes of a Directory row cannot be read")
                    || ["name", "banned", CONSEQUENCES_AT, PURGING_AT].contains(&name),
                "{policy} {name}: {said}"
            );
            wipe(&world).await;
        }
    }
}

async fn wipe(world: &World) {
    let _ = rollcall_tests::Land::populate(world).await;
}

#[tokio::test]
async fn fault_s7_a_row_that_cannot_be_read_has_no_printable_value() {
    let world = World::start().await;
    for (name, value) in [("rank", json!(SECRET)), ("digest", json!([SECRET]))] {
        people(&world).await;
        let mut row = world.item(&user(ADA)).await.unwrap();
        row[name] = value;
        world.put(&world.stack.addresses.directory_table, &row).await;
        let log = Log::default();
        let listening = log.listen();
        let answer = world.ensure(&world.session(ADA, None)).await;
        assert_eq!(answer.brief(), (500, "internal_error"), "{name}");
        let answer_to_event = world.post(&user_event("user.updated", ADA, "Ada", T - 9)).await;
        world.follow().await;
        world.reconcile().await;
        drop(listening);
        let said = log.text();
        assert!(said.contains("cannot be read"), "{said}");
        for said in [said, answer.text, answer_to_event.text] {
            assert!(!said.contains("secret"), "{said}");
        }
        wipe(&world).await;
    }
}

#[tokio::test]
async fn fault_s7_a_key_that_rollcall_does_not_make_is_not_printed() {
    let world = World::start().await;
    people(&world).await;
    let good = world.item(&user(ADA)).await.unwrap();
    for (number, (name, value)) in [("rank", json!(SECRET)), ("name", json!("Ada"))].into_iter().enumerate() {
        let mut row = good.clone();
        row["pk"] = format!("USER#{number}{SECRET}").into();
        row[name] = value;
        world.put(&world.stack.addresses.directory_table, &row).await;
    }
    world.set_now(world.now().get() + 60 * 60 * 1000);
    let log = Log::default();
    let listening = log.listen();
    world.reconcile().await;
    drop(listening);
    let said = log.text();
    for expected in ["a Directory row cannot be read", "the key of a Directory row does not match its ids"] {
        assert!(said.contains(expected), "{said}");
    }
    assert!(!said.contains("secret"), "{said}");
}

#[tokio::test]
async fn fault_s7_an_undo_says_that_a_row_is_unreadable_and_not_unknown() {
    let world = World::start().await;
    let ada = world.clerk("POST", "/users", json!({ "first_name": "Ada", "email_address": ["ada@example.com"] })).await;
    let id = ada["id"].as_str().unwrap();
    world.post(&rollcall_tests::event("user.created", &ada, world.now().get())).await;
    world.post(&deletion_event("user.deleted", id, world.now().get())).await;
    let mut row = world.item(&user(id)).await.unwrap();
    let undo = async || rollcall(&world, &["undo", id, "--yes"], &[]).await;
    row["rank"] = SECRET.into();
    world.put(&world.stack.addresses.directory_table, &row).await;
    let refused = undo().await;
    let said = format!("{} {}", refused.out, refused.err);
    assert_eq!(refused.status, Some(1), "{said}");
    assert!(
        said.contains("cannot be read") && !said.contains("nothing is known") && !said.contains("secret"),
        "{said}"
    );
    // What the rule does not need is in nobody's way.
    row["rank"] = format!("0000000000000.1.{:013}", world.now().get()).into();
    row["applied_by"] = SECRET.into();
    world.put(&world.stack.addresses.directory_table, &row).await;
    let undone = undo().await;
    let said = format!("{} {}", undone.out, undone.err);
    assert!(undone.status == Some(0) && !said.contains("secret"), "{said}");
    assert_eq!(world.item(&user(id)).await.unwrap()["deleted_at"], Value::Null);
}

#[tokio::test]
async fn fault_a13_a_tombstone_whose_moment_is_broken_is_undone_and_finished() {
    let number = |digits: &str| AttributeValue::N(digits.to_owned());
    for broken in [AttributeValue::S(SECRET.to_owned()), number("-1"), number("1796032070329.5"), number("1e20")] {
        let world = World::start().await;
        let ada = json!({ "first_name": "Ada", "email_address": ["ada@example.com"] });
        let ada = world.clerk("POST", "/users", ada).await;
        let id = ada["id"].as_str().unwrap();
        let deleted = deletion_event("user.deleted", id, world.now().get());
        assert_eq!(world.post(&deleted).await.brief(), (200, "applied"));
        set(&world, &user(id), "applied_at", broken.clone()).await;
        let undone = rollcall(&world, &["undo", id, "--yes"], &[]).await;
        assert_eq!(undone.status, Some(0), "{broken:?}: {}", undone.err);
        world.set_now(world.now().get() + 60_000);
        let deleted = deletion_event("user.deleted", id, world.now().get());
        assert_eq!(world.post(&deleted).await.brief(), (200, "applied"), "{broken:?}");
        set(&world, &user(id), "applied_at", broken.clone()).await;
        world.wait_hours(1);
        world.reconcile().await;
        world.wait_hours(25);
        world.purge_due().await;
        let all = world.stack.dynamodb.scan().table_name(&world.stack.addresses.directory_table).send().await.unwrap();
        let rows: Vec<_> = all.items().iter().filter(|row| row["sk"] == AttributeValue::S("USER".to_owned())).collect();
        assert!(rows.iter().all(|row| row.contains_key(CONSEQUENCES_AT)) && rows.len() == 1, "{broken:?}: {rows:?}");
    }
}
