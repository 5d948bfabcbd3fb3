//! A1: rows that are refused, and what the map, the references and the undo say of them.

use std::path::Path;

use serde_json::{Value, json};

use super::Old;
use crate::operator::commands::{Evidence, rollcall, run};

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn written(old: &Old, name: &str, rows: &[Value]) -> String {
    let path = old.file(name, &rows.iter().map(|row| format!("{row}\n")).collect::<String>());
    path.to_str().unwrap().to_owned()
}

/// Somebody who reads that an old user has no user in Clerk creates one: a second user of the same person.
#[tokio::test]
async fn a1_a_refused_row_keeps_its_user_and_is_never_without_a_user_in_clerk() {
    let old = Old::open().await;
    let nan = old.user("nan", json!({})).await;
    let big = old.user("big", json!({ "t": "x".repeat(8_180) })).await;
    let other = old.user("other", json!({ "plan": "free" })).await;
    let twice = old.user("twice", json!({})).await;
    old.user("odd", json!({})).await;
    let no_json = json!({ "$numberDouble": "NaN" });
    let file = old.rows(&[
        json!({ "_id": "nan", "plan": no_json }),
        json!({ "_id": "big", "plan": "pro" }),
        json!({ "_id": "other", "plan": "pro" }),
        json!({ "_id": "odd", "plan": "pro", "clerk": 5, "email": "odd@x.org" }),
        json!({ "_id": "nobody", "plan": no_json }),
        json!({ "_id": "gone", "plan": no_json, "deleted": true }),
        // One person twice: the other row must not decide what is written.
        json!({ "_id": "t1", "clerk": twice, "plan": no_json }),
        json!({ "_id": "t2", "clerk": twice, "plan": "pro" }),
    ]);
    let options = ["--field", "plan", "--clerk-id", "clerk", "--email", "email", "--deleted", "deleted"];
    let lists = || old.world.stack.clerk.requests().get("GET /v1/users").copied().unwrap_or_default();
    let before = lists();
    let (report, status) = old.report(&file, &options).await;
    assert_eq!((status, lists() - before, old.patches()), (Some(2), 2, 0), "the ids of all rows are two requests");
    let results = json!({ "ambiguous": 2, "conflict": 1, "refused": 3, "skipped": 1, "unmatched": 1 });
    assert_eq!(report["plan"]["by_result"], results);
    let expected = [
        json!({ "legacy_id": "str:nan", "clerk_user_id": nan }),
        json!({ "legacy_id": "str:big", "clerk_user_id": big }),
        json!({ "legacy_id": "str:other", "clerk_user_id": other }),
        json!({ "legacy_id": "str:odd", "no_user": "refused" }),
        json!({ "legacy_id": "str:nobody", "no_user": "unmatched" }),
        json!({ "legacy_id": "str:gone", "no_user": "deleted" }),
        json!({ "legacy_id": "str:t1", "no_user": "ambiguous" }),
        json!({ "legacy_id": "str:t2", "no_user": "ambiguous" }),
    ];
    assert_eq!(old.lines("map.ndjson"), expected);
    let refused = old.lines("refused.ndjson");
    let said = |at: usize| (refused[at]["user"].as_str(), refused[at]["reason"].as_str().unwrap());
    assert_eq!(said(0), (Some(nan.as_str()), "plan is of the type double, which has no form in JSON"));
    assert_eq!(said(2), (None, "clerk is of the type int: a string is expected"));

    // References in files.
    let reference = |id: u64, user: Value| json!({ "_id": id, "user_id": user });
    let rows = [("nan", 1), ("odd", 2), ("nobody", 3)].map(|(user, id)| reference(id, user.into()));
    let rows = [&rows[..], &[reference(4, json!(["nan", "odd"]))]].concat();
    let exported = written(&old, "profiles.json", &rows);
    let map = format!("{}.migration", file.display());
    let said = run(&["migrate", "rekey", &exported, "--map", &map, "--reference", "user_id"], &[]).await;
    assert_eq!(said.status, Some(2), "{}", said.err);
    let meaning = "row_refused: the row of the old user was refused, so its user in Clerk is not known";
    assert!(said.out.contains(meaning), "{}", said.out);
    let folder = format!("{exported}.rekey");
    let left: Vec<Value> = lines(&Path::new(&folder).join("left.ndjson"))
        .iter()
        .map(|line| json!([line["path"], line["result"], line["reason"]]))
        .collect();
    let expected = [
        json!(["user_id", "ambiguous", "row_refused"]),
        json!(["user_id", "unmatched", "no_user"]),
        json!(["user_id.1", "ambiguous", "row_refused"]),
    ];
    assert_eq!(left, expected);
    let passed = lines(&Path::new(&folder).join("rekeyed-profiles.json"));
    assert_eq!(passed, [json!({ "_id": 1, "user_id": "nan", "clerk_user_id": nan })]);

    // The proof says of the same references neither that they are right nor that the user must be created.
    written(&old, "profiles.json", &rows[..2]);
    let verify = "[users]\nfolder = 'users.json.migration'\nfiles = ['users.json']\n[[collection]]\nname = 'profiles'\n\
                  files = ['profiles.json']\nreferences = { user_id = 'clerk_user_id' }\n";
    let verify = old.file("verify.toml", verify);
    let said = rollcall(&old.world, &["migrate", "verify", verify.to_str().unwrap()], &[]).await;
    assert_eq!(said.status, Some(2), "{}", said.err);
    let found: Vec<(Value, Value)> = lines(&old.folder.path().join("verify.toml.verification/findings.ndjson"))
        .into_iter()
        .filter(|finding| finding["legacy_id"] == "str:odd")
        .map(|finding| (finding["criterion"].clone(), finding["problem"].clone()))
        .collect();
    assert_eq!(found, [(json!(1), json!("refused")), (json!(2), json!("row_refused"))]);
}

