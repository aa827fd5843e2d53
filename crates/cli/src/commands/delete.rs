use clap::Args;

use crate::{context::Context, failure::Failure, find};

/// Delete a message.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  edgewise delete general 12")]
pub(crate) struct Delete {
    /// A channel's name or id.
    channel: String,
    /// A message's number or id.
    message: String,
}

impl Delete {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let channel = find::channel(&context.client, &self.channel).await?;
        let message = find::message(&context.client, &channel.id, &self.message).await?;
        Ok(context.client.delete(&channel.id, &message.id).await?)
    }
}
