//! What waits for the writer: commands for a commit, reads for a moment between two commits.
//!
//! Each user has a lane. What one user asks for happens in that order; between users there is none to keep, since nothing
//! that waits has been answered. So whoever asks for what can't share a commit, or for a thousand pages, waits by
//! themselves: the others' commands go past them.

use std::collections::{HashMap, VecDeque};

use futures_channel::oneshot;

use super::{
    batch::{self, Queued},
    command::Command,
    commit::Operation,
    writer::Reply,
};
use crate::{access::Caller, ids::UserId, problem::Problem};

/// How much may wait. Beyond, a command is refused at once: who waits that long has given up.
const MAX_QUEUED: Load = Load { number: 4_096, weight: 16 << 20 };
/// How much of that may be one user's.
const MAX_OF_ONE: Load = Load { number: 1_024, weight: 4 << 20 };

/// How many reads run side by side between two commits, and how many of one user.
const MAX_READS: usize = 32;
const MAX_READS_OF_ONE: usize = 8;

/// A number of requests, and how many bytes they hold.
#[derive(Debug, Default, Clone, Copy)]
struct Load {
    number: usize,
    weight: usize,
}

impl Load {
    fn fits(self, weight: usize, bound: Self) -> bool {
        self.number < bound.number && self.weight + weight <= bound.weight
    }

    fn add(&mut self, weight: usize) {
        self.number += 1;
        self.weight += weight;
    }

    fn remove(&mut self, weight: usize) {
        self.number = self.number.saturating_sub(1);
        self.weight = self.weight.saturating_sub(weight);
    }
}

/// A command, and where its fate goes.
pub(super) struct Pending {
    pub(super) operation: Box<Operation>,
    pub(super) reply: Reply,
}

/// A read that sees everything its user asked for before, and nothing that they ask for after.
pub(super) struct Read {
    caller: Caller,
    weight: usize,
    begin: oneshot::Sender<()>,
    over: oneshot::Receiver<()>,
}

pub(super) enum Waiting {
    Command(Pending),
    Read(Read),
}

impl Waiting {
    fn weight(&self) -> usize {
        match self {
            Self::Command(Pending { operation, reply }) => operation.command.weight() + reply.weight(),
            Self::Read(read) => read.weight,
        }
    }

    fn into_command(self) -> Option<Pending> {
        match self {
            Self::Command(pending) => Some(pending),
            Self::Read(_) => None,
        }
    }
}

impl Queued for Waiting {
    fn caller(&self) -> &Caller {
        match self {
            Self::Command(pending) => &pending.operation.caller,
            Self::Read(read) => &read.caller,
        }
    }

    fn command(&self) -> Option<&Command> {
        match self {
            Self::Command(pending) => Some(&pending.operation.command),
            Self::Read(_) => None,
        }
    }
}

/// A read's place in the queue.
pub(super) struct Turn {
    begun: oneshot::Receiver<()>,
    over: oneshot::Sender<()>,
}

impl Turn {
    /// Reads once it is time.
    ///
    /// # Errors
    /// 503 `STORAGE_UNAVAILABLE` where the database does not answer those who wait before it.
    pub(super) async fn wait_and<T>(
        self,
        read: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        self.begun.await.map_err(|_| Problem::storage_unavailable())?;
        let answer = read.await;
        drop(self.over);
        answer
    }
}

#[derive(Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    all: Load,
    lanes: HashMap<UserId, Load>,
    reads: usize,
    /// Whether the last batch was a command that has a commit of its own.
    administered: bool,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether so many bytes of this user may wait, too.
    pub(super) fn has_room(&self, user: &UserId, weight: usize) -> bool {
        let own = self.lanes.get(user).copied().unwrap_or_default();
        self.all.fits(weight, MAX_QUEUED) && own.fits(weight, MAX_OF_ONE)
    }

    pub(super) fn push(&mut self, operation: Operation, reply: Reply) {
        self.put(Waiting::Command(Pending { operation: Box::new(operation), reply }));
    }

    /// A place for a read, which `weight` bytes wait with.
    pub(super) fn push_read(&mut self, caller: Caller, weight: usize) -> Turn {
        let (begin, begun) = oneshot::channel();
        let (over, wait) = oneshot::channel();
        self.reads += 1;
        self.put(Waiting::Read(Read { caller, weight, begin, over: wait }));
        Turn { begun, over }
    }

    fn put(&mut self, waiting: Waiting) {
        let weight = waiting.weight();
        self.all.add(weight);
        self.lanes.entry(waiting.caller().user_id.clone()).or_default().add(weight);
        self.waiting.push_back(waiting);
    }

    fn gone(&mut self, user: &UserId, weight: usize) {
        self.all.remove(weight);
        if let Some(lane) = self.lanes.get_mut(user) {
            lane.remove(weight);
            if lane.number == 0 {
                self.lanes.remove(user);
            }
        }
    }

    /// Lets the reads begin that are first in their lanes, and tells when each is over.
    pub(super) fn begin_reads(&mut self) -> Vec<oneshot::Receiver<()>> {
        if self.reads == 0 {
            return Vec::new();
        }
        let mut begun = Vec::new();
        // How many of each user's reads begin; as many as can where something of theirs waits, and so what is behind it.
        let mut of: HashMap<UserId, usize> = HashMap::new();
        for waiting in std::mem::take(&mut self.waiting) {
            let own = of.get(&waiting.caller().user_id).copied().unwrap_or_default();
            match waiting {
                Waiting::Read(read) if begun.len() < MAX_READS && own < MAX_READS_OF_ONE => {
                    of.insert(read.caller.user_id.clone(), own + 1);
                    begun.push(read);
                }
                waiting => {
                    if own < MAX_READS_OF_ONE {
                        of.insert(waiting.caller().user_id.clone(), MAX_READS_OF_ONE);
                    }
                    self.waiting.push_back(waiting);
                }
            }
        }
        self.reads -= begun.len();
        let begin = |Read { caller, weight, begin, over }: Read| {
            self.gone(&caller.user_id, weight);
            // Whoever wanted to read may be gone: then it is over at once.
            let _ = begin.send(());
            over
        };
        begun.into_iter().map(begin).collect()
    }

    /// The next commit's commands. None where only reads wait.
    pub(super) fn next_batch(&mut self) -> Vec<Pending> {
        // Who administers does not go twice in a row while others wait.
        let mut batch = batch::take(&mut self.waiting, !self.administered);
        if batch.is_empty() && self.administered {
            batch = batch::take(&mut self.waiting, true);
        }
        self.administered = batch.first().and_then(Waiting::command).is_some_and(batch::is_administration);
        batch.iter().for_each(|waiting| self.gone(&waiting.caller().user_id, waiting.weight()));
        batch.into_iter().filter_map(Waiting::into_command).collect()
    }

    /// The commands that wait; nothing waits any more. The reads are told that nothing comes of them.
    pub(super) fn give_up(&mut self) -> Vec<Pending> {
        std::mem::take(self).waiting.into_iter().filter_map(Waiting::into_command).collect()
    }
}
