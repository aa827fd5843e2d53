//! Bodies of every kind: what is refused, and what comes through unharmed.

use edgewise_client::Message;
use edgewise_tests::{Call, Room, Server, exchange};
use serde_json::json;

const JSON: &str = "application/json";

/// Every route that takes a JSON body, with the field that it needs.
async fn takers<'a>(room: &'a Room<'_>) -> Vec<(Box<dyn Fn() -> Call + 'a>, &'static str)> {
    let owner = &room.owner;
    let sent = owner.send("target").await;
    let (message, reactions) = (format!("messages/{}", sent.id), format!("messages/{}/reactions", sent.id));
    vec![
        (Box::new(|| owner.post("messages")), "content"),
        (Box::new(move || owner.put(&message)), "content"),
        (Box::new(move || owner.post(&reactions)), "emoji"),
        (Box::new(|| owner.put("last-read")), "last_sequence"),
        (Box::new(|| owner.post("/api/channels")), "name"),
        (Box::new(|| owner.patch("")), "name"),
    ]
}

#[tokio::test]
async fn bodies_that_are_no_json_object_are_refused() {
    let room = Server::shared().room().await;
    for (call, field) in takers(&room).await {
        let bodies: [&[u8]; 21] = [
            b"",
            b" ",
            b"{",
            b"}",
            b"hello",
            b"nul",
            b"null",
            b"5",
            b"\"text\"",
            b"[]",
            b"[\"x\"]",
            b"[\"x\", \"y\"]",
            b"[\"x\", null, null]",
            b"[{\"content\": \"x\"}]",
            b"{\"content\": \"x\"",
            b"{\"content\": \"x\",}",
            b"{content: \"x\"}",
            b"{'content': 'x'}",
            b"{\"content\": \"x\"} and more",
            b"{\"content\": \"\xff\xfe\", \"emoji\": \"\xff\", \"name\": \"\xff\"}",
            b"\x00\x01\x02",
        ];
        for body in bodies {
            let answer = call().body(JSON, body.to_vec()).send().await;
            assert_eq!(answer.status, 400, "{field}: {body:?}: {}", answer.text());
            answer.refused(400, "BODY_INVALID");
        }
    }
    room.owner.send("still there").await;
}

