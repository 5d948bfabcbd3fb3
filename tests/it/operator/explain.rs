//! `rollcall explain`, with the real binary.

use aws_sdk_dynamodb::types::AttributeValue;
use rollcall_tests::{ATTEMPTS, Fault, World, deletion_event, event, user_event};
use serde_json::{Value, json};

use crate::operator::commands::{people, rollcall};
use crate::operator::findings::machine_time;
use crate::operator::system_e::{deleted, office, ran, restored};
use crate::properties::failures::listen;
use crate::user;

/// Somebody whom the webhook has stored at the machine's time.
async fn somebody(world: &World) -> (String, Value) {
    world.set_now(machine_time());
    let body = json!({ "first_name": "Ada", "email_address": ["ada@example.com"] });
    let body = world.clerk("POST", "/users", body).await;
    let told = event("user.created", &body, world.now().get());
    assert_eq!(world.post(&told).await.brief(), (200, "applied"));
    (body["id"].as_str().unwrap().to_owned(), told)
}

fn names(json: &Value) -> Vec<&str> {
    json["findings"].as_array().unwrap().iter().map(|finding| finding["finding"].as_str().unwrap()).collect()
}

async fn everything(world: &World) -> String {
    format!("{:?}", (world.directory().await, world.profiles().await, world.operations().await))
}

