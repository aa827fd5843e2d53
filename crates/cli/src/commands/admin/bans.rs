use std::time::Duration;

use clap::{Args, Subcommand};
use edgewise_client::{Ban, BanDraft};

use crate::{context::Context, failure::Failure, screen::plain};

/// List, make and lift bans.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edgewise admin bans list
  edgewise admin bans add mallory --reason spam --for 7d --delete-last 24h
  edgewise admin bans remove mallory")]
pub(crate) struct Bans {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the bans in force.
    List,
    /// Ban a user.
    Add {
        /// A user's id; it need not have been here yet.
        user: String,
        /// For who reads the list.
        #[arg(long)]
        reason: Option<String>,
        /// For how long: 30m, 12h, 7d; else for good.
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        lasts: Option<Duration>,
        /// Delete what they sent in the last 30m, 12h, 7d (at most).
        #[arg(long, value_name = "TIME", value_parser = duration)]
        delete_last: Option<Duration>,
    },
    /// Lift a ban.
    Remove {
        /// A user's id.
        user: String,
    },
}

impl Bans {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self.what {
            What::List => list(context).await,
            What::Add { user, reason, lasts, delete_last } => {
                let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default();
                let ban = BanDraft {
                    reason,
                    expires_at: lasts.map(|lasts| now.saturating_add(millis(lasts))),
                    delete_messages_since: delete_last.map(|last| now.saturating_sub(millis(last))),
                };
                Ok(context.client.ban(&user, &ban).await?)
            }
            What::Remove { user } => Ok(context.client.unban(&user).await?),
        }
    }
}

async fn list(context: &mut Context) -> Result<(), Failure> {
    let mut after: Option<String> = None;
    loop {
        let page = context.client.bans(after.as_deref(), None).await?;
        for ban in &page.bans {
            context.screen.line(ban, text)?;
        }
        match page.bans.into_iter().next_back() {
            Some(last) if page.has_more => after = Some(last.user_id),
            _ => return Ok(()),
        }
    }
}

/// `mallory  by olga until 2027-01-01T00:00:00Z  spam`
fn text(ban: &Ban) -> String {
    let until =
        ban.expires_at.map_or_else(String::new, |time| format!(" until {}", super::audit::time(time)));
    format!("{}  by {}{until}  {}", plain(&ban.user_id), plain(&ban.banned_by), plain(&ban.reason))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A number and its unit: `90s`, `30m`, `12h`, `7d`.
fn duration(text: &str) -> Result<Duration, String> {
    let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];
    let parsed = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(*unit)?.parse().ok()?;
        Some(Duration::from_secs(number.checked_mul(*seconds)?))
    });
    parsed.ok_or_else(|| "a time is written 30m, 12h or 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_number_and_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for wrong in ["", "d", "7", "-1d", "1w", "99999999999999999999d", "1000000000000000000d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
