//! What can be read: one file for each thing, each read one batch.
//!
//! A read's first statement says who asks and where the channel stands ([`Access`]), the next ones answer; being one
//! transaction, all of them saw the same moment. So a page and its `revision` belong together, and nobody reads on
//! the strength of a membership that had just ended.
//!
//! Nothing in here writes, and nothing needs the channel's object to be awake.

use crate::{
    access::{Access, Caller},
    database::{Answers, Database, Statement},
    ids::{ChannelId, Timestamp},
    problem::{Code, Problem},
};

pub mod audit;
pub mod author;
pub mod bans;
pub mod changes;
pub mod channels;
pub mod history;
pub mod invites;
pub mod members;
pub mod message;
pub mod reactions;
pub mod read_state;
pub mod roles;
pub mod users;

/// Greater than any sequence and any revision, and still carried exactly by D1, as is its successor: what stands for
/// a client's greater numbers.
pub(crate) const MAX_NUMBER: u64 = (1 << 53) - 1;

/// How many lines of a list are answered where nothing else is asked for, and at most.
const LIST_DEFAULT: u64 = 50;
const LIST_MAX: u64 = 100;

/// Runs a read's statements behind the one for [`Access`], and lets pass who may see the channel.
async fn snapshot(
    database: &impl Database,
    caller: &Caller,
    channel: ChannelId,
    now: Timestamp,
    statements: impl IntoIterator<Item = Statement>,
) -> Result<(Access, Answers), Problem> {
    let mut batch = vec![Access::statement(channel, caller, now)];
    batch.extend(statements);
    let mut answers = Answers::of(database, batch).await?;
    let access = Access::granted(&answers.next_rows()?)?;
    Ok((access, answers))
}

/// How many are asked for: refused and not clamped where it is out of range.
fn limit(asked: Option<u64>, default: u64, max: u64) -> Result<u64, Problem> {
    match asked {
        None => Ok(default),
        Some(limit) if (1..=max).contains(&limit) => Ok(limit),
        Some(_) => Err(Code::QueryInvalid.with(format!("limit is from 1 to {max}"))),
    }
}

/// How many lines of a list are asked for: 1 to 100, 50 where nothing is said.
///
/// # Errors
/// 400 `QUERY_INVALID`.
pub fn list_limit(asked: Option<u64>) -> Result<u64, Problem> {
    limit(asked, LIST_DEFAULT, LIST_MAX)
}

/// Cuts off the one row that was read beyond the limit, and says whether there was one.
fn cut<T>(rows: &mut Vec<T>, limit: u64) -> bool {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    more
}
