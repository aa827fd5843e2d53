//! Staying logged in: refresh tokens, each of which is good once.
//!
//! All refresh tokens of a login begin with the same random bytes, which nobody knows who has not had one of them. So a
//! token that names a login and is not its present one was spent before: it was copied, and the login ends.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use sha2::{Digest as _, Sha256};

use super::{Login, Verdict, login_row_sql, tidy, verdict};
use crate::{
    access::banned_sql,
    database::{Database, Statement},
    ids::Timestamp,
    problem::Problem,
};

/// How long a refresh token is good, in milliseconds.
pub const LIFETIME_MS: u64 = 7 * 24 * 60 * 60_000;

const LOGIN_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;

/// A refresh token.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    login: [u8; LOGIN_BYTES],
    secret: [u8; SECRET_BYTES],
}

impl RefreshToken {
    /// How many random bytes a new one is made of.
    pub const RANDOM_BYTES: usize = LOGIN_BYTES + SECRET_BYTES;

    /// The first one of a new login, out of random bytes.
    #[must_use]
    pub fn new(random: [u8; Self::RANDOM_BYTES]) -> Self {
        let mut token = Self { login: [0; LOGIN_BYTES], secret: [0; SECRET_BYTES] };
        let (login, secret) = random.split_at(LOGIN_BYTES);
        token.login.copy_from_slice(login);
        token.secret.copy_from_slice(secret);
        token
    }

    /// The next one of the same login, out of random bytes.
    #[must_use]
    pub const fn next(&self, random: [u8; SECRET_BYTES]) -> Self {
        Self { login: self.login, secret: random }
    }

    /// Takes one as a client sends it. None for what never was one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // Longer texts are not decoded, however long they are.
        let bytes = (text.len() <= 64).then(|| BASE64.decode(text).ok()).flatten()?;
        bytes.try_into().ok().map(Self::new)
    }

    /// As clients send it: 64 characters.
    #[must_use]
    pub fn text(&self) -> String {
        BASE64.encode([&self.login[..], &self.secret].concat())
    }

    /// What the login is stored as.
    pub(super) fn login_id(&self) -> String {
        hex::encode(Sha256::digest(self.login))
    }

    /// What the token is stored as.
    pub(super) fn digest(&self) -> String {
        hex::encode(Sha256::digest(self.secret))
    }
}

/// A secret: it is left out.
impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RefreshToken").finish_non_exhaustive()
    }
}

/// Ends login `?1` where the token of digest `?2` is not its present one, or was for too long at `?3`.
const REVOKE: &str = "DELETE FROM logins WHERE id = ?1 AND (token_digest <> ?2 OR expires_at <= ?3)";

/// Puts the token of digest `?4`, until `?5`, in the place of that of `?2`, unless the user is banned at `?3`.
const ROTATE: &str = concat!(
    "UPDATE logins SET token_digest = ?4, expires_at = ?5
     WHERE id = ?1 AND token_digest = ?2 AND NOT ",
    banned_sql!("logins.user_id", "?3")
);

/// The login `?1`, if there is one and its token is `?4` now; else whether that is because of a ban, at `?3`.
const VERDICT: &str = concat!(
    "SELECT json_object('login', json((SELECT ",
    login_row_sql!(),
    " FROM logins l JOIN users u ON u.id = l.user_id
                                  WHERE l.id = ?1 AND l.token_digest = ?4)),
                        'banned', EXISTS (SELECT 1 FROM logins l WHERE l.id = ?1 AND l.token_digest = ?2
                                          AND ",
    banned_sql!("l.user_id", "?3"),
    ")) AS json"
);

/// Spends a refresh token for the next one. A token that was spent before ends its login.
///
/// # Errors
/// 401 `CREDENTIALS_INVALID` for a token that is not good, or not any more; 403 `BANNED`, which spends nothing; 503
/// `STORAGE_UNAVAILABLE`.
pub async fn renew(
    database: &impl Database,
    token: &RefreshToken,
    next: &RefreshToken,
    now: Timestamp,
) -> Result<Login, Problem> {
    let params = |count: usize| {
        let mut params = vec![
            token.login_id().into(),
            token.digest().into(),
            now.into(),
            next.digest().into(),
            (now + LIFETIME_MS).into(),
        ];
        params.truncate(count);
        params
    };
    let mut batch = vec![Statement::new(REVOKE, params(3)), Statement::new(ROTATE, params(5))];
    batch.extend(tidy(now));
    batch.push(Statement::new(VERDICT, params(4)));
    verdict::<Verdict>(&database.batch(batch).await?)?.login()
}

/// Ends the login that a refresh token belongs to, whether it is its present one or was spent; does nothing where there
/// is none.
///
/// # Errors
/// 503 `STORAGE_UNAVAILABLE`.
pub async fn log_out(database: &impl Database, token: &RefreshToken) -> Result<(), Problem> {
    let end = Statement::new("DELETE FROM logins WHERE id = ?1", vec![token.login_id().into()]);
    database.batch(vec![end]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_one_spelling() {
        let token = RefreshToken::new([0xfb; 48]);
        let text = token.text();
        assert_eq!(text.len(), 64);
        assert_eq!(RefreshToken::parse(&text), Some(token.clone()));
        for wrong in ["", "x", &text[1..], &format!("{text}="), &format!("{text}A"), &text.replace('-', "+")]
        {
            assert_eq!(RefreshToken::parse(wrong), None, "{wrong}");
        }
        assert!(!format!("{token:?}").contains("251"));
    }

    #[test]
    fn the_next_one_is_of_the_same_login_and_another() {
        let token = RefreshToken::new([1; 48]);
        let next = token.next([2; 32]);
        assert_eq!(token.login_id(), next.login_id());
        assert_ne!(token.digest(), next.digest());
        assert_ne!(RefreshToken::new([3; 48]).login_id(), token.login_id());
    }
}
