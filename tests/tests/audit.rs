//! The audit log: who did what to whom.

use edgewise_tests::{Server, User};
use serde_json::{Value, json};
use uuid::Uuid;

/// The entries about this target, oldest first, without what differs each time.
async fn about(user: &User, target: &str) -> Vec<Value> {
    let mut entries = Vec::new();
    let mut before = String::new();
    loop {
        let page: Value = user.get(&format!("/api/audit?limit=100{before}")).send().await.expect(200).json();
        for entry in page["entries"].as_array().unwrap() {
            assert!(entry["id"].is_string() && entry["timestamp"].is_u64(), "{entry}");
            before = format!("&before={}", entry["id"].as_str().unwrap());
            if entry["target"] == target {
                let mut entry = entry.clone();
                let fields = entry.as_object_mut().unwrap();
                fields.remove("id");
                fields.remove("timestamp");
                fields.remove("target");
                entries.insert(0, entry);
            }
        }
        if page["has_more"] == false {
            return entries;
        }
    }
}

#[tokio::test]
async fn the_log_says_who_did_what() {
    let room = Server::shared().room().await;
    let owner = &room.owner;
    let entry =
        |action: &str, details: Value| json!({"actor_id": owner.id, "action": action, "details": details});

    let odd = format!("'\"\\ {{}} ; -- {}", Uuid::new_v4());
    let body = json!({"name": odd, "permissions": 1});
    let role: Value = owner.post("/api/roles").json(&body).send().await.expect(201).json();
    let role_id = role["id"].as_str().unwrap();
    let path = format!("/api/roles/{role_id}");
    owner.patch(&path).json(&json!({"position": 2})).send().await.expect(200);
    let ana = room.known_user().await;
    let given = format!("/api/users/{}/roles/{role_id}", ana.id);
    for _ in 0..2 {
        owner.put(&given).send().await.expect(204);
    }
    owner.delete(&given).send().await.expect(204);
    owner.delete(&path).send().await.expect(204);
    assert_eq!(
        about(owner, role_id).await,
        [
            entry("role_created", json!({"name": odd, "permissions": 1, "color": null, "position": 0})),
            entry("role_changed", json!({"position": 2})),
            entry("role_deleted", json!({"name": odd})),
        ]
    );
    assert_eq!(
        about(owner, &ana.id).await,
        [entry("role_given", json!({"role_id": role_id})), entry("role_taken", json!({"role_id": role_id})),]
    );
}

#[tokio::test]
async fn the_log_says_what_was_done_in_channels() {
    let room = Server::shared().room().await;
    let owner = &room.owner;
    let entry =
        |action: &str, details: Value| json!({"actor_id": owner.id, "action": action, "details": details});
    let (ana, ben) = (room.known_user().await, room.known_user().await);
    let message = ana.send("x").await;
    let own = ana.send("y").await;
    ana.erase(&own).await;
    owner.erase(&message).await;
    owner.patch("").json(&json!({"topic": "'\"{}"})).send().await.expect(200);
    owner.patch("").json(&json!({"topic": "'\"{}"})).send().await.expect(200);
    // What people do themselves is not on record, nor what changes nothing.
    ben.put("members/@me").send().await.expect(204);
    ben.delete("members/@me").send().await.expect(204);
    for _ in 0..2 {
        owner.put(&format!("members/{}", ben.id)).send().await.expect(204);
    }
    owner.delete(&format!("members/{}", ben.id)).send().await.expect(204);
    owner.delete("members/never-here").send().await.expect(204);
    ana.delete(&format!("members/{}", ben.id)).send().await.refused(403, "FORBIDDEN");
    let name = owner.channel().await.name;
    owner.delete("").send().await.expect(204);

    let here = json!({"channel_id": room.id});
    assert_eq!(
        about(owner, &room.id).await,
        [
            entry("channel_created", json!({"name": name, "topic": "", "private": false})),
            entry("channel_changed", json!({"topic": "'\"{}"})),
            entry("channel_deleted", json!({"name": name})),
        ]
    );
    assert_eq!(
        about(owner, &ben.id).await,
        [entry("member_added", here.clone()), entry("member_removed", here)]
    );
    let deleted = json!({"channel_id": room.id, "sender_id": ana.id});
    assert_eq!(about(owner, &message.id).await, [entry("message_deleted", deleted)]);
    assert_eq!(about(owner, &own.id).await, Vec::<Value>::new());
    assert_eq!(about(owner, "never-here").await, Vec::<Value>::new());
}

#[tokio::test]
async fn the_log_says_who_was_banned_and_why() {
    let room = Server::shared().room().await;
    let ana = room.known_user().await;
    let path = format!("/api/bans/{}", ana.id);
    let until = edgewise_tests::now() * 1_000 + 60_000;
    room.owner.put(&path).json(&json!({"reason": "\"'\\", "expires_at": until})).send().await.expect(204);
    room.owner.delete(&path).send().await.expect(204);
    room.owner.delete(&path).send().await.refused(404, "BAN_NOT_FOUND");
    let details = json!({"reason": "\"'\\", "expires_at": until, "delete_messages_since": null});
    assert_eq!(
        about(&room.owner, &ana.id).await,
        [
            json!({"actor_id": "olga", "action": "user_banned", "details": details}),
            json!({"actor_id": "olga", "action": "user_unbanned", "details": {}}),
        ]
    );
}

#[tokio::test]
async fn the_log_is_for_who_bans() {
    let room = Server::shared().room().await;
    room.user("ana").get("/api/audit").send().await.refused(403, "FORBIDDEN");
    let moderator = room.user(&room.user_with_role(8).await);
    moderator.get("/api/audit").send().await.expect(200);
    for query in ["before=x", "before=", "before=5", "limit=0", "limit=101", "limit=x"] {
        moderator.get(&format!("/api/audit?{query}")).send().await.refused(400, "QUERY_INVALID");
    }
    let none: Value = moderator
        .get("/api/audit?before=00000000-0000-0000-0000-000000000000")
        .send()
        .await
        .expect(200)
        .json();
    assert_eq!(none, json!({"entries": [], "has_more": false}));
}
