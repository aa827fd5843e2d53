//! Ed25519: keys that users are known by, and signatures that they make with them.
//!
//! Verification is strict, so that a signature is one thing with one meaning: a key or an `R` of small order (which can
//! be made to fit any message), a key in a second spelling, and an `S` that is not reduced (which would be a second
//! signature of the same message) are refused. Nothing here signs: the server has no keys.

use std::fmt;

use ed25519_dalek::{Signature as DalekSignature, VerifyingKey};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// Why bytes are no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not an Ed25519 public key")]
pub struct InvalidKey;

/// A signature that its key did not make over these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the signature does not verify")]
pub struct InvalidSignature;

/// An Ed25519 public key that signatures can be held to: canonical, and not of small order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// A key's length, in bytes.
    pub const BYTES: usize = 32;

    /// Takes a key's 32 bytes.
    ///
    /// # Errors
    /// [`InvalidKey`] for another length, what is no point of the curve, a second spelling of one, and a point of small
    /// order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidKey> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().map_err(|_| InvalidKey)?;
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| InvalidKey)?;
        // A second spelling would be a second user with the same key.
        let canonical = key.to_edwards().compress().as_bytes() == bytes;
        if canonical && !key.is_weak() { Ok(Self(key)) } else { Err(InvalidKey) }
    }

    /// Takes a key in hex, of either case.
    ///
    /// # Errors
    /// As [`Self::from_bytes`], and for what is no hex.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let mut bytes = [0; Self::BYTES];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidKey)?;
        Self::from_bytes(&bytes)
    }

    /// The key's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        self.0.as_bytes()
    }

    /// Lowercase hex of SHA-256 over the key, its first 20 bytes: 40 characters.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest: [u8; 32] = Sha256::digest(self.as_bytes()).into();
        let mut text = hex::encode(digest);
        text.truncate(40);
        text
    }

    /// Whether the key's owner signed this message.
    ///
    /// # Errors
    /// [`InvalidSignature`] where not, or where it is not strictly so.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), InvalidSignature> {
        self.0.verify_strict(message, &DalekSignature::from_bytes(&signature.0)).map_err(|_| InvalidSignature)
    }
}

/// Lowercase hex, 64 characters: the one spelling in the database and in answers.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// The 64 bytes of a signature, yet to be verified.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; Self::BYTES]);

impl Signature {
    /// A signature's length, in bytes.
    pub const BYTES: usize = 64;

    /// Takes a signature's 64 bytes.
    ///
    /// # Errors
    /// [`InvalidSignature`] for another length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidSignature> {
        bytes.try_into().map(Self).map_err(|_| InvalidSignature)
    }

    /// Takes a signature in hex, of either case.
    ///
    /// # Errors
    /// [`InvalidSignature`] for what is no hex of 64 bytes.
    pub fn parse(text: &str) -> Result<Self, InvalidSignature> {
        let mut bytes = [0; Self::BYTES];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidSignature)?;
        Ok(Self(bytes))
    }

    /// The signature's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", hex::encode(self.0))
    }
}
