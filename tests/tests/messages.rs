//! Messages: sent, read, edited, deleted, and sent again.

use edgewise_client::Message;
use edgewise_tests::{Server, User, now};
use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

#[tokio::test]
async fn a_message_is_answered_as_the_contract_writes_it() {
    let room = Server::shared().room().await;
    let before = now() * 1000;
    let answer = room.user("ana").try_send(json!({"content": "Hello", "nonce": "first"})).await.expect(201);
    let after = (now() + 1) * 1000;

    assert_eq!(answer.header("content-type"), "application/json");
    let message: Value = answer.json();
    let text = |field: &str| message[field].as_str().unwrap_or_default().to_owned();
    let number = |field: &str| message[field].as_u64().unwrap_or_default();
    assert_eq!(
        message,
        json!({
            "id": text("id"), "channel_id": room.id, "sender_id": "ana", "sender_pubkey": null,
            "sender_display_name": "Ana", "content": "Hello", "timestamp": number("timestamp"),
            "server_sequence": 1, "revision": number("revision"), "reply_to_id": null, "edited": false,
            "edit_timestamp": null, "deleted": false, "mention_user_ids": [], "mention_role_ids": [],
            "reactions": [], "nonce": "first", "envelope": null,
        })
    );
    let id = Uuid::parse_str(&text("id")).unwrap();
    assert_eq!((id.get_version_num(), id.to_string()), (7, text("id")));
    assert!((before..after).contains(&number("timestamp")), "{message}");
    assert!(number("revision") > 0);
}

#[tokio::test]
async fn everyone_reads_what_was_sent_and_only_its_sender_the_nonce() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let sent: Message = ana.try_send(json!({"content": "Hello", "nonce": "mine"})).await.expect(201).json();

    assert_eq!(ana.read(&sent).await, sent);
    let seen = Message { nonce: None, ..sent.clone() };
    assert_eq!(ben.read(&sent).await, seen);
    assert_eq!(ben.history("").await.messages, std::slice::from_ref(&seen));
    assert_eq!(ben.changes(0).await.messages, [seen]);
    assert_eq!(ana.history("").await.messages, [sent]);
}

#[tokio::test]
async fn ids_rise_with_time_and_sequences_count_from_one() {
    let room = Server::shared().room().await;
    let sent = room.user("ana").send_many(5).await;
    assert!(sent.iter().map(|message| message.server_sequence).eq(1..=5));
    assert!(sent.is_sorted_by(|a, b| a.id < b.id && a.revision < b.revision && a.timestamp <= b.timestamp));
}

#[tokio::test]
async fn content_is_trimmed_at_its_ends_and_kept_within() {
    let ana = Server::shared().room().await.user("ana");
    for (sent, kept) in [
        ("  two  words\n", "two  words"),
        ("\u{a0}\u{2003}\u{3000}wide\r\n\t", "wide"),
        ("a\u{0}b", "a\u{0}b"),
        ("\u{0}", "\u{0}"),
        ("\u{200b}zero width is no white space\u{200b}", "\u{200b}zero width is no white space\u{200b}"),
    ] {
        let message = ana.send(sent).await;
        assert_eq!(message.content, kept);
        assert_eq!(ana.read(&message).await.content, kept);
    }
}

#[tokio::test]
async fn content_has_1_to_4000_characters() {
    let ana = Server::shared().room().await.user("ana");
    for empty in ["", " ", "\n\t \u{2003}"] {
        ana.try_send(json!({"content": empty})).await.refused(422, "CONTENT_EMPTY");
    }
    for character in ["x", "é", "👍"] {
        let longest = character.repeat(4000);
        assert_eq!(ana.send(&format!("  {longest}  ")).await.content, longest);
        let body = json!({"content": longest + character});
        let problem = ana.try_send(body).await.refused(422, "CONTENT_TOO_LONG");
        assert!(problem["detail"].as_str().unwrap().contains("4000"), "{problem}");
    }
}

