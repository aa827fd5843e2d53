//! What can be asked of a live channel: as a frame, over REST, and what is answered.

use edgewise_core::proto::{
    AddReactionRequest, DeleteMessageRequest, EditMessageRequest, RemoveReactionRequest, SendMessageRequest,
    UpdateLastReadRequest, envelope::Payload,
};

use crate::{Client, Draft, Edit, Error, LastRead, Message, Problem, ReactionSummary, Sent};

/// A request that waits in the outbox. Every one is safe to repeat.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Send(Draft),
    Edit { message_id: String, edit: Edit },
    Delete { message_id: String },
    React { message_id: String, emoji: String },
    Unreact { message_id: String, emoji: String },
    MarkRead { last_sequence: u64 },
}

/// What a request came to.
#[derive(Debug)]
pub(crate) enum Reply {
    Sent(Box<Sent>),
    Message(Box<Message>),
    Reaction(ReactionSummary),
    LastRead(LastRead),
    Done,
}

impl Request {
    /// As it travels over the socket.
    pub(crate) fn payload(&self) -> Payload {
        match self.clone() {
            Self::Send(Draft::Plain { content, reply_to_id, nonce }) => {
                let nonce = nonce.unwrap_or_default();
                let envelope = Vec::new();
                Payload::SendMessageRequest(SendMessageRequest { content, reply_to_id, nonce, envelope })
            }
            Self::Send(Draft::Signed(envelope)) => {
                Payload::SendMessageRequest(SendMessageRequest { envelope, ..SendMessageRequest::default() })
            }
            Self::Edit { message_id, edit } => {
                let (content, envelope) = match edit {
                    Edit::Plain(content) => (content, Vec::new()),
                    Edit::Signed(envelope) => (String::new(), envelope),
                };
                Payload::EditMessageRequest(EditMessageRequest { message_id, content, envelope })
            }
            Self::Delete { message_id } => Payload::DeleteMessageRequest(DeleteMessageRequest { message_id }),
            Self::React { message_id, emoji } => {
                Payload::AddReactionRequest(AddReactionRequest { message_id, emoji })
            }
            Self::Unreact { message_id, emoji } => {
                Payload::RemoveReactionRequest(RemoveReactionRequest { message_id, emoji })
            }
            Self::MarkRead { last_sequence } => {
                Payload::UpdateLastReadRequest(UpdateLastReadRequest { last_sequence, allow_decrease: false })
            }
        }
    }

    /// The same by REST, for a server that does not take it over the socket.
    pub(crate) async fn over_rest(self, client: &Client, channel_id: &str) -> Result<Reply, Error> {
        Ok(match self {
            Self::Send(draft) => Reply::Sent(Box::new(client.send(channel_id, draft).await?)),
            Self::Edit { message_id, edit } => {
                Reply::Message(Box::new(client.edit(channel_id, &message_id, edit).await?))
            }
            Self::Delete { message_id } => {
                client.delete(channel_id, &message_id).await?;
                Reply::Done
            }
            Self::React { message_id, emoji } => {
                Reply::Reaction(client.react(channel_id, &message_id, &emoji).await?)
            }
            Self::Unreact { message_id, emoji } => {
                client.unreact(channel_id, &message_id, &emoji).await?;
                Reply::Done
            }
            Self::MarkRead { last_sequence } => {
                Reply::LastRead(client.mark_read(channel_id, last_sequence).await?)
            }
        })
    }

    /// What the server's answer means to this request.
    pub(crate) fn reply(&self, answer: Payload) -> Result<Reply, Error> {
        let ack = match answer {
            Payload::Ack(ack) => ack,
            Payload::Error(error) => return Err(Problem::from(error).into()),
            _ => return Err(unexpected()),
        };
        match self {
            Self::Send(_) => {
                let message = ack.message.ok_or_else(unexpected)?.into();
                Ok(Reply::Sent(Box::new(Sent { message, replayed: ack.replayed })))
            }
            Self::Edit { .. } => Ok(Reply::Message(Box::new(ack.message.ok_or_else(unexpected)?.into()))),
            Self::React { .. } => ack.reaction.map(Reply::Reaction).ok_or_else(unexpected),
            Self::MarkRead { .. } => {
                ack.last_read.map(|read| Reply::LastRead(read.into())).ok_or_else(unexpected)
            }
            Self::Delete { .. } | Self::Unreact { .. } => Ok(Reply::Done),
        }
    }

    /// The code with which a repeated request finds that it had taken effect the first time.
    pub(crate) fn done_code(&self) -> Option<&'static str> {
        match self {
            Self::Delete { .. } => Some("MESSAGE_NOT_FOUND"),
            Self::Unreact { .. } => Some("REACTION_NOT_FOUND"),
            Self::Send(_) | Self::Edit { .. } | Self::React { .. } | Self::MarkRead { .. } => None,
        }
    }
}

impl Reply {
    pub(crate) fn sent(self) -> Result<Sent, Error> {
        if let Self::Sent(sent) = self { Ok(*sent) } else { Err(unexpected()) }
    }

    pub(crate) fn message(self) -> Result<Message, Error> {
        if let Self::Message(message) = self { Ok(*message) } else { Err(unexpected()) }
    }

    pub(crate) fn reaction(self) -> Result<ReactionSummary, Error> {
        if let Self::Reaction(reaction) = self { Ok(reaction) } else { Err(unexpected()) }
    }

    pub(crate) fn last_read(self) -> Result<LastRead, Error> {
        if let Self::LastRead(read) = self { Ok(read) } else { Err(unexpected()) }
    }
}

fn unexpected() -> Error {
    Error::Answer("this answer does not belong to the request".into())
}
