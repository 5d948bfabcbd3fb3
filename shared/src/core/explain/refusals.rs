//! Words why something was not applied, answered or done, from the lines of the log.

use super::finding::Refused;
use super::line::Line;
use super::reason::Reason;
use crate::core::mirror::rank::Rank;

/// How long Svix repeats a delivery that failed.
const SVIX_RETRIES: &str = "27 hours";

/// The lines with one reason in sentences. `noun` is the kind of the entity.
pub(super) fn sentence(refused: &Refused, noun: &str) -> String {
    let Refused { reason, count, first, last, line } = refused;
    let is_one = *count == 1;
    let when =
        if first == last { format!("At {}", last.utc()) } else { format!("From {} to {}", first.utc(), last.utc()) };
    let logs = if line.function.is_empty() { "a function" } else { &line.function };
    let what = match &line.kind {
        Some(kind) if is_one => format!("{when}, an event {kind} was not applied"),
        Some(_) => format!("{when}, {count} events were not applied"),
        None if is_one => format!("{when}, {logs} logged"),
        None => format!("{when}, {logs} logged {count} times"),
    };
    let parts = [
        Some(format!("{what}: {}", reason.sentence(noun))),
        last_event(line, is_one),
        reason.is_tried_again().then(|| again(&line.function)).flatten(),
        line.error.as_ref().map(|error| format!("Error: {error}.")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// What the event of the line had, and what it met.
fn last_event(line: &Line, is_one: bool) -> Option<String> {
    let kind = line.kind.as_ref()?;
    let the_event = if is_one { "The event".to_owned() } else { format!("The last one, {kind},") };
    let Some((offered, stored)) = line.rank.zip(line.stored) else {
        return (!is_one).then(|| format!("The last one was {kind}."));
    };
    let state = |rank: Rank| {
        let word = if rank.is_deleted() { "deletion at" } else { "state of" };
        format!("the {word} {}", rank.version.utc())
    };
    Some(if offered == stored {
        format!("{the_event} reported {}.", state(offered))
    } else if offered.generation == stored.generation {
        format!("{the_event} reported {}; the row held {}.", state(offered), state(stored))
    } else {
        let (offered, stored) = (offered.generation.utc(), stored.generation.utc());
        format!(
            "{the_event} was about the membership that began at {offered}; the row had the one that began at {stored}."
        )
    })
}

/// What follows a failure of a function.
fn again(function: &str) -> Option<String> {
    Some(match function {
        "webhook" => format!("Svix sends such an event again, for up to {SVIX_RETRIES}."),
        "react" => "react tries again.".to_owned(),
        "reconcile" => "The next run tries again.".to_owned(),
        "ensure-profile" | "account" | "authorizer" => "The caller can try again.".to_owned(),
        _ => return None,
    })
}

impl Reason {
    /// Whether the function that failed is called again.
    fn is_tried_again(self) -> bool {
        matches!(
            self,
            Reason::StoreUnavailable
                | Reason::StoreRejected
                | Reason::ClerkUnavailable
                | Reason::ClerkUnauthorized
                | Reason::ClerkUnreadable
                | Reason::ClerkBehind
                | Reason::Contended
        )
    }

    /// What it means, as a sentence that begins with a small letter. `noun` is the kind of the entity.
    fn sentence(self, noun: &str) -> String {
        let text = match self {
            Reason::Duplicate => {
                "the row had the same state already, so there was nothing to write. Svix may send an event more than once."
            }
            Reason::LaterState => "the row had a later state already, so the older state was not written.",
            Reason::AlreadyDeleted => {
                "the {noun} was deleted in the Directory already. An event about a live {noun} never replaces a tombstone."
            }
            Reason::LaterMembership => {
                "the user had left the organization and joined again. The row had the later membership already, so the \
                 event about the earlier membership was not applied."
            }
            Reason::Final => {
                "all effects of the deletion were complete already, or the removal of data had begun. After that no event \
                 changes the row, not even another deletion."
            }
            Reason::Gone => {
                "the event was late (over ten minutes old) or had no usable time, so the event did not prove that the {noun} still existed. Rollcall \
                 asked Clerk. Clerk did not have the {noun}, so nothing was written."
            }
            Reason::NothingNewer => {
                "Rollcall asked Clerk. Clerk did not have the {noun}, or had no later state than the row, so nothing was written."
            }
            Reason::Tie => "two different states have the same time, and Clerk was not asked which state is right.",
            Reason::Unproven => "the event was late, and Clerk was not asked whether the {noun} still exists.",
            Reason::NotCopied => "under MIRROR=off live users and memberships are not stored.",
            Reason::TypeIgnored => "Rollcall does not use events of this type.",
            Reason::Untrusted => {
                "the request was not accepted as one of Clerk: its signature is missing, wrong or too old, or the \
                 request is no webhook. The request was not read, so it is unknown whom the request is about. If Clerk \
                 sent the request, compare CLERK_WEBHOOK_SECRET with the signing secret of the endpoint in Clerk's \
                 dashboard."
            }
            Reason::Foreign => {
                "another Clerk instance sent the event. Use a deployment for each instance, and remove this endpoint from \
                 the other instance."
            }
            Reason::Quarantined => {
                "the event had a valid signature, but its contents were not valid. `rollcall quarantine list` shows the event. \
                 The next run of reconcile compares the {noun} with Clerk."
            }
            Reason::StoreUnavailable => "DynamoDB did not answer, or throttled the request.",
            Reason::StoreRejected => {
                "DynamoDB rejected the request. If this goes on, check that the table exists and that the function has the \
                 permission."
            }
            Reason::StoreUnreadable => {
                "a stored row could not be read: another program, or another release, wrote it. See docs/runbook.md, \
                 \"Rows that cannot be read\"."
            }
            Reason::ClerkUnavailable => "Rollcall had to ask Clerk, and Clerk did not answer.",
            Reason::ClerkUnauthorized => {
                "Rollcall had to ask Clerk, and Clerk rejected the secret key. If this goes on, correct CLERK_SECRET_KEY."
            }
            Reason::ClerkRejected => "Rollcall had to ask Clerk, and Clerk rejected the request.",
            Reason::ClerkUnreadable => {
                "Rollcall had to ask Clerk, and the answer could not be read: a proxy may have answered."
            }
            Reason::ClerkForeign => {
                "the secret key belongs to another Clerk instance. Correct CLERK_SECRET_KEY or CLERK_INSTANCE_ID."
            }
            Reason::OrganizationsOff => {
                "organizations are disabled in the Clerk instance, so Clerk has no such {noun}."
            }
            Reason::ClerkBehind => {
                "Rollcall asked Clerk, and Clerk's answer was older than the event. Clerk's answers may lag by some \
                 minutes."
            }
            Reason::Undated => {
                "neither the event nor Clerk says when the membership began (created_at), so it is unknown which \
                 membership was deleted. `rollcall quarantine list` shows the event. The next run of reconcile compares the \
                 membership with Clerk."
            }
            Reason::Contended => "other writers changed the row at every attempt.",
            Reason::UserDeleted => "the user is deleted in the Directory, so the user's request was answered with 410.",
            Reason::UserBanned => {
                "the user is banned, so the user's request was answered with 403. To allow the user again, unban the user \
                 in Clerk."
            }
            Reason::UserDeprovisioned => {
                "the organization's directory has removed the user, so the user's request was answered with 403. To allow \
                 the user again, add the user in that directory."
            }
            Reason::UserNotFound => "Clerk did not have the user, so the user's request was answered with 404.",
            Reason::UserNotSynced => {
                "the Directory had no row of the user at that time, so the user's request was answered with 404."
            }
            Reason::UserNotAsked => {
                "the Directory had no row of the user, and Clerk had been asked about the user in the last ten seconds, \
                 so the request was answered with 503. A request ten seconds later is answered."
            }
            Reason::OrganizationNotSynced => {
                "the Directory had no row of the organization, so the caller was answered without the organization. An \
                 event, `rollcall sync` or the next run stores the organization."
            }
            Reason::Unauthenticated => "a request had no valid session, so it is unknown who sent the request.",
            Reason::RequestRejected => "a request of the user was not valid. The row is not the cause.",
            Reason::RequestFailed => "a request of the user failed. The row was not changed.",
            Reason::ServedFromCopy => {
                "Clerk could not be asked about the user, so the user's request was answered without Clerk."
            }
            Reason::Conflict => {
                "a run found that the {noun} is deleted in the Directory and exists in Clerk. No run changes this: an \
                 operator decides with `rollcall undo`."
            }
            Reason::Ahead => {
                "a run found that the row has been later than Clerk's state for over 15 minutes. No run changes this: an \
                 operator decides with `rollcall undo`."
            }
            Reason::Unconfirmed => {
                "a run did not find the {noun} in Clerk's list, and Clerk did not confirm that the {noun} is gone. Only a \
                 confirmed absence counts as a deletion; the next run asks again."
            }
            Reason::UnreadableInClerk => {
                "a run could not read the {noun} in Clerk's list, so the {noun} was not compared. The next run tries again."
            }
            Reason::RowUnreadable => {
                "the row, or some of its attributes, could not be read: another program, or another release, wrote it. \
                 See docs/runbook.md, \"Rows that cannot be read\"."
            }
            Reason::RowRemoved => "the row was removed, by an undo under MIRROR=off or by another program.",
            Reason::KeyMismatch => {
                "the key of the row does not match the ids in the row: another program wrote the row, or the row is from \
                 another instance."
            }
            Reason::MembershipNotDeleted => {
                "the user or the organization is deleted, and a membership could not be deleted with it, because the row of \
                 the membership cannot be read or was changing. The next run of reconcile tries again."
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
        text.replace("{noun}", noun)
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;
    use crate::core::millis::Millis;

    fn millis(value: i64) -> Millis {
        Millis::try_from(value).unwrap()
    }

    fn told(reason: Reason, count: u64, ranks: Option<(Rank, Rank)>, function: &str) -> String {
        let kind = (function == "webhook").then_some("user.updated");
        let fields = serde_json::json!({ "target": function, "message": "event", "level": "INFO", "type": kind });
        let mut line = Line::read(&fields.to_string(), Some(millis(60_000))).unwrap();
        (line.rank, line.stored) = ranks.unzip();
        sentence(
            &Refused { reason, count, first: millis(if count > 1 { 0 } else { 60_000 }), last: millis(60_000), line },
            "user",
        )
    }

    #[test]
    fn every_reason_has_a_sentence() {
        for reason in Reason::VARIANTS {
            let text = reason.sentence("user");
            assert!(text.ends_with('.') && !text.contains('{'), "{reason:?} {text}");
        }
    }

    #[test]
    fn a_refusal_says_when_what_why_and_what_follows() {
        let (live, dead) = (|g, v| Rank::live(millis(g), millis(v)), |g, v| Rank::deleted(millis(g), millis(v)));
        let at = |second: u64| format!("1970-01-01T00:00:{second:02}.000Z");
        let one = told(Reason::LaterState, 1, Some((live(0, 1_000), live(0, 2_000))), "webhook");
        let expected = "At 1970-01-01T00:01:00.000Z, an event user.updated was not applied: the row had a later state already, \
                        so the older state was not written. The event reported the state of ";
        assert_eq!(one, format!("{expected}{}; the row held the state of {}.", at(1), at(2)));
        let several = told(Reason::AlreadyDeleted, 3, Some((live(0, 1_000), dead(0, 2_000))), "webhook");
        assert!(several.contains("to 1970-01-01T00:01:00.000Z, 3 events were not applied: "), "{several}");
        assert!(several.ends_with(&format!(
            "user.updated, reported the state of {}; the row held the deletion at {}.",
            at(1),
            at(2)
        )));
        let same = told(Reason::Duplicate, 1, Some((live(5, 1_000), live(5, 1_000))), "webhook");
        assert!(same.ends_with(&format!("The event reported the state of {}.", at(1))), "{same}");
        let again = told(Reason::LaterMembership, 1, Some((live(1_000, 9), live(3_000, 9))), "webhook");
        assert!(
            again.ends_with(&format!("began at {}; the row had the one that began at {}.", at(1), at(3))),
            "{again}"
        );
        assert!(told(Reason::StoreUnavailable, 1, None, "webhook").ends_with("for up to 27 hours."));
        assert!(told(Reason::StoreUnavailable, 2, None, "reconcile").ends_with("The next run tries again."));
        assert!(told(Reason::UserBanned, 2, None, "account").contains(", account logged 2 times: the user is banned"));
    }
}
