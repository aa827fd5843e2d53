//! Tokens that end while a socket lives, and the one alarm for all that is due.
//!
//! The object sleeps until the alarm: no timer keeps it awake. However many users there are, it wakes for them once a
//! minute at most.

use std::{cell::Cell, rc::Rc};

use super::{
    Channel, CloseCode, Platform, Socket,
    administration::{self, Purge},
    frames,
};
use crate::{
    access::Caller,
    database::DatabaseError,
    ids::Timestamp,
    problem::{Code, Problem},
    proto::{TokenExpiringEvent, envelope::Payload},
};

/// A client is told so long before its token ends, in milliseconds: at most, and at least half of it.
const WARNING: Timestamp = 120_000;
/// Between two alarms for tokens, in milliseconds.
const MIN_INTERVAL: Timestamp = 60_000;
/// Until the next piece of long work, in milliseconds: now, and after an error.
const NEXT_PIECE: Timestamp = 10;
const AFTER_ERROR: Timestamp = 30_000;

/// When the alarm is set for, as far as is remembered.
#[derive(Default)]
pub(crate) struct Alarm {
    set_for: Cell<Option<Timestamp>>,
    last: Cell<Timestamp>,
    woke: Timestamp,
    /// Whether it was set, or has come, since the object woke.
    ever: Cell<bool>,
    /// Whether a deletion is under way, whose promise an alarm may not find yet.
    expects_promise: Cell<bool>,
}

impl Alarm {
    /// That of an object that has just woken, and does not know when the last alarm was nor what it is set for.
    pub(crate) fn waking(now: Timestamp) -> Self {
        Self { last: Cell::new(now), woke: now, ..Self::default() }
    }

    pub(crate) fn expect_promise(&self, expected: bool) {
        self.expects_promise.set(expected);
    }
}

impl<P: Platform> Channel<P> {
    /// The alarm has come: does what is due, and sets the next.
    pub async fn alarm(self: &Rc<Self>) {
        self.alarm.set_for.set(None);
        self.alarm.ever.set(true);
        self.alarm.last.set(self.now());
        match self.within_bound(administration::purge(&self.platform, self.id)).await {
            Ok(Purge::NotPromised) if self.alarm.expects_promise.get() => {
                self.wake_by(self.now() + AFTER_ERROR);
            }
            Ok(Purge::NotPromised) => {}
            // Sockets may have slept through the deletion, or its answer was lost.
            Ok(Purge::Kept) => self.is_gone(),
            Ok(Purge::More) => {
                self.is_gone();
                self.wake_by(self.now() + NEXT_PIECE);
            }
            Err(error) => {
                self.platform.log(&format!("a piece of a purge failed: {error}"));
                let later = if matches!(error, DatabaseError::Unavailable(_)) {
                    AFTER_ERROR
                } else {
                    AFTER_ERROR * 10
                };
                self.wake_by(self.now() + later);
            }
        }
        self.watch_expiry();
    }

    /// Has the alarm come at `time` or before.
    pub(crate) fn wake_by(&self, time: Timestamp) {
        // What it was set for before the object woke may be needed: it is not put off by more than a minute.
        let time =
            if self.alarm.ever.replace(true) { time } else { time.min(self.alarm.woke + MIN_INTERVAL) };
        if self.alarm.set_for.get().is_none_or(|set| time < set) {
            self.alarm.set_for.set(Some(time));
            self.platform.set_alarm(time);
        }
    }

    /// Warns and closes whom it is time for, and sets the alarm for the next.
    pub(crate) fn watch_expiry(&self) {
        let now = self.now();
        let mut next: Option<Timestamp> = None;
        let mut ended = Vec::new();
        self.each_session(|session| {
            let expires_at = session.attachment.expires_at;
            if expires_at <= now {
                ended.push(session.attachment.connection.clone());
                return true;
            }
            let mut sent = true;
            if !session.attachment.warned && expires_at <= now + WARNING {
                session.attachment.warned = true;
                session.socket.attach(&session.attachment);
                let event = TokenExpiringEvent { expires_at };
                sent = session.send(&[frames::push(Payload::TokenExpiringEvent(event))]);
            }
            let due = if session.attachment.warned { expires_at } else { expires_at - WARNING };
            next = Some(next.map_or(due, |next| next.min(due)));
            sent
        });
        for connection in ended {
            self.close(&connection, CloseCode::TokenExpired, "the token has expired");
        }
        if let Some(due) = next {
            self.wake_by(due.max(self.alarm.last.get() + MIN_INTERVAL));
        }
    }

    /// Goes on with a newer token of the same user.
    pub(crate) async fn refresh_token(self: &Rc<Self>, connection: &str, token: &str) -> Result<(), Problem> {
        let caller = self.platform.verify(token).await?;
        let mut fate = Ok(());
        self.each_session(|session| {
            if session.attachment.connection != connection {
                return true;
            }
            if session.attachment.user != caller.user_id.as_str() {
                fate = Err(Code::Forbidden.with("the token is another user's"));
                return true;
            }
            session.attachment.expires_at = caller.expires_at;
            session.attachment.trusted = caller.trusted;
            session.attachment.owner = caller.owner;
            session.attachment.token_name.clone_from(&caller.display_name);
            session.attachment.warned = false;
            session.socket.attach(&session.attachment);
            true
        });
        self.watch_expiry();
        if fate.is_ok() {
            let (channel, connection) = (Rc::clone(self), connection.to_owned());
            self.platform.spawn(async move { channel.admit_again(&connection, caller).await });
        }
        fate
    }

    /// A connection that is let in once must not go on for ever on what a role, or an older token, gave then.
    async fn admit_again(self: &Rc<Self>, connection: &str, caller: Caller) {
        match self.admit(caller).await {
            Err(Problem { code: Code::Banned, .. }) => {
                self.close(connection, CloseCode::Banned, "you are banned");
            }
            Err(Problem { code: Code::ChannelNotFound, .. }) => {
                self.close(connection, CloseCode::NoChannel, "there is no such channel");
            }
            // Nobody is sent away because the database does not answer.
            Ok(_) | Err(_) => {}
        }
    }
}
