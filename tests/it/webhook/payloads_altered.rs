//! Every field of every followed event, at each depth, replaced by everything that it should not be: applied, fetched,
//! or noted with the entity's id. Never lost, and never an error of ours.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use rollcall::core::clerk::event::SUBSCRIBED_EVENTS;
use rollcall::core::id::{EntityId, InstanceId};
use rollcall_tests::{World, sample};
use serde_json::{Map, Value, json};

use crate::{membership, organization, user};

/// The places of a JSON value, from the top, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(values) => values.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (name, child) in children {
        let place = format!("{at}/{name}");
        found.push(place.clone());
        places(child, &place, found);
    }
}

/// The event with something else at a place; nothing if that would be what is there.
fn altered(event: &Value, place: &str, by: Option<&Value>) -> Option<Value> {
    let mut event = event.clone();
    if by == event.pointer(place) {
        return None;
    }
    let (parent, name) = place.rsplit_once('/').unwrap();
    match (by, event.pointer_mut(parent).unwrap()) {
        (Some(by), _) => *event.pointer_mut(place).unwrap() = by.clone(),
        (None, Value::Object(fields)) => drop(fields.remove(name)),
        (None, Value::Array(values)) => drop(values.remove(name.parse().unwrap())),
        (None, other) => panic!("{place} is in {other}"),
    }
    Some(event)
}

/// Who the events are about: Clerk has them, so that whatever is fetched is found.
struct Cast {
    user: Value,
    organization: Value,
    membership: Value,
}

impl Cast {
    async fn new(world: &World) -> Cast {
        let user = json!({
            "first_name": "Ada", "last_name": "Example", "username": "ada", "external_id": "ext_1",
            "email_address": ["ada@example.com"], "phone_number": ["+15555550100"], "public_metadata": { "role": "admin" },
        });
        let user = world.clerk("POST", "/users", user).await;
        let organization = json!({ "name": "Acme", "created_by": user["id"] });
        let organization = world.clerk("POST", "/organizations", organization).await;
        let path = format!("/organizations/{}/memberships", organization["id"].as_str().unwrap());
        let membership = world.clerk("GET", &path, Value::Null).await["data"][0].clone();
        Cast { user, organization, membership }
    }

    /// A sample as an event of these, with its metadata and lists filled.
    fn event(&self, kind: &str) -> Value {
        let mut event = sample(kind);
        let is_end = kind.ends_with(".deleted");
        let mut set = |place: &str, value: &Value| {
            let (parent, name) = place.rsplit_once('/').unwrap();
            event.pointer_mut(parent).unwrap()[name] = value.clone();
        };
        let metadata = json!({ "role": "admin", "nested": { "list": [1, "a", null, { "deep": true }] } });
        let actual = match kind.split('.').next().unwrap() {
            "user" => &self.user,
            "organization" => &self.organization,
            _ => &self.membership,
        };
        set("/data/id", &actual["id"]);
        if !is_end {
            for time in ["created_at", "updated_at"] {
                set(&format!("/data/{time}"), &actual[time]);
            }
            set("/data/public_metadata", &metadata);
            set("/timestamp", &actual["updated_at"]);
        }
        match kind.split('.').next().unwrap() {
            "user" if !is_end => {
                for name in ["username", "external_id", "primary_phone_number_id", "phone_numbers"] {
                    set(&format!("/data/{name}"), &actual[name]);
                }
                set("/data/deprovisioned", &json!(false));
            }
            "organizationMembership" => {
                set("/data/created_at", &actual["created_at"]);
                set("/data/organization/id", &self.organization["id"]);
                set("/data/public_user_data/user_id", &self.user["id"]);
            }
            _ => {}
        }
        event
    }

    /// Those that an event is about whose id became a text.
    fn others(&self) -> [EntityId; 4] {
        let [of_user, of_organization] = [&self.user, &self.organization].map(|one| one["id"].as_str().unwrap());
        [user("text"), organization("text"), membership("text", of_organization), membership(of_user, "text")]
    }

    fn entity(&self, kind: &str) -> EntityId {
        let [of_user, of_organization] = [&self.user, &self.organization].map(|one| one["id"].as_str().unwrap());
        match kind.split('.').next().unwrap() {
            "user" => user(of_user),
            "organization" => organization(of_organization),
            _ => membership(of_user, of_organization),
        }
    }
}

/// What a field of a payload may change of the row, beside the digest.
fn depends_on(place: &str) -> &'static [&'static str] {
    let mut parts = place.split('/').skip(1);
    if parts.next() != Some("data") {
        return &[];
    }
    match parts.next().unwrap_or_default() {
        "first_name" => &["first_name", "name"],
        "last_name" => &["last_name", "name"],
        "username" => &["username"],
        "name" => &["name"],
        "slug" => &["slug"],
        "external_id" => &["external_id"],
        "image_url" => &["image_url"],
        "primary_email_address_id" | "email_addresses" => &["email", "email_verified"],
        "primary_phone_number_id" | "phone_numbers" => &["phone"],
        "role" => &["role"],
        "permissions" => &["permissions"],
        "deprovisioned" => &["deprovisioned"],
        "public_metadata" => &["public_metadata", "role"],
        "created_at" => &["created_at", "rank"],
        "updated_at" => &["updated_at", "rank"],
        "id" => &["membership_id"],
        _ => &[],
    }
}

/// Fields without which an event alone does not suffice, so that Clerk is asked.
fn is_asked_about(kind: &str, place: &str) -> bool {
    match place {
        // Of a membership that ended before it began nobody knows which one it was.
        "/timestamp" => !kind.ends_with(".deleted") || kind.starts_with("organizationMembership."),
        "/data/banned" | "/data/locked" | "/data/deprovisioned" => kind.starts_with("user."),
        "/data/created_at" => kind.starts_with("organizationMembership."),
        _ => false,
    }
}

