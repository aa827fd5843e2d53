//! Whether messages are what their authors signed: what a server can't change unnoticed.
//!
//! A [`Witness`] looks at every message before anyone else does. It verifies the envelope, holds it against what the
//! server says around it, and remembers what it has seen: a key is one user's and a user has one key, a signature is
//! one message's, and what was signed once is never shown unsigned or in an older state afterwards.
//!
//! Who a key belongs to is learnt at its first use, so the first use has to be trusted, or [`Witness::hold`] told
//! before. What nobody signs stays the server's word: the time of sending, the sender's name, reactions, deletions, the
//! order of messages, and what an edited message answers where its first state was never seen.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use edgewise_core::{
    envelope::{Network, Said, Sealed},
    ids::ChannelId,
    mentions::Mentions,
};
use serde::{Deserialize, Serialize};

use crate::Message;

#[cfg(test)]
mod tests;

/// Of how many messages it is remembered what was seen. Beyond, the oldest are forgotten.
const REMEMBERED: usize = 100_000;

/// Whether a message is what its author signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authenticity {
    /// Nobody signed it: it is the server's word.
    #[default]
    Unsigned,
    /// Its sender signed what it says, for this channel.
    Verified,
    /// It is not what its sender signed, or is no longer shown as signed: not to be believed.
    Forged,
}

/// Why a message is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Forgery {
    #[error("the envelope is signed by nobody")]
    Signature,
    #[error("the envelope is for another place, or for nothing of this kind")]
    Place,
    #[error("the message is not what the envelope says")]
    Altered,
    #[error("the key is another user's, or the user has another key")]
    Key,
    #[error("the signature is another message's")]
    Twice,
    #[error("the message was signed before")]
    Stripped,
    #[error("the envelope was replaced by a later one before")]
    Older,
}

/// What was seen of a signed message.
#[derive(Clone, Debug)]
struct Seen {
    revision: u64,
    timestamp: u64,
    digest: String,
    /// Of the envelope that it was sent with, where that was seen, and what it answers.
    sent: Option<(String, Option<String>)>,
}

/// What an envelope proves of a message.
struct Proof {
    key: String,
    timestamp: u64,
    digest: String,
    said: Said,
}

#[derive(Debug, Default)]
struct Memory {
    keys: HashMap<String, String>,
    users: HashMap<String, String>,
    /// Messages by the digest of the envelope that they were sent with.
    sent: HashMap<String, String>,
    seen: HashMap<String, Seen>,
    /// The ids in `seen`, as they came.
    order: VecDeque<String>,
}

/// Looks at messages. Cheap to clone; clones share what they remember.
#[derive(Clone, Debug, Default)]
pub struct Witness {
    network: Network,
    memory: Arc<Mutex<Memory>>,
}

impl Witness {
    /// A witness of messages of a network.
    #[must_use]
    pub fn new(network: Network) -> Self {
        Self { network, memory: Arc::default() }
    }

    /// The network whose messages it knows.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Holds a user to a key (lowercase hex), known from elsewhere. False where either is held to another already.
    pub fn hold(&self, user_id: &str, key: &str) -> bool {
        let mut memory = self.memory();
        let free = memory.is_theirs(user_id, key);
        if free {
            memory.bind(user_id, key);
        }
        free
    }

    /// Looks at a message of a channel, and says in it what it is. A verified one then says what its envelope says.
    pub fn look(&self, channel_id: Option<&str>, message: &mut Message) {
        message.authenticity = self.judge(channel_id, message).unwrap_or(Authenticity::Forged);
    }

    /// Forgets in which states messages were seen: the server was restored from an earlier time. Who has which key,
    /// and which signature is which message's, stays.
    pub(crate) fn server_was_restored(&self) {
        self.memory().seen.retain(|_, seen| {
            (seen.revision, seen.timestamp) = (0, 0);
            seen.sent.is_some()
        });
    }

    fn judge(&self, channel_id: Option<&str>, message: &mut Message) -> Result<Authenticity, Forgery> {
        if message.deleted {
            return Ok(Authenticity::Unsigned);
        }
        let Some(envelope) = &message.envelope else {
            self.memory().may_be_unsigned(message)?;
            return Ok(Authenticity::Unsigned);
        };
        let proof = self.open(channel_id, message, envelope)?;
        let mut memory = self.memory();
        memory.knows_nothing_else(message, &proof)?;
        memory.take(message, proof);
        Ok(Authenticity::Verified)
    }

