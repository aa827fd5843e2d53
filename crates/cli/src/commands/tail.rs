use std::collections::HashSet;

use clap::Args;
use edgewise_client::{Change, Event, Start};

use crate::{
    context::{Context, patient},
    failure::Failure,
    find,
    screen::{Screen, note},
};

/// Print what happens in a channel as it happens, whatever happens to the connection meanwhile.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edgewise tail general
  edgewise tail general -n 0 --json | jq -r 'select(.change == \"created\") | .message.content'
  edgewise tail general --since 4711

A ✓ before a message's number says that its author signed what it says, a ✗ that it is not what its author
signed; without a mark it is the server's word.

With --json every line is a change: created, edited, deleted, reaction_added, reaction_removed,
or touched (an older message changed in some way while the connection was away).")]
pub(crate) struct Tail {
    /// A channel's name or id.
    channel: String,
    /// How many messages of the past to begin with, 100 at most.
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=100))]
    limit: u32,
    /// Begin with what changed after this revision of the channel.
    #[arg(long, value_name = "REVISION", conflicts_with = "limit")]
    since: Option<u64>,
}

impl Tail {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let channel = find::channel(&context.client, &self.channel).await?;
        let start = self.since.map_or(Start::Newest(self.limit.max(1)), Start::Since);
        let client = context.client.clone().with_retry(patient(30));
        let (_live, mut events) = client.live(&channel.id).start(start).await?;
        let mut shown = Shown { ids: HashSet::new(), quiet: self.since.is_none() && self.limit == 0 };
        let mut away = false;
        while let Some(event) = events.next().await {
            match event {
                Event::Change(change) => shown.change(change, &mut context.screen)?,
                Event::Waiting { why, .. } => {
                    if !away {
                        note(&format!("(away: {why}; trying again)"));
                    }
                    away = true;
                }
                Event::CaughtUp(_) if away => {
                    away = false;
                    note("(back)");
                }
                Event::Stopped(error) => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// What was printed already.
struct Shown {
    ids: HashSet<String>,
    /// The beginning is to be left out.
    quiet: bool,
}

impl Shown {
    fn change(&mut self, change: Change, screen: &mut Screen) -> Result<(), Failure> {
        if let Change::Resynced { messages, .. } = change {
            if !self.ids.is_empty() {
                note("(the server was restored from an earlier time)");
            }
            for message in messages {
                let new = self.ids.insert(message.id.clone());
                if new && !self.quiet {
                    screen.change(&Change::Created { message })?;
                }
            }
            self.quiet = false;
            return Ok(());
        }
        if let Change::Created { message } = &change {
            self.ids.insert(message.id.clone());
        }
        Ok(screen.change(&change)?)
    }
}
