use clap::Args;

use crate::{context::Context, failure::Failure, find};

/// React to a message, or take a reaction back.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  edgewise react general 12 👍\n  edgewise react general 12 👍 --remove")]
pub(crate) struct React {
    /// A channel's name or id.
    channel: String,
    /// A message's number or id.
    message: String,
    /// With what.
    emoji: String,
    /// Take it back.
    #[arg(long)]
    remove: bool,
}

impl React {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let channel = find::channel(&context.client, &self.channel).await?;
        let message = find::message(&context.client, &channel.id, &self.message).await?;
        if self.remove {
            return Ok(context.client.unreact(&channel.id, &message.id, &self.emoji).await?);
        }
        let summary = context.client.react(&channel.id, &message.id, &self.emoji).await?;
        let text =
            |summary: &edgewise_client::ReactionSummary| format!("{} {}", summary.emoji, summary.count);
        Ok(context.screen.line(&summary, text)?)
    }
}
