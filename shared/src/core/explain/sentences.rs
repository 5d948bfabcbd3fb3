//! Words findings for a person on call.

use super::finding::{Finding, Kept, Refused};
use crate::core::millis::Millis;
use crate::core::mirror::item::Writer;
use crate::core::mirror::rank::Rank;
use crate::core::reconcile::run::RunState;

impl Finding {
    /// The finding in sentences. `id` is the id by which commands know the entity, `options` are the options that a
    /// command needs to work on the same deployment, after a space.
    pub fn sentence(&self, id: &str, options: &str) -> String {
        let run = |command: &str| format!("`rollcall {command}{options}`");
        let on = |command: &str| format!("`rollcall {command} {id}{options}`");
        match self {
            Finding::NoRow => "The Directory has no row of it.".to_owned(),
            Finding::RowUnreadable => format!(
                "The row cannot be read: its rank or its digest is missing or invalid, so another program wrote it. \
                 Readers treat it as missing, and no event replaces it. Remove the row, then run {}.",
                on("sync")
            ),
            Finding::Placeholder { applied_at } => format!(
                "The row is a placeholder: at {} a caller came who was not in the Directory, and Clerk could not be \
                 asked. It grants nothing, and every state of Clerk replaces it.",
                applied_at.utc()
            ),
            Finding::Live { version, joined_at, by, applied_at, svix_id } => {
                let joined = joined_at.map(|at| format!(" of the membership that began at {}", at.utc()));
                format!(
                    "The row is live. It holds Clerk's state of {}{}. {}",
                    version.utc(),
                    joined.unwrap_or_default(),
                    stored(*by, *applied_at, svix_id.as_deref())
                )
            }
            Finding::Deleted { version, by, applied_at, svix_id, policy } => {
                let keeps = match policy {
                    Kept::Fields => "The row keeps the stored fields.",
                    Kept::Ids => "The row has no personal data any more.",
                };
                let why = match by {
                    Writer::Reconcile => "a run of reconcile found then that Clerk did not have it",
                    Writer::Cascade => "its user or its organization was deleted at that time",
                    Writer::Operator => "an operator erased it at that time",
                    Writer::Webhook | Writer::Ensure | Writer::Unknown => "Clerk reported the deletion",
                };
                format!(
                    "The row is a tombstone, deleted as of {}: {why}. {} {keeps}",
                    version.utc(),
                    stored(*by, *applied_at, svix_id.as_deref())
                )
            }
            Finding::Incomplete => {
                "Some attributes of the row are not as Rollcall writes them: another program has changed it. The next \
                 change in Clerk replaces the whole row."
                    .to_owned()
            }

            Finding::ClerkSilent { error } => {
                format!("Clerk could not be asked ({error}), so the row could not be compared. Try again later.")
            }
            Finding::ClerkNotAsked => "Clerk was not asked: the Clerk id was removed with the data. Pass the Clerk id, \
                                       if you know it, to compare with Clerk."
                .to_owned(),
            Finding::InSync { times } if times.is_empty() => {
                "Clerk has the same state now: the row is in sync.".to_owned()
            }
            Finding::InSync { times } => format!(
                "Clerk has the same state now: the row is in sync. Only {} differs, which is no part of the contents: the \
                 event lacked it, and the next change in Clerk corrects it.",
                times.join(" and ")
            ),
            Finding::BothGone => "Clerk does not have it, so the tombstone is right: the row is in sync.".to_owned(),
            Finding::NeverKnown => "Clerk does not have it.".to_owned(),
            Finding::NotStored { clerk } => format!(
                "Clerk has it, with a state of {}. The event that should have stored it has not arrived or was not \
                 applied.",
                clerk.utc()
            ),
            Finding::Outdated { stored, clerk, fields } => format!(
                "The row is out of date: it changed in Clerk at {}, and the row holds the state of {}. {}",
                clerk.utc(),
                stored.utc(),
                differ(fields)
            ),
            Finding::OnlyPlaceholder { clerk } => format!(
                "Clerk has it, with a state of {}, and only the placeholder is stored.",
                clerk.utc()
            ),
            Finding::Rejoined { clerk } => format!(
                "The deletion is of an earlier membership. The user has joined again: Clerk has a newer membership, with \
                 a state of {}, which is not stored yet.",
                clerk.utc()
            ),
            Finding::Behind { stored, clerk } => format!(
                "The fields are equal, but Clerk's state is of {} and the stored one of {}.",
                clerk.utc(),
                stored.utc()
            ),
            Finding::Tied { version, fields } => format!(
                "Clerk's state and the stored one have the same time, {}, and differ. Times do not tell which is right, \
                 so Clerk's present state counts. {}",
                version.utc(),
                differ(fields)
            ),
            Finding::Ahead { stored, clerk, fields } => format!(
                "The row is later than Clerk: its state is of {}, Clerk's of {}. No change in Clerk before {} is applied. \
                 An event with a wrong time causes this. {} To replace the row with Clerk's state, run {}.",
                stored.utc(),
                clerk.utc(),
                stored.utc(),
                differ(fields),
                on("undo")
            ),
            Finding::Lagging { stored, clerk } => format!(
                "The row is later than Clerk's answer: its state is of {}, Clerk's of {}. Clerk's reads may lag by some \
                 minutes; there is nothing to do unless this stays so for 15 minutes.",
                stored.utc(),
                clerk.utc()
            ),
            Finding::Conflict { deleted_at, is_final } => {
                let first = if *is_final {
                    "The data were removed: restore the backups first with `rollcall restore`. "
                } else {
                    ""
                };
                format!(
                    "It is deleted here as of {}, and Clerk has it. No event and no run changes a deletion. {first}To make \
                     it live again, run {}.",
                    deleted_at.utc(),
                    on("undo")
                )
            }
            Finding::JustDeleted { deleted_at } => format!(
                "It is deleted here as of {}, and Clerk still returned it. Clerk's reads may lag by some minutes. If \
                 Clerk still has it in 15 minutes, {} makes it live again.",
                deleted_at.utc(),
                on("undo")
            ),
            Finding::AbsentInClerk { is_settled: true } => {
                "The row is live, and Clerk does not have it: the deletion event is missing.".to_owned()
            }
            Finding::AbsentInClerk { is_settled: false } => {
                "The row is live, and Clerk does not have it. The row was stored less than 15 minutes ago, so the deletion \
                 event may still come."
                    .to_owned()
            }
            Finding::UndatedInClerk => {
                "Clerk has the membership without created_at, so it cannot be stored.".to_owned()
            }
            Finding::NotMirrored => {
                "Clerk has it. MIRROR=off: live users and memberships are not stored, so a row is not expected.".to_owned()
            }
            Finding::LeftFromMirror => {
                "The row is from before MIRROR=off. It is not updated, and not removed automatically.".to_owned()
            }

            Finding::EventOnItsWay { since } => format!(
                "The event of the change at {} may still be on its way: it normally arrives within two minutes. Otherwise \
                 the next run of reconcile repairs the row; to repair the row now, run {}.",
                since.utc(),
                on("sync")
            ),
            Finding::NextRun => {
                format!("The next run of reconcile repairs the row; to repair the row now, run {}.", on("sync"))
            }
            Finding::NextRunDeletes => format!(
                "The next run of reconcile asks Clerk again and, if Clerk still does not have it, marks the row as deleted, \
                 with all effects of a deletion; to do this now, run {}.",
                on("sync")
            ),
            Finding::NoRunYet => format!(
                "No run of reconcile has finished yet. A run repairs the row: {}; or run {} for this row alone.",
                run("reconcile"),
                on("sync")
            ),
            Finding::ReportOnly => {
                "RECONCILE_POLICY=report: no run repairs the row. Only an event of Clerk changes it.".to_owned()
            }
            Finding::NotRepaired { run: id_of_run, state } => {
                let ended = match state {
                    RunState::Done => "ended well",
                    RunState::PendingApproval => "ended with deletions that are pending approval",
                    RunState::Incomplete => "could not compare everything",
                    RunState::Running => "has not finished",
                };
                format!(
                    "The run of reconcile {id_of_run} began after this change, {ended}, and did not repair the row. Nothing \
                     that is pending explains this. Run {}; if the row differs again after the next run, look for the id \
                     in the log of reconcile.",
                    on("sync")
                )
            }
            Finding::Held { run: id_of_run } => format!(
                "Its deletion is pending approval: the run {id_of_run} found too many entities absent at once. See {}, \
                 then approve with {}.",
                run("status"),
                run(&format!("reconcile --approve {id_of_run}"))
            ),

            Finding::ParentDeleted { parent } => format!(
                "{parent} is deleted, so readers treat the membership as deleted, too. react normally marks the row as \
                 deleted within seconds; the next run of reconcile does what is left."
            ),
            Finding::ParentMissing { parent } => format!(
                "{parent} has no readable row, so readers treat the membership as if it did not exist. To store \
                 {parent}, run `rollcall sync {parent}{options}`."
            ),
            Finding::PurgeDue { at, is_in_clerk: Some(false) } => format!(
                "The data of the user in Profiles and the owned tables are removed after {}, as DELETION_POLICY says. Clerk \
                 does not have the user, so the deletion cannot be undone.",
                at.utc()
            ),
            Finding::PurgeDue { at, is_in_clerk } => {
                let condition = if is_in_clerk.is_none() { ", if Clerk still has the user" } else { "" };
                format!(
                    "The data of the user in Profiles and the owned tables are removed after {}, as DELETION_POLICY says. \
                     Until then a deletion by mistake can be undone without loss{condition}: {}.",
                    at.utc(),
                    on("undo")
                )
            }
            Finding::PurgeOverdue { since } => format!(
                "The data of the user were to be removed after {}, and are still there. The hourly purge or the next run \
                 removes them. If this stays so for hours, see the alarm PurgesLeft and the log of reconcile.",
                since.utc()
            ),
            Finding::Purging { since } => format!(
                "The data of the user are being removed{}. An undo is not possible any more; after the removal, \
                 `rollcall restore` writes the rows of the backup back.",
                at(" since ", *since)
            ),
            Finding::Purged { at: when } => format!(
                "The data of the user were removed{}. Only a backup has them: `rollcall restore`.",
                at(" at ", *when)
            ),
            Finding::Retained => "DELETION_POLICY=retain: all data of the user are kept.".to_owned(),
            Finding::EffectsPending => {
                "Its memberships are not all deleted yet. react normally does this within seconds; the next run of \
                 reconcile does what is left."
                    .to_owned()
            }
            Finding::EffectsComplete { at: when } => {
                format!("All effects of the deletion are complete{}.", at(" since ", *when))
            }

            Finding::TurnedAway { status, code } => {
                let change = match *code {
                    "user_banned" => " To allow the user again, unban the user in Clerk.",
                    "user_deprovisioned" => " To allow the user again, add the user in the organization's directory.",
                    _ => "",
                };
                format!("Every function rejects the user's requests with {status} `{code}`.{change}")
            }

            Finding::Quarantined { note, is_repaired } => {
                let now = if *is_repaired {
                    "The row does not differ from Clerk, so there is nothing to repair.".to_owned()
                } else {
                    format!("To repair the row now, run {}.", on("sync"))
                };
                format!(
                    "An event about it ({}, message {}), received at {}, had a valid signature, but its field {} was not \
                     valid. The event was not applied. {now}",
                    note.kind.as_deref().unwrap_or("of unknown type"),
                    note.svix_id,
                    note.received_at.utc(),
                    note.failed_at
                )
            }

            Finding::Refused(refused) => refused_sentence(refused),
            Finding::NothingRefused { since } => {
                format!("The log has no refusal and no failure about it since {}.", since.utc())
            }
            Finding::UntrustedRequests { count, since } => format!(
                "{count} {} rejected before being read since {}, because no secret of the webhook had signed the request, \
                 or it was too old. Whether one was about this entity is unknown.",
                if *count == 1 { "request to the webhook was" } else { "requests to the webhook were" },
                since.utc()
            ),
            Finding::LogCut { since } => format!(
                "The log since {} has more lines about it than were read; the newest may be missing here. Use a shorter \
                 --since.",
                since.utc()
            ),
            Finding::LogMissing { problem } => format!("A log could not be read: {problem}."),
        }
    }
}