    /// The envelope, as it is of this very message.
    fn open(&self, channel_id: Option<&str>, message: &Message, envelope: &[u8]) -> Result<Proof, Forgery> {
        let sealed = Sealed::open(envelope).map_err(|_| Forgery::Signature)?;
        let channel = ChannelId::parse(&message.channel_id).map_err(|_| Forgery::Place)?;
        if channel_id.is_some_and(|id| !id.eq_ignore_ascii_case(&message.channel_id)) {
            return Err(Forgery::Place);
        }
        let said = sealed.said(&self.network, channel).map_err(|_| Forgery::Place)?;
        let key = sealed.author().to_string();
        let is_this = match &said {
            Said::Message { content, reply_to, .. } => {
                !message.edited
                    && content.as_str() == message.content
                    && reply_to.map(|id| id.to_string()) == message.reply_to_id
            }
            Said::Edit { message: id, content } => {
                message.edited && id.to_string() == message.id && content.as_str() == message.content
            }
        };
        if !is_this || message.sender_pubkey.as_deref() != Some(&key) {
            return Err(Forgery::Altered);
        }
        Ok(Proof { key, timestamp: sealed.timestamp(), digest: sealed.digest(), said })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn is_theirs(&self, user_id: &str, key: &str) -> bool {
        self.keys.get(user_id).is_none_or(|held| held == key)
            && self.users.get(key).is_none_or(|held| held == user_id)
    }

    fn bind(&mut self, user_id: &str, key: &str) {
        self.keys.insert(user_id.to_owned(), key.to_owned());
        self.users.insert(key.to_owned(), user_id.to_owned());
    }

    /// An unsigned state is older than the first signed one, or there is none.
    fn may_be_unsigned(&self, message: &Message) -> Result<(), Forgery> {
        match self.seen.get(&message.id) {
            Some(seen) if seen.sent.is_some() || message.revision >= seen.revision => Err(Forgery::Stripped),
            _ => Ok(()),
        }
    }

    /// Nothing that was seen before speaks against it.
    fn knows_nothing_else(&self, message: &Message, proof: &Proof) -> Result<(), Forgery> {
        if !self.is_theirs(&message.sender_id, &proof.key) {
            return Err(Forgery::Key);
        }
        if self.sent.get(&proof.digest).is_some_and(|id| *id != message.id) {
            return Err(Forgery::Twice);
        }
        let Some(seen) = self.seen.get(&message.id) else { return Ok(()) };
        let sent_otherwise = seen.sent.as_ref().is_some_and(|(digest, reply_to)| match &proof.said {
            Said::Message { .. } => *digest != proof.digest,
            Said::Edit { .. } => *reply_to != message.reply_to_id,
        });
        if sent_otherwise {
            return Err(Forgery::Altered);
        }
        // A later state has a later envelope, or the same.
        let in_order = if proof.digest == seen.digest {
            true
        } else if message.revision >= seen.revision {
            proof.timestamp > seen.timestamp
        } else {
            proof.timestamp < seen.timestamp
        };
        if in_order { Ok(()) } else { Err(Forgery::Older) }
    }

    /// Remembers a message that was verified, and has it say what was signed.
    fn take(&mut self, message: &mut Message, proof: Proof) {
        self.bind(&message.sender_id, &proof.key);
        let (content, sent) = match proof.said {
            Said::Message { content, .. } => {
                self.sent.insert(proof.digest.clone(), message.id.clone());
                (content, Some((proof.digest.clone(), message.reply_to_id.clone())))
            }
            Said::Edit { content, .. } => (content, None),
        };
        let mentions = Mentions::parse(content.as_str()).unwrap_or_default();
        message.content = content.into_string();
        (message.mention_user_ids, message.mention_role_ids) = (mentions.users, mentions.roles);

        let before = self.seen.remove(&message.id);
        if before.is_none() {
            self.order.push_back(message.id.clone());
        }
        let mut seen =
            Seen { revision: message.revision, timestamp: proof.timestamp, digest: proof.digest, sent };
        if let Some(mut before) = before {
            let sent = seen.sent.take().or(before.sent.take());
            if before.revision > seen.revision {
                seen = before;
            }
            seen.sent = sent;
        }
        self.seen.insert(message.id.clone(), seen);
        while self.order.len() > REMEMBERED {
            let forgotten = self.order.pop_front().and_then(|id| self.seen.remove(&id));
            if let Some((digest, _)) = forgotten.and_then(|seen| seen.sent) {
                self.sent.remove(&digest);
            }
        }
    }
}
