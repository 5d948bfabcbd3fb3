//! What Clerk has just said of callers whose copies are not kept: for some seconds, in this process alone, so that it need
//! not be asked again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::core::ensure::questions::is_recent;
use crate::core::id::{OrganizationId, PerKind, UserId};
use crate::core::millis::Millis;
use crate::core::mirror::item::Item;
use crate::core::session::claims::Session;

/// Callers who are remembered at most.
const MAX_CALLERS: usize = 1_000;

type Caller = (UserId, Option<OrganizationId>);

#[derive(Debug)]
pub struct Recent {
    process: String,
    callers: Mutex<HashMap<Caller, Evidence>>,
}

#[derive(Debug)]
struct Evidence {
    at: Millis,
    user: Item,
    /// Of an organization whose copy has not arrived yet.
    organization: Option<Item>,
    membership: Option<Item>,
}

impl Default for Recent {
    fn default() -> Recent {
        Recent { process: format!("{:016x}", fastrand::u64(..)), callers: Mutex::default() }
    }
}

impl Recent {
    /// A name of this process that no other has.
    pub fn process(&self) -> &str {
        &self.process
    }

    /// What Clerk has just said of a caller.
    pub fn rows_for(&self, session: &Session, now: Millis) -> PerKind<Option<Item>> {
        let callers = self.lock();
        match callers.get(&caller(session)).filter(|said| is_recent(said.at, now)) {
            Some(said) => PerKind {
                user: Some(said.user.clone()),
                organization: said.organization.clone(),
                membership: said.membership.clone(),
            },
            None => PerKind::default(),
        }
    }

    /// Remembers what Clerk has said of a caller. What stands in for that is nothing to remember, and what is remembered
    /// already is no newer.
    pub fn keep(&self, session: &Session, said: PerKind<Option<&Item>>, now: Millis) {
        let PerKind { user, organization, membership } = said;
        let is_said = |item: &&Item| !item.is_placeholder() && !item.is_deleted();
        let Some(user) = user.filter(is_said) else { return };
        let mut callers = self.lock();
        callers.retain(|_, said| is_recent(said.at, now));
        if callers.len() < MAX_CALLERS {
            let said = || Evidence {
                at: now,
                user: user.clone(),
                organization: organization.filter(is_said).cloned(),
                membership: membership.filter(is_said).cloned(),
            };
            callers.entry(caller(session)).or_insert_with(said);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Caller, Evidence>> {
        // What a panic left behind is still what Clerk has said.
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn caller(session: &Session) -> Caller {
    (session.user.clone(), session.organization.as_ref().map(|active| active.id.clone()))
}
