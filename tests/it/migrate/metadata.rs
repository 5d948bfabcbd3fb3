//! A1: old fields become public metadata, by the real command, against a Clerk that counts its requests.

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use bson::oid::ObjectId;
use bson::{DateTime, doc};
use flate2::Compression;
use flate2::write::GzEncoder;
use rollcall_cli::dev::record;
use rollcall_tests::{Point, Wire};
use serde_json::{Value, json};

use super::Old;
use crate::operator::commands::{self, binary, command, finish, on};

fn result(lines: &[Value], row: u64) -> &Value {
    lines.iter().find(|line| line["row"] == row).unwrap_or_else(|| panic!("no row {row} in {lines:?}"))
}

fn oid(number: usize) -> String {
    format!("65a000000000000000000{number:03x}")
}

#[tokio::test]
async fn a1_the_second_run_sends_nothing() {
    let old = Old::open().await;
    let ids = [
        old.user("x1", json!({ "dbId": "x" })).await,
        old.user("x2", json!({ "session_auto_send_context": false })).await,
        old.user("x3", json!({})).await,
    ];
    let file = old.rows(&[
        json!({ "_id": "a1", "clerk_user_id": ids[0], "primary_role": "coach" }),
        json!({ "_id": "a2", "clerk_user_id": ids[1], "session_auto_send_context": false }),
        json!({ "_id": "a3", "clerk_user_id": ids[2] }),
    ]);
    let options = ["--clerk-id", "clerk_user_id", "--field", "primary_role", "--field", "session_auto_send_context"];
    let dry = old.migrate(&file, &[&options[..], &["--dry-run"]].concat()).await;
    assert_eq!((dry.status, old.patches()), (Some(2), 0), "{}", dry.err);
    let (report, status) = old.report(&file, &options).await;
    assert_eq!((status, &report["done"]["by_result"]), (Some(0), &json!({ "changed": 1, "unchanged": 2 })), "{report}");
    assert_eq!(old.metadata_of(&ids[0]).await, json!({ "dbId": "x", "primary_role": "coach" }));
    assert_eq!(old.patches(), 1);
    let (report, status) = old.report(&file, &options).await;
    assert_eq!((status, &report["plan"]["by_result"]), (Some(0), &json!({ "changed_before": 1, "unchanged": 2 })));
    // Also without the journal.
    std::fs::remove_dir_all(old.folder.path().join("users.json.migration")).unwrap();
    let (report, status) = old.report(&file, &options).await;
    assert_eq!((status, &report["plan"]["by_result"]), (Some(0), &json!({ "unchanged": 3 })));
    assert_eq!(old.patches(), 1);
}

/// Other collections can be rekeyed without any metadata.
#[tokio::test]
async fn a2_the_map_is_made_without_metadata() {
    let old = Old::open().await;
    let user = old.user("a1", json!({ "plan": "pro" })).await;
    let file = old.rows(&[json!({ "_id": "a1", "plan": "free" }), json!({ "_id": "a2" })]);
    let (report, status) = old.report(&file, &["--match-only"]).await;
    assert_eq!((status, &report["plan"]["by_result"]), (Some(2), &json!({ "unchanged": 1, "unmatched": 1 })));
    let expected = [
        json!({ "legacy_id": "str:a1", "clerk_user_id": user }),
        json!({ "legacy_id": "str:a2", "no_user": "unmatched" }),
    ];
    assert_eq!(old.lines("map.ndjson"), expected);
    assert_eq!((old.metadata_of(&user).await, old.patches()), (json!({ "plan": "pro" }), 0));
    let both = old.migrate(&file, &["--match-only", "--field", "plan", "--yes"]).await;
    assert_eq!(both.status, Some(64));
    assert!(both.err.contains("the mapping names plan"), "{}", both.err);
}

