//! The operator's commands about one person, played with the real binary: undo, erase, restore, export.

use rollcall_tests::{OWNED_TABLES, World, deletion_event};
use serde_json::{Value, json};

use crate::operator::commands::{people, rollcall, typed};
use crate::{membership, organization, state, user};

const PURGE: [(&str, &str); 2] = [("DELETION_POLICY", "purge"), ("OWNED_TABLES", OWNED_TABLES)];

/// Two people in one organization, all of it copied, with rows in four tables.
async fn office(settings: &[(&str, &str)]) -> (World, String, String, String) {
    let world = World::with(settings).await;
    world.make_owned_tables().await;
    let (users, acme) = people(&world, 2).await;
    world.set_now(world.now().get() + 60_000);
    let run = world.reconcile().await;
    assert!(run.is_in_sync(), "{run:?}");
    for user in &users {
        world.give_rows(user, 4, user).await;
    }
    (world, users[0].clone(), users[1].clone(), acme)
}

/// A signed deletion of somebody whom Clerk still has.
async fn delete(world: &World, kind: &str, id: &str) {
    world.set_now(world.now().get() + 1_000);
    world.post(&deletion_event(&format!("{kind}.deleted"), id, world.now().get())).await;
    world.follow().await;
}

#[tokio::test]
async fn bug8_one_signed_deletion_erases_nothing_at_once_and_an_undo_leaves_everything_as_it_was() {
    let (world, ada, _, acme) = office(&PURGE).await;
    let states = |rows: Vec<Value>| rows.into_iter().map(state).collect::<Vec<_>>();
    let before = (states(world.directory().await), world.profiles().await, world.owned().await);
    let internal = world.internal(&ada).to_string();
    for (kind, id, name) in
        [("user", ada.as_str(), internal.as_str()), ("organization", &acme, &acme), ("user", &ada, &ada)]
    {
        delete(&world, kind, id).await;
        let ended = world.directory().await.iter().filter(|row| row["deleted_at"].is_u64()).count();
        assert_eq!(ended, if kind == "user" { 2 } else { 3 }, "the memberships ended, too");
        let plan = rollcall(&world, &["undo", name, "--dry-run"], &PURGE).await;
        assert_eq!(plan.status, Some(2), "{}", plan.err);
        assert!(plan.out.contains("is deleted in the Directory, but exists in Clerk"), "{}", plan.out);
        let undone = rollcall(&world, &["undo", name, "--yes", "--json"], &PURGE).await;
        let json = undone.json();
        assert_eq!((undone.status, &json["left"], &json["lived"]), (Some(0), &json!(0), &json!(false)), "{json}");
        assert_eq!(json["memberships"], if kind == "user" { 1 } else { 2 });
        assert_eq!((json["id"].as_str(), json["was_purged"].as_bool()), (Some(id), Some(false)));
        world.follow().await;
        let after = (states(world.directory().await), world.profiles().await, world.owned().await);
        assert_eq!(after.0, before.0, "{kind}");
        assert!(after.1 == before.1 && after.2 == before.2, "{kind}");
        assert_eq!(world.item(&user(&ada)).await.unwrap()["clerk_user_id"], ada.as_str());
    }
    let restored = world.published().iter().filter(|event| event["detail"]["kind"] == "restored").count();
    assert_eq!(restored, 3 + 4, "the application is told of each");
    // Whoever lives already is left alone, and the grace period's note is about nobody any more.
    let again = rollcall(&world, &["undo", &ada, "--yes"], &PURGE).await;
    assert_eq!((again.status, again.out.contains("was already live")), (Some(0), true), "{}", again.out);
    // At a terminal, a membership needs no question, and a user's is about memberships only.
    let asked = typed(&world, &["undo", &format!("{acme}/{ada}")], "").await;
    assert_eq!(
        (asked.status, asked.out.contains("is already live.\r\nNothing to do.")),
        (Some(0), true),
        "{}",
        asked.out
    );
    let asked = typed(&world, &["undo", &ada], "n\n").await;
    assert_eq!((asked.status, asked.out.contains("Make memberships live again")), (Some(2), true), "{}", asked.out);
    world.wait_hours(49);
    let settled = world.purge_due().await.purges.unwrap();
    assert_eq!(settled.purged, 0, "{settled:?}");
    assert!(world.owned().await == before.2);
}

