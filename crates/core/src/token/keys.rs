//! Public keys of other issuers, and tokens that are held to them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::{MAX_BYTES, TokenError};
use crate::signature::{PublicKey, Signature};

/// How many keys of an issuer are looked at.
pub const MAX_KEYS: usize = 64;
/// The largest set of keys that is read, in bytes.
pub const MAX_KEYS_BYTES: usize = 64 << 10;

/// The shortest and longest RSA modulus, in bytes: 2,048 and 8,192 bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// A set of keys of which none can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no key that can be used")]
pub struct InvalidKeys;

/// What a signature is made with. A key has one, and takes no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl Algorithm {
    const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }
}

/// A key's numbers, in unpadded base64url where they are checked by others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Material {
    /// An Ed25519 key.
    Ed25519(PublicKey),
    /// A point of P-256.
    P256 {
        /// 32 bytes.
        x: String,
        /// 32 bytes.
        y: String,
    },
    /// An RSA key.
    Rsa {
        /// The modulus.
        n: String,
        /// The exponent.
        e: String,
    },
}

/// One key of an issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    id: Option<String>,
    material: Material,
}

/// The keys of an issuer that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys(Vec<Key>);

/// A key as RFC 7517 and 7518 write it.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl Key {
    /// Takes a key for signatures of one of the three kinds; None for every other.
    fn of(jwk: Jwk) -> Option<Self> {
        let Jwk { kty, kid, alg, r#use, key_ops, crv, x, y, n, e } = jwk;
        let decoded = |text: &String| BASE64.decode(text).ok();
        let long = |text: &String, bytes: usize| decoded(text).is_some_and(|decoded| decoded.len() == bytes);
        let material = match (kty.as_str(), crv.as_deref()) {
            ("OKP", Some("Ed25519")) => {
                Material::Ed25519(PublicKey::from_bytes(&decoded(x.as_ref()?)?).ok()?)
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (x.filter(|x| long(x, 32))?, y.filter(|y| long(y, 32))?);
                Material::P256 { x, y }
            }
            ("RSA", None) => {
                let (n, e) = (n?, e?);
                // An exponent of 1 would make every message its own signature.
                let exponent = decoded(&e)?.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
                let sound = RSA_BYTES.contains(&decoded(&n)?.len())
                    && e.len() <= 8
                    && exponent > 2
                    && exponent % 2 == 1;
                sound.then_some(Material::Rsa { n, e })?
            }
            _ => return None,
        };
        let key = Self { id: kid, material };
        let signs = r#use.is_none_or(|r#use| r#use == "sig")
            && key_ops.is_none_or(|ops| ops.iter().any(|op| op == "verify"))
            && alg.is_none_or(|alg| alg == key.algorithm().as_str());
        signs.then_some(key)
    }

    /// The one algorithm of its signatures.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Ed25519(_) => Algorithm::EdDsa,
            Material::P256 { .. } => Algorithm::Es256,
            Material::Rsa { .. } => Algorithm::Rs256,
        }
    }
}

impl Keys {
    /// Reads a JWK Set. Keys of other kinds and for other purposes, which issuers have besides, are left out.
    ///
    /// # Errors
    /// [`InvalidKeys`] for what is no set, is larger than [`MAX_KEYS_BYTES`], or where nothing is left.
    pub fn parse(text: &[u8]) -> Result<Self, InvalidKeys> {
        if text.len() > MAX_KEYS_BYTES {
            return Err(InvalidKeys);
        }
        Self::of(serde_json::from_slice(text).map_err(|_| InvalidKeys)?)
    }

    /// The same, of JSON that is parsed already.
    ///
    /// # Errors
    /// [`InvalidKeys`] for what is no set, or where nothing is left.
    pub fn of(set: Value) -> Result<Self, InvalidKeys> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_value(set).map_err(|_| InvalidKeys)?;
        let jwks = set.keys.into_iter().take(MAX_KEYS).filter_map(|jwk| serde_json::from_value(jwk).ok());
        let keys: Vec<Key> = jwks.filter_map(Key::of).collect();
        if keys.is_empty() { Err(InvalidKeys) } else { Ok(Self(keys)) }
    }

    /// The key that a token says signed it: of its algorithm, and of its `kid`. A token without one, or a key, will do
    /// where there is no second key to be confused with.
    #[must_use]
    pub fn find(&self, token: &Unverified<'_>) -> Option<&Key> {
        let mut fitting = self.0.iter().filter(|key| key.algorithm().as_str() == token.algorithm);
        if let Some(named) = fitting.clone().find(|key| key.id.is_some() && key.id == token.key_id) {
            return Some(named);
        }
        let only = fitting.next().filter(|_| fitting.next().is_none())?;
        (token.key_id.is_none() || only.id.is_none()).then_some(only)
    }
}

/// A token taken apart, of which nothing is known to be true.
#[derive(Debug, Clone)]
pub struct Unverified<'a> {
    algorithm: String,
    key_id: Option<String>,
    /// What the signature is over.
    signed: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart. None for what is none, and for one with extensions that must be understood.
    #[must_use]
    pub fn parse(token: &'a str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Header {
            alg: String,
            kid: Option<String>,
            crit: Option<Value>,
        }
        if token.len() > MAX_BYTES {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let header: Header = serde_json::from_slice(&BASE64.decode(header).ok()?).ok()?;
        if header.crit.is_some() {
            return None;
        }
        Some(Self {
            algorithm: header.alg,
            key_id: header.kid,
            signed,
            payload: BASE64.decode(payload).ok()?,
            signature: BASE64.decode(signature).ok()?,
        })
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Whether this key signed the token, with the key's own algorithm.
    pub(super) async fn verified_by(&self, key: &Key, check: &impl CheckSignature) -> Result<(), TokenError> {
        let right = self.algorithm == key.algorithm().as_str()
            && match &key.material {
                Material::Ed25519(key) => Signature::from_bytes(&self.signature)
                    .is_ok_and(|signature| key.verify(self.signed.as_bytes(), &signature).is_ok()),
                other => check.check(other, self.signed.as_bytes(), &self.signature).await,
            };
        if right { Ok(()) } else { Err(TokenError::Invalid) }
    }
}

/// Checks signatures of P-256 and RSA, which the platform does: the code for it would be 35 KB of the bundle.
#[allow(async_fn_in_trait, reason = "one thread in workerd and in the tests: nothing here needs Send")]
pub trait CheckSignature {
    /// Whether `signature` is the key's over `signed`. Never asked about Ed25519.
    async fn check(&self, key: &Material, signed: &[u8], signature: &[u8]) -> bool;
}
