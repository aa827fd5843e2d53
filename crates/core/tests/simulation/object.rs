//! The engine's platform in a simulated world: a database that fails, sockets that break, an object that is evicted.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    rc::Rc,
};

use edgewise_core::{
    access::Caller,
    database::{Database, DatabaseError, Rows, Statement},
    engine::{Attachment, CloseCode, Platform, Socket},
    envelope::Rules,
    ids::{ChannelId, Timestamp},
    problem::{Code, Problem},
};

use crate::{planted::Planted, support::sqlite::Sqlite, world::World};

/// What may go wrong, in percent of the database's calls.
#[derive(Clone, Copy)]
pub struct Faults {
    /// Nothing took effect.
    pub before: u64,
    /// It took effect, and the answer was lost.
    pub after: u64,
    /// The answer was lost, and it takes effect some time later.
    pub late: u64,
    /// No answer comes while anyone waits for it, and it takes effect some time.
    pub stalled: u64,
    /// It took effect, and its last answer is none.
    pub garbled: u64,
    /// Slow, up to this many milliseconds.
    pub slow: u64,
}

impl Faults {
    pub const NONE: Self = Self { before: 0, after: 0, late: 0, stalled: 0, garbled: 0, slow: 20 };
}

pub struct SimPlatform {
    pub world: Rc<World>,
    pub database: Sqlite,
    pub faults: Rc<Cell<Faults>>,
    pub planted: Planted,
    pub incarnation: u64,
    pub alarm: Rc<Cell<Option<Timestamp>>>,
}

impl SimPlatform {
    fn run(&self, statements: &[Statement]) -> Result<Vec<Rows>, DatabaseError> {
        self.planted.run(&self.database, statements)
    }
}

impl Database for SimPlatform {
    async fn batch(&self, statements: Vec<Statement>) -> Result<Vec<Rows>, DatabaseError> {
        let faults = self.faults.get();
        let rng = &self.world.rng;
        self.world.sleep(rng.below(faults.slow + 1)).await;
        let lost = || DatabaseError::Unavailable("Network connection lost.".into());
        if rng.chance(faults.before) {
            return Err(lost());
        }
        let stalled = rng.chance(faults.stalled);
        if stalled || rng.chance(faults.late) {
            let (world, database, planted) = (Rc::clone(&self.world), self.database.clone(), self.planted);
            let delay = rng.below(if stalled { 30_000 } else { 6_000 });
            self.world.spawn(None, async move {
                world.sleep(delay).await;
                let _ = planted.run(&database, &statements);
            });
            if stalled {
                self.world.sleep(60_000).await;
            }
            return Err(lost());
        }
        let mut answer = self.run(&statements);
        if rng.chance(faults.garbled)
            && let Ok(rows) = &mut answer
        {
            rows.pop();
        }
        self.world.sleep(rng.below(faults.slow / 2 + 1)).await;
        if rng.chance(faults.after) { Err(lost()) } else { answer }
    }
}

impl Platform for SimPlatform {
    type Socket = SimSocket;

    fn now(&self) -> Timestamp {
        self.world.now()
    }

    fn random(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.world.rng.next().to_le_bytes()[0];
        }
    }

    async fn sleep(&self, ms: u32) {
        self.world.sleep(ms.into()).await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.world.spawn(Some(self.incarnation), task);
    }

    fn set_alarm(&self, time: Timestamp) {
        self.alarm.set(Some(time));
    }

    async fn verify(&self, _token: &str) -> Result<Caller, Problem> {
        Err(Code::TokenInvalid.with("no tokens here"))
    }

    fn rules(&self, channel: ChannelId) -> Result<Rules, Problem> {
        Ok(Rules::new(channel))
    }

    fn log(&self, line: &str) {
        self.world.note(format!("object: {line}"));
    }
}

/// Both ends of a connection: what the object sent lies in `frames` until the client takes it.
#[derive(Default)]
pub struct Wire {
    pub frames: RefCell<VecDeque<Rc<[u8]>>>,
    pub attachment: RefCell<Option<String>>,
    pub closed: Cell<Option<u16>>,
}

#[derive(Clone)]
pub struct SimSocket(pub Rc<Wire>);

impl Socket for SimSocket {
    type Frame = Rc<[u8]>;

    fn frame(bytes: &[u8]) -> Rc<[u8]> {
        bytes.into()
    }

    fn send(&self, frame: &Rc<[u8]>) -> bool {
        if self.0.closed.get().is_some() {
            return false;
        }
        self.0.frames.borrow_mut().push_back(Rc::clone(frame));
        true
    }

    fn close(&self, code: CloseCode, _reason: &str) {
        if self.0.closed.get().is_none() {
            self.0.closed.set(Some(code.code()));
        }
    }

    fn attach(&self, attachment: &Attachment) {
        *self.0.attachment.borrow_mut() = Some(serde_json::to_string(attachment).unwrap());
    }

    fn last_ping(&self) -> Option<Timestamp> {
        None
    }
}
