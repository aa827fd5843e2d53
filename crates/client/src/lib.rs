//! The native client of an Edgewise server, in three layers.
//!
//! - [`Client`]: every REST route as a typed method; what is safe to repeat is repeated.
//! - [`Connection`]: one WebSocket of one channel, frame by frame, with heartbeats and typed close codes.
//! - [`Live`]: a channel kept live over any number of connections: an ordered outbox, a local [`Store`], and a
//!   stream of changes in which nothing is missing and nothing comes twice.
//!
//! With a [`Signer`] a client signs what it sends; with or without one, every message it gives out says whether it is
//! what its author signed ([`Authenticity`]).
//!
//! ```no_run
//! # async fn example() -> Result<(), edgewise_client::Error> {
//! use edgewise_client::{Client, Position};
//!
//! let client = Client::new("http://127.0.0.1:8787", "a token")?;
//! let general = &client.channels().await?[0];
//! let sent = client.send(&general.id, "Hello from Rust").await?;
//! let page = client.history(&general.id, Position::Newest, None).await?;
//! assert_eq!(page.messages[0].id, sent.message.id);
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

mod client;
mod close;
mod connection;
mod error;
mod live;
#[cfg(test)]
mod peer;
mod rest;
mod retry;
mod signer;
pub mod store;
mod tls;
mod token;
mod types;
mod witness;

pub use client::Client;
pub use close::{Close, CloseCode};
pub use connection::{Connect, Connection, TokenPlace};
pub use edgewise_core::{envelope::Network, proto};
pub use error::{Error, FieldError, Problem};
pub use live::{Event, Events, GoLive, Live, Reconnect, Start, TypingUser};
pub use reqwest;
pub use rest::{Admission, BanDraft, Draft, Edit, Login, Position, RoleDraft, Sent};
pub use retry::Retry;
pub use signer::Signer;
pub use store::{Change, Reacted, Store};
pub use token::{BoxError, TokenSource};
pub use types::{
    AuditEntries, AuditEntry, Ban, Bans, Changes, Channel, Health, Info, Invite, Invites, LastRead, Member,
    Members, Message, Page, Permissions, Presence, PresentUser, PresentUsers, ReactingUser, ReactingUsers,
    ReactionSummary, Role, User,
};
pub use witness::{Authenticity, Witness};