#[tokio::test]
async fn fields_of_the_wrong_type_are_refused() {
    let room = Server::shared().room().await;
    for (call, field) in takers(&room).await {
        let wrong =
            [json!(null), json!(true), json!([]), json!({}), json!(-1), json!(1.5), json!("x"), json!(5)];
        for value in wrong {
            let fits = if field == "last_sequence" { value == 5 } else { value.is_string() };
            // In a change, null leaves a name as it is.
            let left_out = field == "name" && value.is_null();
            if !(fits || left_out) {
                call().json(&json!({field: value})).send().await.refused(400, "BODY_INVALID");
            }
        }
    }
    for body in [
        json!({}),
        json!({"nonce": "n"}),
        json!({"content": "x", "nonce": 5}),
        json!({"content": "x", "reply_to_id": 5}),
        json!({"content": "x", "reply_to_id": []}),
    ] {
        room.owner.try_send(body).await.refused(400, "BODY_INVALID");
    }
    for text in ["1e400", "18446744073709551616", "-0.5", "\"1\""] {
        let body = format!(r#"{{"last_sequence": {text}}}"#);
        room.owner.put("last-read").body(JSON, body).send().await.refused(400, "BODY_INVALID");
    }
}

#[tokio::test]
async fn fields_that_nobody_knows_are_ignored() {
    let room = Server::shared().room().await;
    let body = json!({"content": "x", "colour": "blue", "id": "mine", "sender_id": "ben", "server_sequence": 99,
        "deep": {"er": [1, {"and": null}]}});
    let sent: Message = room.user("ana").try_send(body).await.expect(201).json();
    assert_eq!((sent.sender_id.as_str(), sent.server_sequence), ("ana", 1));
}

#[tokio::test]
async fn a_body_has_at_most_64_kib() {
    let room = Server::shared().room().await;
    let body = |size: usize| {
        let start = r#"{"content": "x", "padding": ""#;
        format!("{start}{}\"}}", "p".repeat(size - start.len() - 2))
    };
    for (size, fits) in [(65_536, true), (65_537, false), (1_000_000, false)] {
        assert_eq!(body(size).len(), size);
        let answer = room.user("ana").post("messages").body(JSON, body(size)).send().await;
        if fits {
            answer.expect(201);
        } else {
            answer.refused(413, "BODY_TOO_LARGE");
        }
    }
    for (call, _) in takers(&room).await {
        call().body(JSON, body(65_537)).send().await.refused(413, "BODY_TOO_LARGE");
    }
}

#[tokio::test]
async fn a_body_of_untold_length_is_held_to_the_same() {
    let room = Server::shared().room().await;
    for (size, status) in [(1_000, "201"), (65_537, "413"), (300_000, "413")] {
        let start = r#"{"content": "x", "padding": ""#;
        let body = format!("{start}{}\"}}", "p".repeat(size - start.len() - 2));
        let chunks: String = body
            .as_bytes()
            .chunks(1_000)
            .map(|c| format!("{:x}\r\n{}\r\n", c.len(), String::from_utf8_lossy(c)))
            .collect();
        let head = format!(
            "Authorization: Bearer {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n",
            room.owner.token()
        );
        let line = format!("POST /api/channels/{}/messages", room.id);
        let answer = exchange(room.server(), &line, head.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{size}: {answer}");
    }
}

#[tokio::test]
async fn deep_nesting_harms_nobody() {
    let room = Server::shared().room().await;
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        for depth in [100, 10_000] {
            let body =
                format!(r#"{{"content": "x", "deep": {}1{}}}"#, open.repeat(depth), close.repeat(depth));
            let answer = room.owner.post("messages").body(JSON, body).send().await;
            assert!(matches!(answer.status, 201 | 400), "{depth}: {}", answer.text());
        }
    }
    room.owner.send("still there").await;
}

#[tokio::test]
async fn surrogates_come_in_pairs() {
    let room = Server::shared().room().await;
    let send =
        |text: &str| room.owner.post("messages").body(JSON, format!(r#"{{"content": "{text}"}}"#)).send();
    for lone in
        [r"\ud800", r"\udc00", r"\ude00\ud83d", r"\ud83dx", r"\ud83d\ud83d", r"\ud8", r"\uzzzz", r"\x41"]
    {
        send(lone).await.refused(400, "BODY_INVALID");
    }
    let sent: Message = send(r"\ud83d\ude00 \u00e9").await.expect(201).json();
    assert_eq!(sent.content, "😀 é");
}

#[tokio::test]
async fn every_script_comes_through_unharmed() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let four_bytes = "𝒳".repeat(4000);
    assert_eq!(four_bytes.len(), 16_000);
    for content in [
        "nul \u{0} within",
        "שלום עולם \u{202e} right to left \u{202c} مرحبا",
        "e\u{301} a\u{30a}\u{327} Z\u{351}\u{36b}\u{343}\u{36a}\u{302}\u{36b}",
        "👩‍❤️‍💋‍👩 👨‍👩‍👧‍👦 🏴󠁧󠁢󠁳󠁣󠁴󠁿 🇨🇭",
        "नमस्ते 你好 こんにちは 안녕하세요 สวัสดี",
        "\u{feff}BOM, \u{fffd}, \u{ffff}, \u{10ffff}, \u{e000}",
        "line\nbreaks\r\nand\ttabs \u{b} \u{1b}[31m",
        r#"quotes " and \ and ' and </script> and {{x}} and %s and '; DROP TABLE messages; --"#,
        &four_bytes,
    ] {
        let mut socket = room.user("ben").connect().await;
        let sent = ana.send(content).await;
        assert_eq!(sent.content, content);
        assert_eq!(ana.read(&sent).await.content, content);
        assert_eq!(ana.history("limit=1").await.messages[0].content, content);
        assert_eq!(socket.message().await.content, content);
        socket.close().await;
    }
}

#[tokio::test]
async fn only_json_and_protobuf_are_read() {
    let room = Server::shared().room().await;
    let body = json!({"content": "x", "emoji": "x", "name": "x", "last_sequence": 1}).to_string();
    for (call, _) in takers(&room).await {
        for media in [
            "text/plain",
            "application/xml",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
        ] {
            call().body(media, body.clone()).send().await.refused(415, "MEDIA_TYPE_UNSUPPORTED");
        }
        for media in ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"]
        {
            let answer = call().body(media, body.clone()).send().await;
            assert!(matches!(answer.status, 200 | 201), "{media}: {}", answer.text());
        }
    }
    // Protobuf is for the message routes.
    for call in [room.owner.put("last-read"), room.owner.post("/api/channels"), room.owner.patch("")] {
        let answer = call.body("application/x-protobuf", vec![8, 1]).send().await;
        answer.refused(415, "MEDIA_TYPE_UNSUPPORTED");
    }
}

#[tokio::test]
async fn protobuf_that_is_none_is_refused() {
    let room = Server::shared().room().await;
    let sent = room.owner.send("target").await;
    // A length beyond the end, a wrong wire type, text that is not UTF-8, a tag of zero.
    for body in [
        vec![10, 50, b'x'],
        vec![8, 1],
        vec![10, 2, 0xff, 0xfe],
        vec![0, 0],
        b"{\"content\": \"x\"}".to_vec(),
    ] {
        for call in [room.owner.post("messages"), room.owner.put(&format!("messages/{}", sent.id))] {
            call.body("application/x-protobuf", body.clone()).send().await.refused(400, "BODY_INVALID");
        }
    }
    room.owner
        .post("messages")
        .body("application/x-protobuf", vec![])
        .send()
        .await
        .refused(422, "CONTENT_EMPTY");
    assert_eq!(room.owner.read(&sent).await, sent);
}
