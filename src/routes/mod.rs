//! The routes: one file for each thing that a client can ask for.
//!
//! A route says in HTTP's words what is asked and what the answer is: whose id stands where in the path, which
//! fields a body has, which status goes with which outcome. It never says who may do what.

pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod bans;
pub(crate) mod changes;
pub(crate) mod channels;
pub(crate) mod gossip;
pub(crate) mod history;
pub(crate) mod invites;
pub(crate) mod last_read;
pub(crate) mod members;
pub(crate) mod messages;
pub(crate) mod operations;
pub(crate) mod presence;
pub(crate) mod reactions;
pub(crate) mod roles;
pub(crate) mod socket;
pub(crate) mod typing;
pub(crate) mod users;
