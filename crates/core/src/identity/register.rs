//! Registering a key: a new user, logged in.

use serde::Deserialize;

use super::{
    Login, LoginRow, REFRESH_LIFETIME_MS, RefreshToken, challenge::Proof, login_row_sql, refused, tidy,
    verdict,
};
use crate::{
    database::{Database, Statement, bool_of_int},
    ids::{Timestamp, UserId},
    names::DisplayName,
    problem::{Code, Problem},
};

/// By which door a new user comes in, as far as that goes without the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Whoever likes may.
    Open,
    /// With an invite, one use of which is spent.
    Invite(String),
    /// With the setup token, which was compared already: as the first owner.
    FirstOwner,
}

/// Who wants to be registered.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Their id, which no other has.
    pub id: UserId,
    /// Their name.
    pub display_name: DisplayName,
    /// By which door.
    pub entry: Entry,
}

/// An invite `i` that can be used at `$now`.
macro_rules! usable_sql {
    ($code:literal, $now:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM invites i WHERE i.code = ",
            $code,
            "
                     AND (i.max_uses IS NULL OR i.uses < i.max_uses)
                     AND (i.expires_at IS NULL OR i.expires_at > ",
            $now,
            "))"
        )
    };
}

/// That this registration, of login `?3`, is the one that used challenge `(?1, ?2)`.
macro_rules! used_sql {
    () => {
        "EXISTS (SELECT 1 FROM used_challenges WHERE expires_at = ?1 AND id = ?2 AND login_id = ?3)"
    };
}

/// Uses challenge `(?1, ?2)` for login `?3` at `?4`, where all that a registration races for is still to be had: key `?5`, the
/// ownership if `?6`, a use of invite `?7` unless that is NULL.
const USE: &str = concat!(
    "INSERT INTO used_challenges (expires_at, id, login_id)
     SELECT ?1, ?2, ?3
     WHERE NOT EXISTS (SELECT 1 FROM users WHERE public_key = ?5)
       AND NOT (?6 AND EXISTS (SELECT 1 FROM users WHERE is_owner = 1))
       AND (?7 IS NULL OR ",
    usable_sql!("?7", "?4"),
    ")
     ON CONFLICT DO NOTHING"
);

const CREATE: &str = concat!(
    "INSERT INTO users (id, display_name, public_key, is_owner, created_at) SELECT ?8, ?9, ?5, ?6, ?4 WHERE ",
    used_sql!()
);

const SPEND: &str = concat!("UPDATE invites SET uses = uses + 1 WHERE code = ?4 AND ", used_sql!());

const OPEN: &str = concat!(
    "INSERT INTO logins (id, user_id, token_digest, created_at, expires_at) SELECT ?3, ?4, ?5, ?6, ?7 WHERE ",
    used_sql!()
);

/// The login, if it was opened. If not nothing has changed, and this is why; the challenge comes first.
const VERDICT: &str = concat!(
    "SELECT json_object('login', json((SELECT ", login_row_sql!(), " FROM logins l JOIN users u ON u.id = l.user_id WHERE l.id = ?3)),
                        'challenge_used', EXISTS (SELECT 1 FROM used_challenges WHERE expires_at = ?1 AND id = ?2),
                        'owned', ?6 AND EXISTS (SELECT 1 FROM users WHERE is_owner = 1),
                        'invite_unusable', ?7 IS NOT NULL AND NOT ", usable_sql!("?7", "?4"), ",
                        'key_taken', EXISTS (SELECT 1 FROM users WHERE public_key = ?5)) AS json"
);

#[derive(Deserialize)]
struct Verdict {
    login: Option<LoginRow>,
    #[serde(deserialize_with = "bool_of_int")]
    challenge_used: bool,
    #[serde(deserialize_with = "bool_of_int")]
    owned: bool,
    #[serde(deserialize_with = "bool_of_int")]
    invite_unusable: bool,
    #[serde(deserialize_with = "bool_of_int")]
    key_taken: bool,
}

/// Makes a user of who has proven a key, logs them in, and makes `token` the login's refresh token.
///
/// # Errors
/// 401 `CREDENTIALS_INVALID` where the challenge was used before; 403 `SETUP_TOKEN_INVALID` where there is an owner
/// already; 403 `INVITE_INVALID`; 409 `KEY_TAKEN`; 503 `STORAGE_UNAVAILABLE`.
pub async fn register(
    database: &impl Database,
    proof: &Proof,
    user: &NewUser,
    token: &RefreshToken,
    now: Timestamp,
) -> Result<Login, Problem> {
    let (id, login) = (user.id.as_str(), token.login_id());
    let invite = match &user.entry {
        Entry::Invite(code) => Some(code.as_str()),
        Entry::Open | Entry::FirstOwner => None,
    };
    let challenge = |sql, rest: Vec<_>| {
        let mut params =
            vec![proof.challenge.expires_at.into(), proof.challenge_id().into(), login.clone().into()];
        params.extend(rest);
        Statement::new(sql, params)
    };
    let raced_for = || {
        let first_owner = user.entry == Entry::FirstOwner;
        vec![now.into(), proof.key.to_string().into(), first_owner.into(), invite.into()]
    };
    let mut create = challenge(CREATE, raced_for());
    create.params.extend([id.into(), user.display_name.as_str().into()]);
    let ends = now + REFRESH_LIFETIME_MS;
    let open = vec![id.into(), token.digest().into(), now.into(), ends.into()];
    let mut batch = vec![
        challenge(USE, raced_for()),
        create,
        challenge(SPEND, vec![invite.into()]),
        challenge(OPEN, open),
    ];
    batch.extend(tidy(now));
    batch.push(challenge(VERDICT, raced_for()));
    match verdict(&database.batch(batch).await?)? {
        Verdict { login: Some(login), .. } => login.login(),
        Verdict { challenge_used: true, .. } => Err(refused()),
        Verdict { owned: true, .. } => Err(setup_token_refused()),
        Verdict { invite_unusable: true, .. } => Err(invite_refused()),
        Verdict { key_taken: true, .. } => {
            Err(Code::KeyTaken.with("this key is registered already: log in with it"))
        }
        _ => Err(Problem::internal()),
    }
}

/// The refusal of a setup token that is wrong, or was used.
#[must_use]
pub fn setup_token_refused() -> Problem {
    Code::SetupTokenInvalid.with("the setup token is not valid, or the server has its owner already")
}

/// The refusal of an invite that is not there, or not any more.
#[must_use]
pub fn invite_refused() -> Problem {
    Code::InviteInvalid.with("this takes an invite that is known, not used up, and not expired")
}
