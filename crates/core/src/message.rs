//! A message: how its row is read, and how it reads as JSON.
//!
//! [`ChatMessage`] is the one type in between: rows become it, frames and protobuf bodies carry it, and
//! [`MessageJson`] is a view of it.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};

use crate::{
    database::bool_of_int,
    ids::{Sequence, Timestamp, UserId},
    proto::{ChatMessage, ReactionSummary},
};

/// The columns of message `m` as the document of a [`MessageRow`], with `$reactions` as its reactions.
///
/// A list, in the order of the row's fields: D1 gives a function at most 32 arguments, which an object of so many
/// fields would exceed. What is a document already says so by `json(…)`: whether a subquery's result is remembered to
/// be one differs between versions of SQLite.
///
/// One that is to be erased becomes a tombstone on its way out; a statement that leaves those out says `live`, and need
/// not ask again.
macro_rules! message_sql {
    ($reactions:expr) => {
        $crate::message::message_sql!($reactions, $crate::erasure::erased_sql!("m"))
    };
    ($reactions:expr, live) => {
        $crate::message::message_sql!($reactions, "0")
    };
    ($reactions:expr, $erased:expr) => {
        concat!(
            "json_array(m.id, m.channel_id, m.server_sequence, m.revision, m.sender_id, m.sender_display_name, m.sender_pubkey,
                        m.content_text, m.timestamp, m.reply_to_id, m.edited, m.edit_timestamp, m.deleted,
                        json(m.mention_user_ids), json(m.mention_role_ids), m.nonce, hex(m.signature), hex(m.payload),
                        json(", $reactions, "), ", $erased, ")"
        )
    };
}
pub(crate) use message_sql;

/// The reactions on message `m`, in no order, each with the earliest `$named` users in no order, and whether `$me` is
/// among all of them. A [`ReactionRow`] an emoji; [`summaries`] puts them in order.
///
/// One pass over the message's range of the table, and nothing sorted where `$named` is not exceeded: what is sorted
/// is read again, and D1 counts and bills that.
macro_rules! reactions_sql {
    ($me:literal, $named:literal) => {
        concat!(
            "(SELECT json_group_array(json_array(emoji, count, me, json(iif(count <= ",
            $named,
            ", users,
                        (SELECT json_group_array(json(value))
                         FROM (SELECT value FROM json_each(users) ORDER BY value->>0, value->>1 LIMIT ",
            $named,
            "))))))
              FROM (SELECT r.emoji AS emoji, count(*) AS count, max(r.user_id IS ",
            $me,
            ") AS me,
                           json_group_array(json_array(r.created_at, r.user_id)) AS users
                    FROM reactions r
                    WHERE r.channel_id = m.channel_id AND r.server_sequence = m.server_sequence AND NOT ",
            $crate::erasure::erased_reaction_sql!("r"),
            "
                    GROUP BY r.emoji))"
        )
    };
}
pub(crate) use reactions_sql;

/// A row of `messages`, as `message_sql!` builds it: its fields in this order.
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
    /// Whether it is shown as the tombstone that it is about to become.
    #[serde(deserialize_with = "bool_of_int")]
    erased: bool,
}

/// One emoji on one message, as `reactions_sql!` builds it: its fields in this order.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ReactionRow {
    pub(crate) emoji: String,
    count: u32,
    #[serde(deserialize_with = "bool_of_int")]
    me: bool,
    /// When, and who.
    users: Vec<(Timestamp, String)>,
}

/// A message's reactions, most counted first, then by the earliest present one, each with its users by time.
pub(crate) fn summaries(mut rows: Vec<ReactionRow>) -> Vec<ReactionSummary> {
    for row in &mut rows {
        row.users.sort_unstable();
    }
    let earliest = |row: &ReactionRow| row.users.first().map(|(at, _)| *at);
    rows.sort_unstable_by(|a, b| (b.count, earliest(a), &a.emoji).cmp(&(a.count, earliest(b), &b.emoji)));
    rows.into_iter()
        .map(|row| ReactionSummary {
            emoji: row.emoji,
            count: row.count,
            me: row.me,
            user_ids: row.users.into_iter().map(|(_, user)| user).collect(),
        })
        .collect()
}

impl From<MessageRow> for ChatMessage {
    fn from(mut row: MessageRow) -> Self {
        if row.erased {
            row.forget();
        }
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
            reactions: summaries(row.reactions),
            nonce: row.nonce.unwrap_or_default(),
            envelope: row.envelope,
        }
    }
}

impl MessageRow {
    /// Leaves of it what a deletion leaves.
    fn forget(&mut self) {
        self.deleted = true;
        self.content.clear();
        self.users.clear();
        self.roles.clear();
        self.signature.clear();
        self.envelope.clear();
        self.reactions.clear();
    }

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
