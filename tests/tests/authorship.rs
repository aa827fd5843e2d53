//! The library against the server: it signs, and what a server's operator alters in the database is found out.

use std::time::Duration;

use edgewise_client::{Authenticity, Change, Draft, Event, Message, Position, Retry, Signer, Start};
use edgewise_tests::{Room, Server};
use serde_json::json;

use Authenticity::{Forged, Unsigned, Verified};

/// A client of a new user whose key the server knows.
async fn signing(room: &Room<'_>, seed: u8) -> (String, edgewise_client::Client) {
    let user = room.known_user().await;
    let seed: [u8; 32] = std::array::from_fn(|n| user.id.as_bytes()[n] ^ seed);
    let key = Signer::new(&seed).public_key();
    room.sql("UPDATE users SET public_key = ? WHERE id = ?", json!([key, user.id])).await;
    (key, room.client(&user.id).with_signer(Signer::new(&seed)))
}

/// The message that a change brings.
fn brought(change: &Change) -> Option<&Message> {
    match change {
        Change::Created { message } | Change::Edited { message, .. } | Change::Touched { message } => {
            Some(message)
        }
        _ => None,
    }
}

async fn alter(room: &Room<'_>, message: &Message, assignment: &str) {
    let sql = format!("UPDATE messages SET {assignment} WHERE id = ?");
    room.sql(&sql, json!([message.id])).await;
}

#[tokio::test]
async fn what_is_signed_here_is_verified_there() {
    let room = Server::shared().room().await;
    let (key, ana) = signing(&room, 1).await;
    let ben = room.client("ben");
    let (_live, mut events) = ben.live(&room.id).start(Start::Newest(10)).await.unwrap();
    let mut shown = async |wanted: &str| {
        loop {
            match events.next().await.unwrap() {
                Event::Change(Change::Created { message } | Change::Edited { message, .. })
                    if message.content == wanted =>
                {
                    return message;
                }
                Event::Stopped(error) => panic!("{error}"),
                _ => {}
            }
        }
    };
    let target = room.owner.send("target").await;
    let draft = Draft::new(" Hello, @user:ben ").reply_to(&target.id).with_nonce("n");
    let sent = ana.send(&room.id, draft.clone()).await.unwrap();
    assert!(!sent.replayed);
    assert_eq!(sent.message.authenticity, Verified);
    assert_eq!(shown("target").await.authenticity, Unsigned);
    let seen = shown("Hello, @user:ben").await;
    assert_eq!((seen.authenticity, seen.sender_pubkey.as_deref()), (Verified, Some(key.as_str())));
    assert_eq!(seen.reply_to_id, Some(target.id));
    // Under the same nonce it is the same message, though it is signed anew.
    let again = ana.send(&room.id, draft).await.unwrap();
    assert!(again.replayed && again.message.id == sent.message.id);

    // Edits as fast as they go, over REST and over the socket.
    let edited = ana.edit(&room.id, &sent.message.id, "first").await.unwrap();
    assert_eq!(edited.authenticity, Verified);
    let (live, _events) = ana.live(&room.id).start(Start::Newest(10)).await.unwrap();
    for content in ["second", "third"] {
        assert_eq!(live.edit(&sent.message.id, content).await.unwrap().authenticity, Verified);
    }
    assert_eq!(shown("third").await.authenticity, Verified);
    let over_socket = live.send("over the socket").await.unwrap();
    assert_eq!(over_socket.message.authenticity, Verified);
    let page = ben.history(&room.id, Position::Newest, None).await.unwrap();
    assert!(page.messages[..2].iter().all(|message| message.authenticity == Verified), "{page:?}");
}

#[tokio::test]
async fn a_clock_that_is_behind_hinders_no_edit() {
    let room = Server::shared().room().await;
    let author = room.author().await;
    let ahead =
        author.note("from a clock that is ahead").envelope(|envelope| envelope.timestamp = 4_000_000_000_000);
    let sent: Message = author.try_post(&ahead.sign()).await.expect(201).json();
    let client = room.client(&author.id).with_signer(author.signer());
    let edited = client.edit(&room.id, &sent.id, "from one that is not").await.unwrap();
    assert_eq!((edited.content.as_str(), edited.authenticity), ("from one that is not", Verified));
}

