//! Reactions: add, remove, read.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use crate::{
    Client, Error, ReactingUsers, ReactionSummary,
    client::{Call, Repeat},
};

#[derive(Deserialize)]
struct Summaries {
    reactions: Vec<ReactionSummary>,
}

impl Client {
    /// Reacts to a message; a reaction that is there already stays. The answer is the emoji's summary.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `MESSAGE_NOT_FOUND`, `EMOJI_INVALID`, `TOO_MANY_REACTIONS`;
    /// [`Error::Network`].
    pub async fn react(
        &self,
        channel_id: &str,
        message_id: &str,
        emoji: &str,
    ) -> Result<ReactionSummary, Error> {
        let path = ["channels", channel_id, "messages", message_id, "reactions"];
        self.call(&Call::api(Method::POST, &path).body(json!({"emoji": emoji}))).await?.json()
    }

    /// Takes a reaction back.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `REACTION_NOT_FOUND`; [`Error::Network`].
    pub async fn unreact(&self, channel_id: &str, message_id: &str, emoji: &str) -> Result<(), Error> {
        let path = ["channels", channel_id, "messages", message_id, "reactions", emoji];
        let call = Call::api(Method::DELETE, &path).repeat(Repeat::DoneAt("REACTION_NOT_FOUND"));
        self.call(&call).await.map(drop)
    }

    /// The summaries of a message's reactions, most counted first.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `MESSAGE_NOT_FOUND`; [`Error::Network`].
    pub async fn reactions(&self, channel_id: &str, message_id: &str) -> Result<Vec<ReactionSummary>, Error> {
        let path = ["channels", channel_id, "messages", message_id, "reactions"];
        let answer = self.call(&Call::api(Method::GET, &path)).await?;
        Ok(answer.json::<Summaries>()?.reactions)
    }

    /// Who reacted with an emoji, by user id, after the one given; `limit` is 1 to 100.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `MESSAGE_NOT_FOUND`; [`Error::Network`].
    pub async fn reacting_users(
        &self,
        channel_id: &str,
        message_id: &str,
        emoji: &str,
        after: Option<&str>,
        limit: Option<u32>,
    ) -> Result<ReactingUsers, Error> {
        let path = ["channels", channel_id, "messages", message_id, "reactions", emoji];
        let call = Call::api(Method::GET, &path).query("after", after).query("limit", limit);
        self.call(&call).await?.json()
    }
}
