//! `rollcall analyze`: does everybody have what they should? Clerk, the copy and the application's records, held
//! against each other; nothing is written but the report of the run that compares.

use ::reconcile::settings::Settings;
use ::reconcile::{Order, Reconcile};
use anyhow::anyhow;
use rollcall::adapters::backups::Backups;
use rollcall::adapters::dynamo_records::DynamoRecords;
use rollcall::adapters::dynamo_survey::DynamoSurvey;
use rollcall::core::analysis::{Analysis, Findings};
use rollcall::core::id::Kind;
use rollcall::core::reconcile::run::{Mode, Run};
use rollcall::core::settings::{InvalidSettings, PROFILES_TABLE, Reader, table_name};
use rollcall::core::tombstone::DeletionPolicy;
use rollcall::services::analyze::{Audit, Auditor};

use super::progress::Progress;
use super::reconcile::Runs;
use super::target::{Environment, Target};
use super::text::{count, counted, plural, seconds, table};
use super::{Screen, report, say};
use crate::args::AnalyzeArgs;
use crate::{Clock, Status, signals};

/// Analyzes.
///
/// # Errors
///
/// If it cannot, with what to do about it.
pub async fn run(args: AnalyzeArgs, environment: Environment, clock: Clock, screen: &Screen) -> anyhow::Result<Status> {
    let target = Target::find(&args.target, environment, true).await?;
    let (settings, profiles_table) = target.settings(read)?;
    let (mirror, dynamodb) = (settings.mirror, &target.dynamodb);
    let auditor = Auditor {
        directory: DynamoSurvey::new(dynamodb.clone(), settings.directory_table.clone()),
        profiles: DynamoRecords::new(dynamodb.clone(), profiles_table),
        instance: settings.instance.clone(),
        deletion: settings.removal.policy,
        waits: settings.mode == Mode::Repair && settings.removal.policy != DeletionPolicy::Retain,
        mirror,
    };
    let backups = Backups::of(&settings.removal, &target.aws);
    let reconcile = Reconcile::new(settings, dynamodb, backups, clock.clone());
    let runs = Runs { reconcile, clock, screen, shows: !args.json, options: &target.options };
    let Some(compared) = runs.carry_out(&Order::Run(Mode::Report)).await? else { return Ok(Status::Left) };
    let Some(run) = &compared.run else {
        if args.json {
            say(report::to_json(&compared));
        } else {
            say(report::text(&compared, &target.options));
        }
        return Ok(Status::Left);
    };
    let Some(audit) = audit(&auditor, screen, &runs).await? else { return Ok(Status::Left) };
    let analysis = Analysis::of(run, mirror, &audit.findings, audit.profiles);
    if args.json {
        say(serde_json::to_string(&analysis)?);
    } else {
        say(text(&analysis, run, &target.options));
    }
    Ok(if analysis.in_step { Status::Done } else { Status::Left })
}

/// What reconcile reads, and the name of one more table; what is wrong with either is said at once.
fn read(lookup: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<(Settings, String)> {
    let mut reader = Reader::new(lookup);
    let profiles = reader.read(&PROFILES_TABLE, table_name);
    match (Settings::read(lookup), profiles) {
        (Ok(settings), Some(profiles)) => Ok((settings, profiles)),
        (settings, _) => {
            let problems: Vec<InvalidSettings> = settings.err().into_iter().chain([reader.finish()]).collect();
            let problems = problems.iter().filter(|problems| !problems.names().is_empty());
            Err(anyhow!(problems.map(ToString::to_string).collect::<Vec<_>>().join("; ")))
        }
    }
}

async fn audit(auditor: &Auditor, screen: &Screen, runs: &Runs<'_>) -> anyhow::Result<Option<Audit>> {
    let told = signals::told()?;
    let progress = Progress::start(screen, runs.shows);
    let watch = |rows: u64| progress.say("comparing the tables", &counted(rows, "row"));
    tokio::select! {
        audit = auditor.audit(&watch) => audit.map(Some).map_err(|error| runs.explain(error.into())),
        () = told => {
            eprintln!("Interrupted. Nothing was written.");
            Ok(None)
        }
    }
}

/// What each finding means, and what to do about it.
fn meaning(name: &str) -> &'static str {
    match name {
        "only_in_clerk" => "in Clerk, not in the copy: reconcile writes them",
        "outdated" => "older in the copy than in Clerk: reconcile brings them up to date",
        "missing" => "in the copy, gone from Clerk: reconcile ends them, once Clerk confirms it",
        "without_profile" => "alive, without a record in Profiles: the next run of reconcile makes one",
        "orphaned" => "records in Profiles of somebody ended or unknown: nothing removes them by itself",
        "conflict" => "alive in Clerk, ended in the copy, which stays so: the log names them",
        "ahead" => "newer in the copy than in Clerk, for over 15 minutes: the log names them",
        "unproven" => "in doubt, and Clerk gave no proof: run it again",
        "unreadable" => "rows of Clerk's lists or of the Directory that cannot be read: the log names them",
        "unmirrored" => "live rows from before MIRROR=off: nothing removes them by itself",
        "misplaced" => "rows of the Directory under a key that their ids do not make: was CLERK_INSTANCE_ID changed?",
        "strange" => "rows in Profiles that are no records: was something else written there?",
        _ => "",
    }
}

