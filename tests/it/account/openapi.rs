//! docs/openapi.json agrees with the types, the problems and the registry.

use std::collections::BTreeSet;

use rollcall_cli::functions::FUNCTIONS;
use rollcall_tests::openapi::document;
use serde_json::Value;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");

#[test]
#[expect(clippy::disallowed_methods, reason = "`make docs` tells the test to write the file")]
fn the_document_is_what_the_code_says() {
    let written = format!("{}\n", serde_json::to_string_pretty(&document()).unwrap());
    if std::env::var("ROLLCALL_WRITE_OPENAPI").is_ok() {
        std::fs::write(PATH, &written).unwrap();
    }
    let committed = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(committed == written, "docs/openapi.json is not what the code says: run `make docs`");
}

#[test]
fn the_document_has_every_route_of_the_registry_and_no_other() {
    let document = document();
    let mut documented = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        documented
            .extend(operations.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())));
    }
    let registered = FUNCTIONS.iter().flat_map(|function| function.routes).map(|route| (*route).to_owned());
    assert_eq!(documented, registered.collect::<BTreeSet<_>>());
}

#[test]
fn the_document_has_every_problem_of_the_functions() {
    let document = document().to_string();
    let all = account::problems::ALL.iter().chain(webhook::answers::PROBLEMS).chain(ensure_profile::answers::PROBLEMS);
    for problem in all {
        assert!(document.contains(&format!("\"{}\"", problem.code)), "{} is in no response", problem.code);
    }
    let _: Value = serde_json::from_str(&document).unwrap();
}

#[test]
fn every_parameter_has_an_example_that_its_schema_allows() {
    let document = document();
    let operations = document["paths"].as_object().unwrap().iter().flat_map(|(path, operations)| {
        operations.as_object().unwrap().iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
    });
    let mut found = 0;
    for (route, operation) in operations {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            found += 1;
            let (name, example) = (&parameter["name"], &parameter["example"]);
            let is_right = match parameter["schema"]["type"].as_str().unwrap() {
                "integer" => example.is_u64(),
                "array" => example.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(Value::is_string)),
                _ => example.as_str().is_some_and(|text| !text.is_empty()),
            };
            assert!(is_right, "{route} {name}: {example}");
        }
    }
    assert!(found > 20, "{found}");
}
