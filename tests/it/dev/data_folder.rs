//! The folder of `rollcall dev --data` belongs to one stack at a time.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::operator::commands::{binary, command, finish};

fn dev(folder: &str) -> tokio::process::Command {
    let mut command = command(binary().to_str().unwrap(), &[]);
    let ports = ["--port", "0", "--clerk-port", "0", "--dynamodb-port", "0"];
    command.args(["dev", "--json", "--users", "2", "--data", folder]).args(ports);
    command
}

/// A stack that has come up.
async fn started(folder: &str) -> Child {
    let mut child = dev(folder).spawn().expect("the rollcall binary is built by `make test` before this runs");
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    tokio::time::timeout(Duration::from_mins(1), out.read_line(&mut line)).await.expect("it comes up").unwrap();
    assert!(line.starts_with('{'), "{line}");
    child
}

#[tokio::test]
async fn fault_a11_a_folder_in_use_is_refused_with_the_process_that_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d");
    let path = path.to_str().unwrap();
    let mut first = started(path).await;
    let refused = finish(dev(path)).await;
    assert_eq!((refused.status, refused.out.as_str()), (Some(1), ""), "{}", refused.err);
    let expected = format!("{path} is in use by process {}", first.id().unwrap());
    assert!(refused.err.contains(&expected), "{}", refused.err);
    // However it ended, its claim ended with it.
    first.kill().await.unwrap();
    started(path).await.kill().await.unwrap();
}
