//! Who may do what, as one table: every route and every request of the socket, asked by everyone there is, in a public
//! and in a private channel. What is new and has no row here fails.

use std::collections::BTreeSet;

use edgewise_core::proto::{Envelope, PresenceStatus, envelope::Payload};
use edgewise_tests::{Author, Key, Server, Signed, Socket, User, ask, payloads, routes};
use futures_util::{StreamExt as _, stream};
use prost::Message as _;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

const SEND_MESSAGES: u32 = 1;
const MANAGE_CHANNELS: u32 = 2;
const KICK_MEMBERS: u32 = 4;
const BAN_MEMBERS: u32 = 8;
const MANAGE_MESSAGES: u32 = 32;
const ADD_REACTIONS: u32 = 64;
const MANAGE_ROLES: u32 = 128;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// Without a token.
    Nobody,
    /// Whose token has expired.
    Expired,
    /// A member who is banned.
    Banned,
    /// Not in the channel.
    Stranger,
    /// In the channel; who sent what the requests are about.
    Member,
    /// A member who may kick, ban and manage messages.
    Moderator,
    /// An admin's token, not in the channel.
    Admin,
    /// An owner's token, not in the channel.
    Owner,
}

use Who::{Admin, Banned, Expired, Member, Moderator, Nobody, Owner, Stranger};

const EVERYONE: [Who; 8] = [Nobody, Expired, Banned, Stranger, Member, Moderator, Admin, Owner];

impl Who {
    const fn permissions(self) -> u32 {
        match self {
            Nobody | Expired | Banned => 0,
            Stranger | Member => SEND_MESSAGES | ADD_REACTIONS,
            Moderator => SEND_MESSAGES | ADD_REACTIONS | KICK_MEMBERS | BAN_MEMBERS | MANAGE_MESSAGES,
            Admin | Owner => 255,
        }
    }

    /// With which code a socket of theirs is closed at once.
    const fn refused_at_the_door(self, private: bool) -> Option<u16> {
        match self {
            Nobody => Some(4002),
            Expired => Some(4001),
            Banned => Some(4003),
            Stranger if private => Some(4007),
            Stranger | Member | Moderator | Admin | Owner => None,
        }
    }
}

/// Who may.
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// Everyone, with a token or without.
    Anyone,
    /// Who has a good token, is not banned, and has all of these permissions.
    User(u32),
    /// Who sees the channel besides, with these permissions.
    Channel(u32),
    /// The same; and with those that come second where the channel is private.
    ChannelOrPrivate(u32, u32),
    /// Who sent the message; and who has these permissions, unless there are none.
    Sender(u32),
}

impl Rule {
    /// How the answer is, where it is a refusal.
    fn refuses(self, who: Who, private: bool) -> Option<(u16, &'static str)> {
        const FORBIDDEN: Option<(u16, &str)> = Some((403, "FORBIDDEN"));
        match (self, who) {
            (Self::Anyone, _) => return None,
            (_, Nobody) => return Some((401, "TOKEN_MISSING")),
            (_, Expired) => return Some((401, "TOKEN_EXPIRED")),
            (_, Banned) => return Some((403, "BANNED")),
            (Self::Channel(_) | Self::ChannelOrPrivate(..) | Self::Sender(_), Stranger) if private => {
                return Some((404, "CHANNEL_NOT_FOUND"));
            }
            _ => {}
        }
        let lacks = |needed: u32| who.permissions() & needed != needed;
        let refused = match self {
            Self::Anyone => false,
            Self::User(needed) | Self::Channel(needed) => lacks(needed),
            Self::ChannelOrPrivate(public, hidden) => lacks(if private { hidden } else { public }),
            Self::Sender(others) => who != Member && (others == 0 || lacks(others)),
        };
        if refused { FORBIDDEN } else { None }
    }
}

/// A route, who may ask for it, and what it then answers: a status, and a code where even that is a refusal.
struct Row {
    method: Method,
    /// As the router has it.
    route: &'static str,
    /// As it is asked for: `{names}` are the scene's.
    path: String,
    rule: Rule,
    body: Option<Value>,
    /// The body is what the member signed.
    signed: bool,
    answer: (u16, &'static str),
}

/// `METHOD /path?query`
fn row(request: &'static str, rule: Rule, status: u16) -> Row {
    let (method, path) = request.split_once(' ').expect("a method and a path");
    let route = path.split('?').next().unwrap_or_default();
    let method = method.parse().expect("a method");
    Row { method, route, path: path.to_owned(), rule, body: None, signed: false, answer: (status, "") }
}

impl Row {
    fn with(mut self, name: &str, value: &str) -> Self {
        self.path = self.path.replace(name, value);
        self
    }

    fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    fn signed(mut self) -> Self {
        self.signed = true;
        self
    }

    fn code(mut self, code: &'static str) -> Self {
        self.answer.1 = code;
        self
    }
}

/// The table.
fn table() -> Vec<Row> {
    use Rule::{Anyone, Channel, ChannelOrPrivate, Sender, User};
    let content = || json!({"content": "x"});
    vec![
        row("GET /api/channels/{channel_id}/messages", Channel(0), 200),
        row("POST /api/channels/{channel_id}/messages", Channel(SEND_MESSAGES), 201).body(content()),
        row("GET /api/channels/{channel_id}/messages/{message_id}", Channel(0), 200),
        row("PUT /api/channels/{channel_id}/messages/{message_id}", Sender(0), 200).body(content()),
        row("DELETE /api/channels/{channel_id}/messages/{message_id}", Sender(MANAGE_MESSAGES), 204),
        row("GET /api/channels/{channel_id}/changes?since=0", Channel(0), 200),
        row("GET /api/channels/{channel_id}/messages/{message_id}/reactions", Channel(0), 200),
        row("POST /api/channels/{channel_id}/messages/{message_id}/reactions", Channel(ADD_REACTIONS), 201)
            .body(json!({"emoji": "new"})),
        row("GET /api/channels/{channel_id}/messages/{message_id}/reactions/{emoji}", Channel(0), 200),
        row("DELETE /api/channels/{channel_id}/messages/{message_id}/reactions/{emoji}", Channel(0), 204),
        row("GET /api/channels/{channel_id}/last-read", Channel(0), 200),
        row("PUT /api/channels/{channel_id}/last-read", Channel(0), 200).body(json!({"last_sequence": 0})),
        row("GET /api/channels", User(0), 200),
        row("POST /api/channels", User(MANAGE_CHANNELS), 201).body(json!({"name": "new"})),
        row("GET /api/channels/{channel_id}", Channel(0), 200),
        row("PATCH /api/channels/{channel_id}", Channel(MANAGE_CHANNELS), 200).body(json!({"name": "new"})),
        row("DELETE /api/channels/{channel_id}", Channel(MANAGE_CHANNELS), 204),
        row("GET /api/channels/{channel_id}/members", Channel(0), 200),
        row("PUT /api/channels/{channel_id}/members/{user_id}", ChannelOrPrivate(0, MANAGE_CHANNELS), 204)
            .with("{user_id}", "@me"),
        row("PUT /api/channels/{channel_id}/members/{user_id}", Channel(MANAGE_CHANNELS), 204),
        row("DELETE /api/channels/{channel_id}/members/{user_id}", Channel(0), 204).with("{user_id}", "@me"),
        row("DELETE /api/channels/{channel_id}/members/{user_id}", Channel(KICK_MEMBERS), 204),
        row("GET /api/channels/{channel_id}/presence", Channel(0), 200),
        row("POST /api/channels/{channel_id}/typing", Channel(0), 204),
        // What a socket may is below; this is what is none.
        row("GET /api/channels/{channel_id}/ws", Anyone, 426).code("UPGRADE_REQUIRED"),
        // Nobody else's, with a token like theirs: whoever it is.
        row("POST /api/gossip", Sender(0), 201).signed(),
        row("GET /api/roles", User(0), 200),
        row("POST /api/roles", User(MANAGE_ROLES), 201).body(json!({"name": "{unique}"})),
        row("PATCH /api/roles/{role_id}", User(MANAGE_ROLES), 200).body(json!({"color": 1})),
        row("DELETE /api/roles/{role_id}", User(MANAGE_ROLES), 204),
        row("PUT /api/users/{user_id}/roles/{role_id}", User(MANAGE_ROLES), 204),
        row("DELETE /api/users/{user_id}/roles/{role_id}", User(MANAGE_ROLES), 204),
        row("GET /api/bans", User(BAN_MEMBERS), 200),
        row("PUT /api/bans/{user_id}", User(BAN_MEMBERS), 204).with("{user_id}", "{someone}").body(json!({})),
        row("DELETE /api/bans/{user_id}", User(BAN_MEMBERS), 204).with("{user_id}", "{outcast}"),
        row("GET /api/audit", User(BAN_MEMBERS), 200),
        row("GET /api/users/{user_id}", User(0), 200),
        row("PATCH /api/users/{user_id}", User(0), 200)
            .with("{user_id}", "@me")
            .body(json!({"display_name": "new"})),
        row("PATCH /api/users/{user_id}", User(0), 403)
            .code("FORBIDDEN")
            .body(json!({"display_name": "new"})),
        row("GET /api/invites", User(MANAGE_CHANNELS), 200),
        row("POST /api/invites", User(MANAGE_CHANNELS), 201).body(json!({"max_uses": 1})),
        row("DELETE /api/invites/{code}", User(MANAGE_CHANNELS), 204),
        // A token is not asked for, and helps nobody; what keys are held to is in `identity.rs`.
        row("POST /api/auth/challenge", Anyone, 200).body(json!({"public_key": "{public_key}"})),
        row("POST /api/auth/register", Anyone, 401).code("CREDENTIALS_INVALID").body(json!({
            "public_key": "{public_key}", "display_name": "x", "challenge_id": "x", "signature": "x"
        })),
        row("POST /api/auth/verify", Anyone, 401)
            .code("CREDENTIALS_INVALID")
            .body(json!({"public_key": "{public_key}", "challenge_id": "x", "signature": "x"})),
        row("POST /api/auth/refresh", Anyone, 401)
            .code("CREDENTIALS_INVALID")
            .body(json!({"refresh_token": "x"})),
        row("POST /api/auth/logout", Anyone, 204).body(json!({"refresh_token": "x"})),
        row("GET /health", Anyone, 200),
        row("GET /api/info", Anyone, 200),
    ]
}

/// One of everyone, for all scenes of a test.
struct Cast {
    server: &'static Server,
    run: String,
    /// The member's.
    key: Key,
}

impl Cast {
    async fn gather() -> Self {
        let (run, key) = (Uuid::new_v4().simple().to_string(), Key::new());
        let cast = Self { server: Server::shared(), run, key };
        for who in EVERYONE {
            cast.know(&cast.id(who)).await;
        }
        cast.know(&cast.bystander()).await;
        let sql = "UPDATE users SET public_key = ? WHERE id = ?";
        cast.server.sql(sql, json!([cast.key.public(), cast.id(Member)])).await;
        let role = format!("moderators {}", cast.run);
        let sql = "INSERT INTO roles (id, name, permissions) VALUES (?1, ?1, ?2)";
        cast.server.sql(sql, json!([role, KICK_MEMBERS | BAN_MEMBERS | MANAGE_MESSAGES])).await;
        let sql = "INSERT INTO user_roles (user_id, role_id) VALUES (?, ?)";
        cast.server.sql(sql, json!([cast.id(Moderator), role])).await;
        cast.ban(&cast.id(Banned)).await;
        cast
    }

