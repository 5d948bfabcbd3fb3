//! A1: what is refused, and the undo that fails.

use std::path::Path;

use serde_json::{Value, json};

use super::Old;
use crate::operator::commands::{Evidence, run};

fn written(old: &Old, name: &str, rows: &[Value]) -> String {
    let path = old.file(name, &rows.iter().map(|row| format!("{row}\n")).collect::<String>());
    path.to_str().unwrap().to_owned()
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
