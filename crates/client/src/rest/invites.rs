//! Invites: list, make, take back.

use reqwest::Method;
use serde_json::json;

use crate::{
    Client, Error, Invite, Invites,
    client::{Call, Repeat},
};

impl Client {
    /// Invites by code, after the one given.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `FORBIDDEN`; [`Error::Network`].
    pub async fn invites(&self, after: Option<&str>, limit: Option<u32>) -> Result<Invites, Error> {
        let call = Call::api(Method::GET, &["invites"]).query("after", after).query("limit", limit);
        self.call(&call).await?.json()
    }

    /// Makes an invite for so many users and until then, in Unix milliseconds; for any number and for good where nothing
    /// is said. Not repeated where its fate is unknown, since there could be two.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `FORBIDDEN`; [`Error::Network`].
    pub async fn create_invite(
        &self,
        max_uses: Option<u64>,
        expires_at: Option<u64>,
    ) -> Result<Invite, Error> {
        let body = json!({"max_uses": max_uses, "expires_at": expires_at});
        let call = Call::api(Method::POST, &["invites"]).body(body).repeat(Repeat::Never);
        self.call(&call).await?.json()
    }

    /// Takes an invite back.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `FORBIDDEN`, `INVITE_NOT_FOUND`; [`Error::Network`].
    pub async fn delete_invite(&self, code: &str) -> Result<(), Error> {
        let call = Call::api(Method::DELETE, &["invites", code]).repeat(Repeat::DoneAt("INVITE_NOT_FOUND"));
        self.call(&call).await.map(drop)
    }
}
