//! What is proven, what is not, and what data cannot prove.

use serde::Serialize;
use strum::{Display, IntoStaticStr};

use super::backups::{Backup, field};
use super::examine::{LISTED, Subject, UNLISTED};
use super::existence::Existence;
use super::findings::{Findings, Group};
use super::tally::Tally;
use super::users::{USERS, UsersTally};
use crate::words::counted;

/// How far a criterion is proven.
#[derive(Clone, Copy, Debug, Display, IntoStaticStr, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum State {
    Proven,
    NotProven,
    /// Neither these data nor Clerk can prove it: `evidence` says what can.
    NotProvableHere,
}

/// A criterion of a finished migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Criterion {
    pub number: u8,
    pub criterion: &'static str,
    pub state: State,
    pub why: String,
    /// What else would be a proof.
    pub evidence: Vec<String>,
    /// The rows that contradict it, by collection, path and problem.
    pub findings: Vec<Group>,
}

/// A collection that was read.
#[derive(Clone, Debug)]
pub struct Examined<'a> {
    pub subject: &'a Subject,
    pub tally: Tally,
}

/// What was found out.
#[derive(Debug)]
pub struct Facts<'a> {
    pub users: &'a UsersTally,
    pub collections: &'a [Examined<'a>],
    pub existence: &'a Existence,
    pub backups: &'a [Backup],
    pub findings: &'a Findings,
}

/// Decides about each criterion.
pub fn decide(facts: &Facts<'_>) -> Vec<Criterion> {
    vec![users(facts), listed(facts), unlisted(facts), late_rows(facts), readers(), backups(facts)]
}

fn criterion(number: u8, criterion: &'static str, state: State, why: String) -> Criterion {
    Criterion { number, criterion, state, why, evidence: Vec::new(), findings: Vec::new() }
}

fn proven(is_proven: bool) -> State {
    if is_proven { State::Proven } else { State::NotProven }
}

fn users(facts: &Facts<'_>) -> Criterion {
    let UsersTally { rows, unchanged, skipped, excepted, open, .. } = facts.users;
    let why = format!(
        "{}: {unchanged} unchanged in Clerk, {skipped} skipped as deleted, {excepted} accepted as exceptions, {open} open",
        counted(*rows, "old user")
    );
    let text = "every old user is unchanged in Clerk, skipped, or an accepted exception";
    Criterion { findings: facts.findings.of(USERS), ..criterion(USERS, text, proven(*open == 0), why) }
}

/// The collections with listed references.
fn referring<'a>(facts: &'a Facts<'a>) -> impl Iterator<Item = &'a Examined<'a>> {
    facts.collections.iter().filter(|collection| !collection.subject.references.is_empty())
}

/// What the verify file lacks.
const NO_COLLECTION: &str = "the verify file lists no collection: add a [[collection]] for each collection that may refer to \
                             old users, with the fields that have their ids as `references`";
const NO_REFERENCE: &str = "no collection of the verify file lists a reference: add the fields that have ids of old users as \
                            `references` of their collection, such as references = { user_id = \"clerk_user_id\" }";

/// Why nothing is proven about references.
fn no_reference(facts: &Facts<'_>) -> String {
    let why = if facts.collections.is_empty() { NO_COLLECTION } else { NO_REFERENCE };
    why.to_owned()
}

