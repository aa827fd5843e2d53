//! What someone tries who means harm, on every route and request alike: text that other languages read as their own,
//! ids that belong elsewhere, pages of other origins; and what of a token could be found in the logs.

use std::fs;

use edgewise_core::proto::{Envelope, envelope::Payload};
use edgewise_tests::{Call, Dial, Frame, Key, Login, Room, Server, User, ask, routes};
use prost::Message as _;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

/// Text that SQL, JSON, a URL, a header, HTML, a shell or C would take for more than text.
const HOSTILE: [&str; 22] = [
    "'",
    "''",
    "\"",
    "\\",
    "\\\"",
    "'; DROP TABLE messages; --",
    "' OR '1'='1",
    "\" OR \"\"=\"",
    "x' UNION SELECT name FROM sqlite_master --",
    "?1",
    ":a @b $c",
    "%",
    "_%",
    "$.content",
    "\"},{\"k\":0",
    "\"]}",
    "{\"id\":null}",
    "\\u0000",
    "%00%27%22",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "${jndi:ldap://x}",
];

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Every route with each of its parameters in turn replaced by this, the others being what is there.
fn with_in_path(hostile: &str, room: &Room<'_>, message: &str) -> Vec<(Method, String)> {
    let mut calls = Vec::new();
    for (method, route) in routes() {
        let method: Method = method.parse().expect("a method");
        let names: Vec<&str> = route.split('/').filter(|part| part.starts_with('{')).collect();
        for hostile_one in &names {
            let path = names.iter().fold(route.clone(), |path, name| {
                let value = match *name {
                    name if name == *hostile_one => percent_encoded(hostile),
                    "{channel_id}" => room.id.clone(),
                    "{message_id}" => message.to_owned(),
                    "{role_id}" => "everyone".to_owned(),
                    _ => "x".to_owned(),
                };
                path.replace(name, &value)
            });
            calls.push((method.clone(), path));
        }
    }
    calls
}

/// Expects an answer that is no defect, and whose refusal says nothing that it should not.
async fn no_defect(call: Call, what: &str) -> u16 {
    let answer = call.send().await;
    let status = answer.status;
    assert!(status < 500, "{what}: {status} {}", answer.text());
    if status >= 400 {
        let code = answer.json::<Value>()["code"].as_str().unwrap_or_default().to_owned();
        answer.refused(status, &code);
    }
    status
}

#[tokio::test]
async fn hostile_text_in_a_path_names_nothing() {
    let server = Server::shared();
    let room = server.room().await;
    let sent = room.owner.send("is still there").await;
    for hostile in HOSTILE {
        for (method, path) in with_in_path(hostile, &room, &sent.id) {
            let what = format!("{method} {path}");
            let status = no_defect(room.owner.call(method.clone(), &path).json(&json!({})), &what).await;
            // An emoji may be any text without a space; nothing else that has these characters is anything.
            let emoji = path.contains("/reactions/");
            let listed = emoji && method == Method::GET && status == 200;
            assert!(status >= 400 || listed, "{what}: {status}");
        }
    }
    assert_eq!(room.owner.read(&sent).await.content, "is still there");
    assert_eq!(room.owner.channel().await.last_sequence, 1);
}

#[tokio::test]
async fn hostile_text_in_a_query_is_refused_or_means_nothing() {
    let room = Server::shared().room().await;
    let sent = room.owner.send("is still there").await;
    for (method, route) in routes() {
        if method != "GET" || route.ends_with("/ws") {
            continue;
        }
        let path = route
            .replace("{channel_id}", &room.id)
            .replace("{message_id}", &sent.id)
            .replace("{emoji}", "x")
            .replace("{user_id}", "@me");
        for name in ["limit", "before", "after", "around", "since", "token", "x"] {
            for hostile in HOSTILE.into_iter().step_by(3) {
                let path = format!("{path}?{name}={}", percent_encoded(hostile));
                no_defect(room.owner.get(&path), &path).await;
            }
        }
    }
    for name in ["limit", "before", "after", "around"] {
        for hostile in HOSTILE {
            let path = format!("messages?{name}={}", percent_encoded(hostile));
            room.owner.get(&path).send().await.refused(400, "QUERY_INVALID");
        }
    }
    for hostile in HOSTILE {
        let socket = room.owner.dial().query(&format!("since={}", percent_encoded(hostile)));
        socket.refused(4006).await;
    }
}

