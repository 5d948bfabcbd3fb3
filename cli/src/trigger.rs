//! `rollcall trigger`: signs a sample event as Svix does and sends it to the webhook.

use std::time::Duration;

use anyhow::{Context, bail};
use aws_sdk_dynamodb::types::AttributeValue;
use clap::Args;
use clerk_emulator::output::{note, say};
use include_dir::{Dir, include_dir};
use reqwest::Url;
use rollcall::adapters::dynamo::row::plain;
use rollcall::adapters::tls::{self, HttpsClient};
use rollcall::core::clerk::event::Envelope;
use rollcall::core::id::{InstanceId, Key, UserId};
use rollcall::core::millis::Millis;
use serde_json::{Value, json};
use svix::webhooks::Webhook;

use crate::args::LocalArgs;
use crate::dev::gateway;
use crate::dev::record::{self, Record};
use crate::dev::stack;
use crate::operator::Screen;
use crate::operator::context::lacks_yes;
use crate::operator::deployment::{Environment, local};
use crate::signals::{self, Ended};
use crate::{Status, Usage};

/// As long as Svix waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// `rollcall trigger`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rollcall trigger user.created --new
  rollcall trigger user.updated --id user_2nNG9rEYQoliquKw5eHQ9eFeurU")]
pub struct TriggerArgs {
    /// Event type, such as user.created, or a variant, such as user.updated.banned
    #[arg(required_unless_present = "list")]
    pub event_type: Option<String>,
    /// List the available sample events
    #[arg(long)]
    pub list: bool,
    /// URL of another webhook than that of the local stack. On another machine the webhook stores the invented entity, so
    /// the command asks first
    #[arg(long, conflicts_with_all = ["port", "data"])]
    pub url: Option<String>,
    /// Skip the confirmation prompt of --url
    #[arg(long, short, requires = "url")]
    pub yes: bool,
    /// Name of the environment variable with the signing secret. Without this option: the secret of the local stack; with
    /// --url or --print the variable CLERK_WEBHOOK_SECRET
    #[arg(long, value_name = "VARIABLE")]
    pub secret: Option<String>,
    /// Clerk instance of the event. Without this option: the instance of the local stack; with --url or --print the
    /// variable CLERK_INSTANCE_ID
    #[arg(long)]
    pub instance_id: Option<String>,
    /// Id of a user or an organization that replaces the id in the sample
    #[arg(long)]
    pub id: Option<String>,
    /// Replace all ids in the sample by new ones, so that the event is about an entity that did not exist before
    #[arg(long, conflicts_with = "id")]
    pub new: bool,
    /// Number of events to send, each about another new entity
    #[arg(long, value_name = "N", default_value_t = 1, requires = "new", conflicts_with = "print",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,
    /// Keep the timestamps of the sample; default: the current time
    #[arg(long)]
    pub keep_times: bool,
    /// Print the API Gateway event for `cargo lambda invoke --data-file` and send nothing
    #[arg(long)]
    pub print: bool,
    /// Print the response as JSON, with --count one object a line
    #[arg(long)]
    pub json: bool,
    /// Which local stack.
    #[command(flatten)]
    pub which: LocalArgs,
}

/// The length of Clerk's ids after their prefix and the 2 with which they begin.
const ID_LENGTH: usize = 26;

static EVENTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../events");

/// A signed event, ready to be sent.
#[derive(Debug)]
pub struct Signed {
    pub id: String,
    /// The time of the attempt, in Unix seconds.
    pub timestamp: i64,
    /// The signature over `id`, `timestamp` and `body`.
    pub signature: String,
    pub body: String,
}

/// Sends the event and prints the response.
///
/// # Errors
///
/// If the sample does not exist, or the webhook does not respond.
pub async fn run(args: TriggerArgs, environment: Environment, now: Millis, screen: &Screen) -> anyhow::Result<Status> {
    match signals::interruptible(Box::pin(trigger(args, environment, now, screen))).await? {
        Ended::Done(status) => return Ok(status),
        Ended::Asking => note("Interrupted. Nothing was sent."),
        Ended::Working => note("Interrupted. The last event may have been received."),
    }
    Ok(Status::Left)
}

