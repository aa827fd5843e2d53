//! Channels: list, make, change, delete.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use crate::{
    Channel, Client, Error,
    client::{Call, Repeat},
};

#[derive(Deserialize)]
struct Channels {
    channels: Vec<Channel>,
}

impl Client {
    /// The channels that the caller may see.
    ///
    /// # Errors
    /// [`Error::Problem`], [`Error::Network`].
    pub async fn channels(&self) -> Result<Vec<Channel>, Error> {
        Ok(self.call(&Call::api(Method::GET, &["channels"])).await?.json::<Channels>()?.channels)
    }

    /// One channel.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `CHANNEL_NOT_FOUND`; [`Error::Network`].
    pub async fn channel(&self, channel_id: &str) -> Result<Channel, Error> {
        self.call(&Call::api(Method::GET, &["channels", channel_id])).await?.json()
    }

    /// Makes a channel. Not repeated where its fate is unknown, since there could be two.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `FORBIDDEN`, `NAME_INVALID`, `NAME_TAKEN`; [`Error::Network`].
    pub async fn create_channel(
        &self,
        name: &str,
        topic: Option<&str>,
        private: bool,
    ) -> Result<Channel, Error> {
        let call = Call::api(Method::POST, &["channels"])
            .body(json!({"name": name, "topic": topic, "private": private}))
            .repeat(Repeat::Never);
        self.call(&call).await?.json()
    }

    /// Changes a channel's name, its topic, or both; `None` leaves as it is.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `FORBIDDEN`, `NAME_INVALID`, `TOPIC_INVALID`; [`Error::Network`].
    pub async fn update_channel(
        &self,
        channel_id: &str,
        name: Option<&str>,
        topic: Option<&str>,
    ) -> Result<Channel, Error> {
        let fields = [("name", name), ("topic", topic)];
        let body = fields.into_iter().filter_map(|(field, value)| Some((field, value?))).collect();
        let call = Call::api(Method::PATCH, &["channels", channel_id]).body(body);
        self.call(&call).await?.json()
    }

    /// Deletes a channel with everything in it.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `FORBIDDEN`, `CHANNEL_NOT_FOUND`; [`Error::Network`].
    pub async fn delete_channel(&self, channel_id: &str) -> Result<(), Error> {
        let call =
            Call::api(Method::DELETE, &["channels", channel_id]).repeat(Repeat::DoneAt("CHANNEL_NOT_FOUND"));
        self.call(&call).await.map(drop)
    }
}
