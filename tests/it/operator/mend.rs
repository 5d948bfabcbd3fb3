//! The commands that mend single entities, with the real binary: sync, set-role, the ids of a run, the undo of its
//! conflicts.

use rollcall_tests::{Fault, World, deletion_event};
use serde_json::{Value, json};

use crate::operator::commands::{Evidence, binary, command, elsewhere, finish, on, people, rollcall, typed};
use crate::{membership, organization, user};

const NOBODY: &str = "user_2nNG9rEYQoliquKw5eHQ9eFeurX";

/// Three people in one organization, all of it copied long ago by the binary's clock.
async fn office() -> (World, Vec<String>, String) {
    let world = World::start().await;
    let (users, acme) = people(&world, 3).await;
    world.set_now(world.now().get() + 60_000);
    assert!(world.reconcile().await.is_in_sync());
    (world, users, acme)
}

/// A signed deletion of somebody whom Clerk still has.
async fn delete(world: &World, kind: &str, id: &str) {
    world.set_now(world.now().get() + 1_000);
    world.post(&deletion_event(&format!("{kind}.deleted"), id, world.now().get())).await;
    world.follow().await;
}

async fn rows(world: &World) -> String {
    format!("{:?}", world.directory().await)
}

fn requests(world: &World) -> u64 {
    world.stack.clerk.requests().values().sum()
}

#[tokio::test]
async fn sync_shows_the_differences_field_by_field_and_writes_them_after_consent() {
    let (world, users, acme) = office().await;
    let (ada, grace, alan) = (&users[0], &users[1], &users[2]);
    world.set_now(world.now().get() + 60_000);
    world.clerk("PATCH", &format!("/users/{ada}"), json!({ "first_name": "Ada" })).await;
    world.clerk("PATCH", &format!("/organizations/{acme}"), json!({ "name": "Acme Ltd." })).await;
    world.clerk("DELETE", &format!("/users/{alan}"), Value::Null).await;
    let newcomer = json!({ "first_name": "New", "email_address": ["new@example.com"] });
    let newcomer = world.clerk("POST", "/users", newcomer).await["id"].as_str().unwrap().to_owned();
    let member = format!("{acme}/{alan}");
    let before = rows(&world).await;

    let plan = rollcall(&world, &["sync", ada, grace, &acme, &newcomer, &member, alan, "--dry-run"], &[]).await;
    assert_eq!(plan.status, Some(2), "{}", plan.err);
    for expected in [
        format!("user {ada} outdated: "),
        format!("user {grace} agrees with Clerk."),
        format!("organization {acme} outdated: "),
        format!("user {newcomer} missing: "),
        format!("membership {member} absent: "),
        format!("user {alan} absent: "),
    ] {
        assert!(plan.out.contains(&expected), "{expected}\n{}", plan.out);
    }
    let field = |name: &str| plan.out.lines().find(|line| line.trim_start().starts_with(name)).unwrap().to_owned();
    let words: Vec<String> = field("first_name").split_whitespace().map(str::to_owned).collect();
    assert_eq!(words, ["first_name", "Somebody", "Ada"], "{}", plan.out);
    assert!(plan.out.ends_with("Nothing was written.\n"), "{}", plan.out);
    let plan = rollcall(&world, &["sync", ada, "--dry-run", "--json"], &[]).await;
    let json = plan.json();
    assert_eq!((plan.status, &json["entities"][0]["difference"]), (Some(2), &json!("outdated")), "{json}");
    assert_eq!(json["entities"][0]["fields"], json!(["first_name", "name", "updated_at"]));
    assert!(!plan.out.contains("Ada") && !plan.out.contains("Somebody"), "no values in JSON: {}", plan.out);
    for args in [&["sync", ada][..], &["sync", ada, "--json"]] {
        assert_eq!(rollcall(&world, args, &[]).await.status, Some(64), "{args:?}");
    }
    let asked = typed(&world, &["sync", ada], "n\n").await;
    assert!(asked.status == Some(2) && asked.out.contains("Write these rows?"), "{}", asked.out);
    assert_eq!(rows(&world).await, before, "a plan writes nothing");

    let done = rollcall(&world, &["sync", ada, grace, &acme, &newcomer, &member, alan, "--yes"], &[]).await;
    assert_eq!(done.status, Some(0), "{} {}", done.out, done.err);
    assert!(done.out.ends_with("5 rows written.\n"), "{}", done.out);
    assert_eq!(world.item(&user(ada)).await.unwrap()["first_name"], "Ada");
    assert_eq!(world.item(&user(ada)).await.unwrap()["applied_by"], "operator");
    assert_eq!(world.item(&organization(&acme)).await.unwrap()["name"], "Acme Ltd.");
    assert_eq!(world.item(&user(&newcomer)).await.unwrap()["first_name"], "New");
    for ended in [user(alan), membership(alan, &acme)] {
        assert!(world.item(&ended).await.unwrap()["deleted_at"].is_u64(), "{ended}");
    }
    let again = rollcall(&world, &["sync", ada, alan, ada, "--yes", "--json"], &[]).await;
    let json = again.json();
    assert_eq!((again.status, &json["written"], &json["in_sync"]), (Some(0), &json!(0), &json!(true)), "{json}");
    assert_eq!(json["entities"].as_array().unwrap().len(), 2, "an id that is named twice is compared once");
    world.follow().await;
    world.set_now(world.now().get() + 60 * 60 * 1000);
    assert!(world.reconcile().await.is_in_sync());
}

