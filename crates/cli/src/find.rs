//! What people call a channel or a message, and what that is.

use std::io::Read;

use edgewise_client::{Channel, Client, Error, Message, Position};
use uuid::Uuid;

use crate::failure::{Failure, asked};

/// A channel by its id or its name, with or without `#`.
pub(crate) async fn channel(client: &Client, named: &str) -> Result<Channel, Failure> {
    if Uuid::try_parse(named).is_ok() {
        return Ok(client.channel(named).await?);
    }
    let name = named.strip_prefix('#').unwrap_or(named);
    let channels = client.channels().await?;
    let names = channels.iter().map(|channel| channel.name.as_str()).collect::<Vec<_>>().join(", ");
    let mut found = channels.into_iter().filter(|channel| channel.name == name);
    match (found.next(), found.count()) {
        (Some(channel), 0) => Ok(channel),
        (Some(_), more) => {
            Err(asked(format!("there are {} channels named {name}: give the id of one", more + 1)))
        }
        (None, _) if names.is_empty() => Err(asked("there is no channel that you may see")),
        (None, _) => Err(asked(format!("there is no channel named {name}, but {names}"))),
    }
}

/// A message by its number in the channel, with or without `#`, or by its id.
pub(crate) async fn message(client: &Client, channel_id: &str, named: &str) -> Result<Message, Failure> {
    let Ok(sequence) = named.strip_prefix('#').unwrap_or(named).parse::<u64>() else {
        return Ok(client.message(channel_id, named).await?);
    };
    let page = client.history(channel_id, Position::Around(sequence), Some(1)).await?;
    let found = page.messages.into_iter().find(|message| message.server_sequence == sequence);
    found.ok_or_else(|| asked(format!("there is no message {sequence}, or none any more")))
}

/// A text as given, or from standard input where it is `-`.
pub(crate) fn text(given: String) -> Result<String, Failure> {
    if given != "-" {
        return Ok(given);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// Whether a refusal says that there was nothing to do.
pub(crate) fn is_gone(error: &Error) -> bool {
    matches!(error.code(), Some("MESSAGE_NOT_FOUND" | "REACTION_NOT_FOUND"))
}
