//! How fast one user may write to one channel: a token bucket for sends and one for reactions.
//!
//! Looked at before a command takes a place in the queue, the same for REST and sockets. What is limited is what
//! others see and pay for: a send and an edit, a reaction added or taken back. Deleting is not: a message can be
//! deleted once, and who clears up after a flood must not be slowed by it.
//!
//! Pure: the time comes in. A bucket is one number, and a full one is none, so that memory holds only who wrote within
//! the window, and of those a bounded number. What must outlast the object's sleep (a window that is longer than the
//! ten seconds after which it sleeps) is kept in one write some seconds after the first change; where the object is
//! gone before, a user has a few tokens more.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    collections::HashMap,
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    rc::Rc,
};

use serde::{Deserialize, Serialize};

use super::{Channel, Platform, command::Command};
use crate::{
    ids::{Timestamp, UserId},
    problem::{Code, Problem},
    proto::envelope::Payload,
};

/// How many buckets of a kind are remembered. Beyond, those soonest full are forgotten, as if they were.
const MAX_BUCKETS: usize = 4_096;
/// For how many of a user's latest sends one repeat each is free.
const MAX_REPEATS: usize = 64;
/// A window longer than this, in seconds, outlasts the object's memory.
const SLEEPS_AFTER: u32 = 10;
/// How long what is to be kept is gathered, in milliseconds: the object does not sleep meanwhile.
const KEEP_AFTER: u32 = 4_000;
/// How often a socket may be too fast although it was told to wait, before it is closed with 4005. Far more than what
/// was under way when it was told.
const PATIENCE: Rate = Rate { count: 100, seconds: 60 };

/// So many in so many seconds: as many at once, and then one by one as time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    seconds: u32,
}

/// What is no rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("COUNT/SECONDS was expected, from 1/1 to {}/{}, or off", Rate::MAX_COUNT, Rate::MAX_SECONDS)]
pub struct InvalidRate;

impl Rate {
    /// The largest count.
    pub const MAX_COUNT: u32 = 10_000;
    /// The longest window, in seconds.
    pub const MAX_SECONDS: u32 = 86_400;

    /// Reads `COUNT/SECONDS`; `off` is no limit.
    ///
    /// # Errors
    /// Anything else, a 0, and what is above [`MAX_COUNT`](Self::MAX_COUNT) or [`MAX_SECONDS`](Self::MAX_SECONDS).
    pub fn parse(text: &str) -> Result<Option<Self>, InvalidRate> {
        if text == "off" {
            return Ok(None);
        }
        let number = |text: &str, max: u32| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|number| digits && (1..=max).contains(number)).ok_or(InvalidRate)
        };
        let (count, seconds) = text.split_once('/').ok_or(InvalidRate)?;
        let (count, seconds) = (number(count, Self::MAX_COUNT)?, number(seconds, Self::MAX_SECONDS)?);
        Ok(Some(Self { count, seconds }))
    }

    // Time is counted in ticks of which a millisecond has `count`, so that a token takes a whole number of them.

    fn ticks(self, time: Timestamp) -> u64 {
        time.saturating_mul(self.count.into())
    }

    fn token(self) -> u64 {
        u64::from(self.seconds) * 1_000
    }

    fn full(self) -> u64 {
        self.token() * u64::from(self.count)
    }

    fn millis(self, ticks: u64) -> u64 {
        ticks.div_ceil(self.count.into())
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.seconds)
    }
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limited {
    /// Sends and edits.
    Send,
    /// Reactions, added and taken back.
    React,
}

impl Limited {
    /// Its name in `RateLimit` and `RateLimit-Policy`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::React => "react",
        }
    }

    /// What limits one of the requests 132 to 139.
    #[must_use]
    pub const fn request(payload: &Payload) -> Option<Self> {
        match payload {
            Payload::SendMessageRequest(_) | Payload::EditMessageRequest(_) => Some(Self::Send),
            Payload::AddReactionRequest(_) | Payload::RemoveReactionRequest(_) => Some(Self::React),
            _ => None,
        }
    }

    const fn command(command: &Command) -> Option<Self> {
        match command {
            Command::Send(_) | Command::Edit { .. } => Some(Self::Send),
            Command::React { .. } | Command::Unreact { .. } => Some(Self::React),
            Command::Delete { .. }
            | Command::MarkRead { .. }
            | Command::AddMember { .. }
            | Command::RemoveMember { .. }
            | Command::DeleteChannel
            | Command::Expel { .. }
            | Command::Erase { .. }
            | Command::EraseReaction { .. } => None,
        }
    }
}

