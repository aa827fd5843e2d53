//! What the black-box tests share: the server under test, who speaks to it, and what they expect to hear.
//!
//! A test reads like a conversation. It opens a [`Room`], a channel of its own on the server that all tests share,
//! lets [`User`]s speak in it over HTTP, and listens with [`Socket`]s.

pub mod ask;
mod author;
pub mod command;
mod http;
mod issuer;
mod key;
mod node;
mod raw;
mod room;
mod routes;
mod server;
mod socket;
mod store;
mod token;

pub use author::{Author, Note, Signed};
pub use http::{Answer, Call};
pub use issuer::{Issuer, KeyServer};
pub use key::{Key, Login};
pub use raw::exchange;
pub use room::{Room, User};
pub use routes::{payloads, routes};
pub use server::{SECRET, Server};
pub use socket::{Dial, Frame, Socket};
pub use store::Store;
pub use token::{Token, now};
