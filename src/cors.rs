//! Which pages of other origins may ask, and what of the answers they may read.
//!
//! Never with credentials: a token is sent by the page itself, so that there is nothing to be abused in a cookie.

use worker::{Env, Headers, Result};

use crate::{config, reply::Reply};

/// The headers that a page may send.
const ALLOWED: &str = "Authorization, Content-Type, Idempotency-Key, X-Request-Id";
/// The headers of an answer that a page may read.
const EXPOSED: &str = "X-Request-Id, Retry-After, RateLimit, RateLimit-Policy, Idempotency-Replayed";
/// How long a preflight's answer holds, in seconds.
const MAX_AGE: &str = "86400";

/// Whom an answer may be read by.
#[derive(Debug)]
pub(crate) enum Cors {
    /// Pages of every origin.
    Everyone,
    /// Pages of the origin that asked, or of none where it is not among those that may.
    Only(Option<String>),
}

impl Cors {
    /// What holds for a request with these headers.
    pub(crate) fn of(env: &Env, headers: &Headers) -> Self {
        match config::allowed_origins(env) {
            None => Self::Everyone,
            Some(allowed) => {
                let origin = headers.get("origin").ok().flatten();
                Self::Only(origin.filter(|origin| allowed.contains(origin)))
            }
        }
    }

    /// Adds what every answer carries.
    pub(crate) fn apply(&self, headers: &Headers) -> Result<()> {
        match self {
            Self::Everyone => headers.set("access-control-allow-origin", "*")?,
            Self::Only(origin) => {
                // A cache must not give one origin's answer to another.
                headers.append("vary", "Origin")?;
                let Some(origin) = origin else { return Ok(()) };
                headers.set("access-control-allow-origin", origin)?;
            }
        }
        headers.set("access-control-expose-headers", EXPOSED)
    }

    /// Adds what the answer to a preflight carries.
    pub(crate) fn preflight(reply: Reply, methods: String) -> Reply {
        reply
            .with("access-control-allow-methods", methods)
            .with("access-control-allow-headers", ALLOWED.into())
            .with("access-control-max-age", MAX_AGE.into())
    }
}
