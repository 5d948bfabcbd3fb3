//! Asks Clerk to which instance the secret key belongs.

use super::api::ClerkApi;
use super::error::ClerkError;
use super::proof::{Evidence, Instance, Proof};
use crate::core::clerk::objects::Entity;
use crate::core::id::EntityId;

impl ClerkApi {
    /// Asks Clerk to which instance the secret key belongs, even if that is already verified.
    ///
    /// # Errors
    ///
    /// [`ClerkError::Foreign`] if the key belongs to another instance; another [`ClerkError`] if the request fails.
    pub async fn identify(&self) -> Result<Instance, ClerkError> {
        let (said, proof): (Option<Evidence>, Proof) = self.get_proof().await?;
        let said = said.ok_or(ClerkError::Unreadable(404))?;
        match &self.proofs {
            None => Ok(said.instance()),
            Some(proofs) => proofs.keep(said, proof),
        }
    }

    /// The instance of the current key; asks Clerk only if the key is not verified yet.
    ///
    /// # Errors
    ///
    /// As [`Self::identify`].
    pub async fn known(&self) -> Result<Instance, ClerkError> {
        match self.known_so_far().await {
            Some(instance) => Ok(instance),
            None => self.identify().await,
        }
    }

    /// The instance of the current key, if it is verified; without a request to Clerk.
    pub async fn known_so_far(&self) -> Option<Instance> {
        let key = self.current_key().await;
        self.proofs.as_ref().and_then(|proofs| proofs.about(&key)).map(|(_, instance)| instance)
    }

    /// Proves that all responses until now came from this instance: asks Clerk again to which instance the key belongs,
    /// unless there was no other response since the last proof. Call it after an absence or a page, before using that.
    ///
    /// # Errors
    ///
    /// As [`Self::identify`].
    pub async fn prove(&self) -> Result<(), ClerkError> {
        let Some(proofs) = &self.proofs else { return Ok(()) };
        let key = self.current_key().await;
        if proofs.about(&key).is_some_and(|(proof, _)| proofs.is_last(&proof)) {
            return Ok(());
        }
        self.identify().await.map(drop)
    }

    /// Fetches one entity, and proves that the response came from this instance.
    ///
    /// # Errors
    ///
    /// As [`ClerkApi::fetch`] and [`Self::prove`].
    pub async fn fetch_proven(&self, entity: &EntityId) -> Result<Option<Entity>, ClerkError> {
        let found = self.fetch(entity).await?;
        self.prove().await?;
        Ok(found)
    }
}
