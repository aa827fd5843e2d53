//! Signed messages over REST and sockets: verified, stored and handed on, one message however often they come, edited
//! with signatures only, erased with the message.

use edgewise_client::Message;
use edgewise_core::proto::{
    ChatMessage, EditMessageRequest, MessageType, SendMessageRequest, envelope::Payload,
};
use edgewise_tests::{Author, Room, Server, Signed, User};
use futures_util::future::join_all;
use serde_json::{Value, json};

async fn send(author: &Author, content: &str) -> (Message, Signed) {
    let signed = author.note(content).sign();
    let message = author.try_post(&signed).await.expect(201).json();
    (message, signed)
}

fn send_request(signed: &Signed) -> Payload {
    Payload::SendMessageRequest(SendMessageRequest { envelope: signed.0.clone(), ..Default::default() })
}

fn edit_request(message_id: &str, signed: &Signed) -> Payload {
    Payload::EditMessageRequest(EditMessageRequest {
        message_id: message_id.to_owned(),
        envelope: signed.0.clone(),
        ..Default::default()
    })
}

fn signature(signed: &Signed) -> Vec<u8> {
    let mut signature = Vec::new();
    let _ = signed.tampered(|envelope| signature.clone_from(&envelope.signature));
    signature
}

#[track_caller]
fn proves(message: &ChatMessage, author: &Author, signed: &Signed) {
    assert_eq!(message.sender_pubkey, author.public_key());
    assert_eq!(message.signature, signature(signed));
    assert_eq!(message.envelope, signed.0);
}

/// How many messages the channel has, tombstones included.
async fn count(room: &Room<'_>) -> u64 {
    let rows = room.sql("SELECT count(*) AS n FROM messages WHERE channel_id = ?", json!([room.id])).await;
    rows[0]["n"].as_u64().unwrap()
}

#[tokio::test]
async fn a_signed_message_is_handed_on_with_its_envelope_wherever_it_is_read() {
    let room = Server::shared().room().await;
    let (author, reader) = (room.author().await, room.user("ben"));
    let mut listener = reader.connect().await;
    let since = listener.hello.revision;
    let target = author.send("target").await;
    let signed = author
        .note("Hello, @user:ben")
        .payload(|payload| {
            payload.reply_to_id = Some(target.id.clone());
            payload.nonce = "mine".into();
            // Who, when and where in the channel is the server's to say.
            payload.sender_id = "mallory".into();
            payload.timestamp = 1;
            payload.server_sequence = 99;
        })
        .sign();
    let answer = author.try_post(&signed).await.expect(201);
    let json: Value = answer.json();
    assert_eq!(json["envelope"], signed.base64());
    assert_eq!(json["sender_pubkey"], author.public_key());
    let sent: Message = answer.json();
    assert_eq!((sent.content.as_str(), sent.sender_id.as_str()), ("Hello, @user:ben", author.id.as_str()));
    assert_eq!((sent.server_sequence, sent.mention_user_ids.as_slice()), (2, &["ben".to_owned()][..]));
    assert_eq!(
        (sent.reply_to_id.as_deref(), sent.nonce.as_deref()),
        (Some(target.id.as_str()), Some("mine"))
    );
    assert!(sent.timestamp > 1);

    // Everywhere it is read: the event, the caught up socket, history, changes and the message alone.
    assert_eq!(listener.message().await.id, target.id);
    proves(&listener.message().await, &author, &signed);
    let mut late = reader.dial().since(since).open().await;
    let (states, _) = late.catch_up().await;
    proves(&states[1], &author, &signed);
    room.evict().await;
    let mut later = reader.dial().since(since).open().await;
    let (states, _) = later.catch_up().await;
    proves(&states[1], &author, &signed);
    let seen = reader.history("").await.messages.remove(0);
    assert_eq!(seen, Message { nonce: None, ..sent.clone() });
    assert_eq!(reader.read(&sent).await, seen);
    assert_eq!(reader.changes(since).await.messages[1], seen);
    let protobuf = reader.get(&format!("messages/{}", sent.id)).header("accept", "application/x-protobuf");
    proves(&protobuf.send().await.expect(200).protobuf(), &author, &signed);

    // The same over the socket: the ack and the event have it.
    let mut socket = author.connect().await;
    let signed = author.note("over the socket").sign();
    match socket.ask(send_request(&signed)).await {
        Payload::Ack(ack) => proves(&ack.message.unwrap(), &author, &signed),
        other => panic!("{other:?}"),
    }
    proves(&listener.message().await, &author, &signed);
    // And as a protobuf body.
    let signed = author.note("as protobuf").sign();
    let body = SendMessageRequest { envelope: signed.0.clone(), ..Default::default() };
    author.post("messages").protobuf(&body).send().await.expect(201);
    proves(&listener.message().await, &author, &signed);
    // Unsigned messages of someone with a key have the key and no envelope.
    let plain = author.send("unsigned").await;
    assert_eq!((plain.sender_pubkey, plain.envelope), (Some(author.public_key()), None));
}

