//! A7: `rollcall migrate verify` proves what data can prove, and names the rows that contradict.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Old;
use crate::operator::commands::{Evidence, rollcall, run};

/// Three old users, migrated as in the first scenario of A1, and files of other collections.
pub(super) struct Finished {
    pub(super) old: Old,
    pub(super) users: Vec<String>,
}

pub(super) fn old_id(number: usize) -> Value {
    json!({ "$oid": format!("65a0000000000000000000a{number}") })
}

pub(super) fn typed(number: usize) -> String {
    format!("oid:65a0000000000000000000a{number}")
}

pub(super) const USERS: &str = "[users]\nfolder = 'users.json.migration'\nfiles = ['users.json']\n";
pub(super) const PROFILES: &str = "[[collection]]\nname = 'profiles'\nfiles = ['profiles.json']\nbackup = ['profiles.before.json']\n\
                        references = { user_id = 'clerk_user_id' }\n";
const EVENTS: &str = "[[collection]]\nname = 'events'\nfiles = ['events.json']\n";

impl Finished {
    pub(super) async fn open() -> Finished {
        let old = Old::open().await;
        let users = vec![
            old.user("x1", json!({ "dbId": "x" })).await,
            old.user("x2", json!({ "session_auto_send_context": false })).await,
            old.user("x3", json!({})).await,
        ];
        let row = |number: usize, rest: Value| {
            let mut row = json!({ "_id": old_id(number), "clerk_user_id": users[number - 1] });
            row.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            row
        };
        let file = old.rows(&[
            row(1, json!({ "primary_role": "coach" })),
            row(2, json!({ "session_auto_send_context": false })),
            row(3, json!({})),
        ]);
        let options =
            ["--clerk-id", "clerk_user_id", "--field", "primary_role", "--field", "session_auto_send_context"];
        assert_eq!(old.report(&file, &options).await.1, Some(0));
        let finished = Finished { old, users };
        let before = |number: usize| json!({ "_id": number, "user_id": old_id(number) });
        let exported = finished.lines("profiles.before.json", &[before(1), before(2)]);
        finished.rekey(&exported).await;
        finished.lines("events.json", &[json!({ "_id": 1, "meta": { "by": "nobody" } })]);
        finished
    }

    /// Rekeys an export of the profiles into `profiles.json`.
    async fn rekey(&self, exported: &Path) {
        let (map, folder) = (self.path("users.json.migration"), self.path("rekeyed"));
        let args = ["migrate", "rekey", exported.to_str().unwrap(), "--map", &map, "--reference", "user_id"];
        let said = run(&[&args[..], &["--folder", &folder]].concat(), &[]).await;
        assert_eq!(said.status, Some(0), "{} {}", said.out, said.err);
        std::fs::copy(Path::new(&folder).join("rekeyed-profiles.before.json"), self.path("profiles.json")).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.old.folder.path().join(name).to_string_lossy().into_owned()
    }

    /// A profile that was rekeyed.
    pub(super) fn profile(&self, number: usize) -> Value {
        json!({ "_id": number, "user_id": old_id(number), "clerk_user_id": self.users[number - 1] })
    }

    pub(super) fn lines(&self, name: &str, rows: &[Value]) -> PathBuf {
        self.old.file(name, &rows.iter().map(|row| format!("{row}\n")).collect::<String>())
    }

    /// A backup of so many profiles.
    pub(super) fn backup(&self, profiles: usize) {
        let before = |number| json!({ "_id": number, "user_id": old_id(1 + number % 3) });
        self.lines("profiles.before.json", &(1..=profiles).map(before).collect::<Vec<_>>());
    }

    pub(super) async fn run(&self, file: &str, options: &[&str], settings: &[(&str, &str)]) -> Evidence {
        let path = self.old.file("verify.toml", file);
        let args = [&["migrate", "verify", path.to_str().unwrap()], options].concat();
        rollcall(&self.old.world, &args, settings).await
    }

    /// The report and the exit status.
    pub(super) async fn verify(&self, file: &str) -> (Value, Option<i32>) {
        let said = self.run(file, &["--json"], &[]).await;
        assert!(!said.out.is_empty(), "{}", said.err);
        (said.json(), said.status)
    }

    /// The same for a verify file that is refused, whose error has this text.
    pub(super) async fn refused(&self, file: &str, status: i32, reason: &str) {
        let said = self.run(file, &["--json"], &[]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(status), ""), "{file}: {}", said.err);
        assert!(said.err.contains(reason), "{file}: no {reason:?} in {}", said.err);
    }

    pub(super) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.old.folder.path().join("verify.toml.verification").join(name)).unwrap()
    }

    fn requests(&self) -> u64 {
        self.old.world.stack.clerk.requests().values().sum()
    }
}

