//! Limits the requests to Clerk: for one caller, and for all containers of one function together.
//!
//! A caller can send any number of requests, and each may need a request to Clerk. So the same question about a caller
//! is asked once in [`WINDOW`] by all containers together, and what Clerk does not have is remembered as long. A caller
//! who switches between organizations can ask once about each, up to [`MAX_QUESTIONS`]: an invitation is accepted and
//! its organization activated within seconds, while the number of a caller's organizations has no limit.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::core::controls::{Invariant, guards};
use crate::core::id::{Kind, OrganizationId, PerKind};
use crate::core::millis::Millis;
use crate::core::reconcile::rate_limiter;

/// A question about a caller is not asked again for so many ms: the period over which Clerk counts requests.
pub const WINDOW: u64 = 10_000;
/// Maximum number of different questions about one caller in a window, one for each organization.
pub const MAX_QUESTIONS: usize = 3;
/// Maximum number of requests for one question: user, organization and membership.
pub const MAX_REQUESTS: u32 = 3;

/// One question about a caller, and the remembered part of its response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// When it was asked.
    pub at: Millis,
    /// Whether the question is answered, so that its results are stored.
    #[serde(default)]
    pub is_over: bool,
    /// The kinds of entities that Clerk does not have.
    #[serde(default)]
    pub unknown: BTreeSet<Kind>,
}

/// The questions about one caller in the last seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// When the last one was asked.
    pub asked_at: Millis,
    /// The last writer, with a unique name: the next writer replaces exactly what it has read.
    pub writer: String,
    /// What was asked, see [`question`].
    pub questions: BTreeMap<String, Question>,
}

/// The result if a question is not asked because of earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// The entities that Clerk did not have a moment ago.
    pub unknown: PerKind<bool>,
    /// For how many more ms another call may wait for Clerk's response; 0 if none does.
    pub is_awaited_for: u64,
}

/// Whether a question may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Yes, after this has replaced what was read.
    Ask(Asked),
    Wait(Earlier),
}

/// The name of the question about a caller with this active organization. Under `MIRROR=off` each process stores its
/// own responses for some seconds and asks for itself: `process` is its name, else empty.
pub fn question(organization: Option<&OrganizationId>, process: &str) -> String {
    // Clerk's ids do not contain `#`.
    format!("{}#{process}", organization.map(OrganizationId::as_str).unwrap_or_default())
}

/// Whether less than [`WINDOW`] lies between this time and now. A clock that is far ahead blocks no caller.
pub fn is_recent(at: Millis, now: Millis) -> bool {
    now.get().abs_diff(at.get()) < WINDOW
}

impl Asked {
    /// No questions.
    pub fn nothing(now: Millis) -> Asked {
        Asked { asked_at: now, writer: String::new(), questions: BTreeMap::new() }
    }

    /// The first question in this window.
    pub fn first(question: &str, writer: &str, now: Millis) -> Asked {
        let asked = Question { at: now, is_over: false, unknown: BTreeSet::new() };
        Asked { asked_at: now, writer: writer.to_owned(), questions: BTreeMap::from([(question.to_owned(), asked)]) }
    }

    /// Whether a question may be asked now, given these. A response is awaited for `patience` ms.
    pub fn turn(&self, question: &str, writer: &str, now: Millis, patience: u64) -> Turn {
        let mut asked = Asked::first(question, writer, now);
        if self.writer == writer {
            // The response to the write was lost, and this is the written row.
            return Turn::Ask(self.clone());
        }
        let recent = self.questions.iter().filter(|(_, asked)| is_recent(asked.at, now));
        let recent: BTreeMap<String, Question> = recent.map(|(name, asked)| (name.clone(), asked.clone())).collect();
        let is_stranger = recent.values().any(|asked| asked.unknown.contains(&Kind::User));
        let same = recent.get(question);
        let is_early = is_stranger || same.is_some() || recent.len() >= MAX_QUESTIONS;
        if is_early && guards(Invariant::I24) {
            let unknown = |kind| same.is_some_and(|same| same.unknown.contains(&kind));
            return Turn::Wait(Earlier {
                unknown: PerKind {
                    user: is_stranger,
                    organization: unknown(Kind::Organization),
                    membership: unknown(Kind::Membership),
                },
                is_awaited_for: same
                    .filter(|same| !same.is_over)
                    .map_or(0, |same| patience.saturating_sub(now.get().abs_diff(same.at.get()))),
            });
        }
        asked.questions.extend(recent);
        Turn::Ask(asked)
    }

    /// The same after a question is answered, with what Clerk does not have; nothing if these do not contain the
    /// question any more.
    pub fn over(&self, question: &str, unknown: &BTreeSet<Kind>, writer: &str) -> Option<Asked> {
        let mut over = self.clone();
        let asked = over.questions.get_mut(question)?;
        (asked.is_over, asked.unknown) = (true, unknown.clone());
        writer.clone_into(&mut over.writer);
        Some(over)
    }
}

