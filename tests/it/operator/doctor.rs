//! `rollcall doctor`: a sound stack has no findings, and each check is seen to find what it looks for.

use axum::http::StatusCode;
use axum::http::header::DATE;
use rollcall::core::millis::Millis;
use rollcall_cli::dev::record::Record;
use rollcall_tests::World;
use serde_json::{Value, json};

use crate::operator::commands::{Evidence, binary, command, elsewhere, finish, on, people, rollcall, run, typed};
use crate::operator::findings::machine_time;

/// A world that was repaired by the machine's clock, and in which an event has arrived.
async fn sound() -> World {
    let world = World::start().await;
    let (users, _) = people(&world, 2).await;
    let ada = world.clerk("GET", &format!("/users/{}", users[0]), Value::Null).await;
    let event = rollcall_tests::event("user.created", &ada, world.now().get());
    assert_eq!(world.post(&event).await.status, 200);
    for _ in 0..2 {
        assert_eq!(rollcall(&world, &["reconcile", "--yes"], &[]).await.status, Some(0));
    }
    world
}

/// The results of a check.
fn results(said: &Evidence, check: &str) -> Vec<String> {
    let json: Value =
        serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {} {}", said.out, said.err));
    let found = json["findings"].as_array().unwrap().iter().filter(|finding| finding["check"] == check);
    found.map(|finding| finding["result"].as_str().unwrap().to_owned()).collect()
}

async fn doctor(world: &World, settings: &[(&str, &str)]) -> Evidence {
    rollcall(world, &["doctor", "--json"], settings).await
}

#[track_caller]
fn found(said: &Evidence, check: &str, result: &str, text: &str) {
    assert_eq!(said.status, Some(2), "{}", said.err);
    assert!(results(said, check).iter().any(|it| it == result), "{check}: {}", said.out);
    let json: Value = serde_json::from_str(&said.out).unwrap();
    let finding = json["findings"].as_array().unwrap().iter().find(|it| it["check"] == check && it["result"] == result);
    let finding = finding.unwrap();
    assert!(finding.to_string().contains(text), "{text:?} in {finding}");
    if result != "not_checked" {
        assert!(finding["cause"].is_string() && finding["mend"].is_string(), "{finding}");
    }
}

#[tokio::test]
async fn e6_a_sound_stack_has_nothing_to_mend() {
    let world = sound().await;
    let said = doctor(&world, &[]).await;
    assert_eq!(said.status, Some(0), "{} {}", said.out, said.err);
    let json = said.json();
    assert_eq!((&json["problems"], &json["warnings"], &json["not_checked"]), (&json!(0), &json!(0), &json!(0)));
    for (check, result) in [
        ("credentials", "not_applicable"),
        ("release", "ok"),
        ("functions", "ok"),
        ("policies", "ok"),
        ("secret", "ok"),
        ("instance", "ok"),
        ("clock", "ok"),
        ("tables", "ok"),
        ("last-run", "ok"),
        ("lease", "ok"),
        ("events", "ok"),
        ("token-size", "ok"),
        ("quarantine", "ok"),
        ("due-purges", "ok"),
    ] {
        assert_eq!(results(&said, check), [result], "{check}");
    }
    let said = rollcall(&world, &["doctor"], &[]).await;
    assert!(said.status == Some(0) && said.out.ends_with("Nothing to mend.\n"), "{}", said.out);
    assert!(!said.out.contains('@') && !said.out.contains("sk_test"), "{}", said.out);
}

