//! The contract, held against the real Worker in workerd, with D1 and hibernating sockets. One file a resource.

mod access;
mod audit;
mod bodies;
mod changes;
mod channels;
mod chaos;
mod cli;
mod cost;
mod hibernation;
mod history;
mod http;
mod live;
mod members;
mod mentions;
mod messages;
mod ordering;
mod presence;
mod reactions;
mod read_state;
mod recovery;
mod replay;
mod requests;
mod roles;
mod signed;
mod socket;
mod tokens;
