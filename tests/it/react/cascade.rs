//! The cascade of a deleted organization or user, over any number of memberships; and those sequences of events in
//! docs/guarantees.md, "Traces", that concern the effects of a change.

use aws_sdk_dynamodb::types::{PutRequest, StreamSpecification, StreamViewType, WriteRequest};
use rollcall::core::clerk::objects;
use rollcall::core::id::InstanceId;
use rollcall::core::millis::Millis;
use rollcall::core::mirror::item::{Item, Provenance, Writer};
use rollcall::core::mirror::projection::Context;
use rollcall::core::mirror::roles::Roles;
use rollcall_cli::dev::stream::Look;
use rollcall_tests::{
    SAMPLE_TIME, World, deletion_event, killed_after, membership_event, organization_event, sample, user_event,
};
use serde_json::{Value, json};

use crate::{ACME, ADA, GRACE, membership, organization, user};

const T: u64 = SAMPLE_TIME - 60_000;
const MANY: usize = 10_000;

/// Memberships of so many users in one organization, as the webhook would have stored them.
fn members(world: &World, many: usize) -> Vec<Item> {
    let instance: InstanceId = world.stack.addresses.clerk_instance_id.parse().unwrap();
    let applied_at = Millis::try_from(i64::try_from(T).unwrap()).unwrap();
    let provenance = Provenance { applied_at, applied_by: Writer::Webhook, delivery_id: None };
    let context = Context { instance: &instance, roles: Roles::usual(), provenance: &provenance };
    let member = |number: usize| {
        let member = json!({
            "id": format!("orgmem_{number}"), "organization": { "id": ACME }, "role": "org:member",
            "public_user_data": { "user_id": format!("user_{number}") }, "created_at": T, "updated_at": T,
        });
        context.membership(serde_json::from_value::<objects::Membership>(member).unwrap()).unwrap()
    };
    (0..many).map(member).collect()
}

/// Stores rows that react does not see: the stream that it follows begins after them.
async fn seed(world: &World, rows: &[Item]) {
    let (client, table) = (&world.stack.dynamodb, &world.stack.addresses.directory_table);
    let none = StreamSpecification::builder().stream_enabled(false).build().unwrap();
    client.update_table().table_name(table).stream_specification(none).send().await.unwrap();
    for rows in rows.chunks(25) {
        let put = |item: &Item| {
            let row = serde_dynamo::to_item(item.to_attributes()).unwrap();
            WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(row)).build().unwrap()).build()
        };
        let puts: Vec<WriteRequest> = rows.iter().map(put).collect();
        client.batch_write_item().request_items(table, puts).send().await.unwrap();
    }
    let stream = StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewAndOldImages);
    let stream = stream.build().unwrap();
    client.update_table().table_name(table).stream_specification(stream).send().await.unwrap();
    world.replay().await;
}

fn ended(rows: &[Value]) -> usize {
    rows.iter().filter(|row| row["deleted_at"].is_u64() && row["sk"] != "ORG").count()
}

