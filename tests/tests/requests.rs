//! Requests over a socket: acknowledged after the commit, in their order, under the rules of REST.

use edgewise_core::proto::{
    Ack, ChatMessage, Envelope, LastRead, ReactionSummary, UpdateLastReadRequest, envelope::Payload,
};
use edgewise_tests::{Frame, Server, Socket, ask};
use uuid::Uuid;

async fn ack(socket: &mut Socket, request: Payload) -> Ack {
    let request_id = socket.request(request).await;
    acked(socket, &request_id).await
}

async fn acked(socket: &mut Socket, request_id: &str) -> Ack {
    match socket.answer(request_id).await {
        Payload::Ack(ack) => ack,
        other => panic!("an ack was expected, and came {other:?}"),
    }
}

async fn sent(socket: &mut Socket, content: &str) -> ChatMessage {
    ack(socket, ask::send(content)).await.message.expect("the ack carries the message")
}

#[tokio::test]
async fn a_send_is_acknowledged_with_its_message() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let (mut hers, mut his) = (ana.connect().await, ben.connect().await);
    let answer = ack(&mut hers, ask::send_once(" Hello @user:ben ", "n")).await;
    let message = answer.message.clone().unwrap();
    assert_eq!(
        answer,
        Ack { message: Some(message.clone()), revision: message.revision, ..Default::default() }
    );
    assert_eq!(
        (message.content.as_str(), message.nonce.as_str(), message.server_sequence),
        ("Hello @user:ben", "n", 1)
    );
    // Acknowledged is committed, and everyone hears it, its sender too.
    let read = ben.history("").await.messages;
    assert_eq!(read, [edgewise_client::Message { nonce: None, ..message.clone().into() }]);
    assert_eq!(hers.message().await, message);
    assert_eq!(his.message().await, ChatMessage { nonce: String::new(), ..message });
}

#[tokio::test]
async fn a_nonce_counts_on_both_ways() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let mut socket = ana.connect().await;
    let first = ack(&mut socket, ask::send_once("once", "n")).await;
    let again = ack(&mut socket, ask::send_once("once", "n")).await;
    assert_eq!((again.replayed, &again.message), (true, &first.message));
    let over_http = ana.try_send(serde_json::json!({"content": "once", "nonce": "n"})).await.expect(200);
    assert_eq!(over_http.json::<edgewise_client::Message>().id, first.message.unwrap().id);
    socket.refused(ask::send_once("other", "n"), 422, "NONCE_REUSED").await;
}

#[tokio::test]
async fn edits_reactions_and_deletions_are_acknowledged() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let mut socket = ana.connect().await;
    let message = sent(&mut socket, "frist").await;
    let id = message.id.as_str();

    let edited = ack(&mut socket, ask::edit(id, "first")).await;
    let now = edited.message.unwrap();
    assert_eq!((now.content.as_str(), now.edited, now.revision), ("first", true, edited.revision));

    room.user("ben").react(&message.clone().into(), "👍").await;
    let reacted = ack(&mut socket, ask::react(id, "👍")).await;
    let user_ids = vec!["ben".to_owned(), "ana".to_owned()];
    assert_eq!(reacted.reaction, Some(ReactionSummary { emoji: "👍".into(), count: 2, me: true, user_ids }));
    let again = ack(&mut socket, ask::react(id, "👍")).await;
    assert_eq!(again.reaction, reacted.reaction);
    ack(&mut socket, ask::unreact(id, "👍")).await;
    socket.refused(ask::unreact(id, "👍"), 404, "REACTION_NOT_FOUND").await;

    let deleted = ack(&mut socket, ask::delete(id)).await;
    assert!(deleted.revision > reacted.revision);
    socket.refused(ask::delete(id), 404, "MESSAGE_NOT_FOUND").await;
    assert_eq!(ana.history("").await.messages, []);
    assert_eq!(ana.channel().await.revision, deleted.revision);
}

#[tokio::test]
async fn a_mark_is_acknowledged_with_its_counts() {
    let room = Server::shared().room().await;
    room.user("ana").send("@user:ben").await;
    room.user("ana").send("again, @user:ben").await;
    let mut socket = room.user("ben").connect().await;
    let last_read = |last_sequence: u64, unread_count: u32, mention_count: u32| {
        Some(LastRead { channel_id: room.id.clone(), last_sequence, unread_count, mention_count })
    };
    assert_eq!(ack(&mut socket, ask::mark_read(1)).await.last_read, last_read(1, 1, 1));
    assert_eq!(ack(&mut socket, ask::mark_read(2)).await.last_read, last_read(2, 0, 0));
    assert_eq!(ack(&mut socket, ask::mark_read(1)).await.last_read, last_read(2, 0, 0));
    let back =
        Payload::UpdateLastReadRequest(UpdateLastReadRequest { last_sequence: 1, allow_decrease: true });
    assert_eq!(ack(&mut socket, back).await.last_read, last_read(1, 1, 1));
    socket.refused(ask::mark_read(3), 422, "SEQUENCE_OUT_OF_RANGE").await;
}

