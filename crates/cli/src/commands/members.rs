use clap::Args;
use edgewise_client::Member;

use crate::{context::Context, failure::Failure, find, screen::plain};

/// List a channel's members.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  edgewise members general")]
pub(crate) struct Members {
    /// A channel's name or id.
    channel: String,
}

impl Members {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let channel = find::channel(&context.client, &self.channel).await?;
        let mut after: Option<String> = None;
        loop {
            let page = context.client.members(&channel.id, after.as_deref(), None).await?;
            for member in &page.members {
                let text = |member: &Member| format!("{}  {}", member.user_id, plain(&member.display_name));
                context.screen.line(member, text)?;
            }
            match page.members.into_iter().next_back() {
                Some(last) if page.has_more => after = Some(last.user_id),
                _ => return Ok(()),
            }
        }
    }
}
