use std::time::Duration;

use clap::{Args, Subcommand};
use edgewise_client::Invite;
use jiff::Timestamp;

use crate::{context::Context, failure::Failure, screen::plain};

/// Invites: who may register where not everyone may. Needs the permission to manage channels.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edgewise admin invites create --uses 1 --expires-in 7d
  edgewise admin invites list --json | jq -r 'select(.uses == 0) | .code'
  edgewise admin invites delete 0123456789abcdef01234567")]
pub(crate) struct Invites {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List them, used up and expired ones too.
    List,
    /// Make one, and print its code.
    Create {
        /// How many may register with it; any number where nothing is said.
        #[arg(long, value_name = "COUNT")]
        uses: Option<u64>,
        /// For how long it is good: 90s, 45m, 12h, 7d; for good where nothing is said.
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        expires_in: Option<Duration>,
    },
    /// Take one back.
    Delete {
        /// Its code.
        code: String,
    },
}

impl Invites {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self.command {
            Command::List => {
                let mut after = None;
                loop {
                    let page = context.client.invites(after.as_deref(), Some(100)).await?;
                    for invite in &page.invites {
                        context.screen.line(invite, text)?;
                    }
                    after = page.invites.last().map(|invite| invite.code.clone());
                    if !page.has_more || after.is_none() {
                        return Ok(());
                    }
                }
            }
            Command::Create { uses, expires_in } => {
                let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
                let ends = |after: Duration| {
                    now.saturating_add(u64::try_from(after.as_millis()).unwrap_or(u64::MAX))
                };
                let invite = context.client.create_invite(uses, expires_in.map(ends)).await?;
                Ok(context.screen.line(&invite, |invite| invite.code.clone())?)
            }
            Command::Delete { code } => Ok(context.client.delete_invite(&code).await?),
        }
    }
}

/// `0123456789abcdef01234567  1 of 3 used, until 2026-11-24T23:00:00Z  by olga`
fn text(invite: &Invite) -> String {
    let uses = match invite.max_uses {
        Some(max) => format!("{} of {max} used", invite.uses),
        None => format!("{} used", invite.uses),
    };
    let end = invite.expires_at.and_then(|ms| Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok());
    let end = end.map(|end| format!(", until {end}")).unwrap_or_default();
    format!("{}  {uses}{end}  by {}", plain(&invite.code), plain(&invite.created_by))
}

/// `90s`, `45m`, `12h`, `7d`
fn duration(text: &str) -> Result<Duration, String> {
    let unit = |unit| match unit {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(60 * 60),
        'd' => Some(24 * 60 * 60),
        _ => None,
    };
    let parsed = text.chars().next_back().and_then(|last| {
        let number: u64 = text.strip_suffix(last)?.parse().ok()?;
        number.checked_mul(unit(last)?)
    });
    let seconds = parsed.filter(|seconds| *seconds > 0);
    seconds.map(Duration::from_secs).ok_or_else(|| "it looks like 90s, 45m, 12h or 7d".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_people_write_them() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for wrong in ["", "7", "d", "0d", "-1d", "1.5h", "1w", "7 d", "99999999999999999999d", "1é"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
