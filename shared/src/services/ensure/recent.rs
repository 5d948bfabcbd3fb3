//! Clerk's recent responses about callers whose rows are not stored: for some seconds, in this process only, so that
//! Clerk is not asked again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::core::ensure::questions::is_recent;
use crate::core::id::{OrganizationId, PerKind, UserId};
use crate::core::millis::Millis;
use crate::core::mirror::item::Item;
use crate::core::session::claims::Session;

/// Maximum number of remembered callers.
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
    organization: Option<Item>,
    membership: Option<Item>,
}

impl Default for Recent {
    fn default() -> Recent {
        Recent { process: format!("{:016x}", fastrand::u64(..)), callers: Mutex::default() }
    }
}

impl Recent {
    /// A unique name of this process.
    pub fn process(&self) -> &str {
        &self.process
    }

    /// Clerk's recent response about a caller, with the organization if it was part of the response.
    pub fn rows_for(&self, session: &Session, now: Millis) -> PerKind<Option<Item>> {
        let callers = self.lock();
        if let Some(said) = callers.get(&caller(session)).filter(|said| is_recent(said.at, now)) {
            return PerKind {
                user: Some(said.user.clone()),
                organization: said.organization.clone(),
                membership: said.membership.clone(),
            };
        }
        // Without an organization, a recent response about the user with any organization is enough.
        let is_enough = |(user, _): &Caller, said: &Evidence| {
            session.organization.is_none() && *user == session.user && is_recent(said.at, now)
        };
        let user = callers.iter().find(|(caller, said)| is_enough(caller, said)).map(|(_, said)| said.user.clone());
        PerKind { user, ..PerKind::default() }
    }

    /// Remembers Clerk's response about a caller. Placeholders are not remembered, and an existing entry is not
    /// replaced by an older one.
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
        // A panic elsewhere leaves the entries complete.
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn caller(session: &Session) -> Caller {
    (session.user.clone(), session.organization.as_ref().map(|active| active.id.clone()))
}
