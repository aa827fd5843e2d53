//! Whatever a client sends: no bytes make the engine panic, each frame is answered once or closes its connection, and
//! whoever comes after is served.

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

use std::{cell::Cell, rc::Rc};

use edgewise_core::{
    access::Caller,
    engine::{Attachment, Channel, Command, Connect, Signature},
    envelope::Rules,
    ids::{ChannelId, UserId},
    mentions::Mentions,
    problem::Code,
    proto::{
        AddReactionRequest, DeleteMessageRequest, EditMessageRequest, Envelope, EnvelopeBatch,
        FetchHistoryRequest, Hello, RefreshTokenRequest, RemoveReactionRequest, SendMessageRequest,
        SetPresenceRequest, SyncRequest, TypingRequest, UpdateLastReadRequest, envelope::Payload,
    },
};
use proptest::prelude::*;
use prost::Message as _;

use object::{Faults, SimPlatform, SimSocket, Wire};
use planted::Planted;
use support::sqlite::Sqlite;
use world::World;

/// Of a message that is there.
const MESSAGE: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const MAX_FRAME: usize = 64 << 10;

struct Room {
    world: Rc<World>,
    database: Sqlite,
    channel: Rc<Channel<SimPlatform>>,
}

impl Room {
    fn new() -> Self {
        let (world, database) = (World::new(1), Sqlite::new());
        let id = database.general();
        database.execute(&format!(
            "INSERT INTO users (id, display_name, created_at) VALUES ('author', 'Author', 0);
             INSERT INTO messages (channel_id, server_sequence, id, revision, sender_id, sender_display_name,
                                   content_text, timestamp, request_digest)
             VALUES ('{id}', 1, '{MESSAGE}', 1, 'author', 'Author', 'hello', 0, '');
             UPDATE channels SET last_sequence = 1, revision = 1"
        ));
        let platform = SimPlatform {
            world: Rc::clone(&world),
            database: database.clone(),
            faults: Rc::new(Cell::new(Faults { slow: 0, ..Faults::NONE })),
            planted: Planted::Nothing,
            incarnation: 0,
            alarm: Rc::default(),
        };
        let channel = Channel::new(id, platform, Vec::new());
        Self { world, database, channel }
    }

    fn guest(&self, user: &str, batches: bool) -> Guest {
        let wire = Rc::new(Wire::default());
        let caller = Caller {
            user_id: UserId::parse(user).unwrap(),
            display_name: None,
            trusted: false,
            owner: false,
            expires_at: 4_000_000_000_000,
        };
        let (channel, socket) = (Rc::clone(&self.channel), SimSocket(Rc::clone(&wire)));
        self.world.spawn(None, async move {
            let connect = Connect { caller, batches, since: None };
            channel.open(channel.knock(connect).await.expect("anyone may come"), socket);
        });
        self.world.run_until_idle();
        let attachment: Attachment =
            serde_json::from_str(wire.attachment.borrow().as_deref().unwrap()).unwrap();
        let guest = Guest { wire, connection: attachment.connection().to_owned() };
        guest.answers();
        guest
    }

    fn says(&self, guest: &Guest, frame: &[u8]) {
        self.channel.receive(&guest.connection, frame);
        self.world.run_until_idle();
    }

    /// That someone else is served as if nothing had happened.
    fn serves(&self) {
        let guest = self.guest("bystander", true);
        let request = SendMessageRequest { content: "still there?".into(), ..SendMessageRequest::default() };
        self.says(&guest, &frame("q", Payload::SendMessageRequest(request)));
        let answers = guest.answers();
        assert!(matches!(&answers[..], [(id, Payload::Ack(_))] if id == "q"), "{answers:?}");
    }
}

struct Guest {
    wire: Rc<Wire>,
    connection: String,
}

