use clap::Args;
use edgewise_client::{Client, Error, Message, Position};

use crate::{context::Context, failure::Failure, find};

/// The longest page that the server gives.
const PAGE: usize = 100;

/// Print messages of the past, oldest first.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edgewise history general
  edgewise history general --before 120 --limit 20
  edgewise history general --around 57
  edgewise history general --limit 5000 --json > general.jsonl

A ✓ before a message's number says that its author signed what it says, a ✗ that it is not what its author
signed; without a mark it is the server's word.")]
pub(crate) struct History {
    /// A channel's name or id.
    channel: String,
    /// How many messages at most.
    #[arg(long, short = 'n', default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Only messages before this number.
    #[arg(long, value_name = "NUMBER", group = "position")]
    before: Option<u64>,
    /// Only messages after this number, the nearest ones.
    #[arg(long, value_name = "NUMBER", group = "position")]
    after: Option<u64>,
    /// This message and what is around it, 100 at most.
    #[arg(long, value_name = "NUMBER", group = "position")]
    around: Option<u64>,
}

impl History {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let channel = find::channel(&context.client, &self.channel).await?;
        let (client, limit) = (&context.client, usize::try_from(self.limit).unwrap_or(usize::MAX));
        let messages = match (self.before, self.after, self.around) {
            (_, Some(after), _) => forwards(client, &channel.id, after, limit).await?,
            (_, _, Some(around)) => {
                let around = Position::Around(around);
                let mut messages = client.history(&channel.id, around, Some(self.limit)).await?.messages;
                messages.reverse();
                messages
            }
            (Some(before), _, _) => backwards(client, &channel.id, Position::Before(before), limit).await?,
            (None, None, None) => backwards(client, &channel.id, Position::Newest, limit).await?,
        };
        for message in &messages {
            context.screen.message(message)?;
        }
        Ok(())
    }
}

/// Up to so many messages from a position back, page by page; oldest first.
async fn backwards(
    client: &Client,
    channel_id: &str,
    mut position: Position,
    limit: usize,
) -> Result<Vec<Message>, Error> {
    let mut messages: Vec<Message> = Vec::new();
    while messages.len() < limit {
        let page = client.history(channel_id, position, page_limit(limit - messages.len())).await?;
        messages.extend(page.messages);
        match messages.last() {
            Some(oldest) if page.has_more => position = Position::Before(oldest.server_sequence),
            _ => break,
        }
    }
    messages.reverse();
    Ok(messages)
}

/// Up to so many messages after a number, page by page; oldest first.
async fn forwards(
    client: &Client,
    channel_id: &str,
    after: u64,
    limit: usize,
) -> Result<Vec<Message>, Error> {
    let mut messages: Vec<Message> = Vec::new();
    let mut after = after;
    while messages.len() < limit {
        let position = Position::After(after);
        let page = client.history(channel_id, position, page_limit(limit - messages.len())).await?;
        messages.extend(page.messages.into_iter().rev());
        match messages.last() {
            Some(newest) if page.has_newer => after = newest.server_sequence,
            _ => break,
        }
    }
    Ok(messages)
}

fn page_limit(wanted: usize) -> Option<u32> {
    u32::try_from(wanted.min(PAGE)).ok()
}