#[tokio::test]
async fn a1_seven_encodings_of_the_same_documents_make_one_plan() {
    let old = Old::open().await;
    for number in 1..=3 {
        old.user(&oid(number), json!({})).await;
    }
    let row = |id: &str, at: &str| format!(r#"{{"_id":{{"$oid":"{id}"}},"since":{at},"primary_role":"coach"}}"#);
    let lines = |at: &str| (1..=3).map(|number| row(&oid(number), at)).collect::<Vec<_>>();
    let relaxed = lines(r#"{"$date":"2024-02-29T12:30:00.123Z"}"#);
    let canonical = lines(r#"{"$date":{"$numberLong":"1709209800123"}}"#);
    let document = |number: usize| {
        let since = DateTime::from_millis(1_709_209_800_123);
        let id = ObjectId::parse_str(oid(number)).unwrap();
        doc! { "_id": id, "since": since, "primary_role": "coach" }.to_vec().unwrap()
    };
    let bson: Vec<Vec<u8>> = (1..=3).map(document).collect();
    let member = |bytes: &[u8]| {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    };
    let files: [(&str, Vec<u8>); 7] = [
        ("relaxed.json", relaxed.join("\n").into()),
        ("canonical.json", canonical.join("\n").into()),
        ("v1.json", relaxed.join("\n").replace("\"$oid\":", "\"$oid\" : ").into()),
        ("array.json", format!("[{}]", relaxed.join(",")).into()),
        ("pretty.json", relaxed.join("\n").replace(',', ",\n\t").into()),
        ("users.bson", bson.concat()),
        ("users.bson.gz", [member(&bson[0]), member(&bson[1..].concat())].concat()),
    ];
    let mut plans = Vec::new();
    for (name, bytes) in &files {
        let path = old.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let said = old.migrate(&path, &["--field", "primary_role", "--field", "since", "--dry-run", "--json"]).await;
        assert_eq!(said.status, Some(2), "{name}: {}", said.err);
        let plan = std::fs::read_to_string(old.folder.path().join(format!("{name}.migration/plan.ndjson"))).unwrap();
        let mut lines: Vec<Value> = plan.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines.iter_mut().for_each(|line| drop(line["place"].take()));
        plans.push(lines);
    }
    assert!(plans.windows(2).all(|pair| pair[0] == pair[1]) && plans[0].len() == 3, "{plans:?}");
    let mut cut = files[6].1.clone();
    cut.truncate(cut.len() - 5);
    let path: PathBuf = old.folder.path().join("cut.bson.gz");
    std::fs::write(&path, cut).unwrap();
    let said = old.migrate(&path, &["--field", "primary_role", "--yes"]).await;
    assert_eq!((said.status, said.out.as_str(), old.patches()), (Some(1), "", 0), "{}", said.err);
}

#[tokio::test]
async fn a1_what_clerk_has_is_merged_reported_or_replaced_and_comes_back() {
    let old = Old::open().await;
    let before = json!({ "primary_role": "client", "organization_roles": { "org_a": "client", "org_b": "admin" } });
    let user = old.user("u", before.clone()).await;
    let file = old.rows(&[json!({ "_id": "u", "primary_role": null, "organization_roles": { "org_a": "coach" } })]);
    let fields = ["--field", "primary_role", "--field", "organization_roles"];
    let (_, status) = old.report(&file, &fields).await;
    assert_eq!((status, old.patches()), (Some(2), 0));
    assert_eq!(old.lines("plan.ndjson")[0]["paths"], json!(["organization_roles.org_a"]));
    for (options, roles) in [
        (&["--on-conflict", "source"][..], json!({ "org_a": "coach", "org_b": "admin" })),
        (&["--on-conflict", "source", "--replace", "organization_roles"], json!({ "org_a": "coach" })),
    ] {
        let folder = old.folder.path().join(format!("folder-{}", options.len()));
        let folder = ["--folder", folder.to_str().unwrap()];
        let (_, status) = old.report(&file, &[&fields[..], options, &folder].concat()).await;
        assert_eq!(status, Some(0));
        assert_eq!(old.metadata_of(&user).await, json!({ "primary_role": "client", "organization_roles": roles }));
        let (report, status) = old.report(&file, &[&["--undo"], &folder[..]].concat()).await;
        assert_eq!((status, &report["undone"]["restored"]), (Some(0), &json!(1)));
        assert_eq!(old.metadata_of(&user).await, before);
        // A second undo finds nothing.
        let (report, status) = old.report(&file, &[&["--undo"], &folder[..]].concat()).await;
        assert_eq!((status, &report["changes"]), (Some(0), &json!(0)));
    }
}

#[tokio::test]
async fn a1_metadata_that_would_be_too_large_cost_no_request() {
    let old = Old::open().await;
    old.user("big", json!({ "t": "x".repeat(7_990) })).await;
    let small = old.user("small", json!({})).await;
    let file = old
        .rows(&[json!({ "_id": "big", "note": "y".repeat(300) }), json!({ "_id": "small", "note": "y".repeat(300) })]);
    let (report, status) = old.report(&file, &["--field", "note"]).await;
    assert_eq!((status, old.patches()), (Some(2), 1), "{report}");
    assert_eq!(report["done"]["by_result"], json!({ "changed": 1, "refused": 1 }));
    assert!(result(&old.lines("results.ndjson"), 1)["reason"].as_str().unwrap().contains("8 KB"));
    assert_eq!(old.lines("refused.ndjson"), old.lines("results.ndjson")[..1]);
    assert_eq!(old.metadata_of(&small).await["note"].as_str().unwrap().len(), 300);
}

#[tokio::test]
async fn a1_a_hundred_ids_with_signs_are_one_request_and_find_nobody_else() {
    let old = Old::open().await;
    for number in 0..100 {
        old.user(&format!("-Nx{number:02}"), json!({})).await;
    }
    for number in 0..40 {
        old.user(&format!("other{number}"), json!({})).await;
    }
    let rows: Vec<Value> = (0..100).map(|number| json!({ "_id": format!("-Nx{number:02}"), "plan": "pro" })).collect();
    let file = old.rows(&rows);
    let lists = || old.world.stack.clerk.requests().get("GET /v1/users").copied().unwrap_or_default();
    let before = lists();
    let said = old.migrate(&file, &["--field", "plan", "--dry-run", "--json"]).await;
    assert_eq!((&said.json()["plan"]["by_result"], lists() - before), (&json!({ "changed": 100 }), 1), "{}", said.err);
}

#[tokio::test]
async fn a1_addresses_match_only_with_proof_on_both_sides() {
    let old = Old::open().await;
    let create = async |address: &str, status: &str| {
        let body = json!({ "email_address": [address], "email_address_identification_status": [status] });
        old.world.clerk("POST", "/users", body).await["id"].as_str().unwrap().to_owned()
    };
    // The emulator marks an address as an import does, or as reserved.
    let fay = create("fay@x.org", "verified").await;
    create("bob@x.org", "reserved").await;
    create("carol@x.org", "verified").await;
    create("eve@x.org", "verified").await;
    let row = |id: &str, email: &str, proof: Value| json!({ "_id": id, "email": email, "proven": proof, "plan": "pro", "clerk": null });
    let file = old.rows(&[
        row("fay", " Fay@X.org ", json!(true)),
        row("bob", "bob@x.org", json!(true)),
        row("eve", "eve@x.org", Value::Null),
        row("dan", "dan@x.org", json!(true)),
        row("carol", "carol@x.org", json!(true)),
        row("carol2", "CAROL@x.org", json!(true)),
        json!({ "_id": "gus", "clerk": "user_dev", "email": "fay@x.org", "proven": true, "plan": "pro" }),
    ]);
    let named = ["--field", "plan", "--email", "email", "--email-proof", "proven", "--clerk-id", "clerk"];
    let reasons = || -> Vec<String> {
        let line = |line: &Value| line["reason"].as_str().or(line["by"].as_str()).unwrap().to_owned();
        old.lines("plan.ndjson").iter().map(line).collect()
    };
    old.migrate(&file, &[&named[..], &["--dry-run"]].concat()).await;
    assert_eq!(reasons()[..6], ["no_user"; 6], "nobody is matched by an address unless asked for");
    std::fs::remove_dir_all(old.folder.path().join("users.json.migration")).unwrap();
    old.migrate(&file, &[&named[..], &["--dry-run", "--match-email"]].concat()).await;
    let expected = [
        // The row of gus has the same address.
        "address_of_several_rows",
        "clerk_address_unproven",
        "row_address_unproven",
        "no_user",
        "address_of_several_rows",
        "address_of_several_rows",
        "clerk_id_not_found",
    ];
    assert_eq!(reasons(), expected);
    let numbers = |name: &str| old.lines(name).iter().map(|line| line["row"].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!((numbers("unmatched.ndjson"), numbers("ambiguous.ndjson")), (vec![2, 3, 4, 7], vec![1, 5, 6]));
    assert_eq!(old.lines("unmatched.ndjson")[0], old.lines("plan.ndjson")[1], "with place, old id and reason");
    let alone = old.rows(&[row("fay", " Fay@X.org ", json!(true))]);
    std::fs::remove_dir_all(old.folder.path().join("users.json.migration")).unwrap();
    old.migrate(&alone, &[&named[..], &["--dry-run", "--match-email"]].concat()).await;
    assert_eq!(reasons(), ["clerk_address_imported"]);
    std::fs::remove_dir_all(old.folder.path().join("users.json.migration")).unwrap();
    let (_, status) =
        old.report(&alone, &[&named[..], &["--match-email", "--trust-imported-addresses"]].concat()).await;
    assert_eq!((status, old.metadata_of(&fay).await), (Some(0), json!({ "plan": "pro" })));
}

#[tokio::test]
async fn a1_a_run_that_is_killed_after_an_answer_goes_on_and_changes_nobody_twice() {
    let old = Old::open().await;
    let users = 30;
    let mut ids = Vec::new();
    for number in 0..users {
        ids.push(old.user(&format!("u{number}"), json!({})).await);
    }
    let rows: Vec<Value> = (0..users).map(|number| json!({ "_id": format!("u{number}"), "plan": "pro" })).collect();
    let file = old.rows(&rows);
    let wire = Wire::start(old.world.stack.addresses.clerk.clone()).await;
    let args = ["migrate", "metadata", file.to_str().unwrap(), "--field", "plan", "--yes"];
    let mut held = wire.hold_at(Point::Answer);
    let folder = tempfile::tempdir().unwrap();
    let mut record = commands::record(&old.world);
    record.settings.insert("CLERK_API_URL".to_owned(), wire.url().to_owned());
    let _published = record::publish(&folder.path().join("rollcall"), &record).unwrap();
    let mut killed = command(binary().to_str().unwrap(), &[]);
    killed.args(args).arg("--local").env("XDG_RUNTIME_DIR", folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = killed.spawn().unwrap();
    let mut writes = 0;
    while let Some(request) = held.recv().await {
        writes += usize::from(request.writes);
        if writes == 12 {
            // Clerk has answered, and the command does not hear it.
            process.kill().await.unwrap();
            break;
        }
        request.release();
    }
    drop(held);
    let so_far = old.patches();
    assert!((12..u64::try_from(users).unwrap()).contains(&so_far), "{so_far}");
    let again = finish({
        let mut again = command(binary().to_str().unwrap(), &[]);
        again.args(on(&old.world, &[&args[..], &["--json"]].concat()));
        again
    })
    .await;
    assert_eq!(again.status, Some(0), "{}", again.err);
    let results = again.json()["done"]["by_result"].clone();
    assert_eq!(results["changed"].as_u64().unwrap() + results["changed_before"].as_u64().unwrap(), 30, "{results}");
    assert_eq!(old.patches(), 30, "each user was changed once");
    for id in &ids {
        assert_eq!(old.metadata_of(id).await, json!({ "plan": "pro" }));
    }
    let (report, status) = old.report(&file, &["--undo"]).await;
    assert_eq!((status, &report["undone"]["restored"]), (Some(0), &json!(30)), "{report}");
    for id in &ids {
        assert_eq!(old.metadata_of(id).await, json!({}));
    }
}

#[tokio::test]
async fn a1_bad_input_writes_nothing() {
    let old = Old::open().await;
    old.user("a", json!({})).await;
    let good = old.rows(&[json!({ "_id": "a", "plan": "pro" })]);
    let broken = old.file("broken.json", "{\"_id\":\"a\",\"plan\":\"pro\"}\n{\"_id\":\"b\",\"plan\":");
    for (file, options, status, reason) in [
        (&broken, &["--field", "plan"][..], 1, "line 2"),
        (&good, &[], 64, "names no field"),
        (&good, &["--field", "role=plan"], 64, "role of the metadata is written by Rollcall"),
        (&good, &["--field", "a=plan", "--field", "a.b=plan"], 64, "overlap"),
        (&good, &["--field", "plan", "--replace", "x"], 64, "--replace x"),
        (&good, &["--field", "plan", "--mapping", "none.toml"], 1, "none.toml"),
        (&good, &["--field", "plan", "--trust-imported-addresses"], 64, "--match-email"),
        (&good, &["--undo"], 1, "is no folder of a migration"),
    ] {
        let said = old.migrate(file, &[options, &["--yes"]].concat()).await;
        assert_eq!((said.status, said.out.as_str()), (Some(status), ""), "{options:?}: {}", said.err);
        assert!(said.err.contains(reason), "{options:?}: {}", said.err);
    }
    let (_, status) = old.report(&good, &["--field", "plan"]).await;
    assert_eq!((status, old.patches()), (Some(0), 1));
    // Without its journal, a migration that wrote something cannot be undone; one that wrote nothing can.
    let journal = old.folder.path().join("users.json.migration/journal.ndjson");
    let aside = old.folder.path().join("aside");
    std::fs::rename(&journal, &aside).unwrap();
    let said = old.migrate(&good, &["--undo", "--yes"]).await;
    let why = "journal.ndjson is missing, and this migration has written something";
    assert_eq!((said.status, said.out.as_str(), said.err.matches(why).count()), (Some(1), "", 1), "{}", said.err);
    std::fs::rename(&aside, &journal).unwrap();
    let said = old.migrate(&good, &["--undo", "--dry-run"]).await;
    assert!(said.out.contains("1 change of users in"), "{}", said.out);
    let planned = old.file("planned.json", "{\"_id\":\"a\",\"x\":1}\n");
    old.migrate(&planned, &["--field", "x", "--dry-run"]).await;
    let (report, status) = old.report(&planned, &["--undo"]).await;
    assert_eq!((status, &report["changes"], old.patches()), (Some(0), &json!(0), 1));
    // The folder belongs to this input, these options and this instance.
    let said = old.migrate(&good, &["--field", "plan", "--field", "x", "--yes"]).await;
    assert_eq!(said.status, Some(1));
    assert!(said.err.contains("belongs to another migration"), "{}", said.err);
    old.rows(&[json!({ "_id": "a", "plan": "free" })]);
    let said = old.migrate(&good, &["--field", "plan", "--yes"]).await;
    assert!(said.err.contains("the SHA-256 of the input"), "{}", said.err);
    assert_eq!(old.patches(), 1);
}
