//! A2: Clerk ids beside references to old users, by the real command.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::Old;
use crate::operator::commands::{Evidence, binary, command, finish, run};

const MAP: &str = r#"{"legacy_id":"oid:64b0000000000000000000b1","clerk_user_id":"user_1"}
{"legacy_id":"str:b2","clerk_user_id":"user_2"}
{"legacy_id":"str:both","no_user":"ambiguous"}
"#;

/// A folder with files, and with that of a finished migration of users.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Files {
        let files = Files { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(files.path("users.migration")).unwrap();
        let run = json!({ "command": "metadata", "version": "0", "input_sha256": "", "options": "", "instance": "ins_1",
                          "started": "" });
        let report = json!({ "done": { "read": 3 }, "plan": {} });
        for (name, text) in
            [("run.json", run.to_string()), ("report.json", report.to_string()), ("map.ndjson", MAP.to_owned())]
        {
            fs::write(files.path("users.migration").join(name), text).unwrap();
        }
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn args(&self, name: &str, options: &[&str]) -> Vec<String> {
        let (file, map) = (self.path(name), self.path("users.migration"));
        let args = ["migrate", "rekey", file.to_str().unwrap(), "--map", map.to_str().unwrap()];
        args.iter().chain(options).map(|arg| (*arg).to_owned()).collect()
    }

    async fn rekey(&self, name: &str, options: &[&str]) -> Evidence {
        let args = self.args(name, options);
        run(&args.iter().map(String::as_str).collect::<Vec<_>>(), &[]).await
    }

    async fn report(&self, name: &str, options: &[&str]) -> (Value, Option<i32>) {
        let said = self.rekey(name, &[options, &["--json"]].concat()).await;
        assert!(!said.out.is_empty(), "{}", said.err);
        (said.json(), said.status)
    }

    /// The files that the command has written, without the record of the run.
    fn written(&self, folder: &str) -> BTreeMap<String, String> {
        written(&self.path(folder))
    }
}

fn written(folder: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeMap::new() };
    let entries = entries.map(|entry| entry.unwrap());
    let files =
        entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()));
    files.filter(|(name, _)| !["run.json", "lock"].contains(&name.as_str())).collect()
}

/// Scenario 8, with a map that a migration of users made.
#[tokio::test]
async fn a2_a_clerk_id_is_behind_its_reference_and_no_row_is_lost() {
    let old = Old::open().await;
    let (known, unknown) = ("64b0000000000000000000b1", "64b0000000000000000000b9");
    let user = old.user(known, json!({})).await;
    let users = old.rows(&[json!({ "_id": { "$oid": known }, "plan": "pro" })]);
    let map = old.folder.path().join("users.json.migration");
    let (_, status) = old.report(&users, &["--field", "plan"]).await;
    assert_eq!(status, Some(0));
    let first = format!(
        "{{ \"_id\" : {{ \"$oid\" : \"65a0000000000000000000a1\" }}, \"user_id\" : {{ \"$oid\" : \"{known}\" }}, \"n\" : 1.10, \"r\" : NaN }}"
    );
    let file = old.file("profiles.json", &format!("{first}\n"));
    let args = ["migrate", "rekey", file.to_str().unwrap(), "--map", map.to_str().unwrap()];
    let said = run(&[&args[..], &["--reference", "user_id"]].concat(), &[]).await;
    assert_eq!(said.status, Some(0), "{}{}", said.out, said.err);
    let files = written(&old.folder.path().join("profiles.json.rekey"));
    let end = format!("\"{known}\" }}");
    let expected = first.replacen(&end, &format!("{end},\"clerk_user_id\":\"{user}\""), 1);
    assert_eq!(files["rekeyed-profiles.json"], format!("{expected}\n"));

    let second = format!("{{\"coach_id\":{{\"$oid\":\"{known}\"}},  \"client_id\":{{\"$oid\":\"{unknown}\"}}}}\r\n");
    let both = format!("{{\"coach_id\":{{\"$oid\":\"{known}\"}},\"client_id\":{{\"$oid\":\"{known}\"}}}}\r\n");
    let file = old.file("sessions.json", &format!("{second}{both}"));
    let args = ["migrate", "rekey", file.to_str().unwrap(), "--map", map.to_str().unwrap(), "--json"];
    let references = ["--reference", "coach_id=coach", "--reference", "client_id=client"];
    let said = run(&[&args[..], &references].concat(), &[]).await;
    assert_eq!((said.status, &said.json()["counts"]["by_result"]), (Some(2), &json!({ "rekeyed": 1, "unmatched": 1 })));
    let files = written(&old.folder.path().join("sessions.json.rekey"));
    assert_eq!(files["unmatched-sessions.json"], second);
    let line: Value = serde_json::from_str(&files["left.ndjson"]).unwrap();
    let expected = json!({ "file": "sessions.json", "line": 1, "byte": 0, "result": "unmatched", "path": "client_id",
                           "id": format!("oid:{unknown}"), "reason": "unknown_id" });
    assert_eq!(line, expected);
    assert_eq!(files["rekeyed-sessions.json"].lines().count(), 1);
}

