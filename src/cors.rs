//! Which pages of other origins may ask, and what of the answers they may read.
//!
//! Never with credentials: a token is sent by the page itself, so that there is nothing to be abused in a cookie.

use worker::Env;

use crate::{border::Incoming, config, reply::Reply};

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
    /// What holds for a request.
    pub(crate) fn of(env: &Env, request: &Incoming) -> Self {
        match config::allowed_origins(env) {
            None => Self::Everyone,
            Some(allowed) => {
                let origin = request.header("origin");
                Self::Only(origin.filter(|origin| allowed.contains(origin)))
            }
        }
    }

    /// Adds what every answer carries.
    pub(crate) fn apply(&self, reply: Reply) -> Reply {
        let (reply, origin) = match self {
            Self::Everyone => (reply, Some("*")),
            // A cache must not give one origin's answer to another.
            Self::Only(origin) => (reply.with("vary", "Origin".into()), origin.as_deref()),
        };
        let Some(origin) = origin else { return reply };
        reply
            .with("access-control-allow-origin", origin.into())
            .with("access-control-expose-headers", EXPOSED.into())
    }

    /// Adds what the answer to a preflight carries.
    pub(crate) fn preflight(reply: Reply, methods: String) -> Reply {
        reply
            .with("access-control-allow-methods", methods)
            .with("access-control-allow-headers", ALLOWED.into())
            .with("access-control-max-age", MAX_AGE.into())
    }
}
