//! `rollcall doctor --probe`: settles what Clerk does not document, on a development instance, with test entities.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::bail;
use rollcall::core::millis::Millis;
use rollcall::core::probe::{Answer, Entry, ProbeName};
use rollcall::services::operator::probe::{Probe, Swept, Transcript};
use rollcall::settings::variables::CLERK_SECRET_KEY;
use serde_json::json;

use super::DoctorArgs;
use crate::operator::context::OperatorContext;
use crate::operator::deployment::{Environment, Place};
use crate::operator::text::{count, moment, table};
use crate::operator::{Screen, note, say};
use crate::{Clock, Status, signals};

/// How long the request under way is waited for after a signal: it may create an entity.
const LAST_REQUEST: Duration = Duration::from_secs(15);
/// The prefix of the secret keys of development instances.
const DEVELOPMENT: &str = "sk_test_";

pub(super) async fn run(
    args: DoctorArgs,
    environment: Environment,
    clock: Clock,
    screen: &Screen,
) -> anyhow::Result<Status> {
    let context = Box::pin(OperatorContext::open(&args.deployment, environment, clock.clone())).await?;
    let deployment = &context.deployment;
    // Before the first request: this key may belong to real people.
    if !deployment.setting(CLERK_SECRET_KEY.name).is_some_and(|key| key.starts_with(DEVELOPMENT)) {
        bail!(
            "nothing was done: --probe creates and removes users, so it needs a development instance, whose secret key \
             begins with sk_test_. The deployment has the key of a production instance"
        );
    }
    let operator = &context.operator;
    let instance = operator.applier.clerk.identify().await.map_err(|error| context.explain(error.into()))?;
    if instance.is_production {
        bail!("nothing was done: Clerk says that {} is a production instance, and --probe needs another", instance.id);
    }
    let leftovers = operator.find_test_entities(None).await.map_err(|error| context.explain(error))?;
    let shows = !args.json;
    if shows {
        say(format_args!(
            "Probe of the development instance {}: creates two users and two organizations, changes them, and removes \
             them. In the Directory of this deployment their tombstones stay. Test entities of earlier runs that are \
             removed first: {}.",
            instance.id,
            leftovers.len()
        ))?;
    }
    if args.dry_run {
        if shows {
            say("Nothing was done.")?;
        } else {
            say(json!({ "dry_run": true, "instance": instance.id, "leftovers": leftovers }))?;
        }
        return Ok(Status::Left);
    }
    if !args.yes && !screen.ask_on(deployment, "Create and remove these test entities?")? {
        say("Nothing was done.")?;
        return Ok(Status::Left);
    }
    let stop = signals::stop_signal()?;
    tokio::pin!(stop);
    let earlier = operator.sweep(None).await;
    if let Some(error) = &earlier.unsearched {
        let left = if earlier.left.is_empty() { String::new() } else { format!(": {}", earlier.left.join(", ")) };
        bail!(
            "nothing was created. Test entities of earlier runs may be left, because Clerk's lists cannot be read \
             ({error}). Removed: {}. Not removed: {}{left}",
            earlier.removed,
            earlier.left.len()
        );
    }
    let started_at = clock();
    let tell = |entry: &Entry| {
        if shows {
            note(format_args!("{}: {}", entry.question, entry.answer.name()));
        }
    };
    let emulator = match &deployment.place {
        Place::Local(record) => record.addresses.clerk.parse().ok(),
        Place::Stack(_) | Place::Function(_) => None,
    };
    let probe = Probe {
        operator,
        run: ProbeName::at(started_at),
        wait: Duration::from_secs(args.wait),
        emulator,
        writes_back: context.settings.writes_back,
        tell: &tell,
        transcript: Mutex::default(),
        stopping: AtomicBool::new(false),
    };
    let mut running = Box::pin(probe.run());
    let (ran, is_interrupted) = tokio::select! {
        ran = &mut running => (ran, false),
        () = &mut stop => {
            probe.stop();
            (tokio::time::timeout(LAST_REQUEST, &mut running).await.unwrap_or(Ok(())), true)
        }
    };
    drop(running);
    let swept = probe.clean().await;
    let transcript = probe.transcript.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let report = Report {
        run: probe.run.as_str(),
        instance: instance.id.as_str(),
        started_at,
        transcript: &transcript,
        earlier: &earlier,
        swept: &swept,
        is_interrupted,
    };
    if let Err(error) = ran {
        note(report.leftovers());
        return Err(context.explain(error));
    }
    if args.json { say(report.to_json()) } else { say(report.text()) }?;
    Ok(report.status())
}

/// The result of a probe.
struct Report<'a> {
    run: &'a str,
    instance: &'a str,
    started_at: Millis,
    transcript: &'a Transcript,
    earlier: &'a Swept,
    swept: &'a Swept,
    is_interrupted: bool,
}

impl Report<'_> {
    fn status(&self) -> Status {
        let entries = &self.transcript.entries;
        let is_open = entries.is_empty() || entries.iter().any(|entry| entry.answer == Answer::NotKnown);
        let may_be_left = !self.all_left().is_empty() || self.swept.unsearched.is_some();
        if is_open || may_be_left || self.is_interrupted { Status::Left } else { Status::Done }
    }

    fn to_json(&self) -> serde_json::Value {
        let left = self.all_left();
        json!({
            "run": self.run, "instance": self.instance, "started_at": self.started_at,
            "interrupted": self.is_interrupted, "leftovers_removed": self.earlier.removed,
            "answers": self.transcript.entries, "left": left, "unsearched": self.swept.unsearched,
        })
    }

    fn text(&self) -> String {
        let row = |entry: &Entry| {
            let answer = entry.answer.name().to_owned();
            vec![moment(entry.at), entry.question.to_owned(), answer, entry.detail.clone()]
        };
        let rows: Vec<Vec<String>> = self.transcript.entries.iter().map(row).collect();
        let title = format!("{}, instance {}, {}", self.run, self.instance, moment(self.started_at));
        let mut parts = vec![title, table(&[], &rows, 4)];
        if self.earlier.removed > 0 {
            parts.push(format!("Test entities of earlier runs that were removed: {}.", count(self.earlier.removed)));
        }
        if self.is_interrupted {
            parts.push("Interrupted: the other questions were not asked.".to_owned());
        }
        parts.push(self.leftovers());
        parts.join("\n\n")
    }

    /// The ids of the test entities that could not be removed.
    fn all_left(&self) -> Vec<String> {
        [&self.earlier.left[..], &self.swept.left].concat()
    }

    /// What is left of the test entities, in sentences.
    fn leftovers(&self) -> String {
        let left = self.all_left();
        let mut parts = Vec::new();
        if !left.is_empty() {
            parts.push(format!(
                "These test entities could not be removed; the next run tries again: {}.",
                left.join(", ")
            ));
        }
        if let Some(error) = &self.swept.unsearched {
            parts.push(format!(
                "Clerk's lists could not be read after the run ({error}), so a test entity may be left whose id Clerk did \
                 not return; the next run removes it."
            ));
        }
        if parts.is_empty() {
            parts.push("All test entities were removed.".to_owned());
        }
        parts.join("\n")
    }
}
