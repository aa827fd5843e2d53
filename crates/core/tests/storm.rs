//! A thousand at once, a database that stalls, tokens that end, a channel that goes: what the engine asks of the
//! database and of its sockets when everything comes together, counted and held.

#![allow(unreachable_pub, reason = "a test is a crate of its own")]

#[path = "support/mod.rs"]
mod support;

#[path = "simulation/object.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses more of it")]
mod object;
#[path = "simulation/planted.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses more of it")]
mod planted;
#[path = "simulation/world.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses more of it")]
mod world;

#[path = "storm/fates.rs"]
mod fates;
#[path = "storm/presence.rs"]
mod presence;
#[path = "storm/pressure.rs"]
mod pressure;

use std::{
    cell::{Cell, RefCell},
    future::Future,
    rc::Rc,
};

use edgewise_core::{
    access::Caller,
    database::{Database, DatabaseError, Rows, Statement},
    engine::{Attachment, Channel, Command, Connect, Platform, Signature},
    envelope::Rules,
    ids::{ChannelId, Timestamp, UserId},
    problem::{Code, Problem},
    proto::{
        Ack, AddReactionRequest, DeleteMessageRequest, EditMessageRequest, Envelope, RefreshTokenRequest,
        RemoveReactionRequest, SendMessageRequest, UpdateLastReadRequest, envelope::Payload,
    },
    read,
};
use futures_util::{
    FutureExt as _,
    future::{join_all, select},
};
use prost::Message as _;

use object::{Faults, SimPlatform, SimSocket, Wire};
use planted::Planted;
use support::sqlite::Sqlite;
use world::World;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
/// A channel where it does not matter which.
const ANYWHERE: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
/// When a token ends that does not matter.
const NEVER: Timestamp = 4_000_000_000_000;

/// Every call of the database answers that it did not get there.
const STALLED: Faults = Faults { before: 100, ..Faults::NONE };
/// Every call of the database takes effect, and no answer comes back.
const MUTE: Faults = Faults { after: 100, ..Faults::NONE };

/// The simulation's platform, with its calls counted, and with tokens that read `<user>/<expires at>`.
struct Counted {
    sim: SimPlatform,
    /// The number of statements in each batch since it was last looked at.
    batches: Rc<RefCell<Vec<usize>>>,
}

impl Database for Counted {
    async fn batch(&self, statements: Vec<Statement>) -> Result<Vec<Rows>, DatabaseError> {
        self.batches.borrow_mut().push(statements.len());
        self.sim.batch(statements).await
    }
}

impl Platform for Counted {
    type Socket = SimSocket;

    fn now(&self) -> Timestamp {
        self.sim.now()
    }
    fn random(&self, bytes: &mut [u8]) {
        self.sim.random(bytes);
    }
    async fn sleep(&self, ms: u32) {
        self.sim.sleep(ms).await;
    }
    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.sim.spawn(task);
    }
    fn set_alarm(&self, time: Timestamp) {
        self.sim.set_alarm(time);
    }
    async fn verify(&self, token: &str) -> Result<Caller, Problem> {
        let (user, expires_at) = token.split_once('/').ok_or_else(|| Code::TokenInvalid.with("no token"))?;
        Ok(caller(user, expires_at.parse().map_err(|_| Code::TokenInvalid.with("no time"))?))
    }
    fn rules(&self, channel: ChannelId) -> Result<Rules, Problem> {
        self.sim.rules(channel)
    }
    fn log(&self, line: &str) {
        self.sim.log(line);
    }
}

fn caller(user: &str, expires_at: Timestamp) -> Caller {
    Caller {
        user_id: UserId::parse(user).unwrap(),
        display_name: None,
        trusted: false,
        owner: false,
        expires_at,
    }
}

/// One who may do everything.
fn owner() -> Caller {
    Caller { trusted: true, ..caller("owner", NEVER) }
}

fn parse(payload: Payload) -> Command {
    let rules = Rules::new(ChannelId::parse(ANYWHERE).unwrap());
    Command::parse(payload, &rules, Signature::Unverified).unwrap()
}

fn send(content: &str) -> Command {
    let request = SendMessageRequest {
        content: content.into(),
        nonce: content.into(),
        ..SendMessageRequest::default()
    };
    parse(Payload::SendMessageRequest(request))
}

type Fate = Result<Ack, Problem>;

/// An answer that may not be there yet, and when it came.
type Answer = Rc<RefCell<Option<(Timestamp, Fate)>>>;

fn fate(answer: &Answer) -> Fate {
    answer.borrow().clone().expect("an answer").1
}

/// One end of a connection.
struct Guest {
    user: String,
    wire: Rc<Wire>,
}

impl Guest {
    /// What it was sent since it last looked, and in how many frames.
    fn hears(&self) -> (Vec<Envelope>, usize) {
        let frames: Vec<_> = self.wire.frames.borrow_mut().drain(..).collect();
        let envelopes = frames.iter().flat_map(|frame| {
            let envelope = Envelope::decode(&**frame).unwrap();
            match envelope.payload {
                Some(Payload::EnvelopeBatch(batch)) => batch.envelopes,
                _ => vec![envelope],
            }
        });
        (envelopes.collect(), frames.len())
    }

