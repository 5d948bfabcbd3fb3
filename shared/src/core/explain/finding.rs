//! What the facts about one entity may mean.

use serde::Serialize;

use super::facts::Note;
use super::line::Line;
use super::reason::{Asked, Reason};
use crate::core::millis::Millis;
use crate::core::mirror::item::Writer;
use crate::core::reconcile::run::RunState;
use crate::core::reconcile::run_id::RunId;

/// One thing that the facts mean. Every variant has a sentence, and a [`super::need::Need`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    // Where the row comes from.
    NoRow,
    RowUnreadable {
        then: Then,
    },
    Placeholder {
        applied_at: Millis,
    },
    Live {
        version: Millis,
        joined_at: Option<Millis>,
        by: Writer,
        applied_at: Millis,
        svix_id: Option<String>,
    },
    Deleted {
        version: Millis,
        by: Writer,
        applied_at: Millis,
        svix_id: Option<String>,
        policy: Kept,
        /// The parent with which a membership was deleted.
        #[serde(skip_serializing_if = "Option::is_none")]
        parent: Option<String>,
    },
    /// Another program has written or changed the row.
    Incomplete,

    // Clerk now.
    ClerkSilent {
        error: String,
    },
    ClerkNotAsked,
    /// The contents are equal. `times` differ nevertheless: an event lacked them, and they are no part of the contents.
    InSync {
        times: Vec<String>,
    },
    /// Deleted here, and not in Clerk.
    BothGone,
    /// Nothing here, and nothing in Clerk.
    NeverKnown {
        /// Whether the log or a note names it.
        is_seen: bool,
        /// Whether it is a user of whom only a deletion is stored (`MIRROR=off`).
        is_uncopied: bool,
        /// When a function met the user alive, less than 15 minutes ago.
        #[serde(skip_serializing_if = "Option::is_none")]
        alive_at: Option<Millis>,
    },
    NotStored {
        clerk: Millis,
    },
    Outdated {
        stored: Millis,
        clerk: Millis,
        fields: Vec<String>,
    },
    /// Only a placeholder is stored.
    OnlyPlaceholder {
        clerk: Millis,
    },
    /// The user has joined again.
    Rejoined {
        clerk: Millis,
    },
    Behind {
        stored: Millis,
        clerk: Millis,
        /// Whether the next run writes it.
        by_run: bool,
    },
    Tied {
        version: Millis,
        fields: Vec<String>,
    },
    /// The stored state is later than Clerk's by so much that no lag explains it.
    Ahead {
        stored: Millis,
        clerk: Millis,
        fields: Vec<String>,
    },
    /// The stored state is a little later than Clerk's.
    Lagging {
        stored: Millis,
        clerk: Millis,
        until: Millis,
    },
    Conflict {
        deleted_at: Millis,
        /// Whether data of a user were removed, or are being removed.
        is_purged: bool,
        /// When the user's data are removed.
        removal_at: Option<Millis>,
        /// When Clerk changed it, if this was later than the deletion.
        changed_at: Option<Millis>,
    },
    /// A membership that is deleted here and that Clerk has, below a deleted user or organization: its undo is refused.
    BelowDeleted {
        deleted_at: Millis,
        parents: Vec<String>,
        /// Whether an undo of the parents undoes this deletion, too.
        comes_back: bool,
        /// Until when Clerk's answers about the parents may lag.
        until: Option<Millis>,
    },
    /// Deleted here a moment ago, and still in Clerk.
    JustDeleted {
        deleted_at: Millis,
        until: Millis,
        removal_at: Option<Millis>,
    },
    AbsentInClerk,
    UndatedInClerk,
    /// `MIRROR=off` keeps entities of this kind out.
    NotMirrored,
    /// A live row from before `MIRROR=off`.
    LeftFromMirror,

    // What would change it.
    EventOnItsWay {
        since: Millis,
        until: Millis,
    },
    /// The row is so young that Clerk may not show its state yet.
    Unsettled {
        stored_at: Millis,
        until: Millis,
    },
    /// The event that has the missing state arrived and failed.
    EventFailed {
        #[serde(flatten)]
        refused: Box<Refused>,
        /// Until when Svix delivers it again.
        until: Millis,
    },
    NextRun {
        why: Why,
    },
    /// Clerk does not have the entity: the next run asks once more, and marks the row as deleted.
    NextRunDeletes {
        why: Why,
        removal: Option<Removal>,
        grace_hours: u64,
    },
    /// Runs write nothing.
    ReportOnly {
        why: Why,
    },
    /// A run began after the change and did not repair the row.
    NotRepaired {
        run: RunId,
        state: RunState,
        why: Why,
    },
    NoRunYet {
        why: Why,
    },
    Held {
        run: RunId,
        /// Whether no live row is stored any more, so that nothing is left to approve.
        is_past: bool,
    },

    // Effects of a deletion.
    ParentDeleted {
        parents: Vec<String>,
        /// The other parents, of which no row is stored.
        missing: Vec<String>,
        since: Millis,
        stage: Stage,
    },
    ParentMissing {
        parent: String,
        clerk: ParentInClerk,
    },
    PurgeDue {
        at: Millis,
        /// Whether Clerk has the user, without whom nothing can be undone; `None` if Clerk was not asked or is silent.
        is_in_clerk: Option<bool>,
        removal: Removal,
        /// Whether runs write, without which nothing is removed.
        is_on: bool,
    },
    PurgeOverdue {
        since: Millis,
        until: Millis,
        removal: Removal,
        /// Whether it is late, which no pause between two hourly purges explains.
        is_late: bool,
        is_on: bool,
    },
    Purging {
        since: Option<Millis>,
    },
    Purged {
        at: Option<Millis>,
    },
    /// An operator has restored rows of the deleted user, and they stay until an operator decides.
    Restored {
        at: Millis,
        backup: String,
        /// When the data were removed, if this was before the restoration.
        removed_at: Option<Millis>,
        /// What a clean-up or an erasure does to the rows.
        removal: Removal,
        is_in_clerk: Option<bool>,
        /// Until when a clean-up keeps the rows because of the grace period.
        kept_until: Option<Millis>,
        /// Whether a removal had begun, which the next purge stops.
        is_stopping: bool,
    },
    Retained,
    EffectsPending {
        since: Millis,
        stage: Stage,
    },
    EffectsComplete {
        at: Option<Millis>,
    },

    /// Every function turns the user away.
    TurnedAway {
        status: u16,
        code: &'static str,
        is_in_clerk: Option<bool>,
    },

    Quarantined {
        #[serde(flatten)]
        note: Note,
        now: Now,
    },

    // The log.
    Refused(Box<Refused>),
    NothingRefused {
        since: Millis,
    },
    UntrustedRequests {
        count: u64,
        since: Millis,
    },
    LogCut {
        since: Millis,
    },
    LogMissing {
        problem: String,
    },
}

