//! Who the client is: keys registered and logged in with, logins renewed and ended.

use std::fmt;

use futures_util::future::{BoxFuture, FutureExt};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{
    BoxError, Client, Error, Signer, TokenSource,
    client::{Call, Repeat},
};

/// What lets a new user in.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Admission {
    /// An invite, where the server wants one.
    pub invite_code: Option<String>,
    /// The server's setup token, for its first owner.
    pub setup_token: Option<String>,
}

/// A login: its tokens, and whose it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The user.
    pub user_id: String,
    /// What to speak with.
    pub access_token: String,
    /// What brings the next two; good once.
    pub refresh_token: String,
    /// How long the access token is good, in seconds.
    pub expires_in: u64,
    /// Whether the user owns the server.
    pub is_owner: bool,
}

/// Secrets are left out.
impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").finish_non_exhaustive()
    }
}

/// The tokens are left out.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user_id", &self.user_id).finish_non_exhaustive()
    }
}

impl Client {
    /// Registers a key under a name, and logs in. Not repeated where its fate is unknown: logging in tells.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `KEY_TAKEN`, `REGISTRATION_CLOSED`, `INVITE_INVALID`, `NAME_INVALID`;
    /// [`Error::Network`].
    pub async fn register(
        &self,
        signer: &Signer,
        display_name: &str,
        admission: &Admission,
    ) -> Result<Login, Error> {
        let mut body = self.proof(signer, "edgewise-register-v1").await?;
        body["display_name"] = display_name.into();
        body["invite_code"] = admission.invite_code.clone().into();
        body["setup_token"] = admission.setup_token.clone().into();
        self.ask_identity("register", body).await?.json()
    }

    /// Logs in with a key that is registered. Not repeated where its fate is unknown: each try takes a new challenge.
    ///
    /// # Errors
    /// [`Error::Problem`], `CREDENTIALS_INVALID` for a key that is not known; [`Error::Network`].
    pub async fn log_in(&self, signer: &Signer) -> Result<Login, Error> {
        let body = self.proof(signer, "edgewise-login-v1").await?;
        self.ask_identity("verify", body).await?.json()
    }

    /// Goes on with a login: by its refresh token, and where that is no longer good by the key that this client signs
    /// with, if it does.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `CREDENTIALS_INVALID`, `BANNED`; [`Error::Network`].
    pub async fn renew(&self, refresh_token: &str) -> Result<Login, Error> {
        let renewed = self.ask_identity("refresh", json!({"refresh_token": refresh_token})).await;
        match (renewed, &self.signer) {
            (Ok(answer), _) => answer.json(),
            // Spent already: the answer that brought the next one may have been lost.
            (Err(error), Some(signer)) if error.code() == Some("CREDENTIALS_INVALID") => {
                self.log_in(signer).await
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Ends a login. Its access token is good until it ends by itself.
    ///
    /// # Errors
    /// [`Error::Problem`], [`Error::Network`].
    pub async fn log_out(&self, refresh_token: &str) -> Result<(), Error> {
        let body = json!({"refresh_token": refresh_token});
        let call = Call::api(Method::POST, &["auth", "logout"]).without_token().body(body);
        self.call(&call).await.map(drop)
    }

    /// Speaks by a login, and goes on with it when its access token ends: see [`Client::renew`].
    #[must_use]
    pub fn with_login(self, login: Login) -> Self {
        let asking = self.clone().with_token("");
        let client = self.with_token(login.access_token);
        client.with_refresh(Renewal { client: asking, refresh_token: Mutex::new(login.refresh_token) })
    }

    /// The answer to a new challenge.
    async fn proof(&self, signer: &Signer, purpose: &str) -> Result<Value, Error> {
        #[derive(Deserialize)]
        struct Challenge {
            challenge_id: String,
            challenge_bytes: String,
        }
        let public_key = signer.public_key();
        let body = json!({"public_key": public_key});
        let call = Call::api(Method::POST, &["auth", "challenge"]).without_token().body(body);
        let challenge: Challenge = self.call(&call).await?.json()?;
        let bytes =
            hex::decode(&challenge.challenge_bytes).map_err(|error| Error::Answer(error.to_string()))?;
        // The host is signed with it, and the length held to: whatever else it is, it is no message.
        if bytes.len() != 32 {
            return Err(Error::Answer("a challenge has 32 bytes".into()));
        }
        let message = [format!("{purpose}:{}:", self.host()).as_bytes(), &bytes].concat();
        let signature = hex::encode(signer.sign(&message));
        Ok(json!({"public_key": public_key, "challenge_id": challenge.challenge_id, "signature": signature}))
    }

    async fn ask_identity(&self, route: &str, body: Value) -> Result<crate::client::Answer, Error> {
        let call = Call::api(Method::POST, &["auth", route]).without_token().body(body);
        self.call(&call.repeat(Repeat::Never)).await
    }

    /// The host as the server is asked for it.
    fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

/// A login that goes on.
struct Renewal {
    client: Client,
    refresh_token: Mutex<String>,
}

impl TokenSource for Renewal {
    fn fresh(&self) -> BoxFuture<'_, Result<String, BoxError>> {
        async {
            let mut refresh_token = self.refresh_token.lock().await;
            let login = self.client.renew(&refresh_token).await?;
            *refresh_token = login.refresh_token;
            Ok(login.access_token)
        }
        .boxed()
    }
}
