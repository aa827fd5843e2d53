//! The limits in the channel: who is too fast is told so before anything is asked of the database, stays connected,
//! and loses nothing by it; who floods is sent away; and sleep forgives nobody.

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

use std::{
    cell::{Cell, RefCell},
    future::Future,
    rc::Rc,
};

use edgewise_core::{
    access::Caller,
    database::{Database, DatabaseError, Rows, Statement},
    engine::{Attachment, Channel, Command, Connect, Courier, Limited, Platform, Rate, Rates, Signature},
    envelope::Rules,
    ids::{ChannelId, Timestamp, UserId},
    problem::{Code, Problem},
    proto::{
        Ack, AddReactionRequest, DeleteMessageRequest, EditMessageRequest, Envelope, ErrorResponse,
        RemoveReactionRequest, SendMessageRequest, envelope::Payload,
    },
};
use prost::Message as _;

use object::{Faults, SimPlatform, SimSocket, Wire};
use planted::Planted;
use support::sqlite::Sqlite;
use world::World;

/// The simulation's platform, with limits, and a place to keep them.
struct Limiting {
    sim: SimPlatform,
    rates: Rates,
    kept: Rc<RefCell<Vec<String>>>,
}

impl Database for Limiting {
    async fn batch(&self, statements: Vec<Statement>) -> Result<Vec<Rows>, DatabaseError> {
        self.sim.batch(statements).await
    }
}

impl Platform for Limiting {
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
        self.sim.verify(token).await
    }
    fn rates(&self) -> Rates {
        self.rates
    }
    fn keep_limits(&self, kept: String) {
        self.kept.borrow_mut().push(kept);
    }
    fn rules(&self, channel: ChannelId) -> Result<Rules, Problem> {
        self.sim.rules(channel)
    }
    fn log(&self, line: &str) {
        self.sim.log(line);
    }
}

/// A channel and one who is connected to it.
struct Room {
    world: Rc<World>,
    database: Sqlite,
    rates: Rates,
    kept: Rc<RefCell<Vec<String>>>,
    incarnation: u64,
    channel: Rc<Channel<Limiting>>,
    wire: Rc<Wire>,
    asked: Cell<u64>,
}

impl Room {
    fn new(send: &str, react: &str) -> Self {
        let [send, react] = [send, react].map(|rate| Rate::parse(rate).unwrap());
        let (world, database, rates) = (World::new(1), Sqlite::new(), Rates { send, react });
        let kept = Rc::default();
        let channel = wake(&world, &database, rates, &kept, 0, Vec::new());
        let wire = Rc::default();
        let room =
            Self { world, database, rates, kept, incarnation: 0, channel, wire, asked: Cell::default() };
        room.connects();
        room
    }

    fn connects(&self) {
        let connect = Connect { caller: caller("ana"), batches: true, since: None };
        let (channel, wire) = (Rc::clone(&self.channel), Rc::clone(&self.wire));
        self.world.spawn(Some(self.incarnation), async move {
            let admitted = channel.knock(connect).await.unwrap();
            channel.open(admitted, SimSocket(wire));
        });
        self.settles();
        self.wire.frames.borrow_mut().clear();
    }

    /// The object slept, and wakes with its sockets and what it kept.
    fn sleeps(&mut self) {
        self.world.kill(self.incarnation);
        self.incarnation += 1;
        let attachment: Attachment =
            serde_json::from_str(self.wire.attachment.borrow().as_deref().unwrap()).unwrap();
        let sockets = vec![(SimSocket(Rc::clone(&self.wire)), attachment)];
        self.channel = wake(&self.world, &self.database, self.rates, &self.kept, self.incarnation, sockets);
        if let Some(kept) = self.kept.borrow().last() {
            self.channel.restore_limits(kept);
        }
    }

    /// Runs for a fifth of a second, in which every commit comes to its end.
    fn settles(&self) {
        let over = Rc::new(Cell::new(false));
        let (then, world) = (Rc::clone(&over), Rc::clone(&self.world));
        self.world.spawn(None, async move {
            world.sleep(200).await;
            then.set(true);
        });
        while !over.get() {
            if !self.world.step() {
                self.world.advance();
            }
        }
    }

    /// Sends a request over the socket, and gives its name.
    fn says(&self, payload: Payload) -> String {
        self.asked.set(self.asked.get() + 1);
        let request_id = format!("request {}", self.asked.get());
        let envelope = Envelope { request_id: request_id.clone(), revision: 0, payload: Some(payload) };
        let attachment: Attachment =
            serde_json::from_str(self.wire.attachment.borrow().as_deref().unwrap()).unwrap();
        self.channel.receive(attachment.connection(), &envelope.encode_to_vec());
        request_id
    }

