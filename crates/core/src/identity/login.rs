//! Logging in with a key that is known.

use super::{
    Login, REFRESH_LIFETIME_MS, RefreshToken, Verdict, challenge::Proof, login_row_sql, tidy, verdict,
};
use crate::{
    access::banned_sql,
    database::{Database, Statement},
    ids::Timestamp,
    problem::Problem,
};

/// Uses challenge `(?1, ?2)` for login `?3`, where `?4` is the key of a user who is not banned at `?5`.
const USE: &str = concat!(
    "INSERT INTO used_challenges (expires_at, id, login_id)
     SELECT ?1, ?2, ?3 FROM users u WHERE u.public_key = ?4 AND NOT ",
    banned_sql!("u.id", "?5"),
    "
     ON CONFLICT DO NOTHING"
);

/// Opens login `?3` with the token of digest `?6` until `?7`, if it is this one that used the challenge.
const OPEN: &str = "
    INSERT INTO logins (id, user_id, token_digest, created_at, expires_at)
    SELECT ?3, u.id, ?6, ?5, ?7 FROM users u
    WHERE u.public_key = ?4
      AND EXISTS (SELECT 1 FROM used_challenges WHERE expires_at = ?1 AND id = ?2 AND login_id = ?3)";

/// The login `?1`, if it was opened; else whether it was the ban of the user with key `?2`, at `?3`.
const VERDICT: &str = concat!(
    "SELECT json_object('login', json((SELECT ",
    login_row_sql!(),
    " FROM logins l JOIN users u ON u.id = l.user_id WHERE l.id = ?1)),
                        'banned', EXISTS (SELECT 1 FROM users u WHERE u.public_key = ?2 AND ",
    banned_sql!("u.id", "?3"),
    ")) AS json"
);

/// Logs in who has proven a key, and makes `token` the login's refresh token.
///
/// # Errors
/// 401 `CREDENTIALS_INVALID` where the key is nobody's or the challenge was used before, and no way to tell which;
/// 403 `BANNED`, told only to who holds the key; 503 `STORAGE_UNAVAILABLE`.
pub async fn log_in(
    database: &impl Database,
    proof: &Proof,
    token: &RefreshToken,
    now: Timestamp,
) -> Result<Login, Problem> {
    let (key, login) = (proof.key.to_string(), token.login_id());
    let using = || -> Vec<_> {
        let challenge = [proof.challenge.expires_at.into(), proof.challenge_id().into()];
        challenge.into_iter().chain([login.clone().into(), key.clone().into(), now.into()]).collect()
    };
    let mut open = Statement::new(OPEN, using());
    open.params.extend([token.digest().into(), (now + REFRESH_LIFETIME_MS).into()]);
    let mut batch = vec![Statement::new(USE, using()), open];
    batch.extend(tidy(now));
    batch.push(Statement::new(VERDICT, vec![login.into(), key.into(), now.into()]));
    verdict::<Verdict>(&database.batch(batch).await?)?.login()
}
