//! One run: clients write, read and go away while the database fails and the object is evicted; then all comes to
//! rest, and everything must be as it was promised.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    rc::Rc,
};

use edgewise_core::{
    access::Caller,
    engine::{Attachment, Channel, Command, Connect, Signature},
    envelope::Rules,
    ids::{ChannelId, UserId},
    proto::{
        Ack, AddReactionRequest, ChatMessage, DeleteMessageRequest, EditMessageRequest, Envelope,
        GossipEnvelope, MessageType, RemoveReactionRequest, SendMessageRequest, UpdateLastReadRequest,
        envelope::Payload,
    },
    read,
};
use prost::Message as _;

use crate::{
    client::{Answer, Client, Held},
    object::{Faults, SimPlatform, SimSocket, Wire},
    planted::Planted,
    signing,
    support::sqlite::Sqlite,
    world::World,
};

const CLIENTS: usize = 5;
const STEPS: u64 = 400;
const EMOJI: [&str; 3] = ["👍", "❤️", "🎉"];
/// Banned throughout: what they want is refused next to what others want.
const BANNED: &str = "mallory";

type Object = Rc<Channel<SimPlatform>>;

/// A request, as its client remembers it.
#[derive(Clone)]
struct Asked {
    /// The order in which it was put on its connection.
    place: u64,
    connection: u64,
    user: String,
    payload: Payload,
}

/// What was promised, and must be so at the end.
#[derive(Default)]
struct Promises {
    /// Acked sends, by nonce or by what was signed, and under which id.
    sent: BTreeMap<String, String>,
    deleted: Vec<String>,
    /// The latest time of a message's acked signed edits, by message id.
    edited: BTreeMap<String, u64>,
    /// Sequences acked, by connection and place.
    order: HashMap<u64, BTreeMap<u64, u64>>,
    broken: Vec<String>,
}

pub struct Run {
    world: Rc<World>,
    database: Sqlite,
    channel: ChannelId,
    planted: Planted,
    faults: Rc<Cell<Faults>>,
    alarm: Rc<Cell<Option<u64>>>,
    object: Option<Object>,
    incarnation: u64,
    clients: Vec<Client>,
    connections: u64,
    asked: HashMap<String, Asked>,
    asked_count: u64,
    /// Requests whose answer never came, to be repeated.
    unanswered: Vec<(String, Payload)>,
    promises: Rc<RefCell<Promises>>,
    known_ids: Rc<RefCell<Vec<String>>>,
}

impl Run {
    pub fn new(seed: u64, planted: Planted) -> Self {
        let world = World::new(seed);
        let database = Sqlite::new();
        let channel = database.general();
        database.execute(&format!(
            "INSERT INTO bans (user_id, banned_by, created_at) VALUES ('{BANNED}', 'owner', 0)"
        ));
        for user in ["user0", "user1", "user2", "user3", BANNED] {
            signing::register(&database, user);
        }
        let clients = (0..CLIENTS)
            .map(|n| Client { user: format!("user{}", n % 4), batches: n % 3 != 0, ..Client::default() })
            .collect();
        let rng = &world.rng;
        let faults = Faults {
            before: rng.below(8),
            after: rng.below(8),
            late: rng.below(5),
            stalled: rng.below(3),
            garbled: 0,
            slow: rng.below(80),
        };
        Self {
            world: Rc::clone(&world),
            database,
            channel,
            planted,
            faults: Rc::new(Cell::new(faults)),
            alarm: Rc::default(),
            object: None,
            incarnation: 0,
            clients,
            connections: 0,
            asked: HashMap::new(),
            asked_count: 0,
            unanswered: Vec::new(),
            promises: Rc::default(),
            known_ids: Rc::default(),
        }
    }

    pub fn trace(&self) -> String {
        self.world.trace()
    }

    /// Plays the run to its end.
    pub fn play(&mut self) -> Result<(), String> {
        for _ in 0..STEPS {
            self.step();
            self.check_clients()?;
        }
        self.come_to_rest();
        self.check().map_err(|failure| {
            let trace = self.trace();
            let lines: Vec<_> = trace.lines().collect();
            format!("{failure}\n{}", lines[lines.len().saturating_sub(60)..].join("\n"))
        })
    }

