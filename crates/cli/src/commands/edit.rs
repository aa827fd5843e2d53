use clap::Args;

use crate::{context::Context, failure::Failure, find};

/// Replace the text of one of your messages.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  edgewise edit general 12 'What I meant to say'")]
pub(crate) struct Edit {
    /// A channel's name or id.
    channel: String,
    /// A message's number or id.
    message: String,
    /// The new text; `-` reads it from standard input.
    text: String,
}

impl Edit {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let channel = find::channel(&context.client, &self.channel).await?;
        let message = find::message(&context.client, &channel.id, &self.message).await?;
        let text = find::text(self.text)?;
        let edited = context.client.edit(&channel.id, &message.id, text).await?;
        Ok(context.screen.line(&edited, super::send::name)?)
    }
}
