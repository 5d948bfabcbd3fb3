//! Every published vector of the signature scheme gives its verdict.

use http::HeaderMap;
use rollcall::adapters::clerk::webhook_signature::SvixSignature;
use rollcall::core::millis::Millis;
use serde_json::Value;

const VECTORS: &str = include_str!("../../contracts/webhook-vectors.json");

fn vectors() -> Value {
    serde_json::from_str(VECTORS).unwrap()
}

fn verdict(vector: &Value) -> &'static str {
    let body = match &vector["payload"] {
        Value::String(payload) => payload.clone(),
        _ => vector["payload_repeat"]["char"]
            .as_str()
            .unwrap()
            .repeat(usize::try_from(vector["payload_repeat"]["count"].as_u64().unwrap()).unwrap()),
    };
    let mut headers = HeaderMap::new();
    for (name, value) in vector["headers"].as_object().unwrap() {
        headers.insert(http::HeaderName::try_from(name).unwrap(), value.as_str().unwrap().parse().unwrap());
    }
    let now = Millis::try_from(vector["now"].as_i64().unwrap() * 1000).unwrap();
    let signature = SvixSignature::new(vector["secret"].as_str().unwrap()).unwrap();
    if signature.verify(body.as_bytes(), &headers, now).is_ok() { "valid" } else { "invalid" }
}

#[test]
fn every_vector_gives_its_verdict() {
    let vectors = vectors();
    let vectors = vectors["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 28);
    let wrong: Vec<&Value> =
        vectors.iter().filter(|vector| verdict(vector) != vector["expected"]).map(|vector| &vector["name"]).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn secrets_that_are_none_are_refused() {
    for case in vectors()["constructor_must_reject"].as_array().unwrap() {
        let secret = case["secret"].as_str().unwrap();
        assert!(SvixSignature::new(secret).is_err(), "{secret:?}");
    }
}

#[test]
fn any_of_several_secrets_will_do() {
    let vectors = vectors();
    let vectors = vectors["vectors"].as_array().unwrap();
    let (one, other) = (vectors[0]["secret"].as_str().unwrap(), vectors[1]["secret"].as_str().unwrap());
    assert_ne!(one, other);
    for secrets in [format!("{one} {other}"), format!("{other} {one}"), format!("  {other}\n{one} ")] {
        let mut vector = vectors[0].clone();
        vector["secret"] = secrets.into();
        assert_eq!(verdict(&vector), "valid");
    }
    let mut vector = vectors[0].clone();
    vector["secret"] = other.into();
    assert_eq!(verdict(&vector), "invalid");
}