    fn says(&self, channel: &Rc<Channel<Counted>>, request_id: &str, payload: Payload) {
        let envelope = Envelope { request_id: request_id.into(), revision: 0, payload: Some(payload) };
        channel.receive(self.attachment().connection(), &envelope.encode_to_vec());
    }

    fn attachment(&self) -> Attachment {
        let attachment = self.wire.attachment.borrow();
        serde_json::from_str(attachment.as_deref().expect("it was let in")).unwrap()
    }

    fn closed(&self) -> Option<u16> {
        self.wire.closed.get()
    }
}

/// A channel with all that is around it.
struct Room {
    world: Rc<World>,
    database: Sqlite,
    id: ChannelId,
    faults: Rc<Cell<Faults>>,
    batches: Rc<RefCell<Vec<usize>>>,
    alarm: Rc<Cell<Option<Timestamp>>>,
    incarnation: u64,
    channel: Rc<Channel<Counted>>,
}

impl Room {
    fn new(seed: u64) -> Self {
        let database = Sqlite::new();
        let (world, id) = (World::new(seed), database.general());
        let (faults, batches, alarm) = (Rc::new(Cell::new(Faults::NONE)), Rc::default(), Rc::default());
        let channel = wake(&world, &database, id, &faults, &batches, &alarm, 0, Vec::new());
        Self { world, database, id, faults, batches, alarm, incarnation: 0, channel }
    }

    /// Fills the channel with messages that were sent before, each a revision.
    fn with_messages(self, count: u64) -> Self {
        let id = self.id;
        self.database.execute(&format!(
            "INSERT INTO users (id, display_name, created_at) VALUES ('author', 'Author', 0);
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
             INSERT INTO messages (channel_id, server_sequence, id, revision, sender_id, sender_display_name,
                                   content_text, timestamp, request_digest)
             SELECT '{id}', i, printf('00000000-0000-7000-8000-%012x', i), i, 'author', 'Author', 'message ' || i, i, ''
             FROM n;
             UPDATE channels SET last_sequence = {count}, revision = {count} WHERE id = '{id}'"
        ));
        self
    }

    /// The object loses its memory and whatever it was doing; `guests` keep their sockets.
    fn restart(&mut self, guests: &[Guest]) {
        self.world.kill(self.incarnation);
        self.incarnation += 1;
        let sockets = guests
            .iter()
            .filter(|guest| guest.closed().is_none())
            .map(|guest| (SimSocket(Rc::clone(&guest.wire)), guest.attachment()))
            .collect();
        self.channel = wake(
            &self.world,
            &self.database,
            self.id,
            &self.faults,
            &self.batches,
            &self.alarm,
            self.incarnation,
            sockets,
        );
    }

    /// Someone comes, who has everything up to `since`.
    fn arrives(&self, caller: Caller, since: Option<u64>) -> Guest {
        let wire = Rc::new(Wire::default());
        let guest = Guest { user: caller.user_id.as_str().to_owned(), wire: Rc::clone(&wire) };
        let channel = Rc::clone(&self.channel);
        self.world.spawn(Some(self.incarnation), async move {
            match channel.knock(Connect { caller, batches: true, since }).await {
                Ok(admitted) => channel.open(admitted, SimSocket(wire)),
                Err(problem) => {
                    wire.closed.set(Some(if problem.code == Code::ChannelNotFound { 4007 } else { 1013 }));
                }
            }
        });
        guest
    }

    /// Asks for commands that all come in the same moment.
    fn asks(&self, commands: Vec<(Caller, Command)>) -> Vec<Answer> {
        let answers: Vec<Answer> = commands.iter().map(|_| Answer::default()).collect();
        let all: Vec<_> = commands
            .into_iter()
            .zip(&answers)
            .map(|((caller, command), answer)| {
                let (channel, world, answer) =
                    (Rc::clone(&self.channel), Rc::clone(&self.world), Rc::clone(answer));
                async move {
                    let (fate, _) = channel.submit(caller, command).await;
                    *answer.borrow_mut() = Some((world.now(), fate));
                }
            })
            .collect();
        self.world.spawn(Some(self.incarnation), async move { drop(join_all(all).await) });
        answers
    }

    fn asks_one(&self, caller: Caller, command: Command) -> Answer {
        self.asks(vec![(caller, command)]).remove(0)
    }

    /// Runs until nothing happens any more.
    fn rests(&self) {
        self.world.run_until_idle();
    }

    /// Runs for so long.
    fn passes(&self, ms: u64) {
        let over = Rc::new(Cell::new(false));
        let (then, world) = (Rc::clone(&over), Rc::clone(&self.world));
        self.world.spawn(None, async move {
            world.sleep(ms).await;
            then.set(true);
        });
        while !over.get() {
            if !self.world.step() {
                self.world.advance();
            }
        }
    }