#[tokio::test]
async fn what_was_not_signed_for_here_is_refused_on_rest_and_socket_alike() {
    let room = Server::shared().room().await;
    let elsewhere = Server::shared().room().await;
    let (author, other) = (room.author().await, room.author().await);
    let stranger = author.with_another_key();
    let keyless = room.user("ana");
    let mut socket = author.connect().await;
    let good = author.note("good");
    let in_room = |topic: String| good.clone().envelope(|envelope| envelope.topic = topic);
    let payload = |change: &dyn Fn(&mut ChatMessage)| good.clone().payload(|payload| change(payload)).sign();
    let tampered = good.sign();
    let cases: Vec<(Signed, u16, &str)> = vec![
        (tampered.tampered(|e| e.timestamp += 1), 422, "SIGNATURE_INVALID"),
        (tampered.tampered(|e| e.sequence_hint += 1), 422, "SIGNATURE_INVALID"),
        (tampered.tampered(|e| e.message_type = MessageType::ChatEdit.into()), 422, "SIGNATURE_INVALID"),
        (tampered.tampered(|e| e.topic = format!("edgewise/{}", elsewhere.id)), 422, "SIGNATURE_INVALID"),
        (tampered.tampered(|e| e.payload.push(0)), 422, "SIGNATURE_INVALID"),
        (tampered.tampered(|e| e.signature[63] ^= 1), 422, "SIGNATURE_INVALID"),
        (tampered.tampered(|e| e.signature.truncate(63)), 422, "SIGNATURE_INVALID"),
        (tampered.tampered(|e| e.sender_pubkey[0] ^= 1), 422, "SIGNATURE_INVALID"),
        (tampered.tampered(|e| e.sender_pubkey.clear()), 422, "SIGNATURE_INVALID"),
        (in_room(format!("edgewise/{}", elsewhere.id)).sign(), 422, "ENVELOPE_MISMATCH"),
        (in_room(format!("other/{}", room.id)).sign(), 422, "ENVELOPE_MISMATCH"),
        (in_room(format!("edgewise/{}", room.id.to_uppercase())).sign(), 422, "ENVELOPE_MISMATCH"),
        (payload(&|payload| payload.channel_id.clone_from(&elsewhere.id)), 422, "ENVELOPE_MISMATCH"),
        (payload(&|payload| payload.content.push(' ')), 422, "ENVELOPE_MISMATCH"),
        (payload(&|payload| payload.content.clear()), 422, "CONTENT_EMPTY"),
        (payload(&|payload| payload.content = "x".repeat(4_001)), 422, "CONTENT_TOO_LONG"),
        (payload(&|payload| payload.nonce = "x".repeat(65)), 422, "NONCE_INVALID"),
        (payload(&|payload| payload.reply_to_id = Some("x".into())), 400, "ID_INVALID"),
        (
            payload(&|payload| payload.reply_to_id = Some("01890a5d-ac96-774b-bcce-b302099a8057".into())),
            422,
            "REPLY_TARGET_NOT_FOUND",
        ),
        (payload(&|payload| payload.sender_display_name = "x".repeat(20_480)), 422, "ENVELOPE_TOO_LARGE"),
        (author.of_type(MessageType::Typing, ChatMessage::default()).sign(), 422, "ENVELOPE_MISMATCH"),
        (author.of_type(MessageType::Test, good.payload.clone()).sign(), 422, "ENVELOPE_MISMATCH"),
        (author.correction(&room.id, "an edit").sign(), 422, "ENVELOPE_MISMATCH"),
        (Signed(vec![0xff; 40]), 400, "BODY_INVALID"),
        // Someone else's, and a key that nobody has.
        (other.note("of another").sign(), 403, "FORBIDDEN"),
        (stranger.note("of nobody").sign(), 403, "FORBIDDEN"),
    ];
    for (signed, status, code) in &cases {
        author.try_post(signed).await.refused(*status, code);
        socket.refused(send_request(signed), u32::from(*status), code).await;
    }
    keyless.try_send(good.sign().json()).await.refused(403, "FORBIDDEN");
    author.try_send(json!({"envelope": "no base64!"})).await.refused(400, "BODY_INVALID");
    author
        .try_send(json!({"envelope": good.sign().base64(), "content": "another"}))
        .await
        .refused(422, "ENVELOPE_MISMATCH");
    assert_eq!(count(&room).await, 0);
    // The connection lives, and what all of these were made of is good.
    socket.ask(send_request(&good.sign())).await;
    assert_eq!(author.history("").await.messages[0].content, "good");
}

