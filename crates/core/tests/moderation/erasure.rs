//! What a ban deletes, over the engine: hidden at once, erased in pieces, with a crash at every step of the way.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use edgewise_core::{
    engine::{Attachment, Channel, Command, Connect, Signature},
    envelope::Rules,
    ids::ChannelId,
    moderator::{Reach, Round, Tour},
    proto::{AddReactionRequest, SendMessageRequest, envelope::Payload},
    write::bans::{self, Ban},
};
use futures_util::future::LocalBoxFuture;

use super::*;
use crate::{
    client::{Client, Held},
    object::{Faults, SimPlatform, SimSocket, Wire},
    planted::Planted,
    world,
};

type Object = Rc<Channel<SimPlatform>>;

/// From when on everything of `mallory`'s is deleted.
const SINCE: u64 = 1_000;
const CHANNELS: usize = 3;

/// A few channels with their objects, and the moderator of `mallory`.
struct City {
    world: Rc<world::World>,
    database: Sqlite,
    faults: Rc<Cell<Faults>>,
    channels: Vec<ChannelId>,
    objects: Rc<RefCell<Vec<Object>>>,
    incarnation: u64,
    /// In every channel one of `ana`, who watches, and one of `mallory`.
    watchers: Vec<Client>,
    victims: Vec<Rc<Wire>>,
    kept: Rc<Cell<bool>>,
}

/// The way to the objects, as a stub has it: it breaks with the object.
struct Stubs(Rc<RefCell<Vec<Object>>>);

impl Reach for Stubs {
    async fn expel(&self, channel: ChannelId, user: &UserId) -> Result<(), Problem> {
        let object = self.0.borrow().iter().find(|object| object.id() == channel).cloned();
        let command = Command::Expel { user: user.clone() };
        object
            .ok_or_else(Problem::storage_unavailable)?
            .submit(caller(user.as_str()), command)
            .await
            .0
            .map(drop)
    }
}

impl City {
    /// `messages` of mallory's in the first channel, a tenth in the second; in the third only a socket. Every second is
    /// ana's, every fifth is old, and mallory has reacted to ana's.
    fn new(seed: u64, messages: u64) -> Self {
        let database = Sqlite::new();
        let mut channels = vec![database.general()];
        for number in 1..CHANNELS {
            let id = format!("01890a5d-ac96-774b-bcce-00000000000{number}");
            database.execute(&format!("INSERT INTO channels (id, name, created_at) VALUES ('{id}', 'x', 1)"));
            channels.push(ChannelId::parse(&id).unwrap());
        }
        database.execute(
            "INSERT INTO users (id, display_name, created_at) VALUES ('mallory', 'M', 1), ('ana', 'Ana', 1), ('olga', 'Olga', 1)",
        );
        for (number, channel) in channels.iter().enumerate() {
            let count = [messages, messages / 10, 0][number];
            database.execute(&format!(
                "WITH RECURSIVE n (i) AS (SELECT 1 WHERE {count} > 0 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
                 INSERT INTO messages (channel_id, server_sequence, id, revision, sender_id, sender_display_name,
                                       content_text, timestamp, request_digest, mention_user_ids)
                 SELECT '{channel}', i, printf('0000000{number}-0000-7000-8000-%012x', i), i, iif(i % 2, 'mallory', 'ana'), 'x',
                        'message ' || i, iif(i % 5, 1000, 999), '', '[\"ana\"]' FROM n;
                 INSERT INTO mentions SELECT channel_id, 'user:ana', server_sequence, sender_id FROM messages WHERE channel_id = '{channel}';
                 INSERT INTO reactions SELECT channel_id, server_sequence, e, u, timestamp, revision
                 FROM messages, (SELECT 'x' AS e, 'mallory' AS u UNION SELECT 'y', 'mallory' UNION SELECT 'x', 'ana')
                 WHERE channel_id = '{channel}' AND sender_id = 'ana' AND server_sequence % 4 = 0;
                 UPDATE channels SET last_sequence = {count}, revision = {count} WHERE id = '{channel}'"
            ));
        }
        database.execute("INSERT INTO visitors SELECT DISTINCT channel_id, sender_id FROM messages");
        let mut city = Self {
            world: world::World::new(seed),
            database,
            faults: Rc::new(Cell::new(Faults::NONE)),
            channels,
            objects: Rc::default(),
            incarnation: 0,
            watchers: Vec::new(),
            victims: Vec::new(),
            kept: Rc::default(),
        };
        city.wake();
        for number in 0..CHANNELS {
            let wire = city.connect(number, "ana");
            let watcher = Client { user: "ana".into(), batches: true, wire: Some(wire), ..Client::default() };
            city.watchers.push(watcher);
            let wire = city.connect(number, "mallory");
            city.victims.push(wire);
        }
        city.world.run_until_idle();
        city.deliver();
        for (number, watcher) in city.watchers.iter().enumerate() {
            assert_eq!(watcher.store.len() as u64, [messages, messages / 10, 0][number]);
        }
        city
    }

