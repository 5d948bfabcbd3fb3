//! Verifies that the secret key belongs to the configured instance. With the key of another instance, all users would
//! look absent, and users of the other instance would be listed.
//!
//! A proof is bound to the value of the key and to the number of responses until then: each new value is verified
//! before any other request uses it, and [`ClerkApi::prove`](super::api::ClerkApi::prove) verifies it again if there
//! were responses since.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::adapters::clerk::error::ClerkError;
use crate::core::id::InstanceId;

/// An instance, as Clerk describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub id: InstanceId,
    /// Whether it is a production instance, with the higher rate limits.
    pub is_production: bool,
}

/// Clerk's document about the instance of a secret key.
#[derive(Deserialize)]
pub(in crate::adapters) struct Evidence {
    id: InstanceId,
    environment_type: Option<String>,
}

impl Evidence {
    pub(super) fn instance(self) -> Instance {
        let is_production = self.environment_type.as_deref() == Some("production");
        Instance { id: self.id, is_production }
    }
}

/// The secret key that was verified, and when.
#[derive(Clone, Debug)]
pub(in crate::adapters) struct Proof {
    key: SecretString,
    /// The number of responses before the request.
    before: u64,
}

impl Proof {
    pub(in crate::adapters) fn new(key: SecretString, before: u64) -> Proof {
        Proof { key, before }
    }
}

/// The verified keys.
#[derive(Debug)]
pub(in crate::adapters) struct Proofs {
    of: InstanceId,
    last: Mutex<Option<(Proof, Instance)>>,
    heard: AtomicU64,
}

impl Proofs {
    pub(in crate::adapters) fn new(of: InstanceId) -> Proofs {
        Proofs { of, last: Mutex::new(None), heard: AtomicU64::new(0) }
    }

    /// The number of responses so far.
    pub(in crate::adapters) fn heard(&self) -> u64 {
        self.heard.load(Ordering::SeqCst)
    }

    pub(in crate::adapters) fn hear(&self) {
        self.heard.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether this value of the key is verified.
    pub(in crate::adapters) fn knows(&self, key: &SecretString) -> bool {
        self.about(key).is_some()
    }

    pub(super) fn about(&self, key: &SecretString) -> Option<(Proof, Instance)> {
        self.lock().clone().filter(|(proof, _)| proof.key.expose_secret() == key.expose_secret())
    }

    /// Whether the response to this proof's own request is the only one since that request.
    pub(super) fn is_last(&self, proof: &Proof) -> bool {
        self.heard() == proof.before + 1
    }

    /// Stores the result for a key; for the key of another instance, removes all results.
    pub(in crate::adapters) fn keep(&self, said: Evidence, proof: Proof) -> Result<Instance, ClerkError> {
        let instance = said.instance();
        if instance.id != self.of {
            *self.lock() = None;
            return Err(ClerkError::Foreign(instance.id));
        }
        *self.lock() = Some((proof, instance.clone()));
        Ok(instance)
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Proof, Instance)>> {
        // A panic elsewhere leaves the value complete.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(id: &str) -> Evidence {
        Evidence { id: id.parse().unwrap(), environment_type: None }
    }

    #[test]
    fn a_proof_is_of_one_key_and_of_what_was_answered_before_it() {
        let proofs = Proofs::new("ins_1".parse().unwrap());
        let (first, second) = (SecretString::from("sk_test_1"), SecretString::from("sk_test_2"));
        let ask = |key: &SecretString, id: &str| {
            let proof = Proof::new(key.clone(), proofs.heard());
            proofs.hear();
            proofs.keep(said(id), proof)
        };
        assert!(!proofs.knows(&first));
        ask(&first, "ins_1").unwrap();
        let proof = proofs.about(&first).unwrap().0;
        assert!(proofs.is_last(&proof) && !proofs.knows(&second));
        // Another response arrives.
        proofs.hear();
        assert!(!proofs.is_last(&proof) && proofs.knows(&first));
        // A proof that was requested before a response proves nothing about that response.
        let early = Proof::new(first.clone(), proofs.heard());
        proofs.hear();
        proofs.hear();
        proofs.keep(said("ins_1"), early.clone()).unwrap();
        assert!(!proofs.is_last(&early));
        // The key belongs to another instance: no key is verified any more.
        assert!(matches!(ask(&second, "ins_2"), Err(ClerkError::Foreign(id)) if id.as_str() == "ins_2"));
        assert!(!proofs.knows(&first) && !proofs.knows(&second));
    }
}
