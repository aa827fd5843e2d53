//! Users: who they are, and what they are called.

use edgewise_tests::{Key, Server, now};
use serde_json::{Value, json};
use uuid::Uuid;

/// The id of a user whom nobody else is.
fn someone() -> String {
    format!("u{}", Uuid::new_v4())
}

#[tokio::test]
async fn a_registered_user_is_told_as_the_contract_writes_it() {
    let server = Server::shared();
    let (key, user) = server.registered().await;
    let me: Value = user.get("/api/users/@me").send().await.expect(200).json();
    let created_at = me["created_at"].as_u64().unwrap();
    assert!((created_at / 1_000).abs_diff(now()) < 60);
    assert_eq!(
        me,
        json!({
            "id": user.id, "display_name": "Ana", "public_key": key.public(), "role_ids": ["everyone"],
            "created_at": created_at,
        })
    );
    let path = format!("/api/users/{}", user.id);
    for reader in [&user, &server.user("ben")] {
        let read: Value = reader.get(&path).send().await.expect(200).json();
        assert_eq!(read, me);
    }
    // As `encodeURIComponent` writes it.
    let encoded: Value = user.get("/api/users/%40me").send().await.expect(200).json();
    assert_eq!(encoded, me);
}

#[tokio::test]
async fn who_has_written_nothing_yet_sees_what_that_will_make_of_them() {
    let server = Server::shared();
    let id = someone();
    let user = server.with_token(&server.token(&id).name("Carla").mint());
    let me: Value = user.get("/api/users/@me").send().await.expect(200).json();
    assert_eq!(
        (&me["id"], &me["display_name"], &me["public_key"]),
        (&json!(id), &json!("Carla"), &Value::Null)
    );
    let path = format!("/api/users/{id}");
    server.user("ben").get(&path).send().await.refused(404, "USER_NOT_FOUND");
    let nameless = server.with_token(&server.token(&someone()).mint());
    let me: Value = nameless.get("/api/users/@me").send().await.expect(200).json();
    assert_eq!(me["display_name"], me["id"]);

    let room = server.room().await;
    user.in_channel(&room.id).send("hi").await;
    let seen: Value = server.user("ben").get(&path).send().await.expect(200).json();
    assert_eq!((&seen["display_name"], &seen["role_ids"]), (&json!("Carla"), &json!(["everyone"])));
}

#[tokio::test]
async fn roles_are_told() {
    let room = Server::shared().room().await;
    let id = room.user_with_role(32).await;
    let role = room.sql("SELECT role_id FROM user_roles WHERE user_id = ?", json!([id])).await;
    let seen: Value = room.owner.get(&format!("/api/users/{id}")).send().await.expect(200).json();
    let mut roles: Vec<_> = seen["role_ids"].as_array().unwrap().clone();
    roles.sort_by_key(|role| role != "everyone");
    assert_eq!(roles, [json!("everyone"), role[0]["role_id"].clone()]);
}

#[tokio::test]
async fn a_new_name_counts_from_then_on_and_leaves_old_messages_alone() {
    let server = Server::shared();
    let room = server.room().await;
    let (_, user) = server.registered().await;
    let user = user.in_channel(&room.id);
    let before = user.send("before").await;
    let rename = async |name: &str| -> Value {
        let call = user.patch("/api/users/@me").json(&json!({"display_name": name}));
        call.send().await.expect(200).json()
    };
    assert_eq!(rename("  Anna ").await["display_name"], "Anna");
    let me: Value = user.get("/api/users/@me").send().await.expect(200).json();
    assert_eq!(me["display_name"], "Anna");
    assert_eq!(user.send("after").await.sender_display_name, "Anna");
    let old = room.owner.read(&before).await;
    assert_eq!((old.sender_display_name.as_str(), old.revision), ("Ana", before.revision));
    // By the id, as well.
    let own = format!("/api/users/{}", user.id);
    user.patch(&own).json(&json!({"display_name": "Ana"})).send().await.expect(200);
    assert_eq!(rename("Ana").await["display_name"], "Ana");
}

#[tokio::test]
async fn an_applications_user_can_be_named_before_they_write() {
    let server = Server::shared();
    let user = server.with_token(&server.token(&someone()).mint());
    let body = json!({"display_name": "Carla"});
    user.patch("/api/users/@me").json(&body).send().await.expect(200);
    let sent = user.in_channel(&server.room().await.id).send("hi").await;
    assert_eq!(sent.sender_display_name, "Carla");
}

#[tokio::test]
async fn what_is_no_name_and_nobody() {
    let server = Server::shared();
    let ana = server.user("ana");
    for (name, status, code) in [
        (json!(""), 422, "NAME_INVALID"),
        (json!("x".repeat(65)), 422, "NAME_INVALID"),
        (json!("a\u{0}b"), 422, "NAME_INVALID"),
        (json!(1), 400, "BODY_INVALID"),
        (Value::Null, 400, "BODY_INVALID"),
    ] {
        let body = json!({"display_name": name});
        ana.patch("/api/users/@me").json(&body).send().await.refused(status, code);
    }
    let body = json!({"display_name": "Mallory"});
    server.owner().patch("/api/users/ana").json(&body).send().await.refused(403, "FORBIDDEN");
    ana.get(&format!("/api/users/{}", someone())).send().await.refused(404, "USER_NOT_FOUND");
    for wrong in ["_x", "%20", "x%2Fy", "%27%3B--"] {
        ana.get(&format!("/api/users/{wrong}")).send().await.refused(400, "ID_INVALID");
    }
    server.with_token("").get("/api/users/@me").send().await.refused(401, "TOKEN_MISSING");
}

#[tokio::test]
async fn who_is_banned_neither_reads_nor_is_renamed() {
    let server = Server::shared();
    let key = Key::new();
    let login = key.register(server).await;
    let user = server.with_token(&login.access_token);
    let sql = "INSERT INTO bans (user_id, banned_by, created_at) VALUES (?, 'olga', 1)";
    server.sql(sql, json!([login.user_id])).await;
    user.get("/api/users/@me").send().await.refused(403, "BANNED");
    let body = json!({"display_name": "Mallory"});
    user.patch("/api/users/@me").json(&body).send().await.refused(403, "BANNED");
    let seen = server.user("ben").get(&format!("/api/users/{}", login.user_id)).send().await.expect(200);
    assert_eq!(seen.json::<Value>()["display_name"], "Ana");
}
