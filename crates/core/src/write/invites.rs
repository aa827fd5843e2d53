//! Invites, made and taken back.

use serde_json::json;

use super::decision::{self, PROVISION, Request, decided, entry, own_bits, verdict};
use crate::{
    access::banned_sql,
    database::{Database, Value},
    ids::Timestamp,
    problem::{Code, Problem},
    read::invites::{Invite, invite_sql},
};

/// Who manages channels says who comes in; `?6` is the code.
macro_rules! may_invite {
    ($($further:expr),*) => {
        concat!(
            "CASE WHEN ", banned_sql!("?1", "?3"), " THEN 'BANNED' WHEN NOT (", own_bits!(), ") & 2 THEN 'FORBIDDEN' ",
            $($further,)* "ELSE '' END"
        )
    };
}

/// An invite to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInvite {
    code: String,
    max_uses: Option<u64>,
    expires_at: Option<Timestamp>,
}

impl NewInvite {
    /// How many random bytes a code is made of: no one guesses it.
    pub const RANDOM_BYTES: usize = 12;
    /// The most uses that can be counted.
    pub const MAX_USES: u64 = 1_000_000_000;

    /// An invite for so many uses, and until then.
    ///
    /// # Errors
    /// 400 `BODY_INVALID` for no uses, more than [`Self::MAX_USES`], or a time that is no longer to come.
    pub fn new(
        random: [u8; Self::RANDOM_BYTES],
        max_uses: Option<u64>,
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        if max_uses.is_some_and(|uses| !(1..=Self::MAX_USES).contains(&uses)) {
            return Err(Code::BodyInvalid.with(format!("max_uses is from 1 to {}", Self::MAX_USES)));
        }
        if expires_at.is_some_and(|time| time <= now || time >= 1 << 53) {
            return Err(Code::BodyInvalid.with("expires_at is a time to come, in Unix milliseconds"));
        }
        Ok(Self { code: hex::encode(random), max_uses, expires_at })
    }
}

/// `?6` code, `?7` uses, `?8` end, `?9` the two as JSON. The log has no more of a code than its beginning: whoever may
/// read there may not invite.
const RECORD_CREATION: &str = entry!(may_invite!(), "invite_created", "substr(?6, 1, 6)", "?9", "TRUE");

const CREATE: &str = concat!(
    "INSERT INTO invites (code, created_by, created_at, max_uses, expires_at) SELECT ?6, ?1, ?3, ?7, ?8 WHERE ",
    decided!()
);

const ONE: &str = concat!("SELECT ", invite_sql!(), " AS json FROM invites i WHERE i.code = ?6");

/// Makes an invite.
///
/// # Errors
/// 403 `BANNED`, 403 `FORBIDDEN` without `MANAGE_CHANNELS`, 503 `STORAGE_UNAVAILABLE`.
pub async fn create(
    database: &impl Database,
    request: Request<'_>,
    invite: &NewInvite,
) -> Result<Invite, Problem> {
    let given = json!({"max_uses": invite.max_uses, "expires_at": invite.expires_at});
    let own: [Value; 4] = [
        invite.code.as_str().into(),
        invite.max_uses.into(),
        invite.expires_at.into(),
        given.to_string().into(),
    ];
    let acts = [RECORD_CREATION, PROVISION, CREATE, ONE];
    let rows = decision::run(database, request, own, verdict!(may_invite!()), &acts).await?;
    rows.first()?.ok_or_else(Problem::internal)
}

macro_rules! may_delete {
    () => {
        may_invite!("WHEN NOT EXISTS (SELECT 1 FROM invites WHERE code = ?6) THEN 'INVITE_NOT_FOUND' ")
    };
}

const RECORD_DELETION: &str = entry!(may_delete!(), "invite_deleted", "substr(?6, 1, 6)", "'{}'", "TRUE");

const DELETE: &str = concat!("DELETE FROM invites WHERE code = ?6 AND ", decided!());

/// Takes an invite back: nobody registers with it from then on.
///
/// # Errors
/// 403 `BANNED`, 403 `FORBIDDEN` without `MANAGE_CHANNELS`, 404 `INVITE_NOT_FOUND`, 503 `STORAGE_UNAVAILABLE`.
pub async fn delete(database: &impl Database, request: Request<'_>, code: &str) -> Result<(), Problem> {
    let acts = [RECORD_DELETION, PROVISION, DELETE];
    let own = [Value::from(code)];
    decision::run(database, request, own, verdict!(may_delete!()), &acts).await.map(drop)
}