    async fn ban(&self, id: &str) {
        let sql = "INSERT INTO bans (user_id, banned_by, created_at) VALUES (?, 'olga', 1)";
        self.server.sql(sql, json!([id])).await;
    }

    async fn know(&self, id: &str) {
        let sql = "INSERT INTO users (id, display_name, created_at) VALUES (?1, ?1, 1)";
        self.server.sql(sql, json!([id])).await;
    }

    fn id(&self, who: Who) -> String {
        format!("{who:?}-{}", self.run)
    }

    /// An ordinary user whom requests are about.
    fn bystander(&self) -> String {
        format!("bystander-{}", self.run)
    }

    fn token(&self, who: Who) -> String {
        let token = self.server.token(&self.id(who));
        match who {
            Nobody => return String::new(),
            Expired => token.expires_in(-120),
            Admin => token.admin(),
            Owner => token.owner(),
            Banned | Stranger | Member | Moderator => token,
        }
        .mint()
    }

    /// A channel of the request's own.
    async fn scene(&self, private: bool) -> Scene<'_> {
        let channel = Uuid::new_v4().to_string();
        let sql = "INSERT INTO channels (id, name, private, created_at) VALUES (?, 'scene', ?, 1)";
        self.server.sql(sql, json!([channel, i32::from(private)])).await;
        let sql =
            "INSERT INTO members (channel_id, user_id, joined_at) SELECT ?1, value, 1 FROM json_each(?2)";
        let members = [Member, Moderator, Banned].map(|who| self.id(who));
        self.server.sql(sql, json!([channel, json!(members).to_string()])).await;
        let thing = Uuid::now_v7().to_string();
        Scene { cast: self, channel, message: String::new(), thing }
    }
}

