//! Who is here and who is typing: known from the live sockets alone, never stored.
//!
//! Changes are gathered into one batch a second at most, and whoever has come and gone within it is not mentioned.
//! A timer runs only while a change waits to be told.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
};

use super::{Channel, Platform, Socket, frames};
use crate::{
    access::Caller,
    ids::Timestamp,
    problem::{Code, Problem},
    proto::{
        PresenceStatus, PresenceUpdate, PresenceUpdateEvent, TypingEvent, TypingIndicator, envelope::Payload,
    },
};

/// Between two batches, in milliseconds.
const BATCH_INTERVAL: u32 = 1_000;
/// Above so many connected users nothing is pushed: the frames would grow with their square.
const MAX_USERS: usize = 200;
/// A socket from which nothing came for so long, in milliseconds, counts as gone: two and a half heartbeats.
const SILENCE: Timestamp = 75_000;
/// Between two looks for those who fell silent, in milliseconds.
const LOOK_INTERVAL: Timestamp = 15_000;
/// A user's typing is passed on once in so long, in milliseconds.
const TYPING_INTERVAL: Timestamp = 2_000;

/// What everyone was told, and what waits to be.
#[derive(Default)]
pub(crate) struct Presence {
    told: RefCell<BTreeMap<String, PresenceUpdate>>,
    /// Those of whom a hello since the last batch has said something else.
    shown: RefCell<BTreeMap<String, PresenceUpdate>>,
    scheduled: Cell<bool>,
    last_batch: Cell<Timestamp>,
    typed: RefCell<HashMap<String, Timestamp>>,
}

/// One page of who is connected.
#[derive(Debug)]
pub struct Present {
    /// By user id.
    pub users: Vec<PresenceUpdate>,
    /// Whether more follow.
    pub has_more: bool,
}

/// DND over ONLINE over AWAY.
fn rank(status: PresenceStatus) -> u8 {
    match status {
        PresenceStatus::Dnd => 3,
        PresenceStatus::Online => 2,
        PresenceStatus::Away => 1,
        PresenceStatus::Unspecified | PresenceStatus::Offline => 0,
    }
}

