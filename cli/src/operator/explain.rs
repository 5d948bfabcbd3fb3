//! `rollcall explain`: tells why a row is as it is, and what would change it.

use clap::Args;
use rollcall::core::deletion::subject::Subject;
use rollcall::core::explain::comparison::side_by_side;
use rollcall::core::explain::facts::{Facts, InClerk, Log, Stored};
use rollcall::core::explain::finding::Finding;
use rollcall::core::explain::findings::findings;
use rollcall::core::explain::need::{Need, headline};
use rollcall::core::id::Kind;
use rollcall::core::millis::Millis;
use rollcall::core::mirror::item::Item;
use rollcall::services::operator::OperatorError;
use rollcall::services::operator::explain::Named;
use serde_json::{Map, Value, json};

use super::context::OperatorContext;
use super::deployment::Environment;
use super::logs::{Logs, Search};
use super::say;
use super::since::Since;
use super::text::table;
use crate::args::DeploymentArgs;
use crate::{Clock, Status};

/// `rollcall explain`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rollcall explain user_2nNG9rEYQoliquKw5eHQ9eFeurU --stack rollcall
  rollcall explain user_2nNG9rEYQoliquKw5eHQ9eFeurU --since 7d --json --stack rollcall")]
pub struct ExplainArgs {
    /// Clerk id of a user or an organization, internal id of a user, or a membership as org_…/user_… (as in logs)
    pub id: Subject,
    /// Read the log from this long ago, such as 10m, 24h or 7d
    #[arg(long, value_name = "SPAN", default_value = "24h")]
    pub since: Since,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// Lines of the log of one function at most.
const MOST_LINES: usize = 2000;
/// Rejected requests at most: anybody can send them.
const MOST_UNTRUSTED: usize = 200;

/// Explains one row. Writes nothing.
///
/// # Errors
///
/// If nobody knows the id, or a table cannot be read. The error has advice.
pub async fn run(args: ExplainArgs, environment: Environment, clock: Clock) -> anyhow::Result<Status> {
    let context = OperatorContext::open(&args.deployment, environment, clock.clone()).await?;
    let since = args.since.before(clock());
    let (named, mut facts) = context.operator.facts(&args.id, since).await.map_err(|error| context.explain(error))?;
    facts.log = read(&context, &named, facts.log).await;
    if is_unknown(&facts) {
        return Err(context.explain(OperatorError::Unknown));
    }
    let id = facts.entity.as_ref().map_or_else(|| id_of(&facts), ToString::to_string);
    let found = findings(&facts);
    let options = &context.deployment.options;
    if args.json {
        say(to_json(&id, &facts, &found, options))?;
    } else {
        say(text(&id, &facts, &found, options))?;
    }
    Ok(if found.iter().any(Finding::is_left) { Status::Left } else { Status::Done })
}

/// What the log has about the entity. If a log cannot be read, the output says so, and the command explains the rest.
async fn read(context: &OperatorContext, named: &Named, mut log: Log) -> Log {
    let search = |terms: Vec<String>, function: Option<&str>, most: usize| Search {
        since: log.since,
        terms,
        function: function.map(str::to_owned),
        most,
    };
    let about = search(named.terms.clone(), None, MOST_LINES);
    let rejected = search(vec!["untrusted".to_owned()], Some(webhook::FUNCTION.name), MOST_UNTRUSTED);
    let logs = match Logs::of(&context.deployment).await {
        Ok(logs) => logs,
        Err(error) => {
            log.problems.push(format!("{error:#}"));
            return log;
        }
    };
    match logs.read(&about).await {
        Ok(found) => {
            let lines = found.entries.into_iter().map(|entry| entry.line);
            log.lines = lines.filter(|line| line.is_about(named.entity.as_ref(), &named.key)).collect();
            (log.is_cut, log.problems) = (found.is_cut, found.problems);
        }
        Err(error) => log.problems.push(format!("{error:#}")),
    }
    // The log of the webhook may be the only one that is missing.
    if let Ok(found) = logs.read(&rejected).await {
        let untrusted = found.entries.iter().filter(|entry| entry.line.outcome.as_deref() == Some("untrusted"));
        log.untrusted = u64::try_from(untrusted.count()).unwrap_or(u64::MAX);
    }
    log
}

/// Whether neither the Directory nor Clerk nor a note nor the log has the entity.
fn is_unknown(facts: &Facts) -> bool {
    facts.row == Stored::Nothing
        && facts.clerk == InClerk::Nothing
        && facts.quarantine.is_empty()
        && facts.log.lines.is_empty()
}

fn id_of(facts: &Facts) -> String {
    facts.key.pk.split_once('#').map_or_else(String::new, |(_, id)| id.to_owned())
}

fn clerk(facts: &Facts) -> Option<&Item> {
    match &facts.clerk {
        InClerk::Has(row) => Some(row),
        InClerk::Undated | InClerk::Nothing | InClerk::Silent(_) | InClerk::NotAsked => None,
    }
}

/// The explanation for people. `id` is the id by which commands know the entity, `options` are the options that a
/// command needs to work on the same deployment, after a space.
pub fn text(id: &str, facts: &Facts, found: &[Finding], options: &str) -> String {
    let kind = Kind::from_key(&facts.key).map(Kind::name).unwrap_or_default();
    // The sentences name times, so a reader needs the time of the output.
    let mut parts = vec![format!("{kind} {id}\nLooked up at {}", facts.now.utc()), headline(found)];
    parts.extend(fields(facts.row.row(), clerk(facts)));
    let line = |finding: &Finding| {
        let mark = if finding.need() == Need::Act { '!' } else { '-' };
        format!("{mark} {}", finding.sentence(id, options, facts.policies.reconcile))
    };
    parts.push(found.iter().map(line).collect::<Vec<_>>().join("\n"));
    parts.join("\n\n")
}

/// The fields of the row and of Clerk side by side, or those of the one that exists.
fn fields(row: Option<&Item>, clerk: Option<&Item>) -> Option<String> {
    let both = side_by_side(row, clerk);
    let cells = |(name, (row_value, clerk_value)): (&String, &(Value, Value))| match (row, clerk) {
        (Some(_), None) => vec![name.clone(), shown(name, row_value)],
        (None, _) => vec![name.clone(), shown(name, clerk_value)],
        (Some(_), Some(_)) => {
            let mark = if row_value == clerk_value { "" } else { "*" };
            vec![name.clone(), shown(name, row_value), shown(name, clerk_value), mark.to_owned()]
        }
    };
    let header: &[&str] = match (row, clerk) {
        (None, None) => return None,
        (Some(_), None) => &["field", "Directory"],
        (None, Some(_)) => &["field", "Clerk"],
        (Some(_), Some(_)) => &["field", "Directory", "Clerk", "differs"],
    };
    Some(table(header, &both.iter().map(cells).collect::<Vec<_>>(), header.len()))
}

/// A value for the table; long ones are cut. Times are in UTC, as in the sentences.
fn shown(name: &str, value: &Value) -> String {
    const LONGEST: usize = 60;
    let time = value.as_i64().filter(|_| name.ends_with("_at")).and_then(|at| Millis::try_from(at).ok());
    let text = match (time, value) {
        (Some(at), _) => at.utc(),
        (None, Value::Null) => String::new(),
        (None, Value::String(text)) => text.clone(),
        (None, other) => other.to_string(),
    };
    // Clerk's texts are those of strangers: no control character reaches the terminal.
    let text: String = text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect();
    if text.chars().count() > LONGEST { text.chars().take(LONGEST - 1).chain(['…']).collect() } else { text }
}

fn to_json(id: &str, facts: &Facts, found: &[Finding], options: &str) -> Value {
    let told = found.iter().map(|finding| {
        let mut told = json!(finding);
        told["text"] = finding.sentence(id, options, facts.policies.reconcile).into();
        told["left"] = finding.is_left().into();
        told["act"] = (finding.need() == Need::Act).into();
        told
    });
    let both = side_by_side(facts.row.row(), clerk(facts)).into_iter();
    let fields: Map<String, Value> = both
        .map(|(name, (row, clerk))| {
            let differs = row != clerk;
            (name, json!({ "row": row, "clerk": clerk, "differs": differs }))
        })
        .collect();
    let row = facts.row.row().map(|row| {
        json!({
            "rank": row.rank, "generation": row.rank.generation, "deleted": row.is_deleted(), "version": row.rank.version,
            "digest": row.digest, "applied_at": row.provenance.applied_at, "applied_by": row.provenance.applied_by.name(),
            "svix_id": row.provenance.delivery_id, "deleted_at": row.deleted_at, "finished": row.is_finished(),
            "purging": row.is_purging(),
        })
    });
    let clerk = clerk(facts).map(|row| json!({ "rank": row.rank, "version": row.rank.version, "digest": row.digest }));
    json!({
        "now": facts.now, "headline": headline(found), "id": id, "kind": Kind::from_key(&facts.key).map(Kind::name), "key": facts.key, "row": row, "clerk": clerk,
        "fields": fields, "findings": told.collect::<Vec<_>>(), "quarantine": facts.quarantine,
        "log": { "since": facts.log.since, "lines": facts.log.lines, "cut": facts.log.is_cut },
    })
}