/// How fast a user may be in a channel; None is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// [`Limited::Send`]
    pub send: Option<Rate>,
    /// [`Limited::React`]
    pub react: Option<Rate>,
}

impl Rates {
    /// No limit.
    pub const OFF: Self = Self { send: None, react: None };
    /// What holds unless the operator says otherwise.
    pub const DEFAULT: Self =
        Self { send: Some(Rate { count: 10, seconds: 5 }), react: Some(Rate { count: 20, seconds: 5 }) };

    /// The rate of one kind.
    #[must_use]
    pub const fn of(&self, limited: Limited) -> Option<Rate> {
        match limited {
            Limited::Send => self.send,
            Limited::React => self.react,
        }
    }

    /// Whether a window is so long that the object may sleep within it.
    #[must_use]
    pub fn outlast_memory(&self) -> bool {
        [self.send, self.react].into_iter().flatten().any(outlasts_memory)
    }
}

const fn outlasts_memory(rate: Rate) -> bool {
    rate.seconds > SLEEPS_AFTER
}

/// Who brings a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Courier {
    /// Its user.
    User,
    /// A relay. It draws on a bucket apart: whoever has a copy of an envelope can have it brought again and again, and
    /// must not use up by that what its author may do.
    Relay,
}

/// The name of a user's bucket. No user's id has a slash.
fn account(user: &UserId, courier: Courier) -> Cow<'_, str> {
    match courier {
        Courier::User => user.as_str().into(),
        Courier::Relay => format!("relay/{user}").into(),
    }
}

/// What a user may still do, as the fields `RateLimit` and `RateLimit-Policy` say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    limited: Limited,
    rate: Rate,
    remaining: u64,
    /// Until there is one more, in milliseconds; 0 where none is missing.
    next: u64,
}

impl Quota {
    /// `RateLimit`: how many are left, and in how many seconds, rounded up, there will be one more. That is the same
    /// point in time as a refusal's `Retry-After`, as the IETF's draft recommends (draft-ietf-httpapi-ratelimit-headers).
    #[must_use]
    pub fn limit(&self) -> String {
        format!("\"{}\";r={};t={}", self.limited.name(), self.remaining, self.next.div_ceil(1_000))
    }

    /// `RateLimit-Policy`: how many at once, and the seconds in which as many come back.
    #[must_use]
    pub fn policy(&self) -> String {
        format!("\"{}\";q={};w={}", self.limited.name(), self.rate.count, self.rate.seconds)
    }
}

/// A token bucket: when it is full again, in the ticks of its rate.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bucket(u64);

impl Bucket {
    /// What is missing. A clock that was set back leaves nobody waiting for longer than the window.
    fn missing(self, rate: Rate, now: Timestamp) -> u64 {
        self.0.saturating_sub(rate.ticks(now)).min(rate.full())
    }

    /// Takes a token.
    ///
    /// # Errors
    /// Where there is none: in how many milliseconds there will be.
    pub(crate) fn take(&mut self, rate: Rate, now: Timestamp) -> Result<(), u64> {
        let missing = self.missing(rate, now);
        let beyond = (missing + rate.token()).saturating_sub(rate.full());
        let missing = if beyond == 0 { missing + rate.token() } else { missing };
        self.0 = rate.ticks(now).saturating_add(missing);
        if beyond == 0 { Ok(()) } else { Err(rate.millis(beyond)) }
    }

    fn quota(self, limited: Limited, rate: Rate, now: Timestamp) -> Quota {
        let missing = self.missing(rate, now);
        let next = match (missing, missing % rate.token()) {
            (0, _) => 0,
            (_, 0) => rate.token(),
            (_, part) => part,
        };
        let remaining = (rate.full() - missing) / rate.token();
        Quota { limited, rate, remaining, next: rate.millis(next) }
    }
}

/// How much longer a socket that is too fast is put up with.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// Until when it was told to wait.
    wait: Timestamp,
    left: Bucket,
}