#[tokio::test]
async fn a2_a_second_run_writes_the_same_and_another_input_or_map_is_refused() {
    let files = Files::new();
    fs::write(files.path("p.json"), "{\"u\":\"b2\"}\n{\"u\":\"no\"}\n{\"u\":\"both\"}\n").unwrap();
    let (report, status) = files.report("p.json", &["--reference", "u"]).await;
    let results = json!({ "rekeyed": 1, "unmatched": 1, "ambiguous": 1 });
    assert_eq!((status, &report["counts"]["by_result"]), (Some(2), &results));
    let first = files.written("p.json.rekey");
    let names: Vec<&str> = first.keys().map(String::as_str).collect();
    assert_eq!(names, ["ambiguous-p.json", "left.ndjson", "rekeyed-p.json", "report.json", "unmatched-p.json"]);
    assert_eq!(files.report("p.json", &["--reference", "u"]).await.1, Some(2));
    assert_eq!(files.written("p.json.rekey"), first);
    let said = files.rekey("p.json", &["--reference", "u"]).await;
    assert!(said.out.contains("unknown_id") && said.out.contains("rekeyed-p.json"), "{}", said.out);
    for (options, what) in [(&["--reference", "u=x"][..], "option"), (&["--reference", "u", "--unique"], "option")] {
        let said = files.rekey("p.json", options).await;
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""));
        assert!(said.err.contains(what) && said.err.contains("--folder"), "{}", said.err);
    }
    let map = files.path("users.migration/map.ndjson");
    fs::write(&map, MAP.replace("user_2", "user_3")).unwrap();
    let said = files.rekey("p.json", &["--reference", "u"]).await;
    assert!(said.status == Some(1) && said.err.contains("SHA-256"), "{}", said.err);
    fs::write(&map, MAP).unwrap();
    fs::write(files.path("p.json"), "{\"u\":\"b2\"}\n").unwrap();
    let said = files.rekey("p.json", &["--reference", "u"]).await;
    assert!(said.status == Some(1) && said.err.contains("SHA-256"), "{}", said.err);
    assert_eq!(files.written("p.json.rekey"), first);
}

