//! What only some may do: one file per thing that is administered.

mod audit;
mod bans;
mod channels;
mod invites;
mod roles;

use clap::{Args, Subcommand};

use crate::{context::Context, failure::Failure};

/// Look after roles, bans, channels, invites, and the log of what was done; each needs its permission.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edgewise admin roles create moderators --permissions ban-members,manage-messages
  edgewise admin roles give ana moderators
  edgewise admin bans add mallory --reason spam --for 7d --delete-last 24h
  edgewise admin channels delete incident-42
  edgewise admin invites create --uses 1
  edgewise admin audit --limit 20 --json | jq -r .action")]
pub(crate) struct Admin {
    #[command(subcommand)]
    of: Of,
}

#[derive(Debug, Subcommand)]
enum Of {
    Roles(roles::Roles),
    Bans(bans::Bans),
    Channels(channels::Channels),
    Invites(invites::Invites),
    Audit(audit::Audit),
}

impl Admin {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self.of {
            Of::Roles(command) => command.run(context).await,
            Of::Bans(command) => command.run(context).await,
            Of::Channels(command) => command.run(context).await,
            Of::Invites(command) => command.run(context).await,
            Of::Audit(command) => command.run(context).await,
        }
    }
}
