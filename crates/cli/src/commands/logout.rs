use clap::Args;

use crate::{
    context::Context,
    failure::{Failure, asked},
    screen::note,
};

/// Log out: the login ends on the server and here. The key stays, and logs in again.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  edgewise --url https://chat.example.com logout")]
pub(crate) struct Logout {}

impl Logout {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let home = context.home()?;
        let _lock = home.lock()?;
        let login = home.login()?.ok_or_else(|| asked("you are not logged in"))?;
        // Kept where the server is not reached, so that it can be tried again.
        context.client.log_out(&login.refresh_token).await?;
        home.forget_login()?;
        note("logged out");
        Ok(())
    }
}
