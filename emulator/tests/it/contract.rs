//! Clerk's `OpenAPI` documents as validators.
//!
//! The documents are `OpenAPI` 3.0, whose schemas are nearly JSON Schema: only `nullable` has to be translated.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock},
};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// One document with the validators that were needed so far.
pub(crate) struct Contract {
    document: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// The Backend API, version 2026-05-12.
pub(crate) fn backend_api() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(|| Contract::read("clerk-bapi-openapi.yml"))
}

/// The webhooks' payloads, 2025-04-15.
pub(crate) fn webhooks() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(|| Contract::read("clerk-webhooks-openapi.yml"))
}

/// A folder of the repository.
pub(crate) fn repository(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder)
}

impl Contract {
    fn read(name: &str) -> Self {
        let text = fs::read_to_string(repository("tests/contracts").join(name)).expect("contract is there");
        let document = serde_yaml_ng::from_str(&text).expect("contract is YAML");
        Self { document: with_nulls(document), validators: Mutex::default() }
    }

    /// What is wrong with an answer, as the operation's declared response for its status sees it. An error status that
    /// the operation does not declare (Clerk declares 429 nowhere) is held against Clerk's error object.
    pub(crate) fn check_answer(&self, method: &str, path: &str, status: u16, body: &Value) -> Vec<String> {
        let Some(operation) = self.operation(method, path) else {
            return if status >= 400 {
                self.check(&json!({"$ref": "#/components/schemas/ClerkErrors"}), body)
            } else {
                vec![format!("{method} {path} is not in the contract")]
            };
        };
        let declared = &operation["responses"][status.to_string()];
        let response = match declared["$ref"].as_str() {
            Some(reference) => self.resolve(reference),
            None => declared,
        };
        let schema = &response["content"]["application/json"]["schema"];
        if !schema.is_null() {
            return self.check(schema, body);
        }
        if status >= 400 {
            return self.check(&json!({"$ref": "#/components/schemas/ClerkErrors"}), body);
        }
        vec![format!("{method} {path} does not declare {status}")]
    }

    /// What is wrong with a webhook's payload.
    pub(crate) fn check_event(&self, payload: &Value) -> Vec<String> {
        let kind = payload["type"].as_str().unwrap_or_default();
        let schema = &self.document["x-webhooks"][kind]["post"]["requestBody"]["content"]["application/json"]["schema"];
        if schema.is_null() {
            return vec![format!("{kind} is not in the catalogue")];
        }
        self.check(schema, payload)
    }

    fn check(&self, schema: &Value, instance: &Value) -> Vec<String> {
        let validator = {
            let mut validators = self.validators.lock().unwrap();
            let build = || {
                let rooted = json!({"allOf": [schema], "components": self.document["components"]});
                Arc::new(jsonschema::draft202012::new(&rooted).expect("schema compiles"))
            };
            Arc::clone(validators.entry(schema.to_string()).or_insert_with(build))
        };
        validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    /// The operation whose template matches, a literal segment before a parameter.
    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let path = path.split('?').next()?.strip_prefix("/v1")?;
        let wanted: Vec<&str> = path.split('/').collect();
        let templates = self.document["paths"].as_object()?.iter();
        let matching = templates.filter(|(template, _)| {
            let segments: Vec<&str> = template.split('/').collect();
            segments.len() == wanted.len()
                && segments.iter().zip(&wanted).all(|(segment, part)| segment.starts_with('{') || segment == part)
        });
        let best = matching.min_by_key(|(template, _)| template.matches('{').count())?;
        best.1.get(method.to_lowercase())
    }

    fn resolve(&self, reference: &str) -> &Value {
        self.document.pointer(reference.trim_start_matches('#')).expect("reference resolves")
    }
}

/// `OpenAPI` 3.0's `nullable: true` in JSON Schema's words: null, or what the schema says otherwise.
fn with_nulls(value: Value) -> Value {
    match value {
        Value::Array(entries) => entries.into_iter().map(with_nulls).collect(),
        Value::Object(fields) => {
            // A property may itself be called "nullable": only the keyword is a boolean.
            let nullable = fields.get("nullable") == Some(&Value::Bool(true));
            let rest: Map<String, Value> = fields.into_iter().map(|(key, field)| (key, with_nulls(field))).collect();
            if nullable { json!({"anyOf": [{"type": "null"}, rest]}) } else { Value::Object(rest) }
        }
        plain => plain,
    }
}
