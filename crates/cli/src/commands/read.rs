use clap::Args;
use edgewise_client::LastRead;

use super::channels::many;
use crate::{context::Context, failure::Failure, find};

/// Mark a channel as read.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edgewise read general
  edgewise read general --up-to 12
  edgewise read general --up-to 12 --back")]
pub(crate) struct Read {
    /// A channel's name or id.
    channel: String,
    /// The number of the last message read; everything where none is given.
    #[arg(long, value_name = "NUMBER")]
    up_to: Option<u64>,
    /// Go back, so that later messages are unread again.
    #[arg(long, requires = "up_to")]
    back: bool,
}

impl Read {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let channel = find::channel(&context.client, &self.channel).await?;
        let sequence = self.up_to.unwrap_or(channel.last_sequence);
        let read = if self.back {
            context.client.reset_read(&channel.id, sequence).await?
        } else {
            context.client.mark_read(&channel.id, sequence).await?
        };
        let text = |read: &LastRead| {
            let (unread, mentions) = (many(read.unread_count), many(read.mention_count));
            format!("read up to #{}; {unread} unread, mentions: {mentions}", read.last_sequence)
        };
        Ok(context.screen.line(&read, text)?)
    }
}