#[tokio::test]
async fn a2_orphans_are_reported_kept_or_stop_the_command() {
    let files = Files::new();
    let rows = "{\"u\":\"b2\"}\n{\"u\":\"no\"}\n{}\n";
    fs::write(files.path("p.json"), rows).unwrap();
    let dry = files.rekey("p.json", &["--reference", "u", "--dry-run"]).await;
    assert_eq!(dry.status, Some(2), "{}", dry.err);
    assert!(dry.out.contains("unmatched") && !files.path("p.json.rekey").exists(), "{}", dry.out);
    let said = files.rekey("p.json", &["--reference", "u", "--orphans", "fail"]).await;
    assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{}", said.err);
    assert!(said.err.contains("2 of 3 rows are left") && said.err.contains("left.ndjson"), "{}", said.err);
    assert_eq!(files.written("p.json.rekey").keys().collect::<Vec<_>>(), ["left.ndjson"]);
    assert_eq!(files.rekey("p.json", &["--reference", "u", "--orphans", "fail", "--dry-run"]).await.status, Some(1));
    fs::write(files.path("one.json"), "{\"u\":\"no\"}\n").unwrap();
    let said = files.rekey("one.json", &["--reference", "u", "--orphans", "fail"]).await;
    assert!(said.err.contains("1 of 1 row is left"), "{}", said.err);
    // The folder of a run that came to no end belongs to nothing.
    let (report, status) = files.report("p.json", &["--reference", "u", "--orphans", "keep"]).await;
    assert_eq!((status, &report["counts"]["by_result"]), (Some(0), &json!({ "rekeyed": 1, "kept": 2 })));
    let kept = files.written("p.json.rekey");
    assert_eq!(kept["rekeyed-p.json"], rows.replacen("\"b2\"", "\"b2\",\"clerk_user_id\":\"user_2\"", 1));
    let folder = files.path("other");
    let folder = ["--folder", folder.to_str().unwrap(), "--reference", "u"];
    let (report, status) = files.report("p.json", &[&folder[..], &["--allow-missing"]].concat()).await;
    assert_eq!(
        (status, &report["counts"]["by_result"]),
        (Some(2), &json!({ "rekeyed": 1, "skipped": 1, "unmatched": 1 }))
    );
    assert_eq!(files.written("other")["unmatched-p.json"], "{\"u\":\"no\"}\n");
    fs::write(files.path("same.json"), "{\"u\":\"b2\"}\n{\"u\":\"b2\"}\n").unwrap();
    let (report, status) = files.report("same.json", &["--reference", "u", "--unique"]).await;
    assert_eq!((status, &report["counts"]["same_user"]), (Some(2), &json!(2)));
}

#[tokio::test]
async fn a2_what_cannot_be_done_writes_nothing() {
    let files = Files::new();
    let write = |name: &str, bytes: &[u8]| fs::write(files.path(name), bytes).unwrap();
    write("cut.json", b"{\"u\":\"b2\"}\n{\"u\":\"b2");
    write("cut-array.json", b"[{\"u\":\"b2\"},{\"u\":\"b2\"}");
    write("a.bson", &bson::doc! { "_id": 1, "u": "b2" }.to_vec().unwrap());
    write("dynamo.json", b"{\"Item\":{\"u\":{\"S\":\"b2\"}}}\n");
    write("a.csv", b"u\nb2\n");
    write("a.json", b"{\"u\":\"b2\"}\n");
    write("nested.json", b"{\"_id\":1,\"m\":[{\"u\":\"b2\"}]}\n");
    for (name, options, status, problem) in [
        ("cut.json", &["--reference", "u"][..], 1, "cut"),
        ("cut-array.json", &["--reference", "u"], 1, "cut"),
        ("a.bson", &["--reference", "u"], 1, "a.bson: a BSON file is not written again: give --emit patch"),
        ("dynamo.json", &["--reference", "u"], 1, "with `rollcall migrate rekey-table`"),
        ("dynamo.json", &["--reference", "u", "--emit", "patch"], 1, "with `rollcall migrate rekey-table`"),
        ("a.csv", &["--reference", "u", "--copy", "u"], 1, "--emit patch"),
        ("a.csv", &["--reference", "u", "--pg-dump", "t"], 1, "--emit patch"),
        ("a.csv", &["--reference", "v", "--csv"], 1, "the column `v` is missing"),
        ("a.csv", &["--reference", "u", "--csv", "--emit", "patch"], 1, "the column `_id` is missing"),
        ("nested.json", &["--reference", "m.u", "--emit", "patch"], 1, "in an array"),
        ("nowhere.json", &["--reference", "u"], 1, "nowhere.json"),
        ("a.json", &["--reference", "u", "--reference", "v"], 64, "both be written"),
        ("a.json", &["--reference", "u=a.b"], 64, "without dots"),
        ("a.json", &[], 64, "--reference"),
    ] {
        let said = files.rekey(name, options).await;
        assert_eq!((said.status, said.out.as_str()), (Some(status), ""), "{name} {options:?}: {}", said.err);
        assert!(said.err.contains(problem), "{name} {options:?}: {}", said.err);
        assert!(!files.path(&format!("{name}.rekey")).exists(), "{name} {options:?}");
    }
    // A map that is not finished, and a folder without a map.
    fs::write(
        files.path("users.migration/report.json"),
        json!({ "done": null, "plan": { "by_result": { "changed": 1 } } }).to_string(),
    )
    .unwrap();
    let said = files.rekey("a.json", &["--reference", "u"]).await;
    assert!(said.status == Some(1) && said.err.contains("not finished"), "{}", said.err);
    fs::remove_dir_all(files.path("users.migration")).unwrap();
    let said = files.rekey("a.json", &["--reference", "u"]).await;
    assert!(said.status == Some(1) && said.err.contains("rollcall migrate metadata"), "{}", said.err);
    assert!(!files.path("a.json.rekey").exists());
}

