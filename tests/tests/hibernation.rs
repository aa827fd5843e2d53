//! Hibernation: the object goes, its sockets stay.

use edgewise_core::proto::envelope::Payload;
use edgewise_tests::{Server, ask};
use serde_json::json;

#[tokio::test]
async fn a_socket_that_slept_still_receives() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let mut socket = ben.connect().await;
    for number in 1..=3 {
        room.evict().await;
        let sent = ana.send(&format!("message {number}")).await;
        assert_eq!(socket.message().await.id, sent.id);
        assert_eq!(sent.server_sequence, number);
    }
}

#[tokio::test]
async fn a_socket_that_slept_still_asks() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let sent = ana.send("before").await;
    let mut socket = ana.connect().await;
    room.evict().await;
    match socket.ask(ask::history()).await {
        Payload::FetchHistoryResponse(page) => assert_eq!(page.messages[0].id, sent.id),
        other => panic!("history was expected, and came {other:?}"),
    }
    room.evict().await;
    socket.send_text("hello").await;
    socket.closed(4006).await;
}

#[tokio::test]
async fn the_object_sleeps_through_pings_and_reads() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    ana.send("before").await;
    let mut socket = ana.connect().await;
    assert!(room.server().evict(&room.id).await, "it was awake");
    for _ in 0..3 {
        socket.ping().await;
    }
    ana.history("").await;
    ana.changes(0).await;
    ana.channel().await;
    ana.last_read().await;
    ana.get("members").send().await.expect(200);
    ana.get("/api/channels").send().await.expect(200);
    assert!(!room.server().evict(&room.id).await, "something woke it");
    let sent = ana.send("after").await;
    assert_eq!(socket.message().await.id, sent.id);
}

#[tokio::test]
async fn sockets_from_before_and_after_hear_the_same() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let mut early = ben.connect().await;
    room.evict().await;
    let mut late = ben.connect().await;
    room.evict().await;
    let sent = ana.send("hi").await;
    ana.react(&sent, "👍").await;
    room.evict().await;
    ana.erase(&sent).await;
    let mut heard = Vec::new();
    for socket in [&mut early, &mut late] {
        let changes = [socket.change().await, socket.change().await, socket.change().await];
        assert!(changes.is_sorted_by_key(|(revision, _)| *revision));
        heard.push(changes);
    }
    assert_eq!(heard[0], heard[1]);
}

#[tokio::test]
async fn a_socket_keeps_its_identity_and_its_protocol() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let (mut hers, mut his) = (ana.connect().await, ben.dial().token_in_header().open().await);
    room.evict().await;
    ana.try_send(json!({"content": "x", "nonce": "mine"})).await.expect(201);
    assert_eq!(hers.message().await.nonce, "mine");
    assert_eq!(his.message().await.nonce, "");
}

#[tokio::test]
async fn what_was_decided_stays_decided() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let body = json!({"content": "once", "nonce": "n"});
    ana.try_send(body.clone()).await.expect(201);
    let target = ana.send("target").await;
    ana.react(&target, "👍").await;
    room.evict().await;
    ana.try_send(body).await.expect(200);
    ana.try_send(json!({"content": "other", "nonce": "n"})).await.refused(422, "NONCE_REUSED");
    ana.try_react(&target, "👍").await.expect(200);
    assert_eq!(ana.send("next").await.server_sequence, 3);
}
