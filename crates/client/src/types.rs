//! What the server answers with, as the contract's JSON has it. All times are Unix milliseconds.

use edgewise_core::proto;
pub use edgewise_core::proto::ReactionSummary;
use serde::{Deserialize, Serialize};

use crate::Authenticity;

/// A message in its present state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// A `UUIDv7`.
    pub id: String,
    /// The channel it belongs to.
    pub channel_id: String,
    /// Who sent it.
    pub sender_id: String,
    /// The sender's key in lowercase hex, where they have one.
    pub sender_pubkey: Option<String>,
    /// The sender's name at the time.
    pub sender_display_name: String,
    /// Empty where the message is deleted.
    pub content: String,
    /// When it was sent.
    pub timestamp: u64,
    /// Its position in the channel, from 1, without holes.
    pub server_sequence: u64,
    /// The channel's revision at its last change.
    pub revision: u64,
    /// The message it answers.
    pub reply_to_id: Option<String>,
    /// Whether its content was changed.
    pub edited: bool,
    /// When it was changed last.
    pub edit_timestamp: Option<u64>,
    /// Whether only this tombstone is left.
    pub deleted: bool,
    /// Users mentioned, in order of first use.
    pub mention_user_ids: Vec<String>,
    /// Roles mentioned, in order of first use.
    pub mention_role_ids: Vec<String>,
    /// Most counted first.
    pub reactions: Vec<ReactionSummary>,
    /// The sender's own name for the send; only its sender receives it.
    pub nonce: Option<String>,
    /// The newest signed envelope of a signed message.
    #[serde(with = "base64_bytes", default)]
    pub envelope: Option<Vec<u8>>,
    /// Whether it is what its author signed: this client's own finding, never the server's word.
    #[serde(skip_deserializing)]
    pub authenticity: Authenticity,
}

impl From<proto::ChatMessage> for Message {
    fn from(message: proto::ChatMessage) -> Self {
        Self {
            id: message.id,
            channel_id: message.channel_id,
            sender_id: message.sender_id,
            sender_pubkey: (!message.sender_pubkey.is_empty()).then_some(message.sender_pubkey),
            sender_display_name: message.sender_display_name,
            content: message.content,
            timestamp: message.timestamp,
            server_sequence: message.server_sequence,
            revision: message.revision,
            reply_to_id: message.reply_to_id,
            edited: message.edited,
            edit_timestamp: message.edit_timestamp,
            deleted: message.deleted,
            mention_user_ids: message.mention_user_ids,
            mention_role_ids: message.mention_role_ids,
            reactions: message.reactions,
            nonce: (!message.nonce.is_empty()).then_some(message.nonce),
            envelope: (!message.envelope.is_empty()).then_some(message.envelope),
            authenticity: Authenticity::Unsigned,
        }
    }
}

/// A page of history, newest first, deleted messages left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// Newest first.
    pub messages: Vec<Message>,
    /// Older messages exist.
    pub has_more: bool,
    /// Newer messages exist.
    pub has_newer: bool,
    /// The channel's revision in the same snapshot: a socket with this `since` goes on with nothing missed.
    pub revision: u64,
}

/// What changed after a revision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// Present states by last change, tombstones included.
    pub messages: Vec<Message>,
    /// Where to go on from; without `has_more` the channel's own.
    pub revision: u64,
    /// More changed than is in `messages`.
    pub has_more: bool,
}

/// One who reacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReactingUser {
    /// Who.
    pub user_id: String,
    /// Their present name.
    pub display_name: String,
    /// When.
    pub timestamp: u64,
}

/// A page of those who reacted with one emoji, by user id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReactingUsers {
    /// By user id.
    pub users: Vec<ReactingUser>,
    /// More follow after the last.
    pub has_more: bool,
}

/// How far a user has read a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRead {
    /// The last message read; 0 where none was.
    pub last_sequence: u64,
    /// Live messages by others after it; 1,000 means 1,000 or more.
    pub unread_count: u32,
    /// Those of them that mention the user; 1,000 means 1,000 or more.
    pub mention_count: u32,
}

