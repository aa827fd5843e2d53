//! What every command needs: the server, the token, and where to write to.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use edgewise_client::{Client, Network, Retry};

use crate::{
    failure::{Failure, asked},
    key,
    screen::Screen,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where the server is.
    #[arg(long, env = "EDGEWISE_URL", default_value = "http://127.0.0.1:8787", global = true)]
    url: String,
    /// The token to speak with.
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
}

impl Options {
    pub(crate) fn context(self) -> Result<Context, Failure> {
        let token = self.token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        let token =
            token.ok_or_else(|| asked("there is no token: give one with --token or in EDGEWISE_TOKEN"))?;
        // At a prompt, a server that is not there should be told soon.
        let network =
            Network::parse(&self.network).map_err(|error| asked(format!("{}: {error}", self.network)))?;
        let mut client = Client::new(&self.url, token)?.with_retry(patient(5)).with_network(network);
        if let Some(path) = &self.key {
            client = client.with_signer(key::read(path)?);
        }
        Ok(Context { client, screen: Screen::new(self.json) })
    }
}

/// Repeats requests for so many seconds.
pub(crate) fn patient(seconds: u64) -> Retry {
    Retry { patience: Duration::from_secs(seconds), ..Retry::PATIENT }
}