#[tokio::test]
async fn hostile_text_in_a_header_stays_text() {
    let room = Server::shared().room().await;
    for hostile in HOSTILE {
        let answer = room.owner.get("messages").header("x-request-id", hostile).send().await.expect(200);
        let own = answer.header("x-request-id");
        if hostile.bytes().all(|byte| byte.is_ascii_graphic()) {
            assert_eq!(own, hostile);
        } else {
            assert!(Uuid::try_parse(own).is_ok(), "{own}");
        }
        for name in ["accept", "origin", "if-none-match", "sec-websocket-protocol", "x-edgewise-actor"] {
            room.owner.get("messages").header(name, hostile).send().await.expect(200);
        }
        let nobody = room.with_token("");
        for header in [hostile.to_owned(), format!("Bearer {hostile}"), format!("Bearer a.{hostile}.c")] {
            let answer = nobody.get("messages").header("authorization", &header).send().await.expect(401);
            assert!(!answer.text().contains(hostile) || hostile.len() < 3, "{}", answer.text());
        }
        let post = || room.owner.post("messages");
        no_defect(post().body(hostile, "{}"), hostile).await;
        let keyed = || post().header("idempotency-key", hostile).json(&json!({"content": "keyed"}));
        let first: Value = keyed().send().await.expect(201).json();
        assert_eq!(first["nonce"], hostile.trim());
        let again: Value = keyed().send().await.expect(200).json();
        assert_eq!(first["id"], again["id"]);
    }
}

#[tokio::test]
async fn hostile_text_in_a_body_comes_back_as_it_went() {
    let server = Server::shared();
    let room = server.room().await;
    let ana = room.user("ana");
    let mut socket = ana.connect().await;
    for hostile in HOSTILE {
        let body = json!({"content": hostile, "nonce": hostile});
        let sent: Value = ana.try_send(body.clone()).await.expect(201).json();
        assert_eq!((&sent["content"], &sent["nonce"]), (&body["content"], &body["nonce"]));
        let again: Value = ana.try_send(body).await.expect(200).json();
        assert_eq!(again["id"], sent["id"], "the nonce {hostile} names one send");
        let heard = socket.find(|envelope| match envelope.payload {
            Some(Payload::NewMessageEvent(event)) => event.message.filter(|heard| heard.sender_id == "ana"),
            _ => None,
        });
        let heard = heard.await;
        assert_eq!((heard.content.as_str(), heard.nonce.as_str()), (hostile, hostile));
        let over_socket = ask::send_once(hostile, hostile);
        assert!(matches!(socket.ask(over_socket).await, Payload::Ack(ack) if ack.replayed));

        let path = format!("messages/{}", sent["id"].as_str().unwrap());
        let edited = format!("edited {hostile}");
        let body = json!({"content": edited});
        let after: Value = ana.put(&path).json(&body).send().await.expect(200).json();
        assert_eq!(after["content"], edited);

        let emoji = hostile.replace(' ', "");
        let reactions = format!("{path}/reactions");
        let body = json!({"emoji": emoji});
        let summary: Value = ana.post(&reactions).json(&body).send().await.expect(201).json();
        assert_eq!(summary["emoji"], emoji);
        let one = format!("{reactions}/{}", percent_encoded(&emoji));
        let who: Value = ana.get(&one).send().await.expect(200).json();
        assert_eq!(who["users"][0]["user_id"], "ana", "{hostile}");
        ana.delete(&one).send().await.expect(204);

        let body = json!({"name": hostile, "topic": hostile});
        let channel: Value = room.owner.patch("").json(&body).send().await.expect(200).json();
        assert_eq!((&channel["name"], &channel["topic"]), (&body["name"], &body["topic"]));
        let named = room.with_token(&room.token("named").name(hostile).mint());
        let sent = named.send("named").await;
        assert_eq!(sent.sender_display_name, hostile);

        for field in ["reply_to_id", "envelope"] {
            let body = json!({"content": "x", field: hostile});
            let what = format!("{field}: {hostile}");
            assert!(no_defect(ana.post("messages").json(&body), &what).await >= 400, "{what}");
        }
        for (route, field) in [
            ("challenge", "public_key"),
            ("verify", "challenge_id"),
            ("register", "signature"),
            ("refresh", "refresh_token"),
        ] {
            let key = "00".repeat(32);
            let mut body = json!({
                "public_key": key, "display_name": "x", "challenge_id": "x", "signature": "x", "refresh_token": "x"
            });
            body[field] = hostile.into();
            let what = format!("{route}: {body}");
            let call = room.with_token("").post(&format!("/api/auth/{route}")).json(&body);
            assert!(no_defect(call, &what).await >= 400, "{what}");
        }
    }
    // A mention of what cannot be an id is none, and nothing was dropped.
    let total = 2 * HOSTILE.len() as u64;
    assert_eq!(room.owner.channel().await.last_sequence, total);
    let roles = server.sql("SELECT count(*) AS n FROM roles WHERE id = 'everyone'", json!([])).await;
    assert_eq!(roles[0]["n"], 1);
}

