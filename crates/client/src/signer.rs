//! A user's own key: what they send is signed with it, so that whoever receives it can tell who said it, whatever the
//! server says.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use ed25519_dalek::{Signer as _, SigningKey};
use edgewise_core::{
    envelope::signed_bytes,
    proto::{ChatMessage, GossipEnvelope, MessageType},
};
use prost::Message as _;

/// An Ed25519 key that signs messages. It never leaves this process.
pub struct Signer {
    key: SigningKey,
    /// The time of what was signed last: an edit must be later than what it replaces, however fast its author is.
    last: AtomicU64,
}

impl Signer {
    /// A signer with the key of this seed: 32 bytes that nobody else knows.
    #[must_use]
    pub fn new(seed: &[u8; 32]) -> Self {
        Self { key: SigningKey::from_bytes(seed), last: AtomicU64::new(0) }
    }

    /// The key by which others know the signer: lowercase hex.
    #[must_use]
    pub fn public_key(&self) -> String {
        hex::encode(self.key.verifying_key().as_bytes())
    }

    /// Signs any bytes.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.key.sign(bytes).to_bytes()
    }

    /// A signed message for a topic.
    pub(crate) fn message(&self, topic: String, message: &ChatMessage) -> Vec<u8> {
        self.envelope(topic, MessageType::Chat, message, 0)
    }

    /// A signed edit for a topic, later than `after`.
    pub(crate) fn edit(&self, topic: String, message: &ChatMessage, after: u64) -> Vec<u8> {
        self.envelope(topic, MessageType::ChatEdit, message, after)
    }

    fn envelope(&self, topic: String, kind: MessageType, message: &ChatMessage, after: u64) -> Vec<u8> {
        let mut envelope = GossipEnvelope {
            sender_pubkey: self.key.verifying_key().as_bytes().to_vec(),
            topic,
            message_type: kind.into(),
            timestamp: self.later_than(after),
            payload: message.encode_to_vec(),
            ..GossipEnvelope::default()
        };
        envelope.signature = self.sign(&signed_bytes(&envelope)).to_vec();
        envelope.encode_to_vec()
    }

    /// Now, or a moment later where that is needed.
    fn later_than(&self, after: u64) -> u64 {
        #[allow(clippy::disallowed_methods, reason = "this crate runs natively")]
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let next = |last: u64| now.max(last.saturating_add(1)).max(after.saturating_add(1));
        let before = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        next(before.unwrap_or_else(|last| last))
    }
}

/// Shows the public key alone.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_later_than_what_was_signed() {
        let signer = Signer::new(&[7; 32]);
        let mut last = 0;
        for after in [0, 0, 9_000_000_000_000, 0, 0] {
            let time = signer.later_than(after);
            assert!(time > last && time > after, "{time} after {last} and {after}");
            last = time;
        }
    }

    #[test]
    fn a_key_does_not_show_itself() {
        let signer = Signer::new(&[7; 32]);
        assert_eq!(format!("{signer:?}"), format!("Signer({})", signer.public_key()));
        assert_eq!(signer.public_key().len(), 64);
    }
}
