//! Who asks, and what they may do in a channel: decided by the database, in the transaction that it decides for.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::{
    database::{Rows, Statement, bool_of_int},
    ids::{ChannelId, Revision, Sequence, Timestamp, UserId},
    permissions::Permissions,
    problem::{Code, Problem},
};

/// Who asks, as the verified token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The token's `sub`.
    pub user_id: UserId,
    /// The token's `name`.
    pub display_name: Option<String>,
    /// An owner's or admin's token: has every permission.
    pub trusted: bool,
    /// Whether it is an owner's, whom nobody bans.
    pub owner: bool,
    /// When the token ends.
    pub expires_at: Timestamp,
}

impl Caller {
    /// What is stored of the token, for when others act on its user: the column `token_rank`.
    pub(crate) const fn token_rank(&self) -> u64 {
        match (self.owner, self.trusted) {
            (true, _) => 2,
            (false, true) => 1,
            (false, false) => 0,
        }
    }
}

/// The permission bits of the user that `$user` names, whose token is `$trusted`: ADMINISTRATOR spelled out as all.
///
/// SQLite has no aggregate for `|`, so each bit is the maximum over the user's roles.
macro_rules! bits_sql {
    ($user:literal, $trusted:expr) => {
        concat!(
            "iif(", $trusted, " OR EXISTS (SELECT 1 FROM users u WHERE u.id = ", $user,
            " AND (u.is_owner OR u.is_admin)), 255,
              coalesce((SELECT iif(permissions & 16, 255, permissions) FROM roles WHERE id = 'everyone'), 0) | coalesce((
                SELECT max(p & 1) | max(p & 2) | max(p & 4) | max(p & 8) | max(p & 16) | max(p & 32) | max(p & 64) | max(p & 128)
                FROM (SELECT iif(r.permissions & 16, 255, r.permissions) AS p
                      FROM user_roles ur JOIN roles r ON r.id = ur.role_id
                      WHERE ur.user_id = ", $user, ")), 0))"
        )
    };
}
pub(crate) use bits_sql;

/// The permission bits of a user who is acted on: what their own token gives counts as they last came with it.
macro_rules! target_bits_sql {
    ($user:literal) => {
        $crate::access::bits_sql!(
            $user,
            concat!("(SELECT t.token_rank FROM users t WHERE t.id = ", $user, ")")
        )
    };
}
pub(crate) use target_bits_sql;

/// Whether the user that `$user` names is banned at `$now`.
macro_rules! banned_sql {
    ($user:literal, $now:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM bans b WHERE b.user_id = ",
            $user,
            " AND (b.expires_at IS NULL OR b.expires_at > ",
            $now,
            "))"
        )
    };
}
pub(crate) use banned_sql;

/// The facts that say whether a caller may see a channel, and where the channel stands in the same snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Access {
    #[serde(deserialize_with = "bool_of_int")]
    exists: bool,
    #[serde(deserialize_with = "bool_of_int")]
    private: bool,
    #[serde(deserialize_with = "bool_of_int")]
    member: bool,
    #[serde(deserialize_with = "bool_of_int")]
    banned: bool,
    bits: u32,
    /// The channel's change counter.
    pub revision: Revision,
    /// The sequence of its newest message.
    pub last_sequence: Sequence,
}

static ACCESS: LazyLock<&'static str> = LazyLock::new(|| {
    concat!(
        "SELECT json_object(
            'exists', c.id IS NOT NULL, 'private', coalesce(c.private, 0),
            'member', EXISTS (SELECT 1 FROM members m WHERE m.channel_id = c.id AND m.user_id = ?2),
            'banned', ",
        banned_sql!("?2", "?4"),
        ",
            'bits', ",
        bits_sql!("?2", "?3"),
        ",
            'revision', coalesce(c.revision, 0), 'last_sequence', coalesce(c.last_sequence, 0)) AS json
         FROM (SELECT 1) LEFT JOIN channels c ON c.id = ?1 AND c.deleted_at IS NULL"
    )
});

impl Access {
    /// The statement that reads the facts; always answers with one row.
    #[must_use]
    pub fn statement(channel: ChannelId, caller: &Caller, now: Timestamp) -> Statement {
        Statement::new(
            *ACCESS,
            vec![
                channel.to_string().into(),
                caller.user_id.as_str().into(),
                caller.trusted.into(),
                now.into(),
            ],
        )
    }

    /// Reads the statement's answer, and lets pass who may see the channel.
    ///
    /// # Errors
    /// 403 `BANNED`; 404 `CHANNEL_NOT_FOUND` for a channel that is not there or that the caller may not know of.
    pub fn granted(rows: &Rows) -> Result<Self, Problem> {
        let access: Self = rows.first()?.ok_or_else(Problem::internal)?;
        if access.banned {
            return Err(Code::Banned.with("you are banned"));
        }
        if !access.sees() {
            return Err(Code::ChannelNotFound.with("there is no such channel"));
        }
        Ok(access)
    }

    /// What the caller may do.
    #[must_use]
    pub const fn permissions(&self) -> Permissions {
        Permissions::from_bits(self.bits)
    }

    /// The same, where the permission is needed.
    ///
    /// # Errors
    /// 403 `FORBIDDEN`.
    pub fn with(self, needed: Permissions) -> Result<Self, Problem> {
        if self.permissions().contains(needed) {
            Ok(self)
        } else {
            Err(Code::Forbidden.with("you don't have the permission that this needs"))
        }
    }

    fn sees(&self) -> bool {
        self.exists
            && (!self.private || self.member || self.permissions().contains(Permissions::ADMINISTRATOR))
    }
}
