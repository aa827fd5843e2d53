//! What every command needs: the server, the token, and where to write to.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use edgewise_client::{Client, Network, Retry, Signer};

use crate::{
    failure::{Failure, asked},
    home::Home,
    key,
    screen::Screen,
    session::Session,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where the server is.
    #[arg(long, env = "EDGEWISE_URL", default_value = "http://127.0.0.1:8787", global = true)]
    url: String,
    /// The token to speak with, instead of the login of `edgewise login`.
    #[arg(long, env = "EDGEWISE_TOKEN", hide_env_values = true, global = true)]
    token: Option<String>,
    /// A file with your key, to sign with what you send: 64 hexadecimal digits, readable by you alone.
    #[arg(long, env = "EDGEWISE_KEY", value_name = "FILE", global = true)]
    key: Option<PathBuf>,
    /// The network that the server's messages are signed for (`GOSSIP_NETWORK`).
    #[arg(long, env = "EDGEWISE_NETWORK", default_value = "edgewise", global = true)]
    network: String,
    /// Print JSON lines instead of text.
    #[arg(long, global = true)]
    json: bool,
}

pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) screen: Screen,
    url: String,
    key: Option<PathBuf>,
}

impl Options {
    /// The context of a command; of one that speaks as nobody, without a token.
    pub(crate) fn context(self, needs_token: bool) -> Result<Context, Failure> {
        // At a prompt, a server that is not there should be told soon.
        let network =
            Network::parse(&self.network).map_err(|error| asked(format!("{}: {error}", self.network)))?;
        let client = Client::new(&self.url, "")?.with_retry(patient(5)).with_network(network);
        let context = Context { client, screen: Screen::new(self.json), url: self.url, key: self.key };
        let token = self.token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        match token {
            _ if !needs_token => Ok(context),
            Some(token) => context.with_token(token),
            None => context.with_login(),
        }
    }
}

impl Context {
    /// What is kept for the server.
    pub(crate) fn home(&self) -> Result<Home, Failure> {
        Home::of(&self.url)
    }

    /// The key: that of the file which was named, else the one that is kept.
    pub(crate) fn key(&self) -> Result<Option<Signer>, Failure> {
        match &self.key {
            Some(path) => key::read(path).map(Some),
            None => self.home()?.key(),
        }
    }

    /// Speaks by a token. What it sends is signed only with a key that was named: the one that is kept may be another
    /// user's.
    fn with_token(mut self, token: String) -> Result<Self, Failure> {
        self.client = self.client.with_token(token);
        if let Some(path) = &self.key {
            self.client = self.client.with_signer(key::read(path)?);
        }
        Ok(self)
    }

    /// Speaks by the login that is kept, and signs with its key.
    fn with_login(mut self) -> Result<Self, Failure> {
        let home = self.home()?;
        let login = home.login()?.ok_or_else(|| {
            asked("there is no token: `edgewise login`, or give one with --token or in EDGEWISE_TOKEN")
        })?;
        if let Some(signer) = self.key()? {
            self.client = self.client.with_signer(signer);
        }
        let session = Session::new(home, self.client.clone(), &login);
        self.client = self.client.with_token(login.access_token).with_refresh(session);
        Ok(self)
    }
}

/// Repeats requests for so many seconds.
pub(crate) fn patient(seconds: u64) -> Retry {
    Retry { patience: Duration::from_secs(seconds), ..Retry::PATIENT }
}
