//! The moderator of one user: sees to it that what a ban promised happens in every channel.
//!
//! A ban cannot wake channels from within a transaction, and whoever answered the request may be killed right after it.
//! So for each user there is one object with an alarm. It is told *before* the transaction that there may be something
//! to do, and looks after the user for as long as that transaction could still take effect; whether there is anything
//! is what the outbox says. Each round asks every channel that still has a promise for its next piece (`engine/
//! expulsion.rs`), some of them at a time; a promise is gone when it is kept, and so the rounds end.
//!
//! Nothing in here decides anything or keeps anything but when to look again: a crash at any moment costs no more than
//! the time until the alarm.

use futures_util::{StreamExt as _, stream};

use crate::{
    database::{Answers, Database, DatabaseError, Statement},
    ids::{ChannelId, Timestamp, UserId},
    problem::Problem,
};

/// How long after it was told a moderator goes on looking where there is nothing, in milliseconds: twice what a
/// transaction may take that was sent off right then.
pub const WATCH: Timestamp = 60_000;
/// How often it looks meanwhile, in milliseconds. Also when it looks again after it was killed at work.
pub const LOOK: Timestamp = 3_000;
/// Until the next round where there is more to do, in milliseconds; and where a channel did not answer.
const NEXT_ROUND: Timestamp = 10;
const AFTER_ERROR: Timestamp = 2_000;

/// How many channels are asked in one round, and how many at a time: within what one invocation may ask for, and how
/// many connections it may have open.
const ROUND: u64 = 200;
const AT_ONCE: usize = 6;

/// The way to the channels' objects.
#[allow(async_fn_in_trait, reason = "one thread in workerd and in the simulation: nothing here needs Send")]
pub trait Reach {
    /// Has a channel carry out the next piece of what is promised for a user.
    ///
    /// # Errors
    /// Whatever kept it from that. It is asked again later.
    async fn expel(&self, channel: ChannelId, user: &UserId) -> Result<(), Problem>;
}

/// What a round came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// No promise is left.
    Kept,
    /// More is left.
    More,
    /// More is left, and not every channel answered.
    Failed,
}

impl Round {
    /// When to look again: at the latest, as long as `told` is not long ago.
    #[must_use]
    pub fn next(self, now: Timestamp, told: Timestamp) -> Option<Timestamp> {
        match self {
            Self::More => Some(now + NEXT_ROUND),
            Self::Failed => Some(now + AFTER_ERROR),
            Self::Kept => (now < told + WATCH).then_some(now + LOOK),
        }
    }
}

/// Where a moderator is in its tour of the channels.
#[derive(Debug, Default)]
pub struct Tour {
    /// The channel that was asked last; empty at the beginning.
    after: String,
}

const PROMISES: &str = "
    SELECT json_quote(channel_id) AS json FROM outbox
    WHERE user_id = ?1 AND channel_id > ?2 GROUP BY channel_id ORDER BY channel_id LIMIT ?3";

const ANY: &str = "SELECT json(1) AS json FROM outbox WHERE user_id = ?1 LIMIT 1";

impl Tour {
    /// Whether every channel was asked since it was there last.
    #[must_use]
    pub const fn is_at_its_beginning(&self) -> bool {
        self.after.is_empty()
    }

    /// Asks the next channels that have a promise for `user`, and from the first again after the last.
    ///
    /// # Errors
    /// [`DatabaseError`] where the promises could not be read.
    pub async fn round(
        &mut self,
        database: &impl Database,
        reach: &impl Reach,
        user: &UserId,
    ) -> Result<Round, DatabaseError> {
        let channels = self.promised(database, user).await?;
        let asked = stream::iter(channels.iter().map(|&channel| reach.expel(channel, user)));
        let failed = asked.buffer_unordered(AT_ONCE).filter(|fate| std::future::ready(fate.is_err()));
        let failed = failed.count().await > 0;
        let whole = (channels.len() as u64) < ROUND;
        self.after = channels.last().filter(|_| !whole).map(ToString::to_string).unwrap_or_default();
        let any = Statement::new(ANY, vec![user.as_str().into()]);
        if Answers::of(database, vec![any]).await?.next_rows()?.0.is_empty() {
            return Ok(Round::Kept);
        }
        Ok(if failed { Round::Failed } else { Round::More })
    }

    async fn promised(
        &self,
        database: &impl Database,
        user: &UserId,
    ) -> Result<Vec<ChannelId>, DatabaseError> {
        let params = vec![user.as_str().into(), self.after.as_str().into(), ROUND.into()];
        Answers::of(database, vec![Statement::new(PROMISES, params)]).await?.next_rows()?.decode()
    }
}