#[tokio::test]
async fn e_a_row_in_sync_is_told_with_its_source() {
    let world = World::start().await;
    let (ada, _) = somebody(&world).await;
    let before = everything(&world).await;
    let said = rollcall(&world, &["explain", &ada], &[]).await;
    assert_eq!((said.status, said.err.as_str()), (Some(0), ""), "{}", said.out);
    for part in [
        "Looked up at ",
        "\n\nNothing to do.\n\n",
        "The row is live (not deleted).",
        "The webhook stored this state at ",
        "(message msg_",
        "The row is in sync",
        "Ada",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    let said = rollcall(&world, &["explain", &ada, "--json"], &[]).await;
    let json = said.json();
    assert_eq!((said.status, names(&json)), (Some(0), vec!["live", "in_sync", "nothing_refused"]));
    assert_eq!((&json["row"]["applied_by"], &json["fields"]["name"]["differs"]), (&json!("webhook"), &json!(false)));
    // By the application's id, too.
    let internal = world.internal(&ada).to_string();
    assert_eq!(rollcall(&world, &["explain", &internal, "--json"], &[]).await.json()["id"], json!(ada));
    assert_eq!(everything(&world).await, before, "nothing is written");
}

#[tokio::test]
async fn e_an_older_row_is_told_with_what_repairs_it_and_a_run_that_did_not() {
    let world = World::start().await;
    let (ada, told) = somebody(&world).await;
    let _listening = listen(world.log.clone());
    world.set_now(machine_time());
    world.clerk("PATCH", &format!("/users/{ada}"), json!({ "first_name": "Augusta" })).await;
    // Two that change nothing.
    assert_eq!(world.post(&told).await.brief(), (200, "duplicate"));
    let mut earlier = told.clone();
    earlier["data"]["updated_at"] = (told["data"]["updated_at"].as_u64().unwrap() - 5).into();
    assert_eq!(world.post(&earlier).await.brief(), (200, "superseded"));
    let said = rollcall(&world, &["explain", &ada], &[]).await;
    assert_eq!(said.status, Some(2), "{}", said.out);
    for part in [
        "The row is out of date: the user changed in Clerk at ",
        "Different fields: first_name, name.",
        &format!("`rollcall explain {ada} --local --port "),
        "an event user.created was not applied: at that time the row already held a later state, so the older state was not \
         written. The event reported the state of ",
        "at that time the row already held the state that the event reported",
        "Nothing to do yet: this should repair itself by ",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    let json = rollcall(&world, &["explain", &ada, "--json"], &[]).await.json();
    assert_eq!(names(&json), ["live", "outdated", "event_on_its_way", "refused", "refused"]);
    let lines = json["log"]["lines"].to_string();
    assert!(!lines.contains("Ada") && !lines.contains('@'), "the log names nobody: {lines}");
    // A run has repaired it, and an older state is put into the row again: nothing pending explains that.
    let before = world.item(&user(&ada)).await.unwrap();
    world.set_now(machine_time() + 60_000);
    world.reconcile().await;
    world.put(&world.stack.addresses.directory_table, &before).await;
    let said = rollcall(&world, &["explain", &ada, "--json"], &[]).await;
    assert!(names(&said.json()).contains(&"not_repaired"), "{}", said.out);
    let of = |name: &str| {
        let findings = said.json()["findings"].as_array().unwrap().clone();
        findings.into_iter().find(|finding| finding["finding"] == name).unwrap()
    };
    assert_eq!((of("not_repaired")["act"].clone(), of("outdated")["act"].clone()), (json!(true), json!(false)));
    // Runs that write nothing repair nothing.
    let report = [("RECONCILE_POLICY", "report")];
    assert!(names(&rollcall(&world, &["explain", &ada, "--json"], &report).await.json()).contains(&"report_only"));
}

#[tokio::test]
async fn e_a_deletion_is_told_with_its_term_and_the_way_back() {
    let world = World::start().await;
    let (ada, _) = somebody(&world).await;
    let _listening = listen(world.log.clone());
    world.set_now(machine_time());
    world.post(&deletion_event("user.deleted", &ada, world.now().get())).await;
    world.follow().await;
    assert_eq!(world.ensure(&world.session(&ada, None)).await.status, 410);
    world.post(&user_event("user.updated", &ada, "Ada", world.now().get() + 9)).await;
    let said = rollcall(&world, &["explain", &ada], &[]).await;
    // Clerk's answers may lag, so a person must look again.
    assert_eq!(said.status, Some(2), "{}", said.out);
    for part in [
        "The row is a tombstone: the user was deleted at ",
        "Clerk still returns the user",
        "The personal data in the user's records in Profiles are replaced after ",
        &format!("`rollcall undo {ada} --local --port "),
        "with 410 `user_deleted`",
        "An event about a live user never replaces a tombstone",
        "the user's request was answered with 410",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    // The data stay under `report`, and their rows under `redact`.
    for (setting, part) in [
        (("DELETION_POLICY", "purge"), "The user's rows in Profiles and in OWNED_TABLES are removed after "),
        (("RECONCILE_POLICY", "report"), "RECONCILE_POLICY is `report` now. Therefore nothing is changed"),
    ] {
        let said = rollcall(&world, &["explain", &ada], &[setting]).await;
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    // Deleted in Clerk, too.
    world.clerk("DELETE", &format!("/users/{ada}"), Value::Null).await;
    let said = rollcall(&world, &["explain", &ada, "--json"], &[]).await;
    assert!(said.status == Some(0) && names(&said.json()).contains(&"both_gone"), "{}", said.out);
}

#[tokio::test]
async fn e_what_is_missing_on_either_side_is_told() {
    let world = World::start().await;
    let (users, acme) = people(&world, 2).await;
    let of = async |id: &str, settings: &[(&str, &str)]| {
        let said = rollcall(&world, &["explain", id, "--json"], settings).await;
        let json = said.json();
        (said.status, names(&json).iter().map(|name| (*name).to_owned()).collect::<Vec<_>>().join(" "))
    };
    let membership = format!("{acme}/{}", users[1]);
    for id in [&users[1], &acme, &membership] {
        assert_eq!(of(id, &[]).await, (Some(2), "no_row not_stored no_run_yet nothing_refused".to_owned()), "{id}");
    }
    let said = rollcall(&world, &["explain", &users[1]], &[]).await;
    let row = |name: &str| said.out.lines().find(|line| line.trim_start().starts_with(name)).unwrap().to_owned();
    assert_eq!(row("field").split_whitespace().collect::<Vec<_>>(), ["field", "Clerk"], "{}", said.out);
    assert!(row("created_at").ends_with('Z'), "times are as in the sentences: {}", said.out);
    let off = of(&users[1], &[("MIRROR", "off")]).await;
    assert_eq!(off, (Some(0), "no_row not_mirrored nothing_refused".to_owned()));
    world.reconcile().await;
    assert_eq!(of(&membership, &[]).await, (Some(0), "live in_sync nothing_refused".to_owned()));
    // Gone from Clerk without an event: the runs before have not missed it, and the next one waits for an operator.
    world.set_now(world.now().get() + 20 * 60_000);
    world.reconcile().await;
    world.clerk("DELETE", &format!("/users/{}", users[1]), Value::Null).await;
    assert_eq!(of(&users[1], &[]).await.1, "live absent_in_clerk next_run_deletes nothing_refused");
    world.clerk("DELETE", &format!("/users/{}", users[0]), Value::Null).await;
    world.set_now(world.now().get() + 20 * 60_000);
    let run = world.reconcile().await;
    let found = of(&users[1], &[]).await;
    assert!(found.0 == Some(2) && found.1.contains(" held "), "{run:?} {found:?}");
    assert!(!found.1.contains("next_run"), "no run deletes it without the approval: {found:?}");
}

/// Damages the row of a user, as another program does.
async fn damage(world: &World, id: &str) {
    let mut row = world.item(&user(id)).await.unwrap();
    row["rank"] = "garbage".into();
    world.put(&world.stack.addresses.directory_table, &row).await;
}

/// Removes the row of a user, as the command advises.
async fn remove(world: &World, id: &str) {
    let row = world.item(&user(id)).await.unwrap();
    let key = |name: &str| AttributeValue::S(row[name].as_str().unwrap().to_owned());
    let request = world.stack.dynamodb.delete_item().table_name(&world.stack.addresses.directory_table);
    request.key("pk", key("pk")).key("sk", key("sk")).send().await.unwrap();
}

#[tokio::test]
async fn e_a_row_that_cannot_be_read_has_one_mark_and_an_advice_that_works() {
    let world = World::start().await;
    let (users, _) = people(&world, 2).await;
    // Clerk has the first user, and not the second one.
    world.reconcile().await;
    world.clerk("DELETE", &format!("/users/{}", users[1]), Value::Null).await;
    let advised: [&[&str]; 2] = [&["sync", &users[0]], &["erase", &users[1], "--even-if-unknown"]];
    for (id, command) in users.iter().zip(advised) {
        damage(&world, id).await;
        let said = rollcall(&world, &["explain", id], &[]).await;
        assert_eq!((said.status, said.out.matches("\n! ").count()), (Some(2), 1), "{} {}", said.out, said.err);
        for part in
            ["The row cannot be read", "by hand, then run ", &format!("`rollcall {} --local", command.join(" "))]
        {
            assert!(said.out.contains(part), "{part}: {}", said.out);
        }
        for part in ["is missing.", "has arrived", "should have repaired"] {
            assert!(!said.out.contains(part), "{part}: {}", said.out);
        }
        // The log on standard error names the row, too.
        let json = rollcall(&world, &["explain", id, "--json"], &[]).await.out;
        assert_eq!(names(&serde_json::from_str(&json).unwrap()), ["row_unreadable", "nothing_refused"], "{json}");
        remove(&world, id).await;
        let done = rollcall(&world, &[command, &["--yes"]].concat(), &[]).await;
        assert_eq!(done.status, Some(0), "{} {}", done.out, done.err);
        let said = rollcall(&world, &["explain", id], &[]).await;
        assert_eq!(said.status, Some(0), "{} {}", said.out, said.err);
    }
}

#[tokio::test]
async fn e_restored_rows_of_a_deleted_user_are_told_until_they_are_removed() {
    let (world, users, _) = office(7).await;
    deleted(&world, &users[0]).await;
    world.follow().await;
    world.wait_hours(25);
    assert_eq!(world.purge_due().await.purges.unwrap().purged, 1);
    let explain = ["explain", users[0].as_str()];
    let said = rollcall(&world, &explain, &[]).await;
    assert!(said.status == Some(0) && said.out.contains("Only a backup has the data"), "{} {}", said.out, said.err);
    let backup = world.backups().into_keys().next().unwrap();
    restored(&world).await;
    let said = rollcall(&world, &explain, &[]).await;
    assert_eq!((said.status, said.out.matches("\n! ").count()), (Some(2), 1), "{} {}", said.out, said.err);
    for part in [
        "Something to do: see the line that is marked with !",
        "Rows of the deleted user were restored at ",
        &format!(" from {backup}. Neither the purge nor a `cleanup` without --restored removes rows of this user"),
        &format!("`rollcall erase {} --local", users[0]),
        "`rollcall cleanup --restored --local",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    assert!(!said.out.contains("Only a backup"), "{}", said.out);
    // By the internal id alone neither an undo nor an erasure is possible.
    let internal = world.internal(&users[0]).to_string();
    let said = rollcall(&world, &["explain", &internal], &[]).await;
    assert!(said.status == Some(2) && !said.out.contains("rollcall erase"), "{} {}", said.out, said.err);
    // What it advises removes the rows and the note.
    ran(&world, &["cleanup", "--restored", "--yes"], 0).await;
    let said = rollcall(&world, &explain, &[]).await;
    assert!(said.status == Some(0) && !said.out.contains("restored at"), "{} {}", said.out, said.err);
}

#[tokio::test]
async fn e_an_event_in_quarantine_and_a_silent_clerk_are_told() {
    let world = World::start().await;
    let (ada, mut told) = somebody(&world).await;
    told["data"]["updated_at"] = "yesterday".into();
    assert_eq!(world.post(&told).await.status, 422);
    let json = rollcall(&world, &["explain", &ada, "--json"], &[]).await.json();
    assert_eq!(names(&json), ["live", "in_sync", "quarantined", "nothing_refused"]);
    assert_eq!(json["quarantine"][0]["failed_at"], "data.updated_at");
    let now = |json: &Value| json["findings"][2]["now"].clone();
    assert_eq!(now(&json), json!("agrees"));
    world.set_faults(clerk_emulator::ApiFaults { server_error: 1.0, ..Default::default() });
    let said = rollcall(&world, &["explain", &ada, "--json"], &[]).await;
    assert_eq!((said.status, names(&said.json())[1]), (Some(2), "clerk_silent"));
    assert_eq!(now(&said.json()), json!("unknown"));
}

#[tokio::test]
async fn e_a_failed_event_is_the_cause_of_the_missing_row() {
    let world = World::start().await;
    let _listening = listen(world.log.clone());
    world.set_now(machine_time());
    let body = world.clerk("POST", "/users", json!({ "email_address": ["ada@example.com"] })).await;
    let ada = body["id"].as_str().unwrap();
    let told = event("user.created", &body, world.now().get());
    world.wire.fail(vec![Fault::AccessDenied; ATTEMPTS]);
    assert_eq!(world.post(&told).await.status, 500);
    world.wire.fail([]);
    let said = rollcall(&world, &["explain", ada], &[]).await;
    assert_eq!(said.status, Some(2), "{}", said.out);
    for part in [
        "Something to do: see the line that is marked with !",
        "! The event about this change (user.created, message msg_",
        "DynamoDB denied access (AccessDeniedException). Check the permissions of the function webhook",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    assert!(!said.out.contains("may still arrive"), "{}", said.out);
    // Svix delivers the event again, and nothing is left to do.
    assert_eq!(world.post(&told).await.brief(), (200, "applied"));
    let said = rollcall(&world, &["explain", ada], &[]).await;
    assert_eq!(said.status, Some(0), "{}", said.out);
    assert!(
        said.out.contains("agree now, so nothing has to be repaired.") && !said.out.contains("Check"),
        "{}",
        said.out
    );
}

#[tokio::test]
async fn e_a_late_event_about_nobody_says_why_clerk_was_asked() {
    let world = World::start().await;
    let (ada, told) = somebody(&world).await;
    world.clerk("DELETE", &format!("/users/{ada}"), Value::Null).await;
    let _listening = listen(world.log.clone());
    let other = json!({ "id": "user_2nNG9rEYQoliquKw5eHQ9eFeurU" });
    let mut late = told.clone();
    late["data"]["id"] = other["id"].clone();
    late["timestamp"] = (world.now().get() - 11 * 60_000).into();
    late["data"]["updated_at"] = (world.now().get() - 11 * 60_000).into();
    assert_eq!(world.post(&late).await.brief(), (200, "superseded"));
    let said = rollcall(&world, &["explain", "user_2nNG9rEYQoliquKw5eHQ9eFeurU"], &[]).await;
    assert_eq!(said.status, Some(0), "{}", said.out);
    let part =
        "Rollcall asked Clerk, because the event was more than ten minutes old and the user might have been deleted";
    assert!(said.out.contains(part), "{}", said.out);
}

#[tokio::test]
async fn i19_an_unknown_id_is_not_explained() {
    let world = World::start().await;
    for id in ["user_doesnotexist", "org_1", "org_1/user_1", "1c1157ac-33d3-5114-bbd8-09b23e2ca922"] {
        let said = rollcall(&world, &["explain", id], &[]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{id}");
        assert!(said.err.contains("has no row for this id"), "{}", said.err);
    }
    for id in ["sess_1", "ada", "user_1/org_1"] {
        let said = rollcall(&world, &["explain", id, "--json"], &[]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{id}");
        assert!(said.err.contains("not an id of a user"), "{}", said.err);
    }
    let foreign = rollcall(&world, &["explain", "user_1"], &[("CLERK_INSTANCE_ID", "ins_other")]).await;
    assert_eq!((foreign.status, foreign.out.as_str()), (Some(1), ""));
    assert!(foreign.err.contains("belongs to another Clerk instance"), "{}", foreign.err);
}
