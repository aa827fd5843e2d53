//! Who asks: the bearer token of a request, verified.
//!
//! A token is looked for where the route allows it, and nowhere else; it is never logged.

use std::{cell::OnceCell, rc::Rc};

use edgewise_core::{
    access::Caller,
    ids::Timestamp,
    problem::{Code, Problem},
    token::{Identity, TokenError, Verifier},
};
use worker::Env;

use crate::{config, issuers};

/// The token of an `Authorization` header.
///
/// # Errors
/// 401 `TOKEN_MISSING` without one.
pub(crate) fn bearer(header: Option<&str>) -> Result<String, Problem> {
    header.and_then(token_of).map(str::to_owned).ok_or_else(missing)
}

/// The token of a header `Bearer <token>`.
fn token_of(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

pub(crate) fn missing() -> Problem {
    Code::TokenMissing.with("send a token: Authorization: Bearer <token>")
}

/// Verifies a token, without the word `Bearer`.
///
/// # Errors
/// 401 `TOKEN_INVALID`, 401 `TOKEN_EXPIRED`; 503 `CONFIG_MISSING` where there is no secret to verify it with, or
/// an issuer's keys are not to be had.
pub(crate) async fn verify(env: &Env, token: &str, now: Timestamp) -> Result<Caller, Problem> {
    identify(env, token, now).await.map(caller)
}

/// The same, and whether the token's bearer may bring what others signed: its `scope`, a list of words, has `gossip`.
///
/// # Errors
/// Those of [`verify`].
pub(crate) async fn verify_courier(
    env: &Env,
    token: &str,
    now: Timestamp,
) -> Result<(Caller, bool), Problem> {
    let identity = identify(env, token, now).await?;
    let scope = identity.scope.as_deref().unwrap_or_default();
    let relays = scope.split(' ').any(|word| word == "gossip");
    Ok((caller(identity), relays))
}

async fn identify(env: &Env, token: &str, now: Timestamp) -> Result<Identity, Problem> {
    let verifier = verifier(env)?;
    // Who a token says it is of decides whose keys it is held to, and no more than that.
    let identity = match issuers::configured(env)?.identify(token).await? {
        Some(identity) => identity,
        None => verifier.verify(token, now),
    };
    identity.map_err(|error| match error {
        TokenError::Invalid => Code::TokenInvalid.with("the token does not verify"),
        TokenError::Expired => Code::TokenExpired.with("the token has expired"),
    })
}

fn caller(identity: Identity) -> Caller {
    Caller {
        user_id: identity.user_id,
        display_name: identity.display_name,
        trusted: identity.is_owner || identity.is_admin,
        owner: identity.is_owner,
        expires_at: identity.expires_at_ms,
    }
}

/// Whether tokens can be verified at all.
///
/// # Errors
/// 503 `CONFIG_MISSING`, with what to do about it.
pub(crate) fn check_config(env: &Env) -> Result<(), Problem> {
    verifier(env)?;
    issuers::configured(env).map(drop)
}

thread_local! {
    /// The verifier of this isolate's secret, or why there is none.
    static VERIFIER: OnceCell<Result<Rc<Verifier>, Problem>> = const { OnceCell::new() };
}

fn verifier(env: &Env) -> Result<Rc<Verifier>, Problem> {
    let make = || {
        let secret =
            config::jwt_secret(env).ok_or_else(|| config::missing("the server has no JWT_SECRET"))?;
        Verifier::new(secret.as_bytes())
            .map(Rc::new)
            .map_err(|_| config::missing("the server's JWT_SECRET has fewer than 32 bytes"))
    };
    VERIFIER.with(|verifier| verifier.get_or_init(make).clone())
}
