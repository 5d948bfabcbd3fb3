//! `rollcall analyze`: compares Clerk, the Directory and Profiles and reports all differences. It stores the report of
//! its run and writes nothing else.

use ::reconcile::settings::Settings;
use ::reconcile::{Order, Reconcile, Report};
use clap::Args;
use rollcall::adapters::aws::backups::Backups;
use rollcall::adapters::dynamo::stores::Stores;
use rollcall::core::id::Kind;
use rollcall::core::mirror::tombstone::DeletionPolicy;
use rollcall::core::reconcile::analysis::Analysis;
use rollcall::core::reconcile::run::{Mode, Run};
use rollcall::services::operator::analyze::{Audit, Auditor};

use super::deployment::{Deployment, Environment};
use super::progress::Progress;
use super::reconcile::Runs;
use super::text::{count, counted, plural, seconds, table};
use super::{Screen, checks, note, report, say};
use crate::args::DeploymentArgs;
use crate::{Clock, Status, signals};

/// `rollcall analyze`.
#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  rollcall analyze --stack rollcall")]
pub struct AnalyzeArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The deployment to work on.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// Compares and prints the differences.
///
/// # Errors
///
/// If the comparison fails. The error has advice.
pub async fn run(args: AnalyzeArgs, environment: Environment, clock: Clock, screen: &Screen) -> anyhow::Result<Status> {
    let deployment = Deployment::find(&args.deployment, environment, true).await?.with_owned_tables().await?;
    let settings = deployment.settings(Settings::read)?;
    checks::all(&deployment, &settings).await?;
    let Some(analyzed) = analyze(&deployment, settings, clock, screen, !args.json).await? else {
        return Ok(Status::Left);
    };
    let options = &deployment.options;
    match &analyzed {
        Analyzed::Busy(report) if args.json => say(report::to_json(report))?,
        Analyzed::Busy(report) => say(report::text(report, options))?,
        Analyzed::Done(analysis, _) if args.json => say(serde_json::to_string(analysis)?)?,
        Analyzed::Done(analysis, run) => say(text(analysis, run, options))?,
    }
    Ok(if analyzed.is_in_sync() { Status::Done } else { Status::Left })
}

/// The result of an analysis.
pub(super) enum Analyzed {
    Done(Box<Analysis>, Box<Run>),
    /// Another run is active.
    Busy(Box<Report>),
}

impl Analyzed {
    /// Whether nothing is wrong.
    pub(super) fn is_in_sync(&self) -> bool {
        matches!(self, Analyzed::Done(analysis, _) if analysis.in_sync)
    }
}

/// Compares Clerk, the Directory and Profiles; nothing if a signal stopped it.
pub(super) async fn analyze(
    deployment: &Deployment,
    settings: Settings,
    clock: Clock,
    screen: &Screen,
    shows: bool,
) -> anyhow::Result<Option<Analyzed>> {
    let (mirror, dynamodb) = (settings.mirror.is_on, &deployment.dynamodb);
    let auditor = Auditor {
        stores: Stores::new(dynamodb, &settings.tables),
        instance: settings.clerk.instance.clone(),
        deletion: settings.removal.policy,
        waits: settings.mode == Mode::Repair && settings.removal.policy != DeletionPolicy::Retain,
        mirror,
    };
    let backups = Backups::for_removal(&settings.removal, &deployment.aws);
    let reconcile = Reconcile::new(settings, dynamodb, backups, clock.clone());
    let runs = Runs { reconcile, clock, screen, shows, verbose: false, options: &deployment.options };
    let Some(compared) = runs.carry_out(&Order::Run(Mode::Report)).await? else { return Ok(None) };
    let Some(run) = &compared.run else { return Ok(Some(Analyzed::Busy(Box::new(compared)))) };
    let Some(audit) = audit(&auditor, screen, &runs).await? else { return Ok(None) };
    let analysis = Analysis::new(run, mirror, &audit.findings, audit.profiles);
    Ok(Some(Analyzed::Done(Box::new(analysis), Box::new(run.clone()))))
}

