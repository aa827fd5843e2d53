use clap::Args;
use edgewise_client::Channel;

use crate::{context::Context, failure::Failure, screen::plain};

/// List the channels that you may see.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  edgewise channels --json | jq -r '.id + \" \" + .name'")]
pub(crate) struct Channels {}

impl Channels {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        for channel in context.client.channels().await? {
            context.screen.line(&channel, text)?;
        }
        Ok(())
    }
}

/// `#general  12 messages, 3 unread, 1 mention  About everything`
pub(super) fn text(channel: &Channel) -> String {
    let mut counts = vec![counted(channel.last_sequence, "message")];
    if channel.unread_count > 0 {
        counts.push(format!("{} unread", many(channel.unread_count)));
    }
    if channel.mention_count > 0 {
        let plural = if channel.mention_count == 1 { "" } else { "s" };
        counts.push(format!("{} mention{plural}", many(channel.mention_count)));
    }
    if channel.private {
        counts.push("private".to_owned());
    }
    let topic = channel.topic.as_deref().filter(|topic| !topic.is_empty()).map(plain);
    let topic = topic.map_or_else(String::new, |topic| format!("  {topic}"));
    format!("#{}  {}{topic}", plain(&channel.name), counts.join(", "))
}

pub(super) fn counted(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Counts are exact up to 1,000, which stands for more as well.
pub(super) fn many(count: u32) -> String {
    if count >= 1_000 { format!("{count}+") } else { count.to_string() }
}
