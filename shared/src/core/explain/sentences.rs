//! Words findings for a person on call.

use super::finding::{Finding, Kept, Now, Then};
use super::refusals;
use super::remedies::{Commands, of_effect, of_repair};
use super::repair::later;
use crate::core::id::Kind;
use crate::core::millis::Millis;
use crate::core::mirror::item::Writer;
use crate::core::reconcile::presence::SETTLED_AFTER;
use crate::core::reconcile::run::Mode;

impl Finding {
    /// The finding in sentences. `id` is the id by which commands know the entity, `options` are the options that a
    /// command needs to work on the same deployment, after a space. `mode` is that of the deployment: a command that
    /// writes needs an option under `RECONCILE_POLICY=report`.
    pub fn sentence(&self, id: &str, options: &str, mode: Mode) -> String {
        let noun = noun(id);
        let commands = Commands { id, options, noun, mode };
        let text =
            of_repair(self, &commands).or_else(|| of_effect(self, &commands)).unwrap_or_else(|| self.of_row(&commands));
        match mode {
            Mode::Report if text.contains(commands.permission()) => format!(
                "{text} Your team has chosen RECONCILE_POLICY=report: ask the person responsible before you run a command \
                 with --override, which is valid for that command only."
            ),
            _ => text,
        }
    }

