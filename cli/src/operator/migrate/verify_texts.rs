//! The report of `rollcall migrate verify` for people: to read, to sign, to keep.

use rollcall_migrate::verify::criteria::{Criterion, State};
use rollcall_migrate::verify::findings::Group;
use serde_json::Value;

use crate::operator::text::{count, counted, table};

/// Groups of findings that are printed for a criterion; `findings.ndjson` has all.
const SHOWN: usize = 20;

/// The report.
pub(super) fn report(json: &Value, criteria: &[Criterion]) -> String {
    let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned();
    let mut parts = vec![
        format!(
            "Verification of the migration to Clerk instance {}, by Rollcall {}\n\n\
             This report describes the data as of {} (reading began at {}). It expires when a file, the map, a table or a \
             user in Clerk changes: verify again on the day on which you drop the old collection.",
            text("/clerk_instance"),
            text("/rollcall"),
            text("/as_of"),
            text("/started")
        ),
        table(&["", "criterion", "state"], &criteria.iter().map(line).collect::<Vec<_>>(), 3),
    ];
    parts.extend(criteria.iter().map(detail));
    parts.extend(without_effect(json));
    parts.push(format!("SHA-256 of what was read\n\n{}", inputs(json)));
    parts.push(
        "Name:      ____________________________\n\n\
         Date:      ____________________________\n\n\
         Signature: ____________________________"
            .to_owned(),
    );
    parts.join("\n\n")
}

fn name(state: State) -> &'static str {
    match state {
        State::Proven => "proven",
        State::NotProven => "NOT PROVEN",
        State::NotProvableHere => "not provable here",
    }
}

fn line(criterion: &Criterion) -> Vec<String> {
    vec![criterion.number.to_string(), criterion.criterion.to_owned(), name(criterion.state).to_owned()]
}

fn detail(criterion: &Criterion) -> String {
    let mut text = format!("{}. {}: {}.", criterion.number, name(criterion.state), criterion.why);
    for evidence in &criterion.evidence {
        text.push_str(&format!("\n   What would be a proof: {evidence}."));
    }
    if !criterion.findings.is_empty() {
        let rows: Vec<Vec<String>> = criterion.findings.iter().take(SHOWN).map(group).collect();
        let header = ["collection", "path", "problem", "first", "rows"];
        text.push_str(&format!("\n\n{}", table(&header, &rows, 4)));
        if criterion.findings.len() > SHOWN {
            let more = criterion.findings.len() - SHOWN;
            text.push_str(&format!("\n  … and {}", counted(more as u64, "more line")));
        }
        text.push_str("\n\n   Each row: findings.ndjson in the folder of this report.");
    }
    text
}

fn group(group: &Group) -> Vec<String> {
    let Group { collection, path, problem, count: number, first } = group;
    let first = first.first().cloned().unwrap_or_default();
    vec![collection.clone(), path.clone(), problem.replace('_', " "), first, count(*number)]
}

/// The exceptions that name no id. They do not contradict a criterion: what they were meant to accept does.
fn without_effect(json: &Value) -> Option<String> {
    let lines = json["users"]["exceptions_without_effect"].as_array().filter(|lines| !lines.is_empty())?;
    let mut text =
        "Exceptions without effect: no old user and no listed reference has the id of the line. Correct the id, or \
                    remove the line.\n"
            .to_owned();
    for line in lines.iter().take(SHOWN) {
        text.push_str(&format!("\n  line {}: the id with the type {}", line["line"], word(&line["type"])));
        let others: Vec<&str> = line["other_types"].as_array().into_iter().flatten().map(word).collect();
        if !others.is_empty() {
            text.push_str(&format!("; the same text is there with the type {}", others.join(" and ")));
        }
    }
    if lines.len() > SHOWN {
        text.push_str(&format!("\n  … and {}", counted((lines.len() - SHOWN) as u64, "more line")));
    }
    Some(text)
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn inputs(json: &Value) -> String {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut rows = Vec::new();
    let mut add = |what: String, hash: &Value| rows.extend(text(hash).map(|hash| vec![what, hash]));
    add("verify file".to_owned(), &json["verify_file"]["sha256"]);
    add("old users".to_owned(), &json["users"]["sha256"]);
    add("map of ids".to_owned(), &json["users"]["map_sha256"]);
    add("exceptions".to_owned(), &json["users"]["exceptions_sha256"]);
    for collection in json["collections"].as_array().into_iter().flatten() {
        let kind = if collection["live_table"] == true { "live table" } else { "collection" };
        add(format!("{kind} {}", collection["name"].as_str().unwrap_or_default()), &collection["sha256"]);
    }
    for backup in json["backups"].as_array().into_iter().flatten() {
        add(format!("backup of {}", backup["collection"].as_str().unwrap_or_default()), &backup["sha256"]);
    }
    table(&["input", "SHA-256"], &rows, 2)
}
