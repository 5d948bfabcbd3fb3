//! Words what each reason means, and what to do about it while it lasts.

use super::line::Line;
use super::reason::Reason;

impl Reason {
    /// What it means, as sentences that begin with a small letter. `noun` is the kind of the entity, `because` says why
    /// Clerk was asked.
    pub(super) fn sentence(self, noun: &str, because: &str, line: &Line) -> String {
        let text = match self {
            Reason::Duplicate => {
                "at that time the row already held the state that the event reported, so there was nothing to write. Svix \
                 may send an event more than once."
            }
            Reason::LaterState => {
                "at that time the row already held a later state, so the older state was not written."
            }
            Reason::AlreadyDeleted if noun == "membership" => {
                "the membership was deleted in the Directory already. An event about the same membership never replaces \
                 its tombstone. Only a new membership does, if the user joins again."
            }
            Reason::AlreadyDeleted => {
                "the {noun} was deleted in the Directory already. An event about a live {noun} never replaces a tombstone."
            }
            Reason::LaterMembership => {
                "the user had left the organization and joined again. The row had the later membership already, so the \
                 event about the earlier membership was not applied."
            }
            Reason::Final if noun == "user" => {
                "the tombstone was final already. No event changes a final tombstone, not even another deletion."
            }
            Reason::Final => {
                "all effects of the deletion were complete already. After that no event changes the row, not even another \
                 deletion."
            }
            Reason::Gone => "Rollcall asked Clerk{because}. Clerk did not have the {noun}, so nothing was written.",
            Reason::NothingNewer => {
                "Rollcall asked Clerk{because}. Clerk had the {noun}, but in no later state than the row, so nothing was \
                 written."
            }
            Reason::Tie => "two different states have the same time, and Clerk was not asked which state is right.",
            Reason::Unproven => {
                "the event was more than ten minutes old, and Clerk was not asked whether the {noun} still exists."
            }
            Reason::NotCopied if noun == "user" => {
                "under MIRROR=off Rollcall stores no live users; it stores only their deletions, as tombstones."
            }
            Reason::NotCopied => "under MIRROR=off {noun}s are not stored.",
            Reason::TypeIgnored => "Rollcall does not use events of this type.",
            Reason::Untrusted => {
                "the request was not accepted as one of Clerk: its signature is missing, wrong or too old, or the request \
                 is no webhook. The request was not read, so it is unknown whom the request is about."
            }
            Reason::Foreign => "another Clerk instance sent the event.",
            Reason::Quarantined => "the event had a valid signature, but its contents were not valid.",
            Reason::StoreUnavailable => "DynamoDB did not answer, or throttled the request.",
            Reason::StoreRejected if is_denied(line) => "DynamoDB denied access (AccessDeniedException).",
            Reason::StoreRejected => "DynamoDB rejected the request.",
            Reason::StoreUnreadable => {
                "a stored row could not be read, because another program, or another release, wrote the row."
            }
            Reason::ClerkUnavailable => "Rollcall had to ask Clerk{because}, and Clerk did not answer.",
            Reason::ClerkUnauthorized => {
                "Rollcall had to ask Clerk{because}, and Clerk rejected the secret key (CLERK_SECRET_KEY)."
            }
            Reason::ClerkRejected => "Rollcall had to ask Clerk{because}, and Clerk rejected the request.",
            Reason::ClerkUnreadable => {
                "Rollcall had to ask Clerk{because}, and the answer could not be read: a proxy may have answered."
            }
            Reason::ClerkForeign => "the secret key belonged to another Clerk instance.",
            Reason::OrganizationsOff => {
                "organizations were disabled in the Clerk instance, so Clerk had no such {noun}."
            }
            Reason::ClerkBehind => {
                "Rollcall asked Clerk{because}, and Clerk's answer was older than the event. Clerk's answers may lag by \
                 some minutes."
            }
            Reason::Undated => {
                "neither the event nor Clerk says when the membership began (created_at), so it is unknown which \
                 membership was deleted."
            }
            Reason::Contended => "other writers changed the row at every attempt.",
            Reason::UserDeleted => "the user is deleted in the Directory, so the user's request was answered with 410.",
            Reason::UserBanned => "the user was banned, so the user's request was answered with 403.",
            Reason::UserDeprovisioned => {
                "the organization's directory had removed the user, so the user's request was answered with 403."
            }
            Reason::UserNotFound => "Clerk did not have the user, so the user's request was answered with 404.",
            Reason::UserNotSynced => {
                "the Directory had no row of the user at that time, so the user's request was answered with 404."
            }
            Reason::UserNotAsked => {
                "the Directory had no row of the user, and Clerk had been asked about the user in the last ten seconds, so \
                 the request was answered with 503. A request ten seconds later is answered."
            }
            Reason::OrganizationNotSynced => {
                "the Directory had no row of the organization at that time, so the user's request was answered without \
                 the organization."
            }
            Reason::Unauthenticated => "a request had no valid session, so it is unknown who sent the request.",
            Reason::RequestRejected => "a request of the user was not valid. The row is not the cause.",
            Reason::RequestFailed => "a request of the user failed. The row was not changed.",
            Reason::ServedFromCopy => {
                "Clerk could not be asked about the user. The user's request was answered nevertheless: with the user's \
                 records in Profiles, and with those of Clerk's data that the Directory or the session token has."
            }
            Reason::Conflict => "a run found that the {noun} was deleted in the Directory and still existed in Clerk.",
            Reason::Ahead => "a run found that the row had been later than Clerk's state for over 15 minutes.",
            Reason::Unconfirmed => {
                "a run did not find the {noun} in Clerk's list, and Clerk did not confirm that the {noun} is gone. Only a \
                 confirmed absence counts as a deletion."
            }
            Reason::UnreadableInClerk => {
                "a run could not read the {noun} in Clerk's list, so the {noun} was not compared."
            }
            Reason::RowUnreadable => {
                "the row, or some of its attributes, could not be read, because another program, or another release, wrote \
                 the row."
            }
            Reason::RowRemoved => {
                "the row was removed: by an undo under MIRROR=off, by `rollcall reset` of a local stack, or by another \
                 program."
            }
            Reason::KeyMismatch => {
                "the key of the row does not match the ids in the row: another program wrote the row, or the row is from \
                 another instance."
            }
            Reason::MembershipNotDeleted => {
                "the user or the organization is deleted, and a membership could not be deleted with it, because the row \
                 of the membership cannot be read or was changing. The next run of reconcile tries again."
            }
            Reason::PurgeFailed => {
                "the removal of the user's data failed. Rollcall tries again every hour; nothing is removed without a \
                 backup."
            }
            Reason::PurgeWaits => {
                "the removal of the user's data waits, because a membership of the user is not deleted yet."
            }
            Reason::TableMissing => {
                "a table of OWNED_TABLES does not exist, so no rows were removed from the table. If the name is misspelt, \
                 correct the setting."
            }
            Reason::WriteBackFailed => {
                "dbId and role could not be added to the user's metadata in Clerk. The next run of reconcile tries again."
            }
            Reason::WriteBackConflict => {
                "the user's metadata in Clerk has another dbId than the internal id. Rollcall never changes an existing \
                 value: correct the value in Clerk."
            }
            Reason::UndoFailed => "the deletion of the membership could not be undone. Run `rollcall undo` again.",
            Reason::Unknown => "this release does not know the line: another release wrote it.",
        };
        text.replace("{noun}", noun).replace("{because}", because)
    }

