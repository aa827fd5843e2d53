//! The socket: opened, greeted, told what changes, closed.

use edgewise_core::proto::{
    ChatMessage, Envelope, FetchHistoryRequest, FetchHistoryResponse, Hello, MessageDeletedEvent,
    MessageEditedEvent, Reaction, ReactionAddedEvent, ReactionRemovedEvent, envelope::Payload,
};
use edgewise_tests::{Frame, Room, Server, Socket, ask, now};
use prost::Message as _;
use uuid::Uuid;

#[tokio::test]
async fn the_token_travels_in_three_ways() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    for (dial, protocol) in [
        (ana.dial(), "edgewise.v1"),
        (ana.dial().token_in_header(), ""),
        (ana.dial().token_in_header().protocols(&["edgewise.v1"]), "edgewise.v1"),
        (ana.dial().token_in_query(), ""),
        (ana.dial().token_in_query().protocols(&["edgewise.v1"]), "edgewise.v1"),
        (ana.dial().token_in_query().protocols(&["chat", "edgewise.v1"]), "edgewise.v1"),
    ] {
        let socket = dial.open().await;
        assert_eq!((socket.hello.user_id.as_str(), socket.protocol.as_str()), ("ana", protocol));
    }
}

#[tokio::test]
async fn hello_says_where_everything_stands() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let sent = room.owner.send_many(3).await;
    ana.react(&sent[0], "👍").await;
    ana.mark_read(2).await;
    let expires = now() + 500;
    let token = room.token("ana").name("Ana").claim("exp", expires).mint();
    let socket = room.with_token(&token).connect().await;
    let hello = Hello {
        connection_id: socket.hello.connection_id.clone(),
        user_id: "ana".into(),
        channel_id: room.id.clone(),
        revision: ana.channel().await.revision,
        last_sequence: 3,
        last_read_sequence: 2,
        heartbeat_interval_ms: 30_000,
        token_expires_at: expires * 1000,
        presence: socket.hello.presence.clone(),
    };
    assert_eq!(socket.hello, hello);
    let other = ana.connect().await;
    assert!(!hello.connection_id.is_empty() && hello.connection_id != other.hello.connection_id);
}

#[tokio::test]
async fn every_change_is_pushed_to_everyone_in_order() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let mut sockets = [ana.connect().await, ben.connect().await];

    let sent = ana.send("frist @user:ben").await;
    let edited = ana.edit(&sent, "first").await;
    ben.react(&sent, "👍").await;
    ana.react(&sent, "👍").await;
    ben.unreact(&sent, "👍").await;
    ana.erase(&sent).await;

    for socket in &mut sockets {
        let message = socket.message().await;
        assert_eq!((message.id.as_str(), message.content.as_str()), (sent.id.as_str(), "frist @user:ben"));
        assert_eq!(
            (message.revision, message.mention_user_ids.as_slice()),
            (sent.revision, ["ben".to_owned()].as_slice())
        );
        assert_eq!((message.sender_id.as_str(), message.sender_display_name.as_str()), ("ana", "Ana"));

        let (revision, edit) = socket.change().await;
        let Payload::MessageEditedEvent(edit) = edit else { panic!("{edit:?}") };
        let message = edit.message.clone().unwrap();
        assert_eq!((revision, message.revision), (edited.revision, edited.revision));
        assert_eq!((message.content.as_str(), message.edited, message.reactions.len()), ("first", true, 0));
        let event = MessageEditedEvent {
            message_id: sent.id.clone(),
            channel_id: room.id.clone(),
            new_content: "first".into(),
            edit_timestamp: edited.edit_timestamp.unwrap(),
            message: edit.message.clone(),
        };
        assert_eq!(edit, event);

        let mut last = revision;
        for (user, count) in [("ben", 1), ("ana", 2)] {
            let (revision, added) = socket.change().await;
            let Payload::ReactionAddedEvent(added) = added else { panic!("{added:?}") };
            let timestamp = added.reaction.as_ref().unwrap().timestamp;
            let reaction = Reaction {
                message_id: sent.id.clone(),
                emoji: "👍".into(),
                timestamp,
                user_id: user.into(),
                channel_id: room.id.clone(),
                ..Default::default()
            };
            assert_eq!(added, ReactionAddedEvent { reaction: Some(reaction), count });
            assert!(revision > last && timestamp >= sent.timestamp);
            last = revision;
        }
        let (revision, removed) = socket.change().await;
        let event = ReactionRemovedEvent {
            message_id: sent.id.clone(),
            emoji: "👍".into(),
            user_id: "ben".into(),
            channel_id: room.id.clone(),
            count: 1,
            ..Default::default()
        };
        assert_eq!(removed, Payload::ReactionRemovedEvent(event));
        let (deletion, deleted) = socket.change().await;
        let event = MessageDeletedEvent {
            message_id: sent.id.clone(),
            channel_id: room.id.clone(),
            server_sequence: 1,
            deleted_by: "ana".into(),
        };
        assert_eq!(deleted, Payload::MessageDeletedEvent(event));
        assert!(last < revision && revision < deletion);
        assert_eq!(deletion, ana.channel().await.revision);
    }
}