#[tokio::test]
async fn ten_thousand_members_lose_access_with_one_write_and_the_cascade_survives_being_killed_twice() {
    let world = World::start().await;
    seed(&world, &members(&world, MANY)).await;
    world.post(&organization_event("organization.created", ACME, "Acme", T)).await;
    world.post(&user_event("user.created", "user_7", "Ada", T)).await;
    world.follow().await;
    let before = world.stored("user_7", ACME).await;
    assert!(before[1].as_ref().unwrap()["deleted_at"].is_null() && before[2].is_some());

    let _ = world.wire.take();
    assert_eq!(world.post(&deletion_event("organization.deleted", ACME, T + 5)).await.brief(), (200, "applied"));
    let writes: Vec<String> = world.wire.take().into_iter().map(|call| call.operation).collect();
    assert_eq!(writes, ["PutItem"]);
    // Nobody has followed yet, and nobody is a member any more.
    assert_eq!(ended(&world.directory().await), 0);
    let answer = world.ensure(&world.session("user_7", Some(ACME))).await;
    assert_eq!(
        (&answer.body["organization"], &answer.body["membership"]),
        (&Value::Null, &Value::Null),
        "{}",
        answer.text
    );

    let mut progress = Vec::new();
    for _ in 0..2 {
        let killed = killed_after(90, world.follow()).await;
        assert_eq!(killed, None);
        progress.push(ended(&world.directory().await));
        world.replay().await;
    }
    assert!(0 < progress[0] && progress[0] < progress[1] && progress[1] < MANY, "{progress:?}");
    let _ = world.wire.take();
    world.follow().await;
    let calls = world.wire.take();
    let transactions = calls.iter().filter(|call| call.operation == "TransactWriteItems").count();
    println!("after {progress:?}: {} requests, {transactions} transactions", calls.len());
    // A hundred actions each: the check and 99 memberships. On a busy machine an attempt may time out, and comes again.
    assert!(transactions <= (MANY - progress[1]).div_ceil(50), "{transactions}");
    let rows = world.directory().await;
    assert_eq!(ended(&rows), MANY);
    let acme = world.item(&organization(ACME)).await.unwrap();
    assert!(acme["consequences_at"].is_u64(), "{acme}");
    for row in rows.iter().filter(|row| row["sk"] == format!("ORG#{ACME}")) {
        assert_eq!((&row["applied_by"], &row["deleted_at"]), (&json!("cascade"), &json!(T + 5)));
    }
    // Again, from the beginning and later: nothing is done twice.
    world.set_now(world.now().get() + 60_000);
    world.replay().await;
    world.follow().await;
    assert_eq!(world.directory().await, rows);
}

#[tokio::test]
async fn a_cascade_that_has_no_time_left_goes_on_where_it_stopped() {
    let world = World::start().await;
    seed(&world, &members(&world, 250)).await;
    world.post(&organization_event("organization.created", ACME, "Acme", T)).await;
    world.post(&deletion_event("organization.deleted", ACME, T + 5)).await;
    let records = world.batch().await;
    // Its time is over before it begins: nothing is done, and the first record comes again.
    let first = records.records[0].change.sequence_number.clone();
    let answer = world.react.react(records, Some(world.now())).await;
    assert_eq!(answer.batch_item_failures[0].item_identifier, first);
    assert_eq!(ended(&world.directory().await), 0);
    world.follow().await;
    assert_eq!(ended(&world.directory().await), 250);
}

#[tokio::test]
async fn trace6_a_cascade_in_flight_ends_nobody_once_its_parent_lives_again() {
    let world = World::start().await;
    world.post(&organization_event("organization.created", ACME, "Acme", T)).await;
    let alive = world.item(&organization(ACME)).await.unwrap();
    let member = membership_event("organizationMembership.created", "orgmem_1", T, T, T);
    world.post(&member).await;
    world.follow().await;
    world.post(&deletion_event("organization.deleted", ACME, T + 5)).await;
    // The cascade has read its members and is about to end them, when an operator takes the end back.
    let mut held = world.wire.hold();
    let undo = async {
        while let Some(request) = held.recv().await {
            if request.operation == "TransactWriteItems" {
                world.put(&world.stack.addresses.directory_table, &alive).await;
                held.close();
            }
            request.release();
        }
    };
    let (look, ()) = tokio::join!(world.look(), undo);
    assert_eq!(look, Look::Done(1));
    assert!(world.item(&membership(GRACE, ACME)).await.unwrap()["deleted_at"].is_null());
    let acme = world.item(&organization(ACME)).await.unwrap();
    assert!(acme["deleted_at"].is_null() && acme["consequences_at"].is_null(), "{acme}");
    // The undo is a change like any other.
    world.follow().await;
    let told = world.published();
    assert_eq!(told.last().unwrap()["detail-type"], "organization.restored", "{told:?}");
}

