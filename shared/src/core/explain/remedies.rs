//! Words what repairs a difference, and the effects of a deletion.

use super::finding::{Finding, ParentInClerk, Refused, Removal, Stage, Why};
use super::need::is_mended_by_a_person;
use super::refusals::cause;
use crate::core::millis::Millis;
use crate::core::reconcile::run::{Mode, RunState};

/// How commands name the entity and the deployment.
pub(super) struct Commands<'a> {
    pub id: &'a str,
    /// The options for the same deployment, after a space.
    pub options: &'a str,
    /// The kind of the entity.
    pub noun: &'a str,
    /// What `RECONCILE_POLICY` of the deployment says.
    pub mode: Mode,
}

impl Commands<'_> {
    pub(super) fn run(&self, command: &str) -> String {
        format!("`rollcall {command}{}`", self.options)
    }

    pub(super) fn on(&self, command: &str) -> String {
        format!("`rollcall {command} {}{}`", self.id, self.options)
    }

    /// A command about the entity that writes.
    pub(super) fn write(&self, command: &str) -> String {
        self.write_with(command, "")
    }

    /// The same with an option, after a space.
    pub(super) fn write_with(&self, command: &str, option: &str) -> String {
        self.run(&format!("{command} {}{option}{}", self.id, self.permission()))
    }

    /// The option without which no command writes under `RECONCILE_POLICY=report`, after a space.
    pub(super) fn permission(&self) -> &'static str {
        match self.mode {
            Mode::Repair => "",
            Mode::Report => " --override RECONCILE_POLICY=repair",
        }
    }

    /// Whether the id is Clerk's, without which Clerk cannot be asked about a deleted user.
    fn is_named(&self) -> bool {
        self.id.starts_with("user_") || self.id.starts_with("org_")
    }
}

/// The finding in sentences, if it is about a repair.
pub(super) fn of_repair(finding: &Finding, commands: &Commands<'_>) -> Option<String> {
    let (noun, sync, again) = (commands.noun, commands.write("sync"), commands.on("explain"));
    Some(match finding {
        Finding::EventOnItsWay { since, until } => format!(
            "The event about the change at {} may still arrive: an event normally takes less than two minutes. Wait until \
             {}, then run {again} again: if the row still differs, it says what to do.",
            since.utc(),
            until.utc()
        ),
        Finding::Unsettled { stored_at, until } => format!(
            "The row was stored at {}, less than 15 minutes ago. Either the deletion event is still on its way, or the \
             {noun} is so new that Clerk does not return the {noun} yet. Wait until {}, then run {again} again.",
            stored_at.utc(),
            until.utc()
        ),
        Finding::EventFailed { refused, until } => event_failed(refused, *until, commands),
        Finding::NextRun { why } => format!(
            "{}The next run of reconcile (every night, unless ReconcileSchedule says otherwise) repairs the row. To repair \
             the row now, run {sync}.",
            cause_of(*why)
        ),
        Finding::NextRunDeletes { why, removal, grace_hours } => {
            let effects = match (noun, removal) {
                ("user", Some(removal)) => format!(
                    ", then the user's memberships, and {} after {grace_hours} hours ({})",
                    match removal {
                        Removal::Redacted => "replaces the personal data in the user's rows in Profiles",
                        Removal::Removed => "removes the user's rows in Profiles and in OWNED_TABLES",
                    },
                    policy(*removal)
                ),
                ("user", None) => {
                    ", then the user's memberships; no data are removed (DELETION_POLICY=retain)".to_owned()
                }
                ("organization", _) => ", then the memberships of the organization".to_owned(),
                _ => String::new(),
            };
            format!(
                "{}The next run of reconcile (every night, unless ReconcileSchedule says otherwise) asks Clerk again. If \
                 Clerk still does not have the {noun}, Rollcall marks the row as deleted{effects}. To do this now, run \
                 {sync}.",
                cause_of(*why)
            )
        }
        Finding::NoRunYet { why } => format!(
            "{}No run of reconcile that repairs rows has finished yet. If the schedule is on (ReconcileState=ENABLED, the \
             default), the next scheduled run repairs the row. To repair only this row now, run {sync}. For the whole \
             table, start the first run now: {}, which shows its plan and asks first.",
            cause_of(*why),
            commands.run("reconcile")
        ),
        Finding::ReportOnly { why } => format!(
            "{}No run repairs the row, because RECONCILE_POLICY=report. The row is stored by the next event about this \
             {noun}, or by this command: {sync}.",
            cause_of(*why)
        ),
        Finding::NotRepaired { run, state, why } => {
            let result = match state {
                RunState::Done => "but did not repair the row. The run should have repaired the row",
                RunState::PendingApproval => {
                    "but did not repair the row. Its deletions that are pending approval do not explain this"
                }
                RunState::Incomplete | RunState::Running => {
                    "but could not compare everything, and did not repair the row"
                }
            };
            format!(
                "{}The run of reconcile {run} began after this change, {result}. To repair the row now, run {sync}. If the \
                 row differs again after the next run, search the log of the function reconcile for `{}`.",
                cause_of(*why),
                commands.id
            )
        }
        Finding::Held { run, is_past: true } => format!(
            "The run {run} found that Clerk does not have the {noun}, and the deletion was pending approval. Now the \
             Directory has no live row of the {noun}, so this {noun} needs no approval any more. {} shows how many other \
             deletions are pending approval.",
            commands.run("status")
        ),
        Finding::Held { run, is_past: false } => format!(
            "The deletion of the {noun} is pending approval: the run {run} found unusually many rows whose users, \
             organizations or memberships Clerk does not have. {} lists their ids. First check in Clerk's dashboard that \
             they were deleted on purpose. If they were, approve the deletions: {}; before each deletion Clerk is asked \
             again. If they were not, do not approve: without an approval this run deletes none of them.",
            commands.run(&format!("reconcile --approve {run} --dry-run{}", commands.permission())),
            commands.run(&format!("reconcile --approve {run}{}", commands.permission()))
        ),
        _ => return None,
    })
}