#[tokio::test]
async fn a_reply_names_a_live_message_of_its_channel() {
    let server = Server::shared();
    let (room, elsewhere) = (server.room().await, server.room().await);
    let ana = room.user("ana");
    let target = ana.send("question").await;
    let reply = |id: &str| ana.try_send(json!({"content": "answer", "reply_to_id": id}));

    let answer: Message = reply(&target.id).await.expect(201).json();
    assert_eq!(answer.reply_to_id.as_deref(), Some(target.id.as_str()));
    assert_eq!(ana.read(&answer).await.reply_to_id, answer.reply_to_id);
    ana.try_send(json!({"content": "no answer", "reply_to_id": null})).await.expect(201);

    let foreign = elsewhere.user("ana").send("elsewhere").await;
    let gone = ana.send("gone").await;
    ana.erase(&gone).await;
    for id in [&foreign.id, &gone.id, &Uuid::now_v7().to_string(), &Uuid::new_v4().to_string()] {
        reply(id).await.refused(422, "REPLY_TARGET_NOT_FOUND");
    }
    for id in ["", "x", &target.id[1..], &format!("{{{}}}", target.id)] {
        reply(id).await.refused(400, "ID_INVALID");
    }
    // A deleted target leaves its replies as they are.
    ana.erase(&target).await;
    assert_eq!(ana.read(&answer).await.reply_to_id, answer.reply_to_id);
}

#[tokio::test]
async fn a_nonce_makes_a_send_happen_once() {
    let server = Server::shared();
    let (room, elsewhere) = (server.room().await, server.room().await);
    let ana = room.user("ana");
    let body = json!({"content": "once", "nonce": "n1"});
    let first = ana.try_send(body.clone()).await.expect(201);
    assert_eq!(first.header("idempotency-replayed"), "");
    let again = ana.try_send(body.clone()).await.expect(200);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.json::<Message>(), first.json());
    assert_eq!(ana.history("").await.messages.len(), 1);

    // It is the sender's own, and the channel's own.
    let others: Message = room.user("ben").try_send(body.clone()).await.expect(201).json();
    assert_ne!(others.id, first.json::<Message>().id);
    elsewhere.user("ana").try_send(body).await.expect(201);
}

#[tokio::test]
async fn a_nonce_is_not_taken_twice_for_different_things() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let target = ana.send("target").await;
    ana.try_send(json!({"content": "one", "nonce": "n"})).await.expect(201);
    for other in [
        json!({"content": "two", "nonce": "n"}),
        json!({"content": "one", "nonce": "n", "reply_to_id": target.id}),
    ] {
        ana.try_send(other).await.refused(422, "NONCE_REUSED");
    }
    assert_eq!(ana.history("").await.messages.len(), 2);
}

#[tokio::test]
async fn a_nonce_is_compared_with_the_request_and_answers_the_present() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let original = json!({"content": "first", "nonce": "n"});
    let sent: Message = ana.try_send(original.clone()).await.expect(201).json();

    let edited = ana.edit(&sent, "second").await;
    assert_eq!(ana.try_send(original.clone()).await.expect(200).json::<Message>(), edited);
    ana.try_send(json!({"content": "second", "nonce": "n"})).await.refused(422, "NONCE_REUSED");

    ana.erase(&sent).await;
    let tombstone: Message = ana.try_send(original).await.expect(200).json();
    assert_eq!(
        (tombstone.id.as_str(), tombstone.deleted, tombstone.content.as_str()),
        (sent.id.as_str(), true, "")
    );
    assert_eq!(ana.history("").await.messages, []);
}

#[tokio::test]
async fn an_idempotency_key_is_a_nonce() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let body = json!({"content": "once"});
    let send = || ana.post("messages").header("idempotency-key", "key-1").json(&body).send();
    let first: Message = send().await.expect(201).json();
    assert_eq!(first.nonce.as_deref(), Some("key-1"));
    let again = send().await.expect(200);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.json::<Message>(), first);
    let by_nonce = ana.try_send(json!({"content": "once", "nonce": "key-1"})).await.expect(200);
    assert_eq!(by_nonce.json::<Message>(), first);
}