fn text(analysis: &Analysis, run: &Run, options: &str) -> String {
    let header =
        ["", "in step", "only in Clerk", "outdated", "missing", "without profile", "orphaned", "conflict", "other"];
    let row = |kind: Kind| {
        let findings = analysis.findings.of(kind);
        let wrong = findings.wrong().map(|(_, number)| number);
        let (shown, others) = wrong.split_at(6);
        let numbers = [findings.in_step].into_iter().chain(shown.iter().copied()).chain([others.iter().sum()]);
        [plural(kind).to_owned()].into_iter().chain(numbers.map(count)).collect()
    };
    let mut parts = vec![table(&header, &Kind::ALL.map(row), 1)];
    let found = wrong(analysis);
    if !found.is_empty() {
        let line = |(name, number): &(&str, u64)| vec![count(*number), (*name).to_owned(), meaning(name).to_owned()];
        parts.push(table(&[], &found.iter().map(line).collect::<Vec<_>>(), 3));
    }
    if !analysis.mirror {
        parts.push("MIRROR=off: nobody who lives is copied, so who lacks a record cannot be told.".to_owned());
    }
    let kept: u64 = Kind::ALL.into_iter().map(|kind| analysis.findings.of(kind).kept).sum();
    if kept > 0 {
        let are = if kept == 1 { "is" } else { "are" };
        parts.push(format!(
            "{} of the deleted {are} kept: DELETION_POLICY says so, or the hold is not over.",
            counted(kept, "record")
        ));
    }
    parts.push(format!(
        "It read {} of Profiles, and took {}, {} to Clerk, {:.1} read units of DynamoDB.",
        counted(analysis.profiles.read, "record"),
        seconds(run.cost.milliseconds),
        counted(run.cost.clerk_calls, "call"),
        run.cost.read_units + analysis.profiles.read_units,
    ));
    let mut conclusion = Vec::new();
    if analysis.in_step {
        conclusion.push("All in step.".to_owned());
    }
    let repairable = ["only_in_clerk", "outdated", "missing"];
    if found.iter().any(|(name, _)| repairable.contains(name)) {
        conclusion.push(format!("`rollcall reconcile{options}` brings the copy into step with Clerk."));
    }
    if found.iter().any(|(name, _)| !repairable.contains(name)) {
        conclusion.push("docs/operations.md says more about what is left.".to_owned());
    }
    if !analysis.complete {
        conclusion.push("Clerk's lists left somebody out, so \"missing\" may be more: run it again.".to_owned());
    }
    parts.push(conclusion.join(" "));
    parts.join("\n\n")
}

/// What is wrong, all kinds together.
fn wrong(analysis: &Analysis) -> Vec<(&'static str, u64)> {
    let mut all = Findings::default().wrong();
    for kind in Kind::ALL {
        for (sum, (_, number)) in all.iter_mut().zip(analysis.findings.of(kind).wrong()) {
            sum.1 += number;
        }
    }
    let all = all.into_iter().chain([("strange", analysis.profiles.strange)]);
    all.filter(|(_, number)| *number > 0).collect()
}

#[cfg(test)]
mod tests {
    use rollcall::core::analysis::Records;
    use rollcall::core::id::Each;
    use rollcall::core::millis::Millis;

    use super::*;

    fn analyzed(change: impl FnOnce(&mut Run, &mut Each<Findings>)) -> (Analysis, Run) {
        let (mut run, mut audit) = (Run::begin(Millis::ZERO, Mode::Report, true), Each::default());
        for kind in Kind::ALL {
            run.listings.of_mut(kind).ended = true;
        }
        change(&mut run, &mut audit);
        run.finish(Millis::ZERO);
        (Analysis::of(&run, true, &audit, Records::default()), run)
    }

    #[test]
    fn every_finding_is_explained() {
        for (name, _) in Findings::default().wrong().into_iter().chain([("strange", 0)]) {
            assert!(!meaning(name).is_empty(), "{name}");
        }
    }

    #[test]
    fn a_row_for_each_kind_and_a_line_for_each_finding() {
        let (analysis, run) = analyzed(|run, audit| {
            run.tally.user.unchanged = 1_000;
            run.tally.user.drift.missing = 3;
            run.tally.user.drift.ahead = 2;
            (audit.user.without_profile, audit.membership.orphaned) = (4, 5);
        });
        let text = text(&analysis, &run, " --local");
        let users: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(users, ["users", "1,000", "3", "0", "0", "4", "0", "0", "2"]);
        assert!(text.contains("  5  orphaned  "), "{text}");
        let last = "`rollcall reconcile --local` brings the copy into step with Clerk. docs/operations.md says more \
                    about what is left.";
        assert_eq!(text.lines().last(), Some(last));
        let (analysis, run) = analyzed(|_, _| ());
        assert!(super::text(&analysis, &run, "").ends_with("All in step."));
    }

    #[test]
    fn all_settings_that_are_missing_are_named_at_once() {
        let error = read(&|_| None).unwrap_err().to_string();
        for name in ["DIRECTORY_TABLE", "OPERATIONS_TABLE", "PROFILES_TABLE", "CLERK_SECRET_KEY", "CLERK_INSTANCE_ID"] {
            assert!(error.contains(name), "{error}");
        }
        let error = read(&|name| (name == "PROFILES_TABLE").then(|| "rollcall-profiles".to_owned())).unwrap_err();
        assert!(!error.to_string().contains("PROFILES_TABLE"), "{error}");
    }
}
