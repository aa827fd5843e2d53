//! Users who are known by a key: what they sign is made by hand, as the contract writes it.

use ed25519_dalek::{Signer as _, SigningKey};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Answer, Server, User};

/// A key that nobody else has.
#[derive(Clone, Debug)]
pub struct Key(SigningKey);

/// What a server answers to who is let in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// A `UUIDv7`.
    pub user_id: String,
    /// A JWT.
    pub access_token: String,
    /// Good once.
    pub refresh_token: String,
    /// Of the access token, in seconds.
    pub expires_in: u64,
    /// Whether the user owns the server.
    pub is_owner: bool,
}

impl Key {
    /// A new key.
    #[must_use]
    pub fn new() -> Self {
        let mut seed = [0; 32];
        seed[..16].copy_from_slice(Uuid::new_v4().as_bytes());
        seed[16..].copy_from_slice(Uuid::new_v4().as_bytes());
        Self(SigningKey::from_bytes(&seed))
    }

    /// What signs.
    #[must_use]
    pub fn signer(&self) -> &SigningKey {
        &self.0
    }

    /// The public key, in hex.
    #[must_use]
    pub fn public(&self) -> String {
        hex::encode(self.0.verifying_key().as_bytes())
    }

    /// A signature over `<purpose>:<host>:<bytes of hex>`, in hex.
    #[must_use]
    pub fn sign(&self, purpose: &str, host: &str, challenge_bytes: &str) -> String {
        let bytes = hex::decode(challenge_bytes).expect("a challenge is hex");
        let message = [format!("{purpose}:{host}:").as_bytes(), &bytes].concat();
        hex::encode(self.0.sign(&message).to_bytes())
    }

    /// Asks for a challenge.
    pub async fn challenge(&self, server: &Server) -> Value {
        let body = json!({"public_key": self.public()});
        server.ask_auth("challenge", &body).await.expect(200).json()
    }

    /// The answer to a new challenge, signed for `purpose` and the server's host.
    pub async fn answer(&self, server: &Server, purpose: &str) -> Value {
        let challenge = self.challenge(server).await;
        let bytes = challenge["challenge_bytes"].as_str().expect("hex");
        json!({
            "public_key": self.public(), "challenge_id": challenge["challenge_id"],
            "signature": self.sign(purpose, server.address(), bytes),
        })
    }

    /// The body of a registration as `Ana`.
    pub async fn registration(&self, server: &Server) -> Value {
        let mut body = self.answer(server, "edgewise-register-v1").await;
        body["display_name"] = "Ana".into();
        body
    }

    /// Registers as `Ana`.
    pub async fn register(&self, server: &Server) -> Login {
        let body = self.registration(server).await;
        server.ask_auth("register", &body).await.expect(201).json()
    }

    /// The body of a login.
    pub async fn login(&self, server: &Server) -> Value {
        self.answer(server, "edgewise-login-v1").await
    }

    /// Logs in.
    pub async fn log_in(&self, server: &Server) -> Login {
        let body = self.login(server).await;
        server.ask_auth("verify", &body).await.expect(200).json()
    }
}

impl Default for Key {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    /// One of the public identity routes.
    pub async fn ask_auth(&self, route: &str, body: &Value) -> Answer {
        self.with_token("").post(&format!("/api/auth/{route}")).json(body).send().await
    }

    /// A registered user.
    pub async fn registered(&self) -> (Key, User) {
        let key = Key::new();
        let login = key.register(self).await;
        (key, User::new(self, &login.user_id, login.access_token))
    }
}
