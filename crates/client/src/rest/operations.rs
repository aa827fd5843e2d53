//! What the server says of itself, to everyone.

use crate::{Client, Error, Health, Info, client::Call};

impl Client {
    /// Whether the server and its database are well.
    ///
    /// # Errors
    /// [`Error::Problem`] with status 503 where they are not; [`Error::Network`].
    pub async fn health(&self) -> Result<Health, Error> {
        self.call(&Call::public(&["health"])).await?.json()
    }

    /// The server's name, version and limits.
    ///
    /// # Errors
    /// [`Error::Network`].
    pub async fn info(&self) -> Result<Info, Error> {
        self.call(&Call::public(&["api", "info"])).await?.json()
    }
}
