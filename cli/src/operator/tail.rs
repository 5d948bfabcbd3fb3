//! `rollcall tail`: follows the log of the functions.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use clap::builder::PossibleValuesParser;
use rollcall::core::deletion::subject::Subject;
use rollcall::core::explain::line::terms;
use rollcall::core::id::{EntityId, InstanceId, Key};
use rollcall::settings::variables::CLERK_INSTANCE_ID;

use super::deployment::{Deployment, Environment};
use super::logs::{Entry, Follow, Logs, Search};
use super::note;
use super::since::Since;
use super::text::printable;
use crate::args::DeploymentArgs;
use crate::functions::FUNCTIONS;
use crate::{Clock, Status, signals};

/// `rollcall tail`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rollcall tail --stack rollcall
  rollcall tail --once --since 1h --errors --stack rollcall")]
pub struct TailArgs {
    /// Begin this long ago, such as 10m, 24h or 7d
    #[arg(long, value_name = "SPAN", default_value = "10m")]
    pub since: Since,
    /// Show the log of one function only
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(FUNCTIONS.map(|function| function.name)))]
    pub only: Option<String>,
    /// Show lines about one entity only: Clerk id of a user or an organization, internal id of a user, or a membership as
    /// org_…/user_…
    #[arg(long, value_name = "ID")]
    pub id: Option<Subject>,
    /// Show warnings and errors only
    #[arg(long)]
    pub errors: bool,
    /// Show the lines until now and end
    #[arg(long)]
    pub once: bool,
    /// Print one JSON object a line, with all fields
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// How often the log is read.
const EVERY: Duration = Duration::from_secs(2);
/// Lines of one function at most, each time.
const MOST: usize = 10_000;
/// Reads without a line after which `--once` ends, although the log has more.
const MOST_WITHOUT_LINES: u32 = 10;

/// Follows the log until SIGINT or SIGTERM, or until nobody reads the output any more.
///
/// # Errors
///
/// If the log cannot be found or read, or the output cannot be written.
pub async fn run(args: TailArgs, environment: Environment, clock: Clock) -> anyhow::Result<Status> {
    let stop = signals::stop_signal()?;
    tokio::pin!(stop);
    let deployment = Deployment::find(&args.deployment, environment, false).await?;
    let wanted = args.id.as_ref().map(|id| Wanted::new(id, &deployment)).transpose()?;
    let logs = Logs::of(&deployment).await?;
    let search = Search {
        since: args.since.before(clock()),
        terms: wanted.as_ref().map(|wanted| wanted.terms.clone()).unwrap_or_default(),
        function: args.only.clone(),
        most: MOST,
    };
    let (mut follow, mut lines, begun) = (Follow::new(logs, search), 0_u64, clock());
    let mut reads_without_lines = 0;
    loop {
        let read = tokio::select! {
            () = &mut stop => return Ok(Status::Done),
            read = follow.read(clock()) => read?,
        };
        for problem in read.problems {
            note(format_args!("rollcall: {problem}"));
        }
        // With --once, a busy log is shown until the time of the start, and a search without an answer ends.
        let is_later = read.entries.last().is_some_and(|entry| entry.line.at > begun);
        reads_without_lines = if read.entries.is_empty() { reads_without_lines + 1 } else { 0 };
        let is_over = args.once && (is_later || reads_without_lines > MOST_WITHOUT_LINES);
        for entry in read.entries {
            let is_error = matches!(entry.line.level.as_str(), "WARN" | "ERROR");
            let fits = wanted.as_ref().is_none_or(|wanted| wanted.is_in(&entry));
            if fits && (is_error || !args.errors) {
                let text = if args.json { serde_json::to_string(&entry.fields)? } else { text(&entry) };
                if !out(&text)? {
                    return Ok(Status::Done);
                }
                lines += 1;
            }
        }
        if read.is_behind && !is_over {
            continue;
        }
        if args.once {
            if let (Some(id), 0) = (&wanted, lines) {
                bail!("no line of the log is about {} in this time: check the id, or use a longer --since", id.named);
            }
            return Ok(Status::Done);
        }
        tokio::select! {
            () = &mut stop => return Ok(Status::Done),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// The entity whose lines are shown.
struct Wanted {
    entity: Option<EntityId>,
    key: Key,
    terms: Vec<String>,
    named: String,
}

impl Wanted {
    fn new(id: &Subject, deployment: &Deployment) -> anyhow::Result<Wanted> {
        if !id.is_of_a_known_kind() {
            bail!(rollcall::services::operator::OperatorError::WrongKind);
        }
        let instance: Option<InstanceId> =
            deployment.setting(CLERK_INSTANCE_ID.name).and_then(|instance| instance.parse().ok());
        let Some(instance) = instance else { bail!("the deployment has no valid CLERK_INSTANCE_ID") };
        let (entity, key, named) = match id {
            Subject::Entity(entity) => (Some(entity.clone()), entity.key(&instance), entity.to_string()),
            Subject::Internal(id) => (None, id.user_key(), id.to_string()),
        };
        let terms = terms(entity.as_ref(), &key, &instance);
        Ok(Wanted { entity, key, terms, named })
    }

    /// The lines of a membership name ids that other lines of its user have, too.
    fn is_in(&self, entry: &Entry) -> bool {
        !matches!(self.entity, Some(EntityId::Membership { .. }))
            || entry.line.is_about(self.entity.as_ref(), &self.key)
    }
}

/// A line for people: time, function, outcome, entity, what it was about, and why.
fn text(entry: &Entry) -> String {
    let line = &entry.line;
    let id = line.id.as_deref().or(line.pk.as_deref());
    let what = line.kind.as_deref();
    let why = entry.fields.get("reason").and_then(serde_json::Value::as_str);
    let outcome = line.outcome.as_deref().unwrap_or(&line.message);
    let level = if line.level == "INFO" { "" } else { &line.level };
    let parts = [Some(outcome), id, what, why, line.error.as_deref(), Some(level)];
    let rest: Vec<&str> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    // A type of event is the sender's text.
    format!("{}  {:<14}  {}", line.at.utc(), line.function, printable(&rest.join("  ")))
}

/// Prints a line at once; no if nobody reads any more.
fn out(text: &str) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    let written = out.write_all(format!("{text}\n").as_bytes()).and_then(|()| out.flush());
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => bail!("standard output cannot be written: {error}"),
    }
}