#[tokio::test]
async fn the_rules_are_those_of_rest() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let hers = ana.send("hers").await;
    let gone = ben.send("gone").await;
    ben.erase(&gone).await;
    let full = ana.send("full").await;
    for number in 0..20 {
        ana.react(&full, &format!("e{number}")).await;
    }
    let unknown = Uuid::now_v7().to_string();
    let many: String = (0..51).map(|number| format!("@user:u{number} ")).collect();
    let mut socket = ben.connect().await;
    for (request, status, code) in [
        (ask::send(""), 422, "CONTENT_EMPTY"),
        (ask::send(" \n "), 422, "CONTENT_EMPTY"),
        (ask::send(&"x".repeat(4001)), 422, "CONTENT_TOO_LONG"),
        (ask::send(&many), 422, "TOO_MANY_MENTIONS"),
        (ask::send_once("x", &"n".repeat(65)), 422, "NONCE_INVALID"),
        (ask::reply("x", "x"), 400, "ID_INVALID"),
        (ask::reply("x", &unknown), 422, "REPLY_TARGET_NOT_FOUND"),
        (ask::reply("x", &gone.id), 422, "REPLY_TARGET_NOT_FOUND"),
        (ask::edit(&hers.id, "his"), 403, "FORBIDDEN"),
        (ask::edit(&hers.id, ""), 422, "CONTENT_EMPTY"),
        (ask::edit("", "x"), 400, "ID_INVALID"),
        (ask::edit(&unknown, "x"), 404, "MESSAGE_NOT_FOUND"),
        (ask::edit(&gone.id, "x"), 404, "MESSAGE_NOT_FOUND"),
        (ask::delete(&hers.id), 403, "FORBIDDEN"),
        (ask::delete("x"), 400, "ID_INVALID"),
        (ask::delete(&unknown), 404, "MESSAGE_NOT_FOUND"),
        (ask::react(&hers.id, ""), 422, "EMOJI_INVALID"),
        (ask::react(&hers.id, "a b"), 422, "EMOJI_INVALID"),
        (ask::react(&full.id, "more"), 422, "TOO_MANY_REACTIONS"),
        (ask::react(&gone.id, "x"), 404, "MESSAGE_NOT_FOUND"),
        (ask::react("x", "x"), 400, "ID_INVALID"),
        (ask::unreact(&hers.id, "x"), 404, "REACTION_NOT_FOUND"),
        (ask::unreact(&unknown, "x"), 404, "MESSAGE_NOT_FOUND"),
        (ask::mark_read(1_000_000), 422, "SEQUENCE_OUT_OF_RANGE"),
    ] {
        socket.refused(request, status, code).await;
    }
    // After all that the connection is as good as new.
    sent(&mut socket, "fine").await;
}

#[tokio::test]
async fn requests_take_effect_in_the_order_they_were_sent() {
    let room = Server::shared().room().await;
    let mut socket = room.user("ana").connect().await;
    let mut other = room.user("ben").connect().await;
    let mut requests = Vec::new();
    for number in 0..64 {
        requests.push(socket.request(ask::send(&format!("{number}"))).await);
        other.request(ask::send("in between")).await;
    }
    let mut last = 0;
    for (number, request) in requests.iter().enumerate() {
        let message = acked(&mut socket, request).await.message.unwrap();
        assert_eq!(message.content, format!("{number}"));
        assert!(message.server_sequence > last);
        last = message.server_sequence;
    }
}

