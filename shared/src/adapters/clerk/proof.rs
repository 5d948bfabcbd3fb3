//! Whose key this is. Absences and listings are worth something only if they are this instance's: with another instance's
//! key everybody would be absent, and its people would be listed in their place.
//!
//! A proof is bound to the value of the key, and to what Clerk has answered until then: every new value is asked whose it is
//! before anything else is asked with it, and [`ClerkApi::prove`](super::api::ClerkApi::prove) asks again if anything was answered since.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::adapters::clerk::error::ClerkError;
use crate::core::id::InstanceId;

/// What Clerk says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub id: InstanceId,
    /// Whether it is one in production, with the higher limits.
    pub is_production: bool,
}

/// Clerk's document about the instance of a key.
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

/// The key that was asked whose it is, and when.
#[derive(Clone, Debug)]
pub(in crate::adapters) struct Proof {
    key: SecretString,
    /// How many answers had come before it was asked.
    before: u64,
}

impl Proof {
    pub(in crate::adapters) fn new(key: SecretString, before: u64) -> Proof {
        Proof { key, before }
    }
}

/// What is known of the keys in use.
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

    /// How many answers have come so far.
    pub(in crate::adapters) fn heard(&self) -> u64 {
        self.heard.load(Ordering::SeqCst)
    }

    pub(in crate::adapters) fn hear(&self) {
        self.heard.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether this value of the key is known to be this instance's.
    pub(in crate::adapters) fn knows(&self, key: &SecretString) -> bool {
        self.about(key).is_some()
    }

    pub(super) fn about(&self, key: &SecretString) -> Option<(Proof, Instance)> {
        self.lock().clone().filter(|(proof, _)| proof.key.expose_secret() == key.expose_secret())
    }

    /// Whether nothing but this proof itself was answered since it was asked for.
    pub(super) fn is_last(&self, proof: &Proof) -> bool {
        self.heard() == proof.before + 1
    }

    /// Keeps what Clerk says of a key; of a foreign one nothing is kept.
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
        // A panic leaves a whole value behind.
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
        // Something else was answered.
        proofs.hear();
        assert!(!proofs.is_last(&proof) && proofs.knows(&first));
        // A proof that was asked for before another answer came proves nothing about that answer.
        let early = Proof::new(first.clone(), proofs.heard());
        proofs.hear();
        proofs.hear();
        proofs.keep(said("ins_1"), early.clone()).unwrap();
        assert!(!proofs.is_last(&early));
        // Another instance's key: nothing is known any more.
        assert!(matches!(ask(&second, "ins_2"), Err(ClerkError::Foreign(id)) if id.as_str() == "ins_2"));
        assert!(!proofs.knows(&first) && !proofs.knows(&second));
    }
}