#[tokio::test]
async fn sync_asks_clerk_at_most_three_times_about_an_entity() {
    let (world, users, acme) = office().await;
    world.set_now(world.now().get() + 60_000);
    world.clerk("PATCH", &format!("/users/{}", users[0]), json!({ "first_name": "Ada" })).await;
    world.clerk("DELETE", &format!("/users/{}", users[1]), Value::Null).await;
    for id in [users[0].clone(), users[1].clone(), format!("{acme}/{}", users[2])] {
        let before = requests(&world);
        let said = rollcall(&world, &["sync", &id, "--yes"], &[]).await;
        assert_eq!(said.status, Some(0), "{id} {}", said.err);
        assert!(requests(&world) - before <= 3, "{id}: {} requests", requests(&world) - before);
    }
}

#[tokio::test]
async fn i4_sync_deletes_nothing_without_clerks_proof() {
    let (world, users, _) = office().await;
    let before = rows(&world).await;
    // 403 and 500 are no answers, and under another instance's key nothing is known.
    for (setting, value) in [("CLERK_SECRET_KEY", "sk_test_wrong"), ("CLERK_INSTANCE_ID", "ins_other")] {
        let said = rollcall(&world, &["sync", &users[0], "--yes"], &[(setting, value)]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{setting} {}", said.err);
    }
    let hides = |uri: &axum::http::Uri, status: u16, body: Value| {
        let is_user = uri.path().starts_with("/v1/users/");
        if is_user { (404, json!({ "message": "no route" })) } else { (status, body) }
    };
    let url = rollcall_tests::proxy::behind(&world, hides).await;
    let said = rollcall(&world, &["sync", &users[0], "--yes"], &[("CLERK_API_URL", &url)]).await;
    assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{}", said.err);
    assert!(said.err.contains(&users[0]) && said.err.contains("cannot be read"), "{}", said.err);
    assert_eq!(rows(&world).await, before);
    // A row that was stored a moment ago is no absence yet: the binary's clock is the machine's.
    let now = rollcall(&world, &["export", &users[0], "--json"], &[]).await.json()["exported_at"].as_u64().unwrap();
    world.set_now(now);
    world.clerk("PATCH", &format!("/users/{}", users[0]), json!({ "first_name": "Ada" })).await;
    assert!(world.reconcile().await.total().updated > 0);
    world.clerk("DELETE", &format!("/users/{}", users[0]), Value::Null).await;
    let said = rollcall(&world, &["sync", &users[0], "--yes"], &[]).await;
    assert!(said.status == Some(2) && said.out.contains("unconfirmed: "), "{} {}", said.out, said.err);
    assert!(world.item(&user(&users[0])).await.unwrap()["deleted_at"].is_null());
}

#[tokio::test]
async fn i19_sync_and_set_role_refuse_unknown_ids_and_a_policy_that_only_reports() {
    let (world, users, acme) = office().await;
    let before = rows(&world).await;
    for ids in
        [&[NOBODY][..], &[&users[0], NOBODY], &["sess_1"], &["org_1/user_1"], &["1c1157ac-33d3-5114-bbd8-09b23e2ca922"]]
    {
        let said = rollcall(&world, &[&["sync"], ids, &["--yes"]].concat(), &[]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{ids:?} {}", said.err);
    }
    for (id, role, expected) in [
        (NOBODY, "admin", "does not exist in Clerk"),
        ("sess_1", "admin", "not an id of a user"),
        (&acme, "admin", "an organization has no role"),
        (&users[0], "owner", "owner is not one of the roles in ROLES (admin,user)"),
        (&format!("{acme}/{NOBODY}"), "org:admin", "does not exist in Clerk"),
        (&format!("{acme}/{}", users[1]), "nonsense", "form_param_value_invalid"),
    ] {
        let said = rollcall(&world, &["set-role", id, role, "--yes", "--json"], &[]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{id} {role} {}", said.err);
        assert!(said.err.contains(expected), "{id} {role} {}", said.err);
    }
    let report = [("RECONCILE_POLICY", "report"), ("DELETION_POLICY", "retain")];
    for args in [&["sync", &users[0], "--yes"][..], &["set-role", &users[0], "admin", "--yes"]] {
        let said = rollcall(&world, args, &report).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{args:?} {}", said.err);
        assert!(said.err.contains("allows no writes"), "{}", said.err);
    }
    // It may be looked at.
    assert_eq!(rollcall(&world, &["sync", &users[0], "--dry-run"], &report).await.status, Some(0));
    assert_eq!(rows(&world).await, before);
    assert!(
        world.clerk("GET", &format!("/users/{}", users[0]), Value::Null).await["public_metadata"]["role"].is_null()
    );
}

#[tokio::test]
async fn i3_sync_revives_nobody_and_says_which_command_does() {
    let (world, users, _) = office().await;
    delete(&world, "user", &users[0]).await;
    let said = rollcall(&world, &["sync", &users[0], "--yes"], &[]).await;
    assert_eq!(said.status, Some(2), "{}", said.err);
    assert!(said.out.contains("conflict: deleted in the Directory, but existing in Clerk"), "{}", said.out);
    assert!(said.out.contains(&format!("`rollcall undo {} --local", users[0])), "{}", said.out);
    assert!(world.item(&user(&users[0])).await.unwrap()["deleted_at"].is_u64());
}

#[tokio::test]
async fn without_a_mirror_sync_stores_no_user() {
    let off = [("MIRROR", "off")];
    let world = World::with(&off).await;
    let (users, acme) = people(&world, 1).await;
    let said = rollcall(&world, &["sync", &users[0], &acme, "--yes"], &off).await;
    assert_eq!(said.status, Some(0), "{} {}", said.out, said.err);
    assert!(said.out.contains("is not stored, as MIRROR=off requires"), "{}", said.out);
    assert!(world.item(&user(&users[0])).await.is_none() && world.item(&organization(&acme)).await.is_some());
}

#[tokio::test]
async fn d3_set_role_changes_clerk_first_and_the_row_follows() {
    let (world, users, acme) = office().await;
    let (ada, grace) = (&users[0], &users[1]);
    world.clerk("PATCH", &format!("/users/{ada}/metadata"), json!({ "public_metadata": { "plan": "pro" } })).await;
    let plan = rollcall(&world, &["set-role", ada, "admin", "--dry-run"], &[]).await;
    assert_eq!(plan.status, Some(2), "{}", plan.err);
    assert!(plan.out.contains("has no role in Clerk; it becomes admin."), "{}", plan.out);
    assert_eq!(rollcall(&world, &["set-role", ada, "admin"], &[]).await.status, Some(64));
    let asked = typed(&world, &["set-role", ada, "admin"], "n\n").await;
    assert!(asked.status == Some(2) && asked.out.contains("Change the role in Clerk?"), "{}", asked.out);
    let metadata = async || world.clerk("GET", &format!("/users/{ada}"), Value::Null).await["public_metadata"].clone();
    assert_eq!(metadata().await, json!({ "plan": "pro" }));

    let done = rollcall(&world, &["set-role", &world.internal(ada).to_string(), "admin", "--yes"], &[]).await;
    assert_eq!(done.status, Some(0), "{}", done.err);
    assert!(done.out.contains("The Directory row is now") && done.out.contains(r#""role": "admin""#), "{}", done.out);
    assert_eq!(metadata().await, json!({ "plan": "pro", "role": "admin" }));
    assert_eq!(world.item(&user(ada)).await.unwrap()["role"], "admin");
    let again = rollcall(&world, &["set-role", ada, "admin", "--yes", "--json"], &[]).await;
    assert_eq!((again.status, &again.json()["before"]), (Some(0), &json!("admin")), "{}", again.err);

    let member = format!("{acme}/{grace}");
    let done = rollcall(&world, &["set-role", &member, "org:admin", "--yes", "--json"], &[]).await;
    let json = done.json();
    assert_eq!((done.status, &json["before"], &json["after"]), (Some(0), &json!("org:member"), &json!("org:admin")));
    assert_eq!(world.item(&membership(grace, &acme)).await.unwrap()["role"], "org:admin");
    world.set_now(world.now().get() + 60 * 60 * 1000);
    assert!(world.reconcile().await.is_in_sync(), "the rows agree with Clerk");
}

#[tokio::test]
async fn d3_set_role_writes_where_the_application_reads() {
    let world = World::with(&[("ROLE_POINTER", "/primary_role"), ("MIRROR", "off")]).await;
    let (users, _) = people(&world, 1).await;
    let done = rollcall(&world, &["set-role", &users[0], "owner", "--yes"], &[]).await;
    assert_eq!(done.status, Some(0), "{}", done.err);
    assert!(done.out.contains("MIRROR=off keeps no row"), "{}", done.out);
    let found = world.clerk("GET", &format!("/users/{}", users[0]), Value::Null).await;
    assert_eq!(found["public_metadata"], json!({ "primary_role": "owner" }));
    // The shell does not choose the place, and of a function alone the place is not known.
    let change = ["set-role", &users[0], "guest", "--yes"];
    for (place, reason) in [
        (&on(&world, &[])[..], "ROLE_POINTER: the shell says /role, the deployment says /primary_role"),
        (&["--function".to_owned(), "reconcile".to_owned()], "pass --override ROLE_POINTER=/role"),
    ] {
        let mut command = command(binary().to_str().unwrap(), &[("ROLE_POINTER", "/role")]);
        command.args(change).args(place);
        let said = finish(command).await;
        assert_eq!((said.status, said.out.as_str()), (Some(64), ""), "{}", said.err);
        assert!(said.err.contains(reason), "{}", said.err);
    }
    let done = rollcall(&world, &change, &[("ROLE_POINTER", "/app/role")]).await;
    assert_eq!(done.status, Some(0), "{}", done.err);
    let found = world.clerk("GET", &format!("/users/{}", users[0]), Value::Null).await;
    assert_eq!(found["public_metadata"], json!({ "primary_role": "owner", "app": { "role": "guest" } }));
}

#[tokio::test]
async fn fault_c7_the_ids_of_what_differs_are_printed_one_a_line_before_the_report() {
    let (world, users, acme) = office().await;
    world.set_now(world.now().get() + 60_000);
    world.clerk("PATCH", &format!("/users/{}", users[0]), json!({ "first_name": "Ada" })).await;
    world.clerk("DELETE", &format!("/organizations/{acme}/memberships/{}", users[1]), Value::Null).await;
    delete(&world, "user", &users[2]).await;
    let newcomer = json!({ "first_name": "New", "email_address": ["new@example.com"] });
    let newcomer = world.clerk("POST", "/users", newcomer).await["id"].as_str().unwrap().to_owned();
    let expected = [
        ("missing", "user", newcomer),
        ("outdated", "user", users[0].clone()),
        ("absent", "membership", format!("{acme}/{}", users[1])),
        ("conflict", "user", users[2].clone()),
        ("conflict", "membership", format!("{acme}/{}", users[2])),
    ];
    let plan = rollcall(&world, &["reconcile", "--ids", "--dry-run"], &[]).await;
    let (ids, report) = plan.out.split_once("Plan of run").unwrap();
    assert!(report.contains("differences"), "{report}");
    let mut found: Vec<Vec<&str>> = ids.lines().map(|line| line.split_whitespace().collect()).collect();
    let mut sorted: Vec<Vec<&str>> = expected.iter().map(|(a, b, c)| vec![*a, *b, c.as_str()]).collect();
    found.sort_unstable();
    sorted.sort_unstable();
    assert_eq!(found, sorted);
    let plan = rollcall(&world, &["reconcile", "--ids", "--dry-run", "--json"], &[]).await;
    let mut lines: Vec<Value> = plan.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.pop().unwrap()["in_sync"], false, "{}", plan.out);
    assert_eq!(lines.len(), 5);
    for (difference, kind, id) in &expected {
        let line = json!({ "difference": difference, "kind": kind, "id": id });
        assert!(lines.contains(&line), "{line} {lines:?}");
    }
    // Somebody at a terminal sees them once, with the plan.
    let done = typed(&world, &["reconcile", "--ids"], "y\n").await;
    assert_eq!(done.out.matches(&users[0]).count(), 1, "{}", done.out);
    assert_eq!(rollcall(&world, &["reconcile", "--dry-run"], &[]).await.out.matches("user_").count(), 0);
}

#[tokio::test]
async fn undo_run_undoes_every_conflict_of_a_run_and_a_second_one_has_nothing_to_do() {
    let (world, users, acme) = office().await;
    delete(&world, "organization", &acme).await;
    delete(&world, "user", &users[2]).await;
    // By the binary's clock the grace period is long over: a repair would purge.
    let run = rollcall(&world, &["reconcile", "--dry-run", "--json"], &[]).await;
    let json: Value = serde_json::from_str(&run.out).unwrap();
    let conflicts = |kind: &str| json["run"]["tally"][kind]["drift"]["conflict"].as_u64().unwrap();
    assert_eq!((conflicts("user"), conflicts("organization"), conflicts("membership")), (1, 1, 3), "{json}");
    let run = json["run"]["run"].as_str().unwrap();
    let live = async || world.directory().await.iter().filter(|row| row["deleted_at"].is_null()).count();
    let before = live().await;

    let plan = rollcall(&world, &["undo", "--run", run, "--dry-run"], &[]).await;
    assert_eq!(plan.status, Some(2), "{}", plan.err);
    assert!(plan.out.contains(&format!("user {} to undo", users[2])), "{}", plan.out);
    assert!(plan.out.contains("5 deletions to undo, 0 whose data were removed, 0 resolved"), "{}", plan.out);
    let plan = rollcall(&world, &["undo", "--run", run, "--dry-run", "--json"], &[]).await;
    let lines: Vec<Value> = plan.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[5]["to_undo"]), (6, &json!(5)), "{}", plan.out);
    for args in [&["undo", "--run", run][..], &["undo"], &["undo", &users[2], "--run", run], &["undo", "--run", "x"]] {
        assert_eq!(rollcall(&world, args, &[]).await.status, Some(64), "{args:?}");
    }
    let other = rollcall(&world, &["undo", "--run", "2026-01-01T00:00:00.123Z", "--yes"], &[]).await;
    assert_eq!((other.status, other.out.as_str()), (Some(1), ""), "{}", other.err);
    let report = [("RECONCILE_POLICY", "report"), ("DELETION_POLICY", "retain")];
    let refused = rollcall(&world, &["undo", "--run", run, "--yes"], &report).await;
    assert_eq!((refused.status, refused.out.as_str()), (Some(1), ""), "{}", refused.err);
    let asked = typed(&world, &["undo", "--run", run], "n\n").await;
    assert!(asked.status == Some(2) && asked.out.contains("Undo 5 deletions"), "{}", asked.out);
    assert_eq!(live().await, before);

    // Interrupted after one of them.
    assert_eq!(rollcall(&world, &["undo", &users[2], "--yes"], &[]).await.status, Some(0));
    let done = rollcall(&world, &["undo", "--run", run, "--yes"], &[]).await;
    assert_eq!(done.status, Some(0), "{} {}", done.out, done.err);
    assert!(done.out.contains("live again, 0 left."), "{}", done.out);
    assert_eq!(live().await, 7);
    let again = rollcall(&world, &["undo", "--run", run, "--yes", "--json"], &[]).await;
    let last: Value = serde_json::from_str(again.out.lines().last().unwrap()).unwrap();
    assert_eq!((again.status, &last["to_undo"], &last["resolved"]), (Some(0), &json!(0), &json!(5)), "{}", again.out);
    world.follow().await;
    world.set_now(world.now().get() + 60 * 60 * 1000);
    assert!(world.reconcile().await.is_in_sync());
}

#[tokio::test]
async fn undo_run_leaves_whom_clerk_does_not_have_and_whose_data_were_removed() {
    const PURGE: [(&str, &str); 2] = [("DELETION_POLICY", "purge"), ("PURGE_AFTER_HOURS", "24")];
    let world = World::with(&PURGE).await;
    let (users, _) = people(&world, 3).await;
    world.set_now(world.now().get() + 60_000);
    assert!(world.reconcile().await.is_in_sync());
    delete(&world, "user", &users[0]).await;
    world.wait_hours(25);
    assert_eq!(world.purge_due().await.purges.unwrap().purged, 1);
    delete(&world, "user", &users[1]).await;
    delete(&world, "user", &users[2]).await;
    let run = rollcall(&world, &["reconcile", "--dry-run", "--json"], &[]).await;
    let json: Value = serde_json::from_str(&run.out).unwrap();
    let run = json["run"]["run"].as_str().unwrap();
    world.clerk("DELETE", &format!("/users/{}", users[2]), Value::Null).await;
    let done = rollcall(&world, &["undo", "--run", run, "--yes", "--json"], &[]).await;
    assert_eq!(done.status, Some(2), "{} {}", done.out, done.err);
    let lines: Vec<Value> = done.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let state = |id: &str| lines.iter().find(|line| line["id"] == id).unwrap()["state"].clone();
    assert_eq!(
        (state(&users[0]), state(&users[1]), state(&users[2])),
        (json!("purged"), json!("undone"), json!("refused"))
    );
    assert!(world.item(&user(&users[1])).await.unwrap()["deleted_at"].is_null());
    assert!(world.item(&user(&users[0])).await.unwrap()["deleted_at"].is_u64());
}

#[tokio::test]
async fn undo_run_reports_rows_that_cannot_be_read() {
    let (world, users, _) = office().await;
    delete(&world, "user", &users[0]).await;
    delete(&world, "user", &users[1]).await;
    let run = rollcall(&world, &["reconcile", "--dry-run", "--json"], &[]).await.json();
    let run = run["run"]["run"].as_str().unwrap().to_owned();
    let mut row = world.item(&user(&users[0])).await.unwrap();
    row["rank"] = "never".into();
    world.put(&world.stack.addresses.directory_table, &row).await;
    let plan = rollcall(&world, &["undo", "--run", &run, "--dry-run"], &[]).await;
    assert!(plan.out.contains(&format!("user {} unreadable", users[0])), "{}", plan.out);
    assert!(plan.status == Some(2) && plan.out.contains("1 row cannot be read"), "{} {}", plan.out, plan.err);
    let done = rollcall(&world, &["undo", "--run", &run, "--yes", "--json"], &[]).await;
    let last: Value = serde_json::from_str(done.out.lines().last().unwrap()).unwrap();
    assert_eq!((done.status, &last["left"], &last["complete"]), (Some(2), &json!(1), &json!(true)), "{}", done.out);
    assert!(world.item(&user(&users[1])).await.unwrap()["deleted_at"].is_null());
    // Nothing else is left, and still it is not resolved.
    let again = rollcall(&world, &["undo", "--run", &run, "--yes", "--json"], &[]).await;
    let last: Value = serde_json::from_str(again.out.lines().last().unwrap()).unwrap();
    assert_eq!((again.status, &last["unreadable"]), (Some(2), &json!(1)), "{}", again.out);
}

#[tokio::test]
async fn sync_and_undo_run_that_fail_in_the_middle_say_what_is_done() {
    let (world, users, _) = office().await;
    world.set_now(world.now().get() + 60_000);
    for user in &users[..2] {
        world.clerk("PATCH", &format!("/users/{user}"), json!({ "first_name": "Ada" })).await;
    }
    let said = refused_at(&world, &["sync", &users[0], &users[1], "--yes", "--json"], "PutItem", 1).await;
    let json: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.status, &json["complete"], &json["written"]), (Some(1), &json!(false), &json!(1)), "{json}");
    assert_eq!(json["entities"][0]["outcome"], "applied", "{json}");
    delete(&world, "user", &users[0]).await;
    delete(&world, "user", &users[1]).await;
    let run = rollcall(&world, &["reconcile", "--dry-run", "--json"], &[]).await.json();
    let run = run["run"]["run"].as_str().unwrap().to_owned();
    let said = refused_at(&world, &["undo", "--run", &run, "--yes", "--json"], "DeleteItem", 1).await;
    let last: Value = serde_json::from_str(said.out.lines().last().unwrap()).unwrap();
    assert_eq!((said.status, &last["complete"], &last["undone"]), (Some(1), &json!(false), &json!(1)), "{}", said.out);
    assert_eq!(rollcall(&world, &["undo", "--run", &run, "--yes"], &[]).await.status, Some(0));
}