#[tokio::test]
async fn a_nonce_is_pushed_to_its_sender_alone() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let [mut hers, mut her_other, mut his] = [ana.connect().await, ana.connect().await, ben.connect().await];
    ana.try_send(serde_json::json!({"content": "x", "nonce": "mine"})).await.expect(201);
    assert_eq!(hers.message().await.nonce, "mine");
    assert_eq!(her_other.message().await.nonce, "mine");
    assert_eq!(his.message().await.nonce, "");
}

#[tokio::test]
async fn a_socket_hears_of_its_own_channel_only() {
    let server = Server::shared();
    let (room, elsewhere) = (server.room().await, server.room().await);
    let mut socket = room.user("ana").connect().await;
    elsewhere.user("ana").send("elsewhere").await;
    let sent = room.user("ana").send("here").await;
    assert_eq!(socket.message().await.id, sent.id);
}

#[tokio::test]
async fn one_socket_that_goes_leaves_the_others() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let [mut stays, closes, breaks] = [ana.connect().await, ben.connect().await, ben.connect().await];
    closes.close().await;
    drop(breaks);
    for number in 0..3 {
        let sent = ana.send(&format!("message {number}")).await;
        assert_eq!(stays.message().await.id, sent.id);
    }
}

#[tokio::test]
async fn a_text_ping_is_answered() {
    let room = Server::shared().room().await;
    let mut socket = room.user("ana").connect().await;
    for _ in 0..3 {
        socket.ping().await;
    }
    let sent = room.user("ana").send("still here").await;
    assert_eq!(socket.message().await.id, sent.id);
}

#[tokio::test]
async fn what_is_no_envelope_closes_the_socket() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    for text in ["hello", "", "ping ", "PING", "pong", "{}"] {
        let mut socket = ana.connect().await;
        socket.send_text(text).await;
        socket.closed(4006).await;
    }
    let neither = Envelope { revision: 5, ..Default::default() }.encode_to_vec();
    for bytes in [vec![], vec![0xff; 10], b"hello".to_vec(), vec![10, 200], neither, vec![10; 65_537]] {
        let mut socket = ana.connect().await;
        socket.send_bytes(bytes).await;
        socket.closed(4006).await;
    }
}

#[tokio::test]
async fn a_frame_has_at_most_64_kib() {
    let room = Server::shared().room().await;
    let frame = |size: usize| {
        let envelope = |padding: usize| {
            let payload = Some(ask::send(&"x".repeat(padding)));
            Envelope { request_id: "big".into(), payload, ..Default::default() }.encode_to_vec()
        };
        let overhead = envelope(60_000).len() - 60_000;
        let bytes = envelope(size - overhead);
        assert_eq!(bytes.len(), size);
        bytes
    };
    let mut socket = room.user("ana").connect().await;
    socket.send_bytes(frame(65_536)).await;
    let Payload::Error(error) = socket.answer("big").await else { panic!("that content was too long") };
    assert!(matches!(error.code, 400 | 422), "{error:?}");
    socket.send_bytes(frame(65_537)).await;
    socket.closed(4006).await;
}

#[tokio::test]
async fn what_the_server_does_not_take_is_refused_and_the_socket_lives() {
    let room = Server::shared().room().await;
    let mut socket = room.user("ana").connect().await;
    for payload in [
        Payload::Hello(Hello::default()),
        Payload::FetchHistoryResponse(FetchHistoryResponse::default()),
        Payload::MessageDeletedEvent(MessageDeletedEvent::default()),
        Payload::EnvelopeBatch(edgewise_core::proto::EnvelopeBatch::default()),
    ] {
        socket.refused(payload, 400, "REQUEST_UNSUPPORTED").await;
    }
    // A payload of tomorrow (field 999), and none at all.
    let tomorrow =
        [Envelope { request_id: "new".into(), ..Default::default() }.encode_to_vec(), vec![0xba, 0x3e, 0]]
            .concat();
    socket.send_bytes(tomorrow).await;
    let Payload::Error(error) = socket.answer("new").await else { panic!("nobody knows that payload") };
    assert_eq!((error.code, error.error_code.as_str()), (400, "REQUEST_UNSUPPORTED"));
    socket.ask(ask::history()).await;
}