#[tokio::test]
async fn e6_settings_that_are_wrong_or_contradict_one_another_are_found() {
    let world = sound().await;
    for (settings, check, result, text) in [
        (
            &[("RECONCILE_POLICY", "report"), ("DELETION_POLICY", "purge")][..],
            "policies",
            "problem",
            "DELETION_POLICY=purge",
        ),
        (&[("OWNED_TABLES", r#"[{"table":"tasks","key":"user_id"}]"#)], "policies", "warning", "OWNED_TABLES"),
        (&[("MIRROR", "off"), ("METADATA_WRITEBACK", "on")], "policies", "warning", "METADATA_WRITEBACK"),
        (&[("CLERK_INSTANCE_ID", "ins_other")], "instance", "problem", "CLERK_INSTANCE_ID"),
        (&[("CLERK_SECRET_KEY", "sk_test_wrong")], "instance", "problem", "rejected the secret key"),
        (&[("OPERATIONS_TABLE", "rollcall-typo")], "tables", "problem", "OPERATIONS_TABLE names rollcall-typo"),
        (&[("PROFILES_TABLE", "rollcall-directory")], "tables", "not_checked", "three tables"),
    ] {
        let said = doctor(&world, settings).await;
        if check == "tables" && result == "not_checked" {
            // Two settings name one table: the functions do not start with that.
            assert!(said.out.contains("PROFILES_TABLE"), "{}", said.out);
            continue;
        }
        found(&said, check, result, text);
        assert!(!said.out.contains("sk_test_wrong"), "{}", said.out);
    }
    let broken = |record: &mut Record| drop(record.settings.insert("MIRROR".to_owned(), "maybe".to_owned()));
    let said = elsewhere(&world, &["doctor", "--json"], broken).await;
    found(&said, "functions", "problem", "MIRROR is invalid");
    let keyless = |record: &mut Record| drop(record.settings.remove("CLERK_SECRET_KEY"));
    found(&elsewhere(&world, &["doctor", "--json"], keyless).await, "secret", "problem", "CLERK_SECRET_KEY");
    let later = |record: &mut Record| "9.0.0".clone_into(&mut record.version);
    found(&elsewhere(&world, &["doctor", "--json"], later).await, "release", "problem", "9.0.0");
}

#[tokio::test]
async fn e6_where_a_check_cannot_look_it_says_so_and_nothing_counts_as_sound() {
    let world = sound().await;
    let said = doctor(&world, &[("CLERK_API_URL", "http://127.0.0.1:1")]).await;
    assert_eq!(said.status, Some(1), "{}", said.out);
    assert_eq!(
        (results(&said, "instance"), results(&said, "clock")),
        (vec!["not_checked".to_owned()], vec!["not_checked".to_owned()])
    );
    assert_eq!(results(&said, "last-run"), ["ok"]);
    let nobody = |record: &mut Record| "http://127.0.0.1:1".clone_into(&mut record.addresses.dynamodb);
    let said = elsewhere(&world, &["doctor", "--json"], nobody).await;
    assert_eq!((said.status, results(&said, "tables")), (Some(1), vec!["not_checked".to_owned()]), "{}", said.out);
    assert!(said.out.contains("check that `rollcall dev` is running"), "{}", said.out);
    let denied = || async {
        let body = json!({ "__type": "com.amazon.coral.service#AccessDeniedException", "message": "not authorized" });
        (StatusCode::BAD_REQUEST, [("content-type", "application/x-amz-json-1.0")], body.to_string())
    };
    let denying = rollcall_tests::serve(axum::Router::new().fallback(denied)).await;
    let denying = |record: &mut Record| denying.clone_into(&mut record.addresses.dynamodb);
    let said = elsewhere(&world, &["doctor", "--json"], denying).await;
    assert!(said.status == Some(1) && said.out.contains("AccessDeniedException"), "{}", said.out);
}

#[tokio::test]
async fn e6_runs_events_quarantine_purges_tokens_and_the_clock_are_judged() {
    let world = World::start().await;
    let said = doctor(&world, &[]).await;
    found(&said, "last-run", "problem", "no run of reconcile has finished yet");
    let (users, _) = people(&world, 2).await;
    let large = json!({ "public_metadata": { "notes": "x".repeat(1500) } });
    world.clerk("PATCH", &format!("/users/{}/metadata", users[0]), large).await;
    // By the clock of the world, which is long before.
    world.reconcile().await;
    let said = doctor(&world, &[]).await;
    found(&said, "last-run", "problem", "days ago");
    found(&said, "events", "warning", "no event is known to have arrived");
    found(&said, "token-size", "warning", "1 of 2 users");

    // An event arrives, and later ones do not.
    let bob = world.clerk("GET", &format!("/users/{}", users[1]), Value::Null).await;
    let renamed = |last: &str| json!({ "first_name": last });
    world.set_now(world.now().get() + 60_000);
    let changed = world.clerk("PATCH", &format!("/users/{}", users[1]), renamed("First")).await;
    assert_ne!(bob["updated_at"], changed["updated_at"]);
    assert_eq!(world.post(&rollcall_tests::event("user.updated", &changed, world.now().get())).await.status, 200);
    world.set_now(world.now().get() + 60_000);
    world.clerk("PATCH", &format!("/users/{}", users[0]), renamed("Second")).await;
    assert_eq!(rollcall(&world, &["reconcile", "--yes"], &[]).await.status, Some(0));
    let said = doctor(&world, &[]).await;
    found(&said, "events", "warning", "rows that events should have written");
    assert_eq!(results(&said, "last-run"), ["ok"], "{}", said.out);

    let now = Millis::try_from(i64::try_from(machine_time()).unwrap()).unwrap();
    let operations = world.stack.addresses.operations_table.clone();
    let note = json!({ "pk": format!("QUARANTINE#{}", now.utc_date()), "sk": "msg_1", "failed_at": "data.id" });
    world.put(&operations, &note).await;
    found(&doctor(&world, &[]).await, "quarantine", "warning", "events in quarantine: 1");

    let due_at = now.get() - 3 * 3_600_000;
    let due = rollcall::core::deletion::purge::Due {
        sk: "7".to_owned(),
        rank: "0000000000000.1.0000000000005".parse().unwrap(),
        applied_at: Millis::ZERO,
        due_at: Millis::try_from(i64::try_from(due_at).unwrap()).unwrap(),
    };
    world.reconciler().await.operations().note_purge(&due).await.unwrap();
    found(&doctor(&world, &[]).await, "due-purges", "problem", "overdue purges: 1");

    let late = || async { (StatusCode::NOT_FOUND, [(DATE, "Thu, 01 Jan 2026 00:00:00 GMT")], "") };
    let late = rollcall_tests::serve(axum::Router::new().fallback(late)).await;
    found(&doctor(&world, &[("CLERK_API_URL", &late)]).await, "clock", "problem", "ahead of");
}

/// A lease until 2286.
async fn left_behind(world: &World) {
    let late = Millis::try_from(9_999_000_000_000).unwrap();
    assert_eq!(world.reconciler().await.operations().acquire_lease("somebody", late).await.unwrap(), None);
}

fn leases(rows: &[Value]) -> usize {
    rows.iter().filter(|row| row["pk"] == "LEASE").count()
}

#[tokio::test]
async fn e6_a_lease_that_nobody_renews_is_released_by_fix_after_the_plan_and_consent() {
    let world = sound().await;
    left_behind(&world).await;
    found(&doctor(&world, &[]).await, "lease", "problem", "--fix");
    let plan = rollcall(&world, &["doctor", "--fix", "--dry-run"], &[]).await;
    assert!(
        plan.status == Some(2) && plan.out.contains("--fix would:\n  release the lease of somebody"),
        "{}",
        plan.out
    );
    let asked = typed(&world, &["doctor", "--fix"], "n\n").await;
    assert!(asked.status == Some(2) && asked.out.contains("Nothing was changed."), "{} {}", asked.out, asked.err);
    assert_eq!(leases(&world.operations().await), 1);
    let before = (world.directory().await, world.profiles().await);
    let said = rollcall(&world, &["doctor", "--fix", "--watch", "5", "--yes", "--json"], &[]).await;
    assert_eq!((said.status, &said.json()["fixes"][0]["done"]), (Some(0), &json!(true)), "{}", said.out);
    assert_eq!(leases(&world.operations().await), 0);
    assert_eq!((world.directory().await, world.profiles().await), before);
    let again = rollcall(&world, &["doctor", "--fix", "--watch", "5", "--yes"], &[]).await;
    assert!(again.status == Some(0) && again.out.contains("Nothing can be mended by --fix"), "{}", again.out);
}

#[tokio::test]
async fn e6_a_lease_that_a_run_renews_is_not_released() {
    let world = sound().await;
    left_behind(&world).await;
    let reconciler = world.reconciler().await;
    let mut fix = command(binary().to_str().unwrap(), &[]);
    fix.args(on(&world, &["doctor", "--fix", "--watch", "5", "--yes", "--json"]));
    let renews = async {
        for step in 1..40 {
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            let later = Millis::try_from(9_999_000_000_000 + step).unwrap();
            assert_eq!(reconciler.operations().acquire_lease("somebody", later).await.unwrap(), None);
        }
    };
    let said = tokio::select! {
        said = finish(fix) => said,
        () = renews => panic!("the command ends"),
    };
    assert_eq!((said.status, &said.json()["fixes"][0]["done"]), (Some(2), &json!(false)), "{}", said.out);
    assert_eq!(leases(&world.operations().await), 1);
}

#[tokio::test]
async fn i16_doctor_without_a_deployment_or_with_a_contradiction_prints_nothing() {
    let world = World::start().await;
    for args in [&["doctor"][..], &["doctor", "--fix", "--probe", "--local"], &["doctor", "--local", "--wait", "5"]] {
        let said = run(args, &[]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(64), ""), "{args:?} {}", said.err);
    }
    for args in [&["doctor", "--fix"][..], &["doctor", "--fix", "--json"], &["doctor", "--probe"]] {
        let said = rollcall(&world, args, &[]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(64), ""), "{args:?} {}", said.err);
    }
    let mut contradicted = command(binary().to_str().unwrap(), &[("DELETION_POLICY", "retain")]);
    contradicted.args(on(&world, &["doctor", "--json"]));
    let said = finish(contradicted).await;
    assert_eq!((said.status, said.out.as_str()), (Some(64), ""), "{}", said.err);
    let said = run(&["doctor", "--stack", "production"], &[]).await;
    assert!(said.status == Some(1) && said.out.is_empty() && said.err.contains("AWS_REGION"), "{}", said.err);
}
