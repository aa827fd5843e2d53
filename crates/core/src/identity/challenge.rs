//! What a client signs to prove its key: random bytes that the server can tell to be its own without storing them.

use hmac::Mac as _;

use crate::{
    ids::Timestamp,
    signature::{PublicKey, Signature},
};

use super::mac;

/// How long a challenge can be answered, in milliseconds.
pub const LIFETIME_MS: u64 = 60_000;

const BYTES: usize = 32;

/// What a challenge is signed for: one signed for the one is no answer to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To register the key.
    Register,
    /// To log in with it.
    Login,
}

impl Purpose {
    /// What is signed: the purpose, the host that the client believes to speak to, and the challenge's bytes.
    #[must_use]
    pub fn message(self, host: &str, bytes: &[u8; BYTES]) -> Vec<u8> {
        let purpose = match self {
            Self::Register => "edgewise-register-v1",
            Self::Login => "edgewise-login-v1",
        };
        [purpose.as_bytes(), b":", host.as_bytes(), b":", bytes].concat()
    }
}

/// A challenge, made out to one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge {
    /// What is to be signed, behind [`Purpose`] and host.
    pub bytes: [u8; BYTES],
    /// Until when, in Unix milliseconds; not at that time any more.
    pub expires_at: Timestamp,
}

/// Makes challenges, and knows its own again.
#[derive(Clone)]
pub struct Challenges {
    key: Vec<u8>,
}

impl Challenges {
    /// Those of a server with this secret. What they are signed with is derived from it and is no other key: text that
    /// a token's signature covers has a dot in it, the label has none.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self { key: mac(secret, &[b"edgewise challenges v1"]).finalize().into_bytes().to_vec() }
    }

    /// A new challenge for a key, out of random bytes, and the name that the client gives it back by.
    #[must_use]
    pub fn issue(&self, key: &PublicKey, random: [u8; BYTES], now: Timestamp) -> (String, Challenge) {
        let challenge = Challenge { bytes: random, expires_at: now + LIFETIME_MS };
        let tag = self.tag(key, &challenge).finalize().into_bytes();
        let id = [&challenge.expires_at.to_be_bytes()[..], &challenge.bytes, &tag].concat();
        (hex::encode(id), challenge)
    }

    /// The challenge of this name, if it was made here for this key and is still to be answered.
    #[must_use]
    pub fn find(&self, id: &str, key: &PublicKey, now: Timestamp) -> Option<Challenge> {
        let mut parts = [0; 8 + BYTES + 32];
        hex::decode_to_slice(id, &mut parts).ok()?;
        let (expires_at, rest) = parts.split_first_chunk()?;
        let (bytes, tag) = rest.split_first_chunk()?;
        let challenge = Challenge { bytes: *bytes, expires_at: u64::from_be_bytes(*expires_at) };
        self.tag(key, &challenge).verify_slice(tag).ok()?;
        (now < challenge.expires_at).then_some(challenge)
    }

    fn tag(&self, key: &PublicKey, challenge: &Challenge) -> hmac::Hmac<sha2::Sha256> {
        mac(&self.key, &[key.as_bytes(), &challenge.expires_at.to_be_bytes(), &challenge.bytes])
    }

    /// A proof that who asks has a key now: the challenge that they answered. None where anything about it is wrong.
    #[must_use]
    pub fn proven(&self, claim: &Claim<'_>, purpose: Purpose, host: &str, now: Timestamp) -> Option<Proof> {
        let key = PublicKey::parse(claim.public_key).ok()?;
        let challenge = self.find(claim.challenge_id, &key, now)?;
        let signature = Signature::parse(claim.signature).ok()?;
        key.verify(&purpose.message(host, &challenge.bytes), &signature).ok()?;
        Some(Proof { key, challenge })
    }
}

/// The key's derivation is a secret: it is left out.
impl std::fmt::Debug for Challenges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Challenges").finish_non_exhaustive()
    }
}

