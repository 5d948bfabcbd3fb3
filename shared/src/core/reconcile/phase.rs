//! The steps of a run.

use serde::{Deserialize, Serialize};

use crate::core::id::{Key, Kind, UserId};
use crate::core::millis::Millis;

/// The next step of a run. The results of all earlier steps are stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "lowercase")]
pub enum Phase {
    /// Lists users behind a cursor.
    Users {
        /// The last user of the previous page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Cursor>,
        /// Only users who were created at this time or later: replaces a cursor whose user is deleted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Millis>,
    },
    /// Lists organizations, then memberships, by offset.
    Listed {
        /// The kind that is listed.
        kind: Kind,
        offset: u64,
    },
    /// Searches the Directory for entities that the listings did not show.
    Search {
        /// The last row of the previous page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Key>,
    },
    /// Checks the absence candidates, page by page.
    Screen {
        kind: Kind,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Key>,
    },
    /// Asks Clerk about each absence, and deletes the confirmed ones.
    Confirm {
        kind: Kind,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Key>,
    },
    /// Searches the Directory for pending effects, and completes them.
    Effects {
        /// The last row of the previous page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Key>,
    },
    /// Writes missing ids and roles back to Clerk.
    WriteBack {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Key>,
    },
    Done,
}

/// A position in the list of users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    pub id: UserId,
    /// When that user was created, in Unix ms: the position if the user is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Millis>,
}
