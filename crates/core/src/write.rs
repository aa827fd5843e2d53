//! What is written without a channel's object: nothing that has an order among a channel's changes, and nothing that
//! its sockets are told. Everything else goes through the [`engine`](crate::engine).

pub mod bans;
pub mod channels;
pub mod decision;
pub mod invites;
pub mod roles;
pub mod users;
