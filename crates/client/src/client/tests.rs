//! Requests against a peer that fails on purpose.

use super::*;
use crate::{BoxError, Message, peer::Peer};

const BUSY: &str = r#"{"status": 503, "code": "STORAGE_UNAVAILABLE", "retryable": true}"#;

fn refusal(status: u16, code: &str) -> String {
    serde_json::json!({"status": status, "code": code, "detail": "no", "retryable": false}).to_string()
}

fn nonce(request: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
    body["nonce"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_send_is_repeated_under_its_nonce() {
    let peer = Peer::start().await;
    let client = peer.client();
    let sending = tokio::spawn(async move { client.send("chan", "hello").await });
    let first = nonce(&peer.answer(503, BUSY).await);
    peer.hang_up().await;
    let message = serde_json::to_string(&Message { id: "m1".into(), ..Message::default() }).unwrap();
    let second = nonce(&peer.answer(201, &message).await);
    assert_eq!(first, second);
    let sent = sending.await.unwrap().unwrap();
    assert_eq!((sent.message.id.as_str(), sent.replayed), ("m1", false));
}

#[tokio::test]
async fn a_deletion_whose_answer_was_lost_is_done() {
    let peer = Peer::start().await;
    let client = peer.client();
    let deleting = tokio::spawn(async move { client.delete("chan", "m1").await });
    peer.hang_up().await;
    peer.answer(404, &refusal(404, "MESSAGE_NOT_FOUND")).await;
    deleting.await.unwrap().unwrap();

    let client = peer.client();
    let deleting = tokio::spawn(async move { client.delete("chan", "m1").await });
    peer.answer(404, &refusal(404, "MESSAGE_NOT_FOUND")).await;
    assert_eq!(deleting.await.unwrap().unwrap_err().code(), Some("MESSAGE_NOT_FOUND"));
}

#[tokio::test]
async fn what_could_happen_twice_is_asked_once() {
    let peer = Peer::start().await;
    let client = peer.client();
    let making = tokio::spawn(async move { client.create_channel("twice", None, false).await });
    peer.answer(503, BUSY).await;
    assert_eq!(making.await.unwrap().unwrap_err().code(), Some("STORAGE_UNAVAILABLE"));
}

#[tokio::test]
async fn an_expired_token_is_replaced_once() {
    let peer = Peer::start().await;
    let client = peer.client().with_refresh(|| async { Ok::<_, BoxError>("second".to_owned()) });
    let asking = tokio::spawn(async move { client.last_read("chan").await });
    let request = peer.answer(401, &refusal(401, "TOKEN_EXPIRED")).await;
    assert!(request.contains("authorization: Bearer first"), "{request}");
    let request = peer.answer(401, &refusal(401, "TOKEN_EXPIRED")).await;
    assert!(request.contains("authorization: Bearer second"), "{request}");
    assert_eq!(asking.await.unwrap().unwrap_err().code(), Some("TOKEN_EXPIRED"));
}

#[tokio::test]
async fn a_refusal_that_is_not_of_the_server_is_one_all_the_same() {
    let peer = Peer::start().await;
    let client = peer.client().with_retry(Retry::NEVER);
    let asking = tokio::spawn(async move { client.channels().await });
    peer.answer(502, "<h1>Bad gateway</h1>").await;
    let Err(Error::Problem(problem)) = asking.await.unwrap() else { panic!("no problem") };
    assert_eq!((problem.status, problem.code.as_str(), problem.retryable), (502, "HTTP_502", true));
}

#[test]
fn addresses_are_checked_and_parts_encoded() {
    for wrong in ["", "chat.example.com", "ftp://chat.example.com", "http://"] {
        assert!(matches!(Client::new(wrong, "t"), Err(Error::Address(_))), "{wrong}");
    }
    let client = Client::new("http://127.0.0.1:8787/chat/", "t").unwrap();
    let url = client.address(&["api", "reactions", "a/b?#%"]).unwrap();
    assert_eq!(url.as_str(), "http://127.0.0.1:8787/chat/api/reactions/a%2Fb%3F%23%25");
}

#[test]
fn loopback_is_local() {
    for host in ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"] {
        assert!(is_local(host), "{host}");
    }
    assert!(!is_local("chat.example.com"));
}

#[test]
fn no_token_is_printed() {
    let client = Client::new("http://127.0.0.1:8787", "secret").unwrap();
    assert!(!format!("{client:?} {:?}", client.tokens).contains("secret"));
}