#[tokio::test]
async fn nonces_have_1_to_64_characters() {
    let ana = Server::shared().room().await.user("ana");
    for nonce in ["x".repeat(64), "é".repeat(64), "👍".repeat(64), " ".to_owned()] {
        let sent: Message = ana.try_send(json!({"content": "x", "nonce": nonce})).await.expect(201).json();
        assert_eq!(sent.nonce, Some(nonce));
    }
    for nonce in [String::new(), "x".repeat(65), "é".repeat(65)] {
        ana.try_send(json!({"content": "x", "nonce": nonce})).await.refused(422, "NONCE_INVALID");
    }
    ana.try_send(json!({"content": "x", "nonce": null})).await.expect(201);
}

#[tokio::test]
async fn sends_that_race_with_one_nonce_make_one_message() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let body = json!({"content": "once", "nonce": "race"});
    let answers = join_all((0..16).map(|_| ana.try_send(body.clone()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    let messages: Vec<Message> = answers.into_iter().map(|answer| answer.json()).collect();
    assert!(messages.iter().all(|message| *message == messages[0]));
    assert_eq!(ana.history("").await.messages.len(), 1);
    assert_eq!(ana.send("next").await.server_sequence, 2);
}

#[tokio::test]
async fn an_edit_changes_content_and_nothing_else() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let sent = ana.send("frist @user:ben").await;
    ben.react(&sent, "👍").await;
    let between = ana.send("between").await;

    let edited = ana.edit(&sent, " first @user:carla ").await;
    assert!(edited.revision > between.revision);
    assert!(edited.edit_timestamp.is_some_and(|time| time >= sent.timestamp));
    let expected = Message {
        content: "first @user:carla".into(),
        edited: true,
        edit_timestamp: edited.edit_timestamp,
        revision: edited.revision,
        mention_user_ids: vec!["carla".into()],
        reactions: ana.history("").await.messages[1].reactions.clone(),
        ..sent.clone()
    };
    assert_eq!(edited, expected);
    assert_eq!(edited.reactions.len(), 1);
    assert_eq!(ana.read(&sent).await, edited);
    assert_eq!(ana.history("").await.messages, [between, edited]);
}

#[tokio::test]
async fn only_its_sender_edits_a_message() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let sent = ana.send("mine").await;
    for other in [room.user("ben"), room.owner.clone()] {
        try_edit(&other, &sent.id, "yours").await.refused(403, "FORBIDDEN");
    }
    assert_eq!(ana.read(&sent).await, sent);
}

#[tokio::test]
async fn an_edit_is_held_to_the_rules_of_content() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let sent = ana.send("fine").await;
    try_edit(&ana, &sent.id, " \n").await.refused(422, "CONTENT_EMPTY");
    try_edit(&ana, &sent.id, &"x".repeat(4001)).await.refused(422, "CONTENT_TOO_LONG");
    assert_eq!(ana.edit(&sent, &"x".repeat(4000)).await.content.len(), 4000);
}

#[tokio::test]
async fn a_deleted_message_is_gone() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let sent = ana.send("secret").await;
    let path = format!("messages/{}", sent.id);
    let answer = ana.delete(&path).send().await.expect(204);
    assert_eq!(answer.body, b"");

    ana.delete(&path).send().await.refused(404, "MESSAGE_NOT_FOUND");
    ana.get(&path).send().await.refused(404, "MESSAGE_NOT_FOUND");
    try_edit(&ana, &sent.id, "back").await.refused(404, "MESSAGE_NOT_FOUND");
    assert_eq!(ana.history("").await.messages, []);
    // Its place is not given away.
    assert_eq!(ana.send("next").await.server_sequence, 2);
}