async fn page(socket: &mut Socket, request: FetchHistoryRequest) -> FetchHistoryResponse {
    match socket.ask(Payload::FetchHistoryRequest(request)).await {
        Payload::FetchHistoryResponse(page) => page,
        other => panic!("history was expected, and came {other:?}"),
    }
}

#[tokio::test]
async fn history_over_the_socket_is_that_of_rest() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    room.fill(60).await;
    let sent = ana.send("mine").await;
    room.user("ben").react(&sent, "👍").await;
    ana.erase(&ana.send("gone").await).await;
    let mut socket = ana.connect().await;
    let request = FetchHistoryRequest::default();
    for (request, query) in [
        (request.clone(), "limit=50"),
        (FetchHistoryRequest { limit: 7, ..request.clone() }, "limit=7"),
        (FetchHistoryRequest { before_sequence: 30, limit: 5, ..request.clone() }, "before=30&limit=5"),
        (FetchHistoryRequest { after_sequence: 30, limit: 100, ..request.clone() }, "after=30&limit=100"),
        (FetchHistoryRequest { around_sequence: 30, limit: 9, ..request.clone() }, "around=30&limit=9"),
        (FetchHistoryRequest { channel_id: room.id.clone(), limit: 3, ..request.clone() }, "limit=3"),
    ] {
        let over_http = ana.get(&format!("messages?{query}")).header("accept", "application/x-protobuf");
        let over_http: FetchHistoryResponse = over_http.send().await.expect(200).protobuf();
        assert_eq!(page(&mut socket, request).await, over_http, "{query}");
    }
}

#[tokio::test]
async fn history_that_makes_no_sense_is_refused() {
    let room = Server::shared().room().await;
    let mut socket = room.user("ana").connect().await;
    let request = FetchHistoryRequest::default();
    for request in [
        FetchHistoryRequest { limit: 101, ..request.clone() },
        FetchHistoryRequest { before_sequence: 1, after_sequence: 1, ..request.clone() },
        FetchHistoryRequest { after_sequence: 1, around_sequence: 1, ..request.clone() },
    ] {
        socket.refused(Payload::FetchHistoryRequest(request), 400, "QUERY_INVALID").await;
    }
    for channel_id in ["general".to_owned(), Uuid::new_v4().to_string()] {
        let elsewhere = Payload::FetchHistoryRequest(FetchHistoryRequest { channel_id, ..request.clone() });
        let Payload::Error(error) = socket.ask(elsewhere).await else { panic!("that is another channel") };
        assert!(matches!(error.code, 400 | 404), "{error:?}");
    }
    socket.ask(ask::history()).await;
}

#[tokio::test]
async fn nothing_is_missed_between_hello_and_history() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    ana.send("before").await;
    let mut socket = ana.connect().await;
    let sent = ana.send("between").await;
    assert!(sent.revision > socket.hello.revision);
    let page = page(&mut socket, FetchHistoryRequest::default()).await;
    assert_eq!(page.messages[0].id, sent.id);
    assert_eq!(socket.message().await.id, sent.id);
    assert!(page.revision >= sent.revision);
}

#[tokio::test]
async fn channels_that_may_not_be_seen_are_closed_alike() {
    let server = Server::shared();
    let ana = server.user("ana");
    let private = server.private_room().await;
    for channel in [Uuid::new_v4().to_string(), "general".into(), "x".into(), private.id.clone()] {
        ana.clone().in_channel(&channel).dial().refused(4007).await;
        ana.clone().in_channel(&channel).dial().token_in_query().refused(4007).await;
    }
}

#[tokio::test]
async fn a_since_that_is_no_number_is_refused() {
    let room = Server::shared().room().await;
    for since in ["x", "-1", "1.5", ""] {
        room.user("ana").dial().query(&format!("since={since}")).refused(4006).await;
    }
}

/// Sends so many messages at once, so that commits carry several.
async fn burst(room: &Room<'_>, count: usize) {
    room.fill(count).await;
}

#[tokio::test]
async fn without_the_subprotocol_every_event_has_a_frame_of_its_own() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let (mut single, mut batched) = (ana.dial().token_in_header().open().await, ana.connect().await);
    burst(&room, 200).await;
    let mut singles = Vec::new();
    while singles.len() < 200 {
        match single.frame().await {
            Frame::Envelope(Envelope { payload: Some(Payload::NewMessageEvent(event)), .. }) => {
                singles.push(event.message.unwrap());
            }
            Frame::Envelope(Envelope { payload: Some(Payload::PresenceUpdateEvent(_)), .. }) => {}
            other => panic!("a frame of its own was expected, and came {other:?}"),
        }
    }
    let mut same: Vec<ChatMessage> = Vec::new();
    while same.len() < 200 {
        same.push(batched.message().await);
    }
    assert_eq!(singles, same);
    assert!(singles.iter().map(|message| message.server_sequence).eq(1..=200));
}