impl Guest {
    /// What it was answered since it last looked, each with its `request_id`.
    fn answers(&self) -> Vec<(String, Payload)> {
        let frames: Vec<_> = self.wire.frames.borrow_mut().drain(..).collect();
        frames
            .iter()
            .map(|frame| Envelope::decode(&**frame).unwrap())
            .flat_map(|envelope| match envelope.payload {
                Some(Payload::EnvelopeBatch(batch)) => batch.envelopes,
                _ => vec![envelope],
            })
            .filter_map(|envelope| Some((envelope.request_id, envelope.payload?)))
            .filter(|(_, payload)| {
                matches!(
                    payload,
                    Payload::Ack(_)
                        | Payload::Error(_)
                        | Payload::SyncResponse(_)
                        | Payload::FetchHistoryResponse(_)
                )
            })
            .collect()
    }
}

fn frame(request_id: &str, payload: Payload) -> Vec<u8> {
    Envelope { request_id: request_id.into(), revision: 0, payload: Some(payload) }.encode_to_vec()
}

/// What the contract says of a frame: the `request_id` of its answer, or None where it closes the connection.
fn due(frame: &[u8]) -> Option<Envelope> {
    let envelope = Envelope::decode(frame).ok().filter(|_| frame.len() <= MAX_FRAME)?;
    (envelope.payload.is_some() || !envelope.request_id.is_empty()).then_some(envelope)
}

/// Sends frames, each on a connection that is open, and holds the engine to what the contract says of them.
fn exchange(frames: &[Vec<u8>]) {
    let room = Room::new();
    let mut guest = room.guest("ana", true);
    for (n, frame) in frames.iter().enumerate() {
        room.says(&guest, frame);
        let answers = guest.answers();
        match due(frame) {
            None => {
                assert_eq!(guest.wire.closed.get(), Some(4006), "{}", hex::encode(frame));
                assert!(answers.is_empty(), "{answers:?}");
                room.says(&guest, frame);
                assert!(guest.wire.frames.borrow().is_empty(), "a closed connection is told nothing");
                guest = room.guest("ana", n % 2 == 0);
            }
            Some(Envelope { request_id, payload, .. }) => {
                assert_eq!(guest.wire.closed.get(), None, "{}", hex::encode(frame));
                let [(answered, answer)] = &answers[..] else { panic!("{payload:?}: {answers:?}") };
                assert_eq!(*answered, request_id);
                if let Payload::Error(error) = answer {
                    let known = Code::ALL.iter().find(|code| code.as_str() == error.error_code);
                    let status = known.map(|code| u32::from(code.status()));
                    assert_eq!(status, Some(error.code));
                    assert!(error.code < 500, "{payload:?}: {error:?}");
                    assert_eq!(error.request_id, request_id);
                }
                stored(&room, payload.as_ref(), answer);
            }
        }
    }
    room.serves();
    room.world.run_until_idle();
}

/// That what was acked is stored as it was asked for.
fn stored(room: &Room, asked: Option<&Payload>, answer: &Payload) {
    let content = match asked {
        Some(Payload::SendMessageRequest(request)) => request.content.trim(),
        Some(Payload::EditMessageRequest(request)) => request.content.trim(),
        _ => return,
    };
    let Payload::Ack(ack) = answer else { return };
    let message = ack.message.as_ref().expect("an ack of a message carries it");
    assert_eq!(message.content, content);
    let row = room
        .database
        .value::<String>(&format!("SELECT hex(content_text) FROM messages WHERE id = '{}'", message.id));
    assert_eq!(row.to_lowercase(), hex::encode(content));
}

// Frames worth keeping: each was a question once.

