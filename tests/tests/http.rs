//! HTTP itself: paths, methods, headers, media, and what the server says of itself.

use std::collections::BTreeSet;

use edgewise_core::proto::{
    ChatMessage, EditMessageRequest, FetchHistoryResponse, SendMessageRequest, SyncResponse,
};
use edgewise_tests::{Server, exchange};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

const PROTOBUF: &str = "application/x-protobuf";

#[tokio::test]
async fn paths_that_lead_nowhere() {
    let server = Server::shared();
    let room = server.room().await;
    let id = &room.id;
    for path in [
        "/nope".to_owned(),
        "/api".into(),
        "/api/".into(),
        "/api/nope".into(),
        "/API/channels".into(),
        "/api/Channels".into(),
        "/api/channels/".into(),
        "/api//channels".into(),
        "//api/channels".into(),
        format!("/api/channels/{id}/"),
        format!("/api/channels/{id}/nope"),
        format!("/api/channels/{id}/messages/"),
        format!("/api/channels/{id}//messages"),
        format!("/api/channels/{id}/messages/{id}/"),
        format!("/api/channels/{id}/messages/{id}/reactions/"),
        format!("/api/channels/{id}/messages/{id}/nope"),
        format!("/api/channels/{id}/messages/{id}/reactions/a/b"),
        format!("/api/channels/{id}/members/ana/nope"),
        format!("/api/channels/{id}/last_read"),
        format!("/api/channels%2F{id}/messages"),
        "/health/".into(),
        "/api/info/".into(),
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            room.owner.call(method.clone(), &path).send().await.refused(404, "ROUTE_NOT_FOUND");
            room.with_token("").call(method, &path).send().await.refused(404, "ROUTE_NOT_FOUND");
        }
    }
}