    /// Lets the time come for which the alarm is set. The time; None where it is not set.
    fn alarm_comes(&self) -> Option<Timestamp> {
        let time = self.alarm.take()?;
        self.world.pass(time.saturating_sub(self.world.now()));
        let channel = Rc::clone(&self.channel);
        self.world.spawn(Some(self.incarnation), async move { channel.alarm().await });
        self.rests();
        Some(time)
    }

    /// How many batches the database was asked for since the last time.
    fn batches(&self) -> usize {
        self.batches.take().len()
    }
}

#[allow(clippy::too_many_arguments, reason = "what an object is made of")]
fn wake(
    world: &Rc<World>,
    database: &Sqlite,
    id: ChannelId,
    faults: &Rc<Cell<Faults>>,
    batches: &Rc<RefCell<Vec<usize>>>,
    alarm: &Rc<Cell<Option<Timestamp>>>,
    incarnation: u64,
    sockets: Vec<(SimSocket, Attachment)>,
) -> Rc<Channel<Counted>> {
    let sim = SimPlatform {
        world: Rc::clone(world),
        database: database.clone(),
        faults: Rc::clone(faults),
        planted: Planted::Nothing,
        incarnation,
        alarm: Rc::clone(alarm),
    };
    Channel::new(id, Counted { sim, batches: Rc::clone(batches) }, sockets)
}

fn is_presence(envelope: &Envelope) -> bool {
    matches!(envelope.payload, Some(Payload::PresenceUpdateEvent(_)))
}

// Everyone comes back.

/// How many batches `count` users cost who come back after an eviction, `apart` milliseconds one from the next; each
/// is told what it lacks, and then hears what is new.
fn coming_back(count: u64, apart: u64) -> usize {
    const MESSAGES: u64 = 700;
    let room = Room::new(count + apart).with_messages(MESSAGES);
    room.batches();
    let guests: Vec<_> = (0..count)
        .map(|n| {
            let since = MESSAGES - n * 7 % 51;
            let guest = room.arrives(caller(&format!("user{n}"), NEVER), Some(since));
            if apart > 0 {
                room.passes(apart);
            }
            (guest, since)
        })
        .collect();
    room.rests();
    let batches = room.batches();

    let answer = room.asks_one(caller("author", NEVER), send("welcome back"));
    room.rests();
    assert_eq!(fate(&answer).unwrap().message.unwrap().server_sequence, MESSAGES + 1);

    for (guest, since) in guests {
        let user = &guest.user;
        let (heard, _) = guest.hears();
        let mut heard = heard.into_iter().filter(|envelope| !is_presence(envelope));
        let Some(Payload::Hello(hello)) = heard.next().and_then(|first| first.payload) else {
            panic!("{user} was not told hello");
        };
        assert_eq!((hello.user_id.as_str(), hello.revision), (user.as_str(), MESSAGES));
        let (mut missed, mut caught_up, mut news) = (Vec::new(), Vec::new(), Vec::new());
        for envelope in heard {
            match envelope.payload.unwrap() {
                Payload::SyncResponse(page) => {
                    assert!(caught_up.is_empty(), "{user} was told more after having caught up");
                    missed.extend(page.messages.into_iter().map(|message| message.server_sequence));
                }
                Payload::CaughtUpEvent(event) => caught_up.push(event.revision),
                Payload::NewMessageEvent(event) => {
                    assert_eq!(caught_up, [MESSAGES], "{user} heard news before having caught up");
                    news.push((envelope.revision, event.message.unwrap().content));
                }
                other => panic!("{user} did not expect {other:?}"),
            }
        }
        assert_eq!(missed, (since + 1..=MESSAGES).collect::<Vec<_>>(), "what {user} lacked");
        assert_eq!(caught_up, [MESSAGES], "{user} has caught up");
        assert_eq!(news, [(MESSAGES + 1, "welcome back".into())], "what {user} heard");
    }
    batches
}

#[test]
fn a_thousand_who_come_back_at_once_cost_no_more_queries_than_a_hundred() {
    let (hundred, thousand) = (coming_back(100, 0), coming_back(1_000, 0));
    println!("batches: {hundred} for a hundred, {thousand} for a thousand");
    assert!(hundred <= 12 && thousand <= 12, "{hundred}, {thousand}");
    assert!(thousand <= hundred + 3, "{hundred}, {thousand}");
}

#[test]
fn a_thousand_who_come_back_one_by_one_cost_no_more_either() {
    let (hundred, thousand) = (coming_back(100, 1), coming_back(1_000, 1));
    println!("batches: {hundred} for a hundred, {thousand} for a thousand");
    assert!(hundred <= 14 && thousand <= 16, "{hundred}, {thousand}");
    assert!(thousand <= hundred + 5, "{hundred}, {thousand}");
}

// Everyone arrives.