async fn audit(auditor: &Auditor, screen: &Screen, runs: &Runs<'_>) -> anyhow::Result<Option<Audit>> {
    let stop = signals::stop_signal()?;
    let progress = Progress::start(screen, runs.shows);
    let watch = |rows: u64| progress.say("comparing the tables", &counted(rows, "row"));
    tokio::select! {
        audit = auditor.audit(&watch) => audit.map(Some).map_err(|error| runs.explain(error.into())),
        () = stop => {
            note("Interrupted. The Directory and Profiles were not changed.");
            Ok(None)
        }
    }
}

/// The meaning of each finding, and what to do about it.
fn meaning(name: &str) -> &'static str {
    match name {
        "missing" => "in Clerk, but not in the Directory: reconcile writes them",
        "outdated" => "older in the Directory than in Clerk: reconcile updates them",
        "behind" => "equal contents, but an older version in the Directory: reconcile writes the version",
        "tied" => "different contents with the same version: reconcile asks Clerk again",
        "absent" => "in the Directory, but confirmed not to exist in Clerk: reconcile deletes them",
        "orphaned" => "memberships of a deleted user or organization: reconcile deletes them",
        "pending_approval" => "absent in Clerk, but so many that the deletions require approval",
        "unconfirmed" => "stored less than 15 minutes ago and not in Clerk's list: run analyze again later",
        "without_profile" => {
            "live, but without a record in Profiles: the next run of reconcile, or fix-profiles, creates the record"
        }
        "without_owner" => "records in Profiles of a deleted or unknown owner: cleanup removes those of deleted users",
        "tombstones" => "deleted, with pending effects: reconcile completes them",
        "links" => "users without dbId or role in their public metadata in Clerk: reconcile writes them back",
        "link_conflicts" => {
            "users with another dbId in their metadata; the metadata is not changed: see the ids in the log"
        }
        "left" => "pending effects that were not completed: the next run of reconcile tries again",
        "conflict" => {
            "deleted in the Directory, but existing in Clerk; the Directory is not changed: see the ids in the log"
        }
        "ahead" => "newer in the Directory than in Clerk for over 15 minutes: see the ids in the log",
        "unproven" => "absence candidates that could not be confirmed: run analyze again",
        "unreadable" => "unreadable entries of Clerk's lists or rows of the Directory: see the ids in the log",
        "unmirrored" => "live rows from before MIRROR=off; they are not removed automatically",
        "misplaced" => {
            "rows of the Directory whose key does not match their ids: check whether CLERK_INSTANCE_ID was changed"
        }
        "strange" => "rows in Profiles that are not records: check which program wrote them",
        _ => "",
    }
}