/// The start of the window in which a time lies.
pub fn window(now: Millis) -> u64 {
    now.get() - now.get() % WINDOW
}

/// The number of requests that all containers of a function may send in a window: their share of Clerk's limit in
/// percent, and at least one question.
pub fn budget(percent: u8, production: bool) -> u32 {
    rate_limiter::requests(percent, production).max(MAX_REQUESTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: u64 = 2_000;

    fn at(ms: i64) -> Millis {
        Millis::try_from(1_000_000 + ms).unwrap()
    }

    fn asked(turn: Turn) -> Asked {
        match turn {
            Turn::Ask(asked) => asked,
            Turn::Wait(earlier) => panic!("{earlier:?}"),
        }
    }

    fn is_refused(turn: &Turn) -> bool {
        matches!(turn, Turn::Wait(_))
    }

    #[test]
    fn i24_a_question_is_asked_once_in_ten_seconds() {
        let first = Asked::first("org_1#", "a", at(0));
        for (ms, refused) in [(0, true), (1, true), (9_999, true), (10_000, false), (-9_999, true), (-10_000, false)] {
            assert_eq!(is_refused(&first.turn("org_1#", "b", at(ms), PATIENCE)), refused, "{ms}");
        }
        assert_eq!(first.turn("org_1#", "a", at(1), PATIENCE), Turn::Ask(first), "its own write");
    }

    #[test]
    fn i24_another_organization_is_another_question_and_the_fourth_is_none() {
        let mut so_far = Asked::first("#", "a", at(0));
        so_far = asked(so_far.turn("org_1#", "b", at(1_000), PATIENCE));
        so_far = asked(so_far.turn("org_2#", "c", at(2_000), PATIENCE));
        assert!(is_refused(&so_far.turn("org_3#", "d", at(9_999), PATIENCE)));
        // One of them may be asked again, and then there is no room again.
        so_far = asked(so_far.turn("org_3#", "d", at(10_000), PATIENCE));
        assert_eq!(so_far.questions.keys().collect::<Vec<_>>(), ["org_1#", "org_2#", "org_3#"]);
        assert!(is_refused(&so_far.turn("#", "e", at(10_999), PATIENCE)));
        assert!(!is_refused(&so_far.turn("#", "e", at(11_000), PATIENCE)));
    }

    #[test]
    fn i24_what_clerk_does_not_have_is_remembered() {
        let first = Asked::first("org_1#", "a", at(0));
        let members = BTreeSet::from([Kind::Membership]);
        let over = first.over("org_1#", &members, "a2").unwrap();
        let Turn::Wait(earlier) = over.turn("org_1#", "b", at(1), PATIENCE) else { panic!() };
        assert_eq!(earlier.unknown, PerKind { user: false, organization: false, membership: true });
        assert!(!is_refused(&over.turn("org_2#", "b", at(1), PATIENCE)), "it says nothing of another organization");
        // A user who does not exist is a member of no organization.
        let over = first.over("org_1#", &BTreeSet::from([Kind::User]), "a2").unwrap();
        let Turn::Wait(earlier) = over.turn("org_2#", "b", at(1), PATIENCE) else { panic!() };
        assert!(earlier.unknown.user && earlier.is_awaited_for == 0);
        assert!(!is_refused(&over.turn("org_2#", "b", at(10_000), PATIENCE)));
        assert_eq!(first.over("org_2#", &members, "a2"), None);
        assert!(!is_refused(&Asked::nothing(at(0)).turn("#", "a", at(0), PATIENCE)));
    }

    #[test]
    fn an_answer_is_awaited_while_somebody_may_be_asking() {
        let first = Asked::first("#", "a", at(0));
        let over = first.over("#", &BTreeSet::new(), "a2").unwrap();
        for (asked, ms, left) in [(&first, 0, 2_000), (&first, 1_999, 1), (&first, 2_000, 0), (&over, 0, 0)] {
            let Turn::Wait(earlier) = asked.turn("#", "b", at(ms), PATIENCE) else { panic!() };
            assert_eq!(earlier.is_awaited_for, left, "{ms}");
        }
    }

    #[test]
    fn a_budget_is_a_share_and_one_question_at_least() {
        for (percent, production, most) in [(20, true, 200), (20, false, 20), (100, true, 1_000), (1, false, 3)] {
            assert_eq!(budget(percent, production), most);
        }
        assert_eq!((window(at(0)), window(at(9_999)), window(at(10_000))), (1_000_000, 1_000_000, 1_010_000));
    }

    #[test]
    fn the_name_of_a_question_is_nobodys_id() {
        let organization: OrganizationId = "org_1".parse().unwrap();
        assert_eq!((question(Some(&organization), ""), question(None, "7")), ("org_1#".to_owned(), "#7".to_owned()));
    }
}
