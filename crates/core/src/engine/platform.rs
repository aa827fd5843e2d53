//! What the engine needs from outside: everything that is not chat comes in through here.

use std::future::Future;

use serde::{Deserialize, Serialize};

use super::limits::Rates;
use crate::{
    access::Caller,
    database::Database,
    envelope::Rules,
    ids::{ChannelId, CommitId, Revision, Timestamp, UserId},
    problem::Problem,
};

/// Clock, randomness, database, tasks, alarm: workerd's in production, a seeded scheduler's in the simulation.
#[allow(async_fn_in_trait, reason = "one thread in workerd and in the simulation: nothing here needs Send")]
pub trait Platform: Database + 'static {
    /// A connected WebSocket.
    type Socket: Socket;

    /// The time. May stand still between two awaits.
    fn now(&self) -> Timestamp;

    /// Fills `bytes` at random.
    fn random(&self, bytes: &mut [u8]);

    /// Waits. The object does not hibernate meanwhile, so only what must happen soon waits.
    async fn sleep(&self, ms: u32);

    /// Runs a task until it ends, whatever becomes of the request that started it.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);

    /// Has [`Channel::alarm`](super::Channel::alarm) called at `time`, or soon after, whatever happens to the object
    /// until then; replaces the alarm that was set before.
    fn set_alarm(&self, time: Timestamp);

    /// Who a token names, if it is good now. Waits only where the keys that it is held to must be fetched.
    ///
    /// # Errors
    /// 401 `TOKEN_INVALID` or `TOKEN_EXPIRED`.
    async fn verify(&self, token: &str) -> Result<Caller, Problem>;

    /// How fast a user may write. Asked once, as the channel wakes.
    fn rates(&self) -> Rates {
        Rates::OFF
    }

    /// Keeps this for [`Channel::restore_limits`](super::Channel::restore_limits), which gets what was kept last.
    fn keep_limits(&self, _kept: String) {}

    /// What the messages of a channel are held to.
    ///
    /// # Errors
    /// 503 `CONFIG_MISSING` where the server's settings don't say.
    fn rules(&self, channel: ChannelId) -> Result<Rules, Problem>;

    /// A commit's batch has just been answered: a chance to note what it cost.
    fn committed(&self, _commit: CommitId) {}

    /// Writes a line for the operator. Never given a token or content.
    fn log(&self, line: &str);
}

/// A WebSocket that outlives the object's memory.
pub trait Socket: Clone {
    /// Bytes made ready to be sent to any number of sockets.
    type Frame: Clone;

    /// Makes bytes ready, once for all sockets.
    fn frame(bytes: &[u8]) -> Self::Frame;

    /// Hands a frame to the runtime, which buffers it. False where the socket is gone.
    fn send(&self, frame: &Self::Frame) -> bool;

    /// Closes it. Does nothing where it is closed already.
    fn close(&self, code: CloseCode, reason: &str);

    /// Keeps this with the socket while the object sleeps.
    fn attach(&self, attachment: &Attachment);

    /// When the runtime last answered a ping on it.
    fn last_ping(&self) -> Option<Timestamp>;
}

/// Why a socket is closed, as the contract numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
#[allow(missing_docs, reason = "the contract's own names")]
pub enum CloseCode {
    Restart = 1012,
    Overloaded = 1013,
    TokenExpired = 4001,
    TokenInvalid = 4002,
    Banned = 4003,
    Removed = 4004,
    Flooding = 4005,
    ProtocolError = 4006,
    NoChannel = 4007,
}

impl CloseCode {
    /// The number in the Close frame.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }
}

/// What a socket's object must know of it after it slept. At most 16,384 bytes encoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    pub(crate) connection: String,
    pub(crate) user: String,
    pub(crate) token_name: Option<String>,
    pub(crate) trusted: bool,
    /// Not there in what an earlier version attached.
    #[serde(default)]
    pub(crate) owner: bool,
    /// As others see the user.
    pub(crate) display_name: String,
    pub(crate) pubkey: String,
    /// When the connection ends, unless its token is refreshed.
    pub(crate) expires_at: Timestamp,
    /// Whether it was told that it will end.
    pub(crate) warned: bool,
    /// Whether `edgewise.v1` was selected: it reads `envelope_batch`.
    pub(crate) batches: bool,
    /// ONLINE, AWAY or DND, as the enum's number.
    pub(crate) status: i32,
    pub(crate) opened_at: Timestamp,
    /// Set while it is being told what it missed: from where.
    pub(crate) catching_up: Option<Revision>,
}

impl Attachment {
    /// The name of the connection: unique, and what [`Channel::receive`](super::Channel::receive) goes by.
    #[must_use]
    pub fn connection(&self) -> &str {
        &self.connection
    }

    /// Who is at the other end.
    pub(crate) fn caller(&self) -> Result<Caller, Problem> {
        Ok(Caller {
            user_id: UserId::parse(&self.user)?,
            display_name: self.token_name.clone(),
            trusted: self.trusted,
            owner: self.owner,
            expires_at: self.expires_at,
        })
    }
}
