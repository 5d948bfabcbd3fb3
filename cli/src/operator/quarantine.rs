//! `rollcall quarantine`: shows the notes of signed events that could not be processed.

use anyhow::bail;
use clap::{Args, Subcommand};
use rollcall::core::id::Key;
use rollcall::core::millis::Millis;
use serde_json::{Map, Value};

use super::deployment::Environment;
use super::look::{LookContext, SHOWN, columns, still_read};
use super::note;
use super::say;
use super::text::{counted, moment, printable, texts};
use crate::args::DeploymentArgs;
use crate::{Clock, Status, Usage};

/// `rollcall quarantine`.
#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// List the notes, the latest day first
    #[command(after_help = "Example:\n  rollcall quarantine list --stack rollcall")]
    List(ListNotes),
    /// Show one note, and what to do about it
    #[command(after_help = "Example:\n  rollcall quarantine get msg_2nNG9rEYQoliquKw5eHQ9eFeurU --stack rollcall")]
    Get(GetNote),
}

/// `rollcall quarantine list`.
#[derive(Args, Debug)]
pub struct ListNotes {
    /// Show so many [default: 50; with --json: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Show all
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
    /// Show what follows this position, which the command has printed
    #[arg(long, value_name = "DAY/ID")]
    pub after: Option<String>,
    /// Print one JSON object on each line
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// `rollcall quarantine get`.
#[derive(Args, Debug)]
pub struct GetNote {
    /// The id of the message (svix-id)
    pub id: String,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

impl QuarantineCommand {
    /// Whether the output is JSON.
    pub fn is_json(&self) -> bool {
        match self {
            QuarantineCommand::List(args) => args.json,
            QuarantineCommand::Get(args) => args.json,
        }
    }
}

/// The notes of one page of a day.
const PAGE: i32 = 500;

/// Shows the quarantine.
///
/// # Errors
///
/// If the Operations table cannot be read, or no note has this id. The error has advice.
pub async fn run(command: QuarantineCommand, environment: Environment, clock: Clock) -> anyhow::Result<Status> {
    match command {
        QuarantineCommand::List(args) => list(args, environment, clock()).await,
        QuarantineCommand::Get(args) => get(args, environment, clock()).await,
    }
}

async fn list(args: ListNotes, environment: Environment, now: Millis) -> anyhow::Result<Status> {
    let mut from = args.after.as_deref().map(position).transpose()?;
    let context = LookContext::open(&args.deployment, environment).await?;
    let most = args.limit.or((!args.all && !args.json).then_some(SHOWN));
    let (mut shown, mut next) = (0, None);
    loop {
        let left = most.map(|most| most - shown);
        let wanted = left.and_then(|left| i32::try_from(left).ok()).map_or(PAGE, |left| (left + 1).min(PAGE));
        let page = context.look.quarantine_page(from.as_ref(), wanted, now).await;
        let page = page.map_err(|error| context.explain(error))?;
        let mut notes = page.notes;
        let is_more = left.is_some_and(|left| notes.len() as u64 > left);
        if let (true, Some(left)) = (is_more, left.and_then(|left| usize::try_from(left).ok())) {
            notes.truncate(left);
            next = next.or_else(|| notes.last().map(said)).or_else(|| from.as_ref().map(said_key));
        }
        shown += notes.len() as u64;
        if !notes.is_empty() && !print(&notes, args.json)? {
            return Ok(Status::Done);
        }
        from = page.next;
        if is_more || from.is_none() {
            break;
        }
    }
    if args.json {
        return Ok(Status::Done);
    }
    if shown == 0 {
        note("No notes in quarantine.");
        return Ok(Status::Done);
    }
    let options = context.options();
    let more = next
        .map(|next| format!("{} shown; there are more: pass `--after {next}` or `--all`. ", counted(shown, "note")));
    still_read(format_args!(
        "\n{}The changes of these events are not in the copy. Run `rollcall reconcile{options}`, which fetches the \
         entities from Clerk.",
        more.unwrap_or_default()
    ))?;
    Ok(Status::Done)
}

fn print(notes: &[Map<String, Value>], json: bool) -> anyhow::Result<bool> {
    if json {
        let lines: Vec<String> = notes.iter().map(|note| Value::Object(note.clone()).to_string()).collect();
        return still_read(lines.join("\n"));
    }
    let row = |note: &Map<String, Value>| {
        let names = ["sk", "type", "entity_id", "failed_at"].map(|name| text(note, name));
        let [message, kind, entity, failed] = names;
        vec![message, received(note), kind, entity, failed]
    };
    let header = ["message", "received", "event", "entity", "cannot be read"];
    still_read(texts(&header, &notes.iter().map(row).collect::<Vec<_>>(), columns()))
}

async fn get(args: GetNote, environment: Environment, now: Millis) -> anyhow::Result<Status> {
    let context = LookContext::open(&args.deployment, environment).await?;
    let found = context.look.quarantine_note(&args.id, now).await.map_err(|error| context.explain(error))?;
    if args.json {
        say(Value::Object(found))?;
        return Ok(Status::Done);
    }
    let kept = found.get("expires_at").and_then(Value::as_i64).and_then(|at| Millis::try_from(at * 1000).ok());
    let rows = [
        ("message", text(&found, "sk")),
        ("received", received(&found)),
        ("event", text(&found, "type")),
        ("entity", text(&found, "entity_id")),
        ("instance", text(&found, "instance_id")),
        ("cannot be read", text(&found, "failed_at")),
        ("kept until", kept.map(moment).unwrap_or_default()),
    ];
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    say(format_args!(
        "{}\n\nThe event was signed, but it could not be read at this place, so its change is not in the copy. Its body is \
         not stored: Clerk's dashboard shows it under the id of the message (Webhooks, Message Attempts). Run `rollcall \
         reconcile{}`, which fetches the entity from Clerk or confirms that it is gone.",
        texts(&[], &rows, None),
        context.options()
    ))?;
    Ok(Status::Done)
}

fn text(note: &Map<String, Value>, name: &str) -> String {
    match note.get(name) {
        Some(Value::String(text)) => printable(text),
        Some(other) => printable(&other.to_string()),
        None => String::new(),
    }
}

/// The time of the last delivery.
fn received(note: &Map<String, Value>) -> String {
    let at = note.get("received_at").and_then(Value::as_i64).and_then(|at| Millis::try_from(at).ok());
    at.map_or_else(|| text(note, "received_at"), moment)
}

fn position(text: &str) -> anyhow::Result<Key> {
    match text.split_once('/') {
        Some((day, id)) => Ok(Key { pk: format!("QUARANTINE#{day}"), sk: id.to_owned() }),
        None => bail!(Usage("--after expects DAY/ID, such as 2026-12-01/msg_…".to_owned())),
    }
}

fn said(note: &Map<String, Value>) -> String {
    said_key(&Key { pk: text(note, "pk"), sk: text(note, "sk") })
}

fn said_key(key: &Key) -> String {
    let day = key.pk.split_once('#').map_or(key.pk.as_str(), |(_, day)| day);
    format!("{day}/{}", key.sk)
}