    /// The answers that came since it was last looked, in their order.
    fn answers(&self) -> Vec<(String, Result<Ack, ErrorResponse>)> {
        let frames: Vec<_> = self.wire.frames.borrow_mut().drain(..).collect();
        let envelopes = frames.iter().flat_map(|frame| {
            let envelope = Envelope::decode(&**frame).unwrap();
            match envelope.payload {
                Some(Payload::EnvelopeBatch(batch)) => batch.envelopes,
                _ => vec![envelope],
            }
        });
        envelopes
            .filter_map(|envelope| match envelope.payload {
                Some(Payload::Ack(ack)) => Some((envelope.request_id, Ok(ack))),
                Some(Payload::Error(error)) => Some((envelope.request_id, Err(error))),
                _ => None,
            })
            .collect()
    }

    /// One request over the socket, and its answer.
    fn asks(&self, payload: Payload) -> Result<Ack, ErrorResponse> {
        self.says(payload);
        self.settles();
        self.answers().remove(0).1
    }

    /// One request over REST.
    fn calls(&self, user: &str, payload: Payload) -> Result<Ack, Problem> {
        let answer: Rc<RefCell<Option<Result<Ack, Problem>>>> = Rc::default();
        let (channel, told, caller) = (Rc::clone(&self.channel), Rc::clone(&answer), caller(user));
        let rules = self.channel.rules().unwrap();
        let command = Command::parse(payload, &rules, Signature::Unverified).unwrap();
        self.world.spawn(Some(self.incarnation), async move {
            *told.borrow_mut() = Some(channel.submit(caller, command).await.0);
        });
        self.settles();
        answer.take().expect("an answer")
    }

    fn limit(&self, limited: Limited) -> String {
        self.channel
            .quota(limited, &UserId::parse("ana").unwrap(), Courier::User)
            .map_or_else(String::new, |quota| quota.limit())
    }

    fn stored(&self) -> String {
        self.database.value("SELECT group_concat(content_text, ' ' ORDER BY server_sequence) FROM messages")
    }
}

fn wake(
    world: &Rc<World>,
    database: &Sqlite,
    rates: Rates,
    kept: &Rc<RefCell<Vec<String>>>,
    incarnation: u64,
    sockets: Vec<(SimSocket, Attachment)>,
) -> Rc<Channel<Limiting>> {
    let sim = SimPlatform {
        world: Rc::clone(world),
        database: database.clone(),
        faults: Rc::new(Cell::new(Faults::NONE)),
        planted: Planted::Nothing,
        incarnation,
        alarm: Rc::default(),
    };
    Channel::new(database.general(), Limiting { sim, rates, kept: Rc::clone(kept) }, sockets)
}

fn caller(user: &str) -> Caller {
    Caller {
        user_id: UserId::parse(user).unwrap(),
        display_name: None,
        trusted: false,
        owner: false,
        expires_at: 4_000_000_000_000,
    }
}

fn send(content: &str) -> Payload {
    let (content, nonce) = (content.to_owned(), content.to_owned());
    Payload::SendMessageRequest(SendMessageRequest { content, nonce, ..SendMessageRequest::default() })
}

fn edit(message: &str, content: &str) -> Payload {
    let (message_id, content) = (message.to_owned(), content.to_owned());
    Payload::EditMessageRequest(EditMessageRequest { message_id, content, ..EditMessageRequest::default() })
}

fn delete(message: &str) -> Payload {
    Payload::DeleteMessageRequest(DeleteMessageRequest { message_id: message.into() })
}

fn react(message: &str, emoji: &str) -> Payload {
    Payload::AddReactionRequest(AddReactionRequest { message_id: message.into(), emoji: emoji.into() })
}

fn unreact(message: &str, emoji: &str) -> Payload {
    Payload::RemoveReactionRequest(RemoveReactionRequest { message_id: message.into(), emoji: emoji.into() })
}

fn id(ack: Ack) -> String {
    ack.message.unwrap().id
}

/// Expects a refusal for being too fast, and gives after how many milliseconds to come back.
fn too_fast(answer: Result<Ack, ErrorResponse>) -> u64 {
    let error = answer.unwrap_err();
    assert_eq!((error.code, error.error_code.as_str(), error.retryable), (429, "RATE_LIMITED", true));
    assert!(error.retry_after_ms > 0, "{error:?}");
    error.retry_after_ms.into()
}

#[test]
fn who_is_too_fast_is_refused_before_anything_is_queued_and_stays() {
    let room = Room::new("3/5", "off");
    let asked: Vec<_> = (1..=5).map(|n| room.says(send(&format!("{n}")))).collect();
    // Nothing has run yet: the refusals are there all the same, and the channel has three commands to do.
    let refused: Vec<_> = room.answers().into_iter().map(|(name, answer)| (name, too_fast(answer))).collect();
    assert_eq!(refused.iter().map(|(name, _)| name).collect::<Vec<_>>(), [&asked[3], &asked[4]]);
    room.settles();
    assert_eq!(room.channel.costs().commands, 3);
    let answered: Vec<_> = room.answers().into_iter().map(|(name, answer)| (name, answer.is_ok())).collect();
    assert_eq!(answered, asked[..3].iter().map(|name| (name.clone(), true)).collect::<Vec<_>>());
    // Told when to come back, and let through then: nothing is lost.
    room.world.pass(refused[0].1);
    room.asks(send("4")).unwrap();
    assert_eq!(room.stored(), "1 2 3 4");
    assert_eq!(room.wire.closed.get(), None);
}

