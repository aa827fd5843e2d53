//! What only some may do: one file per thing that is administered.

mod invites;

use clap::{Args, Subcommand};

use crate::{context::Context, failure::Failure};

/// Administer the server; each needs its permission.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  edgewise admin invites create --uses 1")]
pub(crate) struct Admin {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Invites(invites::Invites),
}

impl Admin {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self.what {
            What::Invites(command) => command.run(context).await,
        }
    }
}
