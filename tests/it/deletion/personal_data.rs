//! After the deadline of a redaction or a purge not one personal datum is left: everything that Rollcall keeps and says
//! is searched for marks that were in every field of every payload.

use std::collections::BTreeSet;

use clerk_emulator::{Config, TokenRequest};
use rollcall_tests::{OWNED_TABLES, SAMPLE_TIME, TABLES, World, deletion_event, sample};
use serde_json::{Value, json};

use crate::properties::failures::Log;
use crate::{ACME, ADA};

const T: u64 = SAMPLE_TIME - 60_000;
/// In every text that is a person's, in a form that no id, time or type has.
const MARK: &str = "Pérsönal";

/// Fields whose text is Clerk's own vocabulary, or an id that leads to another row: with a mark in it the payload would
/// be no payload of Clerk's.
const STRUCTURE: [&str; 14] = [
    "id",
    "object",
    "type",
    "instance_id",
    "user_id",
    "created_by",
    "primary_email_address_id",
    "primary_phone_number_id",
    "primary_web3_wallet_id",
    "role",
    "status",
    "strategy",
    "permissions",
    "locale",
];

/// Marks every text of a payload but for its structure, and adds to all its metadata.
fn mark(name: &str, value: &mut Value, marks: &mut usize) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                mark(name, value, marks);
            }
            for (name, value) in fields.iter_mut() {
                if name.ends_with("_metadata") && (value.is_object() || value.is_null()) {
                    *marks += 1;
                    *value = json!({ "role": "user", format!("{MARK}-key-{marks}"): [format!("{MARK}-{marks}")] });
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| mark(name, value, marks)),
        Value::String(text) if !STRUCTURE.contains(&name) => {
            *marks += 1;
            *text = format!("{MARK}-{marks}@{name}.example");
        }
        // What a sample leaves open, somebody may have filled in.
        Value::Null if ["external_id", "username", "first_name", "last_name", "image_url"].contains(&name) => {
            *marks += 1;
            *value = format!("{MARK}-{marks}").into();
        }
        _ => {}
    }
}

fn marked(name: &str, at: u64, marks: &mut usize) -> Value {
    let mut event = sample(name);
    if name.starts_with("user.") {
        event["data"]["primary_phone_number_id"] = "idn_phone".into();
        event["data"]["phone_numbers"] = json!([{ "id": "idn_phone", "phone_number": "+1555" }]);
    }
    mark("", &mut event["data"], marks);
    mark("event_attributes", &mut event["event_attributes"], marks);
    event["timestamp"] = at.into();
    for time in ["created_at", "updated_at"] {
        if event["data"][time].is_u64() {
            event["data"][time] = at.into();
        }
    }
    event
}

/// Ada's membership in Acme, marked.
fn marked_member(kind: &str, at: u64, marks: &mut usize) -> Value {
    let mut event = marked(&format!("organizationMembership.{kind}"), at, marks);
    event["data"]["public_user_data"]["user_id"] = ADA.into();
    event["data"]["organization"]["id"] = ACME.into();
    event["data"]["created_at"] = T.into();
    event
}

/// Where a mark was found.
async fn found(world: &World, log: &Log, owned: bool) -> BTreeSet<String> {
    let addresses = &world.stack.addresses;
    let mut found = BTreeSet::new();
    let mut look = |place: &str, text: &str| {
        if text.contains(MARK) {
            found.insert(place.to_owned());
        }
    };
    for table in [&addresses.directory_table, &addresses.profiles_table, &addresses.operations_table] {
        look(table, &format!("{:?}", world.exactly(&[table]).await));
    }
    for table in TABLES.iter().filter(|_| owned) {
        look(table, &format!("{:?}", world.exactly(&[table]).await));
    }
    let index = world.stack.dynamodb.scan().table_name(&addresses.directory_table).index_name("members");
    look("members", &format!("{:?}", index.send().await.unwrap().items()));
    look("bus", &std::fs::read_to_string(&addresses.event_bus).unwrap());
    // Metrics hold fixed words alone: metrics.rs looks.
    look("log", &log.text());
    look("backups", &format!("{:?}", world.backups()));
    found
}

fn places(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(|place| (*place).to_owned()).collect()
}

