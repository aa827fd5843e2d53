//! Members of a channel: list, add, remove.

use reqwest::Method;

use crate::{Client, Error, Members, client::Call};

impl Client {
    /// A channel's members by user id, after the one given.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `CHANNEL_NOT_FOUND`; [`Error::Network`].
    pub async fn members(
        &self,
        channel_id: &str,
        after: Option<&str>,
        limit: Option<u32>,
    ) -> Result<Members, Error> {
        let call = Call::api(Method::GET, &["channels", channel_id, "members"])
            .query("after", after)
            .query("limit", limit);
        self.call(&call).await?.json()
    }

    /// Adds a member; `@me` enters a public channel.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `FORBIDDEN`, `USER_NOT_FOUND`; [`Error::Network`].
    pub async fn add_member(&self, channel_id: &str, user_id: &str) -> Result<(), Error> {
        let call = Call::api(Method::PUT, &["channels", channel_id, "members", user_id]);
        self.call(&call).await.map(drop)
    }

    /// Removes a member; `@me` leaves.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `FORBIDDEN`; [`Error::Network`].
    pub async fn remove_member(&self, channel_id: &str, user_id: &str) -> Result<(), Error> {
        let call = Call::api(Method::DELETE, &["channels", channel_id, "members", user_id]);
        self.call(&call).await.map(drop)
    }
}
