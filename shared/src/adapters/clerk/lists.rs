//! Clerk's lists, page by page, and its own counts.
//!
//! Every row is read by itself: one that cannot be read is one that cannot be read, not the end of the list.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::api::ClerkApi;
use crate::adapters::clerk::error::ClerkError;
use crate::core::clerk::objects::{Entity, Membership, Organization, User};
use crate::core::id::{EntityId, Kind, OrganizationId, UserId};
use crate::core::reconcile::phase::Cursor;

/// Rows of a page: the most that Clerk gives. Asked for more, it silently gives ten.
/// Source: Backend API, parameter `limit`; clerk/clerk-sdk-python#166.
pub const PAGE: usize = 500;
/// Ids that one list of users may be asked about. Source: Backend API, `GET /users`, parameter `user_id`.
pub const MAX_IDS: usize = 100;

/// One page of a list.
#[derive(Debug)]
pub struct Page {
    pub rows: Vec<ClerkRow>,
    /// How many rows the whole list has, as far as the page says.
    pub total: Option<u64>,
}

/// One row of a list.
#[derive(Debug)]
pub enum ClerkRow {
    Read(Box<Entity>),
    /// Something that is none: nothing but whose row it is, as far as that can be read.
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

    /// A page of users, the oldest first, so that whoever signs up meanwhile comes at the end and is seen, too; from behind
    /// a cursor on. `since` leaves out whoever was created before it, for a cursor whose user is gone.
    ///
    /// # Errors
    ///
    /// [`ClerkError`]; [`ClerkError::Refused`] for a cursor whose user is gone.
    pub async fn users(&self, after: Option<&Cursor>, since: Option<u64>) -> Result<Page, ClerkError> {
        let limit = PAGE.to_string();
        let mut query = vec![("order_by", "+created_at"), ("limit", &limit)];
        query.extend(after.map(|after| ("starting_after", after.id.as_str())));
        // Exclusive, by its name.
        let since = since.map(|since| since.saturating_sub(1).to_string());
        query.extend(since.as_deref().map(|since| ("created_at_after", since)));
        let rows: Vec<Box<RawValue>> = exists(self.get(&["users"], &query).await?)?;
        Ok(Page { rows: rows.iter().map(|row| user(row)).collect(), total: None })
    }

    /// Those of these users that there are; at most [`MAX_IDS`] may be asked about.
    ///
    /// # Errors
    ///
    /// [`ClerkError`].
    pub async fn users_among(&self, ids: &[&UserId]) -> Result<Page, ClerkError> {
        // By default ten rows are given, however many ids are asked about.
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
    /// For users, whose list has no offset worth using.
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

/// These documents exist in every instance: a 404 is not an answer.
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
        // Nobody can tell from it who is let in.
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
