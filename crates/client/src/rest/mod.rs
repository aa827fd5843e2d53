//! The REST routes, one file per resource.

mod channels;
mod identity;
mod invites;
mod members;
mod messages;
mod operations;
mod presence;
mod reactions;
mod read_state;
mod users;

pub use identity::{Admission, Login};
pub(crate) use messages::signed_at;
pub use messages::{Draft, Edit, Position, Sent};
