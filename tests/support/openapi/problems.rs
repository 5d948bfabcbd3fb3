//! Problems as responses of the document: by their statuses, each with the codes that a route may answer.

use std::collections::BTreeMap;

use rollcall::core::ensure::admission::Refusal;
use rollcall::core::problem::{MEDIA_TYPE, Problem};
use rollcall::core::session::claims::Rejection;
use rollcall::core::session::problems::{KEYS_UNAVAILABLE, ORIGIN_NOT_ALLOWED, problem};
use serde_json::{Map, Value, json};
use strum::VariantArray;

/// The problems of a request without a good session; `is_unsafe` for methods that may change something.
pub(super) fn of_session(is_unsafe: bool) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Rejection::VARIANTS.iter().map(|rejection| problem(*rejection)).collect();
    problems.push(KEYS_UNAVAILABLE);
    problems.extend(is_unsafe.then_some(ORIGIN_NOT_ALLOWED));
    problems
}

/// The problems of a caller who is denied access.
pub(super) fn of_admission() -> Vec<Problem> {
    Refusal::VARIANTS.iter().map(|refusal| refusal.problem()).collect()
}

/// The name of the example of a problem: its code, but ensure-profile and account give different advice with one code.
fn name(problem: &Problem) -> &'static str {
    if *problem == account::problems::NOT_SYNCED { "user_not_synced_of_account" } else { problem.code }
}

/// An example of every problem, by its name.
pub(super) fn examples(problems: impl Iterator<Item = Problem>) -> BTreeMap<String, Value> {
    let example = |problem: Problem| {
        let mut value = serde_json::to_value(problem.body("7c5b1a3e", None)).unwrap();
        if problem.code == "reverification_required" {
            value["clerk_error"] = json!({ "type": "forbidden", "reason": "reverification-error",
                "metadata": { "reverification": { "level": "first_factor", "afterMinutes": 10 } } });
        }
        (name(&problem).to_owned(), json!({ "summary": problem.title, "value": value }))
    };
    problems.map(example).collect()
}

/// One response for each status, with all codes.
pub(super) fn responses(problems: &[Problem]) -> BTreeMap<u16, Value> {
    let mut by_status = BTreeMap::<u16, Vec<&Problem>>::new();
    for problem in problems {
        let of_status = by_status.entry(problem.status).or_default();
        if !of_status.iter().any(|known| known.code == problem.code) {
            of_status.push(problem);
        }
    }
    by_status.into_iter().map(|(status, problems)| (status, response(status, &problems))).collect()
}

fn response(status: u16, problems: &[&Problem]) -> Value {
    let codes: Vec<&str> = problems.iter().map(|problem| problem.code).collect();
    let examples: Map<String, Value> = problems
        .iter()
        .map(|problem| (problem.code.to_owned(), json!({ "$ref": format!("#/components/examples/{}", name(problem)) })))
        .collect();
    let titles: Vec<String> = problems.iter().map(|problem| format!("`{}`: {}", problem.code, problem.title)).collect();
    let mut response = json!({
        "description": titles.join(". "),
        "content": { MEDIA_TYPE: {
            "schema": { "allOf": [
                { "$ref": "#/components/schemas/Problem" },
                { "type": "object", "properties": { "status": { "const": status }, "code": { "enum": codes } } },
            ] },
            "examples": examples,
        } },
    });
    let header = match status {
        401 => Some(("www-authenticate", "`Bearer`")),
        415 if codes.contains(&"merge_patch_expected") => Some(("accept-patch", "`application/merge-patch+json`")),
        415 => Some(("accept", "`application/json`")),
        503 => Some(("retry-after", "Seconds until another attempt makes sense")),
        412 | 428 => Some(("etag", "The entity tag of the record as it is now")),
        _ => None,
    };
    if let Some((name, description)) = header {
        response["headers"] = json!({ name: { "description": description, "schema": { "type": "string" } } });
    }
    response
}
