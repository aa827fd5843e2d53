//! A live channel against a peer in this process that plays the server, connection by connection.

use edgewise_core::proto::{
    Ack, CaughtUpEvent, ChatMessage, ErrorResponse, Hello, NewMessageEvent, SyncResponse, TokenExpiringEvent,
    envelope::Payload,
};

use super::*;
use crate::{
    BoxError, CloseCode, Retry,
    peer::{Peer, Socket},
};

fn message(sequence: u64, revision: u64) -> ChatMessage {
    let content = format!("number {sequence}");
    ChatMessage {
        id: format!("m{sequence}"),
        content,
        server_sequence: sequence,
        revision,
        ..Default::default()
    }
}

fn hello(revision: u64) -> Payload {
    Payload::Hello(Hello { revision, user_id: "ana".into(), ..Hello::default() })
}

fn caught_up(revision: u64) -> Payload {
    Payload::CaughtUpEvent(CaughtUpEvent { revision })
}

fn created(sequence: u64, revision: u64) -> Payload {
    Payload::NewMessageEvent(NewMessageEvent { message: Some(message(sequence, revision)) })
}

fn sync(messages: Vec<ChatMessage>, revision: u64) -> Payload {
    Payload::SyncResponse(SyncResponse { messages, revision, has_more: false })
}

fn ack(sequence: u64) -> Payload {
    Payload::Ack(Ack { message: Some(message(sequence, sequence)), ..Ack::default() })
}

fn refusal(status: u32, code: &str, retry_after_ms: u32) -> Payload {
    Payload::Error(ErrorResponse {
        code: status,
        error_code: code.into(),
        retryable: matches!(status, 429 | 503),
        retry_after_ms,
        ..ErrorResponse::default()
    })
}

fn quick(client: &Client) -> GoLive {
    client.live("chan").start(Start::Since(0)).reconnect(Reconnect {
        first: Duration::from_millis(5),
        longest: Duration::from_millis(20),
        after_flooding: Duration::from_millis(50),
    })
}

/// What the channel tells up to the end of catching up, in words.
async fn until_caught_up(events: &mut Events) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            Event::Change(Change::Created { message }) => told.push(message.id),
            Event::Change(change) => told.push(format!("{change:?}").chars().take(8).collect()),
            Event::CaughtUp(_) => return told,
            Event::Stopped(error) => panic!("{error}"),
            _ => {}
        }
    }
    panic!("the events ended")
}

async fn stopped(events: &mut Events) -> Error {
    while let Some(event) = events.next().await {
        if let Event::Stopped(error) = event {
            assert!(events.next().await.is_none());
            return error;
        }
    }
    panic!("the events ended")
}

async fn greet(peer: &Peer, revision: u64) -> Socket {
    let mut socket = peer.socket().await;
    socket.send("", 0, hello(revision)).await;
    socket.send("", 0, caught_up(revision)).await;
    socket
}

#[tokio::test]
async fn it_comes_back_where_it_was_and_shows_nothing_twice() {
    let peer = Peer::start().await;
    let (live, mut events) = quick(&peer.client()).await.unwrap();
    let mut socket = greet(&peer, 0).await;
    assert_eq!(socket.query, "since=0");
    socket.send("", 1, created(1, 1)).await;
    socket.send("", 2, created(2, 2)).await;
    assert!(until_caught_up(&mut events).await.is_empty());
    drop(socket);

    // Both come again, with what was missed, by last change; the third was edited after the fourth came.
    let mut socket = peer.socket().await;
    assert_eq!(socket.query, "since=2");
    socket.send("", 0, hello(5)).await;
    socket.send("", 0, sync(vec![message(1, 1), message(2, 2), message(4, 4), message(3, 5)], 5)).await;
    socket.send("", 0, caught_up(5)).await;
    assert_eq!(until_caught_up(&mut events).await, ["m1", "m2", "m3", "m4"]);
    assert_eq!(live.read(Store::since), 5);

    socket.close(1012).await;
    let socket = greet(&peer, 5).await;
    assert_eq!(socket.query, "since=5");
    assert!(until_caught_up(&mut events).await.is_empty());
}

