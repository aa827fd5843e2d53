//! Invites: made, listed, used, taken back.

use edgewise_tests::{Answer, Key, Server, now};
use serde_json::{Value, json};

async fn register_with(server: &Server, code: &Value) -> Answer {
    let mut body = Key::new().registration(server).await;
    body["invite_code"] = code.clone();
    server.ask_auth("register", &body).await
}

async fn invite(server: &Server, body: Value) -> Value {
    server.owner().post("/api/invites").json(&body).send().await.expect(201).json()
}

#[tokio::test]
async fn an_invite_lets_in_as_many_as_it_says() {
    let server = Server::with_vars(&[("REGISTRATION", "invite")]);
    let body = Key::new().registration(&server).await;
    server.ask_auth("register", &body).await.refused(403, "INVITE_INVALID");
    for unknown in [json!(""), json!("x"), json!("' OR 1=1; --"), json!("%")] {
        register_with(&server, &unknown).await.refused(403, "INVITE_INVALID");
    }

    let made = invite(&server, json!({"max_uses": 2})).await;
    let created_at = made["created_at"].as_u64().unwrap();
    assert!((created_at / 1_000).abs_diff(now()) < 60);
    assert_eq!(
        made,
        json!({
            "code": made["code"], "created_by": "olga", "created_at": created_at, "max_uses": 2, "uses": 0,
            "expires_at": null,
        })
    );
    register_with(&server, &made["code"]).await.expect(201);
    register_with(&server, &made["code"]).await.expect(201);
    register_with(&server, &made["code"]).await.refused(403, "INVITE_INVALID");
    let list: Value = server.owner().get("/api/invites").send().await.expect(200).json();
    assert_eq!((&list["invites"][0]["uses"], &list["has_more"]), (&json!(2), &json!(false)));

    let endless: Value = server.owner().post("/api/invites").send().await.expect(201).json();
    assert_eq!(endless["max_uses"], Value::Null);
    for _ in 0..3 {
        register_with(&server, &endless["code"]).await.expect(201);
    }
    let path = format!("/api/invites/{}", endless["code"].as_str().unwrap());
    server.owner().delete(&path).send().await.expect(204);
    register_with(&server, &endless["code"]).await.refused(403, "INVITE_INVALID");
    server.owner().delete(&path).send().await.refused(404, "INVITE_NOT_FOUND");

    // What was done is on record; the code is not.
    let target = &endless["code"].as_str().unwrap()[..6];
    let sql = "SELECT action, actor_id FROM audit WHERE target = ? ORDER BY id";
    let recorded = server.sql(sql, json!([target])).await;
    let entry = |action: &str| json!({"action": action, "actor_id": "olga"});
    assert_eq!(recorded, [entry("invite_created"), entry("invite_deleted")]);
}

#[tokio::test]
async fn an_expired_invite_is_none() {
    let server = Server::shared();
    let made = invite(server, json!({"expires_at": (now() + 3_600) * 1_000})).await;
    register_with(server, &made["code"]).await.expect(201);
    server.sql("UPDATE invites SET expires_at = 1 WHERE code = ?", json!([made["code"]])).await;
    register_with(server, &made["code"]).await.refused(403, "INVITE_INVALID");
}

#[tokio::test]
async fn an_invite_that_is_given_counts_on_an_open_server_too() {
    let server = Server::shared();
    register_with(server, &json!("never was one")).await.refused(403, "INVITE_INVALID");
    let made = invite(server, json!({"max_uses": 1})).await;
    register_with(server, &made["code"]).await.expect(201);
    register_with(server, &made["code"]).await.refused(403, "INVITE_INVALID");
}

#[tokio::test]
async fn a_closed_server_takes_no_invites() {
    let server = Server::with_vars(&[("REGISTRATION", "closed")]);
    let made = invite(&server, json!({})).await;
    register_with(&server, &made["code"]).await.refused(403, "REGISTRATION_CLOSED");
}

#[tokio::test]
async fn only_who_manages_channels_invites() {
    let room = Server::shared().room().await;
    let made = invite(room.server(), json!({})).await;
    let path = format!("/api/invites/{}", made["code"].as_str().unwrap());
    let everyone = room.known_user().await;
    let body = json!({"max_uses": 1});
    everyone.post("/api/invites").json(&body).send().await.refused(403, "FORBIDDEN");
    everyone.get("/api/invites").send().await.refused(403, "FORBIDDEN");
    // Whether there is such an invite is not told, either.
    everyone.delete(&path).send().await.refused(403, "FORBIDDEN");
    everyone.delete("/api/invites/x").send().await.refused(403, "FORBIDDEN");
    room.with_token("").get("/api/invites").send().await.refused(401, "TOKEN_MISSING");

    let manager = room.user(&room.user_with_role(2).await);
    let own: Value = manager.post("/api/invites").json(&body).send().await.expect(201).json();
    assert_eq!(own["created_by"], manager.id);
    manager.delete(&path).send().await.expect(204);
    let sql = "INSERT INTO bans (user_id, banned_by, created_at) VALUES (?, 'olga', 1)";
    room.sql(sql, json!([manager.id])).await;
    manager.post("/api/invites").json(&body).send().await.refused(403, "BANNED");
    manager.get("/api/invites").send().await.refused(403, "BANNED");
    manager.delete("/api/invites/x").send().await.refused(403, "BANNED");
}

#[tokio::test]
async fn invites_that_make_no_sense() {
    let owner = Server::shared().owner();
    for body in [
        json!({"max_uses": 0}),
        json!({"max_uses": -1}),
        json!({"max_uses": 1.5}),
        json!({"max_uses": "3"}),
        json!({"max_uses": 10_000_000_000_u64}),
        json!({"expires_at": 1}),
        json!({"expires_at": "tomorrow"}),
        json!({"expires_at": u64::MAX}),
        json!([]),
    ] {
        owner.post("/api/invites").json(&body).send().await.refused(400, "BODY_INVALID");
    }
    owner.get("/api/invites?limit=0").send().await.refused(400, "QUERY_INVALID");
    owner.patch("/api/invites").json(&json!({})).send().await.refused(405, "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let server = Server::start();
    let mut codes = Vec::new();
    for _ in 0..5 {
        codes.push(invite(&server, json!({})).await["code"].as_str().unwrap().to_owned());
    }
    codes.sort_unstable();
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/invites?limit=2{after}");
        let page: Value = server.owner().get(&path).send().await.expect(200).json();
        let invites = page["invites"].as_array().unwrap();
        seen.extend(invites.iter().map(|invite| invite["code"].as_str().unwrap().to_owned()));
        after = format!("&after={}", seen.last().unwrap());
        if page["has_more"] == false {
            break;
        }
        assert_eq!(invites.len(), 2);
    }
    assert_eq!(seen, codes);
}