fn event_failed(refused: &Refused, until: Millis, commands: &Commands<'_>) -> String {
    let (noun, line) = (commands.noun, &refused.line);
    let kind = line.kind.as_deref().unwrap_or("of unknown type");
    let message = line.svix_id.as_ref().map(|id| format!(", message {id}")).unwrap_or_default();
    let arrived = match refused.count {
        1 => format!("The event about this change ({kind}{message}) arrived at {}, and failed", refused.last.utc()),
        count => format!(
            "The event about this change arrived {count} times from {} to {}, and failed. The last one was {kind}{message}",
            refused.first.utc(),
            refused.last.utc()
        ),
    };
    let advice = refused.reason.advice(noun, line).map(|advice| format!(" {advice}")).unwrap_or_default();
    let then = if is_mended_by_a_person(refused) { "Svix then delivers" } else { "Svix delivers" };
    format!(
        "{arrived}: {}{advice} {then} the event again, until {} at the latest. If you do not want to wait for this, run {}.",
        cause(refused, noun),
        until.utc(),
        commands.write("sync")
    )
}

/// Why no event has repaired a difference, with a space after it.
fn cause_of(why: Why) -> String {
    match why {
        Why::NotArrived => "No event about this change has arrived. ".to_owned(),
        Why::NoDeletion { since } => format!("No deletion event has arrived since {}. ", since.utc()),
        Why::Quarantined => "An event that arrived after the change could not be read (see below). ".to_owned(),
        Why::Unknown => {
            "It is unknown why no event has repaired the row: the log that was read does not reach back to the change. "
                .to_owned()
        }
    }
}