#[tokio::test]
async fn a_banned_author_signs_in_vain_and_hears_that_first() {
    let room = Server::shared().room().await;
    let author = room.author().await;
    room.sql("INSERT INTO bans (user_id, banned_by, created_at) VALUES (?, 'olga', 1)", json!([author.id]))
        .await;
    author.try_post(&author.note("hi").sign()).await.refused(403, "BANNED");
    author.try_post(&author.with_another_key().note("hi").sign()).await.refused(403, "BANNED");
}

#[tokio::test]
async fn one_envelope_is_one_message_whatever_is_around_it() {
    let room = Server::shared().room().await;
    let author = room.author().await;
    let (sent, signed) = send(&author, "once").await;
    let mut socket = author.connect().await;
    for again in [signed.clone(), signed.padded(b"more"), signed.padded(&[0; 3_000])] {
        let answer = author.try_post(&again).await.expect(200);
        assert_eq!(answer.header("idempotency-replayed"), "true");
        assert_eq!(answer.json::<Message>(), sent);
        match socket.ask(send_request(&again)).await {
            Payload::Ack(ack) => {
                assert!(ack.replayed);
                assert_eq!(ack.message.unwrap().id, sent.id);
            }
            other => panic!("{other:?}"),
        }
    }
    // What came around it goes no further.
    let padded = author.note("padded").sign();
    let first: Value = author.try_post(&padded.padded(b"not signed")).await.expect(201).json();
    assert_eq!(first["envelope"], padded.base64());
    // The author said it twice: two messages.
    let (twice, _) = send(&author, "once").await;
    assert_ne!(twice.id, sent.id);
    assert_eq!(count(&room).await, 3);

    // After an edit: the present state; after a deletion: the tombstone.
    let correction = author.correction(&sent.id, "corrected").sign();
    author.try_put(&sent.id, &correction).await.expect(200);
    let again: Message = author.try_post(&signed).await.expect(200).json();
    assert_eq!((again.content.as_str(), again.envelope.as_deref()), ("corrected", Some(&correction.0[..])));
    author.erase(&sent).await;
    room.evict().await;
    let again: Message = author.try_post(&signed.padded(b"x")).await.expect(200).json();
    assert_eq!((again.id.as_str(), again.deleted, again.content.as_str()), (sent.id.as_str(), true, ""));
    assert_eq!(again.envelope, None);
    assert_eq!(count(&room).await, 3);
}