#[tokio::test]
async fn without_a_mirror_an_undo_takes_the_bare_tombstone_away() {
    let off = [("MIRROR", "off")];
    let world = World::with(&off).await;
    let (users, _) = people(&world, 1).await;
    delete(&world, "user", &users[0]).await;
    let session = world.session(&users[0], None);
    assert_ne!(world.ensure(&session).await.status, 201, "whoever is deleted gets nothing");
    let undone = rollcall(&world, &["undo", &users[0], "--yes"], &off).await;
    assert_eq!(undone.status, Some(0), "{}", undone.err);
    assert!(world.item(&user(&users[0])).await.is_none());
    assert_eq!(world.ensure(&session).await.status, 201);
    world.wait_hours(49);
    let settled = world.purge_due().await.purges.unwrap();
    assert_eq!((settled.purged, settled.obsolete), (0, 1));
}

#[tokio::test]
async fn an_undo_is_refused_where_clerk_has_nothing_or_the_parent_has_ended_or_a_purge_has_begun() {
    let (world, ada, grace, acme) = office(&PURGE).await;
    let refused = async |id: &str, expected: &str| {
        let said = rollcall(&world, &["undo", id, "--yes"], &PURGE).await;
        assert_eq!(said.status, Some(1), "{id}: {}", said.out);
        assert!(said.err.contains(expected), "{id}: {}", said.err);
    };
    refused("user_nobody", "the Directory has no row for this id").await;
    refused("1c1157ac-33d3-5114-bbd8-09b23e2ca922", "the Directory has no row for this id").await;
    let typo = rollcall(&world, &["undo", "a b", "--yes"], &PURGE).await;
    assert_eq!((typo.status, typo.err.contains("an id must have 1 to 255")), (Some(64), true), "{}", typo.err);
    let unasked = rollcall(&world, &["undo", &ada], &PURGE).await;
    assert_eq!((unasked.status, unasked.err.contains("pass --yes")), (Some(64), true), "{}", unasked.err);
    delete(&world, "organization", &acme).await;
    refused(&format!("{acme}/{grace}"), "is deleted: undo that deletion first").await;
    world.clerk("DELETE", &format!("/users/{grace}"), Value::Null).await;
    delete(&world, "user", &grace).await;
    let before = world.directory().await;
    refused(&grace, "does not exist in Clerk").await;
    // The mark of a purge that was killed.
    delete(&world, "user", &ada).await;
    world.wait_hours(25);
    let blocked = tempfile::NamedTempFile::new().unwrap();
    let nowhere = blocked.path().join("backups").to_string_lossy().into_owned();
    let without = world.beside(&[PURGE[0], PURGE[1], ("BACKUP_BUCKET", &nowhere)]).await;
    assert_eq!(without.purge_due().await.purges.unwrap().purged, 0);
    let begun = world.item(&user(&ada)).await.unwrap();
    assert!(begun["purging_at"].is_u64() && begun["consequences_at"].is_null(), "{begun}");
    refused(&ada, "the data are being removed").await;
    let other = [("DELETION_POLICY", "purge"), ("CLERK_INSTANCE_ID", "ins_other")];
    let foreign = rollcall(&world, &["undo", &ada, "--yes"], &other).await;
    assert!(foreign.err.contains("belongs to another Clerk instance"), "{}", foreign.err);
    let report = [("DELETION_POLICY", "retain"), ("RECONCILE_POLICY", "report")];
    let report = rollcall(&world, &["undo", &ada, "--yes"], &report).await;
    assert!(report.err.contains("allows no writes"), "{}", report.err);
    let live = |rows: &[Value]| rows.iter().filter(|row| row["deleted_at"].is_null()).count();
    assert_eq!(live(&world.directory().await), live(&before) - 1, "nothing lives again");
}