/// Another row must not get the user of a row that is refused.
#[tokio::test]
async fn a1_a_row_that_is_refused_for_its_address_still_claims_its_user() {
    let old = Old::open().await;
    let own = old.user("own", json!({ "plan": "user" })).await;
    let alone = old.user("alone", json!({})).await;
    let file = old.rows(&[
        json!({ "_id": "own", "email": 123, "plan": "user" }),
        json!({ "_id": "thief", "cid": own, "plan": "admin" }),
        json!({ "_id": "alone", "email": true, "plan": "user" }),
        json!({ "_id": "stray", "email": ["x"], "plan": "user" }),
    ]);
    let options = ["--field", "plan", "--clerk-id", "cid", "--email", "email", "--match-email"];
    let (report, status) = old.report(&file, &options).await;
    assert_eq!((status, old.patches()), (Some(2), 0), "{report}");
    assert_eq!(report["plan"]["by_result"], json!({ "ambiguous": 2, "refused": 2 }), "{report}");
    let expected = [
        json!({ "legacy_id": "str:own", "no_user": "ambiguous" }),
        json!({ "legacy_id": "str:thief", "no_user": "ambiguous" }),
        json!({ "legacy_id": "str:alone", "clerk_user_id": alone }),
        json!({ "legacy_id": "str:stray", "no_user": "refused" }),
    ];
    assert_eq!(old.lines("map.ndjson"), expected);
}

async fn undo(old: &Old, file: &Path, options: &[&str]) -> Evidence {
    old.migrate(file, &[options, &["--undo", "--yes"]].concat()).await
}

fn failed(said: &Evidence, why: &str) {
    assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{}", said.err);
    assert!(said.err.contains(why), "no {why:?} in {}", said.err);
}

#[tokio::test]
async fn a1_an_undo_without_its_folder_or_its_journal_fails() {
    let old = Old::open().await;
    let user = old.user("a", json!({})).await;
    let file = old.rows(&[json!({ "_id": "a", "plan": "pro" })]);
    assert_eq!(old.report(&file, &["--field", "plan"]).await.1, Some(0));
    let map = format!("{}.migration", file.display());
    let exported = written(&old, "profiles.json", &[json!({ "_id": 1, "user_id": "a" })]);
    let rekeyed = run(&["migrate", "rekey", &exported, "--map", &map, "--reference", "user_id"], &[]).await;
    assert_eq!(rekeyed.status, Some(0), "{}", rekeyed.err);
    let folder = format!("{exported}.rekey");
    let why = "profiles.json.rekey is a folder of `rollcall migrate rekey`: name another folder (--folder)";
    failed(&undo(&old, &file, &["--folder", &folder]).await, why);
    failed(&undo(&old, &file, &["--folder", &folder, "--dry-run"]).await, why);

    let path = |name: &str| Path::new(&map).join(name);
    let why = "journal.ndjson is missing, and this migration has written something: restore the file from a backup";
    let journal = std::fs::read(path("journal.ndjson")).unwrap();
    std::fs::remove_file(path("journal.ndjson")).unwrap();
    failed(&undo(&old, &file, &[]).await, why);
    std::fs::remove_file(path("results.ndjson")).unwrap();
    failed(&undo(&old, &file, &["--json"]).await, why);
    assert!(!path("journal.ndjson").exists(), "an undo that fails makes no journal");
    assert_eq!(old.metadata_of(&user).await, json!({ "plan": "pro" }));
    std::fs::write(path("journal.ndjson"), journal).unwrap();
    assert_eq!(undo(&old, &file, &[]).await.status, Some(0));
    assert_eq!(old.metadata_of(&user).await, json!({}));
}

#[tokio::test]
async fn a1_a_key_is_given_once_and_an_option_overrides_the_mapping() {
    let old = Old::open().await;
    let user = old.user("a", json!({})).await;
    let file = old.rows(&[json!({ "_id": "a", "r": "coach", "email": "a@x.org" })]);
    for fields in [["r", "r=email"], ["r=email", "r"], ["r", "r"]] {
        let said = old.migrate(&file, &["--field", fields[0], "--field", fields[1], "--yes"]).await;
        assert_eq!((said.status, said.out.as_str()), (Some(64), ""), "{fields:?}: {}", said.err);
        assert!(said.err.contains("--field r: the key is given twice"), "{}", said.err);
    }
    let misspelt = old.file("misspelt.toml", "[metadata]\nr = { from = 'r', replce = true }\n");
    let said = old.migrate(&file, &["--mapping", misspelt.to_str().unwrap(), "--yes"]).await;
    assert_eq!((said.status, said.out.as_str()), (Some(64), ""), "{}", said.err);
    for part in ["misspelt.toml", "line 2", "replce = true", "unknown field `replce`, expected `from` or `replace`"] {
        assert!(said.err.contains(part), "no {part:?} in {}", said.err);
    }
    let mapping = old.file("mapping.toml", "[metadata]\nr = 'email'\n");
    let options = ["--mapping", mapping.to_str().unwrap(), "--field", "r"];
    assert_eq!(old.report(&file, &options).await.1, Some(0));
    assert_eq!(old.metadata_of(&user).await, json!({ "r": "coach" }));
}
