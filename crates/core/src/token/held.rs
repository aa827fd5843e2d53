//! The keys of an issuer that were fetched, and when they are fetched again.
//!
//! Keys that are not known have them fetched once a minute at most, however many tokens name them; and while one request
//! fetches the others wait for what comes.

use std::rc::Rc;

use super::keys::{Keys, Unverified};
use crate::ids::Timestamp;

/// How long a fetch may take, in milliseconds.
pub const TIMEOUT_MS: u64 = 5_000;
/// For how long keys are taken for the issuer's present ones.
const FRESH_MS: u64 = 10 * 60_000;
/// For how long at most, where no others are to be had.
const STALE_MS: u64 = 60 * 60_000;
/// Between two fetches for the same reason: where there are keys, and where there are none.
const PAUSE_MS: u64 = 60_000;
const FIRST_PAUSE_MS: u64 = 5_000;

/// The keys of one issuer.
#[derive(Debug, Default)]
pub struct Held {
    keys: Option<(Rc<Keys>, Timestamp)>,
    /// When keys were last asked for, or, if the answer is in, when that came.
    asked: Option<(Timestamp, bool)>,
    /// When they were last asked for because a token named one that was not among them.
    searched: Option<Timestamp>,
}

/// What to do about a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Hold it to these.
    Use(Rc<Keys>),
    /// Fetch keys, say so to [`Held::answered`], and ask again.
    Fetch,
    /// Another request is fetching: ask again in a moment.
    Wait,
    /// There are keys, and none of them signed it.
    Unknown,
    /// There are no keys, and none to be had for now.
    Unavailable,
}

impl Held {
    /// What to do about a token now. Who is told to fetch does it.
    pub fn next(&mut self, token: &Unverified<'_>, now: Timestamp) -> Next {
        let since = |time: Timestamp| now.saturating_sub(time);
        let usable = self.keys.as_ref().filter(|(_, fetched)| since(*fetched) < STALE_MS);
        let fitting = usable.filter(|(keys, _)| keys.find(token).is_some());
        if let Some((keys, fetched)) = fitting
            && since(*fetched) < FRESH_MS
        {
            return Next::Use(Rc::clone(keys));
        }
        let under_way = self.asked.is_some_and(|(at, answered)| !answered && since(at) < TIMEOUT_MS);
        let asked = self.asked.map(|(at, _)| at);
        let (last, pause) = match (fitting, usable) {
            (Some(_), _) => (asked, PAUSE_MS),
            (None, Some(_)) => (self.searched, PAUSE_MS),
            (None, None) => (asked, FIRST_PAUSE_MS),
        };
        let next = match (fitting, usable) {
            _ if !under_way && last.is_none_or(|at| since(at) >= pause) => Next::Fetch,
            (Some((keys, _)), _) => Next::Use(Rc::clone(keys)),
            _ if under_way => Next::Wait,
            (None, Some(_)) => Next::Unknown,
            (None, None) => Next::Unavailable,
        };
        if next == Next::Fetch {
            if fitting.is_none() && usable.is_some() {
                self.searched = Some(now);
            }
            self.asked = Some((now, false));
        }
        next
    }

    /// Takes what came of a fetch: keys, or None.
    pub fn answered(&mut self, keys: Option<Keys>, now: Timestamp) {
        if let Some(keys) = keys {
            self.keys = Some((Rc::new(keys), now));
        }
        self.asked = Some((now, true));
    }
}
