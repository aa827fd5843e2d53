use clap::Args;
use edgewise_client::{Draft, Message};

use crate::{context::Context, failure::Failure, find};

/// Send a message.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edgewise send general 'The build is green, @user:ben'
  edgewise send general --reply-to 12 'Same here'
  edgewise send general --key ~/.edgewise-key 'I said so, and nobody else'
  git log --oneline -5 | edgewise send general -")]
pub(crate) struct Send {
    /// A channel's name or id.
    channel: String,
    /// What to say; `-` reads it from standard input.
    text: String,
    /// The message that this answers.
    #[arg(long, value_name = "MESSAGE")]
    reply_to: Option<String>,
}

impl Send {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let channel = find::channel(&context.client, &self.channel).await?;
        let mut draft = Draft::new(find::text(self.text)?);
        if let Some(target) = &self.reply_to {
            draft = draft.reply_to(find::message(&context.client, &channel.id, target).await?.id);
        }
        let sent = context.client.send(&channel.id, draft).await?;
        Ok(context.screen.line(&sent.message, name)?)
    }
}

/// By what a message can be named from now on: `#12 0190…`.
pub(super) fn name(message: &Message) -> String {
    format!("#{} {}", message.server_sequence, message.id)
}
