//! Bans, and the log of what moderators did.

use reqwest::Method;
use serde::Serialize;

use crate::{
    AuditEntries, Bans, Client, Error,
    client::{Call, Repeat},
};

/// What a ban is to be. Times are Unix milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BanDraft {
    /// Up to 1,000 characters, for who reads the list of bans.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it ends; `None`: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// From when on what the user sent is deleted, at most seven days back; `None`: nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_messages_since: Option<u64>,
}

impl Client {
    /// The bans in force by user id, after the one given.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `FORBIDDEN`; [`Error::Network`].
    pub async fn bans(&self, after: Option<&str>, limit: Option<u32>) -> Result<Bans, Error> {
        let call = Call::api(Method::GET, &["bans"]).query("after", after).query("limit", limit);
        self.call(&call).await?.json()
    }

    /// Bans a user; a second ban takes the place of the first.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `FORBIDDEN`; [`Error::Network`].
    pub async fn ban(&self, user_id: &str, ban: &BanDraft) -> Result<(), Error> {
        // Strings and numbers only: it cannot fail.
        let body = serde_json::to_value(ban).unwrap_or_default();
        self.call(&Call::api(Method::PUT, &["bans", user_id]).body(body)).await.map(drop)
    }

    /// Lifts a ban. What it deleted stays deleted.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `FORBIDDEN`, `BAN_NOT_FOUND`; [`Error::Network`].
    pub async fn unban(&self, user_id: &str) -> Result<(), Error> {
        let call = Call::api(Method::DELETE, &["bans", user_id]).repeat(Repeat::DoneAt("BAN_NOT_FOUND"));
        self.call(&call).await.map(drop)
    }

    /// Who did what, newest first, before the entry given.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `FORBIDDEN`; [`Error::Network`].
    pub async fn audit(&self, before: Option<&str>, limit: Option<u32>) -> Result<AuditEntries, Error> {
        let call = Call::api(Method::GET, &["audit"]).query("before", before).query("limit", limit);
        self.call(&call).await?.json()
    }
}
