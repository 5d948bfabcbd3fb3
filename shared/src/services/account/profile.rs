//! The record of the caller, or of the caller's membership: read, created and changed by its owner.

use serde_json::{Map, Value};
use thiserror::Error;

use super::caller::in_organization;
use super::{Account, AccountError};
use crate::adapters::backoff::backoff;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::profiles::record::{Record, Updated};
use crate::adapters::dynamo::profiles::write::{OwnerState, Provisioned};
use crate::core::account::document::Unstorable;
use crate::core::account::etag::{ETag, Preconditions};
use crate::core::account::write::{Edit, Read, created, plan};
use crate::core::ensure::admission::Refusal;
use crate::core::id::{Key, OrganizationId, PerKind};
use crate::core::millis::Millis;
use crate::core::profile::{Profile, RecordId};
use crate::core::session::claims::Session;

/// The maximum number of attempts if other writers change the record at the same time.
const MAX_ATTEMPTS: u32 = 6;

/// A record as JSON, which its owner sees.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    pub record: Map<String, Value>,
    pub etag: ETag,
}

impl Shown {
    fn new(record: Map<String, Value>) -> Shown {
        Shown { etag: ETag::new(&record), record }
    }
}

/// A record after a write.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    pub shown: Shown,
    /// Whether the write created the record.
    pub is_new: bool,
}

/// Why a record was not read or written.
#[derive(Debug, Error)]
pub enum ProfileError {
    #[error(transparent)]
    Account(#[from] AccountError),
    /// There is no record.
    #[error("the caller has no record")]
    Missing,
    /// There is a record already.
    #[error("the caller already has a record")]
    Exists,
    /// A precondition is false. Contains the entity tag of the stored record, if the record exists.
    #[error("a precondition does not hold")]
    Precondition(Option<ETag>),
    /// The setting `PROFILE_IF_MATCH` requires `If-Match`. Contains the entity tag of the stored record.
    #[error("the request has no If-Match")]
    Unconditional(ETag),
    /// A field is not writable, or a value cannot be stored.
    #[error("a value cannot be stored")]
    Unstorable(Unstorable),
    /// Other writers changed the record during every attempt.
    #[error("other writers changed the record during every attempt")]
    Conflict,
}

impl From<StoreError> for ProfileError {
    fn from(error: StoreError) -> ProfileError {
        ProfileError::Account(error.into())
    }
}

/// A record that was read for its owner.
struct Owned {
    id: RecordId,
    record: Option<Record>,
}

impl Account {
    /// The record of the caller, or of the caller's membership of an organization. Sends one request to DynamoDB.
    ///
    /// # Errors
    ///
    /// [`ProfileError`].
    pub async fn profile(
        &self,
        session: &Session,
        organization: Option<&OrganizationId>,
        now: Millis,
    ) -> Result<Shown, ProfileError> {
        let owned = self.owned(session, organization, now).await?;
        owned.record.map(|record| Shown::new(record.shown)).ok_or(ProfileError::Missing)
    }

    /// POST: creates the record with the default values and the values that the owner has sent.
    ///
    /// # Errors
    ///
    /// [`ProfileError`].
    pub async fn create_profile(
        &self,
        session: &Session,
        organization: Option<&OrganizationId>,
        given: Map<String, Value>,
        now: Millis,
    ) -> Result<Shown, ProfileError> {
        for _ in 0..MAX_ATTEMPTS {
            let owned = self.owned(session, organization, now).await?;
            if owned.record.is_some() {
                return Err(ProfileError::Exists);
            }
            if let Some(shown) = self.store_new(&owned.id, given.clone(), now).await? {
                return Ok(shown);
            }
        }
        Err(ProfileError::Conflict)
    }