    /// What is known of the row, of Clerk and from the log.
    fn of_row(&self, commands: &Commands<'_>) -> String {
        let (noun, undo) = (commands.noun, commands.write("undo"));
        match self {
            Finding::NoRow => format!("The Directory has no row of this {noun}."),
            Finding::RowUnreadable { then } => unreadable(*then, commands),
            Finding::Placeholder { applied_at } => format!(
                "The row is a placeholder without data: at {} the user called, the Directory had no row, and Clerk could \
                 not be asked. The placeholder has only ids and default values: no role in an organization and no \
                 permissions. The next state from Clerk replaces it.",
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
            Finding::Deleted { version, by, applied_at, svix_id, policy, parent } => {
                let keeps = match policy {
                    Kept::Fields => "The tombstone keeps the stored fields.",
                    Kept::Ids => "The tombstone itself has no personal data.",
                };
                let why = match by {
                    Writer::Reconcile => format!("At that time a run of reconcile found that Clerk did not have the {noun}."),
                    Writer::Cascade => {
                        let parent = parent.as_deref().unwrap_or("Its user or its organization");
                        format!("{parent} was deleted at that time, and the membership with it.")
                    }
                    Writer::Operator => format!("At that time an operator erased the {noun}."),
                    Writer::Webhook | Writer::Ensure | Writer::Unknown => "Clerk reported the deletion.".to_owned(),
                };
                let stored = stored("the tombstone", *by, *applied_at, svix_id.as_deref());
                let stored = match by {
                    Writer::Cascade => format!("{}; until then the row was live.", stored.trim_end_matches('.')),
                    _ => stored,
                };
                format!(
                    "The row is a tombstone: the {noun} was deleted at {}. {why} {stored} {keeps}",
                    version.utc()
                )
            }
            Finding::Incomplete => {
                "Some attributes of the row are not as Rollcall writes them: another program has changed the row. The next \
                 change in Clerk replaces the whole row. See docs/runbook.md, \"Rows that cannot be read\"."
                    .to_owned()
            }

            Finding::ClerkSilent { error } => {
                format!("Clerk could not be asked ({error}), so the row was not compared with Clerk. Run {} again later.", commands.on("explain"))
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
            Finding::NeverKnown { is_seen: false, .. } => {
                format!("Clerk does not have the {noun} either, so no row is expected.")
            }
            Finding::NeverKnown { alive_at: Some(at), .. } => format!(
                "Clerk does not have the {noun} now. ensure-profile still had an answer of Clerk about the {noun} at {}, so \
                 Clerk probably deleted the {noun} after that, and the deletion event is on its way. Under MIRROR=off the \
                 event stores a tombstone. Wait until {}, then run {} again.",
                at.utc(),
                later(*at, SETTLED_AFTER).utc(),
                commands.on("explain")
            ),
            Finding::NeverKnown { is_uncopied: true, .. } => format!(
                "Clerk does not have the {noun} now, so no live row is expected. There is no tombstone either, so Rollcall \
                 has not processed a deletion of the {noun}. If the {noun} has records in Profiles, no run removes them; \
                 {} removes them, and asks first.",
                commands.write("erase")
            ),
            Finding::NeverKnown { .. } => {
                format!("Clerk does not have the {noun} now, so no live row is expected.")
            }
            Finding::NotStored { clerk } => {
                let until = match noun {
                    "user" => " Until the row exists, the functions account and authorizer answer the user's requests \
                               with 404 `user_not_synced`.",
                    _ => "",
                };
                format!("Clerk has the {noun}, last changed at {}, but the row is missing.{until}", clerk.utc())
            }
            Finding::Outdated { stored, clerk, fields } => format!(
                "The row is out of date: the {noun} changed in Clerk at {}, and the row holds the state of {}. {} Until the \
                 row is repaired, the functions use the values in the row.",
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
            Finding::Behind { stored, clerk, by_run } => format!(
                "Only the time of the last change differs: it is {} in Clerk, and {} in the row. The contents are equal, so \
                 this is harmless. {} corrects the time.",
                clerk.utc(),
                stored.utc(),
                if *by_run { "The next change in Clerk, or the next run of reconcile," } else { "The next change in Clerk" }
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
                undo
            ),
            Finding::Lagging { stored, clerk, until } => format!(
                "The row holds a state of {}, which is a little later than the state that Clerk returned, of {}. Until {} \
                 this is normal: Clerk's answers may lag by some minutes.",
                stored.utc(),
                clerk.utc(),
                until.utc()
            ),
            Finding::Conflict { deleted_at, is_purged, removal_at, changed_at } => {
                let before = removal_at.map(|at| format!(" before {}, when the removal of the user's data begins", at.utc()));
                let hint = changed_at.map(|at| {
                    format!(
                        "Clerk changed the {noun} later than that, at {}, which suggests that the deletion was wrong. ",
                        at.utc()
                    )
                });
                let first = if *is_purged {
                    "The user's data were removed: first restore the backups with `rollcall restore`. "
                } else {
                    ""
                };
                format!(
                    "The {noun} was deleted in the Directory at {}, but Clerk still has the {noun}. {}No event and no run \
                     makes the row live again: an operator must decide{}. {first}If the deletion was wrong, run {}, which makes \
                     the row live again. If the deletion was right, delete the {noun} in Clerk.",
                    deleted_at.utc(),
                    hint.unwrap_or_default(),
                    before.unwrap_or_default(),
                    undo
                )
            }
            Finding::BelowDeleted { deleted_at, parents, comes_back, until } => {
                let (verb, all) = (if parents.len() == 1 { "is" } else { "are" }, parents.join(" and "));
                let explain: Vec<String> =
                    parents.iter().map(|parent| format!("`rollcall explain {parent}{}`", commands.options)).collect();
                let when = until.map(|at| {
                    format!("Until {} this is normal: Clerk's answers may lag by some minutes. After that, ", at.utc())
                });
                let then = match comes_back {
                    true => format!("An undo of {all} makes this membership live again, too."),
                    false => format!("After an undo of {all}, run {} again.", commands.on("explain")),
                };
                format!(
                    "The membership was deleted in the Directory at {}, but Clerk still has the membership. {all} {verb} \
                     deleted in the Directory, too, and until {all} {verb} live again, `rollcall undo` rejects the \
                     membership. {} {}, and decide there. {then}",
                    deleted_at.utc(),
                    when.map_or_else(|| "Run".to_owned(), |when| format!("{when}run")),
                    explain.join(" and ")
                )
            }
            Finding::JustDeleted { deleted_at, until, removal_at } => {
                let before = removal_at.map(|at| format!(" before {}, when the removal of the user's data begins", at.utc()));
                format!(
                    "The {noun} was deleted in the Directory at {}, but Clerk still returns the {noun}. Until {} this is \
                     normal: Clerk's answers may lag by some minutes. If {} says the same after that time, the deletion may \
                     be wrong. Then undo the deletion{}: {undo}.",
                    deleted_at.utc(),
                    until.utc(),
                    commands.on("explain"),
                    before.unwrap_or_default()
                )
            }
            Finding::AbsentInClerk => format!(
                "The row is live, but Clerk did not return the {noun} just now. As long as the row is live, the functions \
                 treat the {noun} as live."
            ),
            Finding::UndatedInClerk => "Clerk has the membership, but does not say when the membership began (created_at). \
                                        Such a membership cannot be stored. The next run of reconcile asks Clerk again."
                .to_owned(),
            Finding::NotMirrored => format!(
                "Clerk has the {noun}. Under MIRROR=off live users and memberships are not stored (only deletions of users are, \
                 as tombstones), so no row is expected."
            ),
            Finding::LeftFromMirror => {
                "The row was stored before MIRROR=off was set. The row is not updated any more, and Rollcall does not remove \
                 the row. Delete the row from the table by hand."
                    .to_owned()
            }

            Finding::TurnedAway { status, code, is_in_clerk } => {
                let change = match (*code, is_in_clerk) {
                    ("user_banned" | "user_deprovisioned", Some(false)) => {
                        " This ends when the row is marked as deleted; then requests are rejected with 410 `user_deleted`."
                    }
                    ("user_banned", _) => " To allow the user again, unban the user in Clerk.",
                    ("user_deprovisioned", _) => {
                        " To allow the user again, add the user in the organization's directory."
                    }
                    _ => "",
                };
                format!("Every function rejects the user's requests with {status} `{code}`.{change}")
            }

            Finding::Quarantined { note, now } => {
                let now = match now {
                    Now::Agrees => "The Directory and Clerk agree now, so nothing has to be repaired.",
                    Now::Differs => "This event may be the reason why the row differs from Clerk.",
                    Now::Unreadable => "It is unknown whether the row differs from Clerk, because the row cannot be read.",
                    Now::Unknown => "It is unknown whether the row differs from Clerk, because Clerk did not answer.",
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
                format!(
                    "Since {}, no event about this {noun} was ignored or failed, as far as the log shows.",
                    since.utc()
                )
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

            // `remedies` words these.
            Finding::EventOnItsWay { .. }
            | Finding::Unsettled { .. }
            | Finding::EventFailed { .. }
            | Finding::NextRun { .. }
            | Finding::NextRunDeletes { .. }
            | Finding::ReportOnly { .. }
            | Finding::NotRepaired { .. }
            | Finding::NoRunYet { .. }
            | Finding::Held { .. }
            | Finding::ParentDeleted { .. }
            | Finding::ParentMissing { .. }
            | Finding::PurgeDue { .. }
            | Finding::PurgeOverdue { .. }
            | Finding::Purging { .. }
            | Finding::Purged { .. }
            | Finding::Restored { .. }
            | Finding::Retained
            | Finding::EffectsPending { .. }
            | Finding::EffectsComplete { .. } => String::new(),
        }
    }
}

/// What to do about a row that cannot be read.
fn unreadable(then: Then, commands: &Commands<'_>) -> String {
    let (noun, remove) = (commands.noun, "Remove the row from the table by hand");
    let advice = match then {
        Then::Sync => {
            format!("Clerk has the {noun}. {remove}, then run {}, which stores the row.", commands.write("sync"))
        }
        Then::Erase => format!(
            "Clerk does not have the {noun}, so the row must be a tombstone. {remove}, then run {}, which stores the \
             tombstone and treats the user's data as DELETION_POLICY says.",
            commands.write_with("erase", " --even-if-unknown")
        ),
        Then::Nothing => format!("{remove}. No other row is expected in its place."),
        Then::AskAgain => format!(
            "Clerk could not be asked, so what has to replace the row is unknown. Run {} again later.",
            commands.on("explain")
        ),
        Then::Name => {
            "Clerk was not asked, because the Clerk id is unknown. Run the command with the Clerk id.".to_owned()
        }
    };
    format!(
        "The row cannot be read: its attribute rank or digest is missing or not valid, so another program has written the \
         row. No event and no run replaces the row. {advice} See docs/runbook.md, \"Rows that cannot be read\"."
    )
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