    fn platform(&self) -> SimPlatform {
        SimPlatform {
            world: Rc::clone(&self.world),
            database: self.database.clone(),
            faults: Rc::clone(&self.faults),
            planted: Planted::Nothing,
            incarnation: self.incarnation,
            alarm: Rc::default(),
        }
    }

    /// Every object as it wakes, with the sockets that are open.
    fn wake(&mut self) {
        let wires = self.watchers.iter().filter_map(|watcher| watcher.wire.clone());
        let wires: Vec<_> = wires.chain(self.victims.iter().cloned()).collect();
        let objects = self.channels.iter().enumerate().map(|(number, channel)| {
            let sockets = wires.iter().skip(number).step_by(CHANNELS).filter_map(|wire| {
                let attachment = wire.attachment.borrow();
                let attachment: Attachment = serde_json::from_str(attachment.as_deref()?).unwrap();
                wire.closed.get().is_none().then(|| (SimSocket(Rc::clone(wire)), attachment))
            });
            Channel::new(*channel, self.platform(), sockets.collect())
        });
        let objects = objects.collect();
        self.objects.replace(objects);
    }

    fn object(&self, number: usize) -> Object {
        Rc::clone(&self.objects.borrow()[number])
    }

    fn connect(&self, number: usize, who: &str) -> Rc<Wire> {
        let (object, wire) = (self.object(number), Rc::new(Wire::default()));
        let connect = Connect { caller: caller(who), batches: true, since: Some(0) };
        let theirs = Rc::clone(&wire);
        self.world.spawn(Some(self.incarnation), async move {
            match object.knock(connect).await {
                Ok(admitted) => object.open(admitted, SimSocket(theirs)),
                Err(problem) => {
                    theirs.closed.set(Some(if problem.code == Code::Banned { 4003 } else { 1013 }));
                }
            }
        });
        wire
    }

    /// The ban's transaction.
    fn ban(&self) {
        let owner = Caller { trusted: true, ..caller("olga") };
        let now = self.world.now();
        let entry = EntryId::new(uuid::Uuid::from_u128(u128::from(self.world.rng.next())));
        let request = Request { caller: &owner, now, entry };
        // The time from which on is the test's own: a ban as REST takes it looks back no further than a week.
        let ban = Ban::new("", None, Some(SINCE), SINCE).unwrap();
        let mallory = user("mallory");
        let banned = bans::ban(&self.database, request, &mallory, &ban);
        banned.now_or_never().expect("SQLite answers at once").unwrap();
    }

    /// What the moderator's alarm does.
    fn moderate(&self) {
        let (platform, stubs) = (self.platform(), Stubs(Rc::clone(&self.objects)));
        let kept = Rc::clone(&self.kept);
        let world = Rc::clone(&self.world);
        self.world.spawn(Some(self.incarnation), async move {
            let mut tour = Tour::default();
            loop {
                match tour.round(&platform, &stubs, &user("mallory")).await {
                    Ok(Round::Kept) => return kept.set(true),
                    Ok(Round::More) => {}
                    Ok(Round::Failed) | Err(_) => world.sleep(2_000).await,
                }
            }
        });
    }

    /// Everything is killed, sockets too; what is on disk remains, and the alarm.
    fn crash(&mut self) {
        self.world.kill(self.incarnation);
        self.incarnation += 1;
        for wire in self.watchers.iter().filter_map(|watcher| watcher.wire.as_ref()).chain(&self.victims) {
            if wire.closed.get().is_none() {
                wire.closed.set(Some(1006));
            }
        }
        self.wake();
        self.moderate();
    }

    /// Lets the watchers take what was sent to them.
    fn deliver(&mut self) {
        for watcher in &mut self.watchers {
            let Some(wire) = watcher.wire.clone() else { continue };
            let frames: Vec<_> = wire.frames.borrow_mut().drain(..).collect();
            for frame in frames {
                watcher.take(&frame, &|_, _| true);
            }
        }
    }