pub(super) fn text(analysis: &Analysis, run: &Run, options: &str) -> String {
    let header =
        ["", "in sync", "missing", "outdated", "absent", "without profile", "without owner", "conflict", "other"];
    let row = |kind: Kind| {
        let findings = analysis.findings.get(kind);
        let wrong = findings.wrong().map(|(_, number)| number);
        let (shown, others) = wrong.split_at(6);
        let numbers = [findings.in_sync].into_iter().chain(shown.iter().copied()).chain([others.iter().sum()]);
        [plural(kind).to_owned()].into_iter().chain(numbers.map(count)).collect()
    };
    let mut parts = vec![table(&header, &Kind::ALL.map(row), 1)];
    let found: Vec<_> = analysis.wrong().into_iter().filter(|(_, number)| *number > 0).collect();
    if !found.is_empty() {
        let line = |(name, number): &(&str, u64)| vec![count(*number), (*name).to_owned(), meaning(name).to_owned()];
        parts.push(table(&[], &found.iter().map(line).collect::<Vec<_>>(), 3));
    }
    if !analysis.mirror {
        parts.push("MIRROR=off: live entities are not copied, so missing records cannot be detected.".to_owned());
    }
    let kept: u64 = Kind::ALL.into_iter().map(|kind| analysis.findings.get(kind).kept).sum();
    if kept > 0 {
        let are = if kept == 1 { "is" } else { "are" };
        parts.push(format!(
            "{} of deleted owners {are} kept because of DELETION_POLICY or the grace period.",
            counted(kept, "record")
        ));
    }
    parts.push(format!(
        "{} of Profiles read, duration {}, {} to Clerk, {:.1} read units of DynamoDB.",
        counted(analysis.profiles.read, "record"),
        seconds(run.cost.milliseconds),
        counted(run.cost.clerk_calls, "call"),
        run.cost.read_units + analysis.profiles.read_units,
    ));
    let mut conclusion = Vec::new();
    if analysis.in_sync {
        conclusion.push("All in sync.".to_owned());
    }
    let repairable =
        ["missing", "outdated", "behind", "tied", "absent", "orphaned", "without_profile", "tombstones", "links"];
    if found.iter().any(|(name, _)| repairable.contains(name)) {
        conclusion.push(format!("Run `rollcall reconcile{options}` to repair the Directory."));
    }
    if found.iter().any(|(name, _)| !repairable.contains(name)) {
        conclusion.push("For the other findings see docs/operations.md.".to_owned());
    }
    if !analysis.complete {
        conclusion.push(
            "Clerk's lists were incomplete, so the number of \"absent\" may be too low: run analyze again.".to_owned(),
        );
    }
    parts.push(conclusion.join(" "));
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use rollcall::core::id::PerKind;
    use rollcall::core::millis::Millis;
    use rollcall::core::reconcile::analysis::{Findings, Records};

    use super::*;

    fn analyzed(change: impl FnOnce(&mut Run, &mut PerKind<Findings>)) -> (Analysis, Run) {
        let (mut run, mut audit) = (Run::begin(Millis::ZERO, Mode::Report, true), PerKind::default());
        for kind in Kind::ALL {
            run.listings.get_mut(kind).is_finished = true;
        }
        change(&mut run, &mut audit);
        run.finish(Millis::ZERO);
        (Analysis::new(&run, true, &audit, Records::default()), run)
    }

    #[test]
    fn every_finding_is_explained() {
        let (analysis, _) = analyzed(|_, _| ());
        for (name, _) in analysis.wrong() {
            assert!(!meaning(name).is_empty(), "{name}");
        }
    }

    #[test]
    fn fault_a10_whatever_keeps_it_from_being_in_step_is_shown() {
        let changes: [fn(&mut Run, &mut PerKind<Findings>); 12] = [
            |run, _| run.tally.user.drift.behind = 1,
            |run, _| run.tally.membership.drift.orphaned = 1,
            |run, _| run.tally.user.pending_approval = 1,
            |run, _| run.tally.user.unconfirmed = 1,
            |run, _| run.tally.user.drift.unproven = 1,
            |run, _| run.effects.links = 1,
            |run, _| run.effects.tombstones = 1,
            |run, _| run.effects.conflicts = 1,
            |run, _| run.effects.left = 1,
            |_, audit| audit.user.without_owner = 1,
            |_, audit| audit.user.misplaced = 1,
            |run, _| run.listings.user.is_finished = false,
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let (analysis, run) = analyzed(change);
            let text = text(&analysis, &run, "");
            assert!(!analysis.in_sync, "{at}: {text}");
            let is_counted = text.lines().any(|line| line.starts_with("  1  "));
            assert!(is_counted || text.contains("lists were incomplete"), "{at}: {text}");
            assert!(!text.contains("All in sync"), "{at}: {text}");
        }
    }

    #[test]
    fn a_row_for_each_kind_and_a_line_for_each_finding() {
        let (analysis, run) = analyzed(|run, audit| {
            run.tally.user.unchanged = 1_000;
            run.tally.user.drift.absent = 3;
            run.tally.user.drift.ahead = 2;
            (audit.user.without_profile, audit.membership.without_owner) = (4, 5);
        });
        let text = text(&analysis, &run, " --local");
        let users: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(users, ["users", "1,000", "0", "0", "3", "4", "0", "0", "2"]);
        assert!(text.contains("  5  without_owner  "), "{text}");
        let last = "Run `rollcall reconcile --local` to repair the Directory. For the other findings see \
                    docs/operations.md.";
        assert_eq!(text.lines().last(), Some(last));
        let (analysis, run) = analyzed(|_, _| ());
        assert!(super::text(&analysis, &run, "").ends_with("All in sync."));
    }

    #[test]
    fn all_settings_that_are_missing_are_named_at_once() {
        let error = Settings::read(&|_| None).unwrap_err().to_string();
        for name in ["DIRECTORY_TABLE", "OPERATIONS_TABLE", "PROFILES_TABLE", "CLERK_SECRET_KEY", "CLERK_INSTANCE_ID"] {
            assert!(error.contains(name), "{error}");
        }
    }
}