/// Fields without which an event is nothing: ids, and the times that make a rank.
fn is_insisted_upon(kind: &str, place: &str) -> bool {
    match place {
        "/type" | "/instance_id" | "/data" | "/data/id" => true,
        "/timestamp" => kind.ends_with(".deleted"),
        "/data/updated_at" => !kind.ends_with(".deleted"),
        place => kind.starts_with("organizationMembership.") && holds_the_id(kind, place),
    }
}

/// Whether with this place the id of the entity itself goes.
fn holds_the_id(kind: &str, place: &str) -> bool {
    let ids: &[&str] = match kind.split('.').next().unwrap() {
        "organizationMembership" => &["/data/organization/id", "/data/public_user_data/user_id"],
        _ => &["/data/id"],
    };
    ids.iter().any(|id| *id == place || id.strip_prefix(place).is_some_and(|rest| rest.starts_with('/')))
}

async fn forget(world: &World, entity: &EntityId) {
    let instance: InstanceId = world.stack.addresses.clerk_instance_id.parse().unwrap();
    let key = entity.key(&instance);
    let delete = world.stack.dynamodb.delete_item().table_name(&world.stack.addresses.directory_table);
    delete.key("pk", AttributeValue::S(key.pk)).key("sk", AttributeValue::S(key.sk)).send().await.unwrap();
}

fn differing(one: &Value, other: &Value) -> BTreeSet<String> {
    let empty = Map::new();
    let [one, other] = [one, other].map(|row| row.as_object().unwrap_or(&empty));
    let names = one.keys().chain(other.keys()).filter(|name| one.get(*name) != other.get(*name));
    let beside = ["digest", "applied_at", "applied_by", "delivery_id"];
    names.filter(|name| !beside.contains(&name.as_str())).cloned().collect()
}

#[tokio::test]
async fn fault_b7_each_field_of_each_event_replaced_by_anything_loses_nobody() {
    let world = World::start().await;
    let cast = Cast::new(&world).await;
    let replacements =
        [None, Some(Value::Null), Some(json!(7)), Some(json!("text")), Some(json!({ "x": 1 })), Some(json!([1]))];
    let (mut cases, mut applied, mut fetched, mut noted, mut wrong) = (0, 0, 0, 0, Vec::new());
    for kind in SUBSCRIBED_EVENTS {
        let (event, entity) = (cast.event(kind), cast.entity(kind));
        let good = world.post(&event).await;
        assert_eq!(good.brief(), (200, "applied"), "{kind} as it is: {}", good.text);
        let usual = world.item(&entity).await.unwrap();
        forget(&world, &entity).await;
        let mut all = Vec::new();
        places(&event, "", &mut all);
        for place in all {
            for by in &replacements {
                let Some(event) = altered(&event, &place, by.as_ref()) else { continue };
                cases += 1;
                let by = by.as_ref().map_or("absent".to_owned(), ToString::to_string);
                let mut say = |what: String| wrong.push(format!("{kind}: {place} = {by}: {what}"));
                let (sent, asked) = (world.sign(&event), world.clerk_calls());
                let answer = world.send(&sent).await;
                let was_asked = world.clerk_calls() > asked;
                match answer.brief() {
                    (200, "applied") => {
                        applied += 1;
                        fetched += usize::from(was_asked);
                        if was_asked && !is_asked_about(kind, &place) {
                            say("Clerk was asked".to_owned());
                        }
                        let named = event["data"]["id"].as_str() == usual["clerk_user_id"].as_str()
                            || !holds_the_id(kind, &place);
                        match world.item(&entity).await {
                            Some(row) if !was_asked => {
                                let mut differing = differing(&row, &usual);
                                if place == "/timestamp" || place.starts_with("/data/created_at") {
                                    differing.remove("deleted_at");
                                    differing.remove("rank");
                                }
                                differing.retain(|name| !depends_on(&place).contains(&name.as_str()));
                                if !differing.is_empty() {
                                    say(format!("it cost {differing:?}"));
                                }
                            }
                            None if named => say("applied to nobody".to_owned()),
                            Some(_) | None => {}
                        }
                        forget(&world, &entity).await;
                        for other in cast.others().into_iter().filter(|_| holds_the_id(kind, &place)) {
                            forget(&world, &other).await;
                        }
                    }
                    (422, "unprocessable_event") => {
                        noted += 1;
                        if !is_insisted_upon(kind, &place) {
                            say("it is not insisted upon".to_owned());
                        }
                        let id = sent.headers.iter().find(|(name, _)| name == "svix-id").unwrap().1.clone();
                        let found = world.note(&id).await;
                        let entity_id = found.first().and_then(|note| note["entity_id"].as_str().map(str::to_owned));
                        if found.len() != 1 || (entity_id != Some(entity.to_string()) && !holds_the_id(kind, &place)) {
                            say(format!("noted as {found:?}"));
                        }
                    }
                    (200, "ignored") if place == "/type" && by == "\"text\"" => {}
                    (403, "foreign_instance") if place == "/instance_id" && by == "\"text\"" => {}
                    other => say(format!("{other:?}")),
                }
            }
        }
    }
    println!("{cases} cases: {applied} applied, {fetched} of them by asking Clerk, {noted} noted");
    assert!(wrong.is_empty(), "{} of {cases} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases > 2_500 && applied > 2_000 && fetched > 40 && noted > 150, "{cases} {applied} {fetched} {noted}");
}
