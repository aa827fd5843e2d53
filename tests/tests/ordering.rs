//! Order: sequences without a hole, the same for everyone, whatever happens in between.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use edgewise_client::{Draft, Message, Retry};
use edgewise_tests::{Room, Server, Socket};
use futures_util::future::{join, join_all};
use serde_json::json;

/// Sends so many messages by each of 64 users at once.
async fn storm(room: &Room<'_>, each: usize) -> Vec<Message> {
    let senders = (0..64).map(|number| {
        let user = room.user(&format!("sender{number}"));
        async move { user.send_many(each).await }
    });
    join_all(senders).await.concat()
}

/// Expects of these messages the sequences from `first`, each once.
fn assert_dense(messages: &[Message], first: u64) {
    let mut sequences: Vec<u64> = messages.iter().map(|message| message.server_sequence).collect();
    sequences.sort_unstable();
    assert!(sequences.iter().copied().eq(first..first + messages.len() as u64), "{sequences:?}");
}

/// Expects of a socket these messages, each once and in order.
async fn assert_heard(socket: &mut Socket, sent: &[Message]) {
    let mut expected: Vec<&Message> = sent.iter().collect();
    expected.sort_unstable_by_key(|message| message.server_sequence);
    let mut revision = 0;
    for message in expected {
        let heard = socket.message().await;
        assert_eq!((heard.server_sequence, &heard.id), (message.server_sequence, &message.id));
        assert!(heard.revision > revision);
        revision = heard.revision;
    }
}

#[tokio::test]
async fn messages_of_64_senders_are_in_one_order_for_everyone() {
    let room = Server::shared().room().await;
    let mut sockets = Vec::new();
    for number in 0..5 {
        sockets.push(room.user(&format!("sender{number}")).connect().await);
    }
    let sent = storm(&room, 3).await;
    assert_dense(&sent, 1);
    for socket in &mut sockets {
        assert_heard(socket, &sent).await;
    }
    // Each sender's own came in the order of sending.
    for messages in sent.chunks(3) {
        assert!(messages.is_sorted_by_key(|message| message.server_sequence));
    }
    let mut sorted = sent.clone();
    sorted.sort_unstable_by_key(|message| message.server_sequence);
    assert!(sorted.is_sorted_by(|a, b| a.revision < b.revision && a.id < b.id && a.timestamp <= b.timestamp));

    // And after the object was evicted, its sockets asleep, the same goes on.
    room.evict().await;
    let late = storm(&room, 1).await;
    assert_dense(&late, 193);
    for socket in &mut sockets {
        assert_heard(socket, &late).await;
    }
    let stored = room.owner.whole_history().await;
    assert_dense(&stored, 1);
    assert_eq!(stored.len(), 256);
}

#[tokio::test]
async fn an_eviction_that_meets_a_storm_loses_nothing() {
    let room = Server::shared().room().await;
    let mut socket = room.user("listener").connect().await;
    let mut sent = Vec::new();
    for _ in 0..6 {
        let (storm, ()) = join(storm(&room, 1), room.evict()).await;
        sent.extend(storm);
    }
    assert_dense(&sent, 1);
    assert_dense(&room.owner.whole_history().await, 1);
    assert_heard(&mut socket, &sent).await;
}

#[tokio::test]
async fn an_object_that_was_reset_has_kept_every_message_that_it_acknowledged() {
    let server = Server::start();
    let room = server.room().await;
    disturbed(&room, || server.reset_objects()).await;
}

#[tokio::test]
async fn a_killed_server_has_kept_every_message_that_it_acknowledged() {
    let server = Server::start();
    let room = server.room().await;
    disturbed(&room, async || {
        server.kill().await;
        server.restart().await;
    })
    .await;
}

/// Lets 64 patient clients send at once, disturbs the server in the middle of it, three times, and expects every
/// message once.
async fn disturbed(room: &Room<'_>, disturb: impl AsyncFn()) {
    let acknowledged = AtomicUsize::new(0);
    let senders = join_all((0..64).map(|number| {
        let client = room.client(&format!("sender{number}")).with_retry(patient());
        let (channel, acknowledged) = (room.id.clone(), &acknowledged);
        async move {
            let mut sent = Vec::new();
            for round in 0..6 {
                let draft = Draft::new(format!("{number}:{round}")).with_nonce(format!("{round}"));
                sent.push(client.send(&channel, draft).await.expect("a patient client gets through").message);
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            sent
        }
    }));
    let disturbances = async {
        for threshold in [70, 170, 270] {
            while acknowledged.load(Ordering::Relaxed) < threshold {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            disturb().await;
        }
    };
    let sent = join(senders, disturbances).await.0.concat();
    assert_eq!(sent.len(), 384);

    let stored = room.owner.whole_history().await;
    assert_dense(&stored, 1);
    let by_id: HashMap<&str, &Message> =
        stored.iter().map(|message| (message.id.as_str(), message)).collect();
    for message in &sent {
        let kept = by_id.get(message.id.as_str()).unwrap_or_else(|| panic!("{} is lost", message.content));
        assert_eq!((&kept.content, kept.server_sequence), (&message.content, message.server_sequence));
    }
    // What was sent again under its nonce is there once.
    let contents: HashSet<&str> = stored.iter().map(|message| message.content.as_str()).collect();
    assert_eq!((contents.len(), stored.len()), (384, 384));
    // Life goes on.
    assert_eq!(room.user("ana").send("after").await.server_sequence, 385);
    let rows = room.sql("SELECT last_sequence FROM channels WHERE id = ?", json!([room.id])).await;
    assert_eq!(rows, [json!({"last_sequence": 385})]);
}

fn patient() -> Retry {
    Retry {
        patience: Duration::from_secs(120),
        first: Duration::from_millis(50),
        longest: Duration::from_secs(1),
    }
}