/// Runs a command whose requests of this kind DynamoDB refuses, but for the first ones.
async fn refused_at(world: &World, args: &[&str], operation: &str, good: usize) -> Evidence {
    let mut held = world.wire.hold();
    let refusing = async {
        let mut seen = 0;
        while let Some(request) = held.recv().await {
            if request.operation == operation {
                seen += 1;
                if seen == good {
                    world.wire.fail_after(1, [Fault::AccessDenied; 99]);
                }
            }
            request.release();
        }
        unreachable!("the wire goes on")
    };
    let url = world.wire.url().to_owned();
    let said = tokio::select! {
        said = elsewhere(world, args, move |record| record.addresses.dynamodb = url) => said,
        () = refusing => unreachable!(),
    };
    world.wire.fail([]);
    said
}

#[tokio::test]
async fn quiet_commands_say_results_and_errors_only() {
    let (world, users, _) = office().await;
    delete(&world, "user", &users[0]).await;
    let report = [("RECONCILE_POLICY", "report"), ("DELETION_POLICY", "retain")];
    let loud = rollcall(&world, &["reconcile", "--verbose"], &report).await;
    assert!(
        loud.err.contains("RECONCILE_POLICY=report") && loud.err.contains("listing organizations: "),
        "{}",
        loud.err
    );
    assert!(loud.err.contains(&users[0]), "a warning: {}", loud.err);
    let quiet = rollcall(&world, &["reconcile", "--verbose", "--quiet"], &report).await;
    assert_eq!((quiet.status, quiet.err.as_str()), (Some(2), ""));
    assert!(quiet.out.starts_with("Plan of run "), "{}", quiet.out);
    let wrong = rollcall(&world, &["undo", NOBODY, "--yes", "-q"], &[]).await;
    assert!(wrong.status == Some(1) && wrong.err.contains("no row for this id"), "{}", wrong.err);
    let unasked = rollcall(&world, &["undo", NOBODY, "-q"], &[]).await;
    assert!(unasked.status == Some(64) && unasked.err.contains("--yes"), "{}", unasked.err);
}

#[tokio::test]
async fn i19_a_proxy_of_the_shell_is_not_used_for_the_local_stack() {
    let world = World::start().await;
    let (users, _) = people(&world, 1).await;
    // Nobody listens there.
    let shell = ["http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"].map(|name| (name, "http://127.0.0.1:9"));
    for args in [&["sync", &users[0], "--yes"][..], &["reset", "--yes"]] {
        let mut proxied = command(binary().to_str().unwrap(), &shell);
        proxied.args(on(&world, args));
        let said = finish(proxied).await;
        assert_eq!(said.status, Some(0), "{args:?}: {}", said.err);
    }
}
