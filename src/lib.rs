//! The Worker: a thin shell around `edgewise-core`.
//!
//! It knows HTTP, sockets and Cloudflare; no rule of chat is decided here. A request is routed (`router.rs`), its
//! token verified (`auth.rs`), its body read (`body.rs`); a read asks the database (`d1.rs`), a write goes to the
//! channel's object (`object.rs`, `channel.rs`); what comes back is told as JSON or protobuf (`reply.rs`).
//!
//! On wasm32 only: natively this package is empty.
#![cfg(target_arch = "wasm32")]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod auth;
mod auth_limit;
mod body;
mod border;
mod call;
mod channel;
mod config;
mod cors;
mod d1;
mod hop;
mod issuers;
mod moderator;
mod object;
mod query;
mod random;
mod reply;
mod router;
mod routes;
mod webcrypto;

use worker::{Context, Env, Result, event};

#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, context: Context) -> Result<web_sys::Response> {
    router::answer(request, env, context).await
}