#[tokio::test]
async fn the_nonce_that_was_signed_names_the_send() {
    let room = Server::shared().room().await;
    let author = room.author().await;
    let named = |content: &str| author.note(content).payload(|payload| payload.nonce = "n".into()).sign();
    let first: Message = author.try_post(&named("hi")).await.expect(201).json();
    assert_eq!(first.nonce.as_deref(), Some("n"));
    // Signed again at another time, or not at all: the same send.
    assert_eq!(author.try_post(&named("hi")).await.expect(200).json::<Message>(), first);
    let plain: Message = author.try_send(json!({"content": "hi", "nonce": "n"})).await.expect(200).json();
    assert_eq!(plain, first);
    author.try_post(&named("ho")).await.refused(422, "NONCE_REUSED");
    assert_eq!(count(&room).await, 1);
}

#[tokio::test]
async fn a_signed_message_is_edited_with_signatures_only_and_never_back() {
    let room = Server::shared().room().await;
    let (author, other) = (room.author().await, room.author().await);
    let mut listener = room.user("ben").connect().await;
    let mut socket = author.connect().await;
    let (sent, original) = send(&author, "original").await;
    let path = format!("messages/{}", sent.id);

    // What its author did not sign does not take the place of what they signed.
    author.put(&path).json(&json!({"content": "unsigned"})).send().await.refused(403, "SIGNATURE_REQUIRED");
    let unsigned = EditMessageRequest {
        message_id: sent.id.clone(),
        content: "unsigned".into(),
        ..EditMessageRequest::default()
    };
    socket.refused(Payload::EditMessageRequest(unsigned), 403, "SIGNATURE_REQUIRED").await;
    let early = author.correction(&sent.id, "too early").envelope(|envelope| envelope.timestamp = 1).sign();
    let [first, second, of_other, of_nobody] = [
        author.correction(&sent.id, "first").sign(),
        author.correction(&sent.id, "second @user:ben").sign(),
        other.correction(&sent.id, "mine").sign(),
        author.with_another_key().correction(&sent.id, "mine").sign(),
    ];
    let refused: Vec<(&Signed, u16, &str)> = vec![
        (&early, 422, "ENVELOPE_STALE"),
        (&of_other, 403, "FORBIDDEN"),
        (&of_nobody, 403, "FORBIDDEN"),
        (&original, 422, "ENVELOPE_MISMATCH"),
    ];
    for (signed, status, code) in refused {
        author.try_put(&sent.id, signed).await.refused(status, code);
        socket.refused(edit_request(&sent.id, signed), u32::from(status), code).await;
    }
    // Signed by another with their own token: not theirs to edit.
    other.try_put(&sent.id, &of_other).await.refused(403, "FORBIDDEN");
    let (neighbour, _) = send(&author, "neighbour").await;
    author.try_put(&neighbour.id, &first).await.refused(422, "ENVELOPE_MISMATCH");
    assert_eq!(author.read(&sent).await, sent);

    let edited: Message = author.try_put(&sent.id, &first).await.expect(200).json();
    assert_eq!((edited.content.as_str(), edited.edited), ("first", true));
    assert_eq!(edited.envelope.as_deref(), Some(&first.0[..]));
    match socket.ask(edit_request(&sent.id, &second)).await {
        Payload::Ack(ack) => proves(&ack.message.unwrap(), &author, &second),
        other => panic!("{other:?}"),
    }
    for expected in [&first, &second] {
        let message = listener
            .find(|envelope| match envelope.payload {
                Some(Payload::MessageEditedEvent(event)) => event.message,
                _ => None,
            })
            .await;
        proves(&message, &author, expected);
    }
    // The newest again changes nothing; an older one does not come back.
    let present = author.read(&sent).await;
    assert_eq!(
        (present.content.as_str(), present.mention_user_ids.as_slice()),
        ("second @user:ben", &["ben".to_owned()][..])
    );
    let again = author.try_put(&sent.id, &second.padded(b"x")).await.expect(200);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.json::<Message>(), present);
    author.try_put(&sent.id, &first).await.refused(422, "ENVELOPE_STALE");
    assert_eq!(author.read(&sent).await, present);

    author.erase(&sent).await;
    // The tombstone for what was there last; nothing for what was not.
    let tombstone: Message = author.try_put(&sent.id, &second).await.expect(200).json();
    assert!(tombstone.deleted && tombstone.envelope.is_none());
    let later = author.correction(&sent.id, "later").sign();
    author.try_put(&sent.id, &later).await.refused(404, "MESSAGE_NOT_FOUND");
}

