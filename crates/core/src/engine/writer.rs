//! The loop that commits: one batch at a time, repeated where the database does not answer, settled before the next.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use futures_channel::oneshot;
use futures_util::future::{Either, join_all};

use super::{
    Channel, CloseCode, Courier, Platform,
    administration::{Administration, Effect},
    batch,
    command::Command,
    commit::{self, Commit, Head, Operation, Outcome, Run},
    queue::{Pending, Queue, Turn},
    recent::Recent,
};
use crate::{
    access::Caller,
    database::DatabaseError,
    ids::{CommitId, EntryId, Timestamp},
    problem::Problem,
    proto::Ack,
};

/// After a commit of so many commands their callers come back together. The first of them waits so long, in
/// milliseconds, for the others: else it has a commit of its own, and the others wait for that.
const CROWD: usize = 8;
const GATHER: u32 = 2;

/// The pauses between tries, in milliseconds: a bit over three seconds, in which a database restarts or moves.
const PAUSES: [u32; 6] = [25, 100, 250, 500, 1_000, 1_500];

/// How long an answer is waited for, in milliseconds.
const ANSWER_WITHIN: u32 = 10_000;

/// How often a commit is tried again because another writer's came first: an object that lives on beside this one,
/// for a moment, at most.
const MAX_FENCED: usize = 5;

/// How often, and after what pauses at most, a commit of unknown fate is asked for before the sockets are sent to
/// find out for themselves.
const SETTLE_TRIES: u32 = 60;
const SETTLE_PAUSE_MAX: u32 = 5_000;

/// Where a command's fate goes.
pub(crate) enum Reply {
    /// To the caller of [`Channel::submit`].
    Caller(oneshot::Sender<(Result<Ack, Problem>, CommitId)>),
    /// To a socket, under the request's own name.
    Socket { connection: String, request_id: String },
    /// Nobody waits any more.
    Nobody,
}

impl Reply {
    /// How many bytes of memory it takes while it waits, beyond the few that everything takes.
    pub(super) fn weight(&self) -> usize {
        if let Self::Socket { request_id, .. } = self { request_id.len() } else { 0 }
    }
}

/// What commits have cost, for tests and operators to hold.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Costs {
    /// Commits tried, repeated tries included.
    pub runs: u64,
    /// Commands that were in them.
    pub commands: u64,
}

/// What is stored of a caller.
#[derive(Default, PartialEq, Eq)]
struct Known {
    name: Option<String>,
    token_rank: u64,
}

/// The queue, and the state of the loop.
#[derive(Default)]
pub(crate) struct Writer {
    queue: RefCell<Queue>,
    running: Cell<bool>,
    /// Whether the last commit was of many.
    crowd: Cell<bool>,
    /// A commit whose fate is not known. Settled before the next.
    unsettled: RefCell<Option<Commit>>,
    /// What is known to be stored of callers.
    known: RefCell<HashMap<String, Known>>,
    costs: Cell<Costs>,
}

impl<P: Platform> Channel<P> {
    /// Commits a command, together with whatever else waits, and tells what became of it, and in which commit.
    ///
    /// # Errors
    /// What the contract says of the request; 429 `RATE_LIMITED`; 503 `STORAGE_UNAVAILABLE` where too much waits, or where the database
    /// does not answer within the bound: then it is in whole or not at all.
    pub async fn submit(
        self: &Rc<Self>,
        caller: Caller,
        command: Command,
    ) -> (Result<Ack, Problem>, Option<CommitId>) {
        self.submit_by(Courier::User, caller, command).await
    }

    /// The same for a command that this courier brings.
    ///
    /// # Errors
    /// Those of [`submit`](Self::submit).
    pub async fn submit_by(
        self: &Rc<Self>,
        courier: Courier,
        caller: Caller,
        command: Command,
    ) -> (Result<Ack, Problem>, Option<CommitId>) {
        let (sender, receiver) = oneshot::channel();
        if let Err((problem, _)) = self.enqueue(courier, caller, command, Reply::Caller(sender)) {
            return (Err(problem), None);
        }
        match receiver.await {
            Ok((fate, commit)) => (fate, Some(commit)),
            Err(_) => (Err(Problem::storage_unavailable()), None),
        }
    }

    /// What commits have cost since the object woke.
    #[must_use]
    pub fn costs(&self) -> Costs {
        self.writer.costs.get()
    }