#[tokio::test]
async fn after_the_deadline_the_rows_come_back_from_the_backup_and_the_user_by_an_undo() {
    let (world, ada, _, acme) = office(&PURGE).await;
    let before = (world.profiles().await, world.owned().await);
    let mut left =
        rollcall_tests::membership_event("organizationMembership.deleted", "orgmem_left", 5, 6, world.now().get());
    left["data"]["organization"]["id"] = "org_left".into();
    left["data"]["public_user_data"]["user_id"] = ada.as_str().into();
    assert_eq!(world.post(&left).await.status, 200);
    delete(&world, "user", &ada).await;
    world.wait_hours(25);
    assert_eq!(world.purge_due().await.purges.unwrap().purged, 1);
    world.follow().await;
    assert!(world.item(&membership(&ada, "org_left")).await.unwrap()["consequences_at"].is_u64());
    let backups = world.backups();
    let file = backups.keys().next().unwrap();
    let plan = rollcall(&world, &["restore", file, "--dry-run"], &PURGE).await;
    assert_eq!((plan.status, plan.out.contains("tasks")), (Some(2), true), "{}", plan.out);
    let plan = rollcall(&world, &["restore", file, "--dry-run", "--json"], &PURGE).await;
    assert_eq!((plan.status, &plan.json()["rows"][0]["tasks"]), (Some(2), &json!(4)));
    let unasked = rollcall(&world, &["restore", file], &[]).await;
    assert_eq!((unasked.status, unasked.err.contains("pass --yes")), (Some(64), true), "{}", unasked.err);
    assert!(world.owned().await.len() < before.1.len());
    let restored = rollcall(&world, &["restore", file, "--yes", "--json"], &PURGE).await;
    assert_eq!((restored.status, &restored.json()["restored"]["tasks"]), (Some(0), &json!(4)), "{}", restored.out);
    assert!(world.profiles().await == before.0 && world.owned().await == before.1);
    assert!(world.item(&user(&ada)).await.unwrap()["deleted_at"].is_u64(), "who lives is Clerk's to say");
    // Rows that are there are left as they are, unless they are to be replaced.
    let again = rollcall(&world, &["restore", file, "--yes", "--json"], &PURGE).await;
    assert_eq!((again.status, &again.json()["unchanged"]["tasks"]), (Some(0), &json!(4)), "{}", again.out);
    assert_eq!(rollcall(&world, &["restore", file, "--yes", "--replace"], &PURGE).await.status, Some(0));
    // The internal id leads to nobody any more; Clerk's does.
    let nameless = rollcall(&world, &["undo", &world.internal(&ada).to_string(), "--yes"], &PURGE).await;
    assert!(nameless.err.contains("pass the Clerk id"), "{}", nameless.err);
    let undone = rollcall(&world, &["undo", &ada, "--yes"], &PURGE).await;
    assert_eq!(undone.status, Some(0), "{}", undone.err);
    assert!(
        undone.out.contains("is live again. Memberships that are live again: 1. The data had been removed"),
        "{}",
        undone.out
    );
    world.follow().await;
    for row in [user(&ada), membership(&ada, &acme), organization(&acme)] {
        assert!(world.item(&row).await.unwrap()["deleted_at"].is_null(), "{row}");
    }
    assert!(world.profiles().await == before.0 && world.owned().await == before.1);
    world.set_now(world.now().get() + 60 * 60 * 1000);
    assert!(world.reconcile().await.is_in_sync());
    // An organization that she had left before can be joined again.
    let left = world.item(&membership(&ada, "org_left")).await.unwrap();
    assert!(left["deleted_at"].is_u64() && left["consequences_at"].is_null(), "{left}");
}

