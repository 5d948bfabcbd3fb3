//! What follows from a change, end to end: Clerk's own API, its signed webhook, the table, its stream, react.
//! Everything runs by itself here; the tests only wait until it is quiet.

use clerk_emulator::{Config, Faults, WebhookFaults};
use rollcall::core::id::InstanceId;
use rollcall_tests::World;
use serde_json::{Value, json};

use crate::properties::failures::Log;
use crate::{membership, organization, user};

const PATCH: &str = "PATCH /v1/users/{user_id}/metadata";

/// A world whose Clerk sends every message twice and many of them too early.
async fn clumsy(settings: &[(&str, &str)]) -> World {
    let webhooks = WebhookFaults { duplicate: 1.0, reorder: 0.5, ..WebhookFaults::default() };
    let faults = Faults { webhooks, seed: Some(7), ..Faults::default() };
    World::live(Config { faults, ..Config::default() }, settings).await
}

async fn sign_up(world: &World, name: &str) -> String {
    let address = format!("{}@example.com", name.to_lowercase());
    let body = world.clerk("POST", "/users", json!({ "first_name": name, "email_address": [address] })).await;
    world.stack.settled().await;
    body["id"].as_str().unwrap().to_owned()
}

async fn found(world: &World, founder: &str) -> String {
    let body = world.clerk("POST", "/organizations", json!({ "name": "Acme", "created_by": founder })).await;
    world.stack.settled().await;
    body["id"].as_str().unwrap().to_owned()
}

fn internal(world: &World, user: &str) -> String {
    let instance: InstanceId = world.stack.addresses.clerk_instance_id.parse().unwrap();
    instance.internal_id(&user.parse().unwrap()).to_string()
}