fn listed(facts: &Facts<'_>) -> Criterion {
    let text = "every listed reference has the new field, with the Clerk id of the map, of a user whom Clerk has";
    let sum = |part| referring(facts).map(|collection| collection.tally.sum(part)).sum::<u64>();
    if referring(facts).next().is_none() {
        // A file that is not complete yet must not look like a proof.
        return criterion(LISTED, text, State::NotProven, no_reference(facts));
    }
    let mut why = format!(
        "{}: {} with values, {} without values (a row counts for each reference of its collection). {}: {} right, {} in the \
         new field only, {} empty beside others of the row, {} accepted as exceptions, {} wrong. Clerk was asked for {} and \
         does not have {} of them",
        counted(referring(facts).map(|collection| collection.tally.listed.len() as u64).sum(), "listed reference"),
        counted(sum(|listed| listed.rows_with_values), "row"),
        counted(sum(|listed| listed.rows_without_values), "row"),
        counted(sum(|listed| listed.values), "value"),
        sum(|listed| listed.right),
        sum(|listed| listed.new_only),
        sum(|listed| listed.empty),
        sum(|listed| listed.excepted),
        sum(|listed| listed.wrong),
        counted(facts.existence.asked, "user"),
        facts.existence.missing.len()
    );
    // A name that is misspelt finds no old reference, and proves nothing.
    let unseen: Vec<String> = referring(facts).flat_map(unseen).collect();
    if !unseen.is_empty() {
        why.push_str(&format!(
            ". No row has an old id in {}: check the names in `references` and the export, and leave out a reference whose \
             field is empty in every row",
            unseen.join(", ")
        ));
    }
    let state = proven(sum(|listed| listed.wrong) == 0 && unseen.is_empty());
    Criterion { findings: facts.findings.of(LISTED), ..criterion(LISTED, text, state, why) }
}

/// The listed references of a collection at which no row has an old id.
fn unseen<'a>(collection: &'a Examined<'a>) -> impl Iterator<Item = String> {
    let Examined { subject, tally } = collection;
    let unseen = subject.references.iter().zip(&tally.listed).filter(|(_, listed)| listed.is_unseen());
    unseen.map(|(reference, _)| format!("{} of {}", reference.field, subject.name))
}

fn unlisted(facts: &Facts<'_>) -> Criterion {
    let text = "no collection has the id of an old user outside the listed references";
    let sum = |part: fn(&Tally) -> u64| facts.collections.iter().map(|collection| part(&collection.tally)).sum::<u64>();
    let (rows, found, accepted) = (sum(|tally| tally.rows), sum(|tally| tally.unlisted), sum(|tally| tally.accepted));
    if facts.collections.is_empty() {
        return criterion(UNLISTED, text, State::NotProven, NO_COLLECTION.to_owned());
    }
    let mut why = format!(
        "{} of {} searched: {} outside the listed references, {accepted} at accepted paths. Integers, texts of digits, \
         binary values and UUIDs of subtype 3 were not searched",
        counted(rows, "row"),
        counted(facts.collections.len() as u64, "collection"),
        counted(found, "old id"),
    );
    let numbers = facts.users.numbers;
    let mut evidence = Vec::new();
    // A live table may be empty; an export without rows may have failed.
    let is_empty = |one: &&Examined<'_>| one.tally.rows == 0 && !one.subject.is_table;
    let empty = facts.collections.iter().filter(is_empty);
    let empty: Vec<&str> = empty.map(|collection| collection.subject.name.as_str()).collect();
    if !empty.is_empty() {
        why.push_str(&format!(". No rows were read of {}: check the export, or leave it out", empty.join(", ")));
    }
    let state = if found > 0 || !empty.is_empty() {
        State::NotProven
    } else if numbers > 0 {
        why.push_str(&format!(
            ". There {}, which other numbers may equal",
            if numbers == 1 { "is 1 old id of digits".to_owned() } else { format!("are {numbers} old ids of digits") }
        ));
        evidence.push(
            "the schema: in PostgreSQL the foreign keys on the users table (pg_constraint), and a search for columns whose \
             names refer to users"
                .to_owned(),
        );
        State::NotProvableHere
    } else {
        State::Proven
    };
    Criterion { evidence, findings: facts.findings.of(UNLISTED), ..criterion(UNLISTED, text, state, why) }
}