    fn object(&mut self) -> Object {
        let (world, database) = (Rc::clone(&self.world), self.database.clone());
        if let Some(object) = &self.object {
            return Rc::clone(object);
        }
        self.incarnation += 1;
        self.world.note(format!("object {} wakes", self.incarnation));
        let platform = SimPlatform {
            world,
            database,
            faults: Rc::clone(&self.faults),
            planted: self.planted,
            incarnation: self.incarnation,
            alarm: Rc::clone(&self.alarm),
        };
        let sockets = self.clients.iter().filter_map(|client| {
            let wire = client.wire.clone().filter(|wire| wire.closed.get().is_none())?;
            let attachment: Attachment = serde_json::from_str(wire.attachment.borrow().as_deref()?).unwrap();
            Some((SimSocket(wire), attachment))
        });
        let object = Channel::new(self.channel, platform, sockets.collect());
        self.object = Some(Rc::clone(&object));
        object
    }

    fn step(&mut self) {
        match self.world.rng.below(100) {
            0..50 => {
                if !self.world.step() {
                    self.world.advance();
                }
            }
            50..70 => self.deliver(),
            70..84 => self.ask_on_socket(),
            84..90 => self.ask_directly(),
            90..95 => self.connect_someone(),
            95..97 => self.drop_someone(),
            97..98 => self.evict(),
            98..99 => self.hibernate(),
            _ => self.world.pass(self.world.rng.below(3_000)),
        }
    }

    fn someone(&self) -> usize {
        usize::try_from(self.world.rng.below(self.clients.len() as u64)).unwrap()
    }

    fn caller(user: &str) -> Caller {
        Caller {
            user_id: UserId::parse(user).unwrap(),
            display_name: Some(user.to_uppercase()),
            trusted: false,
            owner: false,
            expires_at: 4_000_000_000_000,
        }
    }

    fn connect_someone(&mut self) {
        let n = self.someone();
        if self.clients[n].wire.is_none() {
            // Now and then from further back than needed: it must be harmless.
            let since = self.clients[n].since;
            let since = if self.world.rng.chance(30) { self.world.rng.below(since + 1) } else { since };
            self.connect(n, since);
        }
    }

    fn connect(&mut self, n: usize, since: u64) {
        self.connections += 1;
        let object = self.object();
        let client = &mut self.clients[n];
        let wire = Rc::new(Wire::default());
        client.wire = Some(Rc::clone(&wire));
        client.caught_up = false;
        client.said_hello = false;
        let connect =
            Connect { caller: Self::caller(&client.user), batches: client.batches, since: Some(since) };
        self.world.note(format!("client {n} connects since {since}"));
        self.world.spawn(Some(self.incarnation), async move {
            match object.knock(connect).await {
                Ok(admitted) => object.open(admitted, SimSocket(wire)),
                Err(_) => wire.closed.set(Some(1013)),
            }
        });
    }

    fn drop_someone(&mut self) {
        let n = self.someone();
        self.disconnect(n);
    }

    fn disconnect(&mut self, n: usize) {
        let Some(wire) = self.clients[n].wire.take() else { return };
        self.world.note(format!("client {n} is gone"));
        wire.closed.set(Some(1006));
        let attachment = wire.attachment.borrow().clone();
        if let (Some(object), Some(attachment)) = (&self.object, attachment) {
            let attachment: Attachment = serde_json::from_str(&attachment).unwrap();
            object.closed(attachment.connection());
        }
        self.forget_requests();
    }

    /// Those whose connection is gone will never be answered: they are repeated.
    fn forget_requests(&mut self) {
        let open: Vec<u64> =
            (0..self.clients.len()).filter(|n| self.clients[*n].wire.is_some()).map(|n| n as u64).collect();
        let lost: Vec<String> = self
            .asked
            .iter()
            .filter(|(_, asked)| !open.contains(&(asked.connection % CLIENTS as u64)))
            .map(|(id, _)| id.clone())
            .collect();
        let mut lost: Vec<Asked> = lost.iter().filter_map(|id| self.asked.remove(id)).collect();
        lost.sort_by_key(|asked| asked.place);
        self.unanswered.extend(lost.into_iter().map(|asked| (asked.user, asked.payload)));
    }