#[tokio::test]
async fn trace10_a_deletion_between_the_record_and_its_profile_leaves_no_profile() {
    // The user's record is the first that is created, the membership's the second.
    for (end, before, expected) in [("user.deleted", 0, 0), ("organization.deleted", 1, 1)] {
        let world = World::start().await;
        world.post(&user_event("user.created", GRACE, "Grace", T)).await;
        world.post(&organization_event("organization.created", ACME, "Acme", T)).await;
        world.post(&membership_event("organizationMembership.created", "orgmem_1", T, T, T)).await;
        // React has read that they live; they end before it creates a record.
        let mut held = world.wire.hold();
        let delete = async {
            let mut transactions = 0;
            while let Some(request) = held.recv().await {
                transactions += usize::from(request.operation == "TransactWriteItems");
                if transactions > before {
                    let id = if end == "user.deleted" { GRACE } else { ACME };
                    let instance: InstanceId = world.stack.addresses.clerk_instance_id.parse().unwrap();
                    let entity = if end == "user.deleted" { user(id) } else { organization(id) };
                    let key = entity.key(&instance);
                    let row = json!({
                        "pk": key.pk, "sk": key.sk, "rank": format!("0000000000000.1.{:013}", T + 9), "digest": "tombstone",
                        "applied_at": T + 9, "applied_by": "webhook", "deleted_at": T + 9,
                        "clerk_user_id": GRACE, "organization_id": ACME,
                    });
                    world.put(&world.stack.addresses.directory_table, &row).await;
                    held.close();
                }
                request.release();
            }
        };
        let (look, ()) = tokio::join!(world.look(), delete);
        assert_eq!(look, Look::Done(3), "{end}");
        world.follow().await;
        assert_eq!(world.profiles().await.len(), expected, "{end}");
        assert!(world.item(&membership(GRACE, ACME)).await.unwrap()["deleted_at"].is_u64(), "{end}");
    }
}

#[tokio::test]
async fn trace11_a_membership_that_appears_under_a_tombstone_ends_and_gets_no_record() {
    for (created, end, id) in
        [("organization.created", "organization.deleted", ACME), ("user.created", "user.deleted", GRACE)]
    {
        let world = World::start().await;
        let mut event = sample(created);
        event["data"]["id"] = id.into();
        world.post(&event).await;
        world.post(&deletion_event(end, id, SAMPLE_TIME - 1)).await;
        world.follow().await;
        // The cascade has seen no member. The event of one was on the way.
        world.post(&membership_event("organizationMembership.created", "orgmem_1", T, T, T)).await;
        world.follow().await;
        let row = world.item(&membership(GRACE, ACME)).await.unwrap();
        assert_eq!((&row["applied_by"], &row["deleted_at"]), (&json!("cascade"), &json!(SAMPLE_TIME - 1)), "{end}");
        let records = world.profiles().await;
        assert!(records.iter().all(|record| record["sk"] == "PROFILE"), "{records:?}");
    }
}

#[tokio::test]
async fn a_user_who_comes_back_to_an_organization_gets_no_second_record_and_a_new_membership() {
    let world = World::start().await;
    world.post(&sample("user.created")).await;
    world.post(&membership_event("organizationMembership.created", "orgmem_1", T, T, T)).await;
    world.follow().await;
    world.post(&membership_event("organizationMembership.deleted", "orgmem_1", T, T, T + 2)).await;
    world.post(&membership_event("organizationMembership.created", "orgmem_2", T + 4, T + 4, T + 4)).await;
    let before = world.profiles().await;
    world.follow().await;
    assert_eq!(world.profiles().await, before);
    let told: Vec<Value> = world.published().iter().map(|event| event["detail-type"].clone()).collect();
    let expected = ["user.created", "membership.created", "membership.deleted", "membership.created"];
    assert_eq!(told, expected);
    assert!(world.item(&user(ADA)).await.is_some());
}

#[tokio::test]
async fn a_membership_that_cannot_be_read_leaves_the_end_unmarked_and_stands_in_nobodys_way() {
    let world = World::start().await;
    seed(&world, &members(&world, 3)).await;
    let mut strange = world.directory().await[0].clone();
    strange.as_object_mut().unwrap().remove("clerk_user_id");
    world.put(&world.stack.addresses.directory_table, &strange).await;
    world.post(&organization_event("organization.created", ACME, "Acme", T)).await;
    world.post(&deletion_event("organization.deleted", ACME, T + 5)).await;
    world.post(&user_event("user.created", "user_7", "Ada", T)).await;
    world.follow().await;
    // The others have ended, whoever came later has a record, and reconcile is still told of the end.
    assert_eq!((ended(&world.directory().await), world.profiles().await.len()), (2, 1));
    assert!(world.item(&organization(ACME)).await.unwrap()["consequences_at"].is_null());
}
