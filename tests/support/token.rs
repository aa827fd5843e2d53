//! Tokens, made by hand: what the server verifies is not made by its own code.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;

/// Seconds since 1970.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "tests run natively")]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A token about to be minted: valid for an hour, unless told otherwise.
#[derive(Clone, Debug)]
#[must_use = "minted by `mint`"]
pub struct Token {
    header: Value,
    claims: Map<String, Value>,
    key: Vec<u8>,
}

impl Token {
    /// A token for a user, signed with `key`.
    pub fn new(sub: &str, key: &str) -> Self {
        Self { header: json!({"alg": "HS256", "typ": "JWT"}), claims: Map::new(), key: key.into() }
            .claim("sub", sub)
            .claim("iat", now())
            .expires_in(3600)
    }

    /// With a display name.
    pub fn name(self, name: &str) -> Self {
        self.claim("name", name)
    }

    /// An owner's.
    pub fn owner(self) -> Self {
        self.claim("is_owner", true)
    }

    /// An admin's.
    pub fn admin(self) -> Self {
        self.claim("is_admin", true)
    }

    /// With `exp` that far from now, in seconds; in the past where negative.
    pub fn expires_in(self, seconds: i64) -> Self {
        self.claim("exp", now().saturating_add_signed(seconds))
    }

    /// With any claim.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Without one.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// With another header.
    pub fn header(mut self, header: Value) -> Self {
        self.header = header;
        self
    }

    /// Signed with another key.
    pub fn key(mut self, key: &str) -> Self {
        self.key = key.into();
        self
    }

    /// The token.
    #[must_use]
    pub fn mint(&self) -> String {
        let signed = self.signed_part();
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length will do");
        mac.update(signed.as_bytes());
        format!("{signed}.{}", BASE64.encode(mac.finalize().into_bytes()))
    }

    /// The token with this in the place of its signature.
    #[must_use]
    pub fn mint_with_signature(&self, signature: &str) -> String {
        format!("{}.{signature}", self.signed_part())
    }

    fn signed_part(&self) -> String {
        let [header, claims] = [self.header.to_string(), Value::Object(self.claims.clone()).to_string()]
            .map(|part| BASE64.encode(part));
        format!("{header}.{claims}")
    }
}