#[tokio::test]
async fn requests_outlive_their_connection_in_order() {
    let peer = Peer::start().await;
    let (live, _events) = quick(&peer.client()).in_flight(NonZeroUsize::new(8).unwrap()).await.unwrap();
    let replies: Vec<_> = (1..=3).map(|number| live.send(format!("number {number}"))).collect();
    let deleted = live.delete("m0");
    let mut socket = greet(&peer, 0).await;
    let mut first = Vec::new();
    for _ in 0..4 {
        first.push(socket.receive().await);
    }
    socket.send(&first[0].request_id, 0, ack(1)).await;
    drop(socket);

    // The first was answered; the others come again as they were.
    let mut socket = greet(&peer, 0).await;
    for (index, asked) in first.iter().enumerate().skip(1) {
        let again = socket.receive().await;
        assert_eq!(&again, asked);
        let gone = refusal(404, "MESSAGE_NOT_FOUND", 0);
        let answer = if index == 3 { gone } else { ack(index as u64 + 1) };
        socket.send(&again.request_id, 0, answer).await;
    }
    for (index, reply) in replies.into_iter().enumerate() {
        assert_eq!(reply.await.unwrap().message.server_sequence, index as u64 + 1);
    }
    deleted.await.expect("it had been deleted the first time");
}

#[tokio::test]
async fn one_at_a_time_keeps_the_order_whatever_is_put_off() {
    let peer = Peer::start().await;
    let (live, _events) = quick(&peer.client()).await.unwrap();
    let (first, second, third) = (live.send("1"), live.send("2"), live.send(""));
    let mut socket = greet(&peer, 0).await;
    let asked = socket.receive().await;
    socket.send(&asked.request_id, 0, refusal(429, "RATE_LIMITED", 10)).await;
    let again = socket.receive().await;
    assert_eq!(asked, again);
    socket.send(&again.request_id, 0, ack(1)).await;
    let asked = socket.receive().await;
    socket.send(&asked.request_id, 0, ack(2)).await;
    let asked = socket.receive().await;
    socket.send(&asked.request_id, 0, refusal(422, "CONTENT_EMPTY", 0)).await;
    assert_eq!(first.await.unwrap().message.id, "m1");
    assert_eq!(second.await.unwrap().message.id, "m2");
    assert_eq!(third.await.unwrap_err().code(), Some("CONTENT_EMPTY"));
}

#[tokio::test]
async fn who_is_too_fast_goes_on_one_by_one_in_order() {
    let peer = Peer::start().await;
    let (live, _events) = quick(&peer.client()).in_flight(NonZeroUsize::new(8).unwrap()).await.unwrap();
    let replies: Vec<_> = (1..=4).map(|number| live.send(format!("number {number}"))).collect();
    let mut socket = greet(&peer, 0).await;
    let mut asked = Vec::new();
    for _ in 0..4 {
        asked.push(socket.receive().await);
    }
    for request in &asked {
        socket.send(&request.request_id, 0, refusal(429, "RATE_LIMITED", 10)).await;
    }
    for (index, request) in asked.iter().enumerate() {
        assert_eq!(&socket.receive().await, request);
        // Were another one under way already, it would come before the answer to this question.
        live.set_presence(Presence::Away);
        let next = socket.receive().await;
        assert!(matches!(next.payload, Some(Payload::SetPresenceRequest(_))), "{next:?}");
        socket.send(&request.request_id, 0, ack(index as u64 + 1)).await;
    }
    for (index, reply) in replies.into_iter().enumerate() {
        assert_eq!(reply.await.unwrap().message.server_sequence, index as u64 + 1);
    }
}

#[tokio::test]
async fn no_text_is_lost_to_a_limit_however_long_it_takes() {
    let peer = Peer::start().await;
    let impatient = Retry { patience: Duration::from_millis(1), ..Retry::PATIENT };
    let (live, _events) = quick(&peer.client().with_retry(impatient)).await.unwrap();
    let sent = live.send("1");
    let mut socket = greet(&peer, 0).await;
    let asked = socket.receive().await;
    for _ in 0..10 {
        socket.send(&asked.request_id, 0, refusal(429, "RATE_LIMITED", 2)).await;
        assert_eq!(socket.receive().await, asked);
    }
    socket.send(&asked.request_id, 0, ack(1)).await;
    assert_eq!(sent.await.unwrap().message.id, "m1");
    // Who wants to see every refusal does.
    let (live, _events) = quick(&peer.client().with_retry(Retry::NEVER)).await.unwrap();
    let sent = live.send("1");
    let mut socket = greet(&peer, 0).await;
    let asked = socket.receive().await;
    socket.send(&asked.request_id, 0, refusal(429, "RATE_LIMITED", 2)).await;
    assert_eq!(sent.await.unwrap_err().code(), Some("RATE_LIMITED"));
}

#[tokio::test]
async fn sent_away_for_flooding_it_comes_back_after_a_pause_with_what_waits() {
    let peer = Peer::start().await;
    let (live, mut events) = quick(&peer.client()).await.unwrap();
    let mut socket = greet(&peer, 0).await;
    until_caught_up(&mut events).await;
    let sent = live.send("1");
    let asked = socket.receive().await;
    socket.close(4005).await;
    let Some(Event::Waiting { why: Error::Closed(close), pause }) = events.next().await else {
        panic!("it does not wait")
    };
    assert_eq!(close.code, CloseCode::Flooding);
    assert!(pause >= Duration::from_millis(50), "{pause:?}");
    let mut socket = greet(&peer, 0).await;
    assert_eq!(socket.receive().await, asked);
    socket.send(&asked.request_id, 0, ack(1)).await;
    assert_eq!(sent.await.unwrap().message.id, "m1");
}