#[test]
fn rest_and_sockets_share_a_users_bucket_and_users_do_not() {
    let room = Room::new("2/60", "off");
    room.asks(send("over the socket")).unwrap();
    room.calls("ana", send("over REST")).unwrap();
    assert_eq!(room.limit(Limited::Send), r#""send";r=0;t=30"#);
    let problem = room.calls("ana", send("once more")).unwrap_err();
    assert_eq!(problem.code, Code::RateLimited);
    too_fast(room.asks(send("and once more")));
    room.calls("ben", send("ben's")).unwrap();
}

#[test]
fn sends_and_edits_are_one_limit_reactions_another_and_deleting_none() {
    let room = Room::new("3/60", "2/60");
    let first = id(room.asks(send("first")).unwrap());
    let second = id(room.asks(send("second")).unwrap());
    room.asks(edit(&first, "edited")).unwrap();
    too_fast(room.asks(edit(&first, "edited again")));
    too_fast(room.asks(send("third")));
    room.asks(react(&first, "👍")).unwrap();
    room.asks(unreact(&first, "👍")).unwrap();
    too_fast(room.asks(react(&first, "👎")));
    too_fast(room.asks(unreact(&first, "👍")));
    room.asks(delete(&first)).unwrap();
    room.asks(delete(&second)).unwrap();
    assert!(room.limit(Limited::React).starts_with(r#""react";r=0;"#));
}

#[test]
fn what_is_refused_for_another_reason_without_a_commit_costs_nothing() {
    let room = Room::new("1/60", "off");
    for _ in 0..5 {
        assert_eq!(room.asks(send("  ")).unwrap_err().error_code, "CONTENT_EMPTY");
    }
    assert_eq!(room.limit(Limited::Send), r#""send";r=1;t=0"#);
    room.asks(send("x")).unwrap();
}

#[test]
fn a_send_whose_answer_was_lost_is_repeated_for_nothing() {
    let room = Room::new("2/60", "off");
    let first = id(room.asks(send("first")).unwrap());
    room.asks(send("second")).unwrap();
    let again = room.asks(send("first")).unwrap();
    assert!(again.replayed);
    assert_eq!(id(again), first);
    too_fast(room.asks(send("third")));
}

#[test]
fn who_goes_on_without_waiting_is_sent_away() {
    let room = Room::new("1/60", "off");
    room.asks(send("taken")).unwrap();
    for n in 0..=100 {
        room.says(send("too fast"));
        assert_eq!(room.wire.closed.get(), None, "told once to wait, and {n} times again");
    }
    assert_eq!(room.answers().len(), 101);
    room.says(send("too fast"));
    assert_eq!(room.wire.closed.get(), Some(4005));
    assert_eq!(room.answers().len(), 1, "the last is answered, too");
}

#[test]
fn who_waits_as_told_is_never_sent_away() {
    let room = Room::new("1/1", "off");
    for n in 0..300 {
        room.says(send(&format!("{n}")));
        room.says(send(&format!("{n} too fast")));
        room.settles();
        let answers = room.answers();
        assert_eq!(answers.iter().filter(|(_, answer)| answer.is_ok()).count(), 1, "{n}: {answers:?}");
        room.world.pass(800);
    }
    assert_eq!(room.wire.closed.get(), None);
}

#[test]
fn without_limits_nobody_is_too_fast() {
    let room = Room::new("off", "off");
    (0..500).for_each(|n| drop(room.says(send(&format!("{n}")))));
    room.settles();
    assert!(room.answers().iter().all(|(_, answer)| answer.is_ok()));
    assert_eq!(room.limit(Limited::Send), "");
    assert!(room.kept.borrow().is_empty());
}

#[test]
fn a_long_window_outlasts_sleep_also_for_who_has_no_socket() {
    let mut room = Room::new("2/60", "2/60");
    for n in 0..2 {
        room.asks(send(&format!("{n}"))).unwrap();
        room.calls("ben", send(&format!("ben's {n}"))).unwrap();
    }
    assert!(room.kept.borrow().is_empty(), "it is gathered");
    room.world.run_until_idle();
    assert_eq!(room.kept.borrow().len(), 1, "four sends are one write");
    room.sleeps();
    let wait = too_fast(room.asks(send("after sleep")));
    assert_eq!(room.calls("ben", send("after sleep")).unwrap_err().code, Code::RateLimited);
    room.calls("cleo", send("cleo's")).unwrap();
    room.world.pass(wait);
    room.asks(send("in time")).unwrap();
}

#[test]
fn a_short_window_is_not_kept() {
    let mut room = Room::new("10/5", "20/10");
    room.asks(send("x")).unwrap();
    room.world.run_until_idle();
    assert!(room.kept.borrow().is_empty());
    room.sleeps();
    room.asks(send("y")).unwrap();
}