    /// Lets the watchers come back that lost their connection, and hear what they missed.
    fn return_watchers(&mut self) {
        for number in 0..CHANNELS {
            if self.watchers[number].wire.as_ref().is_some_and(|wire| wire.closed.get().is_none()) {
                continue;
            }
            let (object, wire) = (self.object(number), Rc::new(Wire::default()));
            let connect =
                Connect { caller: caller("ana"), batches: true, since: Some(self.watchers[number].since) };
            self.watchers[number].wire = Some(Rc::clone(&wire));
            self.world.spawn(Some(self.incarnation), async move {
                let admitted = object.knock(connect).await.unwrap_or_else(|problem| panic!("{problem}"));
                object.open(admitted, SimSocket(wire));
            });
        }
        self.world.run_until_idle();
        self.deliver();
    }

    /// That nobody can read what is to be deleted, whether it is erased yet or not.
    fn check_hidden(&self) {
        for channel in &self.channels {
            let (ana, now) = (caller("ana"), self.world.now());
            let page = read::changes::since(&self.database, &ana, *channel, 0, 200, now);
            for message in page.now_or_never().unwrap().unwrap().messages {
                let meant = message.sender_id == "mallory" && message.timestamp >= SINCE;
                assert_eq!(message.deleted, meant, "{message:?}");
                assert_eq!(message.content.is_empty(), meant);
                for summary in &message.reactions {
                    let theirs = summary.user_ids.iter().any(|user| user == "mallory");
                    assert_eq!(theirs, message.timestamp < SINCE, "{message:?}");
                }
            }
        }
    }

    /// That everything has come out as it should.
    fn check(&mut self) {
        assert!(self.kept.get());
        self.return_watchers();
        self.check_hidden();
        let count = |sql: &str| self.database.number(&format!("SELECT count(*) FROM {sql}"));
        assert_eq!(count("outbox"), 0);
        assert_eq!(count("messages WHERE sender_id = 'mallory' AND timestamp >= 1000 AND NOT deleted"), 0);
        assert_eq!(
            count(
                "messages WHERE deleted AND (content_text <> '' OR deleted_by <> 'olga' OR mention_user_ids <> '[]')"
            ),
            0
        );
        assert_eq!(count("messages WHERE deleted AND (sender_id <> 'mallory' OR timestamp < 1000)"), 0);
        assert_eq!(count("reactions WHERE user_id = 'mallory' AND created_at >= 1000"), 0);
        assert_eq!(
            count("mentions t JOIN messages m USING (channel_id, server_sequence) WHERE m.deleted"),
            0
        );
        assert_eq!(
            count(
                "channels c WHERE revision < (SELECT max(revision) FROM messages m WHERE m.channel_id = c.id)"
            ),
            0
        );
        for victim in &self.victims {
            assert!(matches!(victim.closed.get(), Some(4003 | 1006)), "{:?}", victim.closed.get());
        }
        for (watcher, channel) in self.watchers.iter().zip(&self.channels) {
            assert!(watcher.faults.is_empty(), "{:?}", watcher.faults);
            let mut truth = BTreeMap::new();
            let mut since = 0;
            loop {
                let ana = caller("ana");
                let page = read::changes::since(&self.database, &ana, *channel, since, 200, self.world.now());
                let page = page.now_or_never().unwrap().unwrap();
                since = page.revision;
                truth
                    .extend(page.messages.into_iter().map(|message| (message.id.clone(), Held::of(message))));
                if !page.has_more {
                    break;
                }
            }
            assert_eq!(watcher.since, since);
            assert_eq!(watcher.store.len(), truth.len());
            for (id, held) in &watcher.store {
                assert_eq!(
                    (&held.message.revision, held.message.deleted),
                    (&truth[id].message.revision, truth[id].message.deleted)
                );
                assert_eq!(
                    (&held.message.content, &held.reactors),
                    (&truth[id].message.content, &truth[id].reactors)
                );
            }
        }
    }

    fn submit(
        &self,
        number: usize,
        who: &str,
        payload: Payload,
    ) -> LocalBoxFuture<'static, Result<(), &'static str>> {
        let object = self.object(number);
        let command = Command::parse(payload, &Rules::new(object.id()), Signature::Unverified).unwrap();
        let caller = caller(who);
        Box::pin(async move { object.submit(caller, command).await.0.map(drop).map_err(code) })
    }
}

fn send(content: &str) -> Payload {
    Payload::SendMessageRequest(SendMessageRequest {
        content: content.into(),
        ..SendMessageRequest::default()
    })
}

