//! Tokens of other issuers: whose they are, which key must have signed them, and what they say.
//!
//! Nothing in a token says where its key comes from. Its `iss` selects one of the issuers that are configured, its `kid`
//! one of that issuer's keys, and the key decides the algorithm; `jku`, `jwk` and their like are not looked at.

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::{
    Identity, TokenError,
    claims::{Audience, NumericDate, valid_until},
    keys::{CheckSignature, Key, Keys, Unverified},
};
use crate::{ids::UserId, names::DisplayName};

/// How many issuers there can be.
pub const MAX_ISSUERS: usize = 32;

/// What is wrong with the configuration. Never repeats any of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidIssuers {
    /// It is no JSON list of such entries.
    #[error("it is not a JSON list of issuers, at line {line}, column {column}")]
    Json {
        /// Where in the text, from 1.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// There are too many.
    #[error("it has more than {MAX_ISSUERS} issuers")]
    TooMany,
    /// An entry makes no sense.
    #[error("its entry {number} {fault}")]
    Entry {
        /// Which one, from 1.
        number: usize,
        /// What about it.
        fault: &'static str,
    },
}

/// Where an issuer's keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// The configuration.
    Inline(Keys),
    /// An address of the configuration.
    Url(String),
}

/// Someone whose tokens are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    issuer: String,
    audience: String,
    prefix: String,
    keys: KeySource,
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Issuers(Vec<Issuer>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    issuer: String,
    audience: String,
    prefix: String,
    jwks: Option<Value>,
    jwks_url: Option<String>,
}

impl Issuers {
    /// Reads `JWT_ISSUERS`.
    ///
    /// # Errors
    /// [`InvalidIssuers`] where any of it makes no sense: an issuer that is half configured is not taken for none.
    pub fn parse(text: &str) -> Result<Self, InvalidIssuers> {
        let entries: Vec<Entry> = serde_json::from_str(text)
            .map_err(|error| InvalidIssuers::Json { line: error.line(), column: error.column() })?;
        if entries.len() > MAX_ISSUERS {
            return Err(InvalidIssuers::TooMany);
        }
        let mut issuers: Vec<Issuer> = Vec::with_capacity(entries.len());
        for (index, entry) in entries.into_iter().enumerate() {
            let fault = |fault| InvalidIssuers::Entry { number: index + 1, fault };
            let issuer = Issuer::of(entry).map_err(fault)?;
            if issuers.iter().any(|other| other.issuer == issuer.issuer) {
                return Err(fault("has the issuer of another"));
            }
            if issuers.iter().any(|other| other.prefix == issuer.prefix) {
                return Err(fault("has the prefix of another"));
            }
            issuers.push(issuer);
        }
        Ok(Self(issuers))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The issuer that a token says it is of, and its place; None where it says none that is configured.
    #[must_use]
    pub fn of(&self, token: &Unverified<'_>) -> Option<(usize, &Issuer)> {
        #[derive(Deserialize)]
        struct Said {
            iss: String,
        }
        let said: Said = serde_json::from_slice(token.payload()).ok()?;
        self.0.iter().enumerate().find(|(_, issuer)| issuer.issuer == said.iss)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl Issuer {
    fn of(entry: Entry) -> Result<Self, &'static str> {
        let Entry { issuer, audience, prefix, jwks, jwks_url } = entry;
        if issuer.is_empty() {
            return Err("has an empty issuer");
        }
        if audience.is_empty() {
            return Err("has an empty audience");
        }
        // With a colon in it, two prefixes and what follows them could make the same id.
        if prefix.contains(':') || UserId::parse(&prefix).is_err() {
            return Err("has a prefix that cannot begin a user id, or has a colon");
        }
        let keys = match (jwks, jwks_url) {
            (Some(jwks), None) => {
                KeySource::Inline(Keys::of(jwks).map_err(|_| "has a jwks without a key that can be used")?)
            }
            (None, Some(url)) if is_safe(&url) => KeySource::Url(url),
            (None, Some(_)) => return Err("has a jwks_url that is not https"),
            _ => return Err("has not either of jwks and jwks_url"),
        };
        Ok(Self { issuer, audience, prefix, keys })
    }

    /// Where its keys come from.
    #[must_use]
    pub const fn keys(&self) -> &KeySource {
        &self.keys
    }

    /// Its name, as tokens have it in `iss`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.issuer
    }

    /// Who a token names, at a time in Unix milliseconds, if one of the issuer's keys signed it.
    ///
    /// # Errors
    /// [`TokenError::Expired`] only where its time is all that is wrong with it; else [`TokenError::Invalid`].
    pub async fn verify(
        &self,
        token: &Unverified<'_>,
        key: &Key,
        check: &impl CheckSignature,
        now_ms: u64,
    ) -> Result<Identity, TokenError> {
        #[derive(Deserialize)]
        struct Claims {
            iss: String,
            aud: Audience,
            sub: String,
            exp: NumericDate,
            nbf: Option<NumericDate>,
            // What else an issuer puts there, and in which form, is its own affair.
            name: Option<Value>,
        }
        token.verified_by(key, check).await?;
        let claims: Claims = serde_json::from_slice(token.payload()).map_err(|_| TokenError::Invalid)?;
        if claims.iss != self.issuer || !claims.aud.names(&self.audience) || claims.sub.is_empty() {
            return Err(TokenError::Invalid);
        }
        let user_id = UserId::parse(&format!("{}:{}", self.prefix, claims.sub));
        Ok(Identity {
            user_id: user_id.map_err(|_| TokenError::Invalid)?,
            expires_at_ms: valid_until(&claims.exp, claims.nbf.as_ref(), now_ms)?,
            display_name: claims
                .name
                .as_ref()
                .and_then(Value::as_str)
                .and_then(DisplayName::cleaned)
                .map(DisplayName::into_string),
            is_owner: false,
            is_admin: false,
            scope: None,
            fingerprint: None,
        })
    }
}

/// Whether keys may be fetched from there: over TLS, or from the machine itself.
fn is_safe(url: &str) -> bool {
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let host_ends = |rest: &str| rest.is_empty() || rest.starts_with(['/', ':']);
    url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty())
        || local.iter().any(|start| url.strip_prefix(start).is_some_and(host_ends)) && !url.contains('@')
}