/// How many presence frames `count` users cost who arrive at once.
fn arriving(count: usize) -> (usize, Room, Vec<Guest>) {
    let room = Room::new(count as u64);
    let guests: Vec<_> = (0..count).map(|n| room.arrives(caller(&format!("user{n}"), NEVER), None)).collect();
    room.passes(3 * SECOND);
    let frames = guests
        .iter()
        .map(|guest| {
            let (heard, frames) = guest.hears();
            assert!(matches!(heard[0].payload, Some(Payload::Hello(_))), "{} was told hello", guest.user);
            assert!(heard[1..].iter().all(is_presence));
            frames - 1
        })
        .sum();
    room.rests();
    assert!(guests.iter().all(|guest| guest.hears().1 == 0), "after three seconds it is quiet");
    (frames, room, guests)
}

#[test]
fn arrivals_cost_frames_in_proportion_to_the_users_and_not_to_their_square() {
    for count in [20, 150] {
        let (frames, ..) = arriving(count);
        println!("{count} users: {frames} presence frames");
        // All come within a second: one batch as the first is there, one for all who came since.
        assert!((count..=2 * count).contains(&frames), "{frames} for {count} users");
    }
}

#[test]
fn above_two_hundred_users_no_presence_is_pushed() {
    let (frames, room, guests) = arriving(1_000);
    println!("1,000 users: {frames} presence frames");
    // Those who were there before there were too many.
    assert!(frames <= 2 * 200, "{frames}");

    for guest in &guests[..100] {
        room.channel.closed(guest.attachment().connection());
    }
    let late = room.arrives(caller("late", NEVER), None);
    room.rests();
    for guest in &guests[100..] {
        assert_eq!(guest.hears().1, 0, "{} hears of nobody", guest.user);
    }
    let (heard, _) = late.hears();
    let [Envelope { payload: Some(Payload::Hello(hello)), .. }] = &heard[..] else { panic!("{heard:?}") };
    assert!(hello.presence.is_empty());
}

// The database stalls.

#[test]
fn while_the_database_stalls_sends_are_refused_and_nothing_is_broadcast() {
    let room = Room::new(1);
    let guest = room.arrives(caller("guest", NEVER), None);
    room.rests();
    guest.hears();

    room.faults.set(STALLED);
    let asked = room.world.now();
    let first =
        room.asks((0..300).map(|n| (caller(&format!("user{n}"), NEVER), send(&format!("m{n}")))).collect());
    room.passes(2 * SECOND);
    let second = room.asks_one(caller("user0", NEVER), send("later"));
    room.passes(10 * SECOND);
    for answer in first.iter().chain([&second]) {
        let (at, fate) = answer.borrow().clone().expect("nobody waits for ever");
        let problem = fate.unwrap_err();
        assert_eq!((problem.code, problem.code.status()), (Code::StorageUnavailable, 503));
        assert!(problem.retry_after_ms.is_some());
        assert!(at - asked <= 10 * SECOND, "answered after {} ms", at - asked);
    }
    assert_eq!(guest.hears().1, 0, "nothing was committed, and nothing is heard");
    assert_eq!(room.database.number("SELECT count(*) FROM messages"), 0);

    room.faults.set(Faults::NONE);
    room.passes(6 * SECOND);
    let answer = room.asks_one(caller("user0", NEVER), send("again"));
    room.rests();
    assert_eq!(fate(&answer).unwrap().message.unwrap().server_sequence, 1);
    let (heard, _) = guest.hears();
    let [Envelope { payload: Some(Payload::NewMessageEvent(event)), .. }] = &heard[..] else {
        panic!("{heard:?}")
    };
    assert_eq!(event.message.as_ref().unwrap().content, "again");
}

#[test]
fn what_was_committed_without_an_answer_is_broadcast_once_that_is_known() {
    let room = Room::new(2);
    let guest = room.arrives(caller("guest", NEVER), None);
    room.rests();
    guest.hears();

    room.faults.set(MUTE);
    let answer = room.asks_one(caller("ana", NEVER), send("did you get this?"));
    room.passes(10 * SECOND);
    assert_eq!(fate(&answer).unwrap_err().code, Code::StorageUnavailable);
    assert_eq!(guest.hears().1, 0, "its fate is not known");

    room.faults.set(Faults::NONE);
    room.passes(6 * SECOND);
    let (heard, _) = guest.hears();
    assert!(
        matches!(&heard[..], [Envelope { payload: Some(Payload::NewMessageEvent(_)), revision: 1, .. }]),
        "{heard:?}"
    );

    let again = room.asks_one(caller("ana", NEVER), send("did you get this?"));
    room.rests();
    assert!(fate(&again).unwrap().replayed);
    assert_eq!(guest.hears().1, 0, "it was told once");
}