    /// The object is gone, with all that it was doing and every socket.
    fn evict(&mut self) {
        if self.object.take().is_some() {
            self.world.note("the object is evicted");
            self.world.kill(self.incarnation);
            for n in 0..self.clients.len() {
                self.disconnect(n);
            }
        }
    }

    /// An idle object loses its memory and keeps its sockets.
    fn hibernate(&mut self) {
        if self.object.is_some() && !self.world.is_busy(self.incarnation) {
            self.world.note("the object hibernates");
            self.object = None;
        }
    }

    fn deliver(&mut self) {
        let n = self.someone();
        let Some(wire) = self.clients[n].wire.clone() else { return };
        let frame = wire.frames.borrow_mut().pop_front();
        if let Some(frame) = frame {
            self.take(n, &frame);
        } else if wire.closed.get().is_some() {
            self.disconnect(n);
        }
    }

    fn take(&mut self, n: usize, frame: &[u8]) {
        let database = self.database.clone();
        let channel = self.channel;
        let committed = move |id: &str, revision: u64| {
            let now: i64 = database.value(&format!(
                "SELECT coalesce((SELECT revision FROM messages WHERE id = '{id}' AND channel_id = '{channel}'), -1)"
            ));
            u64::try_from(now).is_ok_and(|now| now >= revision)
        };
        for answer in self.clients[n].take(frame, &committed) {
            match answer {
                Answer::Ack(id, ack) => {
                    if let Some(asked) = self.asked.remove(&id) {
                        self.world.note(format!("client {n} is acked {id}"));
                        promise(&self.promises, &self.known_ids, &asked, &ack);
                    }
                }
                Answer::Refused(id, error) => {
                    self.world.note(format!("client {n} is refused {id}: {}", error.error_code));
                    if let Some(asked) = self.asked.remove(&id).filter(|_| error.retryable) {
                        self.unanswered.push((asked.user, asked.payload));
                    }
                }
            }
        }
    }

    /// Something to ask for: a repeated request, or a new one.
    fn request(&mut self, user: &str) -> Payload {
        let rng = &self.world.rng;
        let own: Vec<usize> = (0..self.unanswered.len()).filter(|n| self.unanswered[*n].0 == user).collect();
        if rng.chance(40)
            && let Some(&n) = rng.pick(&own)
        {
            // Sometimes more than once.
            return if rng.chance(20) { self.unanswered[n].1.clone() } else { self.unanswered.remove(n).1 };
        }
        self.asked_count += 1;
        let ids = self.known_ids.borrow();
        let message_id = rng.pick(&ids).cloned();
        let n = self.asked_count;
        let emoji = (*rng.pick(&EMOJI).unwrap()).to_owned();
        match (rng.below(10), message_id) {
            (0..5, reply) | (_, reply @ None) if rng.chance(25) => {
                let message = ChatMessage {
                    channel_id: self.channel.to_string(),
                    content: format!("{user} signs @user:user1 {n}"),
                    reply_to_id: reply.filter(|_| rng.chance(20)),
                    nonce: if rng.chance(50) { format!("{user}/{n}") } else { String::new() },
                    ..ChatMessage::default()
                };
                let envelope = signing::sign(user, self.channel, MessageType::Chat, n, &message);
                Payload::SendMessageRequest(SendMessageRequest { envelope, ..SendMessageRequest::default() })
            }
            (5, Some(id)) if rng.chance(60) => {
                // Of all of a message's edits only those that are later than all before take effect.
                let (at, content) = (n + rng.below(200), format!("{user} edits and signs {n}"));
                let message = ChatMessage { id, content, ..ChatMessage::default() };
                let envelope = signing::sign(user, self.channel, MessageType::ChatEdit, at, &message);
                let message_id = message.id;
                Payload::EditMessageRequest(EditMessageRequest { message_id, envelope, ..Default::default() })
            }
            (0..5, reply) | (_, reply @ None) => Payload::SendMessageRequest(SendMessageRequest {
                content: format!("{user} @user:user1 {n}"),
                reply_to_id: reply.filter(|_| rng.chance(20)),
                nonce: format!("{user}/{n}"),
                envelope: Vec::new(),
            }),
            (5, Some(message_id)) => Payload::EditMessageRequest(EditMessageRequest {
                message_id,
                content: format!("{user} edits @user:user2 {n}"),
                envelope: Vec::new(),
            }),
            (6, Some(message_id)) if rng.chance(40) => {
                Payload::DeleteMessageRequest(DeleteMessageRequest { message_id })
            }
            (7, Some(message_id)) => {
                Payload::RemoveReactionRequest(RemoveReactionRequest { message_id, emoji })
            }
            (8, _) => Payload::UpdateLastReadRequest(UpdateLastReadRequest {
                last_sequence: rng.below(20),
                allow_decrease: rng.chance(30),
            }),
            (_, Some(message_id)) => Payload::AddReactionRequest(AddReactionRequest { message_id, emoji }),
        }
    }

