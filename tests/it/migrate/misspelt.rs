//! Names that no row has, files that are given twice, folders of something else, and options that change after a plan.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::Old;
use super::rekey_table::{Mapped, REFERENCE, mood};
use crate::operator::commands::{Evidence, rollcall};

async fn run(old: &Old, args: &[&str]) -> Evidence {
    rollcall(&old.world, args, &[]).await
}

fn refused(said: &Evidence, status: i32, why: &str) {
    assert_eq!((said.status, said.out.as_str()), (Some(status), ""), "{}", said.err);
    assert!(said.err.contains(why), "{}", said.err);
}

#[tokio::test]
async fn a1_a_name_that_no_row_has_changes_nothing() {
    let old = Old::open().await;
    let user = old.user("a", json!({})).await;
    let file = old.rows(&[json!({ "_id": "a", "clerk": user, "mail": "a@x.org", "plan": "pro", "ok": true })]);
    let right = ["--clerk-id", "clerk", "--email", "mail", "--match-email", "--email-proof", "ok", "--field", "plan"];
    for (at, option) in [(0, "--clerk-id"), (2, "--email"), (7, "--field")] {
        let mut wrong = right;
        wrong[at + 1] = "misspelt";
        assert_eq!(wrong[at], option);
        for run in [&["--yes"][..], &["--dry-run"], &["--yes", "--json"]] {
            let said = old.migrate(&file, &[&wrong[..], run].concat()).await;
            refused(
                &said,
                1,
                "no row has the field misspelt: check its spelling in the options or the mapping. Nothing",
            );
        }
    }
    let said = old.migrate(&file, &[&right[..], &["--legacy-id", "id", "--yes"]].concat()).await;
    refused(&said, 1, "no row has the field id: check its spelling");
    assert_eq!(old.patches(), 0);
    // Nobody may have been deleted, or have a proof.
    let deleted = [&right[..], &["--deleted", "deleted_at"]].concat();
    let said = old.migrate(&file, &[&deleted[..], &["--dry-run"]].concat()).await;
    assert!(said.err.contains("warning: no row has the field deleted_at: check its spelling"), "{}", said.err);
    let (report, status) = old.report(&file, &deleted).await;
    assert_eq!((status, &report["fields_in_no_row"]), (Some(0), &json!(["deleted_at"])), "{report}");
    assert_eq!(old.patches(), 1);
    let text = file.to_str().unwrap();
    let twice = [&["migrate", "metadata", text, text][..], &right, &["--yes"]].concat();
    refused(&run(&old, &twice).await, 64, "users.json is given twice: name each file once");
}

#[tokio::test]
async fn a2_a_reference_that_no_row_has_writes_nothing() {
    let mapped = Mapped::open(1).await;
    mapped.put("moods", mood("r1", "b1")).await;
    let before = mapped.moods().await;
    for allow in [&[][..], &["--allow-missing"]] {
        let wrong = [&["--reference", "userid=other", "--reference", "user_id"], allow].concat();
        for json in [&[][..], &["--json"], &["--dry-run"]] {
            let said = mapped.run("moods", &[&wrong[..], json].concat()).await;
            refused(
                &said,
                1,
                "no row of moods has the attribute userid: check its spelling (--reference). Nothing was",
            );
        }
    }
    assert_eq!(mapped.moods().await, before);
    // A row with the new attribute alone, as the application writes for new users, is no sign of the right name.
    mapped.put("moods", json!({ "mood_id": "new", "other": mapped.users[0] })).await;
    let said = mapped.run("moods", &["--reference", "userid=other", "--allow-missing", "--json"]).await;
    refused(&said, 1, "no row of moods has the attribute userid");
    mapped.delete("new").await;
    // The plan that failed binds the folder to nothing.
    assert_eq!(mapped.rekey(&REFERENCE).await.status, Some(0));
    // An empty table has no name to compare.
    assert_eq!(mapped.run("tasks", &["--reference", "userid", "--json"]).await.status, Some(0));
    let old = &mapped.old;
    let file = old.file("tasks.json", "{\"_id\":1,\"user_id\":\"b1\"}\n{\"_id\":2,\"user_id\":null}\n");
    let rekey = ["migrate", "rekey", file.to_str().unwrap(), "--map", mapped.map.as_str()];
    let files = |args: &[&str]| {
        let args: Vec<String> = rekey.iter().chain(args).map(|arg| (*arg).to_owned()).collect();
        async move {
            let mut command =
                crate::operator::commands::command(crate::operator::commands::binary().to_str().unwrap(), &[]);
            command.args(args);
            crate::operator::commands::finish(command).await
        }
    };
    for allow in [&[][..], &["--allow-missing"], &["--allow-missing", "--dry-run"]] {
        let said = files(&[&["--reference", "userid"], allow].concat()).await;
        refused(&said, 1, "no row has the field userid: check its spelling (--reference). No file was written");
    }
    assert!(!old.folder.path().join("tasks.json.rekey").exists());
    let both = format!("{{\"_id\":3,\"clerk_user_id\":\"{}\"}}\n{{\"_id\":4}}\n", mapped.users[0]);
    let new = old.file("new.json", &both);
    let args =
        ["migrate", "rekey", new.to_str().unwrap(), "--map", &mapped.map, "--reference", "userid", "--allow-missing"];
    let mut command = crate::operator::commands::command(crate::operator::commands::binary().to_str().unwrap(), &[]);
    command.args(args);
    refused(&crate::operator::commands::finish(command).await, 1, "no row has the field userid");
    let said = files(&["--reference", "user_id", "--allow-missing", "--json"]).await;
    let counts = &said.json()["counts"];
    assert_eq!((said.status, &counts["with_reference"]), (Some(0), &json!({ "user_id": 2 })), "{counts}");
}