#[tokio::test]
async fn a2_a_full_disk_leaves_no_file() {
    let files = Files::new();
    let row = format!("{{\"u\":\"b2\",\"x\":\"{}\"}}\n", "y".repeat(1_000));
    fs::write(files.path("p.json"), row.repeat(100)).unwrap();
    // Files of more than 16 KB cannot be written.
    let mut bash = command("bash", &[("PATH", "/usr/bin:/bin")]);
    bash.args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$@\"", "bash"]).arg(binary());
    bash.args(files.args("p.json", &["--reference", "u"]));
    let said = finish(bash).await;
    assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{}", said.err);
    assert!(said.err.contains("rekeyed-p.json.draft"), "{}", said.err);
    assert!(!files.path("p.json.rekey").exists());
    assert_eq!(files.rekey("p.json", &["--reference", "u"]).await.status, Some(0));
}

#[tokio::test]
async fn a2_a_signal_leaves_no_file_under_a_final_name() {
    let files = Files::new();
    fs::write(files.path("p.json"), "{\"u\":\"b2\"}\n{\"u\":\"no\"}\n".repeat(300_000)).unwrap();
    let mut process = command(binary().to_str().unwrap(), &[]);
    process.args(files.args("p.json", &["--reference", "u"]));
    let process = process.spawn().unwrap();
    let draft = files.path("p.json.rekey/rekeyed-p.json.draft");
    let begun = async {
        while !fs::metadata(&draft).is_ok_and(|draft| draft.len() > 100_000) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), begun).await.unwrap();
    let signalled = std::process::Command::new("kill").args(["-INT", &process.id().unwrap().to_string()]).status();
    assert!(signalled.unwrap().success());
    let output = process.wait_with_output().await.unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("Nothing was written"), "{err}");
    let left: Vec<String> = files.written("p.json.rekey").into_keys().collect();
    assert!(left.iter().all(|name| name.ends_with(".draft")), "{left:?}");
    let (report, status) = files.report("p.json", &["--reference", "u"]).await;
    assert_eq!((status, &report["counts"]["read"]), (Some(2), &json!(600_000)));
    assert!(files.written("p.json.rekey").keys().all(|name| !name.ends_with(".draft")));
}

#[tokio::test]
async fn a2_a_patch_says_how_it_is_written() {
    let files = Files::new();
    fs::write(files.path("p.bson"), bson::doc! { "_id": { "b": 1, "a": 2_i64 }, "u": "b2" }.to_vec().unwrap()).unwrap();
    let said = files.rekey("p.bson", &["--reference", "u", "--emit", "patch"]).await;
    assert_eq!(said.status, Some(0), "{}", said.err);
    assert!(said.out.contains("mongoimport") && said.out.contains("--mode=merge") && !said.out.contains("--legacy"));
    let line = "{\"_id\":{\"b\":{\"$numberInt\":\"1\"},\"a\":{\"$numberLong\":\"2\"}},\"clerk_user_id\":\"user_2\"}\n";
    assert_eq!(files.written("p.bson.rekey")["patch-p.bson.ndjson"], line);
    fs::write(files.path("p.json"), "{\"_id\":1,\"u\":\"b2\"}").unwrap();
    let said = files.rekey("p.json", &["--reference", "u", "--emit", "patch"]).await;
    assert!(said.out.contains("--legacy") && said.out.contains("created again"), "{}", said.out);
    fs::write(files.path("p.csv"), "id,u\n1,b2\n").unwrap();
    let said = files.rekey("p.csv", &["--csv", "--reference", "u", "--emit", "patch", "--id", "id"]).await;
    assert!(said.out.contains("psql --set table=TABLE --file patch-p.sql"), "{}{}", said.out, said.err);
    assert_eq!(files.written("p.csv.rekey")["patch-p.csv"], "id,clerk_user_id\n1,user_2\n");
    assert!(files.written("p.csv.rekey")["patch-p.sql"].contains("UPDATE :table"));
}
