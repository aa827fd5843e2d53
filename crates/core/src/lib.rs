//! Everything that is chat and not Cloudflare: the schema, the rules of content, the SQL, the channel engine.
//!
//! Nothing in here has a clock, randomness or a network of its own: they come in as traits, so that the same
//! code runs in workerd and, under a seeded scheduler, in the tests.

#![warn(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod access;
pub mod audit;
pub mod content;
pub mod database;
pub mod emoji;
pub mod engine;
pub mod envelope;
mod erasure;
pub mod hops;
pub mod identity;
pub mod ids;
pub mod mentions;
pub mod message;
pub mod moderator;
pub mod names;
pub mod permissions;
pub mod problem;
pub mod proto;
pub mod read;
pub mod signature;
pub mod token;
mod unread;
pub mod write;
