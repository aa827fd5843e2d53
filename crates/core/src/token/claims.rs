//! The claims of a token whose signature is right: their form, their time, their audience.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

use super::{LEEWAY_MS, TokenError};

/// The latest time, 2^53 - 1: it stays exact where numbers are doubles.
const MAX_TIME_MS: u64 = (1 << 53) - 1;

/// The claims that mean something here. One that is there in another form fails the whole, and so does one that is
/// there twice; null is as good as absent; claims of other names don't matter.
#[derive(Debug, Deserialize)]
pub(super) struct Presented {
    pub(super) sub: String,
    exp: NumericDate,
    nbf: Option<NumericDate>,
    aud: Option<Audience>,
    pub(super) name: Option<String>,
    pub(super) is_owner: Option<bool>,
    pub(super) is_admin: Option<bool>,
    pub(super) scope: Option<String>,
    pub(super) fingerprint: Option<String>,
}

impl Presented {
    /// Whether the token names this audience, or none at all.
    pub(super) fn is_for(&self, audience: &str) -> bool {
        self.aud.as_ref().is_none_or(|aud| aud.names(audience))
    }

    /// When the token ends, in Unix milliseconds, if now is its time.
    pub(super) fn valid_until(&self, now_ms: u64) -> Result<u64, TokenError> {
        valid_until(&self.exp, self.nbf.as_ref(), now_ms)
    }
}

/// When a token of these times ends, in Unix milliseconds, if now is its time.
pub(super) fn valid_until(
    exp: &NumericDate,
    nbf: Option<&NumericDate>,
    now_ms: u64,
) -> Result<u64, TokenError> {
    if nbf.is_some_and(|nbf| nbf.ms > now_ms.saturating_add(LEEWAY_MS)) {
        return Err(TokenError::Invalid);
    }
    if exp.ms.saturating_add(LEEWAY_MS) <= now_ms {
        return Err(TokenError::Expired);
    }
    Ok(exp.ms)
}

/// Whom a token is for.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    /// Whether it is for this one, alone or among others.
    pub(super) fn names(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => many.iter().any(|one| one == audience),
        }
    }
}

/// RFC 7519's `NumericDate`: seconds since 1970 as any JSON number, held between 1970 and [`MAX_TIME_MS`].
#[derive(Debug)]
pub(super) struct NumericDate {
    ms: u64,
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = NumericDate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of seconds")
            }

            fn visit_u64<E>(self, seconds: u64) -> Result<NumericDate, E> {
                Ok(NumericDate { ms: seconds.saturating_mul(1_000).min(MAX_TIME_MS) })
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<NumericDate, E> {
                self.visit_u64(u64::try_from(seconds).unwrap_or(0))
            }

            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
            fn visit_f64<E>(self, seconds: f64) -> Result<NumericDate, E> {
                Ok(NumericDate { ms: ((seconds * 1_000.0).round() as u64).min(MAX_TIME_MS) })
            }
        }
        deserializer.deserialize_f64(Visitor)
    }
}