impl From<proto::LastRead> for LastRead {
    fn from(read: proto::LastRead) -> Self {
        Self {
            last_sequence: read.last_sequence,
            unread_count: read.unread_count,
            mention_count: read.mention_count,
        }
    }
}

/// A channel, as the caller sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// A UUID.
    pub id: String,
    /// 1 to 100 characters.
    pub name: String,
    /// Up to 1,024 characters.
    #[serde(default)]
    pub topic: Option<String>,
    /// Whether only members may see it.
    pub private: bool,
    /// When it was made.
    pub created_at: u64,
    /// The sequence of its last message; 0 where it has none.
    pub last_sequence: u64,
    /// Its change counter.
    pub revision: u64,
    /// The last message the caller has read.
    pub last_read_sequence: u64,
    /// As in [`LastRead`].
    pub unread_count: u32,
    /// As in [`LastRead`].
    pub mention_count: u32,
    /// What the caller may do in it.
    pub permissions: Permissions,
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Permissions(pub u32);

impl Permissions {
    /// Send messages.
    pub const SEND_MESSAGES: Self = Self(1);
    /// Make, change and delete channels; add members.
    pub const MANAGE_CHANNELS: Self = Self(2);
    /// Remove members.
    pub const KICK_MEMBERS: Self = Self(4);
    /// Ban users, and lift bans.
    pub const BAN_MEMBERS: Self = Self(8);
    /// All of them.
    pub const ADMINISTRATOR: Self = Self(16);
    /// Delete messages of others.
    pub const MANAGE_MESSAGES: Self = Self(32);
    /// React.
    pub const ADD_REACTIONS: Self = Self(64);
    /// Make, change, give and take roles.
    pub const MANAGE_ROLES: Self = Self(128);

    /// Whether all of `wanted` are in this set.
    #[must_use]
    pub fn allow(self, wanted: Self) -> bool {
        self.0 & Self::ADMINISTRATOR.0 != 0 || self.0 & wanted.0 == wanted.0
    }
}

/// A member of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub user_id: String,
    /// Their present name.
    pub display_name: String,
    /// Since when.
    pub joined_at: u64,
}

/// A page of members, by user id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// By user id.
    pub members: Vec<Member>,
    /// More follow after the last.
    pub has_more: bool,
}

/// A role: what it gives to who has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// `everyone`, or a UUID.
    pub id: String,
    /// No other role has it.
    pub name: String,
    /// What it gives.
    pub permissions: Permissions,
    /// `0xRRGGBB`.
    pub color: Option<u32>,
    /// Where it is listed: the higher the further up.
    pub position: u32,
    /// Whether everyone has it.
    pub is_default: bool,
}

/// A ban in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Who.
    pub user_id: String,
    /// Why.
    pub reason: String,
    /// By whom.
    pub banned_by: String,
    /// Since when.
    pub created_at: u64,
    /// Until when; `None`: for good.
    pub expires_at: Option<u64>,
}

/// A page of bans, by user id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bans {
    /// By user id.
    pub bans: Vec<Ban>,
    /// More follow after the last.
    pub has_more: bool,
}

/// What somebody did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// A `UUIDv7`.
    pub id: String,
    /// Who did it.
    pub actor_id: String,
    /// What: `user_banned`, `role_given` and so on.
    pub action: String,
    /// The id of what was acted on.
    pub target: String,
    /// An object whose fields depend on the action.
    pub details: serde_json::Value,
    /// When.
    pub timestamp: u64,
}

/// A page of the audit log, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntries {
    /// Newest first.
    pub entries: Vec<AuditEntry>,
    /// Older ones exist.
    pub has_more: bool,
}

/// How a connected user is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// Here.
    Online,
    /// Here, but not looking.
    Away,
    /// Not to be disturbed.
    Dnd,
    /// Not connected.
    Offline,
}

impl From<Presence> for proto::PresenceStatus {
    fn from(presence: Presence) -> Self {
        match presence {
            Presence::Online => Self::Online,
            Presence::Away => Self::Away,
            Presence::Dnd => Self::Dnd,
            Presence::Offline => Self::Offline,
        }
    }
}