/// What a request is about, and nobody else's: a channel; where they are needed, a message, a role, an invite, a user.
struct Scene<'a> {
    cast: &'a Cast,
    channel: String,
    message: String,
    /// The role's, the invite's or a user's id.
    thing: String,
}

impl Scene<'_> {
    fn user(&self, who: Who) -> User {
        self.cast.server.with_token(&self.cast.token(who)).in_channel(&self.channel)
    }

    /// Has the member send a message, to which `who` reacts.
    async fn set(&mut self, who: Who) {
        let sent = self.user(Member).send("of the member's").await;
        let sql = "INSERT INTO reactions (channel_id, server_sequence, emoji, user_id, created_at, revision)
                   VALUES (?, ?, 'x', ?, 1, ?)";
        let reaction = json!([self.channel, sent.server_sequence, self.cast.id(who), sent.revision]);
        self.cast.server.sql(sql, reaction).await;
        self.message = sent.id;
    }

    fn signed(&self) -> Signed {
        Author::new(self.user(Member), self.cast.key.clone()).note("of the member's").sign()
    }

    /// Makes a role, and gives it to the bystander.
    async fn set_role(&self) {
        let sql = "INSERT INTO roles (id, name, permissions) VALUES (?1, ?1, 0)";
        self.cast.server.sql(sql, json!([self.thing])).await;
        let sql = "INSERT INTO user_roles (user_id, role_id) VALUES (?, ?)";
        self.cast.server.sql(sql, json!([self.cast.bystander(), self.thing])).await;
    }

    /// Makes an invite.
    async fn set_invite(&self) {
        let sql = "INSERT INTO invites (code, created_by, created_at) VALUES (?, ?, 1)";
        self.cast.server.sql(sql, json!([self.thing, self.cast.bystander()])).await;
    }

    fn public_key(&self) -> String {
        self.cast.key.public()
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{channel_id}", &self.channel)
            .replace("{message_id}", &self.message)
            .replace("{user_id}", &self.cast.bystander())
            .replace("{role_id}", &self.thing)
            .replace("{code}", &self.thing)
            .replace("{someone}", &self.thing)
            .replace("{outcast}", &self.thing)
            .replace("{public_key}", &self.public_key())
            .replace("{emoji}", "x")
            .replace("{unique}", &Uuid::new_v4().to_string())
    }

    async fn asks(&mut self, row: &Row, who: Who, private: bool) {
        let text = row.body.as_ref().map(Value::to_string).unwrap_or_default();
        if (row.path.clone() + &text).contains("{message_id}") {
            self.set(who).await;
        }
        if row.path.contains("{role_id}") {
            self.set_role().await;
        }
        if row.path.contains("{someone}") || row.path.contains("{outcast}") {
            self.cast.know(&self.thing).await;
        }
        if row.path.contains("{outcast}") {
            self.cast.ban(&self.thing).await;
        }
        if row.path.contains("{code}") {
            self.set_invite().await;
        }
        let call = self.user(who).call(row.method.clone(), &self.fill(&row.path));
        let call = if row.body.is_some() { call.body("application/json", self.fill(&text)) } else { call };
        let call = if row.signed { call.body("application/x-protobuf", self.signed().0) } else { call };
        let answer = call.send().await;
        let (status, code) = row.rule.refuses(who, private).unwrap_or(row.answer);
        let told = format!(
            "{} {} by {who:?} in a {} channel: {status} {code} was expected, and came {}: {}",
            row.method,
            row.path,
            if private { "private" } else { "public" },
            answer.status,
            answer.text()
        );
        assert_eq!(answer.status, status, "{told}");
        if code.is_empty() {
            return;
        }
        assert_eq!(answer.json::<Value>()["code"], code, "{told}");
        answer.refused(status, code);
    }
}

#[test]
fn every_route_has_a_row() {
    let known: BTreeSet<_> = routes().into_iter().collect();
    let rows: BTreeSet<_> =
        table().iter().map(|row| (row.method.to_string(), row.route.to_owned())).collect();
    let missing: Vec<_> = known.difference(&rows).collect();
    assert!(missing.is_empty(), "routes without a row in the table above: {missing:?}");
    let gone: Vec<_> = rows.difference(&known).collect();
    assert!(gone.is_empty(), "rows for what is no route: {gone:?}");
}

