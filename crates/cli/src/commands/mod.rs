//! One file per command, each with its arguments and what it does.

mod admin;
mod channels;
mod create;
mod delete;
mod edit;
mod history;
mod login;
mod logout;
mod members;
mod react;
mod read;
mod replay;
mod send;
mod tail;

use clap::Subcommand;

use crate::{context::Context, failure::Failure};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Login(login::Login),
    Logout(logout::Logout),
    Channels(channels::Channels),
    Create(create::Create),
    Send(send::Send),
    History(history::History),
    Tail(tail::Tail),
    React(react::React),
    Edit(edit::Edit),
    Delete(delete::Delete),
    Read(read::Read),
    Members(members::Members),
    Replay(replay::Replay),
    Admin(admin::Admin),
}

impl Command {
    /// Whether it speaks as someone: all do but those that say who.
    pub(crate) const fn needs_token(&self) -> bool {
        !matches!(self, Self::Login(_) | Self::Logout(_))
    }

    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self {
            Self::Login(command) => command.run(context).await,
            Self::Logout(command) => command.run(context).await,
            Self::Channels(command) => command.run(context).await,
            Self::Create(command) => command.run(context).await,
            Self::Send(command) => command.run(context).await,
            Self::History(command) => command.run(context).await,
            Self::Tail(command) => command.run(context).await,
            Self::React(command) => command.run(context).await,
            Self::Edit(command) => command.run(context).await,
            Self::Delete(command) => command.run(context).await,
            Self::Read(command) => command.run(context).await,
            Self::Members(command) => command.run(context).await,
            Self::Replay(command) => command.run(context).await,
            Self::Admin(command) => command.run(context).await,
        }
    }
}
