//! Events whose payload differs from Clerk's description: which fields are lost, and whether the rest of the event is
//! applied, fetched from Clerk or noted in quarantine.

use clerk_emulator::{Faults, WebhookFaults};
use rollcall_tests::proxy::behind_text;
use rollcall_tests::{SAMPLE_TIME, Sent, World, deletion_event, event, membership_event, sample, user_event};
use serde_json::{Value, json};

use crate::properties::failures::Log;
use crate::{ACME, ADA, GRACE, membership, organization, user};

const T: u64 = SAMPLE_TIME - 60_000;
const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

/// Metadata for which this process has no value, each with a role that can be read all the same.
fn weird() -> [(&'static str, String); 3] {
    let deep = format!("{}1{}", r#"{"a":"#.repeat(130), "}".repeat(130));
    [
        ("nested 130 deep", format!(r#"{{"role":"admin","deep":{deep}}}"#)),
        ("a number beyond a double", r#"{"role":"admin","n":1e400}"#.to_owned()),
        ("half a surrogate pair", r#"{"role":"admin","s":"a\ud800"}"#.to_owned()),
    ]
}

/// An event with a raw JSON text wherever it says `"@raw"`.
fn raw(world: &World, event: &Value, id: &str, text: &str) -> Sent {
    let body = event.to_string().replace("\"@raw\"", text);
    Sent::signed(body.into_bytes(), id, &world.stack.addresses.webhook_secret, world.now())
}

#[tokio::test]
async fn fault_b7_one_address_that_is_none_costs_nothing_but_itself() {
    let world = World::start().await;
    let mut event = sample("user.created");
    let good = event["data"]["email_addresses"][0].clone();
    let broken = json!({ "id": "idn_2", "email_address": null });
    event["data"]["email_addresses"] =
        json!([broken, "a@b", 7, null, good, { "id": 3, "email_address": "x@y.example" }]);
    event["data"]["first_name"] = json!({ "x": 1 });
    event["data"]["external_id"] = json!(7);
    assert_eq!(world.post(&event).await.brief(), (200, "applied"));
    let row = world.item(&user(ADA)).await.unwrap();
    assert_eq!((&row["email"], &row["name"]), (&json!("ada@example.com"), &json!("Example")));
    assert_eq!((&row["first_name"], &row["external_id"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn fault_b7_who_is_let_in_is_asked_of_clerk_where_the_event_does_not_say() {
    let world = World::start().await;
    let created =
        world.clerk("POST", "/users", json!({ "first_name": "Ada", "email_address": ["ada@example.com"] })).await;
    let id = created["id"].as_str().unwrap();
    world.clerk("POST", &format!("/users/{id}/ban"), json!({})).await;
    let banned = world.clerk("GET", &format!("/users/{id}"), Value::Null).await;
    for (number, unclear) in [json!(null), json!("no"), json!(0), json!([])].into_iter().enumerate() {
        let mut told = event("user.updated", &banned, world.now().get());
        told["data"]["banned"] = unclear.clone();
        let calls = world.clerk_calls();
        let expected = if number == 0 { "applied" } else { "duplicate" };
        assert_eq!(world.post(&told).await.brief(), (200, expected), "{unclear}");
        assert_eq!(world.clerk_calls() - calls, 1, "{unclear}");
        assert_eq!(world.item(&user(id)).await.unwrap()["banned"], true, "{unclear}");
    }
    assert_eq!(world.ensure(&world.session(id, None)).await.brief(), (403, "user_banned"));
    // Without a word there is no ban, and nobody is asked.
    let mut silent = sample("user.created");
    for flag in ["banned", "locked", "deprovisioned"] {
        silent["data"].as_object_mut().unwrap().remove(flag);
    }
    let calls = world.clerk_calls();
    assert_eq!(world.post(&silent).await.brief(), (200, "applied"));
    assert_eq!((world.clerk_calls(), world.item(&user(ADA)).await.unwrap()["banned"].clone()), (calls, json!(false)));
    // Clerk's own answer with such a word is none: nothing is guessed, and the event comes again.
    let url = behind_text(&world, |text| text.replace("\"banned\":true", "\"banned\":\"maybe\"")).await;
    let confused = world.beside(&[("CLERK_API_URL", &url)]).await;
    let mut told = event("user.updated", &banned, world.now().get());
    told["data"]["banned"] = Value::Null;
    assert_eq!(confused.post(&told).await.brief(), (503, "unavailable"));
    assert_eq!(world.item(&user(id)).await.unwrap()["banned"], true);
}

#[tokio::test]
async fn fault_s16_metadata_that_no_value_can_hold_is_kept_as_its_text() {
    let world = World::start().await;
    for (number, (name, text)) in weird().iter().enumerate() {
        let at = T + 1_000 * number as u64;
        for (event, entity) in [
            (user_event("user.updated", ADA, "Ada", at), user(ADA)),
            (rollcall_tests::organization_event("organization.updated", ACME, "Acme", at), organization(ACME)),
            (membership_event("organizationMembership.updated", "orgmem_1", T, at, at), membership(GRACE, ACME)),
        ] {
            let mut event = event;
            event["data"]["public_metadata"] = "@raw".into();
            let laid_out = text.replace(':', " : ");
            let answer = world.send(&raw(&world, &event, &format!("msg_{name}").replace(' ', "_"), &laid_out)).await;
            assert_eq!(answer.brief(), (200, "applied"), "{name} {entity}: {}", answer.text);
            let row = world.item(&entity).await.unwrap();
            assert_eq!(row["public_metadata"].as_str(), Some(text.as_str()), "{name} {entity}");
        }
        assert_eq!(world.item(&user(ADA)).await.unwrap()["role"], "admin", "{name}");
        // Anywhere else it costs the field.
        let mut event = user_event("user.updated", ADA, "@raw", at + 100);
        for field in ["private_metadata", "unsafe_metadata", "whatever"] {
            event["data"][field] = "@raw".into();
        }
        let answer = world.send(&raw(&world, &event, "msg_elsewhere", text)).await;
        assert_eq!(answer.brief(), (200, "applied"), "{name}");
        assert_eq!(world.item(&user(ADA)).await.unwrap()["name"], "Example", "{name}");
    }
    assert!(world.operations().await.is_empty());
}

#[tokio::test]
async fn fault_s16_ids_are_read_whatever_the_rest_is() {
    let world = World::start().await;
    let texts = weird().map(|(_, text)| text);
    let halves = [r#""\ud800""#.to_owned(), "1e400".to_owned()];
    let mut expected = Vec::new();
    for (number, text) in texts.iter().chain(&halves).enumerate() {
        // Not to be processed for want of a date; the rest cannot be read either.
        for (kind, id) in
            [("user.updated", ADA.to_owned()), ("organizationMembership.updated", format!("{ACME}/{GRACE}"))]
        {
            let mut event = sample(kind);
            for field in ["updated_at", "public_metadata", "object"] {
                event["data"][field] = "@raw".into();
            }
            let answer =
                world.send(&raw(&world, &event, &format!("msg_{number}_{kind}").replace('.', "_"), text)).await;
            assert_eq!(answer.brief(), (422, "unprocessable_event"), "{text:.40}");
            expected.push(Some(id));
        }
    }
    // Cut off behind the data, of a type that cannot be read, and with a field whose name is half a surrogate pair.
    let whole = sample("user.updated");
    let (instance, data) = (&whole["instance_id"], &whole["data"]);
    let cut = format!(r#"{{"type":"user.updated","instance_id":{instance},"data":{data},"time"#);
    let typeless = whole.to_string().replace("\"user.updated\"", "1e400");
    let named = whole.to_string().replace("\"updated_at\"", "\"\\ud800\"");
    for (id, body) in [("msg_cut", cut), ("msg_typeless", typeless), ("msg_named", named)] {
        let sent = Sent::signed(body.into_bytes(), id, &world.stack.addresses.webhook_secret, world.now());
        assert_eq!(world.send(&sent).await.brief(), (422, "unprocessable_event"), "{id}");
        let note = world.note(id).await.remove(0);
        assert_eq!(note["entity_id"], ADA, "{id} {note}");
    }
    let notes = world.operations().await;
    assert_eq!(notes.len(), expected.len() + 3);
    assert!(notes.iter().all(|note| note["entity_id"].is_string()), "{notes:#?}");
}

#[tokio::test]
async fn fault_s16_a_user_of_such_metadata_stays_readable_in_every_run() {
    for (name, text) in weird() {
        let world = World::start().await;
        let ada = json!({ "first_name": "Ada", "public_metadata": { "weird": "@raw" }, "email_address": ["ada@example.com"] });
        let ada = world.clerk("POST", "/users", ada).await["id"].as_str().unwrap().to_owned();
        let inner = text.clone();
        let url = behind_text(&world, move |answer| answer.replace(r#"{"weird":"@raw"}"#, &inner)).await;
        let settings = [("CLERK_API_URL", url.as_str()), ("METADATA_WRITEBACK", "off")];
        let tested = world.beside(&settings).await;
        let run = tested.reconcile().await;
        assert_eq!((run.tally.user.drift.unreadable, run.tally.user.created), (0, 1), "{name}");
        let row = world.item(&user(&ada)).await.unwrap();
        assert_eq!((row["public_metadata"].as_str(), &row["role"]), (Some(text.as_str()), &json!("admin")), "{name}");
        let again = tested.reconcile().await;
        assert_eq!((again.total().unchanged, again.is_in_sync()), (1, true), "{name}: {again:?}");
        let answer = tested.ensure(&tested.session(&ada, None)).await;
        assert_eq!(
            (answer.status, answer.body["user"]["public_metadata"].as_str()),
            (200, Some(text.as_str())),
            "{name}"
        );
    }
}

#[tokio::test]
async fn fault_s14_a_live_event_from_the_future_is_fetched_and_does_not_outrank_what_comes() {
    let world = World::start().await;
    let created =
        world.clerk("POST", "/users", json!({ "first_name": "Ada", "email_address": ["ada@example.com"] })).await;
    let id = created["id"].as_str().unwrap();
    for ahead in [9_999_999_999_999, world.now().get() + 5 * MINUTE + 1] {
        let mut future = event("user.updated", &created, world.now().get());
        future["data"]["updated_at"] = ahead.into();
        future["data"]["first_name"] = "Mallory".into();
        let calls = world.clerk_calls();
        let answer = world.post(&future).await;
        assert!(["applied", "duplicate"].contains(&answer.brief().1), "{}", answer.text);
        assert_eq!(world.clerk_calls() - calls, 1);
        assert_eq!(world.item(&user(id)).await.unwrap()["first_name"], "Ada");
    }
    world.set_now(world.now().get() + 1);
    let changed = world.clerk("PATCH", &format!("/users/{id}"), json!({ "first_name": "Grace" })).await;
    assert_eq!(world.post(&event("user.updated", &changed, world.now().get())).await.brief(), (200, "applied"));
    // Within five minutes it is Clerk's clocks, and needs nobody's word.
    let calls = world.clerk_calls();
    let mut near = event("user.updated", &changed, world.now().get());
    near["data"]["updated_at"] = (world.now().get() + 5 * MINUTE).into();
    assert_eq!(world.post(&near).await.brief(), (200, "applied"));
    assert_eq!(world.clerk_calls(), calls);
}

#[tokio::test]
async fn fault_s14_a_membership_that_begins_in_the_future_outranks_nobody_either() {
    let world = World::start().await;
    let ahead = T + DAY;
    let live = membership_event("organizationMembership.created", "orgmem_9", ahead, T, T);
    assert_eq!(world.post(&live).await.brief(), (200, "superseded"), "Clerk does not have it");
    let end = membership_event("organizationMembership.deleted", "orgmem_9", ahead, T, T);
    assert_eq!(world.post(&end).await.brief(), (422, "unprocessable_event"));
    assert!(world.directory().await.is_empty());
    let true_one = membership_event("organizationMembership.created", "orgmem_1", T, T, T);
    assert_eq!(world.post(&true_one).await.brief(), (200, "applied"));
}

#[tokio::test]
async fn fault_b9_an_address_says_whether_it_is_proven() {
    let world = World::start().await;
    let cases = [
        (json!({ "status": "verified" }), true),
        (json!({ "status": "unverified" }), false),
        (json!({ "status": "expired" }), false),
        (json!({ "status": null }), false),
        (json!({}), false),
        (json!("verified"), false),
        (Value::Null, false),
    ];
    for (number, (verification, verified)) in cases.into_iter().enumerate() {
        let mut event = user_event("user.updated", ADA, "Ada", T + number as u64);
        event["data"]["email_addresses"][0]["verification"] = verification.clone();
        assert_eq!(world.post(&event).await.brief(), (200, "applied"), "{verification}");
        let row = world.item(&user(ADA)).await.unwrap();
        assert_eq!(
            (&row["email"], &row["email_verified"]),
            (&json!("ada@example.com"), &json!(verified)),
            "{verification}"
        );
    }
    // Another address's proof is no proof, and without an address there is nothing to say.
    let mut other = user_event("user.updated", ADA, "Ada", T + 100);
    let mut proven = other["data"]["email_addresses"][0].clone();
    proven["id"] = "idn_other".into();
    other["data"]["email_addresses"][0]["verification"] = Value::Null;
    other["data"]["email_addresses"].as_array_mut().unwrap().insert(0, proven);
    world.post(&other).await;
    assert_eq!(world.item(&user(ADA)).await.unwrap()["email_verified"], false);
    let mut none = user_event("user.updated", ADA, "Ada", T + 101);
    none["data"]["email_addresses"] = json!([]);
    world.post(&none).await;
    let row = world.item(&user(ADA)).await.unwrap();
    assert!(row["email"].is_null() && row["email_verified"].is_null(), "{row}");
    let shown = world.ensure(&world.session(ADA, None)).await;
    assert!(shown.body["user"]["email_verified"].is_null());
}

#[tokio::test]
async fn fault_b10_a_phone_number_is_a_contact_and_goes_with_its_user() {
    for policy in ["redact", "purge"] {
        let world = World::with(&[("DELETION_POLICY", policy)]).await;
        let numbers = json!({ "phone_number": ["+15555550100", "+15555550101"] });
        let created = world.clerk("POST", "/users", numbers).await;
        let id = created["id"].as_str().unwrap();
        let mut told = event("user.created", &created, world.now().get());
        told["data"]["primary_phone_number_id"] = created["phone_numbers"][1]["id"].clone();
        assert_eq!(world.post(&told).await.brief(), (200, "applied"));
        let row = world.item(&user(id)).await.unwrap();
        assert_eq!((&row["phone"], &row["email"]), (&json!("+15555550101"), &Value::Null), "{row}");
        assert_eq!(world.ensure(&world.session(id, None)).await.body["user"]["phone"], "+15555550101");
        // The deletion takes it away, and no word of it is in what is told.
        world.follow().await;
        assert_eq!(world.post(&deletion_event("user.deleted", id, world.now().get())).await.brief(), (200, "applied"));
        assert!(!format!("{:?}", world.directory().await).contains("+1555555"), "{policy}");
        world.follow().await;
        let told = std::fs::read_to_string(&world.stack.addresses.event_bus).unwrap();
        assert!(told.contains("\"phone\"") && !told.contains("+1555"), "{told}");
    }
}

#[tokio::test]
async fn fault_b20_a_message_that_comes_again_on_another_day_stays_one_note() {
    let world = World::start().await;
    let mut broken = sample("user.updated");
    broken["data"]["updated_at"] = Value::Null;
    let body = broken.to_string().into_bytes();
    // Svix's schedule goes over midnight; a replay comes weeks later.
    for later in [0, 5_000, 5 * MINUTE, DAY, DAY + 3 * 60 * MINUTE, 40 * DAY] {
        world.set_now(SAMPLE_TIME + later);
        let sent = Sent::signed(body.clone(), "msg_again", &world.stack.addresses.webhook_secret, world.now());
        assert_eq!(world.send(&sent).await.brief(), (422, "unprocessable_event"), "{later}");
        let notes = world.operations().await;
        assert_eq!(notes.len(), 1, "after {later} ms: {notes:#?}");
        assert_eq!(
            (notes[0]["pk"].as_str(), notes[0]["sk"].as_str()),
            (Some("QUARANTINE#2026-01-01"), Some("msg_again"))
        );
        let stays = notes[0]["expires_at"].as_u64().unwrap() * 1000 - world.now().get();
        assert!((89 * DAY..=90 * DAY).contains(&stays), "counted from the last delivery");
    }
    let other = Sent::signed(body, "msg_other", &world.stack.addresses.webhook_secret, world.now());
    assert_eq!(world.send(&other).await.brief(), (422, "unprocessable_event"));
    assert_eq!(world.operations().await.len(), 2, "another message is another note");
}

#[tokio::test]
async fn fault_b20_a_sender_that_ignores_the_header_delivers_again_and_harms_nobody() {
    // Found with the open-source Svix server, 1.100.
    for (ignore_abort, attempts) in [(false, 1), (true, 8)] {
        // As many attempts as Svix makes, without its waits.
        let retry_schedule = vec![std::time::Duration::from_millis(1); 8];
        let world =
            World::with_clerk(clerk_emulator::Config { retry_schedule, ..clerk_emulator::Config::default() }, &[])
                .await;
        // A function to which the emulator's events are another instance's.
        let foreign = world.beside(&[("CLERK_INSTANCE_ID", "ins_somebodyElse")]).await;
        let url = format!("{}/webhooks/clerk", rollcall_tests::serve(foreign.router()).await);
        let secret = Some(world.stack.addresses.webhook_secret.as_str());
        world.stack.clerk.add_endpoint(&url, secret).unwrap();
        let webhooks = WebhookFaults { ignore_abort, ..WebhookFaults::default() };
        world.stack.clerk.set_faults(Faults { webhooks, ..Faults::default() }).unwrap();
        world.clerk("POST", "/users", json!({ "first_name": "Ada", "email_address": ["ada@example.com"] })).await;
        world.stack.clerk.settled().await;
        let mut deliveries = world.stack.clerk.deliveries();
        deliveries.retain(|one| one.endpoint == url);
        assert_eq!(deliveries.len(), 1);
        let statuses: Vec<_> = deliveries[0].attempts.iter().map(|attempt| attempt.status).collect();
        assert_eq!(statuses, vec![Some(403); attempts], "ignored: {ignore_abort}");
        assert!(world.operations().await.is_empty());
    }
}

#[tokio::test]
async fn fault_b15_a_role_that_changes_is_ignored_and_said() {
    let world = World::start().await;
    let log = Log::default();
    let listening = log.listen();
    for kind in ["role.updated", "role.deleted", "permission.updated", "permission.deleted"] {
        assert_eq!(world.post(&sample(kind)).await.brief(), (200, "ignored"), "{kind}");
    }
    assert_eq!(world.post(&sample("session.created")).await.brief(), (200, "ignored"));
    drop(listening);
    let said = log.text();
    assert_eq!(said.matches("are outdated until the next run").count(), 4, "{said}");
    assert!(world.directory().await.is_empty());
}
