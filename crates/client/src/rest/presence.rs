//! Who is connected, and who is typing.

use reqwest::Method;

use crate::{Client, Error, PresentUsers, client::Call};

impl Client {
    /// The users now connected to a channel by user id, after the one given; `limit` is 1 to 200.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `CHANNEL_NOT_FOUND`; [`Error::Network`].
    pub async fn presence(
        &self,
        channel_id: &str,
        after: Option<&str>,
        limit: Option<u32>,
    ) -> Result<PresentUsers, Error> {
        let call = Call::api(Method::GET, &["channels", channel_id, "presence"])
            .query("after", after)
            .query("limit", limit);
        self.call(&call).await?.json()
    }

    /// Tells the channel that the caller is typing.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `CHANNEL_NOT_FOUND`; [`Error::Network`].
    pub async fn typing(&self, channel_id: &str) -> Result<(), Error> {
        self.call(&Call::api(Method::POST, &["channels", channel_id, "typing"])).await.map(drop)
    }
}