/// The finding in sentences, if it is about an effect of a deletion.
pub(super) fn of_effect(finding: &Finding, commands: &Commands<'_>) -> Option<String> {
    let (noun, undo) = (commands.noun, commands.write("undo"));
    Some(match finding {
        Finding::ParentDeleted { parents, missing, since, stage } => {
            let verb = if parents.len() == 1 { "is" } else { "are" };
            let others = match missing.as_slice() {
                [] => String::new(),
                missing => format!(", and the Directory has no row of {}", missing.join(" and ")),
            };
            let marks = after(stage, "marks the row as deleted", "the row is still live", parents, *since, commands);
            format!(
                "{} {verb} deleted in the Directory (since {}){others}. Therefore the functions account and ensure-profile \
                 treat the membership as deleted already. {marks}",
                parents.join(" and "),
                since.utc()
            )
        }
        Finding::EffectsPending { since, stage } => {
            let ids = [commands.id.to_owned()];
            let deletes =
                after(stage, "deletes these memberships", "some memberships are still live", &ids, *since, commands);
            format!("Not all memberships of the {noun} are deleted yet. {deletes}")
        }
        Finding::ParentMissing { parent, clerk } => {
            let options = commands.options;
            let hidden = "so the functions account and ensure-profile do not show the membership";
            match clerk {
                ParentInClerk::Unreadable => format!(
                    "The Directory has a row of {parent} that no function can read, {hidden}. `rollcall explain \
                     {parent}{options}` says what to do."
                ),
                ParentInClerk::Has => format!(
                    "The Directory has no row of {parent}, {hidden}. Clerk has {parent}. First run \
                     `rollcall explain {parent}{options}`, which says why the row is missing; then {} stores the row.",
                    commands.run(&format!("sync {parent}{}", commands.permission()))
                ),
                ParentInClerk::Young { until } => format!(
                    "The Directory has no row of {parent} yet, {hidden}. Clerk has {parent}, and its event should arrive by \
                     {}. If the row is still missing then, run `rollcall explain {parent}{options}`.",
                    until.utc()
                ),
                ParentInClerk::Nothing => {
                    format!("The Directory has no row of {parent}, {hidden}. Clerk does not have {parent} either.")
                }
                ParentInClerk::Unknown => format!("The Directory has no row of {parent}, {hidden}."),
            }
        }
        Finding::PurgeDue { at, is_in_clerk, removal, is_on } => {
            let way_back = match is_in_clerk {
                Some(false) => "Clerk does not have the user, so the deletion cannot be undone.".to_owned(),
                Some(true) => format!("Before that, {undo} undoes a wrong deletion without loss."),
                None => {
                    format!("Before that, {undo} undoes a wrong deletion without loss, if Clerk still has the user.")
                }
            };
            let (data, does) = data(*removal);
            match is_on {
                true => format!("{data} {does} after {} ({}). {way_back}", at.utc(), policy(*removal)),
                false => format!(
                    "RECONCILE_POLICY is `report` now. Therefore nothing is changed: {} stay. Under \
                     RECONCILE_POLICY=repair they {does}, after {} at the earliest ({}). {way_back}",
                    lower(data),
                    at.utc(),
                    policy(*removal)
                ),
            }
        }
        Finding::PurgeOverdue { since, removal, is_on: false, .. } => {
            let (data, _) = data(*removal);
            format!(
                "RECONCILE_POLICY is `report` now. Therefore nothing is changed: {} stay, although the removal has been \
                 due since {} ({}). If the data must go, set RECONCILE_POLICY=repair.",
                lower(data),
                since.utc(),
                policy(*removal)
            )
        }
        Finding::PurgeOverdue { since, until, is_late, .. } => {
            let then = match is_late {
                true => "Rollcall tries every hour, so something prevents the removal: see the alarm PurgesLeft in \
                         docs/runbook.md."
                    .to_owned(),
                false => {
                    format!("Rollcall removes due data every hour, so this should be complete by {}.", until.utc())
                }
            };
            format!("The removal of the user's data has been due since {} and is not complete. {then}", since.utc())
        }
        Finding::Purging { since } => format!(
            "The user's data are being removed{}. An undo is not possible any more. After the removal, `rollcall restore` \
             writes the rows of the backup back.",
            at(" since ", *since)
        ),
        Finding::Purged { at: when } => format!(
            "The user's data were removed{}. Only a backup has the data, until it expires: `rollcall restore` writes its \
             rows back.",
            at(" at ", *when)
        ),
        Finding::Restored { .. } => restored(finding, commands)?,
        Finding::Retained => "DELETION_POLICY=retain: no data of the user are removed.".to_owned(),
        Finding::EffectsComplete { at: when } => match when {
            Some(when) => format!("All effects of the deletion have been complete since {}.", when.utc()),
            None => "All effects of the deletion are complete.".to_owned(),
        },
        _ => return None,
    })
}

