//! Which users of the new fields does Clerk not have?

use std::collections::HashSet;

use rollcall::adapters::clerk::api::ClerkApi;
use rollcall::adapters::clerk::error::ClerkError;
use rollcall::adapters::clerk::identified::LookUp;
use rollcall::adapters::clerk::lists::MAX_IDS;
use rollcall::core::id::{EntityId, UserId};

use super::distinct::Distinct;

/// How many users were asked for, and those that do not exist.
#[derive(Debug, Default)]
pub struct Existence {
    pub asked: u64,
    pub missing: HashSet<UserId>,
}

/// Asks for all of them, in requests of [`MAX_IDS`]. Absence from a list is no proof, so an id that a list leaves out is
/// asked for alone; in the end the instance proves that all answers are its own.
///
/// # Errors
///
/// [`ClerkError`].
pub async fn ask(clerk: &ClerkApi, ids: Distinct, mut each: impl FnMut(u64, u64)) -> Result<Existence, ClerkError> {
    let (all, mut ids) = ids.into_ids();
    let all = u64::try_from(all).unwrap_or(u64::MAX);
    let mut existence = Existence::default();
    loop {
        let some: Vec<UserId> = ids.by_ref().take(MAX_IDS).collect();
        if some.is_empty() {
            break;
        }
        let named: Vec<&str> = some.iter().map(UserId::as_str).collect();
        let found = clerk.identified(LookUp::Id, &named).await?;
        let found: HashSet<&UserId> = found.iter().map(|user| &user.id).collect();
        for id in &some {
            if !found.contains(id) && clerk.fetch(&EntityId::User(id.clone())).await?.is_none() {
                existence.missing.insert(id.clone());
            }
        }
        existence.asked += u64::try_from(some.len()).unwrap_or(u64::MAX);
        each(existence.asked, all);
    }
    clerk.prove().await?;
    Ok(existence)
}