/// What a client says to prove its key, as it says it.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Hex of the key.
    pub public_key: &'a str,
    /// The challenge's name.
    pub challenge_id: &'a str,
    /// Hex of the signature.
    pub signature: &'a str,
}

/// That the holder of a key answered a challenge. Whether it is the first answer, the database knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    pub(super) key: PublicKey,
    pub(super) challenge: Challenge,
}

impl Proof {
    /// What the challenge is stored as, once it is used.
    pub(super) fn challenge_id(&self) -> String {
        hex::encode(self.challenge.bytes)
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = 1_700_000_000_000;
    const HOST: &str = "chat.example.com";

    fn challenges() -> Challenges {
        Challenges::new(b"a secret of thirty-two bytes, ok")
    }

    fn signer(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn key(signer: &SigningKey) -> PublicKey {
        PublicKey::from_bytes(signer.verifying_key().as_bytes()).unwrap()
    }

    fn sign(signer: &SigningKey, purpose: Purpose, host: &str, challenge: &Challenge) -> String {
        hex::encode(signer.sign(&purpose.message(host, &challenge.bytes)).to_bytes())
    }

    /// Whether a signature made like this proves `key`.
    fn proves(key: PublicKey, id: &str, signature: &str, now: Timestamp) -> bool {
        let claim = Claim { public_key: &key.to_string(), challenge_id: id, signature };
        challenges().proven(&claim, Purpose::Login, HOST, now).is_some()
    }

    #[test]
    fn the_message_is_the_contracts() {
        let message = Purpose::Login.message("example.com:8787", &[1; 32]);
        assert_eq!(message, [&b"edgewise-login-v1:example.com:8787:"[..], &[1; 32]].concat());
        assert!(Purpose::Register.message("h", &[0; 32]).starts_with(b"edgewise-register-v1:h:"));
    }

    #[test]
    fn one_answer_proves_one_key_for_one_purpose_at_one_host_in_time() {
        let (ana, ben) = (signer(1), signer(2));
        let (id, challenge) = challenges().issue(&key(&ana), [9; 32], NOW);
        let right = sign(&ana, Purpose::Login, HOST, &challenge);
        assert!(proves(key(&ana), &id, &right, NOW));
        assert!(proves(key(&ana), &id, &right, NOW + LIFETIME_MS - 1));
        assert!(!proves(key(&ana), &id, &right, NOW + LIFETIME_MS), "too late");
        assert!(!proves(key(&ana), &id, &sign(&ana, Purpose::Register, HOST, &challenge), NOW));
        assert!(!proves(key(&ana), &id, &sign(&ana, Purpose::Login, "evil.example.com", &challenge), NOW));
        assert!(!proves(key(&ana), &id, &sign(&ben, Purpose::Login, HOST, &challenge), NOW));
        // Made out to another key.
        assert!(!proves(key(&ben), &id, &sign(&ben, Purpose::Login, HOST, &challenge), NOW));
    }

    #[test]
    fn other_servers_challenges_are_none() {
        let ana = signer(1);
        let (id, challenge) = Challenges::new(b"another secret").issue(&key(&ana), [9; 32], NOW);
        assert!(!proves(key(&ana), &id, &sign(&ana, Purpose::Login, HOST, &challenge), NOW));
    }

    proptest! {
        #[test]
        fn no_bit_of_a_challenge_can_be_changed(position in 0_usize..72, bit in 0..8_u8) {
            let ana = signer(1);
            let (id, _) = challenges().issue(&key(&ana), [9; 32], NOW);
            let mut bytes = hex::decode(&id).unwrap();
            bytes[position] ^= 1 << bit;
            prop_assert_eq!(challenges().find(&hex::encode(bytes), &key(&ana), NOW), None);
        }

        #[test]
        fn any_text_is_no_challenge(text in ".{0,200}") {
            prop_assert_eq!(challenges().find(&text, &key(&signer(1)), NOW), None);
        }
    }
}
