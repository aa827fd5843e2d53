//! Users who are known by a key: how they register, log in, and stay logged in.
//!
//! A client proves its key by signing a challenge. The proof is checked here without the database; what two requests
//! can race for (a challenge, a key, an invite's last use, to be the first owner, a refresh token) is a condition of the
//! statements of one batch, and the batch's last statement says what came of it.

mod challenge;
mod login;
mod refresh;
mod register;

pub use challenge::{Challenge, Challenges, Claim, LIFETIME_MS as CHALLENGE_LIFETIME_MS, Proof, Purpose};
pub use login::log_in;
pub use refresh::{LIFETIME_MS as REFRESH_LIFETIME_MS, RefreshToken, log_out, renew};
pub use register::{Entry, NewUser, invite_refused, register, setup_token_refused};

use hmac::{Hmac, Mac as _};
use serde::Deserialize;
use sha2::Sha256;

use crate::{
    database::{Rows, Statement, bool_of_int},
    ids::{Timestamp, UserId},
    problem::{Code, Problem},
    signature::PublicKey,
    token::{Claims, SignError, sign},
};

/// How long an access token is good, in seconds.
pub const ACCESS_LIFETIME_S: u64 = 15 * 60;

/// A login that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Who it is.
    pub user_id: UserId,
    /// The key that they are known by.
    pub public_key: PublicKey,
    /// Whether they own the server.
    pub is_owner: bool,
}

impl Login {
    /// Signs an access token for the login, good for [`ACCESS_LIFETIME_S`].
    ///
    /// It says who, not what they may do: that is read from the database at each use, and ends there at once.
    ///
    /// # Errors
    /// [`SignError`] where the secret is too short.
    pub fn access_token(&self, secret: &[u8], now: Timestamp) -> Result<String, SignError> {
        let iat = now / 1_000;
        let mut claims = Claims::new(self.user_id.clone(), iat, iat + ACCESS_LIFETIME_S);
        claims.fingerprint = Some(self.public_key.fingerprint());
        sign(secret, &claims)
    }
}

/// A login as the last statement of a batch tells it.
#[derive(Debug, Deserialize)]
struct LoginRow {
    user_id: String,
    public_key: Option<String>,
    #[serde(deserialize_with = "bool_of_int")]
    is_owner: bool,
}

impl LoginRow {
    fn login(self) -> Result<Login, Problem> {
        // Only who has a key logs in.
        let public_key = self.public_key.and_then(|key| PublicKey::parse(&key).ok());
        Ok(Login {
            user_id: UserId::parse(&self.user_id)?,
            public_key: public_key.ok_or_else(Problem::internal)?,
            is_owner: self.is_owner,
        })
    }
}

/// The columns of [`LoginRow`], of `users u`.
macro_rules! login_row_sql {
    () => {
        "json_object('user_id', u.id, 'public_key', u.public_key, 'is_owner', u.is_owner)"
    };
}
use login_row_sql;

/// What became of logging in, or of going on with a login.
#[derive(Deserialize)]
struct Verdict {
    login: Option<LoginRow>,
    #[serde(deserialize_with = "bool_of_int")]
    banned: bool,
}

impl Verdict {
    fn login(self) -> Result<Login, Problem> {
        match self.login {
            Some(login) => login.login(),
            None if self.banned => Err(banned()),
            None => Err(refused()),
        }
    }
}

/// The one refusal of a login, whatever was wrong with it.
#[must_use]
pub fn refused() -> Problem {
    Code::CredentialsInvalid.with("these credentials are not valid")
}

fn banned() -> Problem {
    Code::Banned.with("you are banned")
}

/// How many outdated rows one batch takes along, so that none pays for all.
const TIDIED: u64 = 20;

/// For how long what is over is remembered, in milliseconds: longer than any request is under way, since a row of a
/// used challenge that went while a request was still on its way to use it again would let it.
const REMEMBERED_MS: Timestamp = 5 * 60_000;

/// Removes some of what is long over.
fn tidy(now: Timestamp) -> [Statement; 2] {
    let before = now.saturating_sub(REMEMBERED_MS);
    [
        "DELETE FROM used_challenges WHERE (expires_at, id) IN
            (SELECT expires_at, id FROM used_challenges WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
        "DELETE FROM logins WHERE id IN (SELECT id FROM logins WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
    ]
    .map(|sql| Statement::new(sql, vec![before.into(), TIDIED.into()]))
}

/// The last answer of a batch, whose statement always answers with one row.
fn verdict<T: serde::de::DeserializeOwned>(answers: &[Rows]) -> Result<T, Problem> {
    let rows = answers.last().ok_or_else(Problem::internal)?;
    rows.first()?.ok_or_else(Problem::internal)
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
#[must_use]
pub fn same_secret(given: &str, known: &str) -> bool {
    // Compared are digests under a key, by `hmac`'s own comparison, which takes its time in any case.
    let digest = |text: &str| mac(known.as_bytes(), &[text.as_bytes()]);
    digest(given).verify_slice(&digest(known).finalize().into_bytes()).is_ok()
}

/// HMAC-SHA-256 over these parts, one after the other.
fn mac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    // A key of any length is one: longer ones are hashed, shorter ones filled up.
    let mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()));
    parts.iter().fold(mac, Hmac::chain_update)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_the_same_or_not() {
        assert!(same_secret("let me in", "let me in"));
        for wrong in ["", "let me i", "let me in ", "Let me in", "let me in\0"] {
            assert!(!same_secret(wrong, "let me in"), "{wrong:?}");
        }
    }
}
