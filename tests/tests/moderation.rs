//! What a ban deletes: hidden when it is answered, tombstones everywhere in the end, whatever breaks in between.

use std::time::Duration;

use edgewise_core::proto::{SyncResponse, envelope::Payload};
use edgewise_tests::{Answer, Room, Server, Store, User, ask};
use futures_util::future::join_all;
use serde_json::{Value, json};

async fn ban(by: &User, who: &User, since: u64) -> Answer {
    by.put(&format!("/api/bans/{}", who.id)).json(&json!({"delete_messages_since": since})).send().await
}

/// Waits until nothing is promised of this user any more.
async fn settled(room: &Room<'_>, user: &User) {
    room.until("SELECT id FROM outbox WHERE user_id = ?", json!([user.id]), json!([])).await;
}

async fn reactions(reader: &User, id: &str) -> Value {
    let all: Value = reader.get(&format!("messages/{id}/reactions")).send().await.expect(200).json();
    all["reactions"].clone()
}

#[tokio::test]
async fn what_was_sent_since_is_deleted_with_its_events() {
    let room = Server::shared().room().await;
    let (mallory, ana) = (room.known_user().await, room.known_user().await);
    let old = mallory.send("before").await;
    let hers = ana.send("hers @user:ben").await;
    mallory.react(&hers, "❤️").await;
    ana.react(&hers, "❤️").await;
    // In the same millisecond nothing can be told apart.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let bad = mallory.send(&format!("spam @user:{}", ana.id)).await;
    let reply = ana.try_send(json!({"content": "what?", "reply_to_id": bad.id})).await.expect(201);
    ana.react(&bad, "👎").await;
    mallory.react(&hers, "👎").await;
    mallory.react(&old, "👎").await;
    let reader = room.user("reader");
    let mut store = Store::fresh(&reader).await;
    let mut socket = reader.dial().since(store.since).open().await;
    let unread = ana.last_read().await;

    let since = bad.timestamp;
    let revision = room.owner.channel().await.revision;
    ban(&room.owner, &mallory, since).await.expect(204);
    settled(&room, &mallory).await;
    let mut events = Vec::new();
    while events.len() < 3 {
        let (revision, payload) = socket.change().await;
        events.push(match &payload {
            Payload::MessageDeletedEvent(event) => {
                assert_eq!(
                    (&event.deleted_by, event.server_sequence),
                    (&"olga".to_owned(), bad.server_sequence)
                );
                ("deleted", event.message_id.clone(), 0)
            }
            Payload::ReactionRemovedEvent(event) => {
                assert_eq!((&event.user_id, &event.emoji), (&mallory.id, &"👎".to_owned()));
                ("removed", event.message_id.clone(), event.count)
            }
            other => panic!("{other:?}"),
        });
        store.apply(revision, payload);
    }
    events.sort();
    let mut expected =
        vec![("deleted", bad.id.clone(), 0), ("removed", hers.id.clone(), 0), ("removed", old.id.clone(), 0)];
    expected.sort();
    assert_eq!(events, expected);
    assert!(store.since > revision);
    assert_eq!(store.view(), Store::fresh(&reader).await.view());

    reader.get(&format!("messages/{}", bad.id)).send().await.refused(404, "MESSAGE_NOT_FOUND");
    assert_eq!(reader.read(&old).await.content, "before");
    let left = reactions(&reader, &hers.id).await;
    assert_eq!((left.as_array().unwrap().len(), &left[0]["count"]), (1, &json!(2)));
    assert_eq!(reactions(&reader, &old.id).await, json!([]));
    let now = ana.last_read().await;
    assert_eq!((now.unread_count, now.mention_count), (unread.unread_count - 1, unread.mention_count - 1));
    let reply: edgewise_client::Message = reply.json();
    assert_eq!(reader.read(&reply).await.reply_to_id, Some(bad.id));
}