impl Patience {
    /// The socket was too fast, and is told to wait for so many milliseconds. Whether it may stay.
    pub(crate) fn bears(&mut self, wait: u32, now: Timestamp) -> bool {
        let told = now < self.wait;
        self.wait = now + Timestamp::from(wait);
        !told || self.left.take(PATIENCE, now).is_ok()
    }
}

/// One user's.
#[derive(Debug, Default)]
struct Account {
    bucket: Bucket,
    /// The sends that were paid for, by the hash of what their repetitions are known by.
    paid: Vec<u64>,
}

/// All buckets of one kind.
#[derive(Debug, Default)]
struct Accounts(HashMap<String, Account>);

impl Accounts {
    /// Takes a token of a user's. A send whose answer was lost is repeated under its nonce, or in the same envelope:
    /// that is paid for already, once, so that a connection that broke does not cost the tokens of what was in flight.
    fn take(&mut self, rate: Rate, account: &str, repeats: Option<&str>, now: Timestamp) -> Result<(), u64> {
        if !self.0.contains_key(account) {
            self.make_room(rate, now);
        }
        let account = self.0.entry(account.to_owned()).or_default();
        let repeats = repeats.map(hash);
        if let Some(place) = account.paid.iter().position(|paid| Some(*paid) == repeats) {
            account.paid.remove(place);
            return Ok(());
        }
        account.bucket.take(rate, now)?;
        if account.paid.len() >= MAX_REPEATS {
            account.paid.remove(0);
        }
        account.paid.extend(repeats);
        Ok(())
    }

    fn make_room(&mut self, rate: Rate, now: Timestamp) {
        if self.0.len() < MAX_BUCKETS {
            return;
        }
        self.0.retain(|_, account| account.bucket.missing(rate, now) > 0);
        if self.0.len() >= MAX_BUCKETS {
            let mut missing: Vec<u64> = self.0.values().map(|account| account.bucket.0).collect();
            let (_, quarter, _) = missing.select_nth_unstable(MAX_BUCKETS / 4);
            let quarter = *quarter;
            self.0.retain(|_, account| account.bucket.0 > quarter);
        }
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// What is kept while the object sleeps: users, and when their buckets are full, in milliseconds since 1970.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    send: Vec<(String, Timestamp)>,
    react: Vec<(String, Timestamp)>,
}

/// The channel's buckets.
#[derive(Debug)]
pub(crate) struct Limits {
    rates: Rates,
    send: RefCell<Accounts>,
    react: RefCell<Accounts>,
    /// Whether what changed is about to be kept.
    keeping: Cell<bool>,
}

impl Limits {
    pub(crate) fn new(rates: Rates) -> Self {
        Self { rates, send: RefCell::default(), react: RefCell::default(), keeping: Cell::default() }
    }

    const fn accounts(&self, limited: Limited) -> &RefCell<Accounts> {
        match limited {
            Limited::Send => &self.send,
            Limited::React => &self.react,
        }
    }

    fn take(
        &self,
        user: &UserId,
        courier: Courier,
        command: &Command,
        now: Timestamp,
    ) -> Result<Option<Rate>, Problem> {
        let limited = Limited::command(command);
        let Some((limited, rate)) = limited.and_then(|limited| Some((limited, self.rates.of(limited)?)))
        else {
            return Ok(None);
        };
        let mut taken = self.accounts(limited).borrow_mut();
        let taken = taken.take(rate, &account(user, courier), command.repeats(), now);
        taken.map(|()| Some(rate)).map_err(|wait| refusal(limited, rate, wait))
    }

    fn quota(&self, limited: Limited, user: &UserId, courier: Courier, now: Timestamp) -> Option<Quota> {
        let rate = self.rates.of(limited)?;
        let accounts = self.accounts(limited).borrow();
        let bucket =
            accounts.0.get(&*account(user, courier)).map(|account| account.bucket).unwrap_or_default();
        Some(bucket.quota(limited, rate, now))
    }

    fn kept(&self, now: Timestamp) -> String {
        let kept = |limited: Limited| {
            let rate = self.rates.of(limited).filter(|rate| outlasts_memory(*rate))?;
            let accounts = self.accounts(limited).borrow();
            let waiting = accounts.0.iter().filter(|(_, account)| account.bucket.missing(rate, now) > 0);
            Some(waiting.map(|(user, account)| (user.clone(), rate.millis(account.bucket.0))).collect())
        };
        let kept = Kept {
            send: kept(Limited::Send).unwrap_or_default(),
            react: kept(Limited::React).unwrap_or_default(),
        };
        // Strings and numbers only: serialization cannot fail.
        serde_json::to_string(&kept).unwrap_or_default()
    }