fn late_rows(facts: &Facts<'_>) -> Criterion {
    let text = "no row was written after the export with the old field only";
    let names = |is_table: bool| {
        let these = referring(facts).filter(|collection| collection.subject.is_table == is_table);
        these.map(|collection| collection.subject.name.as_str()).collect::<Vec<_>>()
    };
    let (tables, files) = (names(true), names(false));
    let lacking = referring(facts)
        .filter(|collection| collection.subject.is_table)
        .map(|table| table.tally.sum(|listed| listed.lacking));
    let lacking: u64 = lacking.sum();
    let (state, why) = if lacking > 0 {
        let why = format!(
            "{} of live tables ({}) without the new field: see the findings of criterion 2",
            counted(lacking, "value"),
            tables.join(", ")
        );
        (State::NotProven, why)
    } else if !files.is_empty() {
        (State::NotProvableHere, format!("files say nothing about rows written since: {}", files.join(", ")))
    } else if tables.is_empty() {
        (State::NotProvableHere, "no collection lists a reference".to_owned())
    } else {
        let why = format!("the live tables ({}) were read now, and no row has the old field only", tables.join(", "));
        (State::Proven, why)
    };
    let evidence = if state == State::NotProvableHere {
        vec![
            "export the collections again after every part of the application writes both fields, and verify that export"
                .to_owned(),
        ]
    } else {
        Vec::new()
    };
    Criterion { evidence, ..criterion(4, text, state, why) }
}

/// Data do not show who reads them.
fn readers() -> Criterion {
    let evidence = [
        "DynamoDB: ConsumedReadCapacityUnits of the old table in CloudWatch is zero for as many days as your rarest job \
         needs to run once",
        "MongoDB: $indexStats of the old collection counts no access since then, or the profiler (level 2) shows no \
         operation on it",
        "rename the old collection for a week: what still reads it fails, and the renaming can be taken back",
    ];
    let why = "data do not show who reads them".to_owned();
    Criterion {
        evidence: evidence.map(str::to_owned).to_vec(),
        ..criterion(5, "nothing reads the old collection", State::NotProvableHere, why)
    }
}

fn backups(facts: &Facts<'_>) -> Criterion {
    let text =
        "the users and each collection with listed references have a backup that can be read and has no fewer rows";
    let bad: Vec<&Backup> = facts.backups.iter().filter(|backup| backup.problem.is_some()).collect();
    let has = |name: &str| facts.backups.iter().any(|backup| backup.collection == name);
    let none = referring(facts).map(|collection| collection.subject.name.as_str()).filter(|name| !has(name));
    let none: Vec<&str> = none.collect();
    let read = facts.backups.iter().filter(|backup| backup.problem.is_none());
    let read = read.map(|backup| compared(facts, backup)).collect::<Vec<_>>().join(", ");
    let mut why = format!("read to the end: users ({})", counted(facts.users.rows, "row"));
    if !read.is_empty() {
        why.push_str(&format!(", {read}"));
    }
    for backup in &bad {
        let problem = backup.problem.as_deref().unwrap_or_default();
        why.push_str(&format!("; {}: {problem}", backup.collection));
    }
    let mut evidence = Vec::new();
    let state = if !bad.is_empty() {
        State::NotProven
    } else if none.is_empty() {
        State::Proven
    } else {
        why.push_str(&format!("; no backup is named for {}", none.join(", ")));
        evidence.push("name the export made before the rekey as `backup` of the collection".to_owned());
        State::NotProvableHere
    };
    Criterion { evidence, ..criterion(6, text, state, why) }
}

/// A backup that counts, and what was compared.
fn compared(facts: &Facts<'_>, backup: &Backup) -> String {
    let Backup { collection, rows, collection_rows, shares_an_id, .. } = backup;
    let id = facts.collections.iter().find(|one| one.subject.name == *collection);
    let id = field(id.and_then(|one| one.subject.id.as_deref()));
    let ids = match shares_an_id {
        Some(_) => format!("the {id} of at least one row is the same"),
        None => format!("ids were not compared: no row of the collection has {id}; another field can be named as `id`"),
    };
    format!("{collection} ({}, and {collection_rows} now; {ids})", counted(*rows, "row"))
}