#[test]
fn a_queue_past_its_bound_refuses_at_once_and_recovers() {
    const ASKED: usize = 6_000;
    let room = Room::new(3);
    room.faults.set(STALLED);
    let asked = room.world.now();
    let busy = |n: usize| caller(&format!("busy{}", n % 8), NEVER);
    let answers = room.asks((0..ASKED).map(|n| (busy(n), send(&format!("m{n}")))).collect());
    assert!(room.world.step());
    let refused = answers.iter().filter(|answer| answer.borrow().is_some()).count();
    println!("{refused} of {ASKED} were refused at once");
    assert!((1..ASKED).contains(&refused), "{refused}");
    for answer in answers.iter().filter_map(|answer| answer.borrow().clone()) {
        assert_eq!(answer.0, asked);
        assert_eq!(answer.1.unwrap_err().code, Code::StorageUnavailable);
    }

    room.faults.set(Faults::NONE);
    room.rests();
    let sent = answers.iter().filter(|answer| fate(answer).is_ok()).count();
    assert_eq!(sent, ASKED - refused, "whoever was let wait was served");
    assert_eq!(room.database.number("SELECT count(*) FROM messages"), sent as u64);
    assert!(room.asks_then(caller("busy", NEVER), send("more")).is_ok());
}

impl Room {
    /// Runs until there is an answer.
    fn answered(&self, answer: &Answer) -> Fate {
        while answer.borrow().is_none() {
            if !self.world.step() {
                self.world.advance();
            }
        }
        fate(answer)
    }

    fn asks_then(&self, caller: Caller, command: Command) -> Fate {
        let answer = self.asks_one(caller, command);
        self.rests();
        fate(&answer)
    }
}

// What commits cost.

#[test]
fn sixty_four_who_come_while_a_commit_is_in_flight_share_the_next() {
    let room = Room::new(4);
    let everyone = |round: &str| -> Vec<_> {
        (0..64).map(|n| (caller(&format!("user{n}"), NEVER), send(&format!("{round} {n}")))).collect()
    };
    room.asks(everyone("good morning"));
    room.rests();
    room.batches.take();
    let before = room.channel.costs();

    let first = room.asks_one(caller("user0", NEVER), send("wait for me"));
    while room.channel.costs().runs == before.runs {
        assert!(room.world.step(), "the commit begins without the clock");
    }
    assert!(first.borrow().is_none(), "the commit is in flight");
    let others = room.asks(everyone("me too"));
    room.rests();

    let costs = room.channel.costs();
    assert_eq!((costs.runs - before.runs, costs.commands - before.commands), (2, 65));
    assert!(fate(&first).is_ok() && others.iter().all(|answer| fate(answer).is_ok()));
    let statements = room.batches.take();
    println!("statements of a commit of 1 and of one of 64: {statements:?}");
    let [one, many] = statements[..] else { panic!("a commit is one batch: {statements:?}") };
    assert_eq!(one, many, "the statements do not grow with the commands");
}

#[test]
fn the_statements_of_commits_are_compiled_once() {
    let room = Room::new(4);
    let does = |payload: Payload| room.asks_then(caller("ana", NEVER), parse(payload)).expect("it is done");
    let emoji = || "👍".to_owned();
    for round in ["first", "second", "third"] {
        let content = format!("{round} @user:ben");
        let sent = does(Payload::SendMessageRequest(SendMessageRequest { content, ..Default::default() }));
        let message_id = sent.message.expect("the message").id;
        let id = || message_id.clone();
        does(Payload::AddReactionRequest(AddReactionRequest { message_id: id(), emoji: emoji() }));
        does(Payload::RemoveReactionRequest(RemoveReactionRequest { message_id: id(), emoji: emoji() }));
        let content = format!("{round} @role:all");
        does(Payload::EditMessageRequest(EditMessageRequest {
            message_id: id(),
            content,
            ..Default::default()
        }));
        does(Payload::UpdateLastReadRequest(UpdateLastReadRequest {
            last_sequence: 1,
            allow_decrease: true,
        }));
        does(Payload::DeleteMessageRequest(DeleteMessageRequest { message_id: id() }));
    }
    assert_eq!(room.database.recompiled(), 0);
}

// Tokens end.

/// Lets every alarm come, until `over`; the times.
fn alarms_until(room: &Room, over: impl Fn() -> bool, mut after_each: impl FnMut()) -> Vec<Timestamp> {
    let mut wakes = Vec::new();
    while !over() {
        wakes.push(room.alarm_comes().expect("an alarm is set while there is something to do"));
        after_each();
        assert!(wakes.len() < 1_000, "the alarm does not come to an end");
    }
    wakes
}

/// What a guest has been told of its token's end: when, and what.
fn warnings(guest: &Guest, now: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    guest
        .hears()
        .0
        .into_iter()
        .filter_map(|envelope| match envelope.payload {
            Some(Payload::TokenExpiringEvent(event)) => Some((now, event.expires_at)),
            _ => None,
        })
        .collect()
}