fn requests() -> Vec<Payload> {
    let id = || MESSAGE.to_owned();
    let send = |content: &str, nonce: &str| SendMessageRequest {
        content: content.into(),
        nonce: nonce.into(),
        ..SendMessageRequest::default()
    };
    vec![
        Payload::SendMessageRequest(send("hello @user:bob @role:everyone", "n1")),
        Payload::SendMessageRequest(SendMessageRequest { reply_to_id: Some(id()), ..send("a reply", "") }),
        Payload::SendMessageRequest(SendMessageRequest { reply_to_id: Some(String::new()), ..send("x", "") }),
        Payload::SendMessageRequest(send("nul \0 in between", "nul\0nul")),
        Payload::SendMessageRequest(send("\u{feff}\u{2028}\u{10ffff}\u{fffe}", "\u{10ffff}")),
        Payload::SendMessageRequest(send(" \u{3000}\t\n", "blank")),
        Payload::SendMessageRequest(send(&"é".repeat(4_000), &"é".repeat(64))),
        Payload::SendMessageRequest(send(&"é".repeat(4_001), "")),
        Payload::SendMessageRequest(send("x", &"é".repeat(65))),
        Payload::SendMessageRequest(send("'; DROP TABLE messages; --", "' OR 1 = 1")),
        Payload::SendMessageRequest(send("{\"k\":1}\\u0000\"", "\"},{\"k\":0")),
        Payload::SendMessageRequest(SendMessageRequest {
            envelope: vec![1],
            ..SendMessageRequest::default()
        }),
        Payload::EditMessageRequest(EditMessageRequest {
            message_id: id(),
            content: "edited".into(),
            ..EditMessageRequest::default()
        }),
        Payload::DeleteMessageRequest(DeleteMessageRequest { message_id: id() }),
        Payload::DeleteMessageRequest(DeleteMessageRequest { message_id: id().to_uppercase() }),
        Payload::DeleteMessageRequest(DeleteMessageRequest { message_id: id().replace('-', "") }),
        Payload::AddReactionRequest(AddReactionRequest { message_id: id(), emoji: "👍".into() }),
        Payload::AddReactionRequest(AddReactionRequest { message_id: id(), emoji: "\0".into() }),
        Payload::AddReactionRequest(AddReactionRequest { message_id: id(), emoji: "\"]}".into() }),
        Payload::RemoveReactionRequest(RemoveReactionRequest { message_id: id(), emoji: "👍".into() }),
        Payload::UpdateLastReadRequest(UpdateLastReadRequest { last_sequence: 1, allow_decrease: true }),
        Payload::UpdateLastReadRequest(UpdateLastReadRequest {
            last_sequence: u64::MAX,
            allow_decrease: false,
        }),
        Payload::SetPresenceRequest(SetPresenceRequest { status: 2 }),
        Payload::SetPresenceRequest(SetPresenceRequest { status: i32::MIN }),
        Payload::TypingRequest(TypingRequest {}),
        Payload::FetchHistoryRequest(FetchHistoryRequest::default()),
        Payload::FetchHistoryRequest(FetchHistoryRequest {
            before_sequence: u64::MAX,
            limit: 100,
            ..FetchHistoryRequest::default()
        }),
        Payload::FetchHistoryRequest(FetchHistoryRequest {
            around_sequence: u64::MAX,
            limit: u32::MAX,
            ..FetchHistoryRequest::default()
        }),
        Payload::FetchHistoryRequest(FetchHistoryRequest {
            after_sequence: u64::MAX,
            ..FetchHistoryRequest::default()
        }),
        Payload::FetchHistoryRequest(FetchHistoryRequest {
            around_sequence: u64::MAX - 1,
            limit: 100,
            ..FetchHistoryRequest::default()
        }),
        Payload::SyncRequest(SyncRequest { since_revision: 0, limit: 200 }),
        Payload::SyncRequest(SyncRequest { since_revision: u64::MAX, limit: u32::MAX }),
        Payload::SyncRequest(SyncRequest { since_revision: u64::MAX, limit: 0 }),
        Payload::RefreshTokenRequest(RefreshTokenRequest { token: "a.b.c".into() }),
        // What only a server says.
        Payload::Hello(Hello::default()),
        Payload::EnvelopeBatch(EnvelopeBatch { envelopes: vec![Envelope::default()] }),
    ]
}

