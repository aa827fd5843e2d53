//! A message: how its row is read, and how it reads as JSON.
//!
//! [`ChatMessage`] is the one type in between: rows become it, frames and protobuf bodies carry it, and
//! [`MessageJson`] is a view of it.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};

use crate::{
    database::bool_of_int,
    ids::{Sequence, UserId},
    proto::{ChatMessage, ReactionSummary},
};

/// The columns of message `m` as the document of a [`MessageRow`], with `$reactions` as its reactions.
macro_rules! message_sql {
    ($reactions:expr) => {
        concat!(
            "json_object('id', m.id, 'channel_id', m.channel_id, 'sequence', m.server_sequence, 'revision', m.revision,
             'sender_id', m.sender_id, 'name', m.sender_display_name, 'pubkey', m.sender_pubkey,
             'content', m.content_text, 'timestamp', m.timestamp, 'reply_to_id', m.reply_to_id,
             'edited', m.edited, 'edit_timestamp', m.edit_timestamp, 'deleted', m.deleted,
             'users', json(m.mention_user_ids), 'roles', json(m.mention_role_ids), 'nonce', m.nonce,
             'signature', hex(m.signature), 'envelope', hex(m.payload),
             'reactions', ", $reactions, ")"
        )
    };
}
pub(crate) use message_sql;

/// The reactions on message `m`, most counted first, then by the earliest present one, each with the earliest `$named`
/// users and whether `$me` is among all of them. One pass over the message's range of the table.
macro_rules! reactions_sql {
    ($me:literal, $named:literal) => {
        concat!(
            "(SELECT json_group_array(json_object('emoji', emoji, 'count', n, 'me', me, 'user_ids', json(named)) ORDER BY n DESC, first, emoji)
              FROM (SELECT emoji, count(*) AS n, max(user_id IS ", $me, ") AS me, min(created_at) AS first,
                           json_group_array(user_id ORDER BY place) FILTER (WHERE place <= ", $named, ") AS named
                    FROM (SELECT emoji, user_id, created_at,
                                 row_number() OVER (PARTITION BY emoji ORDER BY created_at, user_id) AS place
                          FROM reactions r
                          WHERE r.channel_id = m.channel_id AND r.server_sequence = m.server_sequence)
                    GROUP BY emoji))"
        )
    };
}
pub(crate) use reactions_sql;

/// A row of `messages`, as `message_sql!` builds it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct MessageRow {
    id: String,
    channel_id: String,
    pub(crate) sequence: Sequence,
    revision: u64,
    sender_id: String,
    name: String,
    pubkey: String,
    content: String,
    timestamp: u64,
    reply_to_id: Option<String>,
    #[serde(deserialize_with = "bool_of_int")]
    edited: bool,
    edit_timestamp: Option<u64>,
    #[serde(deserialize_with = "bool_of_int")]
    deleted: bool,
    users: Vec<String>,
    roles: Vec<String>,
    nonce: Option<String>,
    #[serde(with = "hex::serde")]
    signature: Vec<u8>,
    #[serde(with = "hex::serde")]
    envelope: Vec<u8>,
    reactions: Vec<ReactionRow>,
}

/// One emoji on one message, as `reactions_sql!` builds it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ReactionRow {
    pub(crate) emoji: String,
    count: u32,
    #[serde(deserialize_with = "bool_of_int")]
    me: bool,
    user_ids: Vec<String>,
}

impl From<ReactionRow> for ReactionSummary {
    fn from(row: ReactionRow) -> Self {
        Self { emoji: row.emoji, count: row.count, me: row.me, user_ids: row.user_ids }
    }
}

impl From<MessageRow> for ChatMessage {
    fn from(row: MessageRow) -> Self {
        Self {
            id: row.id,
            channel_id: row.channel_id,
            sender_pubkey: row.pubkey,
            sender_display_name: row.name,
            content: row.content,
            timestamp: row.timestamp,
            server_sequence: row.sequence,
            signature: row.signature,
            reply_to_id: row.reply_to_id,
            edited: row.edited,
            mention_user_ids: row.users,
            mention_role_ids: row.roles,
            sender_id: row.sender_id,
            revision: row.revision,
            edit_timestamp: row.edit_timestamp,
            deleted: row.deleted,
            reactions: row.reactions.into_iter().map(Into::into).collect(),
            nonce: row.nonce.unwrap_or_default(),
            envelope: row.envelope,
        }
    }
}

impl MessageRow {
    /// The message as `receiver` may see it: a nonce is its sender's alone.
    pub(crate) fn seen_by(self, receiver: &UserId) -> ChatMessage {
        let mut message = ChatMessage::from(self);
        if message.sender_id != receiver.as_str() {
            message.nonce.clear();
        }
        message
    }
}

/// A message as REST shows it.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the contract's own fields")]
pub struct MessageJson<'a> {
    pub id: &'a str,
    pub channel_id: &'a str,
    pub sender_id: &'a str,
    pub sender_pubkey: Option<&'a str>,
    pub sender_display_name: &'a str,
    pub content: &'a str,
    pub timestamp: u64,
    pub server_sequence: u64,
    pub revision: u64,
    pub reply_to_id: Option<&'a str>,
    pub edited: bool,
    pub edit_timestamp: Option<u64>,
    pub deleted: bool,
    pub mention_user_ids: &'a [String],
    pub mention_role_ids: &'a [String],
    pub reactions: &'a [ReactionSummary],
    pub nonce: Option<&'a str>,
    pub envelope: Option<String>,
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

impl<'a> From<&'a ChatMessage> for MessageJson<'a> {
    fn from(message: &'a ChatMessage) -> Self {
        Self {
            id: &message.id,
            channel_id: &message.channel_id,
            sender_id: &message.sender_id,
            sender_pubkey: non_empty(&message.sender_pubkey),
            sender_display_name: &message.sender_display_name,
            content: &message.content,
            timestamp: message.timestamp,
            server_sequence: message.server_sequence,
            revision: message.revision,
            reply_to_id: message.reply_to_id.as_deref(),
            edited: message.edited,
            edit_timestamp: message.edit_timestamp,
            deleted: message.deleted,
            mention_user_ids: &message.mention_user_ids,
            mention_role_ids: &message.mention_role_ids,
            reactions: &message.reactions,
            nonce: non_empty(&message.nonce),
            envelope: (!message.envelope.is_empty()).then(|| BASE64.encode(&message.envelope)),
        }
    }
}