#[test]
fn whose_token_ends_is_warned_and_closed_at_one_alarm_a_minute() {
    let room = Room::new(5);
    let began = room.world.now();
    let guests: Vec<_> = (0..200)
        .map(|n| {
            let expires_at = began + 5 * MINUTE + n * 3 * SECOND;
            (room.arrives(caller(&format!("user{n}"), expires_at), None), expires_at)
        })
        .collect();
    room.rests();

    let (warned, closed) = (RefCell::new(vec![None; 200]), RefCell::new(vec![None; 200]));
    let wakes = alarms_until(
        &room,
        || guests.iter().all(|(guest, _)| guest.closed().is_some()),
        || {
            let now = room.world.now();
            for (n, (guest, expires_at)) in guests.iter().enumerate() {
                for (at, told) in warnings(guest, now) {
                    assert_eq!(told, *expires_at);
                    assert_eq!(warned.borrow_mut()[n].replace(at), None, "{} is warned once", guest.user);
                }
                if guest.closed().is_some() && closed.borrow()[n].is_none() {
                    closed.borrow_mut()[n] = Some(now);
                }
            }
        },
    );
    println!("{} alarms for 200 tokens over ten minutes", wakes.len());
    for (n, (guest, expires_at)) in guests.iter().enumerate() {
        let (warned, closed) = (warned.borrow()[n].expect("warned"), closed.borrow()[n].expect("closed"));
        let before = expires_at - warned;
        // Presence is told within a second of the alarm, and the clock is read after that.
        assert!(
            (MINUTE - SECOND..=2 * MINUTE).contains(&before),
            "{} is warned {before} ms before",
            guest.user
        );
        assert!((*expires_at..=expires_at + MINUTE + SECOND).contains(&closed), "{}", guest.user);
        assert_eq!(guest.closed(), Some(4001));
    }
    for pair in wakes.windows(2) {
        assert!(pair[1] - pair[0] >= MINUTE, "woken after {} ms", pair[1] - pair[0]);
    }
}

#[test]
fn one_alarm_a_minute_also_where_the_object_sleeps_and_is_woken_in_between() {
    let mut room = Room::new(6);
    let began = room.world.now();
    let mut guests: Vec<_> = (0..40)
        .map(|n| room.arrives(caller(&format!("user{n}"), began + 3 * MINUTE + n * 15 * SECOND), None))
        .collect();
    room.rests();
    let mut wakes = Vec::new();
    while guests.iter().take(40).any(|guest| guest.closed().is_none()) {
        room.restart(&guests);
        wakes.push(room.alarm_comes().expect("an alarm is set"));
        room.passes(SECOND);
        // It sleeps, and someone whose token lasts wakes it.
        room.restart(&guests);
        guests.push(room.arrives(caller("visitor", NEVER), None));
        room.rests();
        assert!(wakes.len() < 1_000, "the alarm does not come to an end");
    }
    println!("{} alarms for 40 tokens over ten minutes", wakes.len());
    for pair in wakes.windows(2) {
        assert!(pair[1] - pair[0] >= MINUTE, "woken after {} ms", pair[1] - pair[0]);
    }
}

#[test]
fn who_brings_a_newer_token_stays() {
    let room = Room::new(7);
    let began = room.world.now();
    let [ana, bob] = ["ana", "bob"].map(|user| room.arrives(caller(user, began + 5 * MINUTE), None));
    room.rests();
    let told = RefCell::new([Vec::new(), Vec::new()]);
    alarms_until(
        &room,
        || told.borrow().iter().all(|told| !told.is_empty()),
        || {
            for (told, guest) in told.borrow_mut().iter_mut().zip([&ana, &bob]) {
                told.extend(warnings(guest, 0));
            }
        },
    );
    assert_eq!(told.take(), [[(0, began + 5 * MINUTE)], [(0, began + 5 * MINUTE)]]);

    let refresh = |guest: &Guest, id: &str, user: &str| {
        let token = format!("{user}/{}", began + 30 * MINUTE);
        guest.says(&room.channel, id, Payload::RefreshTokenRequest(RefreshTokenRequest { token }));
    };
    refresh(&ana, "mine", "ana");
    refresh(&bob, "another's", "ana");
    let (heard, _) = ana.hears();
    assert!(heard.iter().any(|e| e.request_id == "mine" && matches!(e.payload, Some(Payload::Ack(_)))));
    let (heard, _) = bob.hears();
    assert!(
        heard.iter().any(|e| e.request_id == "another's" && matches!(e.payload, Some(Payload::Error(_))))
    );

    alarms_until(&room, || bob.closed().is_some(), || ());
    assert_eq!((bob.closed(), ana.closed()), (Some(4001), None));
    assert!(room.world.now() < began + 7 * MINUTE);
    alarms_until(&room, || ana.closed().is_some(), || ());
    assert!(room.world.now() >= began + 30 * MINUTE);
}

// A channel goes.

const MESSAGES: u64 = 1_200;