    fn ask_on_socket(&mut self) {
        let n = self.someone();
        let Some(wire) = self.clients[n].wire.clone().filter(|wire| wire.closed.get().is_none()) else {
            return;
        };
        let Some(attachment) = wire.attachment.borrow().clone() else { return };
        let attachment: Attachment = serde_json::from_str(&attachment).unwrap();
        let user = self.clients[n].user.clone();
        for _ in 0..=self.world.rng.below(4) {
            let payload = self.request(&user);
            self.asked_count += 1;
            let id = format!("r{}", self.asked_count);
            let asked = Asked {
                place: self.asked_count,
                connection: self.connections * CLIENTS as u64 + n as u64,
                user: user.clone(),
                payload: payload.clone(),
            };
            self.world.note(format!("client {n} asks {id}: {payload:?}"));
            self.asked.insert(id.clone(), asked);
            let envelope = Envelope { request_id: id, payload: Some(payload), ..Envelope::default() };
            self.object().receive(attachment.connection(), &envelope.encode_to_vec());
        }
    }

    /// As REST does: the answer goes to whoever asked, if they still wait.
    fn ask_directly(&mut self) {
        let n = self.someone();
        let banned = self.world.rng.chance(20);
        let user = if banned { BANNED.to_owned() } else { self.clients[n].user.clone() };
        let payload = self.request(&user);
        let asked = Asked {
            place: self.asked_count,
            connection: u64::MAX - self.asked_count,
            user: user.clone(),
            payload: payload.clone(),
        };
        let command = self.command(payload);
        let object = self.object();
        let (promises, known, world) =
            (Rc::clone(&self.promises), Rc::clone(&self.known_ids), Rc::clone(&self.world));
        self.world.note(format!("{user} asks directly: {:?}", asked.payload));
        self.world.spawn(Some(self.incarnation), async move {
            match object.submit(Self::caller(&user), command).await.0 {
                Ok(_) if user == BANNED => {
                    promises.borrow_mut().broken.push("a banned user's request passed".into());
                }
                Ok(ack) => promise(&promises, &known, &asked, &ack),
                Err(problem) => world.note(format!("refused: {problem}")),
            }
        });
    }

    fn command(&self, payload: Payload) -> Command {
        Command::parse(payload, &Rules::new(self.channel), Signature::Unverified).unwrap()
    }