    /// What to do about it while it lasts.
    pub(super) fn advice(self, noun: &str, line: &Line) -> Option<String> {
        let function = if line.function.is_empty() { "that logged this" } else { &line.function };
        let text = match self {
            Reason::Untrusted => {
                "If Clerk sent the request, compare CLERK_WEBHOOK_SECRET with the signing secret of the endpoint in \
                 Clerk's dashboard."
            }
            Reason::Foreign => "Use a deployment for each instance, and remove this endpoint from the other instance.",
            Reason::Quarantined | Reason::Undated => {
                "`rollcall quarantine list` shows the event. The next run of reconcile compares the {noun} with Clerk."
            }
            Reason::StoreRejected if is_denied(line) => {
                "Check the permissions of the function {function} on the table."
            }
            Reason::StoreRejected => "Check the table and the permissions of the function {function}.",
            Reason::StoreUnreadable | Reason::RowUnreadable => "See docs/runbook.md, \"Rows that cannot be read\".",
            Reason::ClerkUnauthorized => "Correct CLERK_SECRET_KEY of the function {function}.",
            Reason::ClerkForeign => "Correct CLERK_SECRET_KEY or CLERK_INSTANCE_ID.",
            Reason::UserBanned => "To allow the user again, unban the user in Clerk.",
            Reason::UserDeprovisioned => "To allow the user again, add the user in the organization's directory.",
            Reason::OrganizationNotSynced => "An event, `rollcall sync` or the next run stores the organization.",
            Reason::Conflict => "No run changes this: an operator decides whether the deletion was right.",
            Reason::Ahead => "No run changes this: `rollcall undo` replaces the row with Clerk's state.",
            Reason::Unconfirmed | Reason::UnreadableInClerk => "The next run tries again.",
            _ => return None,
        };
        Some(text.replace("{noun}", noun).replace("{function}", function))
    }
}

/// Whether DynamoDB denied access.
fn is_denied(line: &Line) -> bool {
    line.error.as_deref().is_some_and(|error| error.contains("AccessDenied"))
}
