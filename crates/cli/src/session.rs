//! The login of `edgewise login`, gone on with by whichever run of the command needs it.

use std::sync::{Mutex, PoisonError};

use edgewise_client::{BoxError, Client, Login, TokenSource};

use crate::{
    failure::{Failure, asked},
    home::Home,
};

/// Where further tokens come from: the login that is kept, or what another run has made of it.
pub(crate) struct Session {
    home: Home,
    /// Speaks by no token, and has the key.
    client: Client,
    /// The access token that was given out last.
    given: Mutex<String>,
}

impl Session {
    pub(crate) fn new(home: Home, client: Client, login: &Login) -> Self {
        Self { home, client, given: Mutex::new(login.access_token.clone()) }
    }

    async fn renew(&self) -> Result<String, Failure> {
        // A refresh token is good once: two runs that spent the same one would end the login.
        let home = self.home.clone();
        let lock = tokio::task::spawn_blocking(move || home.lock()).await;
        let _lock = lock.map_err(|error| asked(error.to_string()))??;
        let kept = self.home.login()?.ok_or_else(|| asked("you have logged out meanwhile"))?;
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let login = if kept.access_token == given {
            let login = self.client.renew(&kept.refresh_token).await?;
            self.home.keep(&login)?;
            login
        } else {
            kept
        };
        self.given.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&login.access_token);
        Ok(login.access_token)
    }
}

impl TokenSource for Session {
    fn fresh(&self) -> std::pin::Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send + '_>> {
        Box::pin(async { Ok(self.renew().await?) })
    }
}
