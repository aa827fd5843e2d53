//! Envelopes that are brought to the server, by a relay or by their author: who acts is whose key signed.

use edgewise_client::Message;
use edgewise_core::proto::{ChatMessage, MessageType, SendMessageRequest, envelope::Payload};
use edgewise_tests::{Answer, Author, Room, Server, Signed, User};
use futures_util::future::join_all;
use serde_json::json;

/// One whose token says that they bring what others signed.
fn relay(room: &Room<'_>) -> User {
    room.with_token(&room.token("relay").claim("scope", "gossip").mint())
}

async fn bring(courier: &User, signed: &Signed) -> Answer {
    courier.post("/api/gossip").body("application/x-protobuf", signed.0.clone()).send().await
}

/// What everyone may do.
async fn set_everyone(server: &Server, permissions: u32) {
    server.sql("UPDATE roles SET permissions = ? WHERE id = 'everyone'", json!([permissions])).await;
}

#[tokio::test]
async fn what_a_relay_brings_is_its_authors() {
    let room = Server::shared().room().await;
    let (author, relay) = (room.author().await, relay(&room));
    let mut listener = room.user("ben").connect().await;
    let signed = author
        .note("from afar")
        .payload(|payload| {
            payload.nonce = "n".into();
            payload.sender_id = "mallory".into();
            payload.timestamp = 1;
            payload.server_sequence = 99;
        })
        .sign();
    let sent: Message = bring(&relay, &signed).await.expect(201).json();
    assert_eq!((sent.content.as_str(), sent.sender_id.as_str()), ("from afar", author.id.as_str()));
    assert_eq!((sent.server_sequence, sent.nonce.as_deref()), (1, None));
    assert!(sent.timestamp > 1);
    assert_eq!(sent.envelope.as_deref(), Some(&signed.0[..]));
    let heard = listener.message().await;
    assert_eq!((heard.id.as_str(), heard.envelope.as_slice()), (sent.id.as_str(), &signed.0[..]));

    let again = bring(&relay, &signed.padded(b"hops: 3")).await.expect(200);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.json::<Message>().id, sent.id);
    // Over REST and socket it is the same message too, and its author sees their nonce.
    let own: Message = author.try_post(&signed).await.expect(200).json();
    assert_eq!((own.id.as_str(), own.nonce.as_deref()), (sent.id.as_str(), Some("n")));
    let protobuf = author.post("/api/gossip").body("application/x-protobuf", signed.0.clone());
    let own: ChatMessage =
        protobuf.header("accept", "application/x-protobuf").send().await.expect(200).protobuf();
    assert_eq!((own.id.as_str(), own.nonce.as_str()), (sent.id.as_str(), "n"));

    let edit = author.correction(&sent.id, "corrected").sign();
    let edited: Message = bring(&relay, &edit).await.expect(201).json();
    assert_eq!((edited.id.as_str(), edited.content.as_str()), (sent.id.as_str(), "corrected"));
    bring(&relay, &edit).await.expect(200);
    let older = author.correction(&sent.id, "older").envelope(|envelope| envelope.timestamp = 1).sign();
    bring(&relay, &older).await.refused(422, "ENVELOPE_STALE");

    author.erase(&sent).await;
    for late in [&signed, &edit] {
        let tombstone: Message = bring(&relay, late).await.expect(200).json();
        assert!(tombstone.deleted && tombstone.content.is_empty() && tombstone.envelope.is_none());
    }
    let new = author.correction(&sent.id, "too late").sign();
    bring(&relay, &new).await.refused(404, "MESSAGE_NOT_FOUND");
}

#[tokio::test]
async fn only_relays_bring_what_others_signed() {
    let room = Server::shared().room().await;
    let (author, other) = (room.author().await, room.author().await);
    let signed = author.note("mine").sign();
    let with_scope = |scope: &str| room.with_token(&room.token("relay").claim("scope", scope).mint());
    for courier in [other.clone().user(), room.owner.clone(), with_scope("gossips"), with_scope("")] {
        bring(&courier, &signed).await.refused(403, "FORBIDDEN");
    }
    room.with_token("").post("/api/gossip").send().await.refused(401, "TOKEN_MISSING");
    assert!(author.history("").await.messages.is_empty());
    bring(&author, &signed).await.expect(201);
    bring(&with_scope("other gossip more"), &author.note("among others").sign()).await.expect(201);
}

