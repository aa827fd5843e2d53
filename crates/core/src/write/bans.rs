//! Bans, made and lifted.
//!
//! A ban's transaction stops the user's writes, which all ask for it; it hides what is to be deleted; and it promises,
//! with a row of the outbox for each channel where the user has been, that their sockets will be closed and that what is
//! hidden will be erased. The promises are kept by the [moderator](crate::moderator), which knows of the ban before the
//! transaction runs.

use serde_json::json;

use super::decision::{self, PROVISION, Request, decided, entry, own_bits, verdict};
use crate::{
    access::{banned_sql, target_bits_sql},
    database::{Database, Value},
    ids::{Timestamp, UserId},
    problem::{Code, Problem},
};

/// The longest reason, in characters.
const MAX_REASON: usize = 1_000;
/// How far back what was sent can be deleted, in milliseconds: seven days, and the leeway that clocks have.
const MAX_BACK: Timestamp = 7 * 86_400_000 + 30_000;

/// What a ban is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    reason: String,
    expires_at: Option<Timestamp>,
    delete_messages_since: Option<Timestamp>,
}

impl Ban {
    /// Checks what is asked for.
    ///
    /// # Errors
    /// 400 `BODY_INVALID` for a reason of more than 1,000 characters, an end that has passed, and a deletion of what is
    /// older than seven days.
    pub fn new(
        reason: &str,
        expires_at: Option<Timestamp>,
        delete_messages_since: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let invalid = |detail: String| Err(Code::BodyInvalid.with(detail));
        let reason = reason.trim();
        if reason.chars().count() > MAX_REASON {
            return invalid(format!("reason has more than {MAX_REASON} characters"));
        }
        // Beyond what a number carries exactly, a time is never: it stands for that.
        let exact = |time: Timestamp| time.min((1 << 53) - 1);
        let (expires_at, since) = (expires_at.map(exact), delete_messages_since.map(exact));
        if expires_at.is_some_and(|time| time <= now) {
            return invalid("expires_at has passed".into());
        }
        if since.is_some_and(|time| time.saturating_add(MAX_BACK) < now) {
            return invalid("delete_messages_since is more than 7 days ago".into());
        }
        Ok(Self { reason: reason.to_owned(), expires_at, delete_messages_since: since })
    }
}

/// `?6` is the user.
macro_rules! bans {
    ($($further:expr),*) => {
        concat!(
            "CASE WHEN ", banned_sql!("?1", "?3"), " THEN 'BANNED' WHEN NOT (", own_bits!(), ") & 8 THEN 'FORBIDDEN' ",
            $($further,)* "ELSE '' END"
        )
    };
}

macro_rules! may_ban {
    () => {
        bans!(
            "WHEN ?6 = ?1 THEN 'SELF' WHEN (SELECT is_owner OR token_rank = 2 FROM users WHERE id = ?6) OR (",
            target_bits_sql!("?6"),
            ") & ~(",
            own_bits!(),
            ") THEN 'OUTRANKED' "
        )
    };
}

/// Asks whether a ban would be made, without making it.
///
/// # Errors
/// Those of [`ban`].
pub async fn may_ban(database: &impl Database, request: Request<'_>, user: &UserId) -> Result<(), Problem> {
    decision::run(database, request, [user.as_str().into()], verdict!(may_ban!()), &[]).await?;
    Ok(())
}

/// A second ban takes the first one's place.
const BAN: &str = concat!(
    "INSERT INTO bans (user_id, reason, banned_by, created_at, expires_at) SELECT ?6, ?7, ?1, ?3, ?8 WHERE ",
    decided!(),
    "
     ON CONFLICT (user_id) DO UPDATE SET reason = excluded.reason, banned_by = excluded.banned_by,
                                         created_at = excluded.created_at, expires_at = excluded.expires_at"
);

const PROMISE: &str = concat!(
    "INSERT INTO outbox (id, channel_id, kind, created_at, user_id, actor_id, since,
                         messages_through, reactions_through, revision)
     SELECT ?4 || ':' || c.id, c.id, 'expel', ?3, ?6, ?1, ?9,
            iif(?9 IS NULL, 0, c.last_sequence), iif(?9 IS NULL, 0, c.last_sequence), c.revision
     FROM visitors v CROSS JOIN channels c ON c.id = v.channel_id AND c.deleted_at IS NULL
     WHERE v.user_id = ?6 AND ",
    decided!()
);

/// Bans a user, known or not: who has never been seen will be refused when they come.
///
/// # Errors
/// 403 `BANNED`; 403 `FORBIDDEN` without `BAN_MEMBERS`, for oneself, for an owner, and for who has permissions that the
/// caller lacks; 503 `STORAGE_UNAVAILABLE`.
pub async fn ban(
    database: &impl Database,
    request: Request<'_>,
    user: &UserId,
    ban: &Ban,
) -> Result<(), Problem> {
    let Ban { reason, expires_at, delete_messages_since: since } = ban;
    let details = json!({"reason": reason, "expires_at": expires_at, "delete_messages_since": since});
    let own: [Value; 5] = [
        user.as_str().into(),
        reason.as_str().into(),
        (*expires_at).into(),
        (*since).into(),
        details.to_string().into(),
    ];
    let entry = entry!(may_ban!(), "user_banned", "?6", "?10", "true");
    decision::run(database, request, own, verdict!(may_ban!()), &[entry, PROVISION, BAN, PROMISE]).await?;
    Ok(())
}

macro_rules! may_unban {
    () => {
        bans!("WHEN NOT ", banned_sql!("?6", "?3"), " THEN 'BAN_NOT_FOUND' ")
    };
}

const UNBAN: &str = concat!("DELETE FROM bans WHERE user_id = ?6 AND ", decided!());

/// Lifts a ban. What it has deleted, or is about to, stays deleted.
///
/// # Errors
/// 403 `BANNED`; 403 `FORBIDDEN` without `BAN_MEMBERS`; 404 `BAN_NOT_FOUND`, also where it has expired;
/// 503 `STORAGE_UNAVAILABLE`.
pub async fn unban(database: &impl Database, request: Request<'_>, user: &UserId) -> Result<(), Problem> {
    let own: [Value; 1] = [user.as_str().into()];
    let entry = entry!(may_unban!(), "user_unbanned", "?6", "'{}'", "true");
    decision::run(database, request, own, verdict!(may_unban!()), &[entry, PROVISION, UNBAN]).await?;
    Ok(())
}