#[tokio::test]
async fn what_an_operator_alters_is_found_out() {
    let room = Server::shared().room().await;
    let (_, ana) = signing(&room, 1).await;
    let (_, mallory) = signing(&room, 2).await;
    let ben = room.client("ben");
    let mut sent = Vec::new();
    for number in 1..=6 {
        sent.push(ana.send(&room.id, format!("number {number}")).await.unwrap().message);
    }
    let of_mallory = mallory.send(&room.id, "mallory's").await.unwrap().message;
    let read = async |message: &Message| ben.message(&room.id, &message.id).await.unwrap().authenticity;
    for message in sent.iter().chain([&of_mallory]) {
        assert_eq!(read(message).await, Verified);
    }
    let swapped = format!("(payload) = (SELECT payload FROM messages m WHERE m.id = '{}')", sent[5].id);
    let to_another = format!("sender_id = '{}'", of_mallory.sender_id);
    for (message, assignment) in sent.iter().zip([
        "content_text = 'altered'",
        &to_another,
        "payload = NULL, signature = NULL",
        &swapped,
        "reply_to_id = id",
    ]) {
        alter(&room, message, assignment).await;
        assert_eq!(read(message).await, Forged, "{assignment}");
    }
    assert_eq!(read(&sent[5]).await, Verified);
    // Moved to another message: what ana said as what she said once more.
    let copied = format!(
        "UPDATE messages SET content_text = 'number 6', sender_id = '{}', sender_pubkey = '{}', payload = (SELECT payload FROM messages m WHERE m.id = '{}') WHERE id = ?",
        sent[5].sender_id,
        sent[5].sender_pubkey.as_deref().unwrap(),
        sent[5].id
    );
    room.sql(&copied, json!([of_mallory.id])).await;
    assert_eq!(read(&of_mallory).await, Forged);
}

/// An honest server is believed, whatever happens to it meanwhile.
#[tokio::test]
async fn nothing_that_is_true_is_taken_for_forged() {
    let server = Server::start();
    let room = server.room().await;
    let patient = Retry { patience: Duration::from_secs(60), ..Retry::PATIENT };
    let (_, ana) = signing(&room, 1).await;
    let (_, ben) = signing(&room, 2).await;
    let [ana, ben] = [ana, ben].map(|client| client.with_retry(patient));
    let reader = room.client("reader").with_retry(patient);
    let (live, mut events) = reader.live(&room.id).start(Start::Since(0)).await.unwrap();
    for round in 0..12 {
        match round {
            4 => server.reset_objects().await,
            8 => {
                server.kill().await;
                server.restart().await;
            }
            _ => {}
        }
        for author in [&ana, &ben] {
            let sent = author.send(&room.id, format!("round {round}")).await.unwrap().message;
            for edit in 0..round % 3 {
                author.edit(&room.id, &sent.id, format!("edit {edit} of round {round}")).await.unwrap();
            }
            ben.react(&room.id, &sent.id, "👍").await.unwrap();
            if round % 4 == 3 {
                author.delete(&room.id, &sent.id).await.unwrap();
            }
            for message in reader.history(&room.id, Position::Newest, Some(10)).await.unwrap().messages {
                assert_eq!(message.authenticity, Verified, "{message:?}");
            }
        }
    }
    let last = ana.send(&room.id, "the last").await.unwrap().message;
    loop {
        match events.next().await.unwrap() {
            Event::Change(change) => {
                let Some(message) = brought(&change) else { continue };
                assert_eq!(message.authenticity, Verified, "{change:?}");
                if message.id == last.id {
                    break;
                }
            }
            Event::Stopped(error) => panic!("{error}"),
            _ => {}
        }
    }
    let held = live.read(|store| store.messages().map(|message| message.authenticity).collect::<Vec<_>>());
    assert_eq!(held, [Verified; 19]);
    let mut since = 0;
    loop {
        let changes = reader.changes(&room.id, since, None).await.unwrap();
        for message in &changes.messages {
            assert_eq!(message.authenticity == Verified, !message.deleted, "{message:?}");
        }
        since = changes.revision;
        if !changes.has_more {
            break;
        }
    }
}
