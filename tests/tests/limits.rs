//! How fast a user may write: what is refused, how that is told over REST and on the socket, and that nobody who waits
//! as told loses anything by it.

use std::{fs, num::NonZeroUsize, time::Duration};

use edgewise_client::{Draft, Message, Start};
use edgewise_core::proto::envelope::Payload;
use edgewise_tests::{Answer, Room, Server, Signed, User, ask, command::run};
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::sleep;

/// What `RateLimit` says is left.
fn remaining(answer: &Answer, kind: &str) -> u32 {
    let text = answer.header("ratelimit");
    let (r, t) = text
        .strip_prefix(&format!("\"{kind}\";r="))
        .and_then(|rest| rest.split_once(";t="))
        .unwrap_or_else(|| panic!("RateLimit: {text}, on {}", answer.text()));
    assert!(t.parse::<u32>().is_ok(), "{text}");
    r.parse().unwrap()
}

fn no_limit(answer: &Answer) {
    assert_eq!((answer.header("ratelimit"), answer.header("ratelimit-policy")), ("", ""));
}

async fn post(user: &User, content: &str) -> Answer {
    user.try_send(json!({"content": content})).await
}

/// Expects a refusal for being too fast, and gives in how many seconds to come back.
fn too_fast(answer: Answer, window: u64) -> Duration {
    let seconds: u64 = answer.header("retry-after").parse().expect("seconds");
    assert!((1..=window).contains(&seconds), "{seconds}");
    let problem = answer.refused(429, "RATE_LIMITED");
    assert!(problem["detail"].as_str().unwrap().contains("at most"), "{problem}");
    Duration::from_secs(seconds)
}

