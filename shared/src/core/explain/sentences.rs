//! Words findings for a person on call.

use super::finding::{Finding, Kept, Removal};
use super::refusals;
use crate::core::id::Kind;
use crate::core::millis::Millis;
use crate::core::mirror::item::Writer;
use crate::core::reconcile::run::RunState;

impl Finding {
    /// The finding in sentences. `id` is the id by which commands know the entity, `options` are the options that a
    /// command needs to work on the same deployment, after a space.
    pub fn sentence(&self, id: &str, options: &str) -> String {
        let run = |command: &str| format!("`rollcall {command}{options}`");
        let on = |command: &str| format!("`rollcall {command} {id}{options}`");
        let noun = noun(id);
        match self {
            Finding::NoRow => format!("The Directory has no row of this {noun}."),
            Finding::RowUnreadable => format!(
                "The row cannot be read: its attribute rank or digest is missing or not valid, so another program has \
                 written the row. Readers treat the row as missing, and no event replaces it. Remove the row from the \
                 table by hand, then run {}. See docs/runbook.md, \"Rows that cannot be read\".",
                on("sync")
            ),
            Finding::Placeholder { applied_at } => format!(
                "The row is a placeholder without data: at {} the user called, the Directory had no row, and Clerk could \
                 not be asked. The placeholder grants the user nothing. The next state from Clerk replaces it.",
                applied_at.utc()
            ),
            Finding::Live { version, joined_at, by, applied_at, svix_id } => {
                let joined = joined_at.filter(|joined| joined != version);
                let joined = joined.map(|at| format!(" The membership began at {}.", at.utc())).unwrap_or_default();
                format!(
                    "The row is live (not deleted). It holds the state that Clerk had at {}.{joined} {}",
                    version.utc(),
                    stored("this state", *by, *applied_at, svix_id.as_deref())
                )
            }
            Finding::Deleted { version, by, applied_at, svix_id, policy } => {
                let keeps = match policy {
                    Kept::Fields => "The tombstone keeps the stored fields.",
                    Kept::Ids => "The tombstone has no personal data.",
                };
                let why = match by {
                    Writer::Reconcile => format!("At that time a run of reconcile found that Clerk did not have the {noun}."),
                    Writer::Cascade => "At that time its user or its organization was deleted.".to_owned(),
                    Writer::Operator => format!("At that time an operator erased the {noun}."),
                    Writer::Webhook | Writer::Ensure | Writer::Unknown => "Clerk reported the deletion.".to_owned(),
                };
                format!(
                    "The row is a tombstone: the {noun} was deleted at {}. {why} {} {keeps}",
                    version.utc(),
                    stored("the tombstone", *by, *applied_at, svix_id.as_deref())
                )
            }
            Finding::Incomplete => {
                "Some attributes of the row are not as Rollcall writes them: another program has changed the row. The next \
                 change in Clerk replaces the whole row. See docs/runbook.md, \"Rows that cannot be read\"."
                    .to_owned()
            }

            Finding::ClerkSilent { error } => {
                format!("Clerk could not be asked ({error}), so the row was not compared with Clerk. Try again later.")
            }
            Finding::ClerkNotAsked => "Clerk was not asked, because the row has no Clerk id: the Clerk id was removed with \
                                       the user's data. If you know the Clerk id, run the command with it."
                .to_owned(),
            Finding::InSync { times } if times.is_empty() => {
                "The row is in sync: Clerk has the same state now.".to_owned()
            }
            Finding::InSync { times } => format!(
                "The row is in sync: Clerk has the same contents now. Only {} differs, because the event lacked this time. \
                 The next change in Clerk corrects it.",
                times.join(" and ")
            ),
            Finding::BothGone => format!("The row is in sync: Clerk does not have the {noun} either."),
            Finding::NeverKnown => format!("Clerk does not have the {noun} either, so no row is expected."),
            Finding::NotStored { clerk } => format!(
                "Clerk has the {noun}, last changed at {}. The event that stores the row has not arrived or was not \
                 applied.",
                clerk.utc()
            ),
            Finding::Outdated { stored, clerk, fields } => format!(
                "The row is out of date: the {noun} changed in Clerk at {}, and the row holds the state of {}. {}",
                clerk.utc(),
                stored.utc(),
                differ(fields)
            ),
            Finding::OnlyPlaceholder { clerk } => format!(
                "Clerk has the {noun}, last changed at {}. The row does not hold this state yet.",
                clerk.utc()
            ),
            Finding::Rejoined { clerk } => format!(
                "The user has joined the organization again: Clerk has a new membership, last changed at {}. The row \
                 still says that the earlier membership is deleted.",
                clerk.utc()
            ),
            Finding::Behind { stored, clerk } => format!(
                "The contents are equal. Only the time of the last change differs: it is {} in Clerk, and {} in the row.",
                clerk.utc(),
                stored.utc()
            ),
            Finding::Tied { version, fields } => format!(
                "Clerk's state and the row's have the same time, {}, and different contents. Clerk's present state is \
                 right. {}",
                version.utc(),
                differ(fields)
            ),
            Finding::Ahead { stored, clerk, fields } => format!(
                "The row holds a state of {}, which is later than Clerk's present state, of {}. An event with a wrong time \
                 causes this. Until {} no change in Clerk is applied to the row. {} To replace the row with Clerk's \
                 state, run {}.",
                stored.utc(),
                clerk.utc(),
                stored.utc(),
                differ(fields),
                on("undo")
            ),
            Finding::Lagging { stored, clerk } => format!(
                "The row holds a state of {}, which is a little later than the state that Clerk returned, of {}. Soon \
                 after a change this is normal: Clerk's answers may lag by some minutes. If this is so for more than 15 \
                 minutes, run this command again.",
                stored.utc(),
                clerk.utc()
            ),
            Finding::Conflict { deleted_at, is_purged } => {
                let first = if *is_purged {
                    "The user's data were removed: first restore the backups with `rollcall restore`. "
                } else {
                    ""
                };
                format!(
                    "The {noun} was deleted in the Directory at {}, but Clerk still has the {noun}. No event and no run \
                     changes this: an operator decides. {first}If the deletion was wrong, run {}, which makes the row live \
                     again. If the deletion was right, delete the {noun} in Clerk.",
                    deleted_at.utc(),
                    on("undo")
                )
            }
            Finding::JustDeleted { deleted_at } => format!(
                "The {noun} was deleted in the Directory at {}, but Clerk still returns the {noun}. Soon after a deletion \
                 this is normal: Clerk's answers may lag by some minutes. If Clerk still has the {noun} 15 minutes after \
                 the deletion, the deletion may be wrong: then {} makes the row live again.",
                deleted_at.utc(),
                on("undo")
            ),
            Finding::AbsentInClerk { with_parent: true, .. } => {
                format!("The row is live, but Clerk does not have the {noun}.")
            }
            Finding::AbsentInClerk { is_settled: true, .. } => format!(
                "The row is live, but Clerk does not have the {noun}: the deletion event has not arrived or was not \
                 applied."
            ),
            Finding::AbsentInClerk { is_settled: false, .. } => format!(
                "The row is live, but Clerk does not have the {noun}. The row was stored less than 15 minutes ago, so \
                 the deletion event may still arrive."
            ),
            Finding::UndatedInClerk => "Clerk has the membership, but does not say when the membership began (created_at). \
                                        Such a membership cannot be stored. The next run of reconcile asks Clerk again."
                .to_owned(),
            Finding::NotMirrored => format!(
                "Clerk has the {noun}. MIRROR=off: live users and memberships are not stored, so no row is expected."
            ),
            Finding::LeftFromMirror => {
                "The row was stored before MIRROR=off was set. It is not updated any more, and not removed automatically."
                    .to_owned()
            }

            Finding::EventOnItsWay { since } => format!(
                "The event about the change at {} may still arrive; an event normally takes less than two minutes. If it \
                 does not arrive, the next run of reconcile repairs the row. To repair the row now, run {}.",
                since.utc(),
                on("sync")
            ),
            Finding::NextRun => {
                format!("The next run of reconcile repairs this. To repair it now, run {}.", on("sync"))
            }
            Finding::NextRunDeletes => format!(
                "The next run of reconcile asks Clerk again. If Clerk still does not have the {noun}, the run marks the row \
                 as deleted, with all effects of a deletion. To do this now, run {}.",
                on("sync")
            ),
            Finding::NoRunYet => format!(
                "No run of reconcile has finished yet. The first run repairs this: {}. To repair only this row, run {}.",
                run("reconcile"),
                on("sync")
            ),
            Finding::ReportOnly => format!(
                "RECONCILE_POLICY=report: runs of reconcile repair nothing. Only an event from Clerk changes the row. To \
                 repair the row nevertheless, run {}.",
                format_args!("`rollcall sync {id} --override RECONCILE_POLICY=repair{options}`")
            ),
            Finding::NotRepaired { run: id_of_run, state } => {
                let why = match state {
                    RunState::Done => "but did not repair the row. It should have repaired the row",
                    RunState::PendingApproval => {
                        "but did not repair the row. Its deletions that are pending approval do not explain this"
                    }
                    RunState::Incomplete | RunState::Running => {
                        "but could not compare everything, and did not repair the row"
                    }
                };
                format!(
                    "The run of reconcile {id_of_run} began after this change, {why}. To repair the row now, run {}. If \
                     the row differs again after the next run, search the log of reconcile for the id.",
                    on("sync")
                )
            }
            Finding::Held { run: id_of_run } => format!(
                "The deletion of the {noun} is pending approval: the run {id_of_run} found unusually many rows whose users, \
                 organizations or memberships Clerk does not have, so an operator has to approve their deletion. See {}, then approve them with {}.",
                run("status"),
                run(&format!("reconcile --approve {id_of_run}"))
            ),

            Finding::ParentDeleted { parent } => format!(
                "{parent} is deleted in the Directory, so readers treat this membership as deleted, too. The function react \
                 normally marks the row as deleted within seconds; if react fails, the next run of reconcile does this. If \
                 the row is still live after the next run, search the log of reconcile for the id."
            ),
            Finding::ParentMissing { parent } => format!(
                "The Directory has no readable row of {parent}, so readers treat this membership as missing. If \
                 Clerk has {parent}, `rollcall sync {parent}{options}` stores it."
            ),
            Finding::PurgeDue { at, is_in_clerk, removal } => {
                let way_back = match is_in_clerk {
                    Some(false) => "Clerk does not have the user, so the deletion cannot be undone.".to_owned(),
                    Some(true) => format!("Before that, {} undoes a wrong deletion without loss.", on("undo")),
                    None => format!(
                        "Before that, {} undoes a wrong deletion without loss, if Clerk still has the user.",
                        on("undo")
                    ),
                };
                match removal {
                    Removal::Redacted => format!(
                        "The personal data in the user's records in Profiles are replaced after {} \
                         (DELETION_POLICY=redact). {way_back}",
                        at.utc()
                    ),
                    Removal::Removed => format!(
                        "The user's rows in Profiles and in OWNED_TABLES are removed after {} (DELETION_POLICY=purge). \
                         {way_back}",
                        at.utc()
                    ),
                    Removal::Off => format!(
                        "The user's data are due for removal after {}, but are not removed while RECONCILE_POLICY is report. \
                         {way_back}",
                        at.utc()
                    ),
                }
            }
            Finding::PurgeOverdue { since, removal: Removal::Off } => format!(
                "The removal of the user's data has been due since {}. RECONCILE_POLICY=report prevents the removal.",
                since.utc()
            ),
            Finding::PurgeOverdue { since, .. } => format!(
                "The removal of the user's data has been due since {} and is not complete. The hourly purge or the next \
                 run of reconcile removes the data. If this is so for some hours, see the alarm PurgesLeft in \
                 docs/runbook.md.",
                since.utc()
            ),
            Finding::Purging { since } => format!(
                "The user's data are being removed{}. An undo is not possible any more. After the removal, `rollcall \
                 restore` writes the rows of the backup back.",
                at(" since ", *since)
            ),
            Finding::Purged { at: when } => format!(
                "The user's data were removed{}. Only a backup has the data, until it expires: `rollcall restore` writes \
                 its rows back.",
                at(" at ", *when)
            ),
            Finding::Retained => "DELETION_POLICY=retain: no data of the user are removed.".to_owned(),
            Finding::EffectsPending => format!(
                "Not all memberships of the {noun} are deleted yet. The function react normally deletes them within \
                 seconds; if react fails, the next run of reconcile deletes them. If this is so after the next run, search \
                 the log of reconcile for the id."
            ),
            Finding::EffectsComplete { at: when } => {
                format!("All effects of the deletion are complete{}.", at("; the last one was at ", *when))
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
                    "The Directory and Clerk agree now, so nothing has to be repaired."
                } else {
                    "If the row differs from Clerk, this event may be the reason."
                };
                format!(
                    "At {}, an event {} (message {}) had a valid signature, but its field {} was not valid. The event was \
                     not applied. {now}",
                    note.received_at.utc(),
                    note.kind.as_deref().unwrap_or("of unknown type"),
                    note.svix_id,
                    note.failed_at
                )
            }

            Finding::Refused(refused) => refusals::sentence(refused, noun),
            Finding::NothingRefused { since } => {
                format!("Since {}, the log has no refusal and no failure about this {noun}.", since.utc())
            }
            Finding::UntrustedRequests { count, since } => format!(
                "Since {}, the webhook rejected {count} {}, because the signature was missing or wrong, or the request was \
                 too old. It is unknown whether one was about this {noun}. If Clerk sent them, compare \
                 CLERK_WEBHOOK_SECRET with the signing secret of the endpoint in Clerk's dashboard.",
                since.utc(),
                if *count == 1 { "request" } else { "requests" }
            ),
            Finding::LogCut { since } => format!(
                "The log since {} has more lines about this {noun} than were read, so some may be missing here. Use a \
                 shorter --since.",
                since.utc()
            ),
            Finding::LogMissing { problem } => format!("A log could not be read: {problem}."),
        }
    }
}

