//! Who may do what: tokens, private channels, roles, bans.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use edgewise_tests::{Room, SECRET, Server, User, ask};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

/// Every route that needs a token, with a body that it takes; the channel's own without a slash at their start.
fn routes() -> Vec<(Method, String, Option<Value>)> {
    let id = Uuid::now_v7();
    let (message, reactions) = (format!("messages/{id}"), format!("messages/{id}/reactions"));
    let content = Some(json!({"content": "x"}));
    let route = |method: Method, path: &str, body: Option<Value>| (method, path.to_owned(), body);
    vec![
        route(Method::GET, "/api/channels", None),
        route(Method::POST, "/api/channels", Some(json!({"name": "x"}))),
        route(Method::GET, "", None),
        route(Method::PATCH, "", Some(json!({"name": "x"}))),
        route(Method::DELETE, "", None),
        route(Method::GET, "messages", None),
        route(Method::POST, "messages", content.clone()),
        route(Method::GET, &message, None),
        route(Method::PUT, &message, content),
        route(Method::DELETE, &message, None),
        route(Method::GET, "changes?since=0", None),
        route(Method::POST, &reactions, Some(json!({"emoji": "x"}))),
        route(Method::GET, &reactions, None),
        route(Method::GET, &format!("{reactions}/x"), None),
        route(Method::DELETE, &format!("{reactions}/x"), None),
        route(Method::GET, "last-read", None),
        route(Method::PUT, "last-read", Some(json!({"last_sequence": 0}))),
        route(Method::GET, "members", None),
        route(Method::PUT, "members/@me", None),
        route(Method::DELETE, "members/@me", None),
        route(Method::GET, "presence", None),
        route(Method::POST, "typing", None),
    ]
}