#[tokio::test]
async fn every_answer_of_a_limited_route_says_what_is_left() {
    let server = Server::with_vars(&[("RATE_LIMIT_SEND", "4/60"), ("RATE_LIMIT_REACT", "2/60")]);
    let room = server.room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    for left in [3, 2] {
        let answer = post(&ana, "x").await.expect(201);
        assert_eq!(answer.header("ratelimit-policy"), r#""send";q=4;w=60"#);
        assert_eq!(remaining(&answer, "send"), left);
    }
    // What needs no commit to be refused costs nothing, and says so.
    let answer = post(&ana, "  ").await.expect(422);
    assert_eq!(remaining(&answer, "send"), 2);
    let sent: Message = post(&ana, "third").await.expect(201).json();
    let edit = || ana.put(&format!("messages/{}", sent.id)).json(&json!({"content": "edited"})).send();
    assert_eq!(remaining(&edit().await.expect(200), "send"), 0);
    let answer = edit().await.expect(429);
    assert_eq!(remaining(&answer, "send"), 0);
    assert_eq!(answer.header("ratelimit-policy"), r#""send";q=4;w=60"#);
    let exposed = answer.header("access-control-expose-headers").to_lowercase();
    assert!(exposed.contains("ratelimit") && exposed.contains("retry-after"), "{exposed}");
    too_fast(answer, 15);
    too_fast(post(&ana, "again").await, 15);
    // The socket counts as REST does.
    let error = ana.connect().await.refused(ask::send("over the socket"), 429, "RATE_LIMITED").await;
    assert!((1..=15_000).contains(&error.retry_after_ms), "{error:?}");

    let answer = ana.try_react(&sent, "👍").await.expect(201);
    assert_eq!(answer.header("ratelimit-policy"), r#""react";q=2;w=60"#);
    assert_eq!(remaining(&answer, "react"), 1);
    let answer = ana.try_unreact(&sent, "👍").await.expect(204);
    assert_eq!(remaining(&answer, "react"), 0);
    too_fast(ana.try_react(&sent, "👍").await, 30);
    too_fast(ana.try_unreact(&sent, "👍").await, 30);

    // Nobody else is held up, nor anything else; and another channel is another bucket.
    assert_eq!(remaining(&post(&ben, "ben's").await.expect(201), "send"), 3);
    let elsewhere = server.room().await;
    assert_eq!(remaining(&post(&elsewhere.user("ana"), "x").await.expect(201), "send"), 3);
    no_limit(&ana.get("messages").send().await.expect(200));
    no_limit(&ana.put("last-read").json(&json!({"last_sequence": 1})).send().await.expect(200));
    no_limit(&ana.delete(&format!("messages/{}", sent.id)).send().await.expect(204));
    assert_eq!(ana.history("").await.messages.len(), 3);
}

#[tokio::test]
async fn unless_told_otherwise_ten_sends_and_twenty_reactions_in_five_seconds() {
    let server = Server::with_vars(&[("RATE_LIMIT_SEND", ""), ("RATE_LIMIT_REACT", "")]);
    let room = server.room().await;
    let ana = room.user("ana");
    let answers = join_all((0..30).map(|n| post_owned(&ana, format!("{n}")))).await;
    let (sent, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    // As many as the seconds that this took let through besides.
    assert!((10..30).contains(&sent.len()), "{}", sent.len());
    assert!(sent.iter().all(|answer| answer.header("ratelimit-policy") == r#""send";q=10;w=5"#));
    let wait = refused.into_iter().map(|answer| too_fast(answer, 1)).max().expect("one was too fast");
    sleep(wait).await;
    let sent: Message = post(&ana, "in time").await.expect(201).json();
    let answer = ana.try_react(&sent, "👍").await.expect(201);
    assert_eq!(answer.header("ratelimit-policy"), r#""react";q=20;w=5"#);
}

async fn post_owned(user: &User, content: String) -> Answer {
    post(user, &content).await
}

#[tokio::test]
async fn who_has_an_old_envelope_brought_again_and_again_does_not_silence_its_author() {
    let server = Server::with_vars(&[("RATE_LIMIT_SEND", "2/600")]);
    let room = server.room().await;
    let (author, relay) =
        (room.author().await, room.with_token(&room.token("relay").claim("scope", "gossip").mint()));
    let bring = |signed: Signed| relay.post("/api/gossip").body("application/x-protobuf", signed.0).send();
    let signed = author.note("once").sign();
    assert_eq!(remaining(&author.try_post(&signed).await.expect(201), "send"), 1);
    // Two for a token each, and one repetition of each for nothing.
    for _ in 0..4 {
        bring(signed.clone()).await.expect(200);
    }
    too_fast(bring(signed).await, 300);
    assert_eq!(remaining(&post(&author, "is heard").await.expect(201), "send"), 0);
}

#[tokio::test]
async fn without_limits_nothing_is_said_of_them() {
    let room = Server::shared().room().await;
    no_limit(&post(&room.user("ana"), "x").await.expect(201));
    no_limit(&post(&room.user("ana"), "").await.expect(422));
}

#[tokio::test]
async fn a_slip_in_the_settings_is_told_and_the_default_holds() {
    for (name, value) in [("RATE_LIMIT_SEND", "ten per second"), ("RATE_LIMIT_REACT", "0/5")] {
        let server = Server::with_vars(&[(name, value)]);
        let problem = server.with_token("").get("/health").send().await.refused(503, "CONFIG_MISSING");
        assert!(problem["detail"].as_str().unwrap().contains(name), "{problem}");
        let room = server.room().await;
        let ana = room.user("ana");
        let answer = post(&ana, "goes on").await.expect(201);
        let (send, react) = match name {
            "RATE_LIMIT_SEND" => (r#""send";q=10;w=5"#, ""),
            _ => ("", r#""react";q=20;w=5"#),
        };
        assert_eq!(answer.header("ratelimit-policy"), send);
        let answer = ana.try_react(&answer.json(), "👍").await.expect(201);
        assert_eq!(answer.header("ratelimit-policy"), react);
    }
}

#[tokio::test]
async fn a_long_window_outlasts_the_objects_memory() {
    let server = Server::with_vars(&[("RATE_LIMIT_SEND", "2/600")]);
    let room = server.room().await;
    let ana = room.user("ana");
    let socket = room.user("ben").connect().await;
    for _ in 0..2 {
        post(&ana, "x").await.expect(201);
    }
    // Nothing tells when it is written, which it is within some seconds.
    sleep(Duration::from_secs(6)).await;
    assert!(server.evict(&room.id).await, "the object was in memory");
    too_fast(post(&ana, "after sleep").await, 300);
    post(&room.user("cleo"), "has not been here").await.expect(201);
    drop(socket);
}

#[tokio::test]
async fn who_is_too_fast_on_a_socket_stays_and_who_floods_is_sent_away() {
    let server = Server::with_vars(&[("RATE_LIMIT_SEND", "2/600")]);
    let room = server.room().await;
    let ana = room.user("ana");
    let mut socket = ana.connect().await;
    let mut asked = Vec::new();
    for n in 0..20 {
        asked.push(socket.request(ask::send(&format!("{n}"))).await);
    }
    for (n, request_id) in asked.iter().enumerate() {
        match (n, socket.answer(request_id).await) {
            (0 | 1, Payload::Ack(ack)) => assert_eq!(ack.message.unwrap().content, format!("{n}")),
            (2.., Payload::Error(error)) => {
                assert_eq!((error.code, error.error_code.as_str()), (429, "RATE_LIMITED"));
                assert!(error.retryable && (1..=300_000).contains(&error.retry_after_ms), "{error:?}");
            }
            (_, other) => panic!("{n}: {other:?}"),
        }
    }
    // The connection is as good as before, for everything else.
    assert!(
        matches!(socket.ask(ask::history()).await, Payload::FetchHistoryResponse(page) if page.messages.len() == 2)
    );
    for _ in 0..200 {
        // It may be closed in the middle of these.
        if socket.try_request(ask::send("on and on")).await.is_err() {
            break;
        }
    }
    socket.closed(4005).await;
    ana.connect().await.refused(ask::send("once more"), 429, "RATE_LIMITED").await;
}

/// What a client's live channel sends at once, under a limit that it exceeds many times over.
async fn all_at_once(in_flight: usize) -> (Vec<String>, Vec<String>) {
    let server = Server::with_vars(&[("RATE_LIMIT_SEND", "5/1"), ("RATE_LIMIT_REACT", "5/1")]);
    let room: Room<'_> = server.room().await;
    let live = server.client("ana").with_retry(edgewise_client::Retry::PATIENT).live(&room.id);
    let (live, _events) =
        live.start(Start::Since(0)).in_flight(NonZeroUsize::new(in_flight).unwrap()).await.unwrap();
    let asked: Vec<String> = (1..=20).map(|n| format!("number {n}")).collect();
    let sending: Vec<_> = asked.iter().map(|content| live.send(Draft::new(content.as_str()))).collect();
    for sent in join_all(sending).await {
        assert!(!sent.expect("nothing is lost").replayed);
    }
    let stored = room.owner.whole_history().await;
    (asked, stored.into_iter().map(|message| message.content).collect())
}

#[tokio::test]
async fn a_client_paces_itself_and_keeps_the_order() {
    let (asked, stored) = all_at_once(1).await;
    assert_eq!(asked, stored);
}

#[tokio::test]
async fn a_client_with_many_in_flight_loses_nothing_and_sends_nothing_twice() {
    let (mut asked, mut stored) = all_at_once(16).await;
    asked.sort();
    stored.sort();
    assert_eq!(asked, stored);
}

#[tokio::test]
async fn the_command_waits_its_turn() {
    let server = Server::with_vars(&[("RATE_LIMIT_SEND", "3/1"), ("RATE_LIMIT_REACT", "1/1")]);
    let room = server.room().await;
    let lines: Vec<String> = (1..=8)
        .flat_map(|n| {
            let send =
                json!({"op": "send", "key": format!("m{n}"), "as": "ana", "content": format!("number {n}")});
            let react = json!({"op": "react", "key": format!("m{n}"), "as": "ana", "emoji": "👍"});
            [send.to_string(), react.to_string()].into_iter().take(if n < 4 { 2 } else { 1 })
        })
        .collect();
    let file = server.scratch("conversation.jsonl");
    fs::write(&file, lines.join("\n")).unwrap();
    run(&room.user("ana"), &["replay", &room.id, file.to_str().unwrap()]).await;
    let stored: Vec<_> =
        room.owner.whole_history().await.into_iter().map(|message| message.content).collect();
    assert_eq!(stored, (1..=8).map(|n| format!("number {n}")).collect::<Vec<_>>());
}