    fn come_to_rest(&mut self) {
        self.world.note("faults end");
        self.faults.set(Faults::NONE);
        for _ in 0..3 {
            self.world.run_until_idle();
            self.deliver_all();
        }
        for n in 0..self.clients.len() {
            self.disconnect(n);
            let since = self.clients[n].since;
            self.connect(n, since);
        }
        self.world.run_until_idle();
        self.deliver_all();
        // One more change, so that whoever is connected shows to be live.
        let object = self.object();
        let request =
            SendMessageRequest { content: "the end".into(), nonce: "the end".into(), ..Default::default() };
        let command = self.command(Payload::SendMessageRequest(request));
        let promises = Rc::clone(&self.promises);
        self.world.spawn(Some(self.incarnation), async move {
            if let (Err(problem), _) = object.submit(Self::caller("user0"), command).await {
                promises.borrow_mut().broken.push(format!("the last send was refused: {problem}"));
            }
        });
        self.world.run_until_idle();
        self.deliver_all();
        // A commit that landed after all had come to rest has sent them away: they come back, as clients do.
        for n in 0..self.clients.len() {
            if self.clients[n].wire.as_ref().is_some_and(|wire| wire.closed.get().is_some()) {
                self.disconnect(n);
                let since = self.clients[n].since;
                self.connect(n, since);
            }
        }
        self.world.run_until_idle();
        self.deliver_all();
    }

    fn deliver_all(&mut self) {
        for n in 0..self.clients.len() {
            let Some(wire) = self.clients[n].wire.clone() else { continue };
            loop {
                let frame = wire.frames.borrow_mut().pop_front();
                let Some(frame) = frame else { break };
                self.take(n, &frame);
            }
        }
    }