#[tokio::test]
async fn an_unsigned_message_can_be_signed_by_an_edit() {
    let room = Server::shared().room().await;
    let author = room.author().await;
    let sent = author.send("unsigned").await;
    let signed = author.correction(&sent.id, "signed").sign();
    let edited: Message = author.try_put(&sent.id, &signed).await.expect(200).json();
    assert_eq!(edited.envelope.as_deref(), Some(&signed.0[..]));
    author
        .put(&format!("messages/{}", sent.id))
        .json(&json!({"content": "and back"}))
        .send()
        .await
        .refused(403, "SIGNATURE_REQUIRED");
}

#[tokio::test]
async fn a_deletion_erases_envelope_and_signature() {
    let room = Server::shared().room().await;
    let author = room.author().await;
    let (sent, _) = send(&author, "a secret").await;
    author.try_put(&sent.id, &author.correction(&sent.id, "still a secret").sign()).await.expect(200);
    room.owner.erase(&sent).await;
    let rows = room
        .sql(
            "SELECT hex(payload) AS p, hex(signature) AS s, content_text AS c FROM messages WHERE id = ?",
            json!([sent.id]),
        )
        .await;
    assert_eq!(rows, [json!({"p": "", "s": "", "c": ""})]);
    let tombstone = author.changes(0).await.messages.remove(0);
    assert!(tombstone.deleted);
    assert_eq!((tombstone.content.as_str(), tombstone.envelope), ("", None));
}

#[tokio::test]
async fn where_signatures_are_required_every_way_in_says_so() {
    let server = Server::with_vars(&[("REQUIRE_SIGNATURES", "true"), ("GOSSIP_NETWORK", "private.net")]);
    let room = server.room().await;
    let author = room.author().await;
    let info: Value = author.get("/api/info").send().await.expect(200).json();
    assert_eq!(info["require_signatures"], true);
    author.try_send(json!({"content": "hi"})).await.refused(403, "SIGNATURE_REQUIRED");
    let mut socket = author.connect().await;
    let unsigned = SendMessageRequest { content: "hi".into(), ..Default::default() };
    socket.refused(Payload::SendMessageRequest(unsigned), 403, "SIGNATURE_REQUIRED").await;
    // Of another network.
    author.try_post(&author.note("hi").sign()).await.refused(422, "ENVELOPE_MISMATCH");
    let topic = format!("private.net/{}", room.id);
    let here = author.note("hi").envelope(|envelope| envelope.topic.clone_from(&topic)).sign();
    let sent: Message = author.try_post(&here).await.expect(201).json();
    author
        .put(&format!("messages/{}", sent.id))
        .json(&json!({"content": "ho"}))
        .send()
        .await
        .refused(403, "SIGNATURE_REQUIRED");
    let edit =
        author.correction(&sent.id, "ho").envelope(|envelope| envelope.topic.clone_from(&topic)).sign();
    match socket.ask(edit_request(&sent.id, &edit)).await {
        Payload::Ack(ack) => assert_eq!(ack.message.unwrap().content, "ho"),
        other => panic!("{other:?}"),
    }
    // What needs no signature goes on.
    author.react(&sent, "👍").await;
    author.erase(&sent).await;
}

