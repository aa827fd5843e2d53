//! A user with a key, who signs. What is signed is put together by hand: the server's own code has no part in it.

use std::{
    ops::Deref,
    sync::atomic::{AtomicU64, Ordering},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use ed25519_dalek::Signer as _;
use edgewise_client::Signer;
use edgewise_core::proto::{ChatMessage, GossipEnvelope, MessageType};
use prost::Message as _;
use serde_json::{Value, json};

use crate::{Answer, Key, Room, User};

/// A user whose key the server knows.
#[derive(Clone, Debug)]
pub struct Author {
    user: User,
    key: Key,
}

/// Something that an author wants to sign.
#[derive(Clone, Debug)]
#[must_use = "signed by `sign`"]
pub struct Note {
    /// What is signed, and where it goes.
    pub envelope: GossipEnvelope,
    /// What it says.
    pub payload: ChatMessage,
    key: Key,
}

/// An envelope as it travels.
#[derive(Clone, Debug, PartialEq)]
pub struct Signed(pub Vec<u8>);

impl Room<'_> {
    /// A new user with a new key.
    pub async fn author(&self) -> Author {
        let author = Author::new(self.known_user().await, Key::new());
        let sql = "UPDATE users SET public_key = ? WHERE id = ?";
        self.sql(sql, json!([author.public_key(), author.id])).await;
        author
    }
}

impl Author {
    /// A user who signs with this key, whether or not the server knows it as theirs.
    #[must_use]
    pub fn new(user: User, key: Key) -> Self {
        Self { user, key }
    }

    /// The key, as users are known by it.
    pub fn public_key(&self) -> String {
        self.key.public()
    }

    /// The same user with a key that the server does not know.
    #[must_use]
    pub fn with_another_key(&self) -> Self {
        Self { user: self.user.clone(), key: Key::new() }
    }

    /// The same user in another channel.
    #[must_use]
    pub fn in_room(&self, room: &Room<'_>) -> Self {
        Self { user: self.user.clone().in_channel(&room.id), key: self.key.clone() }
    }

    /// The key, for the library to sign with.
    #[must_use]
    pub fn signer(&self) -> Signer {
        Signer::new(&self.seed())
    }

    /// The seed of the key.
    #[must_use]
    pub fn seed(&self) -> [u8; 32] {
        self.key.signer().to_bytes()
    }

    /// The user alone.
    #[must_use]
    pub fn user(self) -> User {
        self.user
    }

    /// A message to the channel that the author is in.
    pub fn note(&self, content: &str) -> Note {
        let payload = ChatMessage {
            channel_id: self.channel_id().to_owned(),
            content: content.to_owned(),
            ..ChatMessage::default()
        };
        self.of_type(MessageType::Chat, payload)
    }

    /// New content for a message.
    pub fn correction(&self, message_id: &str, content: &str) -> Note {
        let payload =
            ChatMessage { id: message_id.to_owned(), content: content.to_owned(), ..ChatMessage::default() };
        self.of_type(MessageType::ChatEdit, payload)
    }

    /// Of any type. Each is later than all before it.
    pub fn of_type(&self, message_type: MessageType, payload: ChatMessage) -> Note {
        static TIME: AtomicU64 = AtomicU64::new(1_795_000_000_000);
        let envelope = GossipEnvelope {
            topic: format!("edgewise/{}", self.channel_id()),
            message_type: message_type.into(),
            timestamp: TIME.fetch_add(1, Ordering::Relaxed),
            ..GossipEnvelope::default()
        };
        Note { envelope, payload, key: self.key.clone() }
    }

    /// Tries to send a signed message over REST.
    pub async fn try_post(&self, signed: &Signed) -> Answer {
        self.try_send(signed.json()).await
    }

    /// Tries to edit a message over REST.
    pub async fn try_put(&self, message_id: &str, signed: &Signed) -> Answer {
        self.put(&format!("messages/{message_id}")).json(&signed.json()).send().await
    }
}

impl Deref for Author {
    type Target = User;

    fn deref(&self) -> &User {
        &self.user
    }
}

impl Note {
    /// Changes what is signed, or where it goes.
    pub fn envelope(mut self, change: impl FnOnce(&mut GossipEnvelope)) -> Self {
        change(&mut self.envelope);
        self
    }

    /// Changes what it says.
    pub fn payload(mut self, change: impl FnOnce(&mut ChatMessage)) -> Self {
        change(&mut self.payload);
        self
    }

    /// Signs it.
    #[must_use]
    pub fn sign(&self) -> Signed {
        let mut envelope = self.envelope.clone();
        envelope.payload = self.payload.encode_to_vec();
        let signed = [
            envelope.topic.as_bytes(),
            &envelope.message_type.cast_unsigned().to_be_bytes(),
            &envelope.timestamp.to_be_bytes(),
            &envelope.sequence_hint.to_be_bytes(),
            &envelope.payload,
        ]
        .concat();
        envelope.sender_pubkey = self.key.signer().verifying_key().to_bytes().to_vec();
        envelope.signature = self.key.signer().sign(&signed).to_bytes().to_vec();
        Signed(envelope.encode_to_vec())
    }
}

impl Signed {
    /// As JSON has it.
    #[must_use]
    pub fn base64(&self) -> String {
        BASE64.encode(&self.0)
    }

    /// The body of a request.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({"envelope": self.base64()})
    }

    /// The envelope, changed after it was signed.
    #[must_use]
    pub fn tampered(&self, change: impl FnOnce(&mut GossipEnvelope)) -> Self {
        let mut envelope = GossipEnvelope::decode(self.0.as_slice()).expect("an envelope");
        change(&mut envelope);
        Self(envelope.encode_to_vec())
    }

    /// The same envelope with a field that nobody knows.
    #[must_use]
    pub fn padded(&self, value: &[u8]) -> Self {
        let mut bytes = self.0.clone();
        prost::encoding::bytes::encode(1_000, &value.to_vec(), &mut bytes);
        Self(bytes)
    }
}