/// How a state came into the Directory.
fn stored(by: Writer, applied_at: Millis, svix_id: Option<&str>) -> String {
    let writer = match by {
        Writer::Webhook => "The webhook stored it",
        Writer::Ensure => "ensure-profile stored it for a caller, from Clerk's answer,",
        Writer::Reconcile => "A run of reconcile stored it",
        Writer::Cascade => "The cascade stored it",
        Writer::Operator => "A command of an operator stored it",
        Writer::Unknown => "It is unknown what stored it; it was probably stored",
    };
    let message = svix_id.map(|id| format!(", from message {id}")).unwrap_or_default();
    format!("{writer} at {}{message}.", applied_at.utc())
}

fn differ(fields: &[String]) -> String {
    match fields {
        [] => "No field that is shown differs.".to_owned(),
        [one] => format!("Different field: {one}."),
        several => format!("Different fields: {}.", several.join(", ")),
    }
}

fn at(word: &str, at: Option<Millis>) -> String {
    at.map(|at| format!("{word}{}", at.utc())).unwrap_or_default()
}

fn refused_sentence(refused: &Refused) -> String {
    let Refused { reason, count, first, last, line } = refused;
    let what = match (&line.kind, line.function.as_str()) {
        (Some(kind), _) if *count == 1 => format!("At {}, an event {kind} was not applied", last.utc()),
        (Some(kind), _) => format!(
            "{count} events from {} to {} were not applied, the last one an event {kind}",
            first.utc(),
            last.utc()
        ),
        (None, function) => {
            let of = if function.is_empty() { String::new() } else { format!(" of {function}") };
            let log = if *count == 1 { "a line".to_owned() } else { format!("{count} lines") };
            let from = if *count == 1 { String::new() } else { format!("from {} ", first.utc()) };
            let to = if *count == 1 { "at" } else { "to" };
            format!("The log{of} has {log} about it, {from}{to} {}", last.utc())
        }
    };
    let versions = line
        .rank
        .zip(line.stored)
        .map(|(offered, stored)| format!(" (the event had {}, the row had {})", state(offered), state(stored)));
    let error = line.error.as_ref().map(|error| format!(" Error: {error}."));
    format!("{what}{}: {}{}", versions.unwrap_or_default(), reason.sentence(), error.unwrap_or_default())
}

fn state(rank: Rank) -> String {
    let word = if rank.is_deleted() { "the deletion" } else { "the state" };
    let of = if rank.generation > Millis::ZERO {
        format!(" in the membership that began at {}", rank.generation.utc())
    } else {
        String::new()
    };
    format!("{word} of {}{of}", rank.version.utc())
}