/// A channel with all that a channel can have, next to one that stays.
fn furnished(seed: u64) -> Room {
    let room = Room::new(seed).with_messages(MESSAGES);
    let id = room.id;
    room.database.execute(&format!(
        "INSERT INTO users (id, display_name, created_at) VALUES ('reader', 'Reader', 0);
         INSERT INTO reactions (channel_id, server_sequence, emoji, user_id, created_at, revision)
         SELECT channel_id, server_sequence, e.value, u.value, 0, revision
         FROM messages, json_each('[\"a\", \"b\"]') e, json_each('[\"author\", \"reader\"]') u WHERE server_sequence % 2 = 0;
         INSERT INTO mentions (channel_id, target, server_sequence, sender_id)
         SELECT channel_id, t.value, server_sequence, 'author' FROM messages, json_each('[\"user:reader\", \"role:all\"]') t;
         INSERT INTO last_read (channel_id, user_id, last_sequence, updated_at) VALUES ('{id}', 'reader', 7, 0);
         INSERT INTO members (channel_id, user_id, joined_at) VALUES ('{id}', 'reader', 0), ('{id}', 'author', 0);
         INSERT INTO channels (id, name, created_at) VALUES ('{NEXT_DOOR}', 'next door', 0);
         INSERT INTO messages (channel_id, server_sequence, id, revision, sender_id, sender_display_name,
                               content_text, timestamp, request_digest)
         VALUES ('{NEXT_DOOR}', 1, '11111111-0000-7000-8000-000000000001', 1, 'author', 'Author', 'still here', 0, '');
         INSERT INTO reactions (channel_id, server_sequence, emoji, user_id, created_at, revision)
         VALUES ('{NEXT_DOOR}', 1, 'a', 'reader', 0, 1);
         INSERT INTO mentions (channel_id, target, server_sequence, sender_id) VALUES ('{NEXT_DOOR}', 'user:reader', 1, 'author')"
    ));
    room
}

const NEXT_DOOR: &str = "99999999-9999-4999-8999-999999999999";
const TABLES: [&str; 5] = ["messages", "reactions", "mentions", "last_read", "members"];

/// The rows of each table that are the channel's.
fn rows(room: &Room) -> [u64; 5] {
    TABLES.map(|table| {
        room.database.number(&format!("SELECT count(*) FROM {table} WHERE channel_id = '{}'", room.id))
    })
}

fn promises(room: &Room) -> u64 {
    room.database.number("SELECT count(*) FROM outbox")
}

/// That nothing is left of the channel, and all of its neighbour.
fn is_gone(room: &Room) {
    assert_eq!((rows(room), promises(room)), ([0; 5], 0));
    for table in ["messages", "reactions", "mentions"] {
        let left =
            room.database.number(&format!("SELECT count(*) FROM {table} WHERE channel_id = '{NEXT_DOOR}'"));
        assert_eq!(left, 1, "{table} of the channel next door");
    }
    assert_eq!(room.alarm.get(), None, "nothing is left to do");
}

fn is_hidden(room: &Room) {
    let reader = caller("reader", NEVER);
    let page = read::changes::since(&room.database, &reader, room.id, 0, 10, room.world.now());
    let problem = page.now_or_never().expect("SQLite answers at once").unwrap_err();
    assert_eq!(problem.code, Code::ChannelNotFound);
}

#[test]
fn a_deleted_channel_is_hidden_at_once_and_its_rows_go_in_pieces() {
    for dropped in [false, true] {
        let mut room = furnished(8);
        let guests: Vec<_> =
            (0..30).map(|n| room.arrives(caller(&format!("user{n}"), NEVER), Some(MESSAGES - n))).collect();
        room.rests();
        assert_eq!(
            room.asks_then(caller("reader", NEVER), Command::DeleteChannel).unwrap_err().code,
            Code::Forbidden
        );
        assert!(guests.iter().all(|guest| guest.closed().is_none()));

        room.asks_then(owner(), Command::DeleteChannel).unwrap();
        for guest in &guests {
            assert_eq!(guest.closed(), Some(4007), "{}", guest.user);
        }
        is_hidden(&room);
        assert_eq!(promises(&room), 1);
        let refused = room.asks_then(caller("reader", NEVER), send("hello?")).unwrap_err();
        assert_eq!(refused.code, Code::ChannelNotFound);
        let late = room.arrives(caller("late", NEVER), Some(3));
        room.rests();
        assert_eq!(late.closed(), Some(4007));

        let mut pieces = 0;
        while promises(&room) > 0 {
            if dropped {
                room.restart(&[]);
            }
            let before = rows(&room);
            room.alarm_comes().expect("an alarm is set while rows are left");
            for (before, after) in before.into_iter().zip(rows(&room)) {
                assert!(before - after <= 500, "{} rows in one piece", before - after);
            }
            pieces += 1;
            assert!(pieces < 100, "it does not come to an end");
        }
        println!("{pieces} pieces");
        is_gone(&room);
    }
}

#[test]
fn an_object_that_is_dropped_as_it_deletes_its_channel_leaves_none_of_it_half_done() {
    for steps in 0..40 {
        let mut room = furnished(100 + steps);
        room.asks(vec![(owner(), Command::DeleteChannel)]);
        for _ in 0..steps {
            if !room.world.step() {
                room.world.advance();
            }
        }
        room.restart(&[]);
        while room.alarm_comes().is_some() {
            room.restart(&[]);
        }
        let deleted = room.database.number("SELECT count(*) FROM channels WHERE deleted_at IS NOT NULL");
        if deleted == 1 {
            is_gone(&room);
        } else {
            assert_eq!(promises(&room), 0);
            assert_eq!(rows(&room)[0], MESSAGES);
        }
    }
}