async fn trigger(args: TriggerArgs, environment: Environment, now: Millis, screen: &Screen) -> anyhow::Result<Status> {
    let Some(event_type) = args.event_type.as_deref().filter(|_| !args.list) else {
        say(names().join("\n"))?;
        return Ok(Status::Done);
    };
    let mut payload = sample(event_type)?;
    if !args.keep_times {
        move_to(&mut payload, now);
    }
    // A command on the local stack goes by the record of the stack only.
    let is_elsewhere = args.url.is_some() || args.print;
    let local =
        if is_elsewhere { None } else { Some(local::find(&args.which, record::folder(environment).as_deref())?) };
    let choose = |given: Option<String>, name: &str, recorded: fn(&Record) -> &String, usual: &str| match &local {
        Some(record) => given.unwrap_or_else(|| recorded(record).clone()),
        None => given.or_else(|| environment(name)).unwrap_or_else(|| usual.to_owned()),
    };
    let recorded: fn(&Record) -> &String = |record| &record.addresses.clerk_instance_id;
    let instance = choose(args.instance_id, "CLERK_INSTANCE_ID", recorded, clerk_emulator::INSTANCE_ID);
    let recorded: fn(&Record) -> &String = |record| &record.addresses.webhook_secret;
    let given = match (&args.secret, &local) {
        (None, None) => crate::dev::webhook_secret(environment)?,
        (None, Some(_)) => None,
        (Some(name), _) => Some(secret_in(name, environment)?),
    };
    let secret = choose(given, "CLERK_WEBHOOK_SECRET", recorded, clerk_emulator::WEBHOOK_SECRET);
    payload["instance_id"] = instance.clone().into();
    if let Some(id) = &args.id {
        rename(&mut payload, id)?;
    }
    if args.new {
        renew(&mut payload);
    }
    if args.print {
        let signed = sign(&payload, &secret, now)?;
        say(serde_json::to_string_pretty(&gateway_event(&signed, now)?)?)?;
        return Ok(Status::Done);
    }
    let (url, advice) = match (&args.url, &local) {
        (Some(url), _) => (url.clone(), "check --url"),
        (None, Some(record)) => {
            (format!("{}/webhooks/clerk", record.addresses.api), "check that `rollcall dev` is running")
        }
        (None, None) => bail!(Usage("name the webhook with --url".to_owned())),
    };
    if args.url.is_some() && !is_this_machine(&url)? {
        if lacks_yes(args.yes, args.json, screen) {
            return Ok(Status::Usage);
        }
        let question = format!("Send {event_type} to {url}? The webhook stores the invented entity.");
        if !args.yes && !screen.ask(&question)? {
            say("Nothing was sent.")?;
            return Ok(Status::Left);
        }
    }
    let mut is_done = true;
    for number in 0..args.count {
        if number > 0 {
            renew(&mut payload);
        }
        let signed = sign(&payload, &secret, now)?;
        let sent = send(&url, &signed).await;
        let (status, answer) = sent.with_context(|| format!("no response from {url}: {advice}"))?;
        let is_accepted = (200..300).contains(&status);
        is_done &= is_accepted;
        let item = match &local {
            Some(record) if is_accepted && args.count == 1 => stored(record, &signed.body, &instance).await,
            _ => None,
        };
        if args.json {
            say(json!({ "svix_id": signed.id, "status": status, "answer": answer, "item": item }))?;
            continue;
        }
        say(format_args!("{} {} → {status} {answer}", payload["type"].as_str().unwrap_or(event_type), signed.id))?;
        if let Some(item) = &item {
            say(format_args!("the Directory row is now\n{}", serde_json::to_string_pretty(item)?))?;
        }
    }
    Ok(if is_done { Status::Done } else { Status::Failure })
}

/// The secret in the variable of this name. A text that is no name is not repeated: it may be the secret.
fn secret_in(name: &str, environment: Environment) -> Result<String, Usage> {
    let is_name = |it: char| it.is_ascii_uppercase() || it.is_ascii_digit() || it == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(Usage(
            "--secret names a variable, such as CLERK_WEBHOOK_SECRET: a secret in the arguments can be read in the list \
             of processes. Set the variable in the shell, and pass its name"
                .to_owned(),
        ));
    }
    environment(name).ok_or_else(|| Usage(format!("--secret {name}: the shell has no variable {name}")))
}

/// Whether the URL names this machine.
fn is_this_machine(url: &str) -> anyhow::Result<bool> {
    let url: Url = url.parse().with_context(|| format!("--url {url} is no URL"))?;
    Ok(tls::is_on_this_machine(&url))
}

/// Replaces the ids of the entity in the event by new ones of the same kind.
fn renew(payload: &mut Value) {
    for path in ["/public_user_data/user_id", "/organization/id", "/id"] {
        let Some(found) = payload["data"].pointer_mut(path) else { continue };
        let Some((kind, _)) = found.as_str().and_then(|found| found.split_once('_')) else { continue };
        let random: String = (0..ID_LENGTH).map(|_| fastrand::alphanumeric()).collect();
        *found = format!("{kind}_2{random}").into();
    }
}

/// The names of all samples, variants included.
pub fn names() -> Vec<String> {
    let files = EVENTS.files().chain(EVENTS.get_dir("variants").into_iter().flat_map(Dir::files));
    let name = |path: &std::path::Path| path.file_name()?.to_str()?.strip_suffix(".json").map(str::to_owned);
    let mut names: Vec<String> = files.filter_map(|file| name(file.path())).collect();
    names.sort();
    names
}

