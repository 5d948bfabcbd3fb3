//! Clerk's lists, page by page, and Clerk's counts.
//!
//! Each row is parsed separately: an unreadable row does not end the list.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::api::ClerkApi;
use crate::adapters::clerk::error::ClerkError;
use crate::core::clerk::objects::{Entity, Membership, Organization, User};
use crate::core::id::{EntityId, Kind, OrganizationId, UserId};
use crate::core::reconcile::phase::Cursor;

/// Rows of a page: Clerk's maximum. For a larger limit Clerk silently returns ten rows.
/// Source: Backend API, parameter `limit`; clerk/clerk-sdk-python#166.
pub const PAGE: usize = 500;
/// Maximum number of ids in one list request. Source: Backend API, `GET /users`, parameter `user_id`.
pub const MAX_IDS: usize = 100;

/// One page of a list.
#[derive(Debug)]
pub struct Page {
    pub rows: Vec<ClerkRow>,
    /// The length of the whole list, if the page contains it.
    pub total: Option<u64>,
}

/// One row of a list.
#[derive(Debug)]
pub enum ClerkRow {
    Read(Box<Entity>),
    /// An unreadable row: only its id, if that can be read.
    Unreadable(Option<EntityId>),
}

impl ClerkApi {
    /// How many users there are.
    ///
    /// # Errors
    ///
    /// [`ClerkError`].
    pub async fn count_users(&self) -> Result<u64, ClerkError> {
        #[derive(Deserialize)]
        struct Envelope {
            total_count: u64,
        }
        let answer: Envelope = exists(self.get(&["users", "count"], &[]).await?)?;
        Ok(answer.total_count)
    }

    /// A page of users behind a cursor, the oldest first, so that users who sign up meanwhile come at the end and are
    /// listed, too. `since` leaves out users who were created before it; it replaces a cursor whose user is deleted.
    ///
    /// # Errors
    ///
    /// [`ClerkError`]; [`ClerkError::Rejected`] for a cursor whose user is deleted.
    pub async fn users(&self, after: Option<&Cursor>, since: Option<u64>) -> Result<Page, ClerkError> {
        let limit = PAGE.to_string();
        let mut query = vec![("order_by", "+created_at"), ("limit", &limit)];
        query.extend(after.map(|after| ("starting_after", after.id.as_str())));
        // The parameter's limit is exclusive.
        let since = since.map(|since| since.saturating_sub(1).to_string());
        query.extend(since.as_deref().map(|since| ("created_at_after", since)));
        let rows: Vec<Box<RawValue>> = exists(self.get(&["users"], &query).await?)?;
        Ok(Page { rows: rows.iter().map(|row| user(row)).collect(), total: None })
    }

    /// Those of these users that exist; [`MAX_IDS`] at most.
    ///
    /// # Errors
    ///
    /// [`ClerkError`].
    pub async fn users_among(&self, ids: &[&UserId]) -> Result<Page, ClerkError> {
        // The default is ten rows, however many ids are named.
        let limit = ids.len().to_string();
        let mut query = vec![("limit", limit.as_str())];
        query.extend(ids.iter().map(|id| ("user_id", id.as_str())));
        let rows: Vec<Box<RawValue>> = exists(self.get(&["users"], &query).await?)?;
        Ok(Page { rows: rows.iter().map(|row| user(row)).collect(), total: None })
    }

    /// A page of organizations or memberships, the oldest first.
    ///
    /// # Errors
    ///
    /// [`ClerkError`].
    ///
    /// # Panics
    ///
    /// For users, whose list cannot be read reliably by offset.
    pub async fn listed(&self, kind: Kind, offset: u64) -> Result<Page, ClerkError> {
        #[derive(Deserialize)]
        struct Envelope {
            data: Vec<Box<RawValue>>,
            total_count: u64,
        }
        let (path, read): (_, fn(&RawValue) -> ClerkRow) = match kind {
            Kind::Organization => ("organizations", organization),
            Kind::Membership => ("organization_memberships", membership),
            Kind::User => unreachable!("users are listed by a cursor"),
        };
        let (limit, offset) = (PAGE.to_string(), offset.to_string());
        let query = [("order_by", "+created_at"), ("limit", &*limit), ("offset", &*offset)];
        let answer: Envelope = exists(self.get(&[path], &query).await?)?;
        Ok(Page { rows: answer.data.iter().map(|row| read(row)).collect(), total: Some(answer.total_count) })
    }

    /// A page of the memberships of a user or an organization.
    ///
    /// # Errors
    ///
    /// [`ClerkError`]; [`ClerkError::Unreadable`] if Clerk does not have the parent.
    pub async fn memberships_of(&self, parent: &EntityId, offset: u64) -> Result<Page, ClerkError> {
        #[derive(Deserialize)]
        struct Envelope {
            data: Vec<Box<RawValue>>,
            total_count: u64,
        }
        let (limit, offset) = (PAGE.to_string(), offset.to_string());
        let paging = [("limit", &*limit), ("offset", &*offset)];
        let answer = match parent {
            EntityId::User(user) => self.get(&["users", user.as_str(), "organization_memberships"], &paging).await?,
            EntityId::Organization(organization) => {
                let query = [paging[0], paging[1], ("order_by", "+created_at")];
                self.get(&["organizations", organization.as_str(), "memberships"], &query).await?
            }
            EntityId::Membership { .. } => None,
        };
        let answer: Envelope = exists(answer)?;
        Ok(Page { rows: answer.data.iter().map(|row| membership(row)).collect(), total: Some(answer.total_count) })
    }
}

/// This document exists in every instance, so a 404 is not a valid response.
fn exists<T>(found: Option<T>) -> Result<T, ClerkError> {
    found.ok_or(ClerkError::Unreadable(404))
}

fn user(row: &RawValue) -> ClerkRow {
    #[derive(Deserialize)]
    struct Id {
        id: UserId,
    }
    let read =
        read::<User>(row, Entity::User, || serde_json::from_str(row.get()).ok().map(|Id { id }| EntityId::User(id)));
    match read {
        // Such a row does not say whether the user may be admitted.
        ClerkRow::Read(entity) if entity.is_unreadable() => ClerkRow::Unreadable(Some(entity.id())),
        read => read,
    }
}

fn organization(row: &RawValue) -> ClerkRow {
    #[derive(Deserialize)]
    struct Id {
        id: OrganizationId,
    }
    read::<Organization>(row, Entity::Organization, || {
        serde_json::from_str(row.get()).ok().map(|Id { id }| EntityId::Organization(id))
    })
}

fn membership(row: &RawValue) -> ClerkRow {
    #[derive(Deserialize)]
    struct Ids {
        organization: crate::core::clerk::objects::OrganizationReference,
        public_user_data: crate::core::clerk::objects::UserReference,
    }
    read::<Membership>(row, Entity::Membership, || {
        let ids: Ids = serde_json::from_str(row.get()).ok()?;
        Some(EntityId::Membership { user: ids.public_user_data.user_id, organization: ids.organization.id })
    })
}

fn read<T: DeserializeOwned>(
    row: &RawValue,
    entity: impl FnOnce(T) -> Entity,
    id: impl FnOnce() -> Option<EntityId>,
) -> ClerkRow {
    match serde_json::from_str(row.get()) {
        Ok(read) => ClerkRow::Read(Box::new(entity(read))),
        Err(_) => ClerkRow::Unreadable(id()),
    }
}