    /// PUT and PATCH: changes the record. Sends one request to read and one transaction; if no value differs, it writes
    /// nothing. Without a precondition, it repeats the change if another writer has changed the record in between.
    ///
    /// # Errors
    ///
    /// [`ProfileError`].
    pub async fn change_profile(
        &self,
        session: &Session,
        organization: Option<&OrganizationId>,
        edit: &Edit,
        preconditions: &Preconditions,
        now: Millis,
    ) -> Result<Changed, ProfileError> {
        let changed = |shown| Ok(Changed { shown, is_new: false });
        for attempt in 1..=MAX_ATTEMPTS {
            let owned = self.owned(session, organization, now).await?;
            let tag = owned.record.as_ref().map(|record| ETag::new(&record.shown));
            if !preconditions.allow_write(tag.as_ref()) {
                return Err(ProfileError::Precondition(tag));
            }
            let (Some(record), Some(tag)) = (&owned.record, tag) else {
                let Edit::Replace(given) = edit else { return Err(ProfileError::Missing) };
                if preconditions.if_none_match.is_none() {
                    return Err(ProfileError::Missing);
                }
                match self.store_new(&owned.id, given.clone(), now).await {
                    Ok(Some(shown)) => return Ok(Changed { shown, is_new: true }),
                    Ok(None) | Err(ProfileError::Exists) => continue,
                    Err(error) => return Err(error),
                }
            };
            if self.requires_if_match && preconditions.if_match.is_none() {
                return Err(ProfileError::Unconditional(tag));
            }
            let read = Read { shown: &record.shown, inexact: &record.inexact };
            let changes = plan(read, edit.clone(), &self.writable).map_err(ProfileError::Unstorable)?;
            if changes.is_empty() {
                return changed(Shown { record: record.shown.clone(), etag: tag });
            }
            let profiles = &self.ensurer.stores.profiles;
            match profiles.update(record, &changes, &self.owners(&owned.id)).await? {
                Updated::Done => return changed(Shown::new(changes.applied(&record.shown))),
                Updated::Changed => backoff(attempt).await,
            }
        }
        Err(ProfileError::Conflict)
    }

    async fn owned(
        &self,
        session: &Session,
        organization: Option<&OrganizationId>,
        now: Millis,
    ) -> Result<Owned, ProfileError> {
        let session = in_organization(session, organization);
        let id = RecordId { user: session.user.clone(), organization: organization.cloned() };
        let found = self.ensurer.stores.owned_record(self.instance(), &id).await?;
        let admitted = self.admitted(&session, found.copies, now).await?;
        if organization.is_some() && admitted.member.is_none() {
            return Err(AccountError::NotAMember.into());
        }
        Ok(Owned { id, record: found.record })
    }

    /// Stores a new record. `None` if an owner is not live any more; the next read returns the reason.
    async fn store_new(
        &self,
        id: &RecordId,
        given: Map<String, Value>,
        now: Millis,
    ) -> Result<Option<Shown>, ProfileError> {
        let defaults = &self.ensurer.defaults;
        let fields = if id.organization.is_some() { &defaults.membership } else { &defaults.user };
        let fields = created(fields, given, &self.writable).map_err(ProfileError::Unstorable)?;
        let record = Profile::of_record(id, self.instance(), &fields, now);
        match self.ensurer.stores.profiles.create(record, &self.owners(id)).await? {
            Provisioned::Stored { profile, created: true } => Ok(Some(Shown::new(profile.shown()))),
            Provisioned::Stored { .. } => Err(ProfileError::Exists),
            Provisioned::Ended(_) => Ok(None),
            // The row of an owner is not stored yet. The caller was admitted, so that it is the organization's.
            Provisioned::Ownerless if id.organization.is_some() => Err(AccountError::OrganizationNotSynced.into()),
            Provisioned::Ownerless => Err(AccountError::Denied(Refusal::NotSynced).into()),
        }
    }

    /// The rows of the owners, which must be live when the record is written.
    fn owners(&self, id: &RecordId) -> Vec<(Key, OwnerState)> {
        let is_copied = self.ensurer.mirror;
        let states = PerKind {
            user: Some(if is_copied { OwnerState::Lives } else { OwnerState::HasNotEnded }),
            organization: Some(OwnerState::Lives),
            membership: is_copied.then_some(OwnerState::Lives),
        };
        let owners = id.owners(self.instance()).zip(states).into_array();
        owners.into_iter().filter_map(|(key, state)| Some((key?, state?))).collect()
    }
}