fn corpus() -> Vec<Vec<u8>> {
    let mut corpus: Vec<Vec<u8>> = requests().into_iter().map(|payload| frame("r", payload)).collect();
    let nested = (0..150).fold(Envelope::default(), |inner, _| Envelope {
        payload: Some(Payload::EnvelopeBatch(EnvelopeBatch { envelopes: vec![inner] })),
        ..Envelope::default()
    });
    let typing = || Payload::TypingRequest(TypingRequest {});
    corpus.extend([
        Vec::new(),
        b"ping".to_vec(),
        b"{\"request_id\": \"r\"}".to_vec(),
        // A name without a payload, and a payload without a name.
        Envelope { request_id: "r".into(), ..Envelope::default() }.encode_to_vec(),
        frame("", typing()),
        // A payload that no server knows yet, and one of the wrong wire type.
        [frame("r", typing()), vec![0xfa, 0x7d, 0x00]].concat(),
        vec![0x0a, 0x01, b'r', 0xfa, 0x7d, 0x00],
        vec![0x0a, 0x01, b'r', 0xa0, 0x08, 0x01],
        // Two payloads: the last counts.
        [frame("r", typing()), frame("s", Payload::SyncRequest(SyncRequest::default()))].concat(),
        // A length beyond the end, a varint without one, a group, field 0, a name that is not UTF-8.
        vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
        vec![0xff; 11],
        vec![0x0b, 0x0c],
        vec![0x02, 0x00],
        vec![0x0a, 0x02, 0xc3, 0x28],
        nested.encode_to_vec(),
        // The longest name that a frame can have, and one byte more.
        frame(&"r".repeat(MAX_FRAME - 7), typing()),
        frame(&"r".repeat(MAX_FRAME - 6), typing()),
    ]);
    corpus
}

#[test]
fn the_corpus_is_answered_or_closes() {
    let corpus = corpus();
    let lengths: Vec<_> = corpus.iter().rev().take(2).map(Vec::len).collect();
    assert_eq!(lengths, [MAX_FRAME + 1, MAX_FRAME], "the last two lie on either side of the bound");
    exchange(&corpus);
}

/// Small damage to a frame.
#[derive(Debug, Clone)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Cut(prop::sample::Index),
    Repeat(prop::sample::Index),
    Join(prop::sample::Index),
}

impl Damage {
    fn any() -> impl Strategy<Value = Self> {
        let at = any::<prop::sample::Index>;
        prop_oneof![
            (at(), any::<u8>()).prop_map(|(at, by)| Self::Flip(at, by)),
            (at(), any::<u8>()).prop_map(|(at, byte)| Self::Insert(at, byte)),
            at().prop_map(Self::Remove),
            at().prop_map(Self::Cut),
            at().prop_map(Self::Repeat),
            at().prop_map(Self::Join),
        ]
    }

    fn done_to(&self, frame: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let length = frame.len();
        match self {
            Self::Insert(at, byte) => frame.insert(at.index(length + 1), *byte),
            Self::Join(with) => frame.extend_from_slice(&corpus[with.index(corpus.len())]),
            _ if frame.is_empty() => {}
            Self::Flip(at, by) => frame[at.index(length)] ^= by,
            Self::Remove(at) => drop(frame.remove(at.index(length))),
            Self::Cut(at) => frame.truncate(at.index(length)),
            Self::Repeat(at) => frame.extend_from_within(at.index(length)..),
        }
    }
}

/// Frames of the corpus, damaged a little.
fn damaged() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let one = (any::<prop::sample::Index>(), prop::collection::vec(Damage::any(), 0..4));
    prop::collection::vec(one, 1..6).prop_map(|frames| {
        let corpus = corpus();
        let damage = |(which, damages): (prop::sample::Index, Vec<Damage>)| {
            let mut frame = corpus[which.index(corpus.len())].clone();
            damages.iter().for_each(|damage| damage.done_to(&mut frame, &corpus));
            frame
        };
        frames.into_iter().map(damage).collect()
    })
}

