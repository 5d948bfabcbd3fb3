//! Looking: reads the tables for a person or a script, and writes nothing. It needs no Clerk.
//!
//! This module lists the rows of the Directory page by page; [`one`] reads one entity with its record, [`purges`] the
//! deletions that wait for their purge, [`quarantine`] the notes of events that could not be processed.

pub mod one;
pub mod purges;
pub mod quarantine;

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::look::RowPage;
use crate::adapters::dynamo::stores::Stores;
use crate::core::id::{InstanceId, Key, Kind, OrganizationId};
use crate::core::look::{Filter, Seen, Which};

/// Memberships of one page that is read by an index: as many rows as one request returns by their keys.
const MEMBERSHIPS: usize = 100;

/// The dependencies of looking.
#[derive(Clone, Debug)]
pub struct Look {
    pub stores: Stores,
    /// The configured instance.
    pub instance: InstanceId,
    /// Whether live users and memberships are stored.
    pub mirror: bool,
}

/// Rows in the order in which they are found, and the start of the next page.
#[derive(Debug, Default)]
pub struct Page {
    pub rows: Vec<Seen>,
    /// How many rows were read for this page.
    pub read: u64,
    /// Nothing after the last page.
    pub next: Option<Key>,
}

/// Why there is nothing to show.
#[derive(Debug, Error)]
pub enum LookError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The settings keep no copy of what was asked for.
    #[error(
        "MIRROR=off: this deployment keeps no copy of live users and memberships. Look in Clerk's dashboard; --deleted \
         shows the tombstones, which are kept"
    )]
    NoCopy,
    /// The id is one of another kind.
    #[error("not an id of {0}")]
    WrongKind(&'static str),
    /// Neither table has a row.
    #[error("the tables have no row for this id: check the id and CLERK_INSTANCE_ID")]
    Unknown,
}

/// The ids that name an entity of a kind.
pub const fn ids_of(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "a user: expected Clerk's id (user_…) or an internal id (UUID)",
        Kind::Organization => "an organization: expected Clerk's id (org_…)",
        Kind::Membership => {
            "a membership: expected the organization and the user (org_…/user_…), or the internal id of the user \
             (org_…/UUID)"
        }
    }
}

impl Look {
    /// The next page of wanted rows behind `from`. `most` is how many rows the caller needs, at most: with a filter a page
    /// may have none of them, and it never has more than are read together.
    ///
    /// Memberships of one user come from the user's partition, live memberships of one organization from the index
    /// `members`; everything else is a scan of the Directory.
    ///
    /// # Errors
    ///
    /// [`LookError::NoCopy`], [`LookError::Store`].
    pub async fn page(&self, filter: &Filter, from: Option<&Key>, most: usize) -> Result<Page, LookError> {
        if !self.mirror && filter.kind != Kind::Organization && filter.which == Which::Live {
            return Err(LookError::NoCopy);
        }
        let together = |rows: usize| i32::try_from(rows).unwrap_or(i32::MAX);
        let few = together(most.clamp(1, MEMBERSHIPS));
        let page = match (filter.kind, filter.user, &filter.organization) {
            (Kind::Membership, Some(user), _) => self.stores.membership_rows(user, from, few).await?,
            (Kind::Membership, None, Some(organization)) if filter.which == Which::Live => {
                self.members_page(organization, filter.role.as_deref(), from, few).await?
            }
            // The rows of all kinds lie together, so more are read than are needed.
            _ => self.stores.scan_rows(filter, from, together(most.saturating_mul(4).clamp(100, 1_000))).await?,
        };
        let rows = page.rows.into_iter().filter_map(Seen::new).filter(|seen| filter.wants(seen)).collect();
        Ok(Page { rows, read: page.read, next: page.next })
    }

    async fn members_page(
        &self,
        organization: &OrganizationId,
        role: Option<&str>,
        from: Option<&Key>,
        limit: i32,
    ) -> Result<RowPage, StoreError> {
        let after = from.map(|from| from.pk.as_str());
        let keys = self.stores.directory.member_keys(organization, role, after, limit).await?;
        let rows = self.stores.whole_rows(&keys.memberships).await?;
        let next = keys.next.map(|pk| Key { pk, sk: format!("ORG#{organization}") });
        Ok(RowPage { read: u64::try_from(rows.len()).unwrap_or_default(), rows, next })
    }

    /// The rows of the users and the organizations of these memberships, by key.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn parents(&self, memberships: &[Seen]) -> Result<BTreeMap<Key, Seen>, StoreError> {
        let keys: BTreeSet<Key> = memberships.iter().flat_map(|membership| parents(&membership.key)).collect();
        let rows = self.stores.whole_rows(&keys.into_iter().collect::<Vec<_>>()).await?;
        Ok(rows.into_iter().filter_map(Seen::new).map(|seen| (seen.key.clone(), seen)).collect())
    }

    /// Whether the Directory has the row of the user or the organization whose memberships are wanted. Without such a
    /// filter there is nothing to know.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn knows_parents(&self, filter: &Filter) -> Result<bool, StoreError> {
        let user = filter.user.map(|user| user.user_key());
        let organization = filter.organization.as_ref().map(organization_key);
        let keys: Vec<Key> = user.into_iter().chain(organization).collect();
        Ok(self.stores.whole_rows(&keys).await?.len() == keys.len())
    }
}

/// The keys of the user and the organization of a membership.
pub fn parents(membership: &Key) -> [Key; 2] {
    let organization = membership.sk.clone();
    [Key { pk: membership.pk.clone(), sk: "USER".to_owned() }, Key { pk: organization, sk: "ORG".to_owned() }]
}

fn organization_key(organization: &OrganizationId) -> Key {
    Key { pk: format!("ORG#{organization}"), sk: "ORG".to_owned() }
}
