//! What is proven, what is not, and what data cannot prove.

use serde::Serialize;
use strum::{Display, IntoStaticStr};

use super::backups::Backup;
use super::examine::{LISTED, Subject, Tally, UNLISTED};
use super::existence::Existence;
use super::findings::{Findings, Group};
use super::users::{USERS, UsersTally};

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
        "{rows} old users: {unchanged} unchanged in Clerk, {skipped} skipped as deleted, {excepted} accepted as exceptions, \
         {open} open"
    );
    let text = "every old user is unchanged in Clerk, skipped, or an accepted exception";
    Criterion { findings: facts.findings.of(USERS), ..criterion(USERS, text, proven(*open == 0), why) }
}

/// The collections with listed references.
fn referring<'a>(facts: &'a Facts<'a>) -> impl Iterator<Item = &'a Examined<'a>> {
    facts.collections.iter().filter(|collection| !collection.subject.references.is_empty())
}

const LIST: &str = "list the collections that refer to old users in the verify file, with their references";

fn listed(facts: &Facts<'_>) -> Criterion {
    let text = "every listed reference has the new field, with the Clerk id of the map, of a user whom Clerk has";
    let sum = |part: fn(&Tally) -> u64| referring(facts).map(|collection| part(&collection.tally)).sum::<u64>();
    if referring(facts).next().is_none() {
        let why = "no collection lists a reference".to_owned();
        return Criterion { evidence: vec![LIST.to_owned()], ..criterion(LISTED, text, State::NotProvableHere, why) };
    }
    let mut why = format!(
        "{} references are right, {} have only the new field, {} have neither field, {} are accepted as exceptions, {} are \
         wrong; Clerk was asked for {} users and does not have {} of them",
        sum(|tally| tally.right),
        sum(|tally| tally.new_only),
        sum(|tally| tally.empty),
        sum(|tally| tally.excepted),
        sum(|tally| tally.wrong),
        facts.existence.asked,
        facts.existence.missing.len()
    );
    // A name that is misspelt finds no old reference, and proves nothing.
    let is_unseen = |tally: &Tally| tally.right + tally.excepted + tally.wrong == 0;
    let unseen = referring(facts).filter(|collection| is_unseen(&collection.tally));
    let unseen: Vec<&str> = unseen.map(|collection| collection.subject.name.as_str()).collect();
    if !unseen.is_empty() {
        why.push_str(&format!(
            ". No row of {} has a listed reference: check the names in `references` and the export",
            unseen.join(", ")
        ));
    }
    let state = proven(sum(|tally| tally.wrong) == 0 && unseen.is_empty());
    Criterion { findings: facts.findings.of(LISTED), ..criterion(LISTED, text, state, why) }
}

fn unlisted(facts: &Facts<'_>) -> Criterion {
    let text = "no collection has the id of an old user outside the listed references";
    let sum = |part: fn(&Tally) -> u64| facts.collections.iter().map(|collection| part(&collection.tally)).sum::<u64>();
    let (rows, found, accepted) = (sum(|tally| tally.rows), sum(|tally| tally.unlisted), sum(|tally| tally.accepted));
    let mut why = format!(
        "{rows} rows of {} collections searched: {found} old ids outside the listed references, {accepted} at accepted \
         paths. Integers, texts of digits, binary values and UUIDs of subtype 3 were not searched",
        facts.collections.len()
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
    } else if facts.collections.is_empty() {
        evidence.push(LIST.to_owned());
        State::NotProvableHere
    } else if numbers > 0 {
        why.push_str(&format!(". {numbers} old ids are integers or digits, which other numbers may equal"));
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
    let lacking = referring(facts).filter(|collection| collection.subject.is_table).map(|table| table.tally.lacking);
    let lacking: u64 = lacking.sum();
    let (state, why) = if lacking > 0 {
        let why = format!(
            "{lacking} references of live tables ({}) have the old field only: see the findings of criterion 2",
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
    let text = "a backup of the users and of each collection with listed references was read back";
    let bad: Vec<&Backup> = facts.backups.iter().filter(|backup| backup.problem.is_some()).collect();
    let has = |name: &str| facts.backups.iter().any(|backup| backup.collection == name);
    let none = referring(facts).map(|collection| collection.subject.name.as_str()).filter(|name| !has(name));
    let none: Vec<&str> = none.collect();
    let read = facts.backups.iter().filter(|backup| backup.problem.is_none());
    let read =
        read.map(|backup| format!("{} ({} rows)", backup.collection, backup.rows)).collect::<Vec<_>>().join(", ");
    let mut why = format!("read to the end: users ({} rows)", facts.users.rows);
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
