//! Bearer tokens: who a request comes from.
//!
//! A token is a JWT signed with `JWT_SECRET`, HS256 and nothing else, or by one of the [`issuers`] that are configured,
//! with a public key of theirs. For the first kind three steps, each of its own: `jsonwebtoken` takes the token apart and checks the
//! signature, with the algorithms that `crypto` gives it; `claims` holds the claims to form, time and audience;
//! [`Verifier::verify`] says what they mean.

mod claims;
mod crypto;
pub mod held;
pub mod issuers;
pub mod keys;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use thiserror::Error;

use crate::{ids::UserId, names::DisplayName};

use claims::Presented;

/// The longest token that is looked at, in bytes.
pub const MAX_BYTES: usize = 8 * 1024;

/// The shortest secret, in bytes: as long as what HS256 signs with.
pub const MIN_SECRET_BYTES: usize = 32;

/// How far apart the clocks of issuer and server may be, in milliseconds.
pub const LEEWAY_MS: u64 = 30_000;

/// The audience that a token must name if it names any.
const AUDIENCE: &str = "edgewise";

/// A secret that is too easily guessed to sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the secret has fewer than {MIN_SECRET_BYTES} bytes")]
pub struct SecretTooShort;

/// Why a token identifies nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    /// It is no token, not from here, not for here, not yet valid, or names no user.
    #[error("the token is not valid")]
    Invalid,
    /// It was all right, and its time is over.
    #[error("the token has expired")]
    Expired,
}

/// What a token says of its bearer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `sub`.
    pub user_id: UserId,
    /// `name`, made a legal display name: 1 to 64 characters, no control characters. None where nothing of it was left.
    pub display_name: Option<String>,
    /// `is_owner`; false where absent.
    pub is_owner: bool,
    /// `is_admin`; false where absent.
    pub is_admin: bool,
    /// `scope`.
    pub scope: Option<String>,
    /// `fingerprint`: of a registered user's public key.
    pub fingerprint: Option<String>,
    /// `exp`, in Unix milliseconds, at most 2^53 - 1. A token verifies until [`LEEWAY_MS`] after it.
    pub expires_at_ms: u64,
}

/// Verifies tokens that were signed with one secret.
#[derive(Debug, Clone)]
pub struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

impl Verifier {
    /// Takes the secret, which is the key as it is: its bytes, in no encoding.
    ///
    /// # Errors
    /// [`SecretTooShort`] below [`MIN_SECRET_BYTES`].
    pub fn new(secret: &[u8]) -> Result<Self, SecretTooShort> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(SecretTooShort);
        }
        crypto::install();
        // `jsonwebtoken` would ask the system's clock, which wasm has none of, and let pass a malformed `aud`:
        // all claims are checked here instead.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Ok(Self { key: DecodingKey::from_secret(secret), validation })
    }

    /// Verifies a token, without the word `Bearer`, at a time in Unix milliseconds.
    ///
    /// # Errors
    /// [`TokenError::Expired`] only where its time is all that is wrong with it, the signature being right; else
    /// [`TokenError::Invalid`].
    pub fn verify(&self, token: &str, now_ms: u64) -> Result<Identity, TokenError> {
        if token.len() > MAX_BYTES {
            return Err(TokenError::Invalid);
        }
        let token = jsonwebtoken::decode::<Presented>(token, &self.key, &self.validation)
            .map_err(|_| TokenError::Invalid)?;
        // RFC 7515, 4.1.11: who does not understand an extension that is marked critical refuses the token.
        if token.header.crit.is_some() || !token.claims.is_for(AUDIENCE) {
            return Err(TokenError::Invalid);
        }
        let claims = token.claims;
        let user_id = UserId::parse(&claims.sub).map_err(|_| TokenError::Invalid)?;
        let expires_at_ms = claims.valid_until(now_ms)?;
        Ok(Identity {
            user_id,
            display_name: claims
                .name
                .and_then(|name| DisplayName::cleaned(&name))
                .map(DisplayName::into_string),
            is_owner: claims.is_owner.unwrap_or(false),
            is_admin: claims.is_admin.unwrap_or(false),
            scope: claims.scope,
            fingerprint: claims.fingerprint,
            expires_at_ms,
        })
    }
}

/// The claims of a token to be signed, by the names that they have in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// The user.
    pub sub: UserId,
    /// When it is signed, in Unix seconds.
    pub iat: u64,
    /// When it ends, in Unix seconds.
    pub exp: u64,
    /// The user's display name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Lowercase hex of the first 20 bytes of SHA-256 over the user's public key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Has every permission, and is the owner.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_owner: bool,
    /// Has every permission.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_admin: bool,
    /// What else it admits to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

impl Claims {
    /// The claims that every token has, in Unix seconds, and none of the others.
    #[must_use]
    pub const fn new(sub: UserId, iat: u64, exp: u64) -> Self {
        Self { sub, iat, exp, name: None, fingerprint: None, is_owner: false, is_admin: false, scope: None }
    }
}

/// Why claims were not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignError {
    /// The secret is too short.
    #[error(transparent)]
    SecretTooShort(#[from] SecretTooShort),
    /// The claims did not encode: a defect.
    #[error("the claims did not encode")]
    Encoding,
}

/// Signs a token that [`Verifier`] verifies with the same secret.
///
/// # Errors
/// [`SignError::SecretTooShort`] below [`MIN_SECRET_BYTES`].
pub fn sign(secret: &[u8], claims: &Claims) -> Result<String, SignError> {
    if secret.len() < MIN_SECRET_BYTES {
        return Err(SecretTooShort.into());
    }
    crypto::install();
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret))
        .map_err(|_| SignError::Encoding)
}