#[tokio::test]
async fn paths_are_split_before_they_are_decoded() {
    let room = Server::shared().room().await;
    let sent = room.owner.send("hi").await;
    room.owner.react(&sent, "a/b").await;
    let path = format!("/api/channels/{}/messages/{}", room.id.replace('-', "%2D"), sent.id);
    room.owner.get(&path).send().await.expect(200);
    let path = format!("messages/{}/reactions/a%2Fb", sent.id.replace('-', "%2d"));
    room.owner.delete(&path).send().await.expect(204);
    room.owner.get(&format!("/api/channels/{}%2Fmessages", room.id)).send().await.refused(400, "ID_INVALID");
    for broken in ["%", "%4", "%zz", "%ff", "%C3%28"] {
        let path = format!("/api/channels/{}/messages/{}/reactions/{broken}", room.id, sent.id);
        let head = format!("Authorization: Bearer {}\r\n\r\n", room.owner.token());
        let answer = exchange(room.server(), &format!("DELETE {path}"), head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{broken}: {answer}");
        assert!(answer.contains("application/problem+json"), "{broken}: {answer}");
    }
}

#[tokio::test]
async fn a_path_has_its_methods_and_names_them() {
    let room = Server::shared().room().await;
    let id = Uuid::now_v7();
    let (message, reactions) = (format!("messages/{id}"), format!("messages/{id}/reactions"));
    let one = format!("{reactions}/x");
    for (path, methods) in [
        ("/api/channels", "GET POST"),
        ("", "GET PATCH DELETE"),
        ("messages", "GET POST"),
        (&message, "GET PUT DELETE"),
        ("changes", "GET"),
        (&reactions, "GET POST"),
        (&one, "GET DELETE"),
        ("last-read", "GET PUT"),
        ("members", "GET"),
        ("members/ana", "PUT DELETE"),
        ("presence", "GET"),
        ("typing", "POST"),
        ("ws", "GET"),
        ("/health", "GET"),
        ("/api/info", "GET"),
    ] {
        let methods: BTreeSet<&str> = methods.split(' ').collect();
        let all = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        for method in all.into_iter().filter(|method| !methods.contains(method.as_str())) {
            let answer = room.owner.call(method, path).send().await;
            let allow: BTreeSet<String> =
                answer.header("allow").split(',').map(|name| name.trim().to_owned()).collect();
            let allow: BTreeSet<&str> =
                allow.iter().map(String::as_str).filter(|name| !["HEAD", "OPTIONS"].contains(name)).collect();
            assert_eq!(allow, methods, "{path}");
            answer.refused(405, "METHOD_NOT_ALLOWED");
        }
    }
}

#[tokio::test]
async fn a_clients_request_id_comes_back() {
    let room = Server::shared().room().await;
    let with = |id: &str| room.owner.get("").header("x-request-id", id).send();
    for id in ["x", "req-1_A.~!", &"x".repeat(64)] {
        assert_eq!(with(id).await.header("x-request-id"), id);
    }
    let problem =
        room.with_token("").get("").header("x-request-id", "mine").send().await.refused(401, "TOKEN_MISSING");
    assert_eq!(problem["request_id"], "mine");
    for id in ["", "two words", "tab\there", &"x".repeat(65)] {
        let answered = with(id).await;
        let own = answered.header("x-request-id");
        assert!(own != id && (1..=64).contains(&own.len()), "{id}: {own}");
    }
    let [one, other] = [room.owner.get("").send().await, room.owner.get("").send().await];
    assert_ne!(one.header("x-request-id"), other.header("x-request-id"));
}

#[tokio::test]
async fn browsers_may_ask_from_anywhere() {
    let room = Server::shared().room().await;
    for (method, path) in
        [("POST", "messages"), ("DELETE", "messages/x"), ("PATCH", ""), ("GET", "/api/channels")]
    {
        let preflight = room
            .with_token("")
            .call(Method::OPTIONS, path)
            .header("origin", "https://app.example.com")
            .header("access-control-request-method", method)
            .header(
                "access-control-request-headers",
                "authorization,content-type,idempotency-key,x-request-id",
            )
            .send()
            .await;
        assert!(matches!(preflight.status, 200 | 204), "{}", preflight.text());
        assert_eq!(preflight.header("access-control-allow-origin"), "*");
        assert_eq!(preflight.header("access-control-allow-credentials"), "");
        assert!(preflight.header("access-control-allow-methods").contains(method));
        let headers = preflight.header("access-control-allow-headers").to_lowercase();
        for header in ["authorization", "content-type", "idempotency-key", "x-request-id"] {
            assert!(headers.contains(header), "{header}: {headers}");
        }
    }
    let answer = room.owner.get("").header("origin", "https://app.example.com").send().await.expect(200);
    let exposed = answer.header("access-control-expose-headers").to_lowercase();
    for header in ["x-request-id", "retry-after", "ratelimit", "ratelimit-policy", "idempotency-replayed"] {
        assert!(exposed.split(',').any(|name| name.trim() == header), "{header}: {exposed}");
    }
}

#[tokio::test]
async fn browsers_may_ask_from_the_origins_that_are_allowed() {
    let server = Server::with_vars(&[("ALLOWED_ORIGINS", "https://app.example.com, https://example.com")]);
    let from = |origin: &'static str| server.with_token("").get("/api/info").from_origin(origin);
    for origin in ["https://app.example.com", "https://example.com"] {
        let answer = from(origin).send().await.expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), origin);
        assert!(answer.header("vary").to_lowercase().contains("origin"));
    }
    for origin in
        ["https://evil.example.com", "http://app.example.com", "null", "https://app.example.com.evil.net"]
    {
        let allowed = from(origin).send().await;
        assert_ne!(allowed.header("access-control-allow-origin"), origin);
        assert_ne!(allowed.header("access-control-allow-origin"), "*");
    }
}