/// The names of the events about one entity, in their order.
fn told_of(world: &World, id: &str) -> Vec<String> {
    let events = world.published();
    let of = events.iter().filter(|event| event["detail"]["id"] == id);
    of.map(|event| event["detail-type"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn b1_a_member_gets_a_record_of_the_membership_and_a_user_alone_gets_none() {
    let world = World::live(Config::default(), &[("MEMBERSHIP_PROFILE_DEFAULTS", r#"{"seats":1}"#)]).await;
    let (ada, grace) = (sign_up(&world, "Ada").await, sign_up(&world, "Grace").await);
    let keys = |rows: &[Value]| rows.iter().map(|row| row["sk"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(keys(&world.profiles().await), ["PROFILE", "PROFILE"], "a user alone is a member of nothing");
    let acme = found(&world, &ada).await;
    let members = format!("/organizations/{acme}/memberships");
    world.clerk("POST", &members, json!({ "user_id": grace, "role": "org:member" })).await;
    world.stack.settled().await;
    let [copy, _, member, profile, record] = world.stored(&grace, &acme).await;
    assert_eq!((copy.unwrap()["name"].clone(), member.unwrap()["role"].clone()), (json!("Grace"), json!("org:member")));
    let (profile, record) = (profile.unwrap(), record.unwrap());
    let created_at = record["created_at"].as_u64().unwrap();
    let id = internal(&world, &grace);
    let expected = json!({
        "pk": format!("USER#{id}"), "sk": format!("ORG#{acme}"), "user_id": id, "organization_id": acme,
        "created_at": created_at, "seats": 1,
    });
    assert_eq!((&record, &profile["sk"]), (&expected, &json!("PROFILE")));

    world.clerk("PATCH", &format!("{members}/{grace}"), json!({ "role": "org:admin" })).await;
    world.stack.settled().await;
    assert_eq!(world.item(&membership(&grace, &acme)).await.unwrap()["role"], "org:admin");
    world.clerk("DELETE", &format!("{members}/{grace}"), Value::Null).await;
    world.stack.settled().await;
    let left = world.item(&membership(&grace, &acme)).await.unwrap();
    assert!(left["deleted_at"].is_u64() && left["applied_by"] == "webhook", "{left}");
    // The other membership ends with the organization, of which Clerk sends one event alone.
    world.clerk("DELETE", &format!("/organizations/{acme}"), Value::Null).await;
    world.stack.settled().await;
    let ended = world.item(&membership(&ada, &acme)).await.unwrap();
    assert!(ended["deleted_at"].is_u64() && ended["applied_by"] == "cascade", "{ended}");
    let gone = world.item(&organization(&acme)).await.unwrap();
    assert!(gone["deleted_at"].is_u64() && gone["consequences_at"].is_u64(), "{gone}");
    // The application's record is the application's.
    assert_eq!(world.stored(&grace, &acme).await[4].as_ref(), Some(&expected));
}

#[tokio::test]
async fn b2_what_comes_twice_and_out_of_order_has_its_consequences_once() {
    let world = clumsy(&[]).await;
    let ada = sign_up(&world, "Ada").await;
    let acme = found(&world, &ada).await;
    for name in ["Acme 1", "Acme 2", "Acme 3"] {
        world.clerk("PATCH", &format!("/organizations/{acme}"), json!({ "name": name })).await;
    }
    world.stack.settled().await;
    assert_eq!(world.item(&organization(&acme)).await.unwrap()["name"], "Acme 3");
    assert_eq!(world.profiles().await.len(), 2);
    let told = told_of(&world, &acme);
    assert_eq!(told[0], "organization.created");
    assert_eq!(told.iter().filter(|name| *name == "organization.created").count(), 1, "{told:?}");
    assert!(told.len() <= 4, "a duplicate is no change: {told:?}");
    let ranks: Vec<String> = world.published().iter().map(|event| event["detail"]["rank"].to_string()).collect();
    assert!(ranks.iter().collect::<std::collections::HashSet<_>>().len() >= ranks.len() - 1, "{ranks:?}");
    assert_eq!(told_of(&world, &format!("{acme}/{}", internal(&world, &ada))), ["membership.created"]);
}

#[tokio::test]
async fn b6_a_removal_takes_effect_at_once_and_its_consequences_follow() {
    let world = World::live(Config::default(), &[]).await;
    let (ada, grace) = (sign_up(&world, "Ada").await, sign_up(&world, "Grace").await);
    let acme = found(&world, &ada).await;
    let members = format!("/organizations/{acme}/memberships");
    world.clerk("POST", &members, json!({ "user_id": grace, "role": "org:member" })).await;
    world.stack.settled().await;
    let token = world.session(&grace, Some(&acme));
    let as_member = world.ensure(&token).await;
    assert!(as_member.body["membership"].is_object(), "{}", as_member.text);
    // The session still says that Grace is a member of an organization that is no more.
    world.clerk("DELETE", &format!("/organizations/{acme}"), Value::Null).await;
    world.stack.clerk.settled().await;
    let ended = world.ensure(&token).await.body;
    assert_eq!((&ended["membership"], &ended["organization"]), (&Value::Null, &Value::Null), "{ended}");
    world.stack.settled().await;
    let row = world.item(&membership(&grace, &acme)).await.unwrap();
    assert_eq!(row["applied_by"], "cascade");
    assert!(row["user_pk"].is_null(), "it is in no list of members any more");
    assert_eq!(
        told_of(&world, &format!("{acme}/{}", internal(&world, &grace))),
        ["membership.created", "membership.deleted"]
    );
}

#[tokio::test]
async fn b11_a_change_of_an_organizations_metadata_is_synced_and_told() {
    let world = World::live(Config::default(), &[]).await;
    let ada = sign_up(&world, "Ada").await;
    let acme = found(&world, &ada).await;
    let metadata = json!({ "plan": "team", "seats": 25 });
    let path = format!("/organizations/{acme}/metadata");
    world.clerk("PATCH", &path, json!({ "public_metadata": metadata })).await;
    world.clerk("PATCH", &format!("/organizations/{acme}"), json!({ "name": "Acme Ltd", "slug": "acme-ltd" })).await;
    world.stack.settled().await;
    let row = world.item(&organization(&acme)).await.unwrap();
    assert_eq!(
        (&row["public_metadata"], &row["name"], &row["slug"]),
        (&metadata, &json!("Acme Ltd"), &json!("acme-ltd"))
    );
    let changed: Vec<Value> = world
        .published()
        .iter()
        .filter(|event| event["detail-type"] == "organization.updated")
        .map(|event| event["detail"]["changed"].clone())
        .collect();
    let all: Vec<&str> = changed.iter().flat_map(|names| names.as_array().unwrap()).filter_map(Value::as_str).collect();
    assert_eq!(all, ["public_metadata", "name", "slug"], "{changed:?}");
}

#[tokio::test]
async fn c5_every_applied_change_is_one_line_of_the_log_with_names_and_no_values() {
    let log = Log::default();
    let listening = log.listen();
    let world = World::live(Config::default(), &[("METADATA_WRITEBACK", "off")]).await;
    let ada = sign_up(&world, "Marked").await;
    world.clerk("PATCH", &format!("/users/{ada}"), json!({ "first_name": "Remarked", "last_name": "Known" })).await;
    world.stack.settled().await;
    world.clerk("DELETE", &format!("/users/{ada}"), Value::Null).await;
    world.stack.settled().await;
    drop(listening);
    let text = log.text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let audit: Vec<&Value> = lines.iter().filter(|line| line["message"] == "change").collect();
    let what: Vec<(&str, &str)> =
        audit.iter().map(|line| (line["kind"].as_str().unwrap(), line["changed"].as_str().unwrap())).collect();
    assert_eq!(what.len(), 3, "{audit:?}");
    assert_eq!((what[0].0, what[1]), ("created", ("updated", "first_name,last_name,name")));
    assert_eq!(what[2].0, "deleted");
    for line in &audit {
        assert_eq!((&line["entity"], &line["source"]), (&json!("user"), &json!("webhook")));
        assert_eq!(line["id"], internal(&world, &ada));
        assert!(line["rank"].is_string() && line["timestamp"].is_string() && line["cache_tags"].is_string(), "{line}");
    }
    for value in ["Marked", "Remarked", "Known", "marked@example.com"] {
        assert!(!text.contains(value), "{value} is in the log");
        assert!(!std::fs::read_to_string(&world.stack.addresses.event_bus).unwrap().contains(value), "{value} is told");
    }
}

#[tokio::test]
async fn d1_a_user_record_is_there_and_nothing_of_it_is_mirrored_into_the_profile() {
    let world = World::live(Config::default(), &[]).await;
    let ada = sign_up(&world, "Ada").await;
    let row = world.item(&user(&ada)).await.unwrap();
    let id = internal(&world, &ada);
    let shown = ["id", "clerk_user_id", "name", "email", "role"].map(|name| row[name].as_str().unwrap().to_owned());
    assert_eq!(shown, [id.as_str(), &ada, "Ada", "ada@example.com", "user"]);
    let profiles = world.profiles().await;
    let names: Vec<&String> = profiles[0].as_object().unwrap().keys().collect();
    assert_eq!(names, ["created_at", "pk", "sk", "user_id"]);
}

#[tokio::test]
async fn d3_the_id_and_the_role_are_written_back_where_they_are_missing_and_the_echo_ends_it() {
    let world = World::live(Config::default(), &[]).await;
    let ada = sign_up(&world, "Ada").await;
    let body = json!({
        "first_name": "Grace", "email_address": ["grace@example.com"], "public_metadata": { "role": "admin", "plan": 1 },
    });
    let grace = world.clerk("POST", "/users", body).await["id"].as_str().unwrap().to_owned();
    world.stack.settled().await;
    for (who, expected) in [
        (&ada, json!({ "dbId": internal(&world, &ada), "role": "user" })),
        (&grace, json!({ "dbId": internal(&world, &grace), "role": "admin", "plan": 1 })),
    ] {
        assert_eq!(world.clerk("GET", &format!("/users/{who}"), Value::Null).await["public_metadata"], expected);
        // The echo has come back, and changed the copy alone.
        assert_eq!(world.item(&user(who)).await.unwrap()["public_metadata"], expected);
        assert_eq!(told_of(&world, &internal(&world, who)), ["user.created", "user.updated"]);
    }
    assert_eq!(world.stack.clerk.requests()[PATCH], 2, "one for each, and none for its echo");
    // A session minted from now on carries both, so nobody needs a sync.
    assert_eq!(world.ensure(&world.session(&ada, None)).await.body["needs_sync"], false);
    // A later change of anything else writes nothing back.
    world.clerk("PATCH", &format!("/users/{ada}"), json!({ "last_name": "Lovelace" })).await;
    world.stack.settled().await;
    assert_eq!(world.stack.clerk.requests()[PATCH], 2);
}

#[tokio::test]
async fn d5_every_change_of_a_user_names_the_cache_tags_to_invalidate() {
    let world = World::live(Config::default(), &[]).await;
    let ada = sign_up(&world, "Ada").await;
    world.clerk("DELETE", &format!("/users/{ada}"), Value::Null).await;
    world.stack.settled().await;
    let id = internal(&world, &ada);
    let tags = json!(["global:users", format!("id:{id}-users"), format!("user:{id}-users")]);
    let events = world.published();
    assert_eq!(told_of(&world, &id), ["user.created", "user.updated", "user.deleted"]);
    for event in &events {
        assert_eq!((&event["source"], &event["detail"]["cache_tags"]), (&json!("rollcall"), &tags));
        let fields: Vec<&String> = event["detail"].as_object().unwrap().keys().collect();
        assert_eq!(fields, ["cache_tags", "changed", "entity", "id", "kind", "rank", "source"], "{event}");
    }
}

#[tokio::test]
async fn e1_a_progress_record_is_provisioned_once_however_often_the_event_comes() {
    let defaults = r#"{"level":1,"points":0,"badges":[]}"#;
    let world = clumsy(&[("PROFILE_DEFAULTS", defaults)]).await;
    let ada = sign_up(&world, "Ada").await;
    let [profile] = world.profiles().await.try_into().unwrap();
    assert_eq!((&profile["level"], &profile["points"], &profile["badges"]), (&json!(1), &json!(0), &json!([])));
    // The application goes on with it, and whatever comes again leaves it alone.
    let mut advanced = profile.clone();
    (advanced["level"], advanced["streak"]) = (json!(7), json!({ "days": 3 }));
    world.put(&world.stack.addresses.profiles_table, &advanced).await;
    for delivery in world.stack.clerk.deliveries() {
        drop(world.stack.clerk.replay(&delivery.svix_id));
    }
    world.clerk("PATCH", &format!("/users/{ada}"), json!({ "first_name": "Augusta" })).await;
    world.stack.settled().await;
    assert_eq!(world.profiles().await, [advanced]);
}