#[tokio::test]
async fn fault_s15_an_undo_after_a_purge_names_the_order_in_which_every_row_comes_back() {
    let (world, ada, _, _) = office(&PURGE).await;
    let before = (world.profiles().await, world.owned().await);
    delete(&world, "user", &ada).await;
    world.wait_hours(25);
    assert_eq!(world.purge_due().await.purges.unwrap().purged, 1);
    let backups = world.backups();
    let file = backups.keys().next().unwrap();
    // Before the undo: restore comes first.
    let plan = rollcall(&world, &["undo", &ada, "--dry-run"], &PURGE).await;
    assert!(plan.out.contains("first run `rollcall restore FILE... --local"), "{}", plan.out);
    let plan = rollcall(&world, &["undo", &ada, "--dry-run", "--json"], &PURGE).await;
    assert_eq!((plan.status, &plan.json()["was_purged"]), (Some(2), &json!(true)), "{}", plan.out);
    // After it: new records are in the place of the old ones, and only --replace brings those back.
    let undone = rollcall(&world, &["undo", &ada, "--yes"], &PURGE).await;
    assert!(undone.out.contains("`rollcall restore FILE... --replace --local"), "{}", undone.out);
    world.follow().await;
    let without = rollcall(&world, &["restore", file, "--yes"], &PURGE).await;
    assert_eq!((without.status, world.profiles().await == before.0), (Some(2), false), "new records are in the way");
    let restored = rollcall(&world, &["restore", file, "--replace", "--yes"], &PURGE).await;
    assert_eq!(restored.status, Some(0), "{}", restored.err);
    assert!(world.profiles().await == before.0 && world.owned().await == before.1);
}

#[tokio::test]
async fn fault_s14_a_row_dated_ahead_of_clerk_is_replaced_by_what_clerk_shows() {
    let (world, ada, _, acme) = office(&PURGE).await;
    let directory = &world.stack.addresses.directory_table;
    let settings = [PURGE[0], PURGE[1]];
    for entity in [user(&ada), organization(&acme), membership(&ada, &acme)] {
        let before = world.item(&entity).await.unwrap();
        let generation = &before["rank"].as_str().unwrap()[..13];
        // What one signed event with this time has left, applied by a version that took it.
        let mut ahead = before.clone();
        ahead["rank"] = format!("{generation}.0.9999999999999").into();
        ahead["updated_at"] = 9_999_999_999_999_u64.into();
        ahead["digest"] = "of another state".into();
        world.put(directory, &ahead).await;
        let ahead = world.item(&entity).await.unwrap();
        let id = match &entity {
            rollcall::core::id::EntityId::Membership { .. } => format!("{acme}/{ada}"),
            entity => entity.to_string(),
        };
        let report = [("DELETION_POLICY", "retain"), ("RECONCILE_POLICY", "report")];
        let refused = rollcall(&world, &["undo", &id, "--yes"], &report).await;
        assert!(refused.err.contains("allows no writes"), "{}", refused.err);
        let plan = rollcall(&world, &["undo", &id, "--dry-run"], &settings).await;
        assert_eq!(plan.status, Some(2), "{id}: {} {}", plan.out, plan.err);
        assert!(plan.out.contains("its version (2286-11-20T17:46:39Z) is later than Clerk's version"), "{}", plan.out);
        assert_eq!(world.item(&entity).await.unwrap(), ahead, "a plan writes nothing");
        let undone = rollcall(&world, &["undo", &id, "--yes", "--json"], &settings).await;
        assert_eq!(
            (undone.status, &undone.json()["was_ahead"]),
            (Some(0), &json!(true)),
            "{} {}",
            undone.out,
            undone.err
        );
        let after = world.item(&entity).await.unwrap();
        assert_eq!(state(after.clone()), state(before), "{id}");
        assert_eq!(after["applied_by"], "operator");
        // What is not ahead is left alone.
        let again = rollcall(&world, &["undo", &id, "--yes"], &settings).await;
        assert_eq!((again.status, again.out.contains("was already live")), (Some(0), true), "{}", again.out);
        assert_eq!(world.item(&entity).await.unwrap(), after);
    }
    world.set_now(world.now().get() + 60 * 60 * 1000);
    assert!(world.reconcile().await.is_in_sync());
    // What a race or a lagging replica explains is not ahead: a row of five minutes later stays.
    let mut near = world.item(&user(&ada)).await.unwrap();
    let clerk = near["updated_at"].as_u64().unwrap();
    for (later, was_ahead) in [(5 * 60 * 1000, false), (5 * 60 * 1000 + 1, true)] {
        near["rank"] = format!("0000000000000.0.{:013}", clerk + later).into();
        near["updated_at"] = (clerk + later).into();
        world.put(directory, &near).await;
        let undone = rollcall(&world, &["undo", &ada, "--yes", "--json"], &settings).await;
        assert_eq!(
            (undone.status, &undone.json()["was_ahead"]),
            (Some(0), &json!(was_ahead)),
            "{later}: {}",
            undone.err
        );
    }
}

