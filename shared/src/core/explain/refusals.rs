//! Words the lines of the log with one reason.

use super::finding::{Now, Over, Refused};
use super::reason::{Asked, Reason};
use crate::core::mirror::rank::Rank;

/// The lines with one reason in sentences. `noun` is the kind of the entity.
pub(super) fn sentence(refused: &Refused, noun: &str) -> String {
    let Refused { reason, line, .. } = refused;
    let is_past = reason.is_about_sync() && refused.now == Now::Agrees;
    let parts = [
        Some(format!("{}: {}", what_happened(refused), cause(refused, noun))),
        refused.advises.then(|| reason.advice(noun, line)).flatten(),
        last_event(refused),
        (refused.advises && reason.is_failure()).then(|| again(&line.function)).flatten(),
        refused.over.filter(|_| !is_past || refused.has_lasting_cause()).map(|over| ended(over, &line.function)),
        is_past.then(|| past(refused)),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// What proves that the failures are over.
fn ended(over: Over, function: &str) -> String {
    match over {
        Over::Stored => "Later the row was stored, so this failure is over.".to_owned(),
        Over::Reached => format!("Later the function {function} used the table, so this failure is over."),
        Over::Answered => format!("Later Clerk answered the function {function}, so this failure is over."),
    }
}

/// What follows now that the row and Clerk agree.
fn past(refused: &Refused) -> String {
    if !refused.may_last() {
        return "The Directory and Clerk agree now, so nothing has to be repaired.".to_owned();
    }
    let function = if refused.line.function.is_empty() { "that logged this" } else { &refused.line.function };
    let cause = match refused.reason {
        Reason::ClerkUnauthorized => {
            "if the key is still wrong, other events fail, too: `rollcall doctor` checks the key".to_owned()
        }
        Reason::ClerkForeign => "if CLERK_SECRET_KEY or CLERK_INSTANCE_ID is still wrong, other events fail, too: \
                                 `rollcall doctor` checks both"
            .to_owned(),
        _ => format!(
            "if DynamoDB still rejects the requests, other events fail, too: check the permissions of the function \
             {function} on the table"
        ),
    };
    format!("The Directory and Clerk agree now, so this row needs no repair. But {cause}.")
}

/// Why the last of the lines was logged, with its error where the error says more.
pub(super) fn cause(refused: &Refused, noun: &str) -> String {
    let Refused { reason, line, asked, .. } = refused;
    let text = reason.sentence(noun, asked.map(|asked| because(asked, noun)).as_deref().unwrap_or_default(), line);
    match &line.error {
        Some(error) if reason.tells(error) => format!("{text} Error: {error}."),
        _ => text,
    }
}

fn what_happened(refused: &Refused) -> String {
    let Refused { count, first, last, line, .. } = refused;
    let when =
        if first == last { format!("At {}", last.utc()) } else { format!("From {} to {}", first.utc(), last.utc()) };
    let logs = if line.function.is_empty() { "a function" } else { &line.function };
    match (&line.kind, *count) {
        (Some(kind), 1) => format!("{when}, an event {kind} was not applied"),
        (Some(_), count) => format!("{when}, {count} events were not applied"),
        (None, 1) => format!("{when}, {logs} logged"),
        (None, count) => format!("{when}, {logs} logged {count} times"),
    }
}

/// Why Clerk was asked, to follow "Rollcall asked Clerk".
fn because(asked: Asked, noun: &str) -> String {
    match asked {
        Asked::Late => {
            format!(
                ", because the event was more than ten minutes old and the {noun} might have been deleted meanwhile"
            )
        }
        Asked::Untimed => ", because the event had no valid time".to_owned(),
        Asked::Unclear => ", because the event did not say whether the user is banned or removed".to_owned(),
        Asked::Tie => ", because the row held another state with the same time".to_owned(),
    }
}

/// What the event of the line had, and what it met.
fn last_event(refused: &Refused) -> Option<String> {
    let (line, is_one) = (&refused.line, refused.count == 1);
    let kind = line.kind.as_ref()?;
    let the_event = if is_one { "The event".to_owned() } else { format!("The last one, {kind},") };
    let state = |rank: Rank| {
        let word = if rank.is_deleted() { "deletion at" } else { "state of" };
        format!("the {word} {}", rank.version.utc())
    };
    let (offered, stored) = match (line.rank, line.stored) {
        (Some(offered), Some(stored)) => (offered, stored),
        (Some(offered), None) => return Some(format!("{the_event} reported {}.", state(offered))),
        (None, _) => return (!is_one).then(|| format!("The last one was {kind}.")),
    };
    let since = if refused.has_changed { " The row has changed since." } else { "" };
    Some(if offered == stored {
        format!("{the_event} reported {}.{since}", state(offered))
    } else if offered.generation == stored.generation {
        format!("{the_event} reported {}; the row held {}.{since}", state(offered), state(stored))
    } else {
        let (offered, stored) = (offered.generation.utc(), stored.generation.utc());
        format!(
            "{the_event} was about the membership that began at {offered}; the row had the one that began at {stored}.{since}"
        )
    })
}

/// What follows a failure of a function.
fn again(function: &str) -> Option<String> {
    Some(match function {
        "webhook" => "Svix delivers such an event again, for up to 27 hours.".to_owned(),
        "react" => "react tries again.".to_owned(),
        "reconcile" => "The next run tries again.".to_owned(),
        "ensure-profile" | "account" | "authorizer" => "The caller can try again.".to_owned(),
        _ => return None,
    })
}

impl Reason {
    /// Whether it matters no more once the row and Clerk agree.
    fn is_about_sync(self) -> bool {
        self.is_failure()
            || matches!(
                self,
                Reason::Quarantined
                    | Reason::Undated
                    | Reason::Conflict
                    | Reason::Ahead
                    | Reason::Unconfirmed
                    | Reason::UnreadableInClerk
                    | Reason::RowUnreadable
            )
    }

    /// Whether the error of a line says more than the sentence.
    fn tells(self, error: &str) -> bool {
        match self {
            Reason::ClerkUnavailable
            | Reason::ClerkUnauthorized
            | Reason::ClerkForeign
            | Reason::ClerkBehind
            | Reason::StoreUnreadable
            | Reason::OrganizationsOff
            | Reason::Contended
            | Reason::Undated => false,
            Reason::StoreRejected => !error.contains("AccessDenied"),
            _ => error != "Clerk is unavailable",
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use serde_json::json;

    use super::*;
    use crate::core::explain::facts::InClerk;
    use crate::core::explain::findings::findings;
    use crate::core::explain::line::Line;
    use crate::core::explain::need::headline;
    use crate::core::explain::samples;
    use crate::core::explain::samples::{facts, line, live};
    use crate::core::millis::Millis;

    fn millis(value: i64) -> Millis {
        Millis::try_from(value).unwrap()
    }

    fn told(reason: Reason, count: u64, ranks: Option<(Rank, Rank)>, function: &str) -> String {
        let kind = (function == "webhook").then_some("user.updated");
        let fields = serde_json::json!({ "target": function, "message": "event", "level": "INFO", "type": kind });
        let mut line = Line::read(&fields.to_string(), Some(millis(60_000))).unwrap();
        (line.rank, line.stored) = ranks.unzip();
        let refused = Refused {
            reason,
            asked: None,
            count,
            first: millis(if count > 1 { 0 } else { 60_000 }),
            last: millis(60_000),
            line,
            now: Now::Differs,
            is_cause: false,
            has_changed: false,
            over: None,
            advises: true,
        };
        sentence(&refused, "user")
    }

    #[test]
    fn every_reason_has_a_sentence() {
        let removed = told(Reason::RowRemoved, 1, None, "react");
        assert!(removed.contains("by `rollcall reset` of a local stack"), "{removed}");
        for reason in Reason::VARIANTS {
            for noun in ["user", "organization", "membership"] {
                let text = told(*reason, 1, None, "webhook");
                assert!(text.ends_with('.') && !text.contains('{'), "{reason:?} {text}");
                let line = Line::read(r#"{"target":"webhook","message":"event"}"#, Some(millis(1))).unwrap();
                let advice = reason.advice(noun, &line).unwrap_or_else(|| "None.".to_owned());
                assert!(advice.ends_with('.') && !advice.contains('{'), "{reason:?} {advice}");
            }
        }
    }

    #[test]
    fn a_refusal_says_when_what_why_and_what_follows() {
        let (live, dead) = (|g, v| Rank::live(millis(g), millis(v)), |g, v| Rank::deleted(millis(g), millis(v)));
        let at = |second: u64| format!("1970-01-01T00:00:{second:02}.000Z");
        let one = told(Reason::LaterState, 1, Some((live(0, 1_000), live(0, 2_000))), "webhook");
        let expected = "At 1970-01-01T00:01:00.000Z, an event user.updated was not applied: at that time the row already held \
                        a later state, so the older state was not written. The event reported the state of ";
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
        assert!(told(Reason::UserBanned, 2, None, "account").contains(", account logged 2 times: the user was banned"));
    }

    /// A user who is the same in the Directory and in Clerk, or not, with one line of the webhook.
    fn of_log(is_same: bool, fields: serde_json::Value) -> String {
        let mut facts = facts("user_1", 60, Some(live(0)), Some(live(if is_same { 0 } else { 30 })));
        facts.log.lines = vec![line(10, fields)];
        samples::told(&facts, "refused")
    }

    #[test]
    fn a_past_failure_is_told_without_advice() {
        let denied = json!({ "type": "user.updated", "outcome": "failed", "reason": "store_rejected",
                             "error": "DynamoDB rejected the operation (AccessDeniedException)" });
        let late = json!({ "type": "user.updated", "outcome": "failed", "reason": "store_unavailable" });
        let past = of_log(true, late);
        assert!(past.ends_with("agree now, so nothing has to be repaired."), "{past}");
        assert!(!past.contains("Check") && !past.contains("Svix"), "{past}");
        let present = of_log(false, denied);
        assert!(
            present.contains("denied access (AccessDeniedException). Check the permissions of the function webhook on")
        );
        assert!(present.contains("Svix delivers such an event again") && !present.contains("agree"), "{present}");
        // The row was stored later, and differs for another reason.
        let mut later = facts("user_1", 60, Some(live(20)), Some(live(30)));
        later.log.lines =
            vec![line(10, json!({ "type": "user.updated", "outcome": "failed", "reason": "store_rejected" }))];
        assert!(
            samples::told(&later, "refused")
                .ends_with("rejected the request. Later the row was stored, so this failure is over.")
        );
        let conflict = json!({ "target": "rollcall::services::reconcile", "reason": "conflict" });
        assert!(!of_log(true, conflict.clone()).contains("undo"));
        assert!(of_log(false, conflict).contains("decides whether the deletion was right"));
        // The key may still be wrong: then there is a check, and no order.
        let key = json!({ "type": "user.updated", "outcome": "failed", "reason": "clerk_unauthorized",
                          "error": "Clerk rejected the secret key with status 401: check CLERK_SECRET_KEY" });
        assert!(
            !of_log(true, key.clone()).contains("heck CLERK")
                && of_log(false, key).contains("Correct CLERK_SECRET_KEY")
        );
    }

    #[test]
    fn a_cause_that_may_last_is_told_until_a_success_of_the_same_function() {
        const OVER: &str = "agree now, so nothing has to be repaired.";
        // The row was stored at 20, by the webhook, after the failure at 10.
        let of = |failure: serde_json::Value, success: Option<serde_json::Value>| {
            let mut facts = facts("user_1", 60, Some(live(20)), Some(live(20)));
            facts.log.lines = vec![line(10, failure)];
            facts.log.lines.extend(success.map(|success| line(30, success)));
            let head = headline(&findings(&facts));
            (samples::told(&facts, "refused"), head)
        };
        let key = || json!({ "type": "user.updated", "outcome": "failed", "reason": "clerk_unauthorized" });
        let (text, head) = of(key(), None);
        assert!(text.ends_with("other events fail, too: `rollcall doctor` checks the key."), "{text}");
        assert!(head.starts_with("Nothing to do for this row. But the cause of an earlier failure"), "{head}");
        let gone = json!({ "type": "user.updated", "outcome": "superseded", "reason": "gone", "asked": "late" });
        assert!(of(key(), Some(gone)).0.ends_with(OVER), "Clerk has answered");
        let same = || json!({ "type": "user.updated", "outcome": "duplicate", "reason": "duplicate" });
        assert!(!of(key(), Some(same())).0.contains(OVER), "Clerk was not asked");

        let denied = |target: &str| {
            json!({ "target": target, "type": "user.updated", "outcome": "failed", "reason": "store_rejected",
                    "error": "DynamoDB rejected the operation (AccessDeniedException)" })
        };
        let (text, head) = of(denied("webhook"), None);
        assert!(text.ends_with(OVER) && head == "Nothing to do.", "{head} {text}");
        let (text, _) = of(denied("reconcile"), None);
        assert!(text.ends_with("check the permissions of the function reconcile on the table."), "{text}");
        let mut facts = facts("user_1", 60, Some(live(0)), Some(live(0)));
        facts.log.lines = vec![line(10, denied("webhook"))];
        assert!(samples::told(&facts, "refused").contains("But if DynamoDB still rejects"));
        facts.log.lines.push(line(11, same()));
        assert!(samples::told(&facts, "refused").ends_with(OVER), "the table was used");
    }

    #[test]
    fn a_line_says_why_clerk_was_asked_and_that_the_row_has_changed_since() {
        let gone = |asked: Option<Asked>| {
            of_log(true, json!({ "type": "user.updated", "outcome": "superseded", "reason": "gone", "asked": asked }))
        };
        assert!(gone(None).contains("Rollcall asked Clerk. Clerk did not have the user"));
        for (asked, part) in [
            (Asked::Late, "because the event was more than ten minutes old and"),
            (Asked::Untimed, "because the event had no valid time. Clerk"),
            (Asked::Unclear, "because the event did not say whether the user is banned"),
            (Asked::Tie, "because the row held another state with the same time."),
        ] {
            assert!(gone(Some(asked)).contains(part), "{}", gone(Some(asked)));
        }
        let had = |stored: Rank| {
            of_log(
                true,
                json!({ "type": "user.updated", "outcome": "duplicate", "reason": "duplicate",
                                 "rank": stored, "stored": stored }),
            )
        };
        assert!(!had(live(0)).contains("changed since") && had(live(-5)).ends_with("The row has changed since."));
    }

    #[test]
    fn a_ban_is_told_with_advice_only_while_clerk_has_it() {
        let banned = json!({ "target": "ensure_profile", "outcome": "user_banned" });
        assert!(!of_log(true, banned.clone()).contains("unban"));
        let mut facts = facts("user_1", 60, None, Some(live(0)));
        facts.policies.mirror = false;
        let InClerk::Has(clerk) = &mut facts.clerk else { panic!("has") };
        clerk.fields.insert("banned".to_owned(), true.into());
        facts.log.lines = vec![line(10, banned)];
        assert!(samples::told(&facts, "refused").ends_with("unban the user in Clerk."));
    }
}