#[tokio::test]
async fn requests_on_one_message_take_effect_in_their_order_too() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let message = ana.send("0").await;
    let (mut socket, mut listener) = (ana.connect().await, room.user("ben").connect().await);
    let id = message.id.as_str();
    let requests = [
        ask::edit(id, "1"),
        ask::react(id, "a"),
        ask::edit(id, "2"),
        ask::unreact(id, "a"),
        ask::react(id, "a"),
        ask::react(id, "b"),
        ask::edit(id, "3"),
        ask::send("end of the first half"),
        ask::history(),
        ask::delete(id),
        ask::edit(id, "4"),
        ask::react(id, "c"),
        ask::delete(id),
        ask::sync(0, 0),
    ];
    let mut ids = Vec::new();
    for request in requests {
        ids.push(socket.request(request).await);
    }
    let mut revision = 0;
    for request in &ids[..8] {
        let ack = acked(&mut socket, request).await;
        assert!(ack.revision > revision, "{ack:?}");
        revision = ack.revision;
    }
    // What reads on the same connection sees what was written before on it, and nothing later.
    let Payload::FetchHistoryResponse(page) = socket.answer(&ids[8]).await else { panic!("no history") };
    let read = page.messages.iter().find(|read| read.id == id).unwrap();
    assert_eq!(read.content, "3");
    assert_eq!(read.reactions.iter().map(|summary| summary.emoji.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    acked(&mut socket, &ids[9]).await;
    for late in &ids[10..13] {
        let Payload::Error(error) = socket.answer(late).await else { panic!("it was deleted") };
        assert_eq!(error.error_code, "MESSAGE_NOT_FOUND");
    }
    let Payload::SyncResponse(sync) = socket.answer(&ids[13]).await else { panic!("no states") };
    assert!(sync.messages.iter().any(|state| state.id == id && state.deleted));

    let end = ana.send("end").await;
    let kinds: Vec<u8> =
        listener.changes_until(&end.id).await.iter().map(|(_, change)| kind(change)).collect();
    assert_eq!(kinds, [121, 123, 121, 124, 123, 123, 121, 120, 122]);
}

fn kind(change: &Payload) -> u8 {
    match change {
        Payload::NewMessageEvent(_) => 120,
        Payload::MessageEditedEvent(_) => 121,
        Payload::MessageDeletedEvent(_) => 122,
        Payload::ReactionAddedEvent(_) => 123,
        _ => 124,
    }
}

#[tokio::test]
async fn a_refused_request_leaves_its_neighbours_alone() {
    let room = Server::shared().room().await;
    let mut socket = room.user("ana").connect().await;
    let mut requests = Vec::new();
    for content in ["one", "", "two", " ", "three"] {
        requests.push(socket.request(ask::send(content)).await);
    }
    for (index, sequence) in [(0, 1), (2, 2), (4, 3)] {
        assert_eq!(acked(&mut socket, &requests[index]).await.message.unwrap().server_sequence, sequence);
    }
    for index in [1, 3] {
        assert!(matches!(socket.answer(&requests[index]).await, Payload::Error(_)));
    }
}

#[tokio::test]
async fn what_a_sleeping_object_is_asked_it_does() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let mut socket = ana.connect().await;
    for sequence in 1..=3 {
        room.evict().await;
        assert_eq!(sent(&mut socket, "hi").await.server_sequence, sequence);
    }
}

#[tokio::test]
async fn what_one_commit_brings_comes_in_one_frame() {
    let room = Server::shared().room().await;
    let mut listener = room.user("listener").connect().await;
    room.fill(256).await;
    let (mut frames, mut messages) = (0, Vec::new());
    while messages.len() < 256 {
        frames += 1;
        let envelopes = match listener.frame().await {
            Frame::Envelope(Envelope { payload: Some(Payload::EnvelopeBatch(batch)), .. }) => {
                assert!(batch.envelopes.len() > 1, "a lone event comes as itself");
                batch.envelopes
            }
            Frame::Envelope(envelope) => vec![envelope],
            other => panic!("a frame was expected, and came {other:?}"),
        };
        for envelope in envelopes {
            if let Some(Payload::NewMessageEvent(event)) = envelope.payload {
                messages.push(event.message.unwrap().server_sequence);
            }
        }
    }
    assert!(messages.into_iter().eq(1..=256));
    assert!(frames < 200, "{frames} frames for 256 messages of 64 senders at once");
}

#[tokio::test]
async fn a_mark_is_told_to_the_users_other_sockets() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    ana.send_many(3).await;
    let [mut marks, mut other, mut anas] = [ben.connect().await, ben.connect().await, ana.connect().await];
    let expected = |last_sequence: u64, unread_count: u32| LastRead {
        channel_id: room.id.clone(),
        last_sequence,
        unread_count,
        mention_count: 0,
    };
    let told = async |socket: &mut Socket| {
        socket
            .find(|envelope| match envelope.payload {
                Some(Payload::LastReadUpdatedEvent(event)) => event.last_read,
                _ => None,
            })
            .await
    };
    ack(&mut marks, ask::mark_read(2)).await;
    assert_eq!(told(&mut other).await, expected(2, 1));
    ben.mark_read(3).await;
    assert_eq!(told(&mut other).await, expected(3, 0));
    // The one that asked heard of the other mark only, and other users of none.
    assert_eq!(told(&mut marks).await, expected(3, 0));
    let end = ana.send("end").await;
    loop {
        match anas.next().await.payload {
            Some(Payload::LastReadUpdatedEvent(event)) => panic!("that is not hers: {event:?}"),
            Some(Payload::NewMessageEvent(event))
                if event.message.as_ref().is_some_and(|m| m.id == end.id) =>
            {
                break;
            }
            _ => {}
        }
    }
}
