//! `/api/auth/…`: keys registered and logged in with, and logins renewed and ended. Public, and limited by the client's
//! address.

use edgewise_core::{
    identity::{
        self, ACCESS_LIFETIME_S, Challenges, Claim, Entry, Login, NewUser, Proof, Purpose, RefreshToken,
    },
    ids::UserId,
    names::DisplayName,
    problem::{Code, Problem},
    signature::PublicKey,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use worker::console_error;

use crate::{
    auth, auth_limit,
    call::Call,
    config::{self, Registration},
    random,
    reply::Reply,
};

/// **200** `{challenge_id, challenge_bytes, expires_at}`. Nothing is stored: whoever asks and never answers costs no row.
pub(crate) async fn challenge(call: &mut Call) -> Result<Reply, Problem> {
    #[derive(Deserialize)]
    struct Body {
        public_key: String,
    }
    #[derive(Serialize)]
    struct Issued {
        challenge_id: String,
        challenge_bytes: String,
        expires_at: u64,
    }
    auth_limit::admit(call).await?;
    let challenges = challenges(call)?;
    let body: Body = call.json().await?;
    let key = PublicKey::parse(&body.public_key)
        .map_err(|error| Code::BodyInvalid.with(format!("public_key is {error} of 32 bytes in hex")))?;
    let (challenge_id, challenge) = challenges.issue(&key, random::bytes()?, call.now);
    let challenge_bytes = hex::encode(challenge.bytes);
    Ok(Reply::json(200, &Issued { challenge_id, challenge_bytes, expires_at: challenge.expires_at }))
}

#[derive(Deserialize)]
struct Registering {
    public_key: String,
    display_name: String,
    challenge_id: String,
    signature: String,
    setup_token: Option<String>,
    invite_code: Option<String>,
}

/// **201** `{user_id, access_token, refresh_token, expires_in, is_owner}`.
pub(crate) async fn register(call: &mut Call) -> Result<Reply, Problem> {
    auth_limit::admit(call).await?;
    let challenges = challenges(call)?;
    let registration = config::registration(&call.env)?;
    let body: Registering = call.json().await?;
    // What one field says, and everyone may know, comes before who asks.
    let display_name = DisplayName::parse(&body.display_name)
        .map_err(|error| Code::NameInvalid.with(format!("display_name {error}")))?;
    let invite = body.invite_code.clone().filter(|code| !code.is_empty());
    let setup_token = body.setup_token.clone().filter(|token| !token.is_empty());
    let entry = match (setup_token, registration, invite) {
        // Who sets a server up comes in first, whoever else may come in.
        (Some(_), ..) => Entry::FirstOwner,
        (None, Registration::Closed, _) => {
            return Err(Code::RegistrationClosed.with("this server takes no registrations"));
        }
        (None, Registration::Invite, None) => return Err(identity::invite_refused()),
        (None, _, Some(code)) => Entry::Invite(code),
        (None, Registration::Open, None) => Entry::Open,
    };
    let claim =
        Claim { public_key: &body.public_key, challenge_id: &body.challenge_id, signature: &body.signature };
    let proof = prove(call, &challenges, &claim, Purpose::Register)?;
    if let Some(given) = body.setup_token.as_deref().filter(|_| entry == Entry::FirstOwner) {
        let known = config::setup_token(&call.env);
        if !known.is_some_and(|known| identity::same_secret(given, &known)) {
            return Err(identity::setup_token_refused());
        }
    }
    let user = NewUser { id: UserId::parse(&Uuid::now_v7().to_string())?, display_name, entry };
    let token = RefreshToken::new(random::bytes()?);
    let login = identity::register(call.database()?, &proof, &user, &token, call.now).await?;
    let_in(call, 201, &login, &token)
}

#[derive(Deserialize)]
struct LoggingIn {
    public_key: String,
    challenge_id: String,
    signature: String,
}

/// **200**, the same body.
pub(crate) async fn verify(call: &mut Call) -> Result<Reply, Problem> {
    auth_limit::admit(call).await?;
    let challenges = challenges(call)?;
    let LoggingIn { public_key, challenge_id, signature } = call.json().await?;
    let claim = Claim { public_key: &public_key, challenge_id: &challenge_id, signature: &signature };
    let proof = prove(call, &challenges, &claim, Purpose::Login)?;
    let token = RefreshToken::new(random::bytes()?);
    let login = identity::log_in(call.database()?, &proof, &token, call.now).await?;
    let_in(call, 200, &login, &token)
}

#[derive(Deserialize)]
struct Refreshing {
    refresh_token: String,
}

/// **200**, the same body.
pub(crate) async fn refresh(call: &mut Call) -> Result<Reply, Problem> {
    auth_limit::admit(call).await?;
    auth::check_config(&call.env)?;
    let Refreshing { refresh_token } = call.json().await?;
    let token = RefreshToken::parse(&refresh_token).ok_or_else(identity::refused)?;
    let next = token.next(random::bytes()?);
    let login = identity::renew(call.database()?, &token, &next, call.now).await?;
    let_in(call, 200, &login, &next)
}

/// **204**, also where the login had ended already.
pub(crate) async fn logout(call: &mut Call) -> Result<Reply, Problem> {
    auth_limit::admit(call).await?;
    auth::check_config(&call.env)?;
    let Refreshing { refresh_token } = call.json().await?;
    if let Some(token) = RefreshToken::parse(&refresh_token) {
        identity::log_out(call.database()?, &token).await?;
    }
    Ok(Reply::empty(204))
}

/// The answer to who was let in.
fn let_in(call: &Call, status: u16, login: &Login, token: &RefreshToken) -> Result<Reply, Problem> {
    #[derive(Serialize)]
    struct LetIn<'a> {
        user_id: &'a str,
        access_token: String,
        refresh_token: String,
        expires_in: u64,
        is_owner: bool,
    }
    let access_token = login.access_token(secret(call)?.as_bytes(), call.now).map_err(|error| {
        console_error!("a token could not be signed: {error}");
        Problem::internal()
    })?;
    let body = LetIn {
        user_id: login.user_id.as_str(),
        access_token,
        refresh_token: token.text(),
        expires_in: ACCESS_LIFETIME_S,
        is_owner: login.is_owner,
    };
    Ok(Reply::json(status, &body))
}

fn prove(
    call: &Call,
    challenges: &Challenges,
    claim: &Claim<'_>,
    purpose: Purpose,
) -> Result<Proof, Problem> {
    let host = config::public_host(&call.env).unwrap_or_else(|| call.host());
    challenges.proven(claim, purpose, &host, call.now).ok_or_else(identity::refused)
}

fn challenges(call: &Call) -> Result<Challenges, Problem> {
    auth::check_config(&call.env)?;
    Ok(Challenges::new(secret(call)?.as_bytes()))
}

fn secret(call: &Call) -> Result<String, Problem> {
    config::jwt_secret(&call.env).ok_or_else(Problem::internal)
}
