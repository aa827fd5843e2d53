//! Settings: the names of bindings and variables, and their defaults.
//!
//! Read when they are first needed, so that what is missing is an answer of the routes that need it and of no other.

use std::{cell::RefCell, collections::HashMap};

use std::borrow::Cow;

use edgewise_core::{
    engine::{Limited, Rate, Rates},
    envelope::{Network, Rules},
    ids::ChannelId,
    problem::{Code, Problem},
};
use worker::Env;

/// The D1 database.
pub(crate) const DATABASE: &str = "DB";
/// The namespace of the channels' objects.
pub(crate) const CHANNELS: &str = "CHANNELS";
/// The namespace of the users' moderators.
pub(crate) const MODERATORS: &str = "MODERATORS";
/// The key that tokens are signed with.
pub(crate) const JWT_SECRET: &str = "JWT_SECRET";

thread_local! {
    /// What was read already: settings are the same for an isolate's whole life, and every look at them is a crossing
    /// into JavaScript.
    static READ: RefCell<HashMap<&'static str, Option<String>>> = RefCell::default();
}

/// A variable's or secret's text, where it is there and not empty.
fn text(env: &Env, name: &'static str) -> Option<String> {
    let read = || env.var(name).ok().map(|value| value.to_string()).filter(|value| !value.is_empty());
    READ.with_borrow_mut(|known| known.entry(name).or_insert_with(read).clone())
}

fn is_true(env: &Env, name: &'static str) -> bool {
    text(env, name).is_some_and(|value| value == "true")
}

/// The key that tokens are signed with.
pub(crate) fn jwt_secret(env: &Env) -> Option<String> {
    text(env, JWT_SECRET)
}

/// Who else's tokens are taken, as JSON.
pub(crate) fn jwt_issuers(env: &Env) -> Option<String> {
    text(env, "JWT_ISSUERS")
}

/// The rate limit of the public identity routes.
pub(crate) const AUTH_LIMIT: &str = "AUTH_LIMIT";

/// What is said where a setting is missing, or makes no sense.
pub(crate) fn missing(what: impl Into<Cow<'static, str>>) -> Problem {
    Code::ConfigMissing.with(what).retry_after(60_000)
}

/// Who may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registration {
    Open,
    Invite,
    Closed,
}

impl Registration {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Invite => "invite",
            Self::Closed => "closed",
        }
    }
}

/// Who may register.
///
/// # Errors
/// 503 `CONFIG_MISSING` for another word: a slip must not let everyone in.
pub(crate) fn registration(env: &Env) -> Result<Registration, Problem> {
    match text(env, "REGISTRATION").as_deref() {
        None | Some("open") => Ok(Registration::Open),
        Some("invite") => Ok(Registration::Invite),
        Some("closed") => Ok(Registration::Closed),
        Some(_) => Err(missing("the server's REGISTRATION is neither open, invite nor closed")),
    }
}

/// What makes who registers with it the owner, while there is none.
pub(crate) fn setup_token(env: &Env) -> Option<String> {
    text(env, "SETUP_TOKEN")
}

/// The host that logins are signed for, where it is not the one that was asked.
pub(crate) fn public_host(env: &Env) -> Option<String> {
    text(env, "PUBLIC_HOST").map(|host| host.to_ascii_lowercase())
}

/// Whether the public identity routes are limited.
pub(crate) fn limits_auth(env: &Env) -> bool {
    text(env, "RATE_LIMIT_AUTH").is_none_or(|value| value != "off")
}

/// How fast a user may write to a channel. What makes no sense stands for the default, and [`check_rates`] tells it: a
/// slip must not let everyone be as fast as they like, nor stop them.
pub(crate) fn rates(env: &Env) -> Rates {
    let of = |limited| rate(env, limited).unwrap_or(Rates::DEFAULT.of(limited));
    Rates { send: of(Limited::Send), react: of(Limited::React) }
}

/// Whether the rates make sense.
///
/// # Errors
/// 503 `CONFIG_MISSING` where `RATE_LIMIT_SEND` or `RATE_LIMIT_REACT` does not.
pub(crate) fn check_rates(env: &Env) -> Result<(), Problem> {
    [Limited::Send, Limited::React].into_iter().try_for_each(|limited| rate(env, limited).map(drop))
}

fn rate(env: &Env, limited: Limited) -> Result<Option<Rate>, Problem> {
    let name = match limited {
        Limited::Send => "RATE_LIMIT_SEND",
        Limited::React => "RATE_LIMIT_REACT",
    };
    let Some(text) = text(env, name) else { return Ok(Rates::DEFAULT.of(limited)) };
    Rate::parse(&text).map_err(|error| missing(format!("the server's {name} makes no sense: {error}")))
}

/// Whether only signed messages are taken.
pub(crate) fn requires_signatures(env: &Env) -> bool {
    is_true(env, "REQUIRE_SIGNATURES")
}

/// The network that the server's channels belong to.
///
/// # Errors
/// 503 `CONFIG_MISSING` where `GOSSIP_NETWORK` names none.
pub(crate) fn network(env: &Env) -> Result<Network, Problem> {
    let network = text(env, "GOSSIP_NETWORK").map(|name| Network::parse(&name)).transpose();
    network.map(Option::unwrap_or_default).map_err(|error| {
        Code::ConfigMissing.with(format!("the server's GOSSIP_NETWORK: {error}")).retry_after(60_000)
    })
}

/// What the messages of a channel are held to.
///
/// # Errors
/// Those of [`network`].
pub(crate) fn rules(env: &Env, channel: ChannelId) -> Result<Rules, Problem> {
    Ok(Rules { channel, network: network(env)?, required: requires_signatures(env) })
}

/// The origins whose pages may read answers; None: every one.
pub(crate) fn allowed_origins(env: &Env) -> Option<Vec<String>> {
    let list = text(env, "ALLOWED_ORIGINS")?;
    let origins: Vec<String> =
        list.split(',').map(|origin| origin.trim().trim_end_matches('/').to_owned()).collect();
    (!origins.iter().any(|origin| origin == "*")).then_some(origins)
}

/// Whether answers say what they cost the database, in `x-edgewise-cost` and `x-edgewise-commit`. For tests.
pub(crate) fn exposes_cost(env: &Env) -> bool {
    is_true(env, "EXPOSE_COST")
}
