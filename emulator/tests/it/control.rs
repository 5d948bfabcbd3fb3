//! The routes under `/_emulator`, and what the README says about them and about the defaults.

use std::fs;

use clerk_emulator::{Config, Faults, INSTANCE_ID};
use serde_json::{Value, json};

use crate::{
    contract::repository,
    support::{Clerk, read},
};

const README: &str = include_str!("../../README.md");

/// The block of JSON in the README.
fn faults_in_the_readme() -> &'static str {
    let (_, block) = README.split_once("```json\n").expect("a block of JSON");
    block.split_once("```").expect("its end").0
}

/// The names of all fields, with those that they are in.
fn names(value: &Value) -> Vec<String> {
    let inner = |(name, field): (&String, &Value)| {
        let nested = names(field).into_iter().map(|inner| format!("{name}.{inner}")).collect::<Vec<_>>();
        if nested.is_empty() { vec![name.clone()] } else { nested }
    };
    value.as_object().map_or(Vec::new(), |fields| fields.iter().flat_map(inner).collect())
}

#[tokio::test]
async fn the_readme_shows_every_dial_at_rest() {
    let clerk = Clerk::start(Config::default()).await;
    let shown: Value = serde_json::from_str(faults_in_the_readme()).unwrap();
    assert_eq!(names(&shown), names(&clerk.get("/_emulator/faults").await.ok()));
    clerk.put("/_emulator/faults", json!({"webhooks": {"drop": 1}, "api": {"slow_ms": 1}})).await.ok();
    assert_ne!(clerk.emulator.faults(), Faults::default());
    clerk.put("/_emulator/faults", shown).await.ok();
    assert_eq!(clerk.emulator.faults(), Faults::default());
    clerk.put("/_emulator/faults", json!({"webhooks": {"drop": 1}})).await.ok();
    clerk.put("/_emulator/faults", json!({})).await.ok();
    assert_eq!(clerk.emulator.faults(), Faults::default(), "what is left out is at rest");
}

#[tokio::test]
async fn the_control_plane_wants_no_key() {
    let clerk = Clerk::start(Config::default()).await;
    for route in ["faults", "endpoints", "deliveries", "requests"] {
        let url = format!("{}/_emulator/{route}", clerk.emulator.url());
        read(clerk.client.get(url)).await.ok();
    }
    let settle = format!("{}/_emulator/settle", clerk.emulator.url());
    read(clerk.client.post(settle)).await.ok();
}

#[cfg(target_os = "linux")] // Elsewhere 127.0.0.2 is nobody's.
#[tokio::test]
async fn nothing_listens_on_another_address() {
    let clerk = Clerk::start(Config::default()).await;
    let url = clerk.emulator.url().to_owned();
    clerk.client.get(format!("{url}/_emulator/faults")).send().await.unwrap();
    let other = url.replace("127.0.0.1", "127.0.0.2");
    assert!(clerk.client.get(format!("{other}/_emulator/faults")).send().await.unwrap_err().is_connect());
}

#[tokio::test]
async fn endpoints_are_listed_as_they_were_added() {
    let clerk = Clerk::start(Config::default()).await;
    assert_eq!(clerk.get("/_emulator/endpoints").await.ok(), json!([]));
    let added = clerk.post("/_emulator/endpoints", json!({"url": "http://127.0.0.1:1/"})).await.body;
    assert!(
        added["id"].as_str().unwrap().starts_with("ep_") && added["secret"].as_str().unwrap().starts_with("whsec_")
    );
    assert_eq!(clerk.get("/_emulator/endpoints").await.ok(), json!([added]));
}

#[test]
fn the_default_instance_is_that_of_the_samples() {
    let mut samples = 0;
    for file in fs::read_dir(repository("events")).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|extension| extension == "json") {
            let sample: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
            assert_eq!(sample["instance_id"], INSTANCE_ID, "{}", file.display());
            samples += 1;
        }
    }
    assert!(samples > 0);
}

#[test]
fn the_readme_is_no_wider_than_the_code() {
    for line in README.lines() {
        assert!(line.chars().count() <= 120, "{line}");
    }
}