#[tokio::test]
async fn hostile_text_in_a_frame_is_refused_or_stays_text() {
    let room = Server::shared().room().await;
    let mut socket = room.user("ana").connect().await;
    for hostile in HOSTILE {
        for request in [
            ask::edit(hostile, "x"),
            ask::delete(hostile),
            ask::react(hostile, "x"),
            ask::unreact(hostile, "x"),
            ask::reply("x", hostile),
        ] {
            socket.refused(request, 400, "ID_INVALID").await;
        }
        assert!(
            matches!(socket.ask(ask::refresh(hostile)).await, Payload::Error(error) if error.code == 401)
        );
        // A request's name is its client's own affair.
        let payload = Some(ask::typing());
        let envelope = Envelope { request_id: hostile.into(), revision: 0, payload };
        socket.send_bytes(envelope.encode_to_vec()).await;
        assert!(matches!(socket.answer(hostile).await, Payload::Ack(_)));
    }
}

#[tokio::test]
async fn messages_of_other_channels_are_reached_from_nowhere() {
    let server = Server::shared();
    let (here, there) = (server.room().await, server.private_room().await);
    // Whoever asks may do everything in both channels: only the path is wrong.
    let asking = &here.owner;
    let sent = there.owner.send("of another channel").await;
    there.owner.react(&sent, "x").await;
    for (method, route) in routes().into_iter().filter(|(_, route)| route.contains("{message_id}")) {
        let path =
            route.replace("{channel_id}", &here.id).replace("{message_id}", &sent.id).replace("{emoji}", "x");
        let call = asking.call(method.parse().unwrap(), &path);
        let call = match (method.as_str(), route.ends_with("reactions")) {
            ("POST", true) => call.json(&json!({"emoji": "y"})),
            ("PUT", _) => call.json(&json!({"content": "changed"})),
            _ => call,
        };
        call.send().await.refused(404, "MESSAGE_NOT_FOUND");
    }
    let reply = json!({"content": "x", "reply_to_id": sent.id});
    asking.try_send(reply).await.refused(422, "REPLY_TARGET_NOT_FOUND");
    let mut socket = asking.connect().await;
    for request in [
        ask::edit(&sent.id, "changed"),
        ask::delete(&sent.id),
        ask::react(&sent.id, "y"),
        ask::unreact(&sent.id, "x"),
    ] {
        socket.refused(request, 404, "MESSAGE_NOT_FOUND").await;
    }
    socket.refused(ask::reply("x", &sent.id), 422, "REPLY_TARGET_NOT_FOUND").await;
    let history =
        edgewise_core::proto::FetchHistoryRequest { channel_id: there.id.clone(), ..Default::default() };
    socket.refused(Payload::FetchHistoryRequest(history), 400, "QUERY_INVALID").await;

    let now = there.owner.read(&sent).await;
    assert_eq!((now.content.as_str(), now.edited, now.revision), ("of another channel", false, 2));
    assert_eq!(here.owner.channel().await.last_sequence, 0);
}

