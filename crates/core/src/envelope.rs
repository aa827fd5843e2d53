//! What authors sign: the one check that an envelope passes on every way in (REST, socket, gossip), and that a client
//! makes again before it shows what the envelope says.
//!
//! Two steps, since gossip asks for the key's user in between: [`Sealed::open`] finds that the key's owner signed
//! these bytes; [`Sealed::said`] finds that they are a message, or an edit, for this channel of this network. Only the
//! signed bytes and the key count: whatever else came along in the outer envelope is dropped, so that nothing travels
//! with a signature which its author did not sign.

use prost::Message as _;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{
    content::Content,
    ids::{ChannelId, MessageId, Nonce, Timestamp},
    problem::{Code, Problem},
    proto::{ChatMessage, GossipEnvelope, MessageType},
    signature::{PublicKey, Signature},
};

/// The largest envelope, in bytes.
pub const MAX_BYTES: usize = 20 << 10;

/// The latest time that an author may claim: up to here a JSON number is exact.
const MAX_TIMESTAMP: Timestamp = (1 << 53) - 1;

/// The first part of every topic: what keeps the messages of one network out of the others. 1 to 64 characters out of
/// `A-Z a-z 0-9 _ . -`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network(String);

/// A text that names no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a network's name has 1 to 64 characters out of A-Z a-z 0-9 _ . -")]
pub struct InvalidNetwork;

impl Network {
    /// Parses a network's name.
    ///
    /// # Errors
    /// [`InvalidNetwork`].
    pub fn parse(text: &str) -> Result<Self, InvalidNetwork> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if (1..=64).contains(&text.len()) && text.bytes().all(legal) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidNetwork)
        }
    }

    /// What an envelope for a channel has as its topic, in this spelling and no other.
    #[must_use]
    pub fn topic(&self, channel: ChannelId) -> String {
        format!("{}/{channel}", self.0)
    }

    /// The channel that a topic of this network names.
    ///
    /// # Errors
    /// 422 `ENVELOPE_MISMATCH` for any other topic.
    pub fn channel(&self, topic: &str) -> Result<ChannelId, Problem> {
        let channel = topic.rsplit('/').next().and_then(|id| ChannelId::parse(id).ok());
        channel
            .filter(|channel| self.topic(*channel) == topic)
            .ok_or_else(|| mismatch(format!("the topic is not {}/ and a channel's id in lower case", self.0)))
    }
}

/// `edgewise`.
impl Default for Network {
    fn default() -> Self {
        Self("edgewise".to_owned())
    }
}

/// What a channel holds the messages that are sent to it to.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The channel.
    pub channel: ChannelId,
    /// The network that it belongs to.
    pub network: Network,
    /// Whether only signed messages are taken.
    pub required: bool,
}

impl Rules {
    /// Those of a channel of the network `edgewise` that takes unsigned messages too.
    #[must_use]
    pub fn new(channel: ChannelId) -> Self {
        Self { channel, network: Network::default(), required: false }
    }
}

/// The bytes that an envelope's signature covers.
#[must_use]
pub fn signed_bytes(envelope: &GossipEnvelope) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(envelope.topic.len() + 20 + envelope.payload.len());
    bytes.extend_from_slice(envelope.topic.as_bytes());
    bytes.extend_from_slice(&envelope.message_type.to_be_bytes());
    bytes.extend_from_slice(&envelope.timestamp.to_be_bytes());
    bytes.extend_from_slice(&envelope.sequence_hint.to_be_bytes());
    bytes.extend_from_slice(&envelope.payload);
    bytes
}

/// An envelope that its author signed. What it says is yet to be read.
#[derive(Debug, Clone)]
pub struct Sealed {
    author: PublicKey,
    envelope: GossipEnvelope,
}

/// What an author said in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A new message.
    Message {
        /// Its content.
        content: Content,
        /// The message that it answers.
        reply_to: Option<MessageId>,
        /// The author's own name for this send.
        nonce: Option<Nonce>,
    },
    /// A message's new content.
    Edit {
        /// The message.
        message: MessageId,
        /// What it says now.
        content: Content,
    },
}

/// An envelope's proof, as it is stored and handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// Who signed.
    pub author: PublicKey,
    /// Of the author's key and the signed bytes: what the envelope is known by. Not of the signature, since an author
    /// can make many of one message.
    pub digest: String,
    /// The author's own time.
    pub timestamp: Timestamp,
    /// The signature, 64 bytes.
    pub signature: Vec<u8>,
    /// The envelope with these seven fields and no other.
    pub envelope: Vec<u8>,
}