/// The kind of the entity that has this id.
fn noun(id: &str) -> &'static str {
    let kind = match (id.contains('/'), id.starts_with("org_")) {
        (true, _) => Kind::Membership,
        (false, true) => Kind::Organization,
        (false, false) => Kind::User,
    };
    kind.name()
}

/// What stored a state, and when.
fn stored(what: &str, by: Writer, applied_at: Millis, svix_id: Option<&str>) -> String {
    let at = applied_at.utc();
    let message = svix_id.map(|id| format!(" (message {id})")).unwrap_or_default();
    match by {
        Writer::Webhook => format!("The webhook stored {what} at {at}{message}."),
        Writer::Ensure => format!("ensure-profile asked Clerk for a caller and stored {what} at {at}."),
        Writer::Reconcile => format!("A run of reconcile stored {what} at {at}."),
        Writer::Cascade => format!("The cascade of that deletion stored {what} at {at}."),
        Writer::Operator => format!("A command of an operator stored {what} at {at}."),
        Writer::Unknown => format!("It is unknown which program stored {what}; the row says at {at}."),
    }
}

fn differ(fields: &[String]) -> String {
    match fields {
        [] => "No field of the table differs.".to_owned(),
        [one] => format!("Different field: {one}."),
        several => format!("Different fields: {}.", several.join(", ")),
    }
}

fn at(word: &str, at: Option<Millis>) -> String {
    at.map(|at| format!("{word}{}", at.utc())).unwrap_or_default()
}