/// A sample by its name.
///
/// # Errors
///
/// If no sample has this name.
pub fn sample(name: &str) -> anyhow::Result<Value> {
    let file = EVENTS.get_file(format!("{name}.json")).or_else(|| EVENTS.get_file(format!("variants/{name}.json")));
    let Some(file) = file else {
        bail!(Usage(format!("unknown sample {name}: run `rollcall trigger --list` to see all samples")));
    };
    serde_json::from_slice(file.contents()).with_context(|| format!("sample {name}"))
}

/// Moves the time of the event to now, and all times in it by the same amount.
pub fn move_to(payload: &mut Value, now: Millis) {
    let Some(sent) = payload["timestamp"].as_i64().and_then(|sent| Millis::from_envelope(sent).ok()) else { return };
    let by = now.get().saturating_sub(sent.get());
    shift(&mut payload["data"], by);
    payload["timestamp"] = now.get().into();
}

fn shift(value: &mut Value, by: u64) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| shift(value, by)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_u64() {
                    Some(time) if name.ends_with("_at") => *value = (time + by).into(),
                    _ => shift(value, by),
                }
            }
        }
        _ => {}
    }
}

/// Replaces the id of the user or the organization in the event. An id of another kind is an error: the event would be
/// about the user of the sample.
fn rename(payload: &mut Value, id: &str) -> anyhow::Result<()> {
    let data = &mut payload["data"];
    let is_id = id.parse::<UserId>().is_ok();
    let mut kinds = Vec::new();
    let mut is_renamed = false;
    for path in ["/public_user_data/user_id", "/organization/id", "/id"] {
        let Some(found) = data.pointer_mut(path) else { continue };
        let kind = found.as_str().and_then(|found| found.split_once('_')).map(|(kind, _)| format!("{kind}_"));
        let Some(kind) = kind else { continue };
        if is_id && id.starts_with(&kind) && id.len() > kind.len() {
            *found = id.into();
            is_renamed = true;
        }
        kinds.push(format!("{kind}…"));
    }
    if !is_renamed {
        let event = payload["type"].as_str().unwrap_or_default();
        let kinds = if kinds.is_empty() { "none".to_owned() } else { kinds.join(" or ") };
        bail!("nothing was sent: --id {id} is not valid for {event}, which requires {kinds}");
    }
    Ok(())
}

/// Signs a payload as Svix does.
///
/// # Errors
///
/// If the secret is not `whsec_` followed by base64.
pub fn sign(payload: &Value, secret: &str, now: Millis) -> anyhow::Result<Signed> {
    let secret = secret.split_whitespace().next().unwrap_or_default();
    let webhook = Webhook::new(secret).context(
        "the signing secret (the variable of --secret, or CLERK_WEBHOOK_SECRET) must be whsec_ followed by base64",
    )?;
    let id = format!("msg_{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
    let timestamp = i64::try_from(now.get() / 1000)?;
    let body = payload.to_string();
    let signature = webhook.sign(&id, timestamp, body.as_bytes())?;
    Ok(Signed { id, timestamp, signature, body })
}

fn gateway_event(signed: &Signed, now: Millis) -> anyhow::Result<Value> {
    let request = axum::http::Request::post("/webhooks/clerk")
        .header("content-type", "application/json")
        .header("svix-id", &signed.id)
        .header("svix-timestamp", signed.timestamp.to_string())
        .header("svix-signature", &signed.signature);
    let (parts, ()) = request.body(())?.into_parts();
    Ok(gateway::event(&parts, signed.body.as_bytes(), now))
}

async fn send(url: &str, signed: &Signed) -> anyhow::Result<(u16, Value)> {
    let client = HttpsClient::of(&url.parse()?, TIMEOUT);
    let request = client
        .get()?
        .post(url)
        .header("content-type", "application/json")
        .header("svix-id", &signed.id)
        .header("svix-timestamp", signed.timestamp.to_string())
        .header("svix-signature", &signed.signature)
        .body(signed.body.clone());
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    Ok((status, answer.json().await.unwrap_or_default()))
}

/// The row of the entity in the Directory of a local stack after the event, if it can be read.
async fn stored(record: &Record, body: &str, instance: &str) -> Option<Value> {
    let instance: InstanceId = instance.parse().ok()?;
    let dated = Envelope::parse(body.as_bytes()).ok()?.open().ok()??;
    let Key { pk, sk } = dated.event.entity().key(&instance);
    let client = stack::client(&record.addresses.dynamodb).await;
    let request = client.get_item().table_name(&record.addresses.directory_table).consistent_read(true);
    let request = request.key("pk", AttributeValue::S(pk)).key("sk", AttributeValue::S(sk));
    Some(Value::Object(plain(request.send().await.ok()?.item?)))
}