#[tokio::test]
async fn every_route_answers_a_preflight() {
    let nobody = Server::shared().with_token("");
    for (method, route) in routes() {
        let path = route.replace(['{', '}'], "");
        let preflight = nobody
            .call(Method::OPTIONS, &path)
            .header("origin", "https://app.example.com")
            .header("access-control-request-method", &method)
            .header("access-control-request-headers", "authorization, content-type")
            .send()
            .await
            .expect(204);
        let listed = |name: &str| -> Vec<String> {
            preflight.header(name).split(',').map(|entry| entry.trim().to_lowercase()).collect()
        };
        assert!(listed("access-control-allow-methods").contains(&method.to_lowercase()), "{method} {path}");
        for header in ["authorization", "content-type", "idempotency-key", "x-request-id"] {
            assert!(listed("access-control-allow-headers").contains(&header.into()), "{path}: {header}");
        }
        for header in ["x-request-id", "retry-after", "ratelimit", "ratelimit-policy", "idempotency-replayed"]
        {
            assert!(listed("access-control-expose-headers").contains(&header.into()), "{path}: {header}");
        }
        assert_eq!(preflight.header("access-control-allow-origin"), "*", "{path}");
        assert_eq!(preflight.header("access-control-allow-credentials"), "", "{path}");
    }
}

/// Makes requests with this user's token wherever a token can be put, and where it should not be.
async fn show_everywhere(user: &User, room: &Room<'_>) {
    let token = user.token();
    user.get("messages").send().await;
    user.post("messages").json(&json!({"content": token, "nonce": &token[..40]})).send().await;
    user.post("messages").body("application/json", token.to_owned()).send().await;
    user.get(&format!("messages?token={token}")).send().await;
    user.get(&format!("messages?limit={token}")).send().await;
    user.get(&format!("/api/{token}")).send().await;
    user.get(&format!("messages/{token}")).send().await;
    user.call("PURGE".parse().unwrap(), &format!("messages/{token}")).send().await;
    room.with_token("").get("messages").header("authorization", &format!("Basic {token}")).send().await;
    room.with_token("").post("/api/auth/refresh").json(&json!({"refresh_token": token})).send().await;
    for dial in [user.dial(), user.dial().token_in_header(), user.dial().token_in_query()] {
        let Ok(mut socket) = Dial::try_connect(dial).await else { continue };
        if matches!(socket.frame().await, Frame::Envelope(_)) {
            socket.ask(ask::send(token)).await;
            socket.ask(ask::refresh(token)).await;
        }
    }
}

/// What has one use has no other.
#[tokio::test]
async fn no_token_stands_for_one_of_another_kind() {
    let server = Server::shared();
    let room = server.room().await;
    let key = Key::new();
    let login = key.register(server).await;
    let challenge = key.challenge(server).await;
    let [id, bytes] = ["challenge_id", "challenge_bytes"].map(|name| challenge[name].as_str().unwrap());
    let invite: Value = room.owner.post("/api/invites").json(&json!({})).send().await.expect(201).json();
    let code = invite["code"].as_str().unwrap();
    for token in [&login.refresh_token, id, bytes, code, &key.public(), &login.user_id] {
        let user = room.with_token(token);
        user.get("messages").send().await.refused(401, "TOKEN_INVALID");
        user.dial().token_in_query().refused(4002).await;
    }
    for token in [&login.access_token, id, bytes, code, room.owner.token()] {
        let body = json!({"refresh_token": token});
        server.ask_auth("refresh", &body).await.refused(401, "CREDENTIALS_INVALID");
    }
    for code in [login.access_token.as_str(), &login.refresh_token, id] {
        let mut body = Key::new().registration(server).await;
        body["invite_code"] = code.into();
        server.ask_auth("register", &body).await.refused(403, "INVITE_INVALID");
        body["setup_token"] = code.into();
        server.ask_auth("register", &body).await.refused(403, "SETUP_TOKEN_INVALID");
    }
    // All of them are good for what they are for.
    room.with_token(&login.access_token).get("messages").send().await.expect(200);
    server.ask_auth("refresh", &json!({"refresh_token": login.refresh_token})).await.expect(200);
}