/// Expects this refusal of every route.
async fn refused_everywhere(user: &User, status: u16, code: &str) {
    for (method, path, body) in routes() {
        let call = user.call(method, &path);
        let answer = if let Some(body) = body { call.json(&body) } else { call }.send().await;
        if status == 401 {
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{path}");
        }
        answer.refused(status, code);
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_answered() {
    let room = Server::shared().room().await;
    refused_everywhere(&room.with_token(""), 401, "TOKEN_MISSING").await;
    room.with_token("").dial().protocols(&["edgewise.v1"]).refused(4002).await;
    room.with_token("").dial().protocols(&[]).refused(4002).await;
}

#[tokio::test]
async fn an_expired_token_is_told_apart() {
    let room = Server::shared().room().await;
    let expired = room.with_token(&room.token("ana").expires_in(-120).mint());
    refused_everywhere(&expired, 401, "TOKEN_EXPIRED").await;
    expired.dial().refused(4001).await;
    expired.dial().token_in_header().refused(4001).await;
    expired.dial().token_in_query().refused(4001).await;
}

#[tokio::test]
async fn a_token_that_does_not_verify_is_refused_everywhere() {
    let room = Server::shared().room().await;
    let forged =
        room.with_token(&room.token("ana").key("another secret, just as long as the right one").mint());
    refused_everywhere(&forged, 401, "TOKEN_INVALID").await;
    forged.dial().refused(4002).await;
    forged.dial().token_in_header().refused(4002).await;
    forged.dial().token_in_query().refused(4002).await;
}

#[tokio::test]
async fn tokens_that_are_none() {
    let room = Server::shared().room().await;
    let ana = || room.token("ana");
    let good = ana().mint();
    let mut open = room.user("ana").connect().await;
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let payload = |json: &str| {
        let (header, _) = signed.split_once('.').unwrap();
        format!("{header}.{}.{signature}", BASE64.encode(json))
    };
    for token in [
        "x",
        "a.b.c",
        "..",
        signed,
        &format!("{signed}."),
        &format!("{good}x"),
        &format!("{good}.{signature}"),
        &payload(r#"{"sub":"olga","is_owner":true,"exp":99999999999}"#),
        &payload("not JSON"),
        &ana().header(json!({"alg": "none"})).mint_with_signature(""),
        &ana().header(json!({"alg": "None"})).mint_with_signature(""),
        &ana().header(json!({"alg": "none"})).mint(),
        &ana().header(json!({"alg": "HS384"})).mint(),
        &ana().header(json!({"alg": "HS512"})).mint(),
        &ana().header(json!({"alg": "RS256"})).mint(),
        &ana().header(json!({})).mint(),
        &ana().key("").mint(),
        &ana().key(&SECRET[1..]).mint(),
        &ana().claim("aud", "another").mint(),
        &ana().claim("aud", json!(["another", "third"])).mint(),
        &ana().claim("aud", "").mint(),
        &ana().claim("nbf", edgewise_tests::now() + 120).mint(),
        &ana().without("exp").mint(),
        &ana().claim("exp", "tomorrow").mint(),
        &ana().without("sub").mint(),
        &ana().claim("sub", 5).mint(),
        &room.token("").mint(),
        &room.token("-ana").mint(),
        &room.token("ana ben").mint(),
        &room.token("änna").mint(),
        &room.token("a/b").mint(),
        &room.token(&"x".repeat(129)).mint(),
    ] {
        let user = room.with_token(token);
        user.get("messages").send().await.refused(401, "TOKEN_INVALID");
        user.dial().refused(4002).await;
        user.dial().token_in_header().refused(4002).await;
        user.dial().token_in_query().refused(4002).await;
        let refresh = ask::refresh(token);
        open.refused(refresh, 401, "TOKEN_INVALID").await;
    }
}

#[tokio::test]
async fn tokens_that_are_good() {
    let room = Server::shared().room().await;
    let ana = || room.token("ana");
    for token in [
        ana().claim("aud", "edgewise"),
        ana().claim("aud", json!(["another", "edgewise"])),
        ana().expires_in(-15),
        ana().claim("nbf", edgewise_tests::now() + 15),
        ana().without("iat"),
        ana().claim("iss", "https://app.example.com").claim("anything", json!({"else": [1, 2]})),
        ana().header(json!({"alg": "HS256"})),
        ana().header(json!({"alg": "HS256", "kid": "1", "typ": "at+jwt"})),
        room.token(&"x".repeat(128)),
        room.token("auth0|5f7c8ec7"),
        room.token("ana@example.org"),
    ] {
        room.with_token(&token.mint()).get("messages").send().await.expect(200);
    }
}

#[tokio::test]
async fn the_token_is_a_bearer_token() {
    let room = Server::shared().room().await;
    let (nobody, token) = (room.with_token(""), room.token("ana").mint());
    let with = |header: String| nobody.get("messages").header("authorization", &header).send();
    with(format!("Bearer {token}")).await.expect(200);
    with(format!("bearer {token}")).await.expect(200);
    for header in
        [format!("Basic {token}"), token.clone(), format!("Token {token}"), "Bearer".into(), "Bearer ".into()]
    {
        let answer = with(header).await.expect(401);
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
    // A URL is no place for a token, except a socket's.
    nobody.get(&format!("messages?token={token}")).send().await.refused(401, "TOKEN_MISSING");
}

#[tokio::test]
async fn owners_are_named_by_a_boolean_only() {
    let server = Server::shared();
    for claim in [json!("true"), json!(1), json!({}), json!(["true"])] {
        let user = server.with_token(&server.token("mallory").claim("is_owner", claim.clone()).mint());
        let answer = user.post("/api/channels").json(&json!({"name": "mine"})).send().await;
        assert!(matches!(answer.status, 401 | 403), "{claim}: {}", answer.text());
    }
    let user = server.with_token(&server.token("mallory").claim("is_owner", false).mint());
    user.post("/api/channels").json(&json!({"name": "mine"})).send().await.refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn a_private_channel_does_not_exist_for_strangers() {
    let server = Server::shared();
    let room = server.private_room().await;
    let sent = room.owner.send("secret").await;
    let stranger = room.user("stranger");
    refused_on_every_channel_route(&stranger).await;
    stranger.get(&format!("messages/{}", sent.id)).send().await.refused(404, "CHANNEL_NOT_FOUND");
    stranger.dial().refused(4007).await;
    // No route of another channel leads to it.
    let public = server.room().await;
    public
        .user("stranger")
        .get(&format!("messages/{}", sent.id))
        .send()
        .await
        .refused(404, "MESSAGE_NOT_FOUND");
    public.user("stranger").try_react(&sent, "👍").await.refused(404, "MESSAGE_NOT_FOUND");
    let reply = json!({"content": "is it there?", "reply_to_id": sent.id});
    public.user("stranger").try_send(reply).await.refused(422, "REPLY_TARGET_NOT_FOUND");
}

#[tokio::test]
async fn a_private_channel_looks_like_one_that_does_not_exist() {
    let server = Server::shared();
    let room = server.private_room().await;
    let stranger = room.user("stranger");
    let nowhere = stranger.clone().in_channel(&Uuid::new_v4().to_string());
    for path in ["", "messages", "members", "last-read", "changes?since=0"] {
        let [hidden, missing] = [&stranger, &nowhere].map(|user| user.get(path).send());
        let [mut hidden, mut missing] =
            [hidden.await, missing.await].map(|answer| answer.refused(404, "CHANNEL_NOT_FOUND"));
        for problem in [&mut hidden, &mut missing] {
            problem["request_id"] = Value::Null;
        }
        assert_eq!(hidden, missing);
    }
}

async fn refused_on_every_channel_route(user: &User) {
    for (method, path, body) in routes().into_iter().filter(|(_, path, _)| !path.starts_with('/')) {
        let call = user.call(method, &path);
        let call = if let Some(body) = body { call.json(&body) } else { call };
        call.send().await.refused(404, "CHANNEL_NOT_FOUND");
    }
}

#[tokio::test]
async fn administrators_see_private_channels() {
    let room = Server::shared().private_room().await;
    room.owner.send("secret").await;
    let administrator = room.user(&room.user_with_role(16).await);
    assert_eq!(administrator.history("").await.messages.len(), 1);
    assert_eq!(administrator.channel().await.permissions, edgewise_client::Permissions(255));
    administrator.send("seen").await;
    administrator.connect().await;
    // Managing channels is not enough.
    room.user(&room.user_with_role(2).await).get("messages").send().await.refused(404, "CHANNEL_NOT_FOUND");
}

#[tokio::test]
async fn a_role_taken_away_stops_the_next_write() {
    let room = Server::shared().room().await;
    let moderator = room.user(&room.user_with_role(32).await);
    let sent = room.user("ana").send_many(2).await;
    moderator.erase(&sent[0]).await;
    room.sql("DELETE FROM user_roles WHERE user_id = ?", json!([moderator.id])).await;
    moderator.delete(&format!("messages/{}", sent[1].id)).send().await.refused(403, "FORBIDDEN");
}

#[tokio::test]
async fn what_nobody_is_permitted_nobody_does() {
    let server = Server::start();
    let room = server.room().await;
    let ana = room.user("ana");
    let sent = ana.send("while it lasts").await;
    ana.react(&sent, "👍").await;
    server.sql("UPDATE roles SET permissions = 0 WHERE id = 'everyone'", json!([])).await;

    ana.try_send(json!({"content": "x"})).await.refused(403, "FORBIDDEN");
    ana.try_react(&sent, "👎").await.refused(403, "FORBIDDEN");
    assert_eq!(ana.history("").await.messages.len(), 1);
    assert_eq!(ana.channel().await.permissions, edgewise_client::Permissions(0));
    ana.mark_read(1).await;
    ana.connect().await;

    let writer = room.user(&room.user_with_role(1).await);
    writer.send("x").await;
    writer.try_react(&sent, "👎").await.refused(403, "FORBIDDEN");
    room.user(&room.user_with_role(64).await).react(&sent, "👎").await;
}

#[tokio::test]
async fn who_is_banned_is_told_so_everywhere() {
    let room = Server::shared().room().await;
    let user = room.known_user().await;
    let ban = "INSERT INTO bans (user_id, banned_by, created_at, expires_at) VALUES (?, 'olga', 1, ?)";
    room.sql(ban, json!([user.id, 1_000])).await;
    user.send("that ban is over").await;
    room.sql("DELETE FROM bans WHERE user_id = ?", json!([user.id])).await;
    room.sql(ban, json!([user.id, null])).await;
    refused_everywhere(&user, 403, "BANNED").await;
    user.dial().refused(4003).await;
}

#[tokio::test]
async fn without_a_secret_the_server_says_so() {
    let server = Server::with_vars(&[("JWT_SECRET", "")]);
    let user = server.with_token(&server.token("ana").mint()).in_channel(&Uuid::new_v4().to_string());
    refused_everywhere(&user, 503, "CONFIG_MISSING").await;
    let health = user.get("/health").send().await.expect(503);
    assert!(health.text().contains("JWT_SECRET"), "{}", health.text());
    user.get("/api/info").send().await.expect(200);
}

#[tokio::test]
async fn whose_message_it_is_decides_who_changes_it() {
    let room: Room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let sent = ana.send("mine").await;
    let path = format!("messages/{}", sent.id);
    ben.put(&path).json(&json!({"content": "yours"})).send().await.refused(403, "FORBIDDEN");
    ben.delete(&path).send().await.refused(403, "FORBIDDEN");
    ana.edit(&sent, "still mine").await;
    ana.erase(&sent).await;
}
