//! Pages in the developer's browser, and names that point to this machine.

use clerk_emulator::Config;
use reqwest::RequestBuilder;
use serde_json::json;

use crate::support::Clerk;

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.expect("emulator answers").status().as_u16()
}

#[tokio::test]
async fn fault_s17_pages_of_the_front_end_and_of_this_machine_may_ask_and_others_may_not() {
    let clerk = Clerk::start(Config { front_end: "https://app.example.com".to_owned(), ..Config::default() }).await;
    let ada = clerk.create_user("ada").await;
    let asked = |origin: &str| {
        let request = clerk.client.post(format!("{}/_emulator/tokens", clerk.emulator.url()));
        request.json(&json!({"user_id": ada["id"]})).header("origin", origin)
    };
    for (origin, expected) in [
        ("https://app.example.com", 200),
        ("http://localhost:3000", 200),
        ("https://evil.example", 403),
        ("https://app.example.com.evil.example", 403),
        ("null", 403),
    ] {
        assert_eq!(status(asked(origin)).await, expected, "{origin}");
    }
}

#[tokio::test]
async fn fault_s17_it_answers_to_the_names_of_this_machine_and_to_those_that_are_allowed() {
    let allow_hosts = vec!["host.docker.internal".parse().unwrap()];
    let clerk = Clerk::start(Config { allow_hosts, ..Config::default() }).await;
    for (host, expected) in
        [("localhost:3001", 200), ("host.docker.internal:3001", 200), ("docker.internal", 403), ("evil.example", 403)]
    {
        // The keys are for everybody who may ask at all.
        assert_eq!(status(clerk.client.get(clerk.emulator.jwks_url()).header("host", host)).await, expected, "{host}");
    }
}

/// Clerk's SDKs send JSON, some of them without a body and without a type.
#[tokio::test]
async fn fault_s17_what_clerks_sdks_send_is_accepted() {
    let clerk = Clerk::start(Config::default()).await;
    let ada = clerk.create_user("ada").await;
    let url = format!("{}/v1/users/{}", clerk.emulator.url(), ada["id"].as_str().unwrap());
    let with_key = |request: RequestBuilder| request.bearer_auth(clerk.emulator.secret_key());
    let ban = |request: RequestBuilder| async move { status(with_key(request)).await };
    assert_eq!(ban(clerk.client.post(format!("{url}/ban"))).await, 200, "nothing at all");
    let typed = clerk.client.post(format!("{url}/unban")).header("content-type", "application/json");
    assert_eq!(ban(typed).await, 200, "@clerk/backend names the type always");
    let edited = clerk.client.patch(&url).header("content-type", "application/json; charset=utf-8");
    assert_eq!(ban(edited.body(r#"{"first_name":"Grace"}"#)).await, 200);
    let form = clerk.client.patch(&url).header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(ban(form.body("first_name=Eve")).await, 415);
    assert_eq!(clerk.get(&format!("/v1/users/{}", ada["id"].as_str().unwrap())).await.ok()["first_name"], "Grace");
    assert_eq!(ban(clerk.client.delete(&url)).await, 200);
}
