//! What the simulation's users sign, and what must be true of it at the end.

use ed25519_dalek::{Signer as _, SigningKey};
use edgewise_core::{
    envelope::{Network, Said, Sealed, signed_bytes},
    ids::ChannelId,
    proto::{ChatMessage, GossipEnvelope, MessageType},
};
use prost::Message as _;

use crate::support::sqlite::Sqlite;

/// The key of a user, the same in every run.
fn key(user: &str) -> SigningKey {
    let mut seed = [7; 32];
    for (place, byte) in seed.iter_mut().zip(user.bytes()) {
        *place = byte;
    }
    SigningKey::from_bytes(&seed)
}

/// Makes a user known with their key.
pub fn register(database: &Sqlite, user: &str) {
    let key = hex::encode(key(user).verifying_key().as_bytes());
    database.execute(&format!(
        "INSERT INTO users (id, display_name, public_key, created_at) VALUES ('{user}', '{user}', '{key}', 0)"
    ));
}

/// An envelope of a user's.
pub fn sign(user: &str, channel: ChannelId, kind: MessageType, at: u64, payload: &ChatMessage) -> Vec<u8> {
    let key = key(user);
    let mut envelope = GossipEnvelope {
        sender_pubkey: key.verifying_key().to_bytes().to_vec(),
        topic: format!("edgewise/{channel}"),
        message_type: kind.into(),
        timestamp: at,
        payload: payload.encode_to_vec(),
        ..GossipEnvelope::default()
    };
    envelope.signature = key.sign(&signed_bytes(&envelope)).to_bytes().to_vec();
    envelope.encode_to_vec()
}

/// What an envelope is known by.
pub fn digest(envelope: &[u8]) -> String {
    Sealed::open(envelope).unwrap().digest()
}

/// When its author says that it was signed.
pub fn signed_at(envelope: &[u8]) -> u64 {
    Sealed::open(envelope).unwrap().timestamp()
}

/// Holds a message to its envelope, where it has one: what is shown is what was signed.
pub fn check(message: &ChatMessage, channel: ChannelId) -> Result<(), String> {
    if message.envelope.is_empty() && message.signature.is_empty() {
        return Ok(());
    }
    let wrong = |what: &str| Err(format!("{what}: {message:?}"));
    if message.deleted {
        return wrong("a tombstone that is still signed");
    }
    let Ok(sealed) = Sealed::open(&message.envelope) else { return wrong("an envelope that nobody signed") };
    if *sealed.author().as_bytes() != key(&message.sender_id).verifying_key().to_bytes() {
        return wrong("an envelope of another's");
    }
    match sealed.said(&Network::default(), channel) {
        Ok(Said::Message { content, .. }) if content.as_str() == message.content && !message.edited => Ok(()),
        Ok(Said::Edit { message: id, content })
            if content.as_str() == message.content && id.to_string() == message.id =>
        {
            Ok(())
        }
        _ => wrong("not what its envelope says"),
    }
}
