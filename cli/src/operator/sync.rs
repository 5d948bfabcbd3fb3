//! `rollcall sync`: compares single entities with Clerk, shows the differences field by field, and repairs the rows.

use std::collections::HashSet;

use anyhow::{anyhow, bail};
use clap::Args;
use rollcall::core::deletion::subject::Subject;
use rollcall::core::mirror::rule::Outcome;
use rollcall::core::reconcile::difference::Difference;
use rollcall::services::operator::sync::{Compared, SyncError};
use serde_json::{Value, json};

use super::context::{OperatorContext, lacks_confirmation};
use super::deployment::Environment;
use super::fix::{INCOMPLETE, until_stopped};
use super::progress::Progress;
use super::text::{count, counted, table};
use super::{Screen, say};
use crate::args::DeploymentArgs;
use crate::{Clock, Status, Usage};

/// `rollcall sync`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  rollcall sync user_2nNG9rEYQoliquKw5eHQ9eFeurU --stack rollcall --dry-run")]
pub struct SyncArgs {
    /// Clerk id of a user or an organization, internal id of a user, or a membership as org_…/user_…; 1,000 ids at most
    #[arg(required = true)]
    pub id: Vec<Subject>,
    /// Show how each row differs from Clerk, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Skip the confirmation prompt
    #[arg(long, short)]
    pub yes: bool,
    /// Print one JSON object; requires --yes or --dry-run
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// So many ids at most: their rows are in memory until the plan is shown.
const MOST_IDS: usize = 1_000;
/// So many ids are compared before the progress is shown.
const TOGETHER: usize = 50;
/// The longest value that is shown, in characters.
const LONGEST_VALUE: usize = 48;

/// Compares the entities and repairs their rows.
///
/// # Errors
///
/// If an id is unknown, or the comparison or a repair fails. The error has advice.
pub async fn run(args: SyncArgs, environment: Environment, clock: Clock, screen: &Screen) -> anyhow::Result<Status> {
    if lacks_confirmation(args.yes, args.dry_run, args.json, screen) {
        return Ok(Status::Usage);
    }
    if args.id.len() > MOST_IDS {
        bail!(Usage(format!(
            "{} ids are too many for one command, which compares {} at most: run `rollcall reconcile`, which \
             compares all entities, or sync several times",
            count(u64::try_from(args.id.len())?),
            count(u64::try_from(MOST_IDS)?)
        )));
    }
    let context = OperatorContext::open(&args.deployment, environment, clock).await?;
    if !args.dry_run {
        context.operator.check_policy().map_err(|error| context.explain(error))?;
    }
    let compared = compare(&context, &args.id, &Progress::start(screen, !args.json)).await?;
    let options = &context.deployment.options;
    if !args.json {
        let texts: Vec<String> = compared.iter().map(|compared| text(compared, options)).collect();
        say(texts.join("\n\n"))?;
    }
    let repairable = compared.iter().filter(|compared| compared.difference.is_some_and(Difference::is_repairable));
    let repairable = u64::try_from(repairable.count())?;
    let must_ask = !args.yes && !args.dry_run && repairable > 0;
    let writes =
        !args.dry_run && repairable > 0 && (!must_ask || screen.ask_on(&context.deployment, "Write these rows?")?);
    let mut done = Done::default();
    let ended = if writes {
        until_stopped(Box::pin(repair(&context, compared, &mut done))).await
    } else {
        done.left = compared.iter().any(|compared| compared.difference.is_some());
        done.results = compared.iter().map(to_json).collect();
        Ok(Some(()))
    };
    let is_complete = matches!(ended, Ok(Some(())));
    let Done { results, written, left } = done;
    let left = left || !is_complete;
    if args.json {
        say(json!({
            "dry_run": args.dry_run, "complete": is_complete, "entities": results, "written": written, "in_sync": !left,
        }))?;
    } else if writes {
        say(format_args!("\n{} written.", counted(written, "row")))?;
        if !is_complete {
            say(INCOMPLETE)?;
        }
    } else if repairable > 0 {
        say("\nNothing was written.")?;
    }
    ended?;
    Ok(if left { Status::Left } else { Status::Done })
}

/// The result, also of repairs that did not end.
#[derive(Default)]
struct Done {
    results: Vec<Value>,
    written: u64,
    /// Whether differences are left.
    left: bool,
}

/// Repairs the rows, and adds to `done` what is done.
async fn repair(context: &OperatorContext, compared: Vec<Compared>, done: &mut Done) -> anyhow::Result<()> {
    for compared in compared {
        let mut json = to_json(&compared);
        match compared.difference {
            Some(found) if found.is_repairable() => {
                let outcome = context.operator.repair(compared).await.map_err(|error| context.explain(error))?;
                done.written += u64::from(outcome == Outcome::Applied);
                json["outcome"] = format!("{outcome:?}").to_lowercase().into();
            }
            found => done.left |= found.is_some(),
        }
        done.results.push(json);
    }
    Ok(())
}

/// Compares the entities, each once.
async fn compare(context: &OperatorContext, ids: &[Subject], progress: &Progress) -> anyhow::Result<Vec<Compared>> {
    let (mut all, mut seen) = (Vec::new(), HashSet::new());
    for some in ids.chunks(TOGETHER) {
        let compared = context.operator.compare(some).await.map_err(|error| match error {
            SyncError::Operator(error) => context.explain(error),
            SyncError::One(id, error) => context.explain(error).context(id),
            error @ SyncError::Unknown(_) => anyhow!(error),
        })?;
        all.extend(compared.into_iter().filter(|compared| seen.insert(compared.entity.clone())));
        progress.count("comparing with Clerk", u64::try_from(all.len())?, u64::try_from(ids.len())?);
    }
    Ok(all)
}

/// Names and no values: only text for the operator's eyes has personal data.
fn to_json(compared: &Compared) -> Value {
    let fields: Vec<&str> = compared.fields.iter().map(|field| field.name).collect();
    json!({
        "id": compared.entity.to_string(), "kind": compared.entity.kind().name(),
        "difference": compared.difference.map(Difference::name), "fields": fields,
    })
}

fn text(compared: &Compared, options: &str) -> String {
    let entity = &compared.entity;
    let found = match compared.difference {
        None if compared.stored.is_none() => "is not stored, as MIRROR=off requires.".to_owned(),
        None => "agrees with Clerk.".to_owned(),
        Some(found) => format!("{}: {}", found.name(), meaning(found, &entity.to_string(), options)),
    };
    // Who is about to be deleted is shown by name.
    let stored = compared.stored.as_ref().filter(|_| compared.difference == Some(Difference::Absent));
    let name = stored.and_then(|stored| stored.fields.get("name"));
    let name = name.map(|name| format!(" Its name in the Directory: {}.", shown(name))).unwrap_or_default();
    let title = format!("{} {entity} {found}{name}", entity.kind().name());
    if compared.fields.is_empty() {
        return title;
    }
    let rows =
        compared.fields.iter().map(|field| vec![field.name.to_owned(), shown(&field.stored), shown(&field.clerk)]);
    let rows: Vec<Vec<String>> = rows.collect();
    format!("{title}\n{}", table(&["field", "in the Directory", "in Clerk"], &rows, usize::MAX))
}

/// A value of a field, on one line.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.replace(char::is_control, " "),
        other => other.to_string(),
    };
    if text.chars().count() <= LONGEST_VALUE {
        return text;
    }
    text.chars().take(LONGEST_VALUE - 1).chain(['…']).collect()
}