#[tokio::test]
async fn the_same_envelope_many_times_at_once_is_one_message() {
    let server = Server::start();
    let room = server.room().await;
    let author = room.author().await;
    let signed = author.note("once").sign();
    let mut socket = author.connect().await;
    let over_rest = join_all((0..30).map(|n: u8| {
        let (author, signed) = (author.clone(), signed.padded(&[n]));
        async move { author.try_post(&signed).await }
    }));
    let over_socket = async {
        let mut ids = Vec::new();
        for _ in 0..20 {
            ids.push(socket.request(send_request(&signed)).await);
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
    let (answers, mut fates) = tokio::join!(over_rest, over_socket);
    fates.extend(answers.into_iter().map(|answer| {
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        (answer.status == 200, answer.json::<Message>().id)
    }));
    let id = fates[0].1.clone();
    assert!(fates.iter().all(|(_, other)| *other == id), "{fates:?}");
    assert_eq!(fates.iter().filter(|(replayed, _)| !replayed).count(), 1);
    assert_eq!(count(&room).await, 1);

    // A power cut forgets nothing of it.
    server.kill().await;
    server.restart().await;
    let again: Message = author.try_post(&signed).await.expect(200).json();
    assert_eq!(again.id, id);
    assert_eq!(count(&room).await, 1);
}

/// Different edits of one message at once: each is later than those before it, or refused.
#[tokio::test]
async fn edits_at_once_leave_the_latest() {
    let room = Server::shared().room().await;
    let author = room.author().await;
    let (sent, _) = send(&author, "original").await;
    let edits: Vec<Signed> =
        (0..20).map(|n| author.correction(&sent.id, &format!("edit {n}")).sign()).collect();
    let answers = join_all(edits.iter().rev().map(|edit| author.try_put(&sent.id, edit))).await;
    for answer in answers {
        if answer.status != 200 {
            answer.refused(422, "ENVELOPE_STALE");
        }
    }
    let last: Message = author.read(&sent).await;
    assert_eq!(
        (last.content.as_str(), last.envelope.as_deref()),
        ("edit 19", edits.last().map(|edit| &edit.0[..]))
    );
}

/// The largest message there is: nothing on its way is too small for it.
#[tokio::test]
async fn the_longest_content_can_be_signed() {
    let room = Server::shared().room().await;
    let author = room.author().await;
    let content = "\u{1f600}".repeat(4_000);
    let (sent, signed) = send(&author, &content).await;
    assert_eq!(sent.content, content);
    assert!(signed.0.len() > 16_000 && signed.0.len() <= 20 << 10);
    let all = join_all((0..64).map(|_| send(&author, &content))).await;
    assert_eq!(all.len(), 64);
}

#[tokio::test]
async fn who_registered_a_key_signs_with_it() {
    let room = Server::shared().room().await;
    let (key, user) = room.registered().await;
    let author = Author::new(user.in_channel(&room.id), key);
    let (sent, signed) = send(&author, "mine").await;
    assert_eq!(sent.sender_pubkey, Some(author.public_key()));
    assert_eq!(sent.envelope.as_deref(), Some(&signed.0[..]));
    author.try_post(&author.with_another_key().note("not mine").sign()).await.refused(403, "FORBIDDEN");
}

/// An id names a message of its own channel and of no other, signed or not.
#[tokio::test]
async fn messages_of_other_channels_cannot_be_reached_by_signing() {
    let (room, elsewhere) = (Server::shared().room().await, Server::shared().room().await);
    let author = room.author().await;
    let there = author.in_room(&elsewhere);
    let (sent, _) = send(&author, "here").await;
    let edit = there.correction(&sent.id, "from there").sign();
    there.try_put(&sent.id, &edit).await.refused(404, "MESSAGE_NOT_FOUND");
    author.try_put(&sent.id, &edit).await.refused(422, "ENVELOPE_MISMATCH");
    let reply = there.note("to there").payload(|payload| payload.reply_to_id = Some(sent.id.clone())).sign();
    there.try_post(&reply).await.refused(422, "REPLY_TARGET_NOT_FOUND");
    // The same words in both are two messages.
    let signed = there.note("here").sign();
    assert_ne!(there.try_post(&signed).await.expect(201).json::<Message>().id, sent.id);
    assert_eq!(author.read(&sent).await, sent);
}

#[tokio::test]
async fn a_stranger_to_a_private_channel_learns_nothing_by_signing() {
    let room = Server::shared().private_room().await;
    let author = room.author().await;
    author.try_post(&author.note("hi").sign()).await.refused(404, "CHANNEL_NOT_FOUND");
    let member: &User = &room.owner;
    member.put(&format!("members/{}", author.id)).send().await.expect(204);
    author.try_post(&author.note("hi").sign()).await.expect(201);
}
