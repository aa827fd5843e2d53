//! Users: who they are, and what one is called oneself.

use reqwest::Method;
use serde_json::json;

use crate::{Client, Error, User, client::Call};

impl Client {
    /// The caller.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `BANNED`; [`Error::Network`].
    pub async fn me(&self) -> Result<User, Error> {
        self.user("@me").await
    }

    /// A user.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `USER_NOT_FOUND`; [`Error::Network`].
    pub async fn user(&self, user_id: &str) -> Result<User, Error> {
        self.call(&Call::api(Method::GET, &["users", user_id])).await?.json()
    }

    /// Gives the caller another name. What was sent before keeps the old one.
    ///
    /// # Errors
    /// [`Error::Problem`], for instance `NAME_INVALID`; [`Error::Network`].
    pub async fn rename(&self, display_name: &str) -> Result<User, Error> {
        let body = json!({"display_name": display_name});
        self.call(&Call::api(Method::PATCH, &["users", "@me"]).body(body)).await?.json()
    }
}