    fn restore(&self, kept: &str) -> Result<(), serde_json::Error> {
        let Kept { send, react } = serde_json::from_str(kept)?;
        for (limited, buckets) in [(Limited::Send, send), (Limited::React, react)] {
            // The operator may have changed the rates meanwhile.
            let Some(rate) = self.rates.of(limited) else { continue };
            let mut accounts = self.accounts(limited).borrow_mut();
            for (user, full_at) in buckets {
                accounts.0.entry(user).or_default().bucket = Bucket(rate.ticks(full_at));
            }
        }
        Ok(())
    }
}

fn refusal(limited: Limited, rate: Rate, wait: u64) -> Problem {
    let what = match limited {
        Limited::Send => "messages and edits",
        Limited::React => "reactions",
    };
    let Rate { count, seconds } = rate;
    Code::RateLimited
        .with(format!("too fast: at most {count} {what} in {seconds} s in one channel"))
        .retry_after(u32::try_from(wait).unwrap_or(u32::MAX).max(1))
}

impl<P: Platform> Channel<P> {
    /// What a user may still do; None where that is not limited.
    #[must_use]
    pub fn quota(&self, limited: Limited, user: &UserId, courier: Courier) -> Option<Quota> {
        self.limits.quota(limited, user, courier, self.now())
    }

    /// Takes in what [`Platform::keep_limits`] was given before the object slept.
    pub fn restore_limits(&self, kept: &str) {
        if let Err(error) = self.limits.restore(kept) {
            self.platform.log(&format!("what was kept of the limits does not read: {error}"));
        }
    }

