use clap::Args;

use super::channels;
use crate::{context::Context, failure::Failure};

/// Make a channel; needs the permission to manage channels.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  edgewise create incident-42 --topic 'What happened on Tuesday' --private"
)]
pub(crate) struct Create {
    /// Its name, 1 to 100 characters.
    name: String,
    /// What it is about.
    #[arg(long)]
    topic: Option<String>,
    /// Only its members may see it; you are the first.
    #[arg(long)]
    private: bool,
}

impl Create {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let channel = context.client.create_channel(&self.name, self.topic.as_deref(), self.private).await?;
        Ok(context.screen.line(&channel, channels::text)?)
    }
}