impl From<proto::PresenceStatus> for Presence {
    fn from(status: proto::PresenceStatus) -> Self {
        match status {
            proto::PresenceStatus::Online => Self::Online,
            proto::PresenceStatus::Away => Self::Away,
            proto::PresenceStatus::Dnd => Self::Dnd,
            proto::PresenceStatus::Offline | proto::PresenceStatus::Unspecified => Self::Offline,
        }
    }
}

/// A connected user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresentUser {
    /// Who.
    pub user_id: String,
    /// Their present name.
    pub display_name: String,
    /// How they are there.
    pub status: Presence,
}

impl From<proto::PresenceUpdate> for PresentUser {
    fn from(update: proto::PresenceUpdate) -> Self {
        let status = update.status().into();
        Self { user_id: update.user_id, display_name: update.display_name, status }
    }
}

/// A page of connected users, by user id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresentUsers {
    /// By user id.
    pub presence: Vec<PresentUser>,
    /// More follow after the last.
    pub has_more: bool,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Their id.
    pub id: String,
    /// Their present name.
    pub display_name: String,
    /// Their key in lowercase hex, where they have one.
    pub public_key: Option<String>,
    /// Their roles, and those that everyone has.
    pub role_ids: Vec<String>,
    /// Since when the server knows them.
    pub created_at: u64,
}

/// An invite: whoever has its code may register with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// What is given to who is invited.
    pub code: String,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: u64,
    /// How many may register with it; `None`: any number.
    pub max_uses: Option<u64>,
    /// How many did.
    pub uses: u64,
    /// From when on it is no longer good; `None`: never.
    pub expires_at: Option<u64>,
}

/// A page of invites, by code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invites {
    /// By code; used up and expired ones too.
    pub invites: Vec<Invite>,
    /// More follow after the last.
    pub has_more: bool,
}

/// Whether the server is well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`.
    pub status: String,
    /// The server's version.
    pub version: String,
    /// How long its database took to answer, in milliseconds.
    pub storage_ms: f64,
}

/// What the server is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Info {
    /// What it calls itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `open`, `invite` or `closed`.
    pub registration: String,
    /// Whether only signed messages are taken.
    pub require_signatures: bool,
    /// The contract's limits, by name.
    pub limits: serde_json::Value,
}

mod base64_bytes {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    // The signature that serde's `with` asks for.
    #[allow(clippy::ref_option)]
    pub(super) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, out: S) -> Result<S::Ok, S::Error> {
        bytes.as_ref().map(|bytes| STANDARD.encode(bytes)).serialize(out)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| STANDARD.decode(text)).transpose().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_as_the_contract_writes_it() {
        let text = r#"{"id":"0190b0a0-0000-7000-8000-000000000001","channel_id":"c","sender_id":"ana",
            "sender_pubkey":null,"sender_display_name":"Ana","content":"hi","timestamp":1,"server_sequence":2,
            "revision":3,"reply_to_id":null,"edited":false,"edit_timestamp":null,"deleted":false,
            "mention_user_ids":["ben"],"mention_role_ids":[],"nonce":"n","envelope":"AQI=",
            "reactions":[{"emoji":"👍","count":2,"me":true,"user_ids":["ana","ben"]}],"later":"ignored"}"#;
        let message: Message = serde_json::from_str(text).unwrap();
        assert_eq!(message.envelope, Some(vec![1, 2]));
        assert!(message.reactions[0].me);
        let again: Message = serde_json::from_value(serde_json::to_value(&message).unwrap()).unwrap();
        assert_eq!(again, message);
    }

    #[test]
    fn empty_bytes_and_texts_of_protobuf_are_absent() {
        let message = Message::from(proto::ChatMessage { content: "x".into(), ..Default::default() });
        assert_eq!((message.sender_pubkey, message.nonce, message.envelope), (None, None, None));
    }

    #[test]
    fn administrators_may_everything() {
        assert!(Permissions(16).allow(Permissions::MANAGE_ROLES));
        assert!(Permissions(65).allow(Permissions::ADD_REACTIONS));
        assert!(!Permissions(65).allow(Permissions(66)));
    }
}
