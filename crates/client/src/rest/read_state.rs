//! Read state: how far the caller has read a channel.

use reqwest::Method;
use serde_json::json;

use crate::{
    Client, Error, LastRead,
    client::{Call, Repeat},
};

impl Client {
    /// How far the caller has read; `last_sequence` is 0 where never set.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `CHANNEL_NOT_FOUND`; [`Error::Network`].
    pub async fn last_read(&self, channel_id: &str) -> Result<LastRead, Error> {
        self.call(&Call::api(Method::GET, &["channels", channel_id, "last-read"])).await?.json()
    }

    /// Marks everything up to a `server_sequence` as read. Never goes back.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `SEQUENCE_OUT_OF_RANGE`; [`Error::Network`].
    pub async fn mark_read(&self, channel_id: &str, last_sequence: u64) -> Result<LastRead, Error> {
        let call = Call::api(Method::PUT, &["channels", channel_id, "last-read"])
            .body(json!({"last_sequence": last_sequence}));
        self.call(&call).await?.json()
    }

    /// Sets the mark exactly, back too. Not repeated where its fate is unknown, since a later mark could be undone.
    ///
    /// # Errors
    /// As [`mark_read`](Self::mark_read).
    pub async fn reset_read(&self, channel_id: &str, last_sequence: u64) -> Result<LastRead, Error> {
        let call = Call::api(Method::PUT, &["channels", channel_id, "last-read"])
            .body(json!({"last_sequence": last_sequence, "allow_decrease": true}))
            .repeat(Repeat::Never);
        self.call(&call).await?.json()
    }
}