#[test]
fn rows_go_also_where_the_deletion_took_longer_than_its_alarm() {
    let room = furnished(9);
    room.faults.set(STALLED);
    let answer = room.asks_one(owner(), Command::DeleteChannel);
    room.passes(1_200);
    // The alarm comes while the database still does not answer the deletion, and finds nothing promised.
    room.faults.set(Faults::NONE);
    let alarm = room.alarm.take().expect("an alarm is set before the promise");
    assert!(alarm <= room.world.now() + MINUTE);
    if alarm <= room.world.now() {
        let channel = Rc::clone(&room.channel);
        room.world.spawn(Some(room.incarnation), async move { channel.alarm().await });
    } else {
        room.alarm.set(Some(alarm));
    }
    room.rests();
    fate(&answer).unwrap();
    while room.alarm_comes().is_some() {}
    is_gone(&room);
}

#[test]
fn nobody_is_left_on_a_channel_that_goes_as_they_come() {
    for seed in 0..300 {
        let room = Room::new(seed);
        room.faults.set(Faults { slow: 60, ..Faults::NONE });
        let guests: Vec<_> = (0..4)
            .map(|n| {
                let guest = room.arrives(caller(&format!("user{n}"), NEVER), Some(0));
                room.passes(room.world.rng.below(20));
                guest
            })
            .collect();
        let answer = room.asks_one(owner(), Command::DeleteChannel);
        let late = room.arrives(caller("late", NEVER), Some(0));
        room.rests();
        fate(&answer).unwrap();
        for guest in guests.iter().chain([&late]) {
            // 1012 for whoever was let in just before: they come back, and are told 4007.
            assert!(
                matches!(guest.closed(), Some(4007 | 1012)),
                "seed {seed}: {} is left with {:?}",
                guest.user,
                guest.closed()
            );
        }
    }
}

#[test]
fn who_connects_does_not_put_off_a_deletion_under_way() {
    for seed in 0..20 {
        let mut room = furnished(seed);
        let began = room.world.now();
        room.faults.set(Faults { late: 100, ..Faults::NONE });
        room.asks(vec![(owner(), Command::DeleteChannel)]);
        room.passes(30);
        // The object is dropped while its batch is on the way, and someone connects to the next.
        room.faults.set(Faults::NONE);
        room.restart(&[]);
        room.arrives(caller("early", began + 60 * MINUTE), None);
        room.passes(7 * SECOND);
        is_hidden(&room);
        while promises(&room) > 0 {
            room.alarm_comes().expect("an alarm is set while rows are left");
        }
        let took = room.world.now() - began;
        assert!(took <= 5 * MINUTE, "seed {seed}: its rows are there for {} minutes", took / MINUTE);
    }
}

#[test]
fn a_deletion_that_was_not_answered_closes_the_sockets_once_that_is_known() {
    let room = furnished(10);
    let guest = room.arrives(caller("guest", NEVER), None);
    room.rests();
    room.faults.set(MUTE);
    let answer = room.asks_one(owner(), Command::DeleteChannel);
    room.passes(20 * SECOND);
    assert_eq!(fate(&answer).unwrap_err().code, Code::StorageUnavailable);
    room.faults.set(Faults::NONE);
    room.passes(20 * SECOND);
    while room.alarm.get().is_some_and(|at| at <= room.world.now() + 5 * MINUTE) {
        room.alarm_comes();
    }
    is_gone(&room);
    assert!(matches!(guest.closed(), Some(4007 | 1012)), "{:?}", guest.closed());
}

#[test]
fn a_member_whose_removal_was_not_answered_is_sent_away_once_that_is_known() {
    let room = furnished(11);
    room.database.execute(&format!("UPDATE channels SET private = 1 WHERE id = '{}'", room.id));
    let reader = room.arrives(caller("reader", NEVER), None);
    room.rests();
    assert_eq!(reader.closed(), None);
    room.faults.set(MUTE);
    let command = Command::RemoveMember { user: UserId::parse("reader").unwrap() };
    let answer = room.asks_one(owner(), command);
    room.passes(20 * SECOND);
    assert_eq!(fate(&answer).unwrap_err().code, Code::StorageUnavailable);
    room.faults.set(Faults::NONE);
    room.passes(20 * SECOND);
    reader.hears();
    room.asks_then(owner(), send("is reader gone?")).unwrap();
    assert_eq!(reader.hears().1, 0, "a stranger by now hears nothing of a private channel");
    assert!(matches!(reader.closed(), Some(4004 | 1012)), "{:?}", reader.closed());
}

// Who comes now and then waits for nobody.

#[test]
fn who_comes_now_and_then_is_let_in_at_once() {
    let room = Room::new(12);
    for n in 0..30 {
        let began = room.world.now();
        let guest = room.arrives(caller(&format!("user{n}"), NEVER), None);
        while guest.wire.frames.borrow().is_empty() {
            assert!(room.world.step() || room.world.advance());
        }
        let took = room.world.now() - began;
        assert!(took <= 100, "guest {n} waited {took} ms to be let in");
        room.passes(SECOND);
    }
}