#[tokio::test]
async fn a1_a_folder_with_other_files_is_left_as_it_is() {
    let mapped = Mapped::open(1).await;
    mapped.put("moods", mood("r1", "b1")).await;
    let old = &mapped.old;
    let own = old.folder.path().join("own");
    std::fs::create_dir(&own).unwrap();
    std::fs::set_permissions(&own, std::fs::Permissions::from_mode(0o755)).unwrap();
    let names = ["report.json", "left.ndjson", "plan.ndjson", "rekeyed-users.json", "run.txt"];
    for name in names {
        std::fs::write(own.join(name), "mine").unwrap();
    }
    let file = old.folder.path().join("users.json");
    let verify = old.file("verify.toml", "[users]\nfolder = 'users.json.migration'\nfiles = ['users.json']\n");
    let (file, verify, folder) = (file.to_str().unwrap(), verify.to_str().unwrap(), own.to_str().unwrap());
    for args in [
        &["migrate", "metadata", file, "--match-only", "--yes"][..],
        &["migrate", "metadata", "--table", "moods", "--legacy-id", "mood_id", "--match-only", "--yes"],
        &["migrate", "rekey-table", "moods", "--map", &mapped.map, "--reference", "user_id", "--yes"],
        &["migrate", "verify", verify],
    ] {
        let said = run(old, &[args, &["--folder", folder]].concat()).await;
        refused(&said, 1, "own has files of something else, such as ");
        assert!(said.err.contains("name a new or empty folder (--folder)"), "{}", said.err);
    }
    let mut found: Vec<String> =
        own.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    let mut expected = names.map(str::to_owned);
    expected.sort();
    assert_eq!(found, expected);
    assert!(names.iter().all(|name| std::fs::read_to_string(own.join(name)).unwrap() == "mine"));
    assert_eq!(std::fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o755);
}

#[tokio::test]
async fn a1_the_option_that_a_plan_suggests_is_taken_until_something_is_written() {
    let old = Old::open().await;
    let user = old.user("a", json!({ "plan": "free" })).await;
    let file = old.rows(&[json!({ "_id": "a", "clerk": user, "plan": "pro" })]);
    let keep = ["--clerk-id", "clerk", "--field", "plan"];
    assert_eq!(old.report(&file, &keep).await.0["plan"]["by_result"]["conflict"], 1);
    let source = [&keep[..], &["--on-conflict", "source"]].concat();
    let (report, status) = old.report(&file, &source).await;
    assert_eq!((status, &report["done"]["by_result"]), (Some(0), &json!({ "changed": 1 })), "{report}");
    assert_eq!(old.metadata_of(&user).await["plan"], "pro");
    let said = old.migrate(&file, &[&keep[..], &["--yes"]].concat()).await;
    refused(
        &said,
        1,
        "users.json.migration belongs to another migration, which has written something: --on-conflict was",
    );
    assert!(
        said.err.contains("--on-conflict was source and is keep. Give this migration a folder of its own"),
        "{}",
        said.err
    );
    // The same for a table. Its first plan finds an id of another type.
    let mapped = Mapped::open(1).await;
    mapped.put("moods", json!({ "mood_id": "r1", "user_id": "1" })).await;
    std::fs::write(Path::new(&mapped.map).join("map.ndjson"), {
        let pair = json!({ "legacy_id": "int:1", "clerk_user_id": mapped.users[0] });
        format!("{pair}\n")
    })
    .unwrap();
    assert_eq!(mapped.rekey(&REFERENCE).await.json()["plan"]["by_reason"]["unmatched"], json!({ "unknown_id": 1 }));
    let loose = [&REFERENCE[..], &["--loose-ids"]].concat();
    let said = mapped.rekey(&loose).await;
    assert_eq!((said.status, &said.json()["written"]), (Some(0), &json!(1)), "{}", said.err);
    refused(&mapped.rekey(&REFERENCE).await, 1, "--loose-ids was given and is not given");
    assert_eq!(mapped.rekey(&["--undo"]).await.status, Some(0));
    assert_eq!(mapped.moods().await["r1"]["clerk_user_id"], Value::Null);
    // Nothing is written any more.
    assert_eq!(mapped.rekey(&REFERENCE).await.status, Some(2));
    // A folder of another command, and a map that has changed since.
    let args = ["migrate", "rekey-table", "moods", "--map", &mapped.map, "--reference", "user_id", "--yes", "--folder"];
    let said = run(&mapped.old, &[&args[..], &[mapped.map.as_str()]].concat()).await;
    refused(&said, 1, "is a folder of `rollcall migrate metadata`: name another folder (--folder)");
    assert_eq!(mapped.rekey(&loose).await.status, Some(0));
    std::fs::write(Path::new(&mapped.map).join("map.ndjson"), "").unwrap();
    refused(&mapped.rekey(&loose).await, 1, "which has written something: the SHA-256 of the map was ");
}
