//! Names of things. Each is its own type, parsed where it enters: what holds one needs no check of its own.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::problem::{Code, Problem};

/// A string that is not the id it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a valid {what}")]
pub struct InvalidId {
    /// What the string should have named: `channel id`, `message id`, …
    pub what: &'static str,
}

/// Parses a UUID in its hyphenated form only: one thing has one spelling in URLs, frames and keys.
fn parse_uuid(text: &str, what: &'static str) -> Result<Uuid, InvalidId> {
    if text.len() != 36 {
        return Err(InvalidId { what });
    }
    Uuid::try_parse(text).map_err(|_| InvalidId { what })
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Takes a UUID made elsewhere.
            #[must_use]
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Parses the hyphenated form.
            ///
            /// # Errors
            /// Any other text.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                parse_uuid(text, $what).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }
    };
}

uuid_id!(
    /// One ordered conversation, and one Durable Object.
    ChannelId,
    "channel id"
);
uuid_id!(
    /// One message, wherever it stands. A UUIDv7, assigned by the server before the commit.
    MessageId,
    "message id"
);
uuid_id!(
    /// One entry of the audit log. A UUIDv7, so that entries are listed by time.
    EntryId,
    "audit entry id"
);
uuid_id!(
    /// One try to change a channel: what the channel's row remembers of its last commit.
    CommitId,
    "commit id"
);

impl From<MessageId> for EntryId {
    /// An id that was drawn for a message, and that no message has.
    fn from(MessageId(uuid): MessageId) -> Self {
        Self(uuid)
    }
}

/// Who a token's `sub` names: 1 to 128 characters out of `A-Z a-z 0-9 _ . : @ - |`, the first a letter or digit.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct UserId(String);

impl UserId {
    /// The longest user id, in characters.
    pub const MAX_LENGTH: usize = 128;

    /// Parses a user id.
    ///
    /// # Errors
    /// Text that is empty, too long, or has another character.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if starts_well && text.len() <= Self::MAX_LENGTH && text.bytes().all(Self::allows) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId { what: "user id" })
        }
    }

    /// Whether a user id may have this byte anywhere but at its start.
    #[must_use]
    pub const fn allows(byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'@' | b'-' | b'|')
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A role: `everyone`, or the UUID it was given when it was made. Roles' ids keep to the alphabet of users' ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct RoleId(String);

impl RoleId {
    /// Parses a role id.
    ///
    /// # Errors
    /// Text that would be no [`UserId`] either.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        UserId::parse(text).map(|UserId(text)| Self(text)).map_err(|_| InvalidId { what: "role id" })
    }

    /// The id of a role to be made.
    #[must_use]
    pub fn new(uuid: Uuid) -> Self {
        Self(uuid.as_hyphenated().to_string())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A client's own name for one send: 1 to 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Nonce(String);

impl Nonce {
    /// The longest nonce, in characters.
    pub const MAX_LENGTH: usize = 64;

    /// Parses a nonce.
    ///
    /// # Errors
    /// Text that is empty or longer than 64 characters.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        if text.is_empty() || text.chars().count() > Self::MAX_LENGTH {
            return Err(InvalidId { what: "nonce" });
        }
        Ok(Self(text.to_owned()))
    }

    /// The nonce of a protobuf message, where it has one: what is empty there is not there.
    ///
    /// # Errors
    /// 422 `NONCE_INVALID` above 64 characters.
    pub fn given(text: &str) -> Result<Option<Self>, Problem> {
        if text.is_empty() {
            return Ok(None);
        }
        Self::parse(text)
            .map(Some)
            .map_err(|_| Code::NonceInvalid.with(format!("a nonce has 1 to {} characters", Self::MAX_LENGTH)))
    }

    /// The nonce as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A position among a channel's messages: 1, 2, 3 …; 0 is before the first.
pub type Sequence = u64;

/// A channel's change counter: every change that others can see takes a higher one than every change before it.
pub type Revision = u64;

/// Unix milliseconds, UTC.
pub type Timestamp = u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_one_spelling() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(ChannelId::parse(id).unwrap().to_string(), id);
        assert_eq!(ChannelId::parse(&id.to_uppercase()).unwrap().to_string(), id);
        for wrong in
            ["", "x", &id.replace('-', ""), &format!("{{{id}}}"), &format!("urn:uuid:{id}"), &id[1..]]
        {
            assert!(MessageId::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn user_ids_keep_to_their_alphabet() {
        for right in ["a", "0", "auth0|5f7c8ec7", "ana@example.org", "a_b-c.d:e", &"x".repeat(128)] {
            assert_eq!(UserId::parse(right).unwrap().as_str(), right);
        }
        for wrong in ["", "_a", ".a", "a b", "ä", "a/b", "a\0", &"x".repeat(129)] {
            assert!(UserId::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn nonces_count_characters() {
        assert!(Nonce::parse(&"é".repeat(64)).is_ok());
        assert!(Nonce::parse(&"é".repeat(65)).is_err());
        assert!(Nonce::parse("").is_err());
    }
}
