use clap::{Args, Subcommand};

use crate::{commands::channels::text, context::Context, failure::Failure, find};

/// Change and delete channels, and say who is in them; a CHANNEL is a channel's name or id.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edgewise admin channels change general --topic 'About everything'
  edgewise admin channels add incident-42 ana
  edgewise admin channels kick general mallory
  edgewise admin channels delete incident-42")]
pub(crate) struct Channels {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Change a channel's name or topic; what is not named stays.
    Change {
        /// A channel's name or id.
        channel: String,
        /// Another name.
        #[arg(long)]
        name: Option<String>,
        /// What it is about.
        #[arg(long)]
        topic: Option<String>,
    },
    /// Delete a channel with everything in it.
    Delete {
        /// A channel's name or id.
        channel: String,
    },
    /// Add a member.
    Add {
        /// A channel's name or id.
        channel: String,
        /// A user's id.
        user: String,
    },
    /// Remove a member, and close their connections.
    Kick {
        /// A channel's name or id.
        channel: String,
        /// A user's id.
        user: String,
    },
}

impl Channels {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let client = &context.client;
        match self.what {
            What::Change { channel, name, topic } => {
                let id = find::channel(client, &channel).await?.id;
                let channel = client.update_channel(&id, name.as_deref(), topic.as_deref()).await?;
                Ok(context.screen.line(&channel, text)?)
            }
            What::Delete { channel } => {
                Ok(client.delete_channel(&find::channel(client, &channel).await?.id).await?)
            }
            What::Add { channel, user } => {
                Ok(client.add_member(&find::channel(client, &channel).await?.id, &user).await?)
            }
            What::Kick { channel, user } => {
                Ok(client.remove_member(&find::channel(client, &channel).await?.id, &user).await?)
            }
        }
    }
}
