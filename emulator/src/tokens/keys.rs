//! The fixed key pairs of session tokens. Generating a key pair takes seconds in a debug build.

use std::sync::LazyLock;

use jsonwebtoken::{
    Algorithm, EncodingKey,
    jwk::{AlgorithmParameters, Jwk},
};
use serde_json::{Value, json};

/// A development key pair. Its private half is public, too: it signs only emulated sessions.
pub(crate) struct KeyPair {
    private_pem: &'static str,
    pub(crate) public_pem: &'static str,
}

/// The signing keys in the order of rotation; after the last key the first is used again.
static SIGNING: [KeyPair; 3] = [
    KeyPair {
        private_pem: include_str!("../../keys/development-signing-1.private.pem"),
        public_pem: include_str!("../../keys/development-signing-1.public.pem"),
    },
    KeyPair {
        private_pem: include_str!("../../keys/development-signing-2.private.pem"),
        public_pem: include_str!("../../keys/development-signing-2.public.pem"),
    },
    KeyPair {
        private_pem: include_str!("../../keys/development-signing-3.private.pem"),
        public_pem: include_str!("../../keys/development-signing-3.public.pem"),
    },
];

/// A key that is in no JWKS.
pub(crate) static FOREIGN: KeyPair = KeyPair {
    private_pem: include_str!("../../keys/development-foreign.private.pem"),
    public_pem: include_str!("../../keys/development-foreign.public.pem"),
};

/// Modulus and exponent of each signing key in base64url, computed once per process.
static COMPONENTS: LazyLock<Vec<(String, String)>> =
    LazyLock::new(|| SIGNING.iter().filter_map(|pair| pair.components().ok()).collect());

impl KeyPair {
    pub(crate) fn signer(&self) -> jsonwebtoken::errors::Result<EncodingKey> {
        EncodingKey::from_rsa_pem(self.private_pem.as_bytes())
    }

    fn components(&self) -> jsonwebtoken::errors::Result<(String, String)> {
        match Jwk::from_encoding_key(&self.signer()?, Algorithm::RS256)?.algorithm {
            AlgorithmParameters::RSA(rsa) => Ok((rsa.n, rsa.e)),
            _ => Err(jsonwebtoken::errors::ErrorKind::InvalidKeyFormat.into()),
        }
    }
}

/// The current signing key and the keys in the JWKS. Every start of an emulator begins with the first key.
#[derive(Default)]
pub(crate) struct KeyRing {
    /// The number of rotations.
    current: usize,
    /// The first key that is still in the JWKS.
    oldest_shown: usize,
}

impl KeyRing {
    /// Makes the next key the current one. The JWKS keeps the earlier keys, unless they are dropped.
    pub(crate) fn rotate(&mut self, drop_retired: bool) {
        self.current += 1;
        if drop_retired {
            self.oldest_shown = self.current;
        }
    }

    pub(crate) fn current(&self) -> usize {
        self.current
    }

    /// The previous key, in the JWKS or not.
    pub(crate) fn retired(&self) -> Option<usize> {
        self.current.checked_sub(1)
    }

    /// The public keys, the current one first.
    pub(crate) fn jwks(&self, instance_id: &str) -> Value {
        let shown = (self.oldest_shown..=self.current).rev();
        let jwk = |index: usize| {
            let (n, e) = COMPONENTS.get(index % SIGNING.len())?;
            let kid = kid(instance_id, index);
            Some(json!({"use": "sig", "kty": "RSA", "kid": kid, "alg": "RS256", "n": n, "e": e}))
        };
        json!({"keys": shown.filter_map(jwk).collect::<Vec<_>>()})
    }
}

pub(crate) fn pair(index: usize) -> &'static KeyPair {
    &SIGNING[index % SIGNING.len()]
}

/// The key id: the instance id, as in Clerk, from the second key on with its number.
pub(crate) fn kid(instance_id: &str, index: usize) -> String {
    if index == 0 { instance_id.to_owned() } else { format!("{instance_id}-{}", index + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_there_and_has_a_modulus_of_its_own() {
        let mut moduli: Vec<String> = COMPONENTS.iter().map(|(n, _)| n.clone()).collect();
        moduli.push(FOREIGN.components().unwrap().0);
        assert_eq!(moduli.len(), SIGNING.len() + 1);
        moduli.sort();
        moduli.dedup();
        assert_eq!(moduli.len(), SIGNING.len() + 1);
    }

    #[test]
    fn the_fourth_key_is_the_first_one_under_another_name() {
        let mut ring = KeyRing::default();
        (0..3).for_each(|_| ring.rotate(false));
        let keys = ring.jwks("ins_1")["keys"].as_array().unwrap().clone();
        let kids: Vec<&str> = keys.iter().map(|key| key["kid"].as_str().unwrap()).collect();
        assert_eq!(kids, ["ins_1-4", "ins_1-3", "ins_1-2", "ins_1"]);
        assert_eq!(keys[0]["n"], keys[3]["n"]);
    }
}
