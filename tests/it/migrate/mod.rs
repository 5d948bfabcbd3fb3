//! Migrations: from an old users collection to Clerk.

mod agreement;
mod killed;
mod large;
mod meanwhile;
mod metadata;
mod misspelt;
mod random;
mod random_table;
mod refused;
mod rekey;
mod rekey_table;
mod rekey_table_undo;
mod verify;
mod verify_exceptions;

use std::path::{Path, PathBuf};

use rollcall_tests::World;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::operator::commands::{Evidence, rollcall};

/// A world, and a folder for the files of a migration.
struct Old {
    world: World,
    folder: TempDir,
}

impl Old {
    async fn open() -> Old {
        Old { world: World::with(&[("METADATA_WRITEBACK", "off")]).await, folder: tempfile::tempdir().unwrap() }
    }

    /// A file of the operator.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Lines of JSON.
    fn rows(&self, rows: &[Value]) -> PathBuf {
        self.file("users.json", &rows.iter().map(|row| format!("{row}\n")).collect::<String>())
    }

    /// A user in Clerk with an external id and public metadata.
    async fn user(&self, external_id: &str, metadata: Value) -> String {
        let body = json!({ "skip_user_requirement": true, "external_id": external_id, "public_metadata": metadata });
        self.world.clerk("POST", "/users", body).await["id"].as_str().unwrap().to_owned()
    }

    async fn metadata_of(&self, user: &str) -> Value {
        self.world.clerk("GET", &format!("/users/{user}"), Value::Null).await["public_metadata"].take()
    }

    /// Runs `rollcall migrate metadata`.
    async fn migrate(&self, file: &Path, options: &[&str]) -> Evidence {
        let args = [&["migrate", "metadata", file.to_str().unwrap()], options].concat();
        rollcall(&self.world, &args, &[]).await
    }

    /// The same without a question, as JSON, and its exit status.
    async fn report(&self, file: &Path, options: &[&str]) -> (Value, Option<i32>) {
        let said = self.migrate(file, &[options, &["--yes", "--json"]].concat()).await;
        assert!(!said.out.is_empty(), "{}", said.err);
        (said.json(), said.status)
    }

    /// The changes of metadata that Clerk was asked for so far.
    fn patches(&self) -> u64 {
        self.world.stack.clerk.requests().get("PATCH /v1/users/{user_id}/metadata").copied().unwrap_or_default()
    }

    /// A file in the folder of the migration of another file, line by line.
    fn lines_in(file: &Path, name: &str) -> Vec<Value> {
        let folder = format!("{}.migration", file.display());
        let text = std::fs::read_to_string(Path::new(&folder).join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A file in the folder of the migration of `users.json`, line by line.
    fn lines(&self, name: &str) -> Vec<Value> {
        Old::lines_in(&self.folder.path().join("users.json"), name)
    }
}