/// What a tombstone has kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// The stored fields.
    Fields,
    /// The ids, and fields that say nothing about the person.
    Ids,
}

/// What happens to the data of a deleted user after the grace period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Removal {
    /// Personal data in Profiles are replaced.
    Redacted,
    /// Rows are removed.
    Removed,
}

/// Whether the row and Clerk agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Now {
    Agrees,
    Differs,
    /// Clerk was not asked, or did not answer.
    Unknown,
    /// The row cannot be read, so it is not compared.
    Unreadable,
}

/// What to do after the removal of a row that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// Clerk has the entity: `rollcall sync` stores the row.
    Sync,
    /// Clerk does not have the user: `rollcall erase` stores a tombstone.
    Erase,
    /// No other row is expected.
    Nothing,
    /// Clerk did not answer, so the command must be run again before anything is removed.
    AskAgain,
    /// Without Clerk's id Clerk cannot be asked.
    Name,
}

/// Why no event has repaired a difference, as far as the log and the notes show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The log has no event about the change.
    NotArrived,
    /// The log has no deletion event.
    NoDeletion { since: Millis },
    /// A signed event arrived later than the change, and could not be read.
    Quarantined,
    /// The log does not reach back to the change, or was not read.
    Unknown,
}

/// How far an effect of a deletion is that react completes at once, and a run later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    Soon {
        until: Millis,
    },
    NextRun,
    /// A run began after the deletion, is finished, and has not completed the effect.
    Overdue {
        run: RunId,
    },
    /// Under `RECONCILE_POLICY=report` no function completes it.
    Off,
    /// The same, and Clerk has what is deleted here: until then because its answers may lag, or an operator must decide
    /// whether the deletion is right.
    Unsure {
        until: Option<Millis>,
    },
}

/// What Clerk says of a parent without a readable row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ParentInClerk {
    /// The row of the parent cannot be read.
    Unreadable,
    Has,
    /// Clerk has the parent, and its event may be on its way.
    Young {
        until: Millis,
    },
    Nothing,
    Unknown,
}

/// What proves that a failure is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// The row was stored later.
    Stored,
    /// The same function used the table later.
    Reached,
    /// Clerk answered the same function later.
    Answered,
}

/// Lines of the log with the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    pub reason: Reason,
    /// Why Clerk was asked, if Clerk was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    pub count: u64,
    pub first: Millis,
    pub last: Millis,
    /// The last of the lines.
    #[serde(skip)]
    pub line: Line,
    /// Whether the row and Clerk agree now: then a failure is past.
    pub now: Now,
    /// Whether the events have the state that Clerk has and the row has not.
    #[serde(skip)]
    pub is_cause: bool,
    /// Whether the row is another one than the one that the last event met.
    pub has_changed: bool,
    /// What proves that the last of these failures is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over: Option<Over>,
    /// Whether an advice about the cause still applies.
    #[serde(skip)]
    pub advises: bool,
}