/// Makes what a ban hides stay hidden for as long as a test looks: the promise is put where no moderator finds it.
async fn hide(room: &Room<'_>, user: &User, since: u64) {
    let sql = "INSERT INTO outbox (id, channel_id, kind, created_at, user_id, actor_id, since, messages_through, reactions_through, revision)
               SELECT 'test:' || id, id, 'expel', 1, ?1, 'olga', ?2, last_sequence, last_sequence, revision FROM channels WHERE id = ?3";
    room.sql(sql, json!([user.id, since, room.id])).await;
}

#[tokio::test]
async fn what_is_hidden_is_in_no_answer() {
    let room = Server::shared().room().await;
    let (mallory, ana) = (room.known_user().await, room.known_user().await);
    let hers = ana.send("hers").await;
    let start = room.owner.channel().await.revision;
    mallory.react(&hers, "👎").await;
    let secret = "SECRET";
    let bad = mallory.try_send(json!({"content": format!("{secret} @user:{}", ana.id), "nonce": "n"})).await;
    let bad: edgewise_client::Message = bad.expect(201).json();
    ana.react(&bad, "👎").await;
    let last = ana.send("last").await;
    // It is in the object's memory too, from which who comes back is served.
    let mut connected = ana.connect().await;
    hide(&room, &mallory, hers.timestamp).await;

    let read = format!("messages/{}", bad.id);
    for path in [
        "messages",
        "messages?before=100",
        "messages?after=0",
        &format!("messages?around={}", bad.server_sequence),
    ] {
        let text = ana.get(path).send().await.expect(200).text();
        assert!(!text.contains(secret) && !text.contains(&mallory.id) && text.contains("hers"), "{text}");
    }
    assert_eq!(ana.history("before=2").await.messages.len(), 1);
    assert!(!ana.history(&format!("limit=1&after={}", hers.server_sequence)).await.has_newer);
    ana.get(&read).send().await.refused(404, "MESSAGE_NOT_FOUND");
    ana.get(&format!("{read}/reactions")).send().await.refused(404, "MESSAGE_NOT_FOUND");
    ana.get(&format!("{read}/reactions/x")).send().await.refused(404, "MESSAGE_NOT_FOUND");
    assert_eq!(reactions(&ana, &hers.id).await, json!([]));
    let users: Value =
        ana.get(&format!("messages/{}/reactions/%F0%9F%91%8E", hers.id)).send().await.expect(200).json();
    assert_eq!(users["users"], json!([]));
    let place = ana.last_read().await;
    assert_eq!((place.unread_count, place.mention_count), (0, 0));
    let channel = ana.channel().await;
    assert_eq!((channel.unread_count, channel.mention_count), (0, 0));

    let changes = ana.changes(start).await;
    assert_eq!(changes.messages.len(), 3);
    let tombstone = changes.messages.iter().find(|message| message.id == bad.id).unwrap();
    assert!(tombstone.deleted && tombstone.content.is_empty() && tombstone.reactions.is_empty());
    assert!(tombstone.mention_user_ids.is_empty());
    let Payload::SyncResponse(sync) = connected.ask(ask::sync(start, 0)).await else { panic!("a sync") };
    assert!(!format!("{sync:?}").contains(secret));
    let mut socket = ana.dial().since(start).open().await;
    let (states, revision) = socket.catch_up().await;
    assert!(!format!("{states:?}").contains(secret), "{states:?}");
    assert!(states.iter().all(|state| state.reactions.is_empty()) && revision == last.revision);

    // Nor can anybody act on it, or refer to it.
    ana.try_react(&bad, "x").await.refused(404, "MESSAGE_NOT_FOUND");
    ana.try_unreact(&bad, "👎").await.refused(404, "MESSAGE_NOT_FOUND");
    room.owner.delete(&read).send().await.refused(404, "MESSAGE_NOT_FOUND");
    mallory.put(&read).json(&json!({"content": "x"})).send().await.refused(404, "MESSAGE_NOT_FOUND");
    ana.try_send(json!({"content": "x", "reply_to_id": bad.id})).await.refused(422, "REPLY_TARGET_NOT_FOUND");
    let again =
        mallory.try_send(json!({"content": format!("{secret} @user:{}", ana.id), "nonce": "n"})).await;
    let again: edgewise_client::Message = again.expect(200).json();
    assert!(again.deleted && again.content.is_empty());
}

