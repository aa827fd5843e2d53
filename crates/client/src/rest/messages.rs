//! Messages: send, read, edit, delete, and what changed.

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use crate::{
    Changes, Client, Error, Message, Page,
    client::{Call, Repeat},
};

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Draft {
    /// Content of this client's own.
    Plain {
        /// 1 to 4,000 Unicode scalar values after trimming.
        content: String,
        /// The message it answers.
        reply_to_id: Option<String>,
        /// The client's name for this send, 1 to 64 characters: sent twice under one name, it happens once.
        /// Where there is none, one is made up.
        nonce: Option<String>,
    },
    /// A signed `GossipEnvelope`, encoded; its signature makes it safe to repeat.
    Signed(Vec<u8>),
}

impl Draft {
    /// Content alone.
    pub fn new(content: impl Into<String>) -> Self {
        Self::Plain { content: content.into(), reply_to_id: None, nonce: None }
    }

    /// In answer to a message. A signed draft says so itself and stays as it is.
    #[must_use]
    pub fn reply_to(mut self, message_id: impl Into<String>) -> Self {
        if let Self::Plain { reply_to_id, .. } = &mut self {
            *reply_to_id = Some(message_id.into());
        }
        self
    }

    /// Under a name of the caller's own. A signed draft says so itself and stays as it is.
    #[must_use]
    pub fn with_nonce(mut self, name: impl Into<String>) -> Self {
        if let Self::Plain { nonce, .. } = &mut self {
            *nonce = Some(name.into());
        }
        self
    }

    /// With a made-up nonce where it has none, so that it can be repeated.
    #[must_use]
    pub(crate) fn named(mut self) -> Self {
        if let Self::Plain { nonce: nonce @ None, .. } = &mut self {
            *nonce = Some(Uuid::new_v4().to_string());
        }
        self
    }
}

impl<T: Into<String>> From<T> for Draft {
    fn from(content: T) -> Self {
        Self::new(content)
    }
}

/// The new content of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Content of this client's own.
    Plain(String),
    /// A signed `GossipEnvelope` of type `CHAT_EDIT`, encoded.
    Signed(Vec<u8>),
}

impl<T: Into<String>> From<T> for Edit {
    fn from(content: T) -> Self {
        Self::Plain(content.into())
    }
}

/// A message that was taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// The message in its present state.
    pub message: Message,
    /// Whether it had been sent before under the same nonce, or with the same signature.
    pub replayed: bool,
}

/// Which page of a channel's history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Position {
    /// The last page.
    #[default]
    Newest,
    /// The messages just before a `server_sequence`.
    Before(u64),
    /// The messages just after a `server_sequence`.
    After(u64),
    /// A `server_sequence` with what is around it.
    Around(u64),
}

impl Client {
    /// Sends a message. Repeated under its nonce where the network or the server fails, it is sent once.
    ///
    /// # Errors
    /// [`Error::Problem`] where the server refuses, for instance `CONTENT_TOO_LONG`, `REPLY_TARGET_NOT_FOUND`,
    /// `NONCE_REUSED`, `FORBIDDEN`, `RATE_LIMITED`; [`Error::Network`] where it is not reached.
    pub async fn send(&self, channel_id: &str, draft: impl Into<Draft>) -> Result<Sent, Error> {
        let body = match draft.into().named() {
            Draft::Plain { content, reply_to_id, nonce } => {
                json!({"content": content, "reply_to_id": reply_to_id, "nonce": nonce})
            }
            Draft::Signed(envelope) => json!({"envelope": STANDARD.encode(envelope)}),
        };
        let call = Call::api(Method::POST, &["channels", channel_id, "messages"]).body(body);
        let answer = self.call(&call).await?;
        let replayed = answer.status == StatusCode::OK || answer.headers.contains_key("idempotency-replayed");
        Ok(Sent { message: answer.json()?, replayed })
    }

    /// A page of history; `limit` is 1 to 100, 50 where none is given.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `CHANNEL_NOT_FOUND`, `QUERY_INVALID`; [`Error::Network`].
    pub async fn history(
        &self,
        channel_id: &str,
        position: Position,
        limit: Option<u32>,
    ) -> Result<Page, Error> {
        let call = Call::api(Method::GET, &["channels", channel_id, "messages"]).query("limit", limit);
        let call = match position {
            Position::Newest => call,
            Position::Before(sequence) => call.query("before", Some(sequence)),
            Position::After(sequence) => call.query("after", Some(sequence)),
            Position::Around(sequence) => call.query("around", Some(sequence)),
        };
        self.call(&call).await?.json()
    }

    /// One message.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `MESSAGE_NOT_FOUND`; [`Error::Network`].
    pub async fn message(&self, channel_id: &str, message_id: &str) -> Result<Message, Error> {
        let call = Call::api(Method::GET, &["channels", channel_id, "messages", message_id]);
        self.call(&call).await?.json()
    }

    /// Replaces a message's content. Only its sender may.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `MESSAGE_NOT_FOUND`, `FORBIDDEN`; [`Error::Network`].
    pub async fn edit(
        &self,
        channel_id: &str,
        message_id: &str,
        edit: impl Into<Edit>,
    ) -> Result<Message, Error> {
        let body = match edit.into() {
            Edit::Plain(content) => json!({"content": content}),
            Edit::Signed(envelope) => json!({"envelope": STANDARD.encode(envelope)}),
        };
        let call = Call::api(Method::PUT, &["channels", channel_id, "messages", message_id]).body(body);
        self.call(&call).await?.json()
    }

    /// Deletes a message. Its sender may, and who may manage messages.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `MESSAGE_NOT_FOUND` where it is deleted already; [`Error::Network`].
    pub async fn delete(&self, channel_id: &str, message_id: &str) -> Result<(), Error> {
        let call = Call::api(Method::DELETE, &["channels", channel_id, "messages", message_id])
            .repeat(Repeat::DoneAt("MESSAGE_NOT_FOUND"));
        self.call(&call).await.map(drop)
    }

    /// The present state of every message changed after a revision; `limit` is 1 to 200, 100 where none is given.
    /// Goes on from the answer's `revision` while it `has_more`.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `CHANNEL_NOT_FOUND`, `QUERY_INVALID`; [`Error::Network`].
    pub async fn changes(&self, channel_id: &str, since: u64, limit: Option<u32>) -> Result<Changes, Error> {
        let call = Call::api(Method::GET, &["channels", channel_id, "changes"])
            .query("since", Some(since))
            .query("limit", limit);
        self.call(&call).await?.json()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plain_draft_gets_a_name_once() {
        let Draft::Plain { nonce: Some(made_up), .. } = Draft::from("hi").named() else { panic!() };
        assert_eq!(made_up.len(), 36);
        let own = Draft::new("hi").with_nonce("mine");
        assert_eq!(own.clone().named(), own);
        assert_eq!(Draft::Signed(vec![1]).with_nonce("x").reply_to("y").named(), Draft::Signed(vec![1]));
    }
}