pub(super) fn states(report: &Value) -> Vec<&str> {
    report["criteria"].as_array().unwrap().iter().map(|criterion| criterion["state"].as_str().unwrap()).collect()
}

/// The counts of the first collection's first listed reference.
pub(super) fn listed(report: &Value) -> &Value {
    &report["collections"][0]["references"][0]["counts"]
}

fn why(report: &Value, criterion: usize) -> &str {
    report["criteria"][criterion - 1]["why"].as_str().unwrap()
}

/// The findings of a criterion: collection, path, problem, count.
pub(super) fn found(report: &Value, criterion: usize) -> Vec<String> {
    let groups = report["criteria"][criterion - 1]["findings"].as_array().unwrap();
    let text = |group: &Value| {
        let text = |name: &str| group[name].as_str().unwrap().to_owned();
        format!("{} {} {} {}", text("collection"), text("path"), text("problem"), group["count"])
    };
    groups.iter().map(text).collect()
}

pub(super) fn hash(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a7_a_late_row_and_a_reference_that_nobody_listed_are_named_until_they_are_mended() {
    let finished = Finished::open().await;
    finished.backup(3);
    let late = json!({ "_id": 3, "user_id": old_id(3) });
    finished.lines("profiles.json", &[finished.profile(1), finished.profile(2), late]);
    let invited = json!({ "_id": 1, "meta": { "invited_by": old_id(1) }, "note": "x" });
    finished.lines("events.json", &[invited.clone(), invited]);
    let file = format!("{USERS}{PROFILES}{EVENTS}");
    let patches = finished.old.patches();
    let (report, status) = finished.verify(&file).await;
    assert_eq!(status, Some(2), "{report}");
    let expected = ["proven", "not_proven", "not_proven", "not_provable_here", "not_provable_here", "proven"];
    assert_eq!(states(&report), expected);
    assert_eq!(found(&report, 2), ["profiles user_id lacks_new_field 1"]);
    assert_eq!(found(&report, 3), ["events meta.invited_by unlisted_reference 2"]);
    let findings: Vec<Value> =
        finished.read("findings.ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(findings.len(), 3);
    assert_eq!(findings[0]["legacy_id"], json!(typed(3)));
    assert!(findings[0]["place"].as_str().unwrap().contains("profiles.json, line 3"), "{findings:?}");
    // The same for people.
    let said = finished.run(&file, &[], &[]).await;
    assert_eq!(said.status, Some(2));
    for text in ["NOT PROVEN", "meta.invited_by", "lacks new field", "Signature:", "expires"] {
        assert!(said.out.contains(text), "{text}: {}", said.out);
    }
    assert!(said.out.starts_with(finished.read("report.txt").trim_end()));

    finished.lines("profiles.json", &[finished.profile(1), finished.profile(2), finished.profile(3)]);
    let by_clerk_id = json!({ "_id": 1, "meta": { "invited_by": old_id(1), "clerk_user_id": finished.users[0] } });
    finished.lines("events.json", &[by_clerk_id]);
    let listed =
        format!("{EVENTS}references = {{ 'meta.invited_by' = 'clerk_user_id' }}\nbackup = ['events.before.json']\n");
    finished.lines("events.before.json", &[json!({ "_id": 1, "meta": { "invited_by": old_id(1) } })]);
    let (report, status) = finished.verify(&format!("{USERS}{PROFILES}{listed}")).await;
    assert_eq!(status, Some(0), "{report}");
    let expected = ["proven", "proven", "proven", "not_provable_here", "not_provable_here", "proven"];
    assert_eq!(states(&report), expected);
    assert_eq!(report["criteria"][4]["evidence"].as_array().unwrap().len(), 3);
    assert_eq!(finished.old.patches(), patches, "a verification writes nothing to Clerk");
    // The report names what it is about.
    for (pointer, name) in [("/verify_file/sha256", "verify.toml"), ("/collections/0/sha256", "profiles.json")] {
        let bytes = std::fs::read_to_string(finished.old.folder.path().join(name)).unwrap();
        assert_eq!(report.pointer(pointer), Some(&json!(hash(&bytes))), "{name}");
    }
    let report_file: Value = serde_json::from_str(&finished.read("report.json")).unwrap();
    assert_eq!(report_file["criteria"], report["criteria"]);
    let path = finished.old.folder.path().join("verify.toml.verification/report.json");
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a7_each_new_field_has_the_user_of_the_map_whom_clerk_has() {
    let finished = Finished::open().await;
    let id = |number: usize| finished.users[number].clone();
    let file = format!("{USERS}{PROFILES}");
    for (row, problem) in [
        (json!({ "user_id": old_id(1), "clerk_user_id": id(1) }), "user_id not_the_user_of_the_map"),
        (json!({ "user_id": old_id(1), "clerk_user_id": null }), "user_id lacks_new_field"),
        (json!({ "user_id": old_id(1), "clerk_user_id": "Ann Lee" }), "user_id new_field_is_no_clerk_id"),
        (json!({ "user_id": old_id(9), "clerk_user_id": id(0) }), "user_id unknown_id"),
        (json!({ "user_id": old_id(9) }), "user_id unknown_id"),
        (json!({ "user_id": "65a0000000000000000000a1", "clerk_user_id": id(0) }), "user_id unknown_id"),
        (json!({ "user_id": true, "clerk_user_id": id(0) }), "user_id not_an_id"),
        (json!({ "clerk_user_id": "user_nobody" }), "clerk_user_id not_in_clerk"),
        (json!({ "clerk_user_id": 7 }), "clerk_user_id new_field_is_no_clerk_id"),
        (
            json!({ "user_id": [old_id(1), old_id(2)], "clerk_user_id": [id(1), id(0)] }),
            "user_id not_the_user_of_the_map",
        ),
        (json!({ "user_id": [old_id(1)], "clerk_user_id": id(0) }), "user_id not_the_user_of_the_map"),
    ] {
        finished.lines("profiles.json", std::slice::from_ref(&row));
        let (report, status) = finished.verify(&file).await;
        assert_eq!((status, found(&report, 2)), (Some(2), vec![format!("profiles {problem} 1")]), "{row}");
        assert!(!report.to_string().contains("Ann Lee") && !finished.read("findings.ndjson").contains("Ann Lee"));
    }
    let rows = [
        json!({ "user_id": old_id(1), "clerk_user_id": id(0) }),
        json!({ "user_id": [old_id(1), old_id(2)], "clerk_user_id": [id(0), id(1)] }),
        json!({ "clerk_user_id": id(2) }),
        json!({ "user_id": null }),
        json!({}),
    ];
    finished.lines("profiles.json", &rows);
    finished.backup(rows.len());
    let (report, status) = finished.verify(&file).await;
    let counts = listed(&report);
    assert_eq!(status, Some(0), "{report}");
    assert_eq!(
        [&counts["right"], &counts["new_only"], &counts["rows_without_values"]],
        [&json!(2), &json!(1), &json!(2)]
    );
    // The text of an ObjectId is the same id if the verify file says so.
    finished.lines("profiles.json", &[json!({ "user_id": "65a0000000000000000000a1", "clerk_user_id": id(0) })]);
    let (report, status) = finished.verify(&format!("{file}loose_ids = true\n")).await;
    assert_eq!((status, &listed(&report)["right_by_loose_ids"]), (Some(0), &json!(1)));
    // In each document of an array, beside the old field.
    let nested = PROFILES.replace("user_id =", "'members.user_id' =");
    let members = |second: Value| json!({ "members": [{ "user_id": old_id(1), "clerk_user_id": id(0) }, second] });
    for (second, status) in [
        (json!({ "user_id": old_id(2), "clerk_user_id": id(1) }), Some(0)),
        (json!({ "user_id": old_id(2) }), Some(2)),
        (json!({ "user_id": old_id(2), "clerk_user_id": id(0) }), Some(2)),
    ] {
        finished.lines("profiles.json", &[members(second.clone())]);
        let (report, is) = finished.verify(&format!("{USERS}{nested}")).await;
        assert_eq!(is, status, "{second}: {report}");
        assert!(status == Some(0) || found(&report, 2)[0].starts_with("profiles members[].user_id "), "{report}");
    }
}

#[tokio::test]
async fn a7_a_user_who_was_deleted_after_the_rekey_is_found_by_asking_for_everyone() {
    let finished = Finished::open().await;
    finished.lines("profiles.json", &[finished.profile(1), finished.profile(2), finished.profile(3)]);
    finished.backup(3);
    let file = format!("{USERS}{PROFILES}");
    assert_eq!(finished.verify(&file).await.1, Some(0));
    finished.old.world.clerk("DELETE", &format!("/users/{}", finished.users[2]), Value::Null).await;
    let (report, status) = finished.verify(&file).await;
    assert_eq!(status, Some(2));
    assert_eq!(found(&report, 1), ["users  unmatched 1"]);
    assert_eq!(found(&report, 2), ["profiles user_id not_in_clerk 1"]);
    let line = format!("{{\"legacy_id\":\"{}\",\"reason\":\"has left\"}}\n", typed(3));
    finished.old.file("exceptions.ndjson", &line);
    let signed = format!("exceptions = 'exceptions.ndjson'\nexceptions_sha256 = '{}'\n", hash(&line));
    let (report, status) = finished.verify(&format!("{USERS}{signed}{PROFILES}")).await;
    assert_eq!((status, &listed(&report)["excepted"]), (Some(0), &json!(1)), "{report}");
}

#[tokio::test]
async fn a7_an_old_id_is_found_in_any_form_at_any_path() {
    let finished = Finished::open().await;
    let (file, hex) = (format!("{USERS}{PROFILES}{EVENTS}"), "65a0000000000000000000a1");
    for (row, finding) in [
        (json!({ "a": [{ "b": old_id(1) }, { "b": old_id(2) }] }), "events a[].b unlisted_reference 2"),
        (json!({ "a": hex }), "events a unlisted_reference_of_another_type 1"),
        (json!({ "scores": { hex: 3 } }), "events scores.* field_named_by_an_old_id 1"),
        (json!({ "pk": format!("USER#{hex}") }), "events pk text_that_contains_an_old_id 1"),
        (json!({ "_id": old_id(1) }), "events _id unlisted_reference 1"),
    ] {
        finished.lines("events.json", std::slice::from_ref(&row));
        let (report, status) = finished.verify(&file).await;
        assert_eq!((status, found(&report, 3)), (Some(2), vec![finding.to_owned()]), "{row}");
    }
    finished.lines("events.json", &[json!({ "a": { "b": old_id(1) } })]);
    let accepted = |path: &str| format!("{file}accepted = {{ '{path}' = 'an archive' }}\n");
    let (report, status) = finished.verify(&accepted("a.b")).await;
    assert_eq!((status, &report["collections"][1]["counts"]["accepted"]), (Some(0), &json!(1)), "{report}");
    assert_eq!(finished.verify(&accepted("a")).await.1, Some(2));
}

#[tokio::test]
async fn a7_a_misspelt_reference_and_an_empty_export_prove_nothing() {
    let finished = Finished::open().await;
    let misspelt = PROFILES.replace("user_id = ", "userid = ");
    let (report, status) = finished.verify(&format!("{USERS}{misspelt}{EVENTS}")).await;
    assert_eq!((status, states(&report)[1]), (Some(2), "not_proven"), "{report}");
    assert!(why(&report, 2).contains("No row has an old id in userid of profiles"), "{report}");
    // Another reference of the collection that is right is no proof for this one.
    let second = PROFILES.replace("{ user_id", "{ userid = 'other', user_id");
    let (report, status) = finished.verify(&format!("{USERS}{second}")).await;
    assert_eq!((status, states(&report)[1]), (Some(2), "not_proven"), "{report}");
    assert!(why(&report, 2).contains("No row has an old id in userid of profiles: check the names"), "{report}");
    finished.lines("events.json", &[]);
    let (report, status) = finished.verify(&format!("{USERS}{PROFILES}{EVENTS}")).await;
    assert_eq!((status, &states(&report)[1..3]), (Some(2), &["proven", "not_proven"][..]), "{report}");
    assert!(report["criteria"][2]["why"].as_str().unwrap().contains("No rows were read of events"), "{report}");
}

#[tokio::test]
async fn a7_integers_are_no_proof() {
    let old = Old::open().await;
    let user = old.user("7", json!({})).await;
    old.file("users.csv", "id,plan\n7,\n");
    let file = old.folder.path().join("users.csv");
    let (report, status) = old.report(&file, &["--csv", "--legacy-id", "id", "--field", "plan"]).await;
    assert_eq!(status, Some(0), "{report}");
    old.file("profiles.csv", &format!("id,user_id,clerk_user_id\n7,7,{user}\n"));
    let verify = old.file(
        "verify.toml",
        "[users]\nfolder = 'users.csv.migration'\nfiles = ['users.csv']\ncsv = true\n[[collection]]\nname = 'profiles'\n\
         files = ['profiles.csv']\ncsv = true\nreferences = { user_id = 'clerk_user_id' }\n",
    );
    let said = rollcall(&old.world, &["migrate", "verify", verify.to_str().unwrap(), "--json"], &[]).await;
    let report = said.json();
    assert_eq!(said.status, Some(0), "{report}");
    // Any number would look like the id 7, so nothing is proven about unlisted references; no backup is named.
    assert_eq!(states(&report)[..4], ["proven", "proven", "not_provable_here", "not_provable_here"]);
    assert_eq!(states(&report)[5], "not_provable_here");
    assert_eq!(report["users"]["counts"]["numbers"], json!(1));
    // References that were forgotten are not searched for, so nobody has looked at them.
    let text = std::fs::read_to_string(&verify).unwrap();
    std::fs::write(&verify, text.replace("references = { user_id = 'clerk_user_id' }\n", "")).unwrap();
    let said = rollcall(&old.world, &["migrate", "verify", verify.to_str().unwrap(), "--json"], &[]).await;
    let report = said.json();
    assert_eq!(said.status, Some(2), "{report}");
    assert_eq!(states(&report)[..3], ["proven", "not_proven", "not_provable_here"]);
}

#[tokio::test]
async fn a7_a_file_that_lists_no_reference_proves_nothing() {
    let finished = Finished::open().await;
    let (report, status) = finished.verify(USERS).await;
    assert_eq!((status, &states(&report)[..3]), (Some(2), &["proven", "not_proven", "not_proven"][..]), "{report}");
    for criterion in [2, 3] {
        assert!(why(&report, criterion).contains("lists no collection: add a [[collection]] for each"), "{report}");
    }
    let said = finished.run(USERS, &[], &[]).await;
    assert_eq!(said.status, Some(2), "{}", said.err);
    assert!(said.out.contains("\nNot to sign yet, because a criterion is not proven: "), "{}", said.out);
    assert!(!said.out.contains("To sign and keep"), "{}", said.out);
    let (report, status) = finished.verify(&format!("{USERS}{EVENTS}")).await;
    assert_eq!((status, &states(&report)[..3]), (Some(2), &["proven", "not_proven", "proven"][..]), "{report}");
    assert!(why(&report, 2).contains("lists a reference: add the fields that have ids of old users"), "{report}");
    let said = finished.run(&format!("{USERS}{PROFILES}"), &[], &[]).await;
    assert_eq!(said.status, Some(0), "{}", said.err);
    assert!(said.out.contains("\nTo sign and keep: "), "{}", said.out);
}

#[tokio::test]
async fn a7_a_live_table_proves_that_no_late_row_has_the_old_field_only() {
    let finished = Finished::open().await;
    let dynamodb = &finished.old.world.stack.dynamodb;
    let id = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
    let table = dynamodb.create_table().table_name("app.profiles").billing_mode(BillingMode::PayPerRequest);
    let table = table.attribute_definitions(id.build().unwrap()).key_schema(key.build().unwrap());
    table.send().await.unwrap();
    let put = async |id: &str, user: Option<&str>| {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let put = dynamodb.put_item().table_name("app.profiles").item("id", text(id));
        let put = put.item("user_id", text("65a0000000000000000000a1")).item("blob", text(&"x".repeat(300_000)));
        let put = match user {
            Some(user) => put.item("clerk_user_id", text(user)),
            None => put,
        };
        put.send().await.unwrap();
    };
    // More than a page of 1 MB.
    for number in 0..6 {
        put(&format!("p{number}"), Some(&finished.users[0])).await;
    }
    let before = (0..7).map(|number| json!({ "id": format!("p{number}"), "user_id": old_id(1) })).collect::<Vec<_>>();
    finished.lines("profiles.before.json", &before);
    let file = format!(
        "{USERS}[[collection]]\nname = 'profiles'\ntable = 'app.profiles'\nloose_ids = true\n\
         references = {{ user_id = 'clerk_user_id' }}\nbackup = ['profiles.before.json']\n"
    );
    let (report, status) = finished.verify(&file).await;
    assert_eq!((status, &report["collections"][0]["counts"]["rows"]), (Some(0), &json!(6)), "{report}");
    assert_eq!(states(&report), ["proven", "proven", "proven", "proven", "not_provable_here", "proven"]);
    let rows = finished.old.folder.path().join("verify.toml.verification/table-profiles.ndjson");
    assert_eq!(std::fs::metadata(rows).unwrap().permissions().mode() & 0o777, 0o600);
    put("late", None).await;
    let (report, status) = finished.verify(&file).await;
    assert_eq!(status, Some(2));
    assert_eq!(states(&report)[..4], ["proven", "not_proven", "proven", "not_proven"]);
    assert_eq!(found(&report, 2), ["profiles user_id lacks_new_field 1"]);
    // Rollcall's own tables can be searched as well.
    let profiles = PROFILES.replace("backup = ['profiles.before.json']\n", "");
    let own = format!("{USERS}{profiles}[[collection]]\nname = 'directory'\ntable = 'rollcall-directory'\n");
    let (report, status) = finished.verify(&own).await;
    assert_eq!((status, &report["collections"][1]["live_table"]), (Some(0), &json!(true)), "{report}");
    finished.refused(&file.replace("app.profiles", "nowhere"), 1, "table nowhere: DynamoDB rejected the scan").await;
}

#[tokio::test]
async fn a7_a_backup_counts_only_if_it_was_read_to_its_end() {
    let finished = Finished::open().await;
    let file = format!("{USERS}{PROFILES}");
    assert_eq!(states(&finished.verify(&file).await.0)[5], "proven");
    let profiles = std::fs::read_to_string(finished.old.folder.path().join("profiles.json")).unwrap();
    for (content, reason) in [
        ("{\"user_id\":1}\n{\"user_id\":", "line 2"),
        ("", "profiles.before.json has 0 rows, and the collection profiles has 2 rows"),
        (profiles.as_str(), "the same bytes as the export after the rekey"),
    ] {
        finished.old.file("profiles.before.json", content);
        let (report, status) = finished.verify(&file).await;
        assert_eq!((status, states(&report)[5]), (Some(2), "not_proven"), "{content}");
        assert!(why(&report, 6).contains(reason), "{report}");
    }
    std::fs::remove_file(finished.old.folder.path().join("profiles.before.json")).unwrap();
    let (report, status) = finished.verify(&file).await;
    assert_eq!((status, states(&report)[5]), (Some(2), "not_proven"));
    assert!(why(&report, 6).contains("profiles.before.json: correct `backup` of the collection profiles"), "{report}");
    let unnamed = file.replace("backup = ['profiles.before.json']\n", "");
    let (report, status) = finished.verify(&unnamed).await;
    assert_eq!((status, states(&report)[5]), (Some(0), "not_provable_here"));
}

#[tokio::test]
async fn a7_a_backup_with_fewer_rows_or_of_something_else_is_no_backup() {
    let finished = Finished::open().await;
    let file = format!("{USERS}{PROFILES}");
    let row = |id: Value| json!({ "_id": id, "user_id": old_id(1) });
    let name = "profiles.before.json has 1 row, and the collection profiles has 2 rows: name an export from before";
    let other = "profiles.before.json has 3 rows, the collection profiles has 2 rows, and no row of the backup has the _id \
                 or id of a row of the collection: name the export of profiles from before the rekey";
    for (rows, reason) in [
        (vec![row(json!(1))], name),
        (vec![row(json!(7)), row(json!(8)), row(old_id(1))], other),
        (vec![json!({ "key": 1 }), json!({ "key": 2 }), json!({ "key": 3 })], other),
    ] {
        finished.lines("profiles.before.json", &rows);
        let (report, status) = finished.verify(&file).await;
        assert_eq!((status, states(&report)[5]), (Some(2), "not_proven"), "{report}");
        assert!(why(&report, 6).contains(reason), "{report}");
        let backup = &report["backups"][0];
        assert_eq!((&backup["rows"], &backup["collection_rows"]), (&json!(rows.len()), &json!(2)), "{report}");
    }
    // Rows that were written since may be in another file. One row in common is enough.
    finished.lines("profiles.before.json", &[row(json!(1))]);
    finished.lines("profiles.since.json", &[row(json!(9))]);
    let two = file.replace("'profiles.before.json'", "'profiles.before.json', 'profiles.since.json'");
    let (report, status) = finished.verify(&two).await;
    assert_eq!((status, states(&report)[5]), (Some(0), "proven"), "{report}");
    assert!(why(&report, 6).contains("profiles (2 rows, and 2 now; the _id or id of at least one row is the same)"));
    // Ids that the rows do not have are not compared, and the report says so.
    let key = |key: u64| json!({ "key": key, "user_id": old_id(1), "clerk_user_id": finished.users[0] });
    finished.lines("profiles.json", &[key(1)]);
    finished.lines("profiles.before.json", &[json!({ "key": 2 })]);
    let (report, status) = finished.verify(&file).await;
    assert_eq!((status, states(&report)[5]), (Some(0), "proven"), "{report}");
    assert!(why(&report, 6).contains("profiles (1 row, and 1 now; ids were not compared"), "{report}");
    let (report, status) = finished.verify(&format!("{file}id = 'key'\n")).await;
    assert_eq!((status, states(&report)[5]), (Some(2), "not_proven"), "{report}");
    assert!(why(&report, 6).contains("no row of the backup has the key of a row"), "{report}");
    let (report, _) = finished.verify(&format!("{file}id = 'kee'\n")).await;
    assert_eq!(states(&report)[5], "not_proven");
    assert!(why(&report, 6).contains("no row of the collection profiles has an id in kee: correct `id`"), "{report}");
}

#[tokio::test]
async fn a7_rows_without_a_value_are_counted_and_the_counts_add_up() {
    let finished = Finished::open().await;
    let id = |number: usize| finished.users[number - 1].clone();
    let rows = [
        finished.profile(1),
        json!({ "_id": 2, "user_id": [old_id(1), old_id(2)], "clerk_user_id": [id(1), id(2)] }),
        json!({ "_id": 3, "clerk_user_id": id(3) }),
        json!({ "_id": 4, "user_id": null }),
        json!({ "_id": 5 }),
        json!({ "_id": 6, "user_id": [] }),
        json!({ "_id": 7, "user_id": "" }),
        json!({ "_id": 8, "members": [] }),
        json!({ "_id": 9, "members": [{ "by": null }, {}] }),
        json!({ "_id": 10, "members": [{ "by": null }, { "by": old_id(1), "who": id(1) }, { "by": old_id(2) }, { "who": id(3) }] }),
    ];
    finished.lines("profiles.json", &rows);
    let file = PROFILES.replace("{ user_id", "{ 'members.by' = 'who', user_id");
    let (report, status) = finished.verify(&format!("{USERS}{file}")).await;
    assert_eq!(status, Some(2), "{report}");
    assert_eq!(found(&report, 2), ["profiles members[].by lacks_new_field 1"]);
    let counts = |reference: usize| {
        let counts = &report["collections"][0]["references"][reference]["counts"];
        let names =
            ["rows_with_values", "rows_without_values", "values", "right", "new_only", "empty", "wrong", "lacking"];
        names.map(|name| counts[name].as_u64().unwrap())
    };
    assert_eq!(counts(0), [1, 9, 4, 1, 1, 1, 1, 1], "{report}");
    assert_eq!(counts(1), [3, 7, 3, 2, 1, 0, 0, 0], "{report}");
    let sentence = "2 listed references: 4 rows with values, 16 rows without values (a row counts for each reference of its \
                    collection). 7 values: 3 right, 2 in the new field only, 1 empty beside others of the row, 0 accepted as \
                    exceptions, 1 wrong. Clerk was asked for 3 users and does not have 0 of them";
    assert_eq!(why(&report, 2), sentence);
    // One of a thing is one thing.
    finished.lines("profiles.json", &[finished.profile(1)]);
    let (report, _) = finished.verify(&format!("{USERS}{PROFILES}")).await;
    assert!(why(&report, 2).starts_with("1 listed reference: 1 row with values, 0 rows without values"), "{report}");
    assert!(
        why(&report, 2).contains("1 value: 1 right,") && why(&report, 2).contains("asked for 1 user and"),
        "{report}"
    );
    assert!(why(&report, 3).starts_with("1 row of 1 collection searched: 0 old ids outside"), "{report}");
}

#[tokio::test]
async fn a7_a_finding_in_a_list_names_the_old_id_that_is_wrong() {
    let finished = Finished::open().await;
    let id = |number: usize| finished.users[number - 1].clone();
    let dbref = |number: usize| json!({ "$ref": "users", "$id": old_id(number) });
    finished.old.world.clerk("DELETE", &format!("/users/{}", finished.users[2]), Value::Null).await;
    let line = format!("{{\"legacy_id\":\"{}\",\"reason\":\"has left\"}}\n", typed(3));
    finished.old.file("exceptions.ndjson", &line);
    let signed = format!("exceptions = 'exceptions.ndjson'\nexceptions_sha256 = '{}'\n", hash(&line));
    for (row, problem, legacy_id, clerk_user_id) in [
        (json!({ "user_id": [old_id(2), old_id(1)] }), "lacks_new_field", 2, Value::Null),
        (json!({ "user_id": [dbref(2)] }), "lacks_new_field", 2, Value::Null),
        (json!({ "user_id": dbref(2) }), "lacks_new_field", 2, Value::Null),
        (json!({ "user_id": [old_id(2)], "clerk_user_id": 7 }), "new_field_is_no_clerk_id", 2, Value::Null),
        (
            json!({ "user_id": [old_id(1), old_id(2)], "clerk_user_id": [id(1), id(1)] }),
            "not_the_user_of_the_map",
            2,
            json!(id(1)),
        ),
        (
            json!({ "user_id": [old_id(1), old_id(2)], "clerk_user_id": [id(1)] }),
            "not_the_user_of_the_map",
            2,
            Value::Null,
        ),
        // The list of exceptions has this id, and the others of the list are not accepted with it.
        (
            json!({ "user_id": [old_id(1), old_id(3)], "clerk_user_id": [id(1), id(3)] }),
            "not_in_clerk",
            3,
            json!(id(3)),
        ),
    ] {
        finished.lines("profiles.json", std::slice::from_ref(&row));
        let (report, status) = finished.verify(&format!("{USERS}{signed}{PROFILES}")).await;
        assert_eq!(status, Some(2), "{row}: {report}");
        let findings = finished.read("findings.ndjson");
        let findings: Vec<Value> = findings.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let finding = findings.iter().find(|finding| finding["criterion"] == 2).unwrap();
        let expected = (&json!(problem), &json!(typed(legacy_id)), &clerk_user_id);
        assert_eq!((&finding["problem"], &finding["legacy_id"], &finding["clerk_user_id"]), expected, "{row}");
    }
}

#[tokio::test]
async fn a7_what_cannot_be_verified_is_refused() {
    let finished = Finished::open().await;
    let file = format!("{USERS}{PROFILES}");
    finished.refused(&format!("{file}colour = 1\n"), 64, "unknown field `colour`").await;
    let nowhere = "verify.toml, users.folder: ";
    finished.refused(&file.replace("users.json.migration", "nowhere"), 1, nowhere).await;
    let nowhere = "is no folder of `rollcall migrate metadata`. Correct the path: paths are relative to the folder of";
    finished.refused(&file.replace("users.json.migration", "nowhere"), 1, nowhere).await;
    finished.old.file("cut.json", "{\"user_id\":null}\n{\"user_id\":");
    finished.refused(&file.replace("'profiles.json'", "'cut.json'"), 1, "line 2").await;
    let folder = finished.old.folder.path().display().to_string();
    let missing = |place: &str| {
        format!(
            "{folder}/verify.toml, {place}: {folder}/none.json: No such file or directory (os error 2). Correct the path: \
             paths are relative to the folder of the verify file, {folder}\n"
        )
    };
    let requests = finished.requests();
    for (before, after, place) in [
        ("'profiles.json'", "'profiles.json', 'none.json'", "collection profiles, files"),
        ("'users.json'", "'none.json'", "users.files"),
    ] {
        finished.refused(&file.replace(before, after), 1, &missing(place)).await;
    }
    let signed = format!("exceptions = 'none.json'\nexceptions_sha256 = '{}'\n", hash(""));
    finished.refused(&format!("{USERS}{signed}"), 1, &missing("users.exceptions")).await;
    assert_eq!(finished.requests(), requests, "Clerk is not asked before");
    finished.old.file("other.json", "{\"_id\":\"z\"}\n");
    finished.refused(&file.replace("'users.json'", "'other.json'"), 1, "the one that was migrated").await;
    let said = finished
        .run(&file, &["--folder", finished.old.folder.path().join("users.json.migration").to_str().unwrap()], &[])
        .await;
    assert_eq!((said.status, said.out.as_str()), (Some(1), ""));
    assert!(said.err.contains("is a folder of `rollcall migrate metadata`: name another folder"), "{}", said.err);
    let said = finished.run(&file, &[], &[("CLERK_INSTANCE_ID", "ins_other")]).await;
    assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{}", said.err);
    let run = finished.old.folder.path().join("users.json.migration/run.json");
    let text = std::fs::read_to_string(&run).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    std::fs::write(&run, text.replace(record["instance"].as_str().unwrap(), "ins_other")).unwrap();
    let advice = format!(
        "belongs to the Clerk instance ins_other, and the deployment to {}: name the deployment of that instance, or make \
         a map of this one with `rollcall migrate metadata` (--match-only without fields), and name its folder",
        record["instance"].as_str().unwrap()
    );
    finished.refused(&file, 1, &advice).await;
    std::fs::write(&run, text.replace("\"metadata\"", "\"rekey\"")).unwrap();
    finished.refused(&file, 1, "is a folder of `rollcall migrate rekey`").await;
    std::fs::write(&run, text).unwrap();
    assert_eq!(finished.verify(&file).await.1, Some(0));
}

#[tokio::test]
async fn a7_clerk_is_asked_once_for_a_hundred_users_and_the_migration_is_left_alone() {
    let old = Old::open().await;
    let (mut users, mut rows, mut profiles) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..120 {
        let user = old.user(&format!("u{number}"), json!({})).await;
        rows.push(json!({ "_id": format!("u{number}"), "clerk": user }));
        for _ in 0..3 {
            profiles.push(json!({ "user_id": format!("u{number}"), "clerk_user_id": user }));
        }
        users.push(user);
    }
    let file = old.rows(&rows);
    assert_eq!(old.report(&file, &["--clerk-id", "clerk", "--match-only"]).await.1, Some(0));
    let finished = Finished { old, users };
    finished.lines("profiles.json", &profiles);
    // The same rows in other bytes.
    finished.lines("profiles.before.json", &profiles.iter().rev().cloned().collect::<Vec<_>>());
    let migration = finished.old.folder.path().join("users.json.migration");
    let contents = || {
        let mut files: Vec<_> = std::fs::read_dir(&migration).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|path| (std::fs::read(&path).unwrap(), path)).collect::<Vec<_>>()
    };
    let (before, requests) = (contents(), finished.requests());
    let (report, status) = finished.verify(&format!("{USERS}{PROFILES}")).await;
    assert_eq!(status, Some(0), "{report}");
    // Two for the Clerk ids of the plan and two for its external ids, two for the new fields; the instance before and
    // after.
    assert_eq!(finished.requests() - requests, 8);
    assert!(contents() == before, "the folder of the migration changed");
}