    pub(crate) fn enqueue(
        self: &Rc<Self>,
        courier: Courier,
        caller: Caller,
        command: Command,
        reply: Reply,
    ) -> Result<(), (Problem, Reply)> {
        let weight = command.weight() + reply.weight();
        if !self.writer.queue.borrow().has_room(&caller.user_id, weight) {
            return Err((Problem::storage_unavailable(), reply));
        }
        if let Err(problem) = self.take_token(&caller.user_id, courier, &command) {
            return Err((problem, reply));
        }
        let timestamp = self.platform.now();
        let operation = Operation { caller, command, message_id: self.message_id(), timestamp };
        self.writer.queue.borrow_mut().push(operation, reply);
        self.start();
        Ok(())
    }

    /// A place for a caller's read between the commits, which `weight` bytes wait with.
    ///
    /// # Errors
    /// 503 `STORAGE_UNAVAILABLE` where too much waits.
    pub(super) fn turn(self: &Rc<Self>, caller: Caller, weight: usize) -> Result<Turn, Problem> {
        if !self.writer.queue.borrow().has_room(&caller.user_id, weight) {
            return Err(Problem::storage_unavailable());
        }
        let turn = self.writer.queue.borrow_mut().push_read(caller, weight);
        self.start();
        Ok(turn)
    }

    fn start(self: &Rc<Self>) {
        if !self.writer.running.replace(true) {
            let channel = Rc::clone(self);
            self.platform.spawn(async move { channel.drain().await });
        }
    }

    async fn drain(self: Rc<Self>) {
        loop {
            if self.writer.unsettled.borrow().is_some() {
                self.settle().await;
            }
            let reads = self.writer.queue.borrow_mut().begin_reads();
            join_all(reads).await;
            if self.writer.crowd.replace(false) {
                self.platform.sleep(GATHER).await;
            }
            let batch = self.writer.queue.borrow_mut().next_batch();
            if !batch.is_empty() {
                self.writer.crowd.set(batch.len() >= CROWD);
                self.commit(batch).await;
            } else if self.writer.queue.borrow().is_empty() {
                break;
            }
        }
        self.writer.running.set(false);
    }

