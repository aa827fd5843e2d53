//! Telling sockets what they missed.
//!
//! Who comes back with a `since` that the memory of recent changes covers is served from it at once. For the others
//! one reader goes through the database, page by page from where the one who is furthest behind stands, and tells
//! each what they lack: the number of queries depends on how far back they are, not on how many.

use std::rc::Rc;

use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint},
};

use super::{
    Channel, CloseCode, Platform, Session, Socket,
    frames::{self, Encoded},
    state::{self, Changes, State},
};
use crate::{
    database::DatabaseError,
    ids::{Revision, UserId},
    proto::{CaughtUpEvent, SyncResponse, envelope::Payload},
};

/// About how many bytes of states go into one frame: far below what a WebSocket message may have.
const FRAME_WEIGHT: usize = 256 << 10;
/// How much further back than asked for the first reader after a wake begins, in revisions: those who come next are
/// rarely at the same one.
const MARGIN: Revision = 500;
/// How many of the states that the reader has read are kept for those who come next.
const KEPT: usize = 1_000;
/// The pauses between tries when the database does not answer, in milliseconds.
const PAUSES: [u32; 5] = [50, 200, 500, 1_000, 2_000];

/// The number of `SyncResponse.messages` and of `Envelope.sync_response`.
const MESSAGES: u32 = 1;
const SYNC_RESPONSE: u32 = 142;

impl<P: Platform> Channel<P> {
    /// Begins to tell a connection what it missed.
    pub(crate) fn catch_up(self: &Rc<Self>, connection: &str) {
        let mut behind = false;
        self.with_session(connection, |session| {
            let sent = self.catch_up_from_memory(session);
            behind = session.attachment.catching_up.is_some();
            sent
        });
        if behind {
            self.start_reader();
        }
    }

    /// Goes on with those who were behind when the object was evicted.
    pub(crate) fn resume_catching_up(self: &Rc<Self>) {
        if self.sessions.borrow().values().any(|session| session.attachment.catching_up.is_some()) {
            self.start_reader();
        }
    }

    /// Tells a session all that it lacks, where the memory has it. False where the socket is gone.
    fn catch_up_from_memory(&self, session: &mut Session<P::Socket>) -> bool {
        let Some(revision) = self.head.borrow().as_ref().map(|head| head.revision) else { return true };
        let recent = self.recent.borrow();
        match session.attachment.catching_up {
            Some(since) if !recent.covers(since) => return true,
            Some(since) => {
                let revision = revision.max(since);
                if !session.tell(recent.since(since), revision, false) {
                    return false;
                }
                session.told = revision;
                session.attachment.catching_up = None;
                session.socket.attach(&session.attachment);
            }
            None => session.told = revision,
        }
        let event = CaughtUpEvent { revision: session.told };
        session.send(&[frames::push(Payload::CaughtUpEvent(event))])
    }

    fn start_reader(self: &Rc<Self>) {
        if !self.catching_up.replace(true) {
            let channel = Rc::clone(self);
            self.platform.spawn(async move {
                channel.read_for_those_behind().await;
                channel.catching_up.set(false);
            });
        }
    }

    async fn read_for_those_behind(self: &Rc<Self>) {
        let mut reader: Option<Reader> = None;
        loop {
            let behind: Vec<(Revision, String)> = self
                .sessions
                .borrow()
                .values()
                .filter_map(|s| Some((s.attachment.catching_up?, s.attachment.user.clone())))
                .collect();
            let Some(furthest) = behind.iter().map(|(since, _)| *since).min() else { return };
            // Whoever has come since, from further back, waits until it is through: who keeps coming from far back must
            // not have it begin again and again, while those ahead of it wait.
            let wanted = |at: &Reader| {
                at.cursor <= furthest || at.has_more && behind.iter().any(|(since, _)| *since >= at.cursor)
            };
            let mut at = reader.take().filter(wanted).unwrap_or_else(|| Reader::at(furthest));
            let users: Vec<UserId> = behind.iter().filter_map(|(_, user)| UserId::parse(user).ok()).collect();
            let forgotten = self.forgotten.get();
            let Ok(page) = self.read_page(at.cursor, &users).await else { return self.give_up() };
            if self.forgotten.get() != forgotten {
                // It may be of before something was hidden.
                continue;
            }
            self.tell_page(at.cursor, &page);
            at.take(page);
            if !at.has_more {
                self.keep(&mut at);
                self.tell_the_rest();
            }
            reader = Some(at);
        }
    }