impl Sealed {
    /// Reads an envelope, and verifies that it was signed with the key that it names.
    ///
    /// # Errors
    /// 422 `ENVELOPE_TOO_LARGE` above [`MAX_BYTES`], 400 `BODY_INVALID` where it does not decode, 422
    /// `SIGNATURE_INVALID`.
    pub fn open(bytes: &[u8]) -> Result<Self, Problem> {
        let sealed = Self::opened_before(bytes)?;
        let signature = Signature::from_bytes(&sealed.envelope.signature).map_err(|_| unsigned())?;
        sealed.author.verify(&signed_bytes(&sealed.envelope), &signature).map_err(|_| unsigned())?;
        Ok(sealed)
    }

    /// Reads an envelope that passed [`Self::open`] on the other side of a border that nobody else can cross, without
    /// the cost of verifying its signature again.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn opened_before(bytes: &[u8]) -> Result<Self, Problem> {
        if bytes.len() > MAX_BYTES {
            return Err(Code::EnvelopeTooLarge.with(format!("an envelope has at most {MAX_BYTES} bytes")));
        }
        let envelope = GossipEnvelope::decode(bytes)
            .map_err(|error| Code::BodyInvalid.with(format!("the envelope does not decode: {error}")))?;
        let author = PublicKey::from_bytes(&envelope.sender_pubkey).map_err(|_| unsigned())?;
        Ok(Self { author, envelope })
    }

    /// Who signed.
    #[must_use]
    pub const fn author(&self) -> &PublicKey {
        &self.author
    }

    /// Where it is meant to be read.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.envelope.topic
    }

    /// What the author said, to a channel of a network.
    ///
    /// # Errors
    /// 422 `ENVELOPE_MISMATCH` where it is for another channel or network, is of another type than CHAT or `CHAT_EDIT`,
    /// has a payload that is none or names another channel, has content that is not trimmed, or ids in another
    /// spelling than the server's; 400 `ID_INVALID`, and the 422 of content and nonce.
    pub fn said(&self, network: &Network, channel: ChannelId) -> Result<Said, Problem> {
        if self.envelope.topic != network.topic(channel) {
            return Err(mismatch("the envelope is for another channel or network"));
        }
        if self.envelope.timestamp > MAX_TIMESTAMP {
            return Err(mismatch("the envelope's timestamp is beyond 2^53"));
        }
        let payload = || {
            ChatMessage::decode(self.envelope.payload.as_slice())
                .map_err(|_| mismatch("the envelope's payload is no ChatMessage"))
        };
        match self.envelope.message_type() {
            MessageType::Chat => message(&payload()?, channel),
            MessageType::ChatEdit => edit(&payload()?, channel),
            _ => Err(mismatch("the envelope is neither of type CHAT nor of type CHAT_EDIT")),
        }
    }

    /// The author's own time, Unix milliseconds.
    #[must_use]
    pub const fn timestamp(&self) -> Timestamp {
        self.envelope.timestamp
    }

    /// Hex of SHA-256 over the author's key and the signed bytes.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.author.as_bytes());
        hash.update(signed_bytes(&self.envelope));
        let digest: [u8; 32] = hash.finalize().into();
        hex::encode(digest)
    }

    /// The proof.
    #[must_use]
    pub fn seal(self) -> Seal {
        Seal {
            author: self.author,
            digest: self.digest(),
            timestamp: self.envelope.timestamp,
            envelope: self.envelope.encode_to_vec(),
            signature: self.envelope.signature,
        }
    }
}

fn message(payload: &ChatMessage, channel: ChannelId) -> Result<Said, Problem> {
    if payload.channel_id != channel.to_string() {
        return Err(mismatch("the payload's channel_id is not the topic's channel"));
    }
    let reply_to = payload.reply_to_id.as_deref().map(message_id).transpose()?;
    Ok(Said::Message { content: content(&payload.content)?, reply_to, nonce: Nonce::given(&payload.nonce)? })
}

fn edit(payload: &ChatMessage, channel: ChannelId) -> Result<Said, Problem> {
    if !payload.channel_id.is_empty() && payload.channel_id != channel.to_string() {
        return Err(mismatch("the payload's channel_id is not the topic's channel"));
    }
    Ok(Said::Edit { message: message_id(&payload.id)?, content: content(&payload.content)? })
}

/// What was signed is what is shown: it can't be trimmed afterwards.
fn content(text: &str) -> Result<Content, Problem> {
    let content = Content::parse(text)?;
    if content.as_str() == text {
        Ok(content)
    } else {
        Err(mismatch("signed content must have no white space at its ends"))
    }
}

/// What was signed is compared with what the server says, letter by letter.
fn message_id(text: &str) -> Result<MessageId, Problem> {
    let id = MessageId::parse(text)?;
    if id.to_string() == text { Ok(id) } else { Err(mismatch("signed ids must be in lower case")) }
}

fn unsigned() -> Problem {
    Code::SignatureInvalid.with("the signature is not the author's over these bytes")
}

fn mismatch(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Code::EnvelopeMismatch.with(detail)
}