#[tokio::test]
async fn tokens_and_content_never_reach_the_log() {
    let setup_token = "known to whoever sets this server up";
    let server = Server::keeping_log(&[("SETUP_TOKEN", setup_token)]);
    let room = server.room().await;
    let key = Key::new();
    let mut registration = key.registration(&server).await;
    registration["setup_token"] = setup_token.into();
    let login: Login = server.ask_auth("register", &registration).await.expect(201).json();
    let invite: Value = room.owner.post("/api/invites").json(&json!({})).send().await.expect(201).json();
    let users = [
        room.user("ana"),
        room.with_token(&room.token("ben").expires_in(-120).mint()),
        room.with_token(&room.token("cleo").key("another secret, as long as the right one").mint()),
        room.with_token(&room.token("dora").expires_in(90).mint()),
    ];
    for user in &users {
        show_everywhere(user, &room).await;
    }
    // The same while everything fails that asks the database, which is when there is most to log.
    server.sql("ALTER TABLE messages RENAME TO elsewhere", json!([])).await;
    server.sql("ALTER TABLE logins RENAME TO logins_elsewhere", json!([])).await;
    for route in ["refresh", "logout"] {
        let body = json!({"refresh_token": login.refresh_token});
        server.ask_auth(route, &body).await.refused(500, "INTERNAL");
    }
    let mut second = Key::new().registration(&server).await;
    second["invite_code"] = invite["code"].clone();
    server.ask_auth("register", &second).await.refused(500, "INTERNAL");
    users[0].get("messages").send().await.refused(500, "INTERNAL");
    for user in &users {
        show_everywhere(user, &room).await;
    }
    server.sql("ALTER TABLE logins_elsewhere RENAME TO logins", json!([])).await;
    server.sql("ALTER TABLE elsewhere RENAME TO messages", json!([])).await;
    users[0].send("it works again").await;

    let log = server.log();
    assert!(log.contains("no such table"), "the log is kept: {log}");
    let signatures = [&registration, &second].map(|body| body["signature"].as_str().unwrap());
    let others = [setup_token, invite["code"].as_str().unwrap(), &login.access_token, &login.refresh_token];
    for secret in signatures.into_iter().chain(others) {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
    }
    for user in &users {
        let (head, signature) = user.token().rsplit_once('.').unwrap();
        let claims = head.rsplit_once('.').unwrap().1;
        for secret in [user.token(), signature, claims, edgewise_tests::SECRET] {
            assert!(!log.contains(secret), "{secret} is in the log: {log}");
        }
    }
}

/// Requests are logged by the platform too, and what it keeps is said in wrangler.toml.
#[test]
fn the_platform_keeps_no_urls_and_no_headers() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let config = fs::read_to_string(format!("{root}/wrangler.toml")).unwrap();
    let section = |name: &str| -> Vec<String> {
        let lines = config.lines().map(str::trim).skip_while(|line| *line != format!("[{name}]")).skip(1);
        lines.take_while(|line| !line.starts_with('[')).map(|line| line.replace(' ', "")).collect()
    };
    assert!(section("observability").contains(&"redact_query_string=true".into()));
    assert!(section("observability.logs").contains(&"invocation_logs=false".into()));
}
