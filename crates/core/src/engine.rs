//! The channel engine: one writer for one channel, and the hub of its sockets.
//!
//! Commands wait in a queue and are committed one batch at a time, each as one database transaction; replies and
//! broadcasts follow the commit, in its order. What arrives meanwhile goes into the next commit.
//!
//! Everything in here is a cache that can be rebuilt from the database and the sockets' attachments: the object may
//! be gone after any await. What is broadcast has been committed; what was committed and could not be broadcast is
//! found by `since`.
//!
//! | file | what |
//! | --- | --- |
//! | `command.rs` | what can be asked for |
//! | `queue.rs` | what waits, in a lane for each user |
//! | `batch.rs` | which commands share a commit |
//! | `commit.rs`, `rows.rs`, `commit_sql.rs` | a commit and what became of its commands |
//! | `administration.rs` | members, and the end of a channel |
//! | `expulsion.rs` | what a ban does here, piece by piece |
//! | `writer.rs` | the loop: commit, retry, settle |
//! | `fan_out.rs`, `frames.rs` | who is told what, encoded once |
//! | `limits.rs` | how fast a user may write |
//! | `connection.rs` | what happens on a socket |
//! | `admission.rs` | who may connect, asked for all who wait in one query |
//! | `recovery.rs`, `recent.rs`, `state.rs` | telling a socket what it missed |
//! | `presence.rs` | who is here, who is typing |
//! | `expiry.rs` | tokens that end while a socket lives |

mod administration;
mod admission;
mod batch;
mod command;
mod commit;
mod commit_sql;
mod connection;
mod expiry;
mod expulsion;
mod fan_out;
mod frames;
mod limits;
mod platform;
mod presence;
mod queue;
mod recent;
mod recovery;
mod rows;
mod state;
mod writer;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::{Rc, Weak},
};

pub use batch::MAX_COMMANDS;
pub use command::{Command, Signature};
pub use connection::Connect;
pub use limits::{Courier, InvalidRate, Limited, Quota, Rate, Rates};
pub use platform::{Attachment, CloseCode, Platform, Socket};
pub use writer::Costs;

use crate::{
    envelope::Rules,
    ids::{ChannelId, MessageId, Revision, Timestamp},
    problem::Problem,
};

/// One channel: its queue, its sockets, and what it remembers of the database.
pub struct Channel<P: Platform> {
    id: ChannelId,
    this: Weak<Self>,
    platform: P,
    /// Where the channel stands as everyone connected was told. None until it was read.
    head: RefCell<Option<commit::Head>>,
    writer: writer::Writer,
    sessions: RefCell<BTreeMap<String, Session<P::Socket>>>,
    recent: RefCell<recent::Recent>,
    /// How often `recent` was given up because something in it was hidden.
    forgotten: Cell<u64>,
    /// The promises for which it was.
    hidden: RefCell<BTreeSet<(String, expulsion::Hidden)>>,
    admissions: admission::Admissions,
    catching_up: Cell<bool>,
    presence: presence::Presence,
    alarm: expiry::Alarm,
    limits: limits::Limits,
    /// Whether the channel is known to be deleted, which is for good.
    gone: Cell<bool>,
    ids: Ids,
}

/// A live connection.
struct Session<S> {
    socket: S,
    attachment: Attachment,
    /// The revision up to which it was told everything.
    told: Revision,
    /// When it last sent a frame, if the object was awake then.
    heard: Timestamp,
    patience: limits::Patience,
}

impl<S> Session<S> {
    fn new(socket: S, attachment: Attachment, told: Revision, heard: Timestamp) -> Self {
        Self { socket, attachment, told, heard, patience: limits::Patience::default() }
    }
}

impl<P: Platform> Channel<P> {
    /// A channel as it wakes, with the sockets that slept.
    pub fn new(id: ChannelId, platform: P, sockets: Vec<(P::Socket, Attachment)>) -> Rc<Self> {
        let now = platform.now();
        let sessions = sockets
            .into_iter()
            .map(|(socket, attachment)| {
                let connection = attachment.connection.clone();
                // What was committed before the object slept was broadcast before it slept. When it last heard of a
                // socket it has forgotten: the runtime knows of the pings.
                (connection, Session::new(socket, attachment, 0, 0))
            })
            .collect();
        let limits = limits::Limits::new(platform.rates());
        let channel = Rc::new_cyclic(|this| Self {
            id,
            this: this.clone(),
            platform,
            head: RefCell::default(),
            writer: writer::Writer::default(),
            sessions: RefCell::new(sessions),
            recent: RefCell::default(),
            forgotten: Cell::default(),
            hidden: RefCell::default(),
            admissions: admission::Admissions::default(),
            catching_up: Cell::default(),
            presence: presence::Presence::default(),
            alarm: expiry::Alarm::waking(now),
            limits,
            gone: Cell::default(),
            ids: Ids::default(),
        });
        channel.restore_presence();
        channel.resume_catching_up();
        channel
    }

    /// What the messages that are sent to it are held to.
    ///
    /// # Errors
    /// 503 `CONFIG_MISSING` where the server's settings don't say.
    pub fn rules(&self) -> Result<Rules, Problem> {
        self.platform.rules(self.id)
    }

    /// Which channel this is.
    #[must_use]
    pub const fn id(&self) -> ChannelId {
        self.id
    }

    fn message_id(&self) -> MessageId {
        MessageId::new(self.ids.next(self.platform.now(), |bytes| self.platform.random(bytes)))
    }

    fn random_id(&self) -> uuid::Uuid {
        let mut bytes = [0; 16];
        self.platform.random(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}

/// Makes UUIDv7s that rise strictly, whatever the clock does: RFC 9562 §6.2, method 1, with a counter in `rand_a`.
#[derive(Debug, Default)]
struct Ids {
    /// The last one's milliseconds and counter.
    last: Cell<(Timestamp, u16)>,
}

impl Ids {
    fn next(&self, now: Timestamp, random: impl FnOnce(&mut [u8])) -> uuid::Uuid {
        let (last, count) = self.last.get();
        let (millis, counter) = match count {
            _ if now > last => (now, 0),
            0x0fff => (last + 1, 0),
            _ => (last, count + 1),
        };
        self.last.set((millis, counter));
        let mut tail = [0; 10];
        random(&mut tail);
        let [high, low, ..] = &mut tail;
        [*high, *low] = counter.to_be_bytes();
        uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_ids_rise_whatever_the_clock_does() {
        let ids = Ids::default();
        let mut last = uuid::Uuid::nil();
        for n in 0..20_000u64 {
            let now = 1_700_000_000_000 + if n % 7 == 0 { n / 5_000 } else { 0 };
            let id = ids.next(now, |bytes| bytes.fill(0xff));
            assert!(id > last && id.get_version_num() == 7, "{id}");
            last = id;
        }
    }
}
