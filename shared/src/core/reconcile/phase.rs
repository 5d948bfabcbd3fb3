//! The steps of a run.

use serde::{Deserialize, Serialize};

use crate::core::id::{Key, Kind, UserId};
use crate::core::millis::Millis;

/// What a run does next. Everything before it is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "lowercase")]
pub enum Phase {
    /// Lists users, from behind a cursor on.
    Users {
        /// The last user of the page before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Cursor>,
        /// Since the cursor's user was gone: only those created from this moment on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Millis>,
    },
    /// Lists organizations, then memberships, by offset.
    Listed {
        /// Which of the two.
        kind: Kind,
        offset: u64,
    },
    /// Searches the Directory for what the listings did not show.
    Search {
        /// The last row of the page before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Key>,
    },
    /// Looks at what is in doubt, a page of it at a time.
    Screen {
        kind: Kind,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Key>,
    },
    /// Asks Clerk about the absences, one by one, and ends those that are proven.
    Confirm {
        kind: Kind,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Key>,
    },
    /// Searches the Directory for consequences that were left undone, and does them.
    Effects {
        /// The last row of the page before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Key>,
    },
    /// Writes back into Clerk what is missing there.
    WriteBack {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Key>,
    },
    Done,
}

/// A place in the list of users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    pub id: UserId,
    /// When that user was created, in Unix ms: the place if the user is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Millis>,
}
