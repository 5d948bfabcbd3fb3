//! Starting, stopping, and what is left for the next start.

use std::{fs, path::Path, time::Duration};

use clerk_emulator::{Config, Emulator, SnapshotError, StartError};
use serde_json::{Value, json};

use crate::support::{Clerk, Endpoint, FrozenClock, delivering_to, id};

fn kept_in(folder: &Path, users: usize) -> Config {
    Config { snapshot: Some(folder.join("state/clerk.json")), users, ..Config::default() }
}

async fn everything(clerk: &Clerk) -> [Value; 3] {
    let users = clerk.get("/v1/users?limit=500").await.ok();
    let organizations = clerk.get("/v1/organizations?limit=500").await.ok();
    [users, organizations, clerk.get("/v1/organization_memberships?limit=500").await.ok()]
}

#[tokio::test]
async fn a_stopped_emulator_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let clerk = Clerk::start(kept_in(folder.path(), 12)).await;
    let ada = clerk.create_user("ada").await;
    clerk.post(&format!("/v1/users/{}/ban", id(&ada)), json!({})).await.ok();
    let before = everything(&clerk).await;
    clerk.emulator.stop().await.unwrap();

    let clerk = Clerk::start(kept_in(folder.path(), 50)).await;
    assert_eq!(everything(&clerk).await, before, "and is not given samples again");
    let taken = clerk.post("/v1/users", json!({"email_address": ["ada@example.com"]})).await;
    assert_eq!(taken.refusal(), (422, "form_identifier_exists"));
    let next = clerk.create_user("grace").await;
    assert!(before[0].as_array().unwrap().iter().all(|user| user["id"] != next["id"]), "ids go on");
}

#[tokio::test]
async fn an_instance_whose_users_were_all_deleted_stays_empty() {
    let folder = tempfile::tempdir().unwrap();
    let clerk = Clerk::start(kept_in(folder.path(), 1)).await;
    for user in clerk.get("/v1/users").await.rows() {
        clerk.delete(&format!("/v1/users/{}", id(&user))).await.ok();
    }
    clerk.emulator.stop().await.unwrap();
    let clerk = Clerk::start(kept_in(folder.path(), 1)).await;
    assert!(clerk.get("/v1/users").await.rows().is_empty());
}

#[tokio::test]
async fn a_change_is_saved_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let clerk = Clerk::start(kept_in(folder.path(), 0)).await;
    let file = folder.path().join("state/clerk.json");
    clerk.create_user("ada").await;
    let saved = async {
        while !fs::read_to_string(&file).is_ok_and(|text| text.contains("ada@example.com")) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), saved).await.expect("saved within moments");
    drop(clerk);
    let clerk = Clerk::start(kept_in(folder.path(), 0)).await;
    assert_eq!(clerk.get("/v1/users").await.rows().len(), 1);
}

#[tokio::test]
async fn sample_users_are_the_same_after_a_start_that_changed_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let clock = FrozenClock::new();
    let clerk = Clerk::start(Config { clock: clock.clock(), ..kept_in(folder.path(), 5) }).await;
    let before = everything(&clerk).await;
    let saved = async {
        while !folder.path().join("state/clerk.json").exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), saved).await.expect("saved without any change");
    drop(clerk);
    clock.advance(60_000);
    let clerk = Clerk::start(Config { clock: clock.clock(), ..kept_in(folder.path(), 5) }).await;
    assert_eq!(everything(&clerk).await, before);
}

#[tokio::test]
async fn svix_ids_go_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut svix_ids = Vec::new();
    for name in ["ada", "grace"] {
        let endpoint = Endpoint::start().await;
        let snapshot = kept_in(folder.path(), 0).snapshot;
        let clerk = Clerk::start(Config { snapshot, ..delivering_to(&endpoint) }).await;
        clerk.create_user(name).await;
        clerk.emulator.settled().await;
        svix_ids.push(endpoint.received()[0].svix_id.clone());
        clerk.emulator.stop().await.unwrap();
    }
    assert_ne!(svix_ids[0], svix_ids[1], "a receiver would take the second for a retry of the first");
}

#[tokio::test]
async fn what_is_no_snapshot_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clerk.json");
    for text in ["not JSON", r#"{"version":99,"issued":0,"users":[],"organizations":[],"memberships":[]}"#] {
        fs::write(&file, text).unwrap();
        let refused = Emulator::start(Config { snapshot: Some(file.clone()), ..Config::default() }).await;
        let error = refused.expect_err("refused");
        assert!(matches!(error, StartError::Snapshot(SnapshotError::Format(_) | SnapshotError::Version(99))));
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
}

#[tokio::test]
async fn a_stopped_emulator_gives_its_port_back() {
    let clerk = Clerk::start(Config::default()).await;
    clerk.get("/v1/users").await.ok();
    let port: u16 = clerk.emulator.url().rsplit(':').next().unwrap().parse().unwrap();
    let taken = Emulator::start(Config { port, ..Config::default() }).await;
    assert!(matches!(taken.err(), Some(StartError::Listen { .. })));
    clerk.emulator.stop().await.unwrap();
    let again = Emulator::start(Config { port, ..Config::default() }).await.expect("the port is free");
    again.stop().await.unwrap();
}

#[tokio::test]
async fn the_same_seed_and_clock_make_the_same_instance() {
    let mut instances = Vec::new();
    for seed in [1, 1, 2] {
        let clock = FrozenClock::new().clock();
        let clerk = Clerk::start(Config { seed, users: 20, clock, ..Config::default() }).await;
        instances.push(everything(&clerk).await);
    }
    assert_eq!(instances[0], instances[1]);
    assert_ne!(instances[0], instances[2]);
}

#[tokio::test]
async fn a_malformed_setting_is_refused_at_the_start() {
    let url = Some("http://127.0.0.1:1/".to_owned());
    let secret = Config { webhook_url: url, webhook_secret: "whsec_?".to_owned(), ..Config::default() };
    assert!(matches!(Emulator::start(secret).await.err(), Some(StartError::Endpoint(_))));
    let url = Config { webhook_url: Some("ftp://example.com".to_owned()), ..Config::default() };
    assert!(matches!(Emulator::start(url).await.err(), Some(StartError::Endpoint(_))));
}