/// Text as people and attackers write it, around the limits.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,12}",
        any::<String>(),
        "[ \\t\u{3000}]{0,3}(@user:[a-z0-9.:|@-]{0,9} ?|@\\[x\\]\\(role:[a-z]{0,3}\\)){0,60}",
        prop::sample::select(vec![
            MESSAGE,
            "",
            ".",
            "..",
            "👍",
            "\0",
            "01890A5D-AC96-774B-BCCE-B302099A8057"
        ])
        .prop_map(String::from),
        (3_990..4_010usize).prop_map(|length| "é".repeat(length)),
        (60..70usize).prop_map(|length| "x".repeat(length)),
    ]
}

fn request() -> impl Strategy<Value = Payload> {
    let id = || prop_oneof![3 => Just(MESSAGE.to_owned()), 1 => text()];
    prop_oneof![
        (text(), prop::option::of(id()), text()).prop_map(|(content, reply_to_id, nonce)| {
            Payload::SendMessageRequest(SendMessageRequest {
                content,
                reply_to_id,
                nonce,
                envelope: Vec::new(),
            })
        }),
        (id(), text()).prop_map(|(message_id, content)| {
            Payload::EditMessageRequest(EditMessageRequest { message_id, content, envelope: Vec::new() })
        }),
        id().prop_map(|message_id| Payload::DeleteMessageRequest(DeleteMessageRequest { message_id })),
        (id(), text()).prop_map(|(message_id, emoji)| {
            Payload::AddReactionRequest(AddReactionRequest { message_id, emoji })
        }),
        (id(), text()).prop_map(|(message_id, emoji)| {
            Payload::RemoveReactionRequest(RemoveReactionRequest { message_id, emoji })
        }),
        (any::<u64>(), any::<bool>()).prop_map(|(last_sequence, allow_decrease)| {
            Payload::UpdateLastReadRequest(UpdateLastReadRequest { last_sequence, allow_decrease })
        }),
        prop::sample::select(requests()),
    ]
}

// The contract's limits, said again.

fn is_content(text: &str) -> bool {
    let within = (1..=4_000).contains(&text.trim().chars().count());
    within
        && Mentions::parse(text.trim())
            .is_ok_and(|mentions| mentions.users.len() <= 50 && mentions.roles.len() <= 20)
}

fn is_id(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_emoji(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
        && text != "."
        && text != ".."
}

fn is_within_limits(request: &Payload) -> bool {
    match request {
        Payload::SendMessageRequest(request) => {
            is_content(&request.content)
                && request.nonce.chars().count() <= 64
                && request.reply_to_id.as_deref().is_none_or(is_id)
                && request.envelope.is_empty()
        }
        Payload::EditMessageRequest(request) => {
            is_id(&request.message_id) && is_content(&request.content) && request.envelope.is_empty()
        }
        Payload::DeleteMessageRequest(request) => is_id(&request.message_id),
        Payload::AddReactionRequest(request) => is_id(&request.message_id) && is_emoji(&request.emoji),
        Payload::RemoveReactionRequest(request) => is_id(&request.message_id) && is_emoji(&request.emoji),
        Payload::UpdateLastReadRequest(_) => true,
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_answered_or_close(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..6)
    ) {
        exchange(&frames);
    }

    #[test]
    fn damaged_frames_are_answered_or_close(frames in damaged()) {
        exchange(&frames);
    }

    #[test]
    fn requests_within_the_limits_and_beyond_are_answered(
        requests in prop::collection::vec(("[a-z]{0,3}", request()), 1..8)
    ) {
        let frames: Vec<_> = requests.into_iter().map(|(id, payload)| frame(&id, payload)).collect();
        exchange(&frames);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_parsed_is_within_the_limits_and_what_is_within_them_is_parsed(request in request()) {
        let rules = Rules::new(ChannelId::parse(MESSAGE).unwrap());
        let parsed = Command::parse(request.clone(), &rules, Signature::Unverified);
        prop_assert_eq!(parsed.is_ok(), is_within_limits(&request), "{:?}", parsed);
        if let Err(problem) = parsed {
            prop_assert!((400..500).contains(&problem.code.status()), "{}", problem);
        }
    }
}
