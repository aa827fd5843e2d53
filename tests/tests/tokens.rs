//! Tokens of open sockets: they end, unless they are refreshed.

use std::time::Duration;

use edgewise_core::proto::envelope::Payload;
use edgewise_tests::{Server, ask, now};

/// The object wakes for this at most once a minute.
const TWO_MINUTES: Duration = Duration::from_secs(120);

#[tokio::test]
async fn a_token_that_ends_is_announced_and_ends_its_socket_unless_it_is_refreshed() {
    let room = Server::shared().room().await;
    let expires = now() + 20;
    let token = |exp: u64| room.token("ana").name("Ana").claim("exp", exp).mint();
    let ana = room.with_token(&token(expires));
    let [ends, refreshed] = [ana.connect().await, ana.connect().await];
    let (mut ends, mut refreshed) = (ends.patient(TWO_MINUTES), refreshed.patient(TWO_MINUTES));
    for socket in [&mut ends, &mut refreshed] {
        let expiring = socket
            .find(|envelope| match envelope.payload {
                Some(Payload::TokenExpiringEvent(event)) => Some(event.expires_at),
                _ => None,
            })
            .await;
        assert_eq!(expiring, expires * 1000);
    }
    let later = now() + 3600;
    assert!(matches!(refreshed.ask(ask::refresh(&token(later))).await, Payload::Ack(_)));

    ends.closed(4001).await;
    let sent = room.owner.send("after").await;
    assert_eq!(refreshed.message().await.id, sent.id);
}

#[tokio::test]
async fn only_a_good_token_of_the_same_user_refreshes() {
    let room = Server::shared().room().await;
    let mut socket = room.user("ana").connect().await;
    for (token, code) in [
        (room.token("ana").key("not the server's own, but as long as that").mint(), "TOKEN_INVALID"),
        (room.token("ana").expires_in(-120).mint(), "TOKEN_EXPIRED"),
        ("x".into(), "TOKEN_INVALID"),
    ] {
        socket.refused(ask::refresh(&token), 401, code).await;
    }
    let Payload::Error(error) = socket.ask(ask::refresh(&room.token("ben").mint())).await else {
        panic!("that is another user's")
    };
    assert!(matches!(error.code, 401 | 403), "{error:?}");
    assert!(matches!(socket.ask(ask::refresh(&room.token("ana").mint())).await, Payload::Ack(_)));
    // It is still ana's.
    room.owner.send("hi").await;
    socket.message().await;
}