/// What a difference means, and what to do if no write by the rule resolves it.
fn meaning(found: Difference, id: &str, options: &str) -> String {
    match found {
        Difference::Missing => "in Clerk, but not in the Directory.".to_owned(),
        Difference::Outdated => "older in the Directory than in Clerk.".to_owned(),
        Difference::Behind => "equal contents, but an older version in the Directory.".to_owned(),
        Difference::Tied => "different contents with the same version; Clerk's contents count.".to_owned(),
        Difference::Absent => {
            "live in the Directory, and Clerk confirms that it does not exist: the row becomes a tombstone, and the effects \
             of a deletion begin, as DELETION_POLICY says."
                .to_owned()
        }
        Difference::Conflict => format!(
            "deleted in the Directory, but existing in Clerk. A deletion is final: run `rollcall undo {id}{options}`."
        ),
        Difference::Ahead => format!(
            "newer in the Directory than in Clerk. Run `rollcall undo {id}{options}` to replace the row with Clerk's \
             state."
        ),
        Difference::Unmirrored => "stored before MIRROR=off. Rollcall does not remove such rows.".to_owned(),
        Difference::Unconfirmed => {
            "stored less than 15 minutes ago, and not what Clerk answers. Clerk may lag: run sync again later."
                .to_owned()
        }
        // These occur in runs only.
        Difference::Orphaned | Difference::Unproven | Difference::Unreadable => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_on_one_short_line() {
        assert_eq!((shown(&Value::Null), shown(&json!("a\nb")), shown(&json!({ "a": 1 }))), {
            ("–".to_owned(), "a b".to_owned(), r#"{"a":1}"#.to_owned())
        });
        let long = shown(&json!("x".repeat(100)));
        assert!(long.ends_with('…') && long.chars().count() == LONGEST_VALUE, "{long}");
    }
}
