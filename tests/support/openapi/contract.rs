//! Holds the responses of the tests against docs/openapi.json.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::answer::Answer;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
});
static VALIDATORS: LazyLock<Mutex<HashMap<String, &'static Validator>>> = LazyLock::new(Mutex::default);

/// Checks the response of a function to a request that API Gateway has given it by this route key.
///
/// # Panics
///
/// If the document does not have the status, the media type or the body.
pub fn check(route: &str, answer: &Answer) {
    let Some((method, path)) = route.split_once(' ') else { return };
    let operation = &DOCUMENT["paths"][path][method.to_lowercase()];
    if operation.is_null() {
        return;
    }
    // An answer of API Gateway itself, such as 500 where the function returns an error.
    if answer.body.as_object().is_some_and(|body| body.len() == 1 && body.contains_key("message")) {
        return;
    }
    let response = &operation["responses"][answer.status.to_string()];
    assert!(response.is_object(), "docs/openapi.json has no {} for {route}: {}", answer.status, answer.text);
    for name in response["headers"].as_object().into_iter().flatten().map(|(name, _)| name) {
        assert!(
            answer.header(name).is_some() || name == "etag" && answer.status == 412,
            "{route} {} without {name}",
            answer.status
        );
    }
    let media_type = answer.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default();
    if media_type.is_empty() {
        return assert!(answer.text.is_empty(), "{route} {}: a body without a media type", answer.status);
    }
    let content = &response["content"][media_type];
    assert!(content.is_object(), "docs/openapi.json has no {media_type} for {route} {}", answer.status);
    if !media_type.ends_with("json") {
        return;
    }
    let validator = validator(&format!("{route} {} {media_type}", answer.status), &content["schema"]);
    let errors: Vec<String> =
        validator.iter_errors(&answer.body).map(|error| format!("{} at {}", error, error.instance_path())).collect();
    assert!(
        errors.is_empty(),
        "docs/openapi.json says something else of {route} {}: {errors:?}\n{}",
        answer.status,
        answer.text
    );
}

fn validator(name: &str, schema: &Value) -> &'static Validator {
    let mut validators = VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner);
    validators.entry(name.to_owned()).or_insert_with(|| {
        let whole = json!({ "allOf": [schema], "components": DOCUMENT["components"] });
        Box::leak(Box::new(jsonschema::draft202012::new(&whole).unwrap()))
    })
}
