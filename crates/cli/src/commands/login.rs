use std::env;

use clap::Args;
use edgewise_client::{Admission, Client, Error, Login as Tokens, Signer};
use serde_json::json;

use crate::{
    context::Context,
    failure::{Failure, asked},
    screen::plain,
};

/// Log in with a key of your own, made at first use; the server registers it where it does not know it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edgewise login --name Ana
  edgewise --url https://chat.example.com login --invite 0123456789abcdef01234567
  EDGEWISE_SETUP_TOKEN=… edgewise login          # the first owner

The key and the login are kept below ~/.config/edgewise (EDGEWISE_CONFIG_DIR), readable by you alone. Whoever has
the key is you: keep a copy, since nobody can give you another one for the same user. With --key another file's
key logs in.")]
pub(crate) struct Login {
    /// What you are called, where the key is new to the server; else your name on this machine.
    #[arg(long)]
    name: Option<String>,
    /// An invite, where the server wants one.
    #[arg(long, value_name = "CODE")]
    invite: Option<String>,
    /// The server's setup token, to be its first owner.
    #[arg(long, env = "EDGEWISE_SETUP_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    setup_token: Option<String>,
}

impl Login {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let home = context.home()?;
        // Another run may be renewing the login that this one replaces.
        let _lock = home.lock()?;
        let (signer, known) = match context.key()? {
            Some(signer) => (signer, true),
            None => (home.make_key()?, false),
        };
        let login = self.enter(&context.client, &signer, known).await?;
        home.keep(&login)?;
        let me = context.client.clone().with_token(login.access_token.clone()).me().await?;
        let told = json!({
            "user_id": me.id, "display_name": me.display_name, "is_owner": login.is_owner,
            "public_key": me.public_key,
        });
        Ok(context.screen.line(&told, |_| {
            let owner = if login.is_owner { ", the owner" } else { "" };
            format!("logged in as {}{owner} ({})", plain(&me.display_name), me.id)
        })?)
    }

    /// Tries first what is likelier to succeed, since tries are counted: whether the server knows the key.
    async fn enter(&self, client: &Client, signer: &Signer, known: bool) -> Result<Tokens, Failure> {
        let is = |error: &Error, code: &str| error.code() == Some(code);
        if known {
            match client.log_in(signer).await {
                Err(error) if is(&error, "CREDENTIALS_INVALID") => {}
                login => return Ok(login?),
            }
        }
        let admission = Admission { invite_code: self.invite.clone(), setup_token: self.setup_token.clone() };
        match client.register(signer, &self.name()?, &admission).await {
            Err(error) if is(&error, "KEY_TAKEN") => Ok(client.log_in(signer).await?),
            login => Ok(login?),
        }
    }

    fn name(&self) -> Result<String, Failure> {
        let of_machine = || ["USER", "USERNAME"].into_iter().find_map(|name| env::var(name).ok());
        let name = self.name.clone().or_else(of_machine).filter(|name| !name.trim().is_empty());
        name.ok_or_else(|| asked("say what you are called: --name"))
    }
}
