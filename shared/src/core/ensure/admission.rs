//! Admission: rejects deleted, banned and deprovisioned callers.
//!
//! A session names the caller; the Directory's row says whether that user may continue. Every function that acts for a
//! caller calls [`admit`], so that a deletion, a ban or a deprovisioning takes effect everywhere at the next read.

use serde_json::Value;
use strum::VariantArray;

use crate::core::controls::{Invariant, guards};
use crate::core::mirror::item::Item;
use crate::core::problem::Problem;

/// Why a caller is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub enum Refusal {
    /// The user is deleted, permanently.
    Deleted,
    /// An administrator has banned the user.
    Banned,
    /// The organization's directory has removed the user. The directory can add the user again.
    Deprovisioned,
    /// Clerk does not have the user.
    NotFound,
    /// The Directory should have a row of the user, and does not.
    NotSynced,
    /// Clerk was asked about this user in the last ten seconds, and is not asked again so soon: it is unknown whether the
    /// user is banned.
    NotAsked,
}

/// Admits a stored user, or returns why not. A placeholder counts as not synchronized.
///
/// # Errors
///
/// [`Refusal`]: deleted, banned, deprovisioned or not synchronised yet.
pub fn admit(user: Option<&Item>) -> Result<&Item, Refusal> {
    let user = user.ok_or(Refusal::NotSynced)?;
    let is_set = |name: &str| user.fields.get(name) == Some(&Value::Bool(true));
    if user.is_deleted() {
        Err(Refusal::Deleted)
    } else if is_set("banned") {
        Err(Refusal::Banned)
    } else if is_set("deprovisioned") && guards(Invariant::I18) {
        Err(Refusal::Deprovisioned)
    } else if user.is_placeholder() {
        Err(Refusal::NotSynced)
    } else {
        Ok(user)
    }
}

impl Refusal {
    /// The problem for the response.
    pub const fn problem(self) -> Problem {
        match self {
            Refusal::Deleted => USER_DELETED,
            Refusal::Banned => USER_BANNED,
            Refusal::Deprovisioned => USER_DEPROVISIONED,
            Refusal::NotFound => USER_NOT_FOUND,
            Refusal::NotSynced => USER_NOT_SYNCED,
            Refusal::NotAsked => USER_NOT_ASKED,
        }
    }

    /// The machine-readable name, in responses and logs.
    pub const fn code(self) -> &'static str {
        self.problem().code
    }

    /// Whether Clerk's state may have changed since, with a lost event. A deletion is permanent.
    pub const fn may_be_outdated(self) -> bool {
        matches!(self, Refusal::Banned | Refusal::Deprovisioned)
    }
}

const USER_DELETED: Problem = Problem {
    status: 410,
    code: "user_deleted",
    title: "Account deleted",
    detail: "This account has been deleted. Sign out.",
};
const USER_BANNED: Problem = Problem {
    status: 403,
    code: "user_banned",
    title: "Account banned",
    detail: "This account has been banned. If this is a mistake, contact support.",
};
const USER_DEPROVISIONED: Problem = Problem {
    status: 403,
    code: "user_deprovisioned",
    title: "Account removed by your organization",
    detail: "Your organization's directory has removed this account. Ask the administrator of the directory to add \
             the account again.",
};
const USER_NOT_FOUND: Problem = Problem {
    status: 404,
    code: "user_not_found",
    title: "Account not found",
    detail: "This account no longer exists. Sign out, then sign in with another account.",
};
const USER_NOT_ASKED: Problem = Problem {
    status: 503,
    code: "user_not_asked",
    title: "Account temporarily cannot be checked",
    detail: "Clerk was asked about this account less than ten seconds ago, and is not asked again so soon. Try again in ten \
             seconds.",
};
const USER_NOT_SYNCED: Problem = Problem {
    status: 404,
    code: "user_not_synced",
    title: "Account not set up yet",
    detail: "Your account is not set up yet. Try again in a minute. If the problem persists, contact support with \
             this request id.",
};