#[tokio::test]
async fn what_is_deleted_is_erased_from_the_database() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let sent = ana.send("secret @user:ben").await;
    ana.react(&sent, "👍").await;
    ana.erase(&sent).await;

    let row = &room.sql("SELECT * FROM messages WHERE id = ?", json!([sent.id])).await[0];
    assert!(!row.to_string().contains("secret") && !row.to_string().contains("ben"), "{row}");
    for table in ["reactions", "mentions"] {
        let sql = format!("SELECT * FROM {table} WHERE channel_id = ?");
        assert_eq!(room.sql(&sql, json!([room.id])).await, Vec::<Value>::new(), "{table}");
    }
}

#[tokio::test]
async fn who_may_manage_messages_deletes_those_of_others() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let moderator = room.user(&room.user_with_role(32).await);
    let sent = ana.send_many(3).await;
    room.user("ben").delete(&format!("messages/{}", sent[0].id)).send().await.refused(403, "FORBIDDEN");
    moderator.erase(&sent[0]).await;
    room.owner.erase(&sent[1]).await;
    room.with_token(&room.token("adam").admin().mint()).erase(&sent[2]).await;
    assert_eq!(ana.history("").await.messages, []);
}

#[tokio::test]
async fn deletes_that_race_succeed_once() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let sent = ana.send("once").await;
    let path = format!("messages/{}", sent.id);
    let answers = join_all((0..8).map(|_| ana.delete(&path).send())).await;
    let (done, late): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 204);
    assert_eq!(done.len(), 1);
    for answer in late {
        answer.refused(404, "MESSAGE_NOT_FOUND");
    }
}

#[tokio::test]
async fn messages_are_found_in_their_own_channel_only() {
    let server = Server::shared();
    let (room, elsewhere) = (server.room().await, server.room().await);
    let foreign = elsewhere.user("ana").send("elsewhere").await;
    let ana = room.user("ana");
    for id in [foreign.id.as_str(), &Uuid::now_v7().to_string(), &Uuid::new_v4().to_string()] {
        let path = format!("messages/{id}");
        ana.get(&path).send().await.refused(404, "MESSAGE_NOT_FOUND");
        ana.delete(&path).send().await.refused(404, "MESSAGE_NOT_FOUND");
        try_edit(&ana, id, "x").await.refused(404, "MESSAGE_NOT_FOUND");
    }
    for id in ["x", "0", &foreign.id[1..], &foreign.id.replace('-', "")] {
        let path = format!("messages/{id}");
        ana.get(&path).send().await.refused(400, "ID_INVALID");
        ana.delete(&path).send().await.refused(400, "ID_INVALID");
        try_edit(&ana, id, "x").await.refused(400, "ID_INVALID");
    }
    assert_eq!(elsewhere.user("ana").read(&foreign).await, foreign);
}

#[tokio::test]
async fn a_message_keeps_the_name_that_its_sender_had() {
    let room = Server::shared().room().await;
    let id = format!("u{}", Uuid::new_v4());
    let speak = |name: Option<&str>| {
        let token = room.token(&id);
        let token = if let Some(name) = name { token.name(name) } else { token };
        room.with_token(&token.mint())
    };
    // Without a name in the token the one stored counts, and where there is none, the id.
    let first = speak(None).send("1").await;
    let second = speak(Some("Maiden")).send("2").await;
    let third = speak(None).send("3").await;
    let fourth = speak(Some("Married")).send("4").await;
    let names = [&first, &second, &third, &fourth].map(|message| message.sender_display_name.as_str());
    assert_eq!(names, [id.as_str(), "Maiden", "Maiden", "Married"]);
    let read = room.owner.whole_history().await;
    assert!(read.iter().map(|message| message.sender_display_name.as_str()).eq(names));
}

async fn try_edit(user: &User, id: &str, content: &str) -> edgewise_tests::Answer {
    user.put(&format!("messages/{id}")).json(&json!({"content": content})).send().await
}
