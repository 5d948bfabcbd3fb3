//! What the facts about one entity may mean.

use serde::Serialize;

use super::facts::Note;
use super::line::Line;
use super::reason::Reason;
use crate::core::millis::Millis;
use crate::core::mirror::item::Writer;
use crate::core::reconcile::run::RunState;
use crate::core::reconcile::run_id::RunId;

/// One thing that the facts mean. Every variant has a sentence, and says whether something is left to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    // Where the row comes from.
    NoRow,
    RowUnreadable,
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
    NeverKnown,
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
    },
    Conflict {
        deleted_at: Millis,
        /// Whether data of a user were removed, or are being removed.
        is_purged: bool,
    },
    /// Deleted here a moment ago, and still in Clerk.
    JustDeleted {
        deleted_at: Millis,
    },
    AbsentInClerk {
        is_settled: bool,
        /// Whether the user or the organization of a membership is deleted here.
        with_parent: bool,
    },
    UndatedInClerk,
    /// `MIRROR=off` keeps entities of this kind out.
    NotMirrored,
    /// A live row from before `MIRROR=off`.
    LeftFromMirror,

    // What would change it.
    EventOnItsWay {
        since: Millis,
    },
    NextRun,
    /// Clerk does not have the entity: the next run asks once more, and marks the row as deleted.
    NextRunDeletes,
    /// Runs write nothing.
    ReportOnly,
    /// A run began after the change and did not repair the row.
    NotRepaired {
        run: RunId,
        state: RunState,
    },
    NoRunYet,
    Held {
        run: RunId,
    },

    // Effects of a deletion.
    ParentDeleted {
        parent: String,
    },
    ParentMissing {
        parent: String,
    },
    PurgeDue {
        at: Millis,
        /// Whether Clerk has the user, without whom nothing can be undone; `None` if Clerk was not asked or is silent.
        is_in_clerk: Option<bool>,
        removal: Removal,
    },
    PurgeOverdue {
        since: Millis,
        removal: Removal,
    },
    Purging {
        since: Option<Millis>,
    },
    Purged {
        at: Option<Millis>,
    },
    Retained,
    EffectsPending,
    EffectsComplete {
        at: Option<Millis>,
    },

    /// Every function turns the user away.
    TurnedAway {
        status: u16,
        code: &'static str,
    },

    Quarantined {
        #[serde(flatten)]
        note: Note,
        /// Whether the row is known not to differ from Clerk any more.
        is_repaired: bool,
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
    /// Nothing, because of `RECONCILE_POLICY=report`.
    Off,
}

/// Lines of the log with the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    pub reason: Reason,
    pub count: u64,
    pub first: Millis,
    pub last: Millis,
    /// The last of the lines.
    #[serde(skip)]
    pub line: Line,
}

impl Finding {
    /// Whether something is left to do, or could not be found out.
    pub fn is_left(&self) -> bool {
        match self {
            Finding::RowUnreadable
            | Finding::Placeholder { .. }
            | Finding::Incomplete
            | Finding::ClerkSilent { .. }
            | Finding::NotStored { .. }
            | Finding::Outdated { .. }
            | Finding::OnlyPlaceholder { .. }
            | Finding::Rejoined { .. }
            | Finding::Behind { .. }
            | Finding::Tied { .. }
            | Finding::Ahead { .. }
            | Finding::Conflict { .. }
            | Finding::AbsentInClerk { .. }
            | Finding::UndatedInClerk
            | Finding::LeftFromMirror
            | Finding::ReportOnly
            | Finding::NotRepaired { .. }
            | Finding::Held { .. }
            | Finding::ParentDeleted { .. }
            | Finding::ParentMissing { .. }
            | Finding::PurgeOverdue { .. }
            | Finding::EffectsPending => true,
            Finding::NoRow
            | Finding::Live { .. }
            | Finding::Deleted { .. }
            | Finding::ClerkNotAsked
            | Finding::InSync { .. }
            | Finding::BothGone
            | Finding::NeverKnown
            | Finding::Lagging { .. }
            | Finding::JustDeleted { .. }
            | Finding::NotMirrored
            | Finding::EventOnItsWay { .. }
            | Finding::NextRun
            | Finding::NextRunDeletes
            | Finding::NoRunYet
            | Finding::PurgeDue { .. }
            | Finding::Purging { .. }
            | Finding::Purged { .. }
            | Finding::Retained
            | Finding::EffectsComplete { .. }
            | Finding::TurnedAway { .. }
            | Finding::Quarantined { .. }
            | Finding::Refused(_)
            | Finding::NothingRefused { .. }
            | Finding::UntrustedRequests { .. }
            | Finding::LogCut { .. }
            | Finding::LogMissing { .. } => false,
        }
    }
}