#[tokio::test]
async fn what_is_sent_after_an_unban_stays() {
    let room = Server::shared().room().await;
    let mallory = room.known_user().await;
    let before = mallory.send_many(3).await;
    ban(&room.owner, &mallory, before[0].timestamp).await.expect(204);
    room.owner.delete(&format!("/api/bans/{}", mallory.id)).send().await.expect(204);
    let after = mallory.send("after").await;
    // A second ban of the same moment meets what lies between the two.
    settled(&room, &mallory).await;
    assert_eq!(room.owner.read(&after).await.content, "after");
    for message in &before {
        room.owner.get(&format!("messages/{}", message.id)).send().await.refused(404, "MESSAGE_NOT_FOUND");
    }
    ban(&room.owner, &mallory, after.timestamp).await.expect(204);
    ban(&room.owner, &mallory, after.timestamp).await.expect(204);
    settled(&room, &mallory).await;
    room.owner.get(&format!("messages/{}", after.id)).send().await.refused(404, "MESSAGE_NOT_FOUND");
}

#[tokio::test]
async fn a_deleted_channel_leaves_no_promise() {
    let room = Server::shared().room().await;
    let mallory = room.known_user().await;
    let sent = mallory.send("x").await;
    hide(&room, &mallory, sent.timestamp).await;
    room.owner.delete("").send().await.expect(204);
    ban(&room.owner, &mallory, sent.timestamp).await.expect(204);
    settled(&room, &mallory).await;
    room.until("SELECT user_id FROM visitors WHERE channel_id = ?", json!([room.id]), json!([])).await;
}

const CHANNELS: usize = 50;
/// More than a piece takes.
const SPAM: usize = 110;

#[tokio::test]
async fn fifty_channels_and_a_power_cut() {
    let server = Server::start();
    let rooms = join_all((0..CHANNELS).map(|_| server.room())).await;
    let prepared = join_all(rooms.iter().map(|room| async {
        let (mallory, ana) = (room.user("mallory"), room.user("ana"));
        let hers = ana.send("hers").await;
        let first = mallory.send("spam").await.timestamp;
        let spam: Vec<String> = (1..SPAM).map(|number| format!("spam {number}")).collect();
        for some in spam.chunks(16) {
            join_all(some.iter().map(|content| mallory.send(content))).await;
        }
        mallory.react(&hers, "👎").await;
        let store = Store::fresh(&room.user("reader")).await;
        (first, store, mallory.connect().await)
    }))
    .await;
    let since = prepared.iter().map(|(first, ..)| *first).min().unwrap();
    let owner = server.owner();
    ban(&owner, &rooms[0].user("mallory"), since).await.expect(204);
    let mut stores = Vec::new();
    for (_, store, socket) in prepared {
        socket.closed(4003).await;
        stores.push(store);
    }
    // Hidden already, and not erased yet.
    let left = "SELECT count(*) AS n FROM messages WHERE sender_id = 'mallory' AND deleted = 0";
    for room in &rooms {
        let page = room.user("ana").history("").await;
        assert_eq!(page.messages.len(), 1, "{:?}", page.messages);
    }
    server.kill().await;
    server.restart().await;
    let middle = server.sql(left, json!([])).await[0]["n"].as_u64().unwrap();
    println!("{middle} messages were left when the power was cut");
    settled(&rooms[0], &rooms[0].user("mallory")).await;
    assert_eq!(server.sql(left, json!([])).await, [json!({"n": 0})]);
    join_all(rooms.iter().zip(stores).map(|(room, mut store)| async move {
        let reader = room.user("reader");
        let mut socket = reader.dial().since(store.since).open().await;
        let (messages, revision) = socket.catch_up().await;
        store.apply(0, Payload::SyncResponse(SyncResponse { messages, revision, has_more: false }));
        let truth = Store::fresh(&reader).await;
        assert_eq!(store.view(), truth.view());
        assert_eq!(truth.iter().filter(|message| message.deleted).count(), SPAM);
        assert!(truth.iter().all(|message| message.reactions.is_empty()));
        room.user("mallory").dial().refused(4003).await;
    }))
    .await;
}
