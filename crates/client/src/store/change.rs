//! What happened to a channel, as a store tells it.

use serde::Serialize;

use crate::Message;

/// One change that a client shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// A message that was not there before.
    Created {
        /// As it was sent, or, where it was sent while nobody looked, as it is now.
        message: Message,
    },
    /// A message's content changed.
    Edited {
        /// What it is now; without its reactions where it is not held.
        message: Message,
        /// What its content was, where it is held.
        before: Option<String>,
    },
    /// A message was deleted.
    Deleted {
        /// The tombstone; little more than ids where the message is not held.
        message: Message,
        /// What it was, where it is held.
        before: Option<Box<Message>>,
        /// Who deleted it, where that is known.
        by: Option<String>,
    },
    /// A reaction came.
    ReactionAdded(Reacted),
    /// A reaction went.
    ReactionRemoved(Reacted),
    /// A message older than the window changed while nobody looked: how cannot be told from its present state.
    Touched {
        /// As it is now.
        message: Message,
    },
    /// Everything shown so far gives way to these messages: the first that are there, or all that are left after the
    /// server was restored from an earlier time.
    Resynced {
        /// The window, oldest first.
        messages: Vec<Message>,
        /// The channel's revision.
        revision: u64,
    },
}

impl Change {
    /// The channel's revision at this change, or at the last of several that are told as one.
    #[must_use]
    pub fn revision(&self) -> u64 {
        match self {
            Self::Created { message }
            | Self::Edited { message, .. }
            | Self::Deleted { message, .. }
            | Self::Touched { message } => message.revision,
            Self::ReactionAdded(reacted) | Self::ReactionRemoved(reacted) => reacted.revision,
            Self::Resynced { revision, .. } => *revision,
        }
    }
}

/// A reaction that came or went.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reacted {
    /// The message's id.
    pub message_id: String,
    /// The message afterwards, where it is held.
    pub message: Option<Message>,
    /// With what.
    pub emoji: String,
    /// Who; `None` where only the count is known.
    pub user_id: Option<String>,
    /// How many users now have this emoji on the message.
    pub count: u32,
    /// The channel's revision.
    pub revision: u64,
}

impl Reacted {
    pub(super) fn by(user_id: String, message_id: String, emoji: String, count: u32, revision: u64) -> Self {
        Self { message_id, message: None, emoji, user_id: Some(user_id), count, revision }
    }
}
