//! What a channel can be asked to change, parsed and checked as far as that goes without the database.
//!
//! Every way in (REST, a socket's frame, gossip) becomes a [`Command`] by [`Command::parse`], so that the same rules,
//! codes and limits hold on all of them.

use sha2::{Digest, Sha256};

use crate::{
    content::Content,
    emoji::Emoji,
    ids::{InvalidId, MessageId, Nonce, Sequence, UserId},
    mentions::Mentions,
    problem::{Code, Problem},
    proto::{self, envelope::Payload},
};

/// A new message.
#[derive(Debug, Clone)]
pub struct Send {
    pub(crate) content: Content,
    pub(crate) mentions: Mentions,
    pub(crate) reply_to: Option<MessageId>,
    pub(crate) nonce: Option<Nonce>,
    /// Of what was asked for: a repeated nonce must ask for the same.
    pub(crate) digest: String,
}

/// One change, wanted by one user.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "named after the requests 132 to 137")]
pub enum Command {
    Send(Send),
    Edit { message: MessageId, content: Content, mentions: Mentions },
    Delete { message: MessageId },
    React { message: MessageId, emoji: Emoji },
    Unreact { message: MessageId, emoji: Emoji },
    MarkRead { sequence: Sequence, allow_decrease: bool },
    AddMember { user: UserId },
    RemoveMember { user: UserId },
    DeleteChannel,
}

impl Command {
    /// Parses one of the requests 132 to 137.
    ///
    /// # Errors
    /// 400 `ID_INVALID`, 400 `REQUEST_UNSUPPORTED` for any other payload, and the 422 of the field that is wrong.
    pub fn parse(request: Payload) -> Result<Self, Problem> {
        match request {
            Payload::SendMessageRequest(request) => Self::send(&request),
            Payload::EditMessageRequest(request) => Self::edit(&request),
            Payload::DeleteMessageRequest(request) => {
                Ok(Self::Delete { message: MessageId::parse(&request.message_id)? })
            }
            Payload::AddReactionRequest(request) => Ok(Self::React {
                message: MessageId::parse(&request.message_id)?,
                emoji: emoji(&request.emoji)?,
            }),
            Payload::RemoveReactionRequest(request) => Ok(Self::Unreact {
                message: MessageId::parse(&request.message_id)?,
                emoji: emoji(&request.emoji)?,
            }),
            Payload::UpdateLastReadRequest(request) => {
                // Above 2^53 no channel has messages; SQLite's integers end at 2^63.
                let sequence = request.last_sequence.min(1 << 53);
                Ok(Self::MarkRead { sequence, allow_decrease: request.allow_decrease })
            }
            _ => Err(Code::RequestUnsupported.with("this server does not take this request")),
        }
    }

    fn send(request: &proto::SendMessageRequest) -> Result<Self, Problem> {
        if !request.envelope.is_empty() {
            return Err(unsigned_only());
        }
        let reply_to = request.reply_to_id.as_deref().map(MessageId::parse).transpose()?;
        let nonce = match request.nonce.as_str() {
            "" => None,
            text => Some(Nonce::parse(text).map_err(|_| {
                Code::NonceInvalid.with(format!("a nonce has 1 to {} characters", Nonce::MAX_LENGTH))
            })?),
        };
        let (content, mentions) = content(&request.content)?;
        let digest = digest(&content, reply_to);
        Ok(Self::Send(Send { content, mentions, reply_to, nonce, digest }))
    }

    fn edit(request: &proto::EditMessageRequest) -> Result<Self, Problem> {
        if !request.envelope.is_empty() {
            return Err(unsigned_only());
        }
        let message = MessageId::parse(&request.message_id)?;
        let (content, mentions) = content(&request.content)?;
        Ok(Self::Edit { message, content, mentions })
    }

    /// The name under which the same may be asked for again.
    pub(crate) fn nonce(&self) -> Option<&str> {
        match self {
            Self::Send(send) => send.nonce.as_ref().map(Nonce::as_str),
            _ => None,
        }
    }

    /// About how many bytes of a commit's parameters this takes.
    pub(crate) fn weight(&self) -> usize {
        let text = match self {
            Self::Send(send) => send.content.as_str(),
            Self::Edit { content, .. } => content.as_str(),
            _ => "",
        };
        // JSON spells a control character in six bytes.
        512 + text.len() + 5 * text.bytes().filter(u8::is_ascii_control).count()
    }
}

fn unsigned_only() -> Problem {
    Code::RequestUnsupported.with("this server does not take signed messages yet")
}

fn content(text: &str) -> Result<(Content, Mentions), Problem> {
    let content = Content::parse(text)?;
    let mentions = Mentions::parse(content.as_str())?;
    Ok((content, mentions))
}

fn emoji(text: &str) -> Result<Emoji, Problem> {
    Emoji::parse(text).map_err(|error| Code::EmojiInvalid.with(error.to_string()))
}

/// 128 bits of SHA-256 over what was asked for. A digest and not the request itself: it outlives the deletion of the
/// message, which erases the text.
fn digest(content: &Content, reply_to: Option<MessageId>) -> String {
    let mut hash = Sha256::new();
    hash.update(reply_to.map(|id| id.to_string()).unwrap_or_default());
    hash.update([0]);
    hash.update(content.as_str());
    hex::encode(hash.finalize().get(..16).unwrap_or_default())
}

impl From<InvalidId> for Problem {
    fn from(error: InvalidId) -> Self {
        Code::IdInvalid.with(error.to_string())
    }
}

impl From<crate::content::ContentError> for Problem {
    fn from(error: crate::content::ContentError) -> Self {
        use crate::content::ContentError;
        let code = match error {
            ContentError::Empty => Code::ContentEmpty,
            ContentError::TooLong { .. } => Code::ContentTooLong,
        };
        code.with(error.to_string())
    }
}

impl From<crate::mentions::TooManyMentions> for Problem {
    fn from(error: crate::mentions::TooManyMentions) -> Self {
        Code::TooManyMentions.with(error.to_string())
    }
}
