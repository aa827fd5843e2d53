//! Channels: made, listed, changed, deleted.

use edgewise_client::Channel;
use edgewise_tests::Server;
use serde_json::{Value, json};
use uuid::Uuid;

#[tokio::test]
async fn a_channel_is_answered_as_the_contract_writes_it() {
    let server = Server::shared();
    let owner = server.owner();
    let body = json!({"name": "lounge", "topic": "this and that", "private": false});
    let channel: Value = owner.post("/api/channels").json(&body).send().await.expect(201).json();
    let id = channel["id"].as_str().unwrap().to_owned();
    let created_at = channel["created_at"].as_u64().unwrap();
    assert_eq!(
        channel,
        json!({
            "id": id, "name": "lounge", "topic": "this and that", "private": false, "created_at": created_at,
            "last_sequence": 0, "revision": 0, "last_read_sequence": 0, "unread_count": 0, "mention_count": 0,
            "permissions": 255,
        })
    );
    assert_eq!(Uuid::parse_str(&id).unwrap().to_string(), id);
    let read: Value = owner.clone().in_channel(&id).get("").send().await.expect(200).json();
    assert_eq!(read, channel);
    let seen = server.user("ana").in_channel(&id).channel().await;
    assert_eq!(seen.permissions, edgewise_client::Permissions(65));
}

#[tokio::test]
async fn there_is_a_first_channel() {
    let list: Value = Server::shared().user("ana").get("/api/channels").send().await.expect(200).json();
    let general =
        list["channels"].as_array().unwrap().iter().find(|channel| channel["name"] == "general").unwrap();
    assert!(Uuid::parse_str(general["id"].as_str().unwrap()).is_ok());
    assert_eq!(general["private"], false);
}

#[tokio::test]
async fn everyone_sees_public_channels_and_members_private_ones() {
    let server = Server::shared();
    let (public, private) = (server.room().await, server.private_room().await);
    let member = private.known_user().await;
    private.owner.put(&format!("members/{}", member.id)).send().await.expect(204);
    for (reader, sees_private) in
        [(&server.user("stranger"), false), (&member, true), (&server.owner(), true)]
    {
        let list = reader.get("/api/channels").send().await.expect(200).text();
        assert!(list.contains(&public.id));
        assert_eq!(list.contains(&private.id), sees_private);
    }
}

#[tokio::test]
async fn topic_and_privacy_may_be_left_out() {
    let owner = Server::shared().owner();
    let channel: Channel =
        owner.post("/api/channels").json(&json!({"name": "bare"})).send().await.expect(201).json();
    assert_eq!((channel.topic.as_deref(), channel.private), (Some(""), false));
}

#[tokio::test]
async fn who_manages_channels_makes_changes_and_deletes_them() {
    let room = Server::shared().room().await;
    let everyone = room.user("ana");
    let body = json!({"name": "mine"});
    everyone.post("/api/channels").json(&body).send().await.refused(403, "FORBIDDEN");
    everyone.patch("").json(&body).send().await.refused(403, "FORBIDDEN");
    everyone.delete("").send().await.refused(403, "FORBIDDEN");

    let manager = room.user_with_role(2).await;
    for may in [room.with_token(&room.token("adam").admin().mint()), room.user(&manager)] {
        let made: Channel = may.post("/api/channels").json(&body).send().await.expect(201).json();
        let may = may.in_channel(&made.id);
        may.patch("").json(&json!({"name": "ours"})).send().await.expect(200);
        may.delete("").send().await.expect(204);
    }
}

#[tokio::test]
async fn a_change_leaves_the_rest_as_it_is() {
    let room = Server::shared().room().await;
    let before = room.owner.channel().await;
    let patch =
        async |body: Value| -> Channel { room.owner.patch("").json(&body).send().await.expect(200).json() };
    let renamed = patch(json!({"name": "renamed"})).await;
    assert_eq!(renamed, Channel { name: "renamed".into(), ..before.clone() });
    let both = patch(json!({"topic": "news"})).await;
    assert_eq!(both, Channel { topic: Some("news".into()), ..renamed });
    let cleared = patch(json!({"topic": "", "name": "again"})).await;
    assert_eq!(cleared, Channel { name: "again".into(), topic: Some(String::new()), ..both });
    assert_eq!(room.owner.channel().await, cleared);
}