#[tokio::test]
async fn i13_after_the_deadline_no_personal_datum_is_left_anywhere() {
    for policy in ["redact", "purge"] {
        let settings = [("DELETION_POLICY", policy), ("OWNED_TABLES", OWNED_TABLES), ("METADATA_WRITEBACK", "on")];
        let world = World::with_clerk(Config { production: true, ..Config::default() }, &settings).await;
        world.make_owned_tables().await;
        let log = Log::default();
        let listening = log.listen();
        let mut marks = 0;

        // Every event about her that Clerk has, a membership's among them, and some that cannot be processed.
        for (at, name) in ["user.created", "user.updated"].into_iter().enumerate() {
            let answer = world.post(&marked(name, T + at as u64, &mut marks)).await;
            assert_eq!(answer.brief(), (200, "applied"), "{name}: {}", answer.text);
        }
        let organization = sample("organization.created");
        world.post(&organization).await;
        for (at, kind) in ["created", "updated"].into_iter().enumerate() {
            let answer = world.post(&marked_member(kind, T + 2 + at as u64, &mut marks)).await;
            assert_eq!(answer.brief(), (200, "applied"), "{kind}: {}", answer.text);
        }
        for broken in [json!(format!("{MARK}-in-updated_at")), json!({ format!("{MARK}-key"): MARK }), json!([MARK])] {
            let mut event = marked("user.updated", T + 9, &mut marks);
            event["data"]["updated_at"] = broken;
            assert_eq!(world.post(&event).await.status, 422);
        }
        assert!(marks > 60, "{marks}");
        // What the application keeps of her.
        world.follow().await;
        let profiles = world.stack.addresses.profiles_table.clone();
        for mut row in world.profiles().await {
            row["about"] = json!({ "nested": [format!("{MARK}-profile")] });
            world.put(&profiles, &row).await;
        }
        let pk = format!("USER#{}", world.internal(ADA));
        world.put(&profiles, &json!({ "pk": pk, "sk": "NOTE#1", "text": format!("{MARK}-note") })).await;
        world.give_rows(ADA, 5, &format!("{MARK}-row")).await;
        // She calls, too, with a token that says who she is.
        let claims = json!({ "name": format!("{MARK}-claim"), "email": format!("{MARK}-claim@example.com") });
        let token = TokenRequest { claims: claims.as_object().unwrap().clone(), ..TokenRequest::new(ADA) };
        world.ensure(&world.token(&token)).await;
        world.follow().await;

        // The search finds what is there, and nothing has been said of it.
        let [directory, profiles] =
            [&world.stack.addresses.directory_table, &world.stack.addresses.profiles_table].map(String::as_str);
        let kept = [directory, profiles, "tasks", "user_progress", "daily_checkins", "moods"];
        assert_eq!(found(&world, &log, true).await, places(&kept), "{policy}");

        let mut deletion = deletion_event("user.deleted", ADA, T + 20);
        deletion["data"]["external_id"] = format!("{MARK}-external").into();
        deletion["event_attributes"] = json!({ "http_request": { "client_ip": MARK, "user_agent": MARK } });
        assert_eq!(world.post(&deletion).await.brief(), (200, "applied"));
        world.follow().await;
        // From the moment of the deletion the copy says nothing of her; what is hers waits.
        assert!(!found(&world, &log, true).await.contains(directory), "{policy}");
        world.wait_hours(25);
        let settled = world.purge_due().await.purges.unwrap();
        assert_eq!((settled.purged, settled.failed), (1, 0), "{policy} {settled:?}");
        world.follow().await;
        // What came before comes once more, and a whole run looks at everything.
        let mut elsewhere = marked_member("deleted", T + 5, &mut marks);
        elsewhere["data"]["organization"]["id"] = "org_elsewhere".into();
        let (user, member) = (marked("user.updated", T + 1, &mut marks), marked_member("updated", T + 3, &mut marks));
        let late = [(user, "superseded"), (member, "superseded"), (deletion, "superseded"), (elsewhere, "applied")];
        for (event, outcome) in late {
            let answer = world.post(&event).await;
            assert_eq!(answer.brief(), (200, outcome), "{policy} {}", event["type"]);
        }
        // As if the stream had been lost: the night finds the membership that came late.
        assert!(format!("{:?}", world.directory().await).contains(ADA), "{policy}");
        world.wait_hours(1);
        world.reconcile().await;
        assert!(!format!("{:?}", world.directory().await).contains(ADA), "{policy}");
        world.follow().await;

        // Redaction keeps the rows of the application's, which is the policy; the backup has a date at which it goes.
        let owned = policy == "purge";
        assert_eq!(found(&world, &log, owned).await, places(&["backups"]), "{policy}");
        assert!(!format!("{:?}", world.directory().await).contains(ADA), "no id of Clerk's either");
        world.wait_hours(31 * 24);
        assert_eq!(world.purge_due().await.purges.unwrap().expired_backups, 1);
        assert_eq!(found(&world, &log, owned).await, BTreeSet::new(), "{policy}");

        // The log was listened to all the time: a mark in it would have been found.
        tracing::info!(target: "rollcall", "{MARK}");
        assert_eq!(found(&world, &log, owned).await, places(&["log"]));
        drop(listening);
        assert!(log.text().lines().count() > 15);
    }
}