#[tokio::test]
async fn a_server_that_takes_no_requests_over_the_socket_gets_them_over_rest() {
    let peer = Peer::start().await;
    let (live, _events) = quick(&peer.client()).await.unwrap();
    let (first, second) = (live.send(Draft::new("1").with_nonce("n1")), live.send("2"));
    let mut socket = greet(&peer, 0).await;
    let asked = socket.receive().await;
    socket.send(&asked.request_id, 0, refusal(400, "REQUEST_UNSUPPORTED", 0)).await;
    for number in 1..=2 {
        let body = serde_json::to_string(&Message::from(message(number, number))).unwrap();
        let request = peer.answer(201, &body).await;
        assert!(request.starts_with("POST /api/channels/chan/messages "), "{request}");
        assert_eq!(request.contains(r#""nonce":"n1""#), number == 1, "{request}");
    }
    assert_eq!(first.await.unwrap().message.id, "m1");
    assert_eq!(second.await.unwrap().message.id, "m2");
}

#[tokio::test]
async fn an_expired_token_is_replaced() {
    let peer = Peer::start().await;
    let client = peer.client().with_refresh(|| async { Ok::<_, BoxError>("second".to_owned()) });
    let (_live, mut events) = quick(&client).await.unwrap();
    let socket = greet(&peer, 0).await;
    assert_eq!(socket.token, "bearer.first");
    socket.close(4001).await;
    let mut socket = greet(&peer, 0).await;
    assert_eq!(socket.token, "bearer.second");
    until_caught_up(&mut events).await;

    // Told in time, it renews the token on the connection that is there.
    client.tokens.replace("second").await.unwrap();
    socket.send("", 0, Payload::TokenExpiringEvent(TokenExpiringEvent::default())).await;
    let renewed = socket.receive().await;
    assert!(
        matches!(renewed.payload, Some(Payload::RefreshTokenRequest(request)) if request.token == "second")
    );
}

#[tokio::test]
async fn it_stops_where_the_contract_says_so() {
    for code in [4002, 4003, 4004, 4006, 4007] {
        let peer = Peer::start().await;
        let (live, mut events) = quick(&peer.client()).await.unwrap();
        let waiting = live.send("never sent");
        peer.socket().await.close(code).await;
        let Error::Closed(close) = stopped(&mut events).await else { panic!("another error") };
        assert_eq!(close.code, CloseCode::from(code));
        assert!(matches!(waiting.await, Err(Error::Ended)));
        assert!(matches!(live.send("too late").await, Err(Error::Ended)));
    }
}

#[tokio::test]
async fn without_a_source_of_tokens_an_expired_one_is_the_end() {
    let peer = Peer::start().await;
    let (_live, mut events) = quick(&peer.client()).await.unwrap();
    peer.socket().await.close(4001).await;
    assert!(matches!(stopped(&mut events).await, Error::Refresh(_)));
}

#[tokio::test]
async fn a_restored_server_is_read_afresh() {
    let peer = Peer::start().await;
    let (live, mut events) = quick(&peer.client()).start(Start::Since(9)).await.unwrap();
    let mut socket = peer.socket().await;
    socket.send("", 0, hello(4)).await;
    socket.send("", 0, caught_up(4)).await;
    let page = crate::Page { messages: vec![message(2, 4).into()], revision: 4, ..Default::default() };
    let request = peer.answer(200, &serde_json::to_string(&page).unwrap()).await;
    assert!(request.starts_with("GET /api/channels/chan/messages?limit=50 "), "{request}");
    let socket = greet(&peer, 4).await;
    assert_eq!(socket.query, "since=4");
    assert_eq!(until_caught_up(&mut events).await, ["Resynced"]);
    assert_eq!(live.read(|store| store.messages().count()), 1);
}

#[tokio::test]
async fn it_ends_when_asked_to_and_when_nobody_is_left() {
    let peer = Peer::start().await;
    let (live, mut events) = quick(&peer.client()).await.unwrap();
    let mut socket = greet(&peer, 0).await;
    until_caught_up(&mut events).await;
    live.close();
    assert_eq!(socket.closed().await, Some(1000));
    assert!(events.next().await.is_none());

    let (live, mut events) = quick(&peer.client()).await.unwrap();
    let mut socket = greet(&peer, 0).await;
    until_caught_up(&mut events).await;
    drop((live, events));
    assert_eq!(socket.closed().await, Some(1000));
}