#[tokio::test]
async fn names_have_1_to_100_characters_and_topics_up_to_1024() {
    let room = Server::shared().room().await;
    let long = json!({"name": "é".repeat(100), "topic": "👍".repeat(1024)});
    room.owner.patch("").json(&long).send().await.expect(200);
    let made: Value = room.owner.post("/api/channels").json(&long).send().await.expect(201).json();
    assert_eq!((&made["name"], &made["topic"]), (&long["name"], &long["topic"]));

    let (name, topic) = ("x".repeat(101), "x".repeat(1025));
    for (body, code) in [
        (json!({"name": ""}), "NAME_INVALID"),
        (json!({"name": name}), "NAME_INVALID"),
        (json!({"name": "fine", "topic": topic}), "TOPIC_INVALID"),
    ] {
        room.owner.post("/api/channels").json(&body).send().await.refused(422, code);
        room.owner.patch("").json(&body).send().await.refused(422, code);
    }
    // Several faults of one body are told together.
    let both = json!({"name": name, "topic": topic});
    let answer = room.owner.post("/api/channels").json(&both).send().await.expect(422);
    let problem: Value = answer.json();
    let faults: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|e| (&e["pointer"], &e["code"])).collect();
    let (name, topic) = (json!(["/name", "NAME_INVALID"]), json!(["/topic", "TOPIC_INVALID"]));
    assert_eq!(faults, [(&name[0], &name[1]), (&topic[0], &topic[1])]);
}

#[tokio::test]
async fn a_deleted_channel_is_gone_at_once_and_erased_afterwards() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let sent = ana.send("hi @user:ben").await;
    ben.react(&sent, "👍").await;
    ben.mark_read(1).await;
    ben.put("members/@me").send().await.expect(204);
    room.fill(300).await;
    let (socket, asleep) = (ana.connect().await, ben.connect().await);
    room.evict().await;

    room.owner.delete("").send().await.expect(204);
    for user in [&ana, &room.owner] {
        user.get("").send().await.refused(404, "CHANNEL_NOT_FOUND");
        user.get("messages").send().await.refused(404, "CHANNEL_NOT_FOUND");
        user.try_send(json!({"content": "late"})).await.refused(404, "CHANNEL_NOT_FOUND");
        user.get("changes?since=0").send().await.refused(404, "CHANNEL_NOT_FOUND");
        user.dial().refused(4007).await;
    }
    room.owner.delete("").send().await.refused(404, "CHANNEL_NOT_FOUND");
    let list = ana.get("/api/channels").send().await.expect(200).text();
    assert!(!list.contains(&room.id));
    socket.closed(4007).await;
    asleep.closed(4007).await;

    for table in ["reactions", "mentions", "messages", "members", "last_read", "outbox"] {
        let sql = format!("SELECT count(*) AS rows FROM {table} WHERE channel_id = ?");
        room.until(&sql, json!([room.id]), json!([{"rows": 0}])).await;
    }
}

#[tokio::test]
async fn a_channel_that_is_none() {
    let server = Server::shared();
    let unknown = server.user("ana").in_channel(&Uuid::new_v4().to_string());
    let not_one = server.user("ana").in_channel("general");
    for path in ["", "messages", "changes?since=0", "members", "last-read"] {
        unknown.get(path).send().await.refused(404, "CHANNEL_NOT_FOUND");
        not_one.get(path).send().await.refused(400, "ID_INVALID");
    }
    unknown.try_send(json!({"content": "x"})).await.refused(404, "CHANNEL_NOT_FOUND");
    not_one.try_send(json!({"content": "x"})).await.refused(400, "ID_INVALID");
    server
        .owner()
        .in_channel(&unknown_id())
        .patch("")
        .json(&json!({"name": "x"}))
        .send()
        .await
        .refused(404, "CHANNEL_NOT_FOUND");
    server.owner().in_channel(&unknown_id()).delete("").send().await.refused(404, "CHANNEL_NOT_FOUND");
}

fn unknown_id() -> String {
    Uuid::new_v4().to_string()
}