#[tokio::test]
async fn the_server_says_how_it_is() {
    let nobody = Server::shared().with_token("");
    let health: Value = nobody.get("/health").send().await.expect(200).json();
    assert_eq!(health["status"], "ok");
    assert!(health["version"].as_str().is_some_and(|version| !version.is_empty()));
    assert!(health["storage_ms"].as_f64().is_some_and(|ms| ms >= 0.0));

    let info: Value = nobody.get("/api/info").send().await.expect(200).json();
    assert_eq!(info["version"], health["version"]);
    assert_eq!((&info["registration"], &info["require_signatures"]), (&json!("open"), &json!(false)));
    assert!(info["name"].is_string() && info["limits"].is_object(), "{info}");
}

#[tokio::test]
async fn the_message_routes_speak_protobuf() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let request =
        SendMessageRequest { content: "Hello @user:ben".into(), nonce: "n".into(), ..Default::default() };
    let send = || ana.post("messages").header("accept", PROTOBUF).protobuf(&request).send();
    let sent: ChatMessage = send().await.expect(201).protobuf();
    assert_eq!(
        (sent.content.as_str(), sent.nonce.as_str(), sent.sender_id.as_str()),
        ("Hello @user:ben", "n", "ana")
    );
    assert_eq!((sent.server_sequence, sent.mention_user_ids.as_slice()), (1, ["ben".to_owned()].as_slice()));
    let again = send().await.expect(200);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.protobuf::<ChatMessage>(), sent);

    let path = format!("messages/{}", sent.id);
    let read: ChatMessage = ana.get(&path).header("accept", PROTOBUF).send().await.expect(200).protobuf();
    assert_eq!(read, sent);
    let edit = EditMessageRequest { content: "Bye".into(), ..Default::default() };
    let edited: ChatMessage =
        ana.put(&path).header("accept", PROTOBUF).protobuf(&edit).send().await.expect(200).protobuf();
    assert_eq!((edited.content.as_str(), edited.edited), ("Bye", true));

    let page: FetchHistoryResponse =
        ana.get("messages").header("accept", PROTOBUF).send().await.expect(200).protobuf();
    assert_eq!(page.messages, std::slice::from_ref(&edited));
    let changes: SyncResponse =
        ana.get("changes?since=0").header("accept", PROTOBUF).send().await.expect(200).protobuf();
    assert_eq!(changes, SyncResponse { messages: vec![edited], revision: page.revision, has_more: false });
}

#[tokio::test]
async fn body_and_answer_choose_their_media_apart() {
    let room = Server::shared().room().await;
    let request = SendMessageRequest { content: "protobuf in".into(), ..Default::default() };
    let sent: Value = room.owner.post("messages").protobuf(&request).send().await.expect(201).json();
    assert_eq!(sent["content"], "protobuf in");
    let body = json!({"content": "JSON in"});
    let sent: ChatMessage = room
        .owner
        .post("messages")
        .header("accept", PROTOBUF)
        .json(&body)
        .send()
        .await
        .expect(201)
        .protobuf();
    assert_eq!(sent.content, "JSON in");
    // Refusals are JSON whatever was asked for.
    let refused =
        room.owner.post("messages").header("accept", PROTOBUF).protobuf(&SendMessageRequest::default());
    refused.send().await.refused(422, "CONTENT_EMPTY");
    for accept in ["*/*", "application/json, */*", "text/html"] {
        let answer = room.owner.get("messages").header("accept", accept).send().await.expect(200);
        assert_eq!(answer.header("content-type"), "application/json", "{accept}");
    }
}

#[tokio::test]
async fn protobuf_and_json_say_the_same() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let sent = ana.send_many(3).await;
    ana.react(&sent[1], "👍").await;
    ana.edit(&sent[2], "edited").await;
    let page: FetchHistoryResponse =
        ana.get("messages").header("accept", PROTOBUF).send().await.expect(200).protobuf();
    let converted: Vec<edgewise_client::Message> = page.messages.into_iter().map(Into::into).collect();
    assert_eq!(converted, ana.history("").await.messages);
}

#[tokio::test]
async fn the_sockets_route_wants_an_upgrade() {
    let room = Server::shared().room().await;
    room.owner.get("ws").send().await.refused(426, "UPGRADE_REQUIRED");
}