#[tokio::test]
async fn a_file_that_is_no_backup_or_a_broken_one_restores_nothing() {
    let (world, ada, _, _) = office(&PURGE).await;
    delete(&world, "user", &ada).await;
    world.wait_hours(25);
    world.purge_due().await;
    let (before, text) = (world.owned().await, world.backups().into_values().next().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let broken = text.replacen("\"key\":", "\"kee\":", 1);
    let later = text.replacen("\"rollcall_backup\":1", "\"rollcall_backup\":2", 1);
    let foreign = text.replacen(&world.stack.addresses.clerk_instance_id, "ins_other", 1);
    for (name, text, expected) in [
        ("empty", String::new(), "not a Rollcall backup"),
        ("other", "{\"a\":1}\n".to_owned(), "not a Rollcall backup"),
        ("broken", broken, "nothing was restored: line 2 of the backup"),
        ("cut", text[..text.len() - 20].to_owned(), "nothing was restored: line"),
        ("later", later, "format 2 is not supported"),
        ("foreign", foreign, "belongs to another Clerk instance (ins_other)"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let said = rollcall(&world, &["restore", path.to_str().unwrap(), "--yes"], &PURGE).await;
        assert_eq!(said.status, Some(1), "{name}: {}", said.out);
        assert!(said.err.contains(expected), "{name}: {}", said.err);
    }
    let missing = rollcall(&world, &["restore", "/nowhere/at/all", "--yes"], &[]).await;
    assert!(missing.err.contains("/nowhere/at/all: the backup cannot be read"), "{}", missing.err);
    assert!(world.owned().await == before);
}

#[tokio::test]
async fn an_erasure_deletes_in_clerk_and_here_and_now_if_it_is_told_so() {
    let (world, ada, grace, _) = office(&PURGE).await;
    let of = async |user: &str| {
        let rows = world.owned().await;
        rows.iter().filter(|(_, row)| row["note"].as_s().is_ok_and(|note| note == user)).count()
    };
    let clerk_has = async |user: &str| {
        let found = world.clerk("GET", &format!("/users?user_id={user}"), Value::Null).await;
        !found.as_array().unwrap().is_empty()
    };
    let plan = rollcall(&world, &["erase", &ada, "--dry-run"], &PURGE).await;
    assert_eq!(plan.status, Some(2), "{}", plan.err);
    assert!(plan.out.contains("all rows in 4 owned tables in 24 hours; backups go to"), "{}", plan.out);
    let unasked = rollcall(&world, &["erase", &ada], &PURGE).await;
    assert_eq!((unasked.status, unasked.err.contains("pass --yes")), (Some(64), true), "{}", unasked.err);
    let plan = rollcall(&world, &["erase", &ada, "--dry-run", "--json"], &PURGE).await;
    let tables = ["rollcall-profiles", "tasks", "user_progress", "daily_checkins", "moods"];
    let removal = json!({
        "policy": "purge", "tables": tables, "after_hours": 24, "backups": world.stack.addresses.backups,
    });
    let expected = json!({
        "dry_run": true, "clerk_user_id": ada, "lives": true, "unknown": false, "removal": removal,
    });
    assert_eq!((plan.status, plan.json()), (Some(2), expected));
    for (policy, tables) in [("redact", Some(1)), ("retain", None)] {
        let settings = [("DELETION_POLICY", policy)];
        let plan = rollcall(&world, &["erase", &ada, "--now", "--dry-run", "--json"], &settings).await.json();
        let named = plan["removal"]["tables"].as_array().map(Vec::len);
        assert_eq!((named, plan["removal"].is_null()), (tables, tables.is_none()), "{plan}");
    }
    let refused = typed(&world, &["erase", &ada], "n\r").await;
    assert_eq!((refused.status, refused.out.contains("Nothing was deleted")), (Some(2), true), "{}", refused.out);
    assert!(clerk_has(&ada).await && of(&ada).await == 13);

    let erased = rollcall(&world, &["erase", &ada, "--yes", "--json"], &PURGE).await;
    let json = erased.json();
    assert_eq!(
        (erased.status, &json["was_in_clerk"], &json["removed"]),
        (Some(0), &json!(true), &Value::Null),
        "{json}"
    );
    let copy = world.item(&user(&ada)).await.unwrap();
    assert!(copy["applied_by"] == "operator" && copy["consequences_at"].is_null(), "{copy}");
    let due = json["waits_until"].as_u64().unwrap() - copy["applied_at"].as_u64().unwrap();
    assert_eq!((due, clerk_has(&ada).await, of(&ada).await), (24 * 60 * 60 * 1000, false, 13));
    // Clerk's own event of it, and the stream, change nothing about that.
    world.follow().await;
    let erased = rollcall(&world, &["erase", &ada, "--yes", "--now"], &PURGE).await;
    assert_eq!(erased.status, Some(0), "{}", erased.err);
    assert!(erased.out.contains("already absent in Clerk") && erased.out.contains("Backup: /"), "{}", erased.out);
    assert_eq!((of(&ada).await, of(&grace).await), (0, 13));
    assert!(world.item(&user(&ada)).await.unwrap()["clerk_user_id"].is_null());
    // What the application writes after that goes with the next one.
    world.give_rows(&ada, 1, &ada).await;
    let again = rollcall(&world, &["erase", &ada, "--yes", "--json"], &PURGE).await;
    assert_eq!(again.json()["removed"]["tasks"], 1, "{}", again.out);
    assert_eq!((of(&ada).await, of(&grace).await), (0, 13));
    // By the internal id as well, and redacting.
    let redact = [("DELETION_POLICY", "redact"), ("OWNED_TABLES", OWNED_TABLES)];
    let id = world.internal(&grace).to_string();
    let erased = rollcall(&world, &["erase", &id, "--yes", "--now", "--json"], &redact).await;
    assert_eq!(erased.json()["removed"]["rollcall-profiles"], 2, "{}", erased.out);
    assert_eq!((of(&grace).await, clerk_has(&grace).await), (13, false));
    let typo = rollcall(&world, &["erase", "user_typo", "--yes"], &PURGE).await;
    assert_eq!((typo.status, typo.out.as_str()), (Some(1), ""), "{}", typo.err);
    let organization = rollcall(&world, &["erase", "org_x", "--yes"], &PURGE).await;
    assert!(organization.err.contains("only users can be erased"), "{}", organization.err);
}

#[tokio::test]
async fn an_erasure_removes_what_an_earlier_policy_has_kept() {
    let (world, ada, _, acme) = office(&[("DELETION_POLICY", "retain")]).await;
    delete(&world, "user", &ada).await;
    world.clerk("DELETE", &format!("/users/{ada}"), Value::Null).await;
    let kept = world.item(&user(&ada)).await.unwrap();
    assert!(kept["consequences_at"].is_u64() && kept["first_name"] == "Somebody", "{kept}");
    let erased = rollcall(&world, &["erase", &ada, "--yes", "--now", "--json"], &PURGE).await;
    assert_eq!((erased.status, &erased.json()["removed"]["tasks"]), (Some(0), &json!(4)), "{}", erased.out);
    let bare = world.item(&user(&ada)).await.unwrap();
    assert!(bare["consequences_at"].is_u64() && bare["first_name"].is_null() && bare["rank"] == kept["rank"], "{bare}");
    let member = world.item(&membership(&ada, &acme)).await.unwrap();
    assert!(member["deleted_at"].is_u64() && member["permissions"].is_null(), "{member}");
    assert!(!bare.to_string().contains(&ada) && !member.to_string().contains(&ada), "{bare} {member}");
}

#[tokio::test]
async fn an_erasure_that_clerk_does_not_carry_out_ends_nobody() {
    let (world, ada, _, _) = office(&PURGE).await;
    world.set_faults(clerk_emulator::ApiFaults { server_error: 1.0, ..clerk_emulator::ApiFaults::default() });
    let said = rollcall(&world, &["erase", &ada, "--yes"], &PURGE).await;
    assert_eq!(said.status, Some(1), "{}", said.out);
    assert!(world.item(&user(&ada)).await.unwrap()["deleted_at"].is_null());
}

#[tokio::test]
async fn an_erasure_that_clerk_confirms_and_does_not_show_ends_nobody() {
    let (world, ada, _, _) = office(&PURGE).await;
    let (shown, instance) = (
        world.clerk("GET", &format!("/users/{ada}"), Value::Null).await,
        world.clerk("GET", "/instance", Value::Null).await,
    );
    // A Clerk whose answers lag behind what it does.
    let answer = |body: Value| move || async move { axum::Json(body) };
    let user = axum::routing::get(answer(shown)).delete(answer(json!({ "id": ada, "deleted": true })));
    let router = axum::Router::new().route("/v1/instance", axum::routing::get(answer(instance)));
    let lagging = rollcall_tests::serve(router.route("/v1/users/{id}", user)).await;
    let said =
        rollcall(&world, &["erase", &ada, "--yes"], &[&PURGE[..], &[("CLERK_API_URL", &lagging)]].concat()).await;
    assert_eq!(said.status, Some(1), "{}", said.out);
    assert!(said.err.contains("Clerk still returns the user"), "{}", said.err);
    assert!(world.item(&crate::user(&ada)).await.unwrap()["deleted_at"].is_null());
}

#[tokio::test]
async fn an_export_holds_everything_about_one_person_and_nothing_of_another() {
    let (world, ada, grace, acme) = office(&PURGE).await;
    let mut broken = rollcall_tests::sample("user.updated");
    broken["data"]["id"] = ada.as_str().into();
    broken["data"]["updated_at"] = "yesterday".into();
    assert_eq!(world.post(&broken).await.status, 422);
    // The machine's clock is the binary's, and notes are kept by the day: this one is moved to today.
    let now = rollcall(&world, &["export", &ada, "--json"], &PURGE).await.json()["exported_at"].as_u64().unwrap();
    world.set_now(now);
    assert_eq!(world.post(&broken).await.status, 422);
    for id in [ada.clone(), world.internal(&ada).to_string()] {
        let said = rollcall(&world, &["export", &id], &PURGE).await;
        assert_eq!((said.status, said.err.as_str()), (Some(0), ""), "{}", said.err);
        let export: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!((&export["clerk_user_id"], &export["id"]), (&json!(ada), &json!(world.internal(&ada).to_string())));
        let count = |part: &Value| part.as_array().unwrap().len();
        assert_eq!((count(&export["directory"]), count(&export["profiles"]), count(&export["quarantine"])), (2, 2, 1));
        for (table, rows) in [("tasks", 4), ("user_progress", 1), ("daily_checkins", 4), ("moods", 4)] {
            assert_eq!(count(&export["owned"][table]), rows, "{table}");
        }
        assert_eq!(export["owned"]["tasks"][0]["exact"], "12345678901234567890123456789012345678");
        assert!(said.out.contains(&acme) && !said.out.contains(&grace), "{}", said.out);
        assert!(!said.out.contains(&world.internal(&grace).to_string()));
    }
    world.stack.dynamodb.delete_table().table_name("moods").send().await.unwrap();
    let said = rollcall(&world, &["export", &ada], &PURGE).await;
    assert_eq!((said.status, said.err.contains("table moods does not exist")), (Some(2), true), "{}", said.err);
    let nobody = rollcall(&world, &["export", "org_x"], &PURGE).await;
    assert!(nobody.err.contains("only users can be exported"), "{}", nobody.err);
}