/// What is restored, what keeps it, and what an operator decides.
fn restored(finding: &Finding, commands: &Commands<'_>) -> Option<String> {
    let Finding::Restored { at: when, backup, removed_at, removal, is_in_clerk, kept_until, is_stopping } = finding
    else {
        return None;
    };
    let (undo, erase) = (commands.write("undo"), commands.write("erase"));
    let clean_up = commands.run(&format!("cleanup --restored{}", commands.permission()));
    let removes = match removal {
        Removal::Redacted => "replaces the personal data in the user's records in Profiles",
        Removal::Removed => "removes the user's rows in Profiles and in OWNED_TABLES",
    };
    let mut parts = vec![format!(
        "{}Rows of the deleted user were restored at {} from {backup}. Neither the purge nor a `cleanup` without \
         --restored removes rows of this user: the rows stay until an operator undoes the deletion, runs `cleanup \
         --restored`, or erases the user.",
        removed_at.map(|at| format!("The user's data were removed at {}. ", at.utc())).unwrap_or_default(),
        when.utc()
    )];
    if *is_stopping {
        parts.push(
            "A removal had begun; until the hourly purge has stopped it, `rollcall undo` rejects the user.".to_owned(),
        );
    }
    parts.push(match is_in_clerk {
        Some(true) => format!(
            "After an undo the rows belong to the live user. If the deletion was right, {erase} deletes the user in Clerk, \
             too, and {removes}."
        ),
        Some(false) => format!(
            "Clerk does not have the user, so the deletion cannot be undone. To remove the data again, run {erase}, which \
             {removes}."
        ),
        None if commands.is_named() => format!(
            "If Clerk has the user, {undo} makes the user live again. To remove the data again, run {erase}, which \
             {removes}."
        ),
        None => "For an undo or an erasure, run the command with the user's Clerk id.".to_owned(),
    });
    let from = kept_until.map(|until| format!("After {}, ", until.utc())).unwrap_or_default();
    parts.push(format!("{from}{clean_up} removes the data of all deleted users whose rows were restored."));
    Some(parts.join(" "))
}

/// What completes an effect, and what to do if nothing has.
fn after(stage: &Stage, does: &str, still: &str, ids: &[String], since: Millis, commands: &Commands<'_>) -> String {
    let search = |function: &str| format!("search the log of the function {function} for `{}`", ids.join("` and `"));
    match stage {
        Stage::Soon { until } => format!(
            "The function react normally {does} within seconds of the deletion (stored at {}). After {}, run {} again. If \
             {still} then, the next run of reconcile {does}; to find out why react did not, {}.",
            since.utc(),
            until.utc(),
            commands.on("explain"),
            search("react")
        ),
        Stage::NextRun => format!(
            "The function react normally {does} within seconds, but did not do this after the deletion was stored at {}. \
             The next run of reconcile (every night, unless ReconcileSchedule says otherwise) {does}. To find out why \
             react did not, {}. If {still} after the next run, {}.",
            since.utc(),
            search("react"),
            search("reconcile")
        ),
        Stage::Unsure { until: Some(until) } => format!(
            "No function {does} while RECONCILE_POLICY=report. Do nothing about this before {}: until then it is not \
             certain that the deletion is right.",
            until.utc()
        ),
        Stage::Unsure { until: None } => format!(
            "No function {does} while RECONCILE_POLICY=report. First an operator must decide whether the deletion is right."
        ),
        Stage::Overdue { run } => format!(
            "The run of reconcile {run} began after the deletion (stored at {}), but {still}. To find out why, {}.",
            since.utc(),
            search("reconcile")
        ),
        Stage::Off => format!(
            "No function {does} while RECONCILE_POLICY=report, which your team has chosen. This can wait until morning: the \
             functions account and ensure-profile treat such memberships as deleted already. Then ask the person \
             responsible for the setting whether Rollcall may delete them. If so, deploy with ReconcilePolicy=repair, which \
             makes every run repair all rows: the next run {does}. If not, leave them."
        ),
    }
}

/// The data of a deleted user, and what happens to them.
fn data(removal: Removal) -> (&'static str, &'static str) {
    match removal {
        Removal::Redacted => ("The personal data in the user's records in Profiles", "are replaced"),
        Removal::Removed => ("The user's rows in Profiles and in OWNED_TABLES", "are removed"),
    }
}

/// The same inside a sentence.
fn lower(data: &str) -> String {
    data.replacen("The ", "the ", 1)
}

fn policy(removal: Removal) -> &'static str {
    match removal {
        Removal::Redacted => "DELETION_POLICY=redact",
        Removal::Removed => "DELETION_POLICY=purge",
    }
}

fn at(word: &str, at: Option<Millis>) -> String {
    at.map(|at| format!("{word}{}", at.utc())).unwrap_or_default()
}
