//! `GET /organizations/{id}/members`.

use super::{Account, AccountError};
use crate::adapters::dynamo::directory::partition::MemberKeys;
use crate::adapters::dynamo::error::StoreError;
use crate::core::account::members::{MAX_LIMIT, Member, Page, Query, member};
use crate::core::id::Key;
use crate::core::millis::Millis;
use crate::core::session::claims::Session;

/// The maximum number of queries of the index for one page. Several are needed if the page skips members with another
/// role, or index entries that the table does not confirm.
const MAX_QUERIES: u32 = 4;
/// The number of index entries in one query with a role: DynamoDB applies the filter after the limit.
const FILTERED: i32 = 1_000;

impl Account {
    /// A page of the live members of an organization, for a caller who is a member. Sends one `BatchGetItem` for the
    /// caller's rows, one `Query`, and one `BatchGetItem` for the members.
    ///
    /// # Errors
    ///
    /// [`AccountError`]; [`AccountError::NotAMember`] for a caller without a live membership.
    pub async fn members(&self, session: &Session, query: &Query, now: Millis) -> Result<Page, AccountError> {
        let rights = async {
            let caller = self.caller(session, Some(&query.organization), now).await?;
            if !self.ensurer.mirror {
                return Err(AccountError::NotCopied);
            }
            caller.member.map(drop).ok_or(AccountError::NotAMember)
        };
        let first = self.keys(query, query.after.as_deref());
        // A query with a role reads many index entries, so the function first checks that the caller is a member.
        let (rights, first) = if query.role.is_some() || !self.ensurer.mirror {
            rights.await?;
            (Ok(()), first.await)
        } else {
            tokio::join!(rights, first)
        };
        rights?;
        let MemberKeys { memberships, mut next } = first?;
        let mut members = self.confirmed(query, &memberships).await?;
        for _ in 1..MAX_QUERIES {
            let Some(after) = next.take().filter(|_| members.len() <= query.limit) else { break };
            let found = self.keys(query, Some(&after)).await?;
            members.extend(self.confirmed(query, &found.memberships).await?);
            next = found.next;
        }
        Ok(page(query, members, next.as_deref()))
    }

    /// Reads keys from the index: one more than the page has, to find out whether another page follows.
    async fn keys(&self, query: &Query, after: Option<&str>) -> Result<MemberKeys, StoreError> {
        let limit = if query.role.is_some() { FILTERED } else { i32::try_from(query.limit + 1).unwrap_or(FILTERED) };
        let directory = &self.ensurer.stores.directory;
        directory.member_keys(&query.organization, query.role.as_deref(), after, limit).await
    }

    /// The members with these keys, from the rows of the memberships and the users, up to one more than a page has.
    async fn confirmed(&self, query: &Query, memberships: &[Key]) -> Result<Vec<(String, Member)>, StoreError> {
        let user_key = |membership: &Key| Key { pk: membership.pk.clone(), sk: "USER".to_owned() };
        let mut confirmed = Vec::new();
        for together in memberships.chunks(MAX_LIMIT + 1) {
            let keys: Vec<Key> = together.iter().flat_map(|key| [key.clone(), user_key(key)]).collect();
            let rows = self.ensurer.stores.directory.read(&keys).await?.items;
            let members = together.iter().filter_map(|key| {
                let one = member(rows.get(key)?, rows.get(&user_key(key)), query.role.as_deref())?;
                Some((key.pk.clone(), one))
            });
            confirmed.extend(members);
            if confirmed.len() > query.limit {
                break;
            }
        }
        Ok(confirmed)
    }
}

/// The page of these members, each with its partition key; `next` is the key at which the index continues.
fn page(query: &Query, mut members: Vec<(String, Member)>, next: Option<&str>) -> Page {
    let has_more = members.len() > query.limit;
    members.truncate(query.limit);
    let last = if has_more { members.last().map(|(pk, _)| pk.as_str()) } else { next };
    let next_cursor = last.and_then(|pk| query.cursor(pk.strip_prefix("USER#")?));
    Page { members: members.into_iter().map(|(_, member)| member).collect(), next_cursor }
}