#[tokio::test]
async fn faults_are_told_in_the_contracts_order() {
    let room = Server::shared().room().await;
    let (author, relay) = (room.author().await, relay(&room));
    let stranger = author.with_another_key();
    let elsewhere = |author: &Author| author.note("hi").envelope(|envelope| envelope.topic = "x".into());
    // Everything is wrong with each, but for what was checked before.
    let broken = elsewhere(&stranger).sign().tampered(|envelope| envelope.timestamp += 1);
    bring(&relay, &broken).await.refused(422, "SIGNATURE_INVALID");
    bring(&relay, &elsewhere(&stranger).sign()).await.refused(404, "USER_NOT_FOUND");
    room.sql("INSERT INTO bans (user_id, banned_by, created_at) VALUES (?, 'olga', 1)", json!([author.id]))
        .await;
    bring(&relay, &elsewhere(&author).sign()).await.refused(422, "ENVELOPE_MISMATCH");
    bring(&relay, &author.note("hi").sign()).await.refused(403, "BANNED");
    room.sql("DELETE FROM bans WHERE user_id = ?", json!([author.id])).await;

    for kind in [MessageType::Typing, MessageType::Presence, MessageType::Test, MessageType::Unspecified] {
        let payload = ChatMessage { channel_id: room.id.clone(), content: "hi".into(), ..Default::default() };
        bring(&relay, &author.of_type(kind, payload).sign()).await.refused(422, "ENVELOPE_MISMATCH");
    }
    let of_another_channel = author.note("hi").payload(|payload| {
        payload.channel_id = "01890a5d-ac96-774b-bcce-b302099a8057".into();
    });
    bring(&relay, &of_another_channel.sign()).await.refused(422, "ENVELOPE_MISMATCH");
    let another_network =
        author.note("hi").envelope(|envelope| envelope.topic = format!("other/{}", room.id));
    bring(&relay, &another_network.sign()).await.refused(422, "ENVELOPE_MISMATCH");
    bring(&relay, &author.note(" hi").sign()).await.refused(422, "ENVELOPE_MISMATCH");
    bring(&relay, &author.note("").sign()).await.refused(422, "CONTENT_EMPTY");
    let large = author.note("hi").payload(|payload| payload.sender_display_name = "x".repeat(20 << 10));
    bring(&relay, &large.sign()).await.refused(422, "ENVELOPE_TOO_LARGE");
    bring(&relay, &Signed(vec![0xff; 9])).await.refused(400, "BODY_INVALID");
    bring(&relay, &Signed(Vec::new())).await.refused(422, "SIGNATURE_INVALID");
    bring(&relay, &Signed(vec![0; 65 << 10])).await.refused(413, "BODY_TOO_LARGE");
    let json = relay.post("/api/gossip").json(&author.note("hi").sign().json());
    json.send().await.refused(415, "MEDIA_TYPE_UNSUPPORTED");
    relay.get("/api/gossip").send().await.refused(405, "METHOD_NOT_ALLOWED");
    let nowhere = "01890a5d-ac96-774b-bcce-b302099a8057";
    let nowhere = author
        .note("hi")
        .envelope(|envelope| envelope.topic = format!("edgewise/{nowhere}"))
        .payload(|payload| payload.channel_id = nowhere.into());
    bring(&relay, &nowhere.sign()).await.refused(404, "CHANNEL_NOT_FOUND");
    assert!(author.history("").await.messages.is_empty());
}

#[tokio::test]
async fn a_relay_lends_nobody_its_rights() {
    let server = Server::start();
    let room = server.room().await;
    let author = room.author().await;
    // An admin's token with the scope: it is not the admin who speaks.
    let relay = room.with_token(&room.token("relay").admin().claim("scope", "gossip").mint());
    set_everyone(&server, 64).await;
    bring(&relay, &author.note("hi").sign()).await.refused(403, "FORBIDDEN");
    set_everyone(&server, 65).await;
    let private = server.private_room().await;
    let there = author.in_room(&private);
    bring(&relay, &there.note("hi").sign()).await.refused(404, "CHANNEL_NOT_FOUND");
    private.owner.put(&format!("members/{}", author.id)).send().await.expect(204);
    bring(&relay, &there.note("hi").sign()).await.expect(201);
    // An edit of someone else's message.
    let of_owner = room.owner.send("the owner's").await;
    bring(&relay, &author.correction(&of_owner.id, "mine").sign()).await.refused(403, "FORBIDDEN");
    // A relay that is banned brings nothing.
    server
        .sql("INSERT INTO bans (user_id, banned_by, created_at) VALUES ('relay', 'olga', 1)", json!([]))
        .await;
    bring(&relay, &author.note("hi").sign()).await.refused(403, "BANNED");
}

#[tokio::test]
async fn the_same_envelope_by_every_way_at_once_is_one_message() {
    let server = Server::start();
    let room = server.room().await;
    let (author, relay) = (room.author().await, relay(&room));
    let mut listener = room.owner.connect().await;
    let mut socket = author.connect().await;
    for round in 0..3 {
        let signed = author.note(&format!("round {round}")).sign();
        let request = SendMessageRequest { envelope: signed.0.clone(), ..SendMessageRequest::default() };
        let by_rest = join_all((0..17).map(|_| author.try_post(&signed)));
        let by_gossip = join_all((0..17).map(|_| bring(&relay, &signed)));
        let by_socket = async {
            let mut ids = Vec::new();
            for _ in 0..16 {
                ids.push(socket.request(Payload::SendMessageRequest(request.clone())).await);
            }
            let mut fates = Vec::new();
            for id in ids {
                match socket.answer(&id).await {
                    Payload::Ack(ack) => fates.push((ack.replayed, ack.message.unwrap().id)),
                    other => panic!("{other:?}"),
                }
            }
            fates
        };
        let (by_rest, by_gossip, mut fates) = tokio::join!(by_rest, by_gossip, by_socket);
        for answer in by_rest.into_iter().chain(by_gossip) {
            assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
            fates.push((answer.status == 200, answer.json::<Message>().id));
        }
        assert_eq!(fates.len(), 50);
        assert_eq!(fates.iter().filter(|(replayed, _)| !replayed).count(), 1, "{fates:?}");
        let heard = listener.message().await;
        assert!(fates.iter().all(|(_, id)| *id == heard.id), "{fates:?}");
        assert_eq!((heard.server_sequence, heard.content), (round + 1, format!("round {round}")));
        if round == 0 {
            // Nobody remembers but the database.
            server.kill().await;
            server.restart().await;
            listener = room.owner.connect().await;
            socket = author.connect().await;
            assert_eq!(bring(&relay, &signed).await.expect(200).json::<Message>().id, heard.id);
        }
    }
    assert_eq!(author.history("").await.messages.len(), 3);
}
