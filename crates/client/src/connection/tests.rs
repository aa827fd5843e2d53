//! Against a peer in this process that plays the server.

use edgewise_core::proto::{CaughtUpEvent, EnvelopeBatch, ErrorResponse, PresenceUpdateEvent, TypingRequest};
use futures_util::StreamExt;
use tokio::net::TcpListener;
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::handshake::server::{Request, Response},
};

use super::*;

type Peer = WebSocketStream<TcpStream>;

/// A client, and the server's end of its next connection with the request that opened it.
async fn peer() -> (Client, tokio::task::JoinHandle<(Peer, Request)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let accepted = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut seen = None;
        #[allow(clippy::result_large_err)]
        let shake = |request: &Request, mut response: Response| {
            seen = Some(request.clone());
            let offered = request.headers().get("sec-websocket-protocol");
            if offered.is_some_and(|offered| offered.to_str().unwrap().starts_with(SUBPROTOCOL)) {
                response.headers_mut().insert("sec-websocket-protocol", SUBPROTOCOL.parse().unwrap());
            }
            Ok(response)
        };
        let socket = accept_hdr_async(tcp, shake).await.unwrap();
        (socket, seen.unwrap())
    });
    (Client::new(&url, "a.b.c").unwrap(), accepted)
}

fn frame(payload: Payload) -> Frame {
    Frame::Binary(envelope("", payload).encode_to_vec().into())
}

fn envelope(request_id: &str, payload: Payload) -> Envelope {
    Envelope { request_id: request_id.into(), revision: 0, payload: Some(payload) }
}

fn hello(heartbeat_interval_ms: u32) -> Frame {
    frame(Payload::Hello(Hello { heartbeat_interval_ms, revision: 7, ..Hello::default() }))
}

fn caught_up(revision: u64) -> Payload {
    Payload::CaughtUpEvent(CaughtUpEvent { revision })
}

#[tokio::test]
async fn it_offers_the_subprotocol_and_the_token() {
    let (client, accepted) = peer().await;
    let connection = client.connect("chan").since(41).await.unwrap();
    let (_, request) = accepted.await.unwrap();
    assert_eq!(request.headers()["sec-websocket-protocol"], "edgewise.v1, bearer.a.b.c");
    assert_eq!(request.uri().to_string(), "/api/channels/chan/ws?since=41");
    assert_eq!(connection.subprotocol(), Some("edgewise.v1"));

    let (client, accepted) = peer().await;
    let connect = client.connect("chan").without_subprotocol().token_in(TokenPlace::Query);
    assert_eq!(connect.await.unwrap().subprotocol(), None);
    let (_, request) = accepted.await.unwrap();
    assert!(request.headers().get("sec-websocket-protocol").is_none());
    assert_eq!(request.uri().to_string(), "/api/channels/chan/ws?token=a.b.c");
}

#[tokio::test]
async fn batches_come_unpacked_and_in_order() {
    let (client, accepted) = peer().await;
    let mut connection = client.connect("chan").await.unwrap();
    let (mut server, _) = accepted.await.unwrap();
    server.send(hello(30_000)).await.unwrap();
    let envelopes = (1..=3).map(|revision| envelope("", caught_up(revision))).collect();
    server.send(frame(Payload::EnvelopeBatch(EnvelopeBatch { envelopes }))).await.unwrap();
    assert_eq!(connection.hello().await.unwrap().revision, 7);
    for revision in 1..=3 {
        assert_eq!(connection.next().await.unwrap().unwrap().payload, Some(caught_up(revision)));
    }
}

#[tokio::test]
async fn the_close_frame_ends_it_while_tcp_lingers() {
    let (client, accepted) = peer().await;
    let mut connection = client.connect("chan").await.unwrap();
    let (mut server, _) = accepted.await.unwrap();
    let close = CloseFrame { code: 4001.into(), reason: "late".into() };
    server.send(Frame::Close(Some(close))).await.unwrap();
    let Some(Err(Error::Closed(close))) = connection.next().await else { panic!("not closed") };
    assert_eq!((close.code, close.reason.as_str()), (CloseCode::TokenExpired, "late"));
    assert!(connection.next().await.is_none());
    drop(server);
}

#[tokio::test]
async fn a_broken_connection_is_told_from_a_closed_one() {
    let (client, accepted) = peer().await;
    let mut connection = client.connect("chan").await.unwrap();
    drop(accepted.await.unwrap());
    assert!(matches!(connection.next().await, Some(Err(Error::Network { .. }))));
    assert!(connection.next().await.is_none());
}

#[tokio::test]
async fn it_pings_as_hello_says_and_notices_silence() {
    let (client, accepted) = peer().await;
    let mut connection = client.connect("chan").await.unwrap();
    let (mut server, _) = accepted.await.unwrap();
    server.send(hello(40)).await.unwrap();
    let pings = tokio::spawn(async move {
        for _ in 0..3 {
            assert_eq!(server.next().await.unwrap().unwrap(), Frame::text("ping"));
            server.send(Frame::text("pong")).await.unwrap();
        }
        server.send(frame(caught_up(1))).await.unwrap();
        server
    });
    connection.hello().await.unwrap();
    assert_eq!(connection.next().await.unwrap().unwrap().payload, Some(caught_up(1)));
    let server = pings.await.unwrap();
    assert!(matches!(connection.next().await, Some(Err(Error::Silent))));
    drop(server);
}

#[tokio::test]
async fn a_call_finds_its_answer_and_keeps_the_rest() {
    let (client, accepted) = peer().await;
    let mut connection = client.connect("chan").await.unwrap();
    let (mut server, _) = accepted.await.unwrap();
    let playing = tokio::spawn(async move {
        for _ in 0..2 {
            let Frame::Binary(bytes) = server.next().await.unwrap().unwrap() else { panic!() };
            let asked = Envelope::decode(bytes).unwrap();
            server.send(frame(Payload::PresenceUpdateEvent(PresenceUpdateEvent::default()))).await.unwrap();
            let refusal = ErrorResponse { code: 400, error_code: "NO".into(), ..Default::default() };
            let answer = if asked.request_id == "1" { caught_up(5) } else { Payload::Error(refusal) };
            let bytes = envelope(&asked.request_id, answer).encode_to_vec();
            server.send(Frame::Binary(bytes.into())).await.unwrap();
        }
        server
    });
    let typing = || Payload::TypingRequest(TypingRequest {});
    assert_eq!(connection.call(typing()).await.unwrap(), caught_up(5));
    assert_eq!(connection.call(typing()).await.unwrap_err().code(), Some("NO"));
    for _ in 0..2 {
        let kept = connection.next().await.unwrap().unwrap();
        assert!(matches!(kept.payload, Some(Payload::PresenceUpdateEvent(_))));
    }
    drop(playing.await.unwrap());
}