#[test]
fn everything_of_theirs_is_erased_and_nothing_else() {
    for messages in [0, 1, 9, 250, 25_000] {
        let mut city = City::new(messages, messages);
        city.ban();
        city.check_hidden();
        city.moderate();
        city.world.run_until_idle();
        city.deliver();
        for victim in &city.victims {
            assert_eq!(victim.closed.get(), Some(4003));
        }
        city.check();
    }
}

#[test]
fn a_crash_at_any_step_loses_nothing() {
    let mut steps = 0;
    loop {
        let mut city = City::new(steps, 250);
        city.ban();
        city.moderate();
        let mut left = steps;
        while left > 0 && !city.kept.get() {
            if !city.world.step() && !city.world.advance() {
                break;
            }
            left -= 1;
        }
        let over = city.kept.get();
        city.check_hidden();
        city.deliver();
        city.crash();
        city.world.run_until_idle();
        city.check();
        if over {
            break;
        }
        steps += 1;
    }
    assert!(steps > 50, "only {steps} steps");
}

#[test]
fn a_database_that_fails_delays_it_and_no_more() {
    for seed in 0..30 {
        let mut city = City::new(seed, 130);
        city.ban();
        city.faults.set(Faults { before: 15, after: 15, late: 10, stalled: 3, garbled: 0, slow: 40 });
        city.moderate();
        for step in 0..4_000 {
            if !city.world.step() && !city.world.advance() || city.kept.get() {
                break;
            }
            if step % 701 == 700 {
                city.crash();
            }
        }
        city.faults.set(Faults::NONE);
        city.world.run_until_idle();
        city.kept.set(false);
        city.moderate();
        city.world.run_until_idle();
        city.check();
    }
}

#[test]
fn others_write_between_the_pieces_and_the_banned_do_not() {
    let mut city = City::new(5, 2_000);
    city.ban();
    city.moderate();
    let fates = Rc::new(RefCell::new(Vec::new()));
    for round in 0..20 {
        for _ in 0..10 {
            city.world.step();
        }
        for who in ["ana", "mallory"] {
            let asked = city.submit(0, who, send(&format!("{who} {round}")));
            let fates = Rc::clone(&fates);
            city.world.spawn(None, async move {
                let fate = asked.await;
                fates.borrow_mut().push((who, fate));
            });
        }
    }
    city.world.run_until_idle();
    assert_eq!(fates.borrow().len(), 40);
    for (who, fate) in fates.borrow().iter() {
        assert_eq!(*fate, if *who == "ana" { Ok(()) } else { Err("BANNED") });
    }
    city.check();
}

#[test]
fn what_comes_after_an_unban_stays_and_a_second_ban_takes_it() {
    let mut city = City::new(6, 300);
    city.ban();
    city.database.execute("DELETE FROM bans");
    let sent = city.submit(0, "mallory", send("after"));
    let react = Payload::AddReactionRequest(AddReactionRequest {
        message_id: "00000000-0000-7000-8000-000000000002".into(),
        emoji: "after".into(),
    });
    let reacted = city.submit(0, "mallory", react);
    city.world.spawn(None, async move {
        assert_eq!((sent.await, reacted.await), (Ok(()), Ok(())));
    });
    city.world.run_until_idle();
    city.moderate();
    city.world.run_until_idle();
    let after = "SELECT (SELECT count(*) FROM messages WHERE content_text = 'after') + (SELECT count(*) FROM reactions WHERE emoji = 'after')";
    assert_eq!(city.database.number(after), 2);
    // Nobody was banned when the sockets' turn came: they stay.
    assert!(city.victims.iter().all(|victim| victim.closed.get().is_none()));
    city.kept.set(false);
    city.ban();
    city.ban();
    city.moderate();
    city.world.run_until_idle();
    assert_eq!(city.database.number(after), 0);
    city.deliver();
    city.check();
}

#[test]
fn who_was_let_in_before_a_ban_does_not_stay() {
    // A connect that was allowed, and whose socket opens after the others were closed.
    for seed in 0..200 {
        let mut city = City::new(seed, 0);
        let wires: Vec<_> = (0..4).map(|_| city.connect(2, "mallory")).collect();
        for _ in 0..seed % 12 {
            if !city.world.step() {
                city.world.advance();
            }
        }
        city.ban();
        city.moderate();
        city.world.run_until_idle();
        for wire in wires {
            assert!(matches!(wire.closed.get(), Some(4003 | 1012)), "seed {seed}: {:?}", wire.closed.get());
        }
        city.check();
    }
}
