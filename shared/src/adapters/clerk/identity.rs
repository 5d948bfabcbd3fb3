//! Asking Clerk whose the key is.

use super::api::ClerkApi;
use super::error::ClerkError;
use super::proof::{Evidence, Instance, Proof};
use crate::core::clerk::objects::Entity;
use crate::core::id::EntityId;

impl ClerkApi {
    /// Asks whose key this is, whatever is known of it.
    ///
    /// # Errors
    ///
    /// [`ClerkError::Foreign`] if it is not this instance's; another [`ClerkError`] if Clerk does not say.
    pub async fn identify(&self) -> Result<Instance, ClerkError> {
        let (said, proof): (Option<Evidence>, Proof) = self.get_proof().await?;
        let said = said.ok_or(ClerkError::Unreadable(404))?;
        match &self.proofs {
            None => Ok(said.instance()),
            Some(proofs) => proofs.keep(said, proof),
        }
    }

    /// What is known of the key as it is now; Clerk is asked only if that is nothing.
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

    /// What is known of the key as it is now, without a question to Clerk.
    pub async fn known_so_far(&self) -> Option<Instance> {
        let key = self.current_key().await;
        self.proofs.as_ref().and_then(|proofs| proofs.about(&key)).map(|(_, instance)| instance)
    }

    /// Proves that what Clerk has answered until now is this instance's: asks whose key this is, unless nothing was answered
    /// since it was asked last. To be called after an absence or a page, and before that is believed.
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

    /// Fetches one entity, and proves that the answer is this instance's.
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
