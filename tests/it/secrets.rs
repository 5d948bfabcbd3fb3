//! The deployed way to the secrets: a Secrets Manager that speaks its protocol, on loopback.

use aws_config::SdkConfig;
use axum::http::StatusCode;
use rollcall::adapters::secrets;
use rollcall_tests::serve;
use serde_json::{Value, json};

const ARN: &str = "arn:aws:secretsmanager:eu-west-1:000000000000:secret:rollcall-AbCdEf";

async fn manager(status: u16, answer: Value) -> SdkConfig {
    let status = StatusCode::from_u16(status).unwrap();
    let url = serve(axum::Router::new().fallback(move || async move { (status, axum::Json(answer)) })).await;
    rollcall_cli::dev::stack::local_config(&url).await
}

fn secret(value: &Value) -> Value {
    json!({ "ARN": ARN, "Name": "rollcall", "SecretString": value.to_string() })
}

/// An environment with values left behind.
fn environment(name: &str) -> Option<String> {
    match name {
        "ROLLCALL_SECRET_ARN" => Some(ARN.to_owned()),
        "CLERK_SECRET_KEY" | "CLERK_WEBHOOK_SECRET" => Some("left-behind".to_owned()),
        "MIRROR" => Some("off".to_owned()),
        _ => None,
    }
}

#[tokio::test]
async fn both_secrets_come_from_secrets_manager_and_nothing_else_counts() {
    let both = json!({ "CLERK_SECRET_KEY": "sk_live_1", "CLERK_WEBHOOK_SECRET": "whsec_MQ==", "MIRROR": "on" });
    let lookup = secrets::lookup(environment, &manager(200, secret(&both)).await).await.unwrap();
    assert_eq!(lookup("CLERK_SECRET_KEY").as_deref(), Some("sk_live_1"));
    assert_eq!(lookup("CLERK_WEBHOOK_SECRET").as_deref(), Some("whsec_MQ=="));
    assert_eq!(lookup("MIRROR").as_deref(), Some("off"), "a setting is no secret");
    // One of the two is missing there: what the environment holds does not stand in for it.
    let one = json!({ "CLERK_SECRET_KEY": "sk_live_1" });
    let lookup = secrets::lookup(environment, &manager(200, secret(&one)).await).await.unwrap();
    assert_eq!(lookup("CLERK_WEBHOOK_SECRET"), None);
}

#[tokio::test]
async fn without_an_arn_the_environment_is_all_there_is() {
    let nobody = rollcall_cli::dev::stack::local_config("http://127.0.0.1:1").await;
    let without = |name: &str| environment(name).filter(|_| name != "ROLLCALL_SECRET_ARN");
    let lookup = secrets::lookup(without, &nobody).await.unwrap();
    assert_eq!(lookup("CLERK_SECRET_KEY").as_deref(), Some("left-behind"));
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_an_error_that_quotes_nothing_of_it() {
    let denied = json!({ "__type": "AccessDeniedException", "Message": "not authorized" });
    let missing = json!({ "__type": "ResourceNotFoundException", "Message": "cannot find it" });
    for (status, answer) in [
        (400, denied),
        (400, missing),
        (200, json!({ "ARN": ARN, "SecretBinary": "c2tfbGl2ZV8x" })),
        (200, json!({ "ARN": ARN, "SecretString": "sk_live_1" })),
        (200, secret(&json!(["sk_live_1"]))),
        (200, secret(&json!({ "CLERK_SECRET_KEY": { "value": "sk_live_1" } }))),
    ] {
        let error = secrets::lookup(environment, &manager(status, answer).await).await.err().expect("it is no good");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("ROLLCALL_SECRET_ARN") || shown.contains("Malformed"), "{shown}");
        assert!(!shown.contains("sk_live_1"), "{shown}");
    }
}