    async fn commit(self: &Rc<Self>, batch: Vec<Pending>) {
        let id = CommitId::new(self.random_id());
        let (operations, replies): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|pending| (*pending.operation, pending.reply)).unzip();
        if operations.first().is_some_and(|operation| batch::is_administration(&operation.command)) {
            for (operation, reply) in operations.into_iter().zip(replies) {
                self.administer(id, operation, reply).await;
            }
            return;
        }
        let provision = operations.iter().any(|operation| !self.knows(&operation.caller));
        let commit = Commit { id, channel: self.id, operations, now: self.platform.now(), provision };
        match self.run(&commit).await {
            Ok(outcome) => {
                self.remember(&commit);
                self.finish(&commit, outcome, replies);
            }
            Err(Failure::NoChannel(problems)) => {
                for (reply, problem) in replies.into_iter().zip(problems) {
                    self.answer(reply, Err(problem), id);
                }
            }
            Err(Failure::Unavailable) => {
                self.platform
                    .log("the database does not answer: a commit of unknown fate is left to be settled");
                for reply in replies {
                    self.answer(reply, Err(Problem::storage_unavailable()), id);
                }
                self.leave_unsettled(commit);
            }
            Err(Failure::Refused(why)) => self.one_by_one(commit, replies, &why).await,
            Err(Failure::Garbled(why)) => {
                self.platform.log(&format!("what became of a commit cannot be read: {why}"));
                for reply in replies {
                    self.answer(reply, Err(Problem::internal()), id);
                }
                self.restart_sockets();
            }
        }
    }

    /// Leaves a commit of unknown fate to be settled before the next.
    pub(super) fn leave_unsettled(&self, commit: Commit) {
        *self.writer.unsettled.borrow_mut() = Some(commit);
    }

    /// One command that the database refuses must not fail its neighbours.
    async fn one_by_one(self: &Rc<Self>, commit: Commit, replies: Vec<Reply>, why: &str) {
        self.platform.log(&format!("the database refused a commit of {}: {why}", replies.len()));
        if replies.len() == 1 {
            for reply in replies {
                self.answer(reply, Err(Problem::internal()), commit.id);
            }
            return;
        }
        for (operation, reply) in commit.operations.into_iter().zip(replies) {
            Box::pin(self.commit(vec![Pending { operation: Box::new(operation), reply }])).await;
        }
    }

    /// Runs a commit until its fate is known, within the bounds.
    pub(super) async fn run(&self, commit: &Commit) -> Result<Outcome, Failure> {
        let mut pauses = PAUSES.iter();
        let mut fenced = 0;
        loop {
            match self.try_once(commit).await {
                Ok(Run::Settled(outcome)) => return Ok(outcome),
                Ok(Run::NoChannel(actors)) => {
                    let problem = |operation: &Operation| {
                        let actor = actors.get(operation.caller.user_id.as_str());
                        actor.map_or_else(Problem::internal, |actor| {
                            actor.admitted(None).err().unwrap_or_else(Problem::internal)
                        })
                    };
                    return Err(Failure::NoChannel(commit.operations.iter().map(problem).collect()));
                }
                Ok(Run::Fenced(head)) => {
                    self.another_wrote(head);
                    fenced += 1;
                    if fenced > MAX_FENCED {
                        return Err(Failure::Unavailable);
                    }
                }
                Err(DatabaseError::Refused(why)) => return Err(Failure::Refused(why)),
                Err(error) => {
                    let Some(&pause) = pauses.next() else { return Err(error.into()) };
                    self.platform.log(&format!("a commit is tried again: {error}"));
                    self.platform.sleep(self.jittered(pause)).await;
                }
            }
        }
    }

    async fn try_once(&self, commit: &Commit) -> Result<Run, DatabaseError> {
        let previous = self.load_head().await?.map(|head| head.commit_id).unwrap_or_default();
        let costs = self.writer.costs.get();
        let commands = costs.commands + commit.operations.len() as u64;
        self.writer.costs.set(Costs { runs: costs.runs + 1, commands });
        let run = self.within_bound(commit.run(&self.platform, &previous)).await;
        self.platform.committed(commit.id);
        run
    }

    /// Where the channel stands; read where that is not known. None: there is no such channel.
    pub(crate) async fn load_head(&self) -> Result<Option<Head>, DatabaseError> {
        if let Some(head) = self.head.borrow().clone() {
            return Ok(Some(head));
        }
        let head = self.read_head().await?;
        if let Some(head) = head {
            self.learn_head(head);
        }
        Ok(self.head.borrow().clone())
    }

    /// Takes in where the channel stood when somebody read it. What a commit said meanwhile is newer.
    pub(crate) fn learn_head(&self, head: Head) {
        if self.gone.get() && !head.deleted {
            return;
        }
        let mut known = self.head.borrow_mut();
        if known.is_none() {
            *self.recent.borrow_mut() = Recent::starting_at(head.revision);
            *known = Some(head);
        }
    }

    /// Finds out whether the commit of unknown fate is in, and broadcasts it if so. Until that is known nobody can be
    /// served: who waits is told so.
    async fn settle(self: &Rc<Self>) {
        let Some(commit) = self.writer.unsettled.borrow_mut().take() else { return };
        for attempt in 0..SETTLE_TRIES {
            match self.read_head().await {
                Ok(Some(head)) if head.commit_id == commit.id.to_string() => {
                    if let Ok(Run::Settled(outcome)) = self.try_once(&commit).await {
                        let nobody = commit.operations.iter().map(|_| Reply::Nobody).collect();
                        self.finish(&commit, outcome, nobody);
                        return;
                    }
                }
                Ok(head) => {
                    let known = self.head.borrow().as_ref().map(|head| head.commit_id.clone());
                    if let Some(head) = head
                        && known.is_some_and(|known| known != head.commit_id)
                    {
                        self.another_wrote(head);
                    }
                    // It is not in, and the next commit's id will keep it out.
                    return;
                }
                Err(error) => self.platform.log(&format!("a commit is still to be settled: {error}")),
            }
            self.refuse_waiting();
            self.platform.sleep(self.jittered((250 << attempt.min(5)).min(SETTLE_PAUSE_MAX))).await;
        }
        self.restart_sockets();
    }

    fn refuse_waiting(&self) {
        let waiting = self.writer.queue.borrow_mut().give_up();
        for Pending { reply, .. } in waiting {
            self.answer(reply, Err(Problem::storage_unavailable()), CommitId::new(uuid::Uuid::nil()));
        }
    }

    /// Another object wrote to this channel. What it wrote was not broadcast here: the sockets come back with `since`.
    fn another_wrote(&self, head: Head) {
        self.platform.log("another writer was here: the sockets start over");
        *self.recent.borrow_mut() = Recent::starting_at(head.revision);
        *self.head.borrow_mut() = Some(head);
        self.close_all(CloseCode::Restart, "start over with since");
    }

    /// What was broadcast can't be told from what was not: the sockets come back with `since`.
    pub(super) fn restart_sockets(&self) {
        *self.head.borrow_mut() = None;
        self.close_all(CloseCode::Restart, "start over with since");
    }

    async fn administer(self: &Rc<Self>, id: CommitId, operation: Operation, reply: Reply) {
        let Operation { caller, command, timestamp, message_id } = operation;
        if let Command::Expel { user } = command {
            return self.expel(id, &user, reply).await;
        }
        let deletes = matches!(command, Command::DeleteChannel);
        if deletes {
            // Before the promise is made, so that a crash right after it forgets nothing.
            self.alarm.expect_promise(true);
            self.wake_by(self.now() + 1_000);
        }
        let entry = EntryId::from(message_id);
        let administration = Administration { id, entry, channel: self.id, caller, command, now: timestamp };
        let mut pauses = PAUSES.iter();
        let mut reply = Some(reply);
        let mut tries = 0;
        let fate = loop {
            match self.within_bound(administration.run(&self.platform, tries > 0)).await {
                Ok(fate) => break fate,
                Err(DatabaseError::Unavailable(why)) => {
                    self.platform.log(&format!("the database does not answer: {why}"));
                    tries += 1;
                    let pause = pauses.next().copied().unwrap_or_else(|| {
                        if let Some(reply) = reply.take() {
                            self.answer(reply, Err(Problem::storage_unavailable()), id);
                        }
                        self.refuse_waiting();
                        SETTLE_PAUSE_MAX
                    });
                    if tries > SETTLE_TRIES {
                        return self.restart_sockets();
                    }
                    self.platform.sleep(self.jittered(pause)).await;
                }
                Err(error) => {
                    self.platform.log(&error.to_string());
                    break Err(Problem::internal());
                }
            }
        };
        self.alarm.expect_promise(false);
        match &fate {
            Ok(Effect::Removed(user)) => {
                self.close_user(user, CloseCode::Removed, "removed from the channel");
            }
            Ok(Effect::Deleted) => {
                self.is_gone();
                self.wake_by(self.now() + 1_000);
            }
            Ok(Effect::None) | Err(_) => {}
        }
        if let Some(reply) = reply {
            self.answer(reply, fate.map(|_| Ack::default()), id);
        }
    }

    /// The channel was deleted: nobody stays.
    pub(crate) fn is_gone(&self) {
        self.gone.set(true);
        *self.head.borrow_mut() = None;
        self.close_all(CloseCode::NoChannel, "the channel was deleted");
    }

    async fn read_head(&self) -> Result<Option<Head>, DatabaseError> {
        self.within_bound(commit::read_head(&self.platform, self.id)).await
    }

    /// Waits for the database no longer than the bound. What it does afterwards all the same, the fence keeps out.
    pub(crate) async fn within_bound<T>(
        &self,
        asked: impl Future<Output = Result<T, DatabaseError>>,
    ) -> Result<T, DatabaseError> {
        let asked = std::pin::pin!(asked);
        let bound = std::pin::pin!(self.platform.sleep(ANSWER_WITHIN));
        match futures_util::future::select(asked, bound).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(DatabaseError::Unavailable("no answer within the bound".into())),
        }
    }

    fn knows(&self, caller: &Caller) -> bool {
        let known = self.writer.known.borrow();
        known.get(caller.user_id.as_str()).is_some_and(|known| {
            known.token_rank == caller.token_rank()
                && (caller.display_name.is_none() || known.name == caller.display_name)
        })
    }

    fn remember(&self, commit: &Commit) {
        let mut known = self.writer.known.borrow_mut();
        if known.len() > 10_000 {
            known.clear();
        }
        for operation in &commit.operations {
            let caller = &operation.caller;
            let known = known.entry(caller.user_id.as_str().to_owned()).or_default();
            known.token_rank = caller.token_rank();
            if caller.display_name.is_some() {
                known.name.clone_from(&caller.display_name);
            }
        }
    }

    /// Between half of it and all of it.
    fn jittered(&self, ms: u32) -> u32 {
        let mut bytes = [0; 4];
        self.platform.random(&mut bytes);
        ms / 2 + u32::from_le_bytes(bytes) % (ms / 2 + 1)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.platform.now()
    }
}

pub(super) enum Failure {
    NoChannel(Vec<Problem>),
    Unavailable,
    /// It is known not to have taken effect.
    Refused(String),
    /// It may well have: the answer makes no sense.
    Garbled(String),
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Unavailable(_) => Self::Unavailable,
            DatabaseError::Refused(why) => Self::Refused(why),
            DatabaseError::Malformed(why) => Self::Garbled(why),
        }
    }
}