    /// Takes a token for a command, where it needs one.
    ///
    /// # Errors
    /// 429 `RATE_LIMITED`, with when to come back.
    pub(crate) fn take_token(
        self: &Rc<Self>,
        user: &UserId,
        courier: Courier,
        command: &Command,
    ) -> Result<(), Problem> {
        let rate = self.limits.take(user, courier, command, self.now())?;
        if rate.is_some_and(outlasts_memory) && !self.limits.keeping.replace(true) {
            let channel = Rc::clone(self);
            self.platform.spawn(async move {
                channel.platform.sleep(KEEP_AFTER).await;
                channel.limits.keeping.set(false);
                channel.platform.keep_limits(channel.limits.kept(channel.now()));
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::Signature, envelope::Rules, ids::ChannelId};

    const NOW: Timestamp = 1_700_000_000_000;

    fn rate(text: &str) -> Rate {
        Rate::parse(text).unwrap().unwrap()
    }

    fn user(id: &str) -> UserId {
        UserId::parse(id).unwrap()
    }

    /// How many of `tries` at this time go through.
    fn taken(bucket: &mut Bucket, rate: Rate, now: Timestamp, tries: usize) -> usize {
        (0..tries).filter(|_| bucket.take(rate, now).is_ok()).count()
    }

    #[test]
    fn a_rate_reads_as_it_is_written() {
        assert_eq!(Rate::parse("off"), Ok(None));
        for text in ["1/1", "10/5", "20/5", "10000/86400"] {
            assert_eq!(rate(text).to_string(), text);
        }
        for text in [
            "",
            "10",
            "/",
            "10/",
            "/5",
            "0/5",
            "10/0",
            "-1/5",
            "+1/5",
            "10/5s",
            "1.5/5",
            "10/5/5",
            " 10/5",
            "Off",
            "10001/5",
            "10/86401",
            "99999999999/5",
            "OFF",
            "0",
            "false",
            "10 / 5",
        ] {
            assert_eq!(Rate::parse(text), Err(InvalidRate), "{text:?}");
        }
        assert_eq!(Rates::DEFAULT.send, Some(rate("10/5")));
        assert_eq!(Rates::DEFAULT.react, Some(rate("20/5")));
        assert!(!Rates::DEFAULT.outlast_memory());
        assert!(Rates { send: Some(rate("1/11")), ..Rates::DEFAULT }.outlast_memory());
    }

    #[test]
    fn as_many_at_once_as_the_rate_says_and_then_one_by_one() {
        for text in ["1/1", "10/5", "3/7", "9999/1", "10000/86400", "7/3600"] {
            let (rate, mut bucket) = (rate(text), Bucket::default());
            let count = rate.count as usize;
            assert_eq!(taken(&mut bucket, rate, NOW, count + 5), count, "{text}");
            let wait = bucket.take(rate, NOW).unwrap_err();
            assert!(wait >= 1 && wait <= rate.token().div_ceil(rate.count.into()), "{text}: {wait}");
            assert!(bucket.take(rate, NOW + wait - 1).is_err(), "{text}: not before the time told");
            assert_eq!(taken(&mut bucket, rate, NOW + wait, 1), 1, "{text}: at the time told");
            // A whole window later it is full again, and no fuller.
            let later = NOW + wait + u64::from(rate.seconds) * 1_000;
            assert_eq!(taken(&mut bucket, rate, later, count + 5), count, "{text}");
        }
    }

    #[test]
    fn over_any_time_no_more_than_the_rate_gets_through() {
        let (rate, mut bucket) = (rate("10/5"), Bucket::default());
        let mut through = 0;
        for time in (NOW..NOW + 60_000).step_by(7) {
            through += taken(&mut bucket, rate, time, 3);
        }
        assert_eq!(through, 10 + 60 * 10 / 5 - 1);
    }

    #[test]
    fn a_clock_set_back_keeps_nobody_waiting_for_longer_than_the_window() {
        let (rate, mut bucket) = (rate("2/5"), Bucket::default());
        assert_eq!(taken(&mut bucket, rate, NOW, 2), 2);
        let earlier = NOW - 86_400_000;
        assert_eq!(bucket.take(rate, earlier), Err(2_500));
        assert_eq!(taken(&mut bucket, rate, earlier + 2_500, 2), 1);
    }

    #[test]
    fn the_fields_say_what_is_left_and_when_there_is_more() {
        let (rate, mut bucket) = (rate("10/5"), Bucket::default());
        let fields = |bucket: Bucket, now| {
            let quota = bucket.quota(Limited::Send, rate, now);
            (quota.limit(), quota.policy())
        };
        assert_eq!(fields(bucket, NOW), (r#""send";r=10;t=0"#.into(), r#""send";q=10;w=5"#.into()));
        assert_eq!(taken(&mut bucket, rate, NOW, 1), 1);
        assert_eq!(fields(bucket, NOW).0, r#""send";r=9;t=1"#);
        assert_eq!(taken(&mut bucket, rate, NOW + 100, 20), 9);
        assert_eq!(fields(bucket, NOW + 100).0, r#""send";r=0;t=1"#);
        assert_eq!(fields(bucket, NOW + 500).0, r#""send";r=1;t=1"#);
        assert_eq!(fields(bucket, NOW + 5_000).0, r#""send";r=10;t=0"#);
        let slow = Rate { count: 2, seconds: 60 };
        let mut bucket = Bucket::default();
        bucket.take(slow, NOW).unwrap();
        let quota = bucket.quota(Limited::React, slow, NOW + 1);
        assert_eq!(quota.limit(), r#""react";r=1;t=30"#);
    }

    #[test]
    fn what_is_paid_for_is_repeated_once_for_nothing() {
        let (rate, mut accounts, ana) = (rate("2/60"), Accounts::default(), user("ana"));
        let mut take =
            |nonce: Option<&str>, user: &UserId| accounts.take(rate, user.as_str(), nonce, NOW).is_ok();
        assert!(take(Some("one"), &ana) && take(Some("two"), &ana));
        assert!(take(Some("one"), &ana), "its answer was lost");
        assert!(!take(Some("one"), &ana), "and that was all");
        assert!(!take(Some("three"), &ana) && !take(None, &ana));
        assert!(take(Some("two"), &ana));
        // A nonce is its user's own, and what was refused is not paid for.
        let ben = user("ben");
        assert!(take(None, &ben) && take(Some("two"), &ben));
        assert!(!take(Some("four"), &ben) && !take(Some("four"), &ben));
    }

    fn command(payload: Payload) -> Command {
        let channel = ChannelId::parse("00000000-0000-7000-8000-000000000000").unwrap();
        Command::parse(payload, &Rules::new(channel), Signature::Unverified).unwrap()
    }

    #[test]
    fn users_and_kinds_do_not_share_a_bucket() {
        let limits = Limits::new(Rates { send: Some(rate("1/60")), react: Some(rate("1/60")) });
        let (ana, ben) = (user("ana"), user("ben"));
        let delete = || {
            let request = crate::proto::DeleteMessageRequest {
                message_id: "00000000-0000-7000-8000-000000000000".into(),
            };
            command(Payload::DeleteMessageRequest(request))
        };
        let react = |emoji: &str| {
            let request = crate::proto::AddReactionRequest {
                message_id: "00000000-0000-7000-8000-000000000000".into(),
                emoji: emoji.into(),
            };
            command(Payload::AddReactionRequest(request))
        };
        let send = || {
            let request = crate::proto::SendMessageRequest { content: "x".into(), ..Default::default() };
            command(Payload::SendMessageRequest(request))
        };
        limits.take(&ana, Courier::User, &send(), NOW).unwrap();
        limits.take(&ana, Courier::User, &react("👍"), NOW).unwrap();
        limits.take(&ben, Courier::User, &send(), NOW).unwrap();
        for _ in 0..100 {
            assert_eq!(
                limits.take(&ana, Courier::User, &delete(), NOW),
                Ok(None),
                "a deletion is not limited"
            );
        }
        let refused = limits.take(&ana, Courier::User, &send(), NOW).unwrap_err();
        assert_eq!((refused.code, refused.retry_after_ms), (Code::RateLimited, Some(60_000)));
        assert!(refused.detail.contains("at most 1 messages and edits in 60 s"), "{}", refused.detail);
        assert_eq!(limits.take(&ana, Courier::User, &react("👎"), NOW).unwrap_err().code, Code::RateLimited);
        // What a relay brings of hers is counted apart.
        limits.take(&ana, Courier::Relay, &send(), NOW).unwrap();
        assert!(limits.take(&ana, Courier::Relay, &send(), NOW).is_err());
    }

    #[test]
    fn whatever_the_number_of_users_memory_is_bounded() {
        let (rate, mut accounts) = (rate("2/60"), Accounts::default());
        let heavy = "heavy";
        accounts.take(rate, heavy, None, NOW).unwrap();
        accounts.take(rate, heavy, None, NOW).unwrap();
        for n in 0..3 * MAX_BUCKETS {
            accounts.take(rate, &format!("user{n}"), None, NOW).unwrap();
            assert!(accounts.0.len() <= MAX_BUCKETS);
        }
        assert!(accounts.take(rate, heavy, None, NOW).is_err(), "who wrote most is not forgotten first");
    }

    #[test]
    fn what_is_kept_comes_back() {
        let rates = Rates { send: Some(rate("3/60")), react: Some(rate("3/5")) };
        let limits = Limits::new(rates);
        let ana = user("ana");
        for _ in 0..2 {
            limits.send.borrow_mut().take(rate("3/60"), "ana", Some("nonce"), NOW).unwrap();
            limits.send.borrow_mut().take(rate("3/60"), "ana", None, NOW).unwrap();
            limits.react.borrow_mut().take(rate("3/5"), "ana", None, NOW).unwrap();
        }
        let kept = limits.kept(NOW + 1_000);
        let woken = Limits::new(rates);
        woken.restore(&kept).unwrap();
        let at = NOW + 11_000;
        assert_eq!(
            woken.quota(Limited::Send, &ana, Courier::User, at),
            limits.quota(Limited::Send, &ana, Courier::User, at)
        );
        assert!(woken.send.borrow_mut().take(rate("3/60"), "ana", None, at).is_err());
        // The short window is over by then; and an hour later there is nothing to keep.
        assert!(woken.react.borrow().0.is_empty());
        assert_eq!(limits.kept(NOW + 3_600_000), r#"{"send":[],"react":[]}"#);
        // Under another rate no one waits for longer than its window.
        let other = Limits::new(Rates { send: Some(rate("3/11")), react: None });
        other.restore(&kept).unwrap();
        assert_eq!(other.quota(Limited::Send, &ana, Courier::User, at + 11_000).unwrap().remaining, 0);
        assert_eq!(other.send.borrow_mut().take(rate("3/11"), "ana", None, at), Err(3_667));
        assert!(woken.restore("nonsense").is_err());
    }
}
