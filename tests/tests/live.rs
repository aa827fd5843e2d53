//! The client library's live channel, against the real server: whatever happens to connections, objects and the
//! server itself, each client holds what is true, and is told each change once.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use edgewise_client::{Change, Event, Events, Live, Message, Position, Reconnect, Start};
use edgewise_tests::{Room, Server};
use futures_util::future::{join, join_all};
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(60);

async fn open(room: &Room<'_>, id: &str) -> (Live, Events) {
    let reconnect = Reconnect {
        first: Duration::from_millis(50),
        longest: Duration::from_millis(500),
        after_flooding: Duration::from_secs(1),
    };
    let live = room.client(id).live(&room.id).start(Start::Since(0)).reconnect(reconnect);
    live.in_flight(NonZeroUsize::new(8).unwrap()).await.unwrap()
}

async fn change(events: &mut Events) -> Change {
    loop {
        match timeout(PATIENCE, events.next()).await.expect("a change, in time") {
            Some(Event::Change(change)) => return change,
            Some(Event::Stopped(error)) => panic!("the client stopped: {error}"),
            Some(_) => {}
            None => panic!("the client ended"),
        }
    }
}

/// A message without what depends on who reads it, and on sampling.
fn comparable(mut message: Message) -> Message {
    message.nonce = None;
    message.reactions.sort_by(|a, b| a.emoji.cmp(&b.emoji));
    for summary in &mut message.reactions {
        summary.me = false;
        summary.user_ids.clear();
    }
    message
}

/// What a client holds in the end, when it holds everything up to a revision.
async fn held(live: &Live, revision: u64) -> Vec<Message> {
    let caught_up = async {
        while live.read(edgewise_client::Store::since) < revision {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, caught_up).await.expect("every client catches up");
    live.read(|store| store.messages().cloned().map(comparable).collect())
}

#[tokio::test]
async fn a_live_channel_tells_what_happens_in_order() {
    let room = Server::shared().room().await;
    let ((ana, _kept), (_ben, mut events)) = join(open(&room, "ana"), open(&room, "ben")).await;
    let sends = join_all((0..20).map(|number| ana.send(format!("{number}")))).await;
    let sent: Vec<Message> = sends.into_iter().map(|sent| sent.unwrap().message).collect();
    assert!(sent.is_sorted_by(|a, b| a.server_sequence < b.server_sequence));
    for message in &sent {
        let Change::Created { message: heard } = change(&mut events).await else { panic!("a new message") };
        assert_eq!((&heard.id, &heard.content), (&message.id, &message.content));
    }
    ana.react(&sent[0].id, "👍").await.unwrap();
    ana.edit(&sent[0].id, "edited").await.unwrap();
    ana.delete(&sent[1].id).await.unwrap();
    assert!(matches!(change(&mut events).await, Change::ReactionAdded(reacted) if reacted.emoji == "👍"));
    assert!(
        matches!(change(&mut events).await, Change::Edited { before: Some(before), .. } if before == "0")
    );
    assert!(matches!(change(&mut events).await, Change::Deleted { message, .. } if message.id == sent[1].id));
}

#[tokio::test]
async fn live_channels_agree_whatever_happens() {
    let server = Server::start();
    let room = server.room().await;
    let clients = join_all((0..8).map(|number| {
        let (room, id) = (&room, format!("client{number}"));
        async move { open(room, &id).await }
    }))
    .await;
    let done = AtomicUsize::new(0);
    let work = join_all(clients.iter().enumerate().map(|(number, (live, _))| {
        let done = &done;
        async move {
            let mut own = HashMap::new();
            for step in 0..12 {
                let sent = live.send(format!("{number}:{step}")).await.unwrap().message;
                live.react(&sent.id, "👍").await.unwrap();
                if step % 3 == 0 {
                    live.delete(&sent.id).await.unwrap();
                } else {
                    let edited = live.edit(&sent.id, format!("{number}:{step}, edited")).await.unwrap();
                    own.insert(edited.id, edited.content);
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
            own
        }
    }));
    let disturbances = async {
        for (threshold, kill) in [(15, false), (30, true), (50, false), (70, true)] {
            while done.load(Ordering::Relaxed) < threshold {
                sleep(Duration::from_millis(1)).await;
            }
            if kill {
                server.kill().await;
                server.restart().await;
            } else {
                server.reset_objects().await;
            }
        }
    };
    let (acknowledged, ()) = timeout(PATIENCE * 3, join(work, disturbances)).await.expect("all gets through");

    let truth: Vec<Message> = room.owner.whole_history().await.into_iter().map(comparable).collect();
    assert_eq!(truth.len(), 8 * 8);
    for (id, content) in acknowledged.into_iter().flatten() {
        assert_eq!(
            truth.iter().find(|message| message.id == id).map(|message| &message.content),
            Some(&content)
        );
    }
    let revision = room.client("reader").history(&room.id, Position::Newest, None).await.unwrap().revision;
    for (number, (live, mut events)) in clients.into_iter().enumerate() {
        assert_eq!(held(&live, revision).await, truth, "what client {number} holds");
        live.close();
        // Each message was told as new at most once.
        let mut created: HashMap<String, usize> = HashMap::new();
        while let Some(event) = events.next().await {
            if let Event::Change(Change::Created { message }) = event {
                *created.entry(message.id).or_default() += 1;
            }
        }
        assert!(created.values().all(|times| *times == 1), "client {number}");
        assert!(truth.iter().all(|message| created.contains_key(&message.id)), "client {number}");
    }
}