impl<P: Platform> Channel<P> {
    /// Who is connected, by user id, after `after`.
    ///
    /// # Errors
    /// 403 `BANNED`, 404 `CHANNEL_NOT_FOUND`, 503 `STORAGE_UNAVAILABLE`.
    pub async fn present(
        self: &Rc<Self>,
        caller: Caller,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Present, Problem> {
        self.admit(caller).await?;
        let mut users: Vec<_> = self
            .connected()
            .into_values()
            .filter(|update| after.is_none_or(|after| update.user_id.as_str() > after))
            .take(limit + 1)
            .collect();
        let has_more = users.len() > limit;
        users.truncate(limit);
        Ok(Present { users, has_more })
    }

    /// Passes on that a user is typing who is not connected here.
    ///
    /// # Errors
    /// 403 `BANNED`, 404 `CHANNEL_NOT_FOUND`, 503 `STORAGE_UNAVAILABLE`.
    pub async fn types(self: &Rc<Self>, caller: Caller) -> Result<(), Problem> {
        let admission = self.admit(caller.clone()).await?;
        self.pass_on_typing(&caller, admission.display_name, admission.pubkey);
        Ok(())
    }

    /// Passes on that a user is typing, on one of their own sockets.
    pub(crate) fn typing(&self, caller: &Caller) {
        let known = self.sessions.borrow().values().find_map(|session| {
            let attachment = &session.attachment;
            (attachment.user == caller.user_id.as_str())
                .then(|| (attachment.display_name.clone(), attachment.pubkey.clone()))
        });
        let (name, pubkey) = known.unwrap_or_default();
        self.pass_on_typing(caller, name, pubkey);
    }

    fn pass_on_typing(&self, caller: &Caller, display_name: String, user_pubkey: String) {
        let now = self.now();
        {
            let mut typed = self.presence.typed.borrow_mut();
            typed.retain(|_, last| now.saturating_sub(*last) < TYPING_INTERVAL);
            if typed.contains_key(caller.user_id.as_str()) {
                return;
            }
            typed.insert(caller.user_id.as_str().to_owned(), now);
        }
        let indicator = TypingIndicator {
            user_pubkey,
            channel_id: self.id.to_string(),
            display_name,
            timestamp: now,
            user_id: caller.user_id.as_str().to_owned(),
        };
        let event = frames::push(Payload::TypingEvent(TypingEvent { indicator: Some(indicator) }));
        self.send_to_others(&[event], caller.user_id.as_str());
    }

    /// Sets how a connection wants to be seen.
    pub(crate) fn set_presence(&self, connection: &str, status: PresenceStatus) -> Result<(), Problem> {
        if rank(status) == 0 {
            return Err(Code::BodyInvalid.with("status is ONLINE, AWAY or DND"));
        }
        self.with_session(connection, |session| {
            session.attachment.status = status.into();
            session.socket.attach(&session.attachment);
            true
        });
        self.presence_changed();
        Ok(())
    }

    /// What everyone was told before the object slept, but for those who may have been silent for long by then: that
    /// they are gone is told once more, and not never.
    pub(crate) fn restore_presence(&self) {
        *self.presence.told.borrow_mut() = self.heard_of_since(0);
    }

    /// Who is here, for a hello to this user. Where that is something else than everyone was told, the next batch says
    /// what has become of it, even if everyone else was told the same before.
    pub(crate) fn presence_for_hello(&self, user: &str) -> Vec<PresenceUpdate> {
        if self.connected_users() > MAX_USERS {
            return Vec::new();
        }
        let (connected, told) = (self.connected(), self.presence.told.borrow());
        let status =
            |of: &BTreeMap<String, PresenceUpdate>, user: &str| of.get(user).map(|update| update.status);
        let differing = connected.values().chain(told.values()).filter(|update| {
            update.user_id != user && status(&connected, &update.user_id) != status(&told, &update.user_id)
        });
        let differing = differing.map(|update| (update.user_id.clone(), update.clone()));
        self.presence.shown.borrow_mut().extend(differing);
        connected.into_values().collect()
    }

    fn connected_users(&self) -> usize {
        let sessions = self.sessions.borrow();
        sessions.values().map(|session| session.attachment.user.as_str()).collect::<HashSet<_>>().len()
    }

    /// Has whatever is different told with the next batch.
    pub(crate) fn presence_changed(&self) {
        let Some(channel) = self.this.upgrade().filter(|_| !self.presence.scheduled.replace(true)) else {
            return;
        };
        self.platform.spawn(async move {
            let since = channel.now().saturating_sub(channel.presence.last_batch.get());
            let pause = u64::from(BATCH_INTERVAL).saturating_sub(since);
            if pause > 0 {
                channel.platform.sleep(u32::try_from(pause).unwrap_or(BATCH_INTERVAL)).await;
            }
            channel.presence.scheduled.set(false);
            channel.presence.last_batch.set(channel.now());
            channel.tell_presence();
        });
    }

    /// Looks whether anyone has fallen silent, where the object is awake anyway.
    pub(crate) fn look_around(&self) {
        if self.now().saturating_sub(self.presence.last_batch.get()) >= LOOK_INTERVAL {
            self.presence_changed();
        }
    }

    fn tell_presence(&self) {
        let connected = self.connected();
        if connected.len() > MAX_USERS {
            return;
        }
        let before = std::mem::replace(&mut *self.presence.told.borrow_mut(), connected.clone());
        let shown = self.presence.shown.take();
        let now = self.now();
        let unheard = shown.values().filter(|update| !before.contains_key(&update.user_id));
        let left = before.values().chain(unheard).filter(|update| !connected.contains_key(&update.user_id));
        let left = left.map(|update| PresenceUpdate {
            status: PresenceStatus::Offline.into(),
            timestamp: now,
            ..update.clone()
        });
        let came = connected
            .values()
            .filter(|update| {
                shown.contains_key(&update.user_id)
                    || before.get(&update.user_id).map(|before| before.status) != Some(update.status)
            })
            .cloned();
        let events: Vec<_> = left
            .chain(came)
            .map(|update| {
                let user = update.user_id.clone();
                (
                    user,
                    frames::push(Payload::PresenceUpdateEvent(PresenceUpdateEvent { update: Some(update) })),
                )
            })
            .collect();
        self.send_presence(&events);
    }

    /// To everyone, but nobody is told of themselves.
    fn send_presence(&self, events: &[(String, frames::Encoded)]) {
        if events.is_empty() {
            return;
        }
        let all: Vec<_> = events.iter().map(|(_, event)| event.clone()).collect();
        let ready = [false, true].map(|batches| {
            frames::frames(&all, batches).iter().map(|bytes| P::Socket::frame(bytes)).collect::<Vec<_>>()
        });
        let [single, batched] = &ready;
        self.each_session(|session| {
            let user = &session.attachment.user;
            if events.iter().any(|(of, _)| of == user) {
                let others: Vec<_> =
                    events.iter().filter(|(of, _)| of != user).map(|(_, event)| event.clone()).collect();
                return session.send(&others);
            }
            let frames = if session.attachment.batches { batched } else { single };
            frames.iter().all(|frame| session.socket.send(frame))
        });
    }

    /// Everyone connected, each once, as the highest of their sockets says.
    fn connected(&self) -> BTreeMap<String, PresenceUpdate> {
        self.heard_of_since(self.now().saturating_sub(SILENCE) + 1)
    }

    fn heard_of_since(&self, since: Timestamp) -> BTreeMap<String, PresenceUpdate> {
        let now = self.now();
        let mut connected: BTreeMap<String, PresenceUpdate> = BTreeMap::new();
        for session in self.sessions.borrow().values() {
            let attachment = &session.attachment;
            if session.heard.max(attachment.opened_at) < since
                && session.socket.last_ping().is_none_or(|ping| ping < since)
            {
                continue;
            }
            let status = PresenceStatus::try_from(attachment.status).unwrap_or(PresenceStatus::Online);
            let update = connected.entry(attachment.user.clone()).or_insert_with(|| PresenceUpdate {
                user_pubkey: attachment.pubkey.clone(),
                status: status.into(),
                timestamp: now,
                display_name: attachment.display_name.clone(),
                user_id: attachment.user.clone(),
            });
            if rank(status) > rank(update.status()) {
                update.set_status(status);
            }
        }
        connected
    }
}
