//! What a channel can be asked to change, parsed and checked as far as that goes without the database.
//!
//! Every way in (REST, a socket's frame, gossip) becomes a [`Command`] by [`Command::parse`], so that the same rules,
//! codes and limits hold on all of them.

use sha2::{Digest, Sha256};

use crate::{
    content::Content,
    emoji::Emoji,
    envelope::{Rules, Said, Seal, Sealed},
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
    /// Its author's proof, where it is signed.
    pub(crate) seal: Option<Box<Seal>>,
}

/// A message's new content.
#[derive(Debug, Clone)]
pub struct Edit {
    pub(crate) message: MessageId,
    pub(crate) content: Content,
    pub(crate) mentions: Mentions,
    /// Its author's proof, where it is signed.
    pub(crate) seal: Option<Box<Seal>>,
}

/// Whether a request's envelope has its signature verified, or came from where that was done already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// To be verified.
    Unverified,
    /// Verified by this deployment's own Worker, which nobody else can speak for.
    Verified,
}

/// One change, wanted by one user.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "named after the requests 132 to 137")]
pub enum Command {
    Send(Send),
    Edit(Edit),
    Delete {
        message: MessageId,
    },
    React {
        message: MessageId,
        emoji: Emoji,
    },
    Unreact {
        message: MessageId,
        emoji: Emoji,
    },
    MarkRead {
        sequence: Sequence,
        allow_decrease: bool,
    },
    AddMember {
        user: UserId,
    },
    RemoveMember {
        user: UserId,
    },
    DeleteChannel,
    /// The next piece of what a ban promised here.
    Expel {
        user: UserId,
    },
    /// A deletion that the outbox has decided on.
    Erase {
        message: MessageId,
    },
    /// The removal of its caller's reaction that the outbox has decided on.
    EraseReaction {
        message: MessageId,
        emoji: Emoji,
    },
}

impl Command {
    /// Parses one of the requests 132 to 137, as a channel's rules have it.
    ///
    /// # Errors
    /// 400 `ID_INVALID`, 400 `REQUEST_UNSUPPORTED` for any other payload, the 422 of the field that is wrong, those of
    /// [`Sealed::open`] and [`Sealed::said`] where it is signed, and 403 `SIGNATURE_REQUIRED` where it is not.
    pub fn parse(request: Payload, rules: &Rules, signature: Signature) -> Result<Self, Problem> {
        match request {
            Payload::SendMessageRequest(request) if request.envelope.is_empty() => {
                Self::send(&request, rules)
            }
            Payload::SendMessageRequest(request) => Self::signed_send(&request, rules, signature),
            Payload::EditMessageRequest(request) if request.envelope.is_empty() => {
                Self::edit(&request, rules)
            }
            Payload::EditMessageRequest(request) => Self::signed_edit(&request, rules, signature),
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

    fn send(request: &proto::SendMessageRequest, rules: &Rules) -> Result<Self, Problem> {
        signature_not_required(rules)?;
        let reply_to = request.reply_to_id.as_deref().map(MessageId::parse).transpose()?;
        let nonce = Nonce::given(&request.nonce)?;
        Ok(Self::Send(Send::of(Content::parse(&request.content)?, reply_to, nonce, None)?))
    }

    fn signed_send(
        request: &proto::SendMessageRequest,
        rules: &Rules,
        signature: Signature,
    ) -> Result<Self, Problem> {
        let sealed = open(&request.envelope, signature)?;
        let Said::Message { content, reply_to, nonce } = sealed.said(&rules.network, rules.channel)? else {
            return Err(Code::EnvelopeMismatch.with("the envelope is an edit, and this sends a message"));
        };
        agree("content", Some(request.content.as_str()), Some(content.as_str()))?;
        agree("reply_to_id", request.reply_to_id.as_deref(), reply_to.map(|id| id.to_string()).as_deref())?;
        agree("nonce", Some(request.nonce.as_str()), nonce.as_ref().map(Nonce::as_str))?;
        Ok(Self::Send(Send::of(content, reply_to, nonce, Some(sealed.seal()))?))
    }

    fn edit(request: &proto::EditMessageRequest, rules: &Rules) -> Result<Self, Problem> {
        signature_not_required(rules)?;
        let message = MessageId::parse(&request.message_id)?;
        Ok(Self::Edit(Edit::of(message, Content::parse(&request.content)?, None)?))
    }

    fn signed_edit(
        request: &proto::EditMessageRequest,
        rules: &Rules,
        signature: Signature,
    ) -> Result<Self, Problem> {
        let sealed = open(&request.envelope, signature)?;
        let Said::Edit { message, content } = sealed.said(&rules.network, rules.channel)? else {
            return Err(Code::EnvelopeMismatch.with("the envelope is a message, and this edits one"));
        };
        if !request.message_id.is_empty() && MessageId::parse(&request.message_id)? != message {
            return Err(Code::EnvelopeMismatch.with("the envelope edits another message"));
        }
        agree("content", Some(request.content.as_str()), Some(content.as_str()))?;
        Ok(Self::Edit(Edit::of(message, content, Some(sealed.seal()))?))
    }

    /// What makes a repetition of this a repetition, and no second send.
    pub(crate) fn repeats(&self) -> Option<&str> {
        let Self::Send(send) = self else { return None };
        let nonce = send.nonce.as_ref().map(Nonce::as_str);
        nonce.or_else(|| send.seal.as_ref().map(|seal| seal.digest.as_str()))
    }

    /// About how many bytes of a commit's parameters this takes.
    pub(crate) fn weight(&self) -> usize {
        let (text, seal) = match self {
            Self::Send(send) => (send.content.as_str(), &send.seal),
            Self::Edit(edit) => (edit.content.as_str(), &edit.seal),
            _ => ("", &None),
        };
        // An envelope goes in hex.
        let signed = seal.as_ref().map_or(0, |seal| 512 + 2 * seal.envelope.len());
        // JSON spells a control character in six bytes.
        512 + text.len() + 5 * text.bytes().filter(u8::is_ascii_control).count() + signed
    }
}

impl Send {
    fn of(
        content: Content,
        reply_to: Option<MessageId>,
        nonce: Option<Nonce>,
        seal: Option<Seal>,
    ) -> Result<Self, Problem> {
        let mentions = Mentions::parse(content.as_str())?;
        let digest = digest(&content, reply_to);
        Ok(Self { content, mentions, reply_to, nonce, digest, seal: seal.map(Box::new) })
    }
}

impl Edit {
    fn of(message: MessageId, content: Content, seal: Option<Seal>) -> Result<Self, Problem> {
        let mentions = Mentions::parse(content.as_str())?;
        Ok(Self { message, content, mentions, seal: seal.map(Box::new) })
    }
}

fn signature_not_required(rules: &Rules) -> Result<(), Problem> {
    if rules.required {
        return Err(Code::SignatureRequired.with("this server takes signed messages only"));
    }
    Ok(())
}

fn open(envelope: &[u8], signature: Signature) -> Result<Sealed, Problem> {
    match signature {
        Signature::Unverified => Sealed::open(envelope),
        Signature::Verified => Sealed::opened_before(envelope),
    }
}

/// Beside an envelope the request's own fields are empty; one that is not must say what was signed.
fn agree(field: &'static str, asked: Option<&str>, signed: Option<&str>) -> Result<(), Problem> {
    match asked {
        None | Some("") => Ok(()),
        asked if asked == signed => Ok(()),
        _ => Err(Code::EnvelopeMismatch.with(format!("{field} is not what the envelope says"))),
    }
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
