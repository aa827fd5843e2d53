//! The REST routes, one file per resource.

mod bans;
mod channels;
mod identity;
mod invites;
mod members;
mod messages;
mod operations;
mod presence;
mod reactions;
mod read_state;
mod roles;
mod users;

pub use bans::BanDraft;
pub use identity::{Admission, Login};
pub(crate) use messages::signed_at;
pub use messages::{Draft, Edit, Position, Sent};
pub use roles::RoleDraft;
