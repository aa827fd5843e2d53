//! Settings: the names of bindings and variables, and their defaults.
//!
//! Read where they are needed, so that what is missing is an answer of the routes that need it and of no other.

use edgewise_core::{
    envelope::{Network, Rules},
    ids::ChannelId,
    problem::{Code, Problem},
};
use worker::Env;

/// The D1 database.
pub(crate) const DATABASE: &str = "DB";
/// The namespace of the channels' objects.
pub(crate) const CHANNELS: &str = "CHANNELS";
/// The key that tokens are signed with.
pub(crate) const JWT_SECRET: &str = "JWT_SECRET";

/// A variable's or secret's text, where it is there and not empty.
fn text(env: &Env, name: &str) -> Option<String> {
    env.var(name).ok().map(|value| value.to_string()).filter(|value| !value.is_empty())
}

fn is_true(env: &Env, name: &str) -> bool {
    text(env, name).is_some_and(|value| value == "true")
}

/// The key that tokens are signed with.
pub(crate) fn jwt_secret(env: &Env) -> Option<String> {
    text(env, JWT_SECRET)
}

/// Who may register: `open`, `invite` or `closed`.
pub(crate) fn registration(env: &Env) -> String {
    text(env, "REGISTRATION").unwrap_or_else(|| "open".into())
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