#[tokio::test]
async fn every_route_for_everyone_everywhere() {
    let cast = Cast::gather().await;
    let rows = table();
    let cells = rows.iter().flat_map(|row| {
        let privacies: &[bool] = if row.path.contains("{channel_id}") { &[false, true] } else { &[false] };
        privacies.iter().flat_map(move |&private| EVERYONE.map(|who| (row, who, private)))
    });
    let cast = &cast;
    let walks = cells.map(|(row, who, private)| async move {
        let mut scene = cast.scene(private).await;
        scene.asks(row, who, private).await;
    });
    stream::iter(walks).buffer_unordered(8).collect::<Vec<()>>().await;
}

/// A request of the socket.
struct Request {
    number: u32,
    payload: fn(&Scene, Who) -> Payload,
    rule: Rule,
}

fn requests() -> Vec<Request> {
    use Rule::{Channel, Sender};
    let request =
        |number: u32, rule: Rule, payload: fn(&Scene, Who) -> Payload| Request { number, payload, rule };
    vec![
        request(130, Channel(0), |_, _| ask::history()),
        request(132, Channel(SEND_MESSAGES), |_, _| ask::send("x")),
        request(133, Sender(0), |scene, _| ask::edit(&scene.message, "edited")),
        request(134, Sender(MANAGE_MESSAGES), |scene, _| ask::delete(&scene.message)),
        request(135, Channel(ADD_REACTIONS), |scene, _| ask::react(&scene.message, "new")),
        request(136, Channel(0), |scene, _| ask::unreact(&scene.message, "x")),
        request(137, Channel(0), |_, _| ask::mark_read(0)),
        request(138, Channel(0), |_, _| ask::presence(PresenceStatus::Away)),
        request(139, Channel(0), |_, _| ask::typing()),
        request(140, Channel(0), |_, _| ask::sync(0, 10)),
        request(145, Channel(0), |scene, who| ask::refresh(&scene.cast.token(who))),
    ]
}

/// What only the server says.
const SAID_BY_THE_SERVER: [u32; 16] =
    [99, 120, 121, 122, 123, 124, 125, 126, 131, 141, 142, 143, 144, 146, 147, 148];

#[test]
fn every_request_of_the_socket_has_a_row() {
    let known: BTreeSet<u32> = payloads().into_iter().map(|(number, _)| number).collect();
    let rows = requests().into_iter().map(|request| request.number).chain(SAID_BY_THE_SERVER);
    assert_eq!(known, rows.collect(), "payloads of Envelope, and what the tables above have");
}

#[tokio::test]
async fn every_request_for_everyone_everywhere() {
    let cast = Cast::gather().await;
    for private in [false, true] {
        for who in EVERYONE {
            let mut scene = cast.scene(private).await;
            if let Some(code) = who.refused_at_the_door(private) {
                scene.user(who).dial().refused(code).await;
                continue;
            }
            let mut socket = scene.user(who).connect().await;
            for request in requests() {
                scene.set(who).await;
                let answer = socket.ask((request.payload)(&scene, who)).await;
                let told = format!("{} by {who:?}, private: {private}: {answer:?}", request.number);
                match (request.rule.refuses(who, private), answer) {
                    (None, Payload::Error(_)) => panic!("{told}"),
                    (None, _) => {}
                    (Some((status, code)), Payload::Error(error)) => {
                        assert_eq!((error.code, error.error_code.as_str()), (status.into(), code), "{told}");
                    }
                    (Some(_), _) => panic!("{told}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn what_only_the_server_says_it_is_not_told() {
    let cast = Cast::gather().await;
    let scene = cast.scene(false).await;
    let mut socket: Socket = scene.user(Owner).connect().await;
    for number in SAID_BY_THE_SERVER {
        let request_id = format!("number {number}");
        let mut frame = Envelope { request_id: request_id.clone(), ..Envelope::default() }.encode_to_vec();
        prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut frame);
        frame.push(0);
        socket.send_bytes(frame).await;
        match socket.answer(&request_id).await {
            Payload::Error(error) => {
                assert_eq!((error.code, error.error_code.as_str()), (400, "REQUEST_UNSUPPORTED"), "{number}");
            }
            other => panic!("{number} is answered with {other:?}"),
        }
    }
}