    fn check_clients(&mut self) -> Result<(), String> {
        let mut faults = String::new();
        for (n, client) in self.clients.iter_mut().enumerate() {
            for fault in client.faults.drain(..) {
                let _ = write!(faults, "client {n}: {fault}; ");
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(format!("{faults}\n{}", self.trace())) }
    }

    fn check(&mut self) -> Result<(), String> {
        self.check_clients()?;
        self.check_rows()?;
        self.check_promises()?;
        self.check_stores()
    }

    fn must_be(&self, what: &str, sql: &str, expected: i64) -> Result<(), String> {
        let found: i64 = self.database.value(sql);
        if found == expected { Ok(()) } else { Err(format!("{what}: {found}, not {expected}")) }
    }

    fn check_rows(&self) -> Result<(), String> {
        self.must_be(
            "sequences with a hole or a repeat",
            "SELECT (SELECT count(*) FROM messages) - coalesce((SELECT max(server_sequence) FROM messages), 0)",
            0,
        )?;
        self.must_be(
            "the channel's last sequence, off by",
            "SELECT (SELECT last_sequence FROM channels) - coalesce((SELECT max(server_sequence) FROM messages), 0)",
            0,
        )?;
        self.must_be(
            "messages beyond the channel's revision",
            "SELECT count(*) FROM messages WHERE revision > (SELECT revision FROM channels)",
            0,
        )?;
        self.must_be(
            "reactions on deleted messages",
            "SELECT count(*) FROM reactions JOIN messages USING (channel_id, server_sequence) WHERE deleted",
            0,
        )?;
        self.must_be(
            "messages sent twice",
            "SELECT count(*) - count(DISTINCT coalesce(sender_id || '/' || nonce, signed_digest)) FROM messages",
            0,
        )?;
        self.must_be(
            "signed messages without their envelope, and the other way round",
            "SELECT count(*) FROM messages WHERE (signed_at IS NULL) <> (payload IS NULL)
                 OR (payload IS NULL) <> (signature IS NULL)
                 OR payload IS NULL AND NOT deleted AND coalesce(edit_digest, signed_digest) IS NOT NULL",
            0,
        )?;
        self.must_be(
            "mention rows other than the live messages' own",
            "SELECT (SELECT count(*) FROM mentions)
                  - (SELECT count(*) FROM messages m, json_each(m.mention_user_ids))
                  + (SELECT count(*) FROM mentions t LEFT JOIN messages m USING (channel_id, server_sequence)
                     WHERE m.id IS NULL OR m.deleted)",
            0,
        )?;
        self.must_be(
            "positions read beyond the end",
            "SELECT count(*) FROM last_read WHERE last_sequence > (SELECT last_sequence FROM channels)",
            0,
        )
    }

    fn check_promises(&self) -> Result<(), String> {
        let promises = self.promises.borrow();
        if let Some(broken) = promises.broken.first() {
            return Err(broken.clone());
        }
        for (nonce, id) in &promises.sent {
            let sql = format!(
                "SELECT count(*) FROM messages WHERE coalesce(nonce, signed_digest) = '{nonce}' AND id = '{id}'"
            );
            self.must_be(&format!("{nonce} was acked as {id}"), &sql, 1)?;
        }
        for id in &promises.deleted {
            let sql =
                format!("SELECT count(*) FROM messages WHERE id = '{id}' AND deleted AND content_text = ''");
            self.must_be(&format!("{id} was acked as deleted"), &sql, 1)?;
        }
        for (id, at) in &promises.edited {
            let sql =
                format!("SELECT count(*) FROM messages WHERE id = '{id}' AND (deleted OR signed_at >= {at})");
            self.must_be(&format!("{id} was acked as signed at {at}"), &sql, 1)?;
        }
        for (connection, sequences) in &promises.order {
            let in_order: Vec<_> = sequences.values().collect();
            if !in_order.is_sorted() {
                return Err(format!("connection {connection} was acked out of order: {sequences:?}"));
            }
        }
        Ok(())
    }

    fn check_stores(&self) -> Result<(), String> {
        for (n, client) in self.clients.iter().enumerate() {
            if !client.caught_up {
                return Err(format!("client {n} was never told that it had caught up"));
            }
            let fresh = self.fresh_read(&client.user);
            if n == 0 {
                fresh.values().try_for_each(|held| signing::check(&held.message, self.channel))?;
            }
            if client.store != fresh {
                let differ: Vec<_> = fresh
                    .iter()
                    .filter(|(id, held)| client.store.get(*id) != Some(held))
                    .map(|(id, held)| format!("\n has {:?}\n not {held:?}", client.store.get(id)))
                    .collect();
                return Err(format!("client {n} differs from a fresh read:{}", differ.join("")));
            }
        }
        Ok(())
    }

    /// What a new client would read over REST.
    fn fresh_read(&self, user: &str) -> BTreeMap<String, Held> {
        let caller = Self::caller(user);
        let mut fresh = BTreeMap::new();
        let mut since = 0;
        loop {
            let page =
                read::changes::since(&self.database, &caller, self.channel, since, 200, self.world.now());
            let page = futures_util::FutureExt::now_or_never(page).expect("SQLite answers at once").unwrap();
            fresh.extend(page.messages.into_iter().map(|message| (message.id.clone(), Held::of(message))));
            since = page.revision;
            if !page.has_more {
                return fresh;
            }
        }
    }
}

fn promise(promises: &RefCell<Promises>, known: &RefCell<Vec<String>>, asked: &Asked, ack: &Ack) {
    let mut promises = promises.borrow_mut();
    match &asked.payload {
        Payload::SendMessageRequest(request) => {
            let name = named(request);
            let Some(message) = &ack.message else {
                return promises.broken.push(format!("{name} was acked without its message"));
            };
            let before = promises.sent.insert(name.clone(), message.id.clone());
            if before.is_some_and(|before| before != message.id) {
                promises.broken.push(format!("{name} was acked as two messages"));
            }
            if !ack.replayed {
                let order = promises.order.entry(asked.connection).or_default();
                order.insert(asked.place, message.server_sequence);
            }
            if !message.deleted {
                known.borrow_mut().push(message.id.clone());
            }
        }
        Payload::EditMessageRequest(request) if !request.envelope.is_empty() => {
            let at = signing::signed_at(&request.envelope);
            let edited = promises.edited.entry(request.message_id.clone()).or_default();
            *edited = at.max(*edited);
        }
        Payload::DeleteMessageRequest(request) => promises.deleted.push(request.message_id.clone()),
        _ => {}
    }
}

/// By what a send is known when it comes again: its nonce, or what was signed.
fn named(request: &SendMessageRequest) -> String {
    if request.envelope.is_empty() {
        return request.nonce.clone();
    }
    let envelope = GossipEnvelope::decode(request.envelope.as_slice()).unwrap();
    let signed = ChatMessage::decode(envelope.payload.as_slice()).unwrap();
    if signed.nonce.is_empty() { signing::digest(&request.envelope) } else { signed.nonce }
}