    async fn read_page(&self, since: Revision, users: &[UserId]) -> Result<Changes, DatabaseError> {
        self.load_head().await?;
        let mut pauses = PAUSES.iter();
        loop {
            let page = match self.within_bound(state::changes(&self.platform, self.id, since)).await {
                Ok(mut page) => {
                    let filled = state::fill_in(&self.platform, self.id, &mut page.states, users);
                    self.within_bound(filled).await.map(|()| page)
                }
                Err(error) => Err(error),
            };
            match (page, pauses.next()) {
                (Err(DatabaseError::Unavailable(why)), Some(&pause)) => {
                    self.platform.log(&format!("the database does not answer what changed: {why}"));
                    self.platform.sleep(pause).await;
                }
                (page, _) => return page,
            }
        }
    }

    /// Tells everyone what they lack of a page that begins after `from`. Whoever came from further back while it was
    /// read lacks more than that.
    fn tell_page(&self, from: Revision, page: &Changes) {
        self.each_session(|session| {
            let meant = |since: &Revision| (from..page.revision).contains(since);
            let Some(since) = session.attachment.catching_up.filter(meant) else { return true };
            let first = page.states.partition_point(|state| state.revision() <= since);
            let lacking = page.states.get(first..).unwrap_or_default();
            session.attachment.catching_up = Some(page.revision);
            session.socket.attach(&session.attachment);
            lacking.is_empty() || session.tell(lacking.iter(), page.revision, page.has_more)
        });
    }

    /// Makes the memory reach back as far as was read, if it begins where that ends.
    fn keep(&self, reader: &mut Reader) {
        let mut recent = self.recent.borrow_mut();
        if recent.from() <= reader.cursor {
            recent.extend_back(reader.from, std::mem::take(&mut reader.states));
        }
    }

    /// What was committed while the last page was read is in memory.
    fn tell_the_rest(&self) {
        self.each_session(|session| {
            session.attachment.catching_up.is_none() || self.catch_up_from_memory(session)
        });
    }

    /// Who could not be told is sent to try again.
    fn give_up(&self) {
        let behind: Vec<_> = self
            .sessions
            .borrow()
            .values()
            .filter(|session| session.attachment.catching_up.is_some())
            .map(|session| session.attachment.connection.clone())
            .collect();
        for connection in behind {
            self.close(&connection, CloseCode::Restart, "the database is not answering");
        }
    }
}

/// How far the reader is, and what it has read: all changes after `from` up to `cursor`.
struct Reader {
    from: Revision,
    cursor: Revision,
    has_more: bool,
    states: Vec<State>,
}

impl Reader {
    fn at(furthest: Revision) -> Self {
        let from = furthest.saturating_sub(MARGIN);
        Self { from, cursor: from, has_more: true, states: Vec::new() }
    }

    fn take(&mut self, page: Changes) {
        self.cursor = page.revision;
        self.has_more = page.has_more;
        self.states.extend(page.states);
        let needless = self.states.len().saturating_sub(KEPT);
        if let Some(last) = self.states.drain(..needless).next_back() {
            self.from = last.revision();
        }
    }
}

impl<S: Socket> Session<S> {
    /// Sends states as `sync_response` frames, the last of which goes up to `revision` and says whether more are to
    /// come. False where the socket is gone.
    fn tell<'a>(&self, states: impl Iterator<Item = &'a State>, revision: Revision, has_more: bool) -> bool {
        let Ok(user) = UserId::parse(&self.attachment.user) else { return false };
        let mut chunk = Vec::new();
        let mut reached = 0;
        for state in states {
            if chunk.len() >= FRAME_WEIGHT {
                if !self.send(&[sync_response(&chunk, reached, true)]) {
                    return false;
                }
                chunk.clear();
            }
            encode_key(MESSAGES, WireType::LengthDelimited, &mut chunk);
            let message = state.encoded_for(&user);
            encode_varint(message.len() as u64, &mut chunk);
            chunk.extend_from_slice(&message);
            reached = state.revision();
        }
        chunk.is_empty() || self.send(&[sync_response(&chunk, revision, has_more)])
    }
}

/// `Envelope { sync_response: SyncResponse { messages, revision, has_more } }`, put together from messages already
/// encoded, each behind its key and length.
fn sync_response(messages: &[u8], revision: Revision, has_more: bool) -> Encoded {
    let rest = SyncResponse { messages: Vec::new(), revision, has_more }.encode_to_vec();
    let mut bytes = Vec::with_capacity(messages.len() + rest.len() + 12);
    encode_key(SYNC_RESPONSE, WireType::LengthDelimited, &mut bytes);
    encode_varint((messages.len() + rest.len()) as u64, &mut bytes);
    bytes.extend_from_slice(messages);
    bytes.extend_from_slice(&rest);
    bytes.into()
}
