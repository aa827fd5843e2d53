use clap::Args;
use edgewise_client::AuditEntry;

use crate::{context::Context, failure::Failure, screen::plain};

/// The longest page that the server gives.
const PAGE: u32 = 100;

/// Print who did what, newest first.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  edgewise admin audit
  edgewise admin audit --limit 1000 --json > audit.jsonl")]
pub(crate) struct Audit {
    /// How many entries at most.
    #[arg(long, short = 'n', default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Only entries before this one, an id.
    #[arg(long, value_name = "ENTRY")]
    before: Option<String>,
}

impl Audit {
    pub(crate) async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let Self { limit: mut left, mut before } = self;
        while left > 0 {
            let page = context.client.audit(before.as_deref(), Some(left.min(PAGE))).await?;
            for entry in &page.entries {
                context.screen.line(entry, text)?;
                left = left.saturating_sub(1);
            }
            match page.entries.into_iter().next_back() {
                Some(last) if page.has_more => before = Some(last.id),
                _ => break,
            }
        }
        Ok(())
    }
}

/// `2027-01-01T00:00:00Z  olga  user_banned  mallory  {"reason":"spam"}`
fn text(entry: &AuditEntry) -> String {
    format!(
        "{}  {}  {}  {}  {}",
        time(entry.timestamp),
        plain(&entry.actor_id),
        plain(&entry.action),
        plain(&entry.target),
        plain(&entry.details.to_string())
    )
}

/// As RFC 3339 has it; the number where that reaches no calendar.
pub(super) fn time(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| ms.to_string(), |time| time.to_string())
}
