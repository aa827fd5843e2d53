//! Recovery: what was missed comes first, then what happens, with nothing lost and nothing twice in between.

use std::sync::atomic::{AtomicBool, Ordering};

use edgewise_core::proto::{SyncResponse, envelope::Payload};
use edgewise_tests::{Room, Server, Store, User, ask};
use futures_util::future::{join, join_all};

#[tokio::test]
async fn what_was_missed_comes_as_present_states() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let sent = ana.send_many(5).await;
    let since = ana.channel().await.revision;
    ana.edit(&sent[3], "edited").await;
    ana.erase(&sent[1]).await;
    ben.react(&sent[0], "👍").await;
    ben.react(&sent[4], "👍").await;
    ben.unreact(&sent[4], "👍").await;
    let new = ana.send("new").await;

    // From memory, and from the database.
    for evicted in [false, true] {
        if evicted {
            room.evict().await;
        }
        let mut socket = ben.dial().since(since).open().await;
        let (states, revision) = socket.catch_up().await;
        let ids: Vec<&str> = states.iter().map(|state| state.id.as_str()).collect();
        assert_eq!(ids, [&sent[3].id, &sent[1].id, &sent[0].id, &sent[4].id, &new.id]);
        assert_eq!(
            (states[0].content.as_str(), states[1].deleted, states[1].content.as_str()),
            ("edited", true, "")
        );
        assert!(states[2].reactions[0].me && states[3].reactions.is_empty());
        assert_eq!((revision, socket.hello.revision), (new.revision, new.revision));
    }
}

#[tokio::test]
async fn then_comes_what_happens() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let first = ana.send("1").await;
    ana.send("2").await;
    let mut socket = ana.dial().since(first.revision).open().await;
    let (states, revision) = socket.catch_up().await;
    assert_eq!(states.len(), 1);
    let third = ana.send("3").await;
    let live = socket.message().await;
    assert_eq!(live.id, third.id);
    assert!(live.revision > revision);
}

#[tokio::test]
async fn who_missed_nothing_is_caught_up_at_once() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let mut socket = ana.dial().since(0).open().await;
    assert_eq!(socket.catch_up().await, (vec![], 0));
    let sent = ana.send("1").await;
    for evicted in [false, true] {
        if evicted {
            room.evict().await;
        }
        let mut socket = ana.dial().since(sent.revision).open().await;
        assert_eq!(socket.catch_up().await, (vec![], sent.revision));
    }
}

#[tokio::test]
async fn a_since_from_the_future_brings_nothing() {
    let room = Server::shared().room().await;
    let sent = room.user("ana").send("1").await;
    for since in [sent.revision + 1, 1_000_000, u64::MAX] {
        let mut socket = room.user("ana").dial().since(since).open().await;
        assert_eq!(socket.hello.revision, sent.revision);
        assert_eq!(socket.catch_up().await, (vec![], sent.revision));
    }
}

#[tokio::test]
async fn much_that_was_missed_comes_whole() {
    let room = Server::shared().room().await;
    room.fill(700).await;
    room.evict().await;
    let mut socket = room.user("ana").dial().since(0).open().await;
    let (states, revision) = socket.catch_up().await;
    assert!(states.is_sorted_by(|a, b| a.revision < b.revision));
    assert!(states.iter().map(|state| state.server_sequence).eq(1..=700));
    assert_eq!(revision, room.owner.channel().await.revision);
}

#[tokio::test]
async fn states_are_shown_as_their_receiver_sees_them() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let body = serde_json::json!({"content": "x", "nonce": "mine"});
    let sent: edgewise_client::Message = ana.try_send(body).await.expect(201).json();
    ben.react(&sent, "👍").await;
    for (user, nonce, me) in [(&ana, "mine", false), (&ben, "", true)] {
        let mut socket = user.dial().since(0).open().await;
        let (states, _) = socket.catch_up().await;
        assert_eq!((states[0].nonce.as_str(), states[0].reactions[0].me), (nonce, me), "{}", user.id);
    }
}

#[tokio::test]
async fn states_can_be_asked_for() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    room.fill(250).await;
    let mut socket = ana.connect().await;
    let mut ask = async |since: u64, limit: u32| match socket.ask(ask::sync(since, limit)).await {
        Payload::SyncResponse(sync) => sync,
        other => panic!("states were expected, and came {other:?}"),
    };
    let first = ask(0, 0).await;
    assert_eq!((first.messages.len(), first.has_more), (100, true));
    let second = ask(first.revision, 200).await;
    assert_eq!((second.messages.len(), second.has_more), (150, false));
    let sequences = first.messages.iter().chain(&second.messages).map(|message| message.server_sequence);
    assert!(sequences.eq(1..=250));
    assert_eq!(
        ask(second.revision, 10).await,
        SyncResponse { revision: second.revision, ..Default::default() }
    );
    assert_eq!(
        ask(second.revision + 9, 10).await,
        SyncResponse { revision: second.revision, ..Default::default() }
    );
    socket.refused(ask::sync(0, 201), 400, "QUERY_INVALID").await;
}

#[tokio::test]
async fn a_crowd_that_comes_back_at_once_is_caught_up() {
    let server = Server::start();
    let room = server.room().await;
    let sent = room.owner.send_many(5).await;
    let users: Vec<_> = (0..150).map(|number| room.user(&format!("guest{number:03}"))).collect();
    let sockets = join_all(users.iter().map(User::connect)).await;
    server.reset_objects().await;
    join_all(sockets.into_iter().map(|socket| socket.closed(1006))).await;
    let missed = room.owner.send("while they were away").await;

    let back = users.iter().map(|user| async {
        let mut socket = user.dial().since(sent[4].revision).open().await;
        let (states, revision) = socket.catch_up().await;
        assert_eq!((states.len(), states[0].id.as_str(), revision), (1, missed.id.as_str(), missed.revision));
        socket
    });
    let sockets = join_all(back).await;
    let live = room.owner.send("and live").await;
    for mut socket in sockets {
        assert_eq!(socket.message().await.id, live.id);
    }
}

/// Four users change the channel until told to stop.
async fn pour(room: &Room<'_>, stop: &AtomicBool) {
    let pouring = ["ana", "ben", "carla", "dora"].iter().enumerate().map(|(turn, id)| async move {
        let (user, mut round) = (room.user(id), turn);
        while !stop.load(Ordering::Relaxed) {
            round += 1;
            let message = user.send(&format!("{id} {round}")).await;
            user.react(&message, "👍").await;
            match round % 4 {
                0 => drop(user.edit(&message, "edited").await),
                1 => user.unreact(&message, "👍").await,
                2 => user.erase(&message).await,
                _ => {}
            }
        }
    });
    join_all(pouring).await;
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_where_catching_up_meets_what_happens() {
    let room = Server::shared().room().await;
    let stop = AtomicBool::new(false);
    let listening = join_all((0..8).map(|number| {
        let user = room.user(&format!("listener{number}"));
        async move {
            let mut store = Store::default();
            for _ in 0..8 {
                let mut socket = user.dial().since(store.since).open().await;
                for _ in 0..15 + number {
                    let envelope = socket.next().await;
                    store.apply(envelope.revision, envelope.payload.expect("a payload"));
                }
            }
            (user, store)
        }
    }));
    let listening = async {
        let heard = listening.await;
        stop.store(true, Ordering::Relaxed);
        heard
    };
    let (heard, ()) = join(listening, pour(&room, &stop)).await;
    let expected = Store::fresh(&room.user("reader")).await;
    for (user, mut store) in heard {
        let mut socket = user.dial().since(store.since).open().await;
        let (messages, revision) = socket.catch_up().await;
        store.apply(0, Payload::SyncResponse(SyncResponse { messages, revision, has_more: false }));
        assert_eq!(store.since, expected.since);
        assert_eq!(store.view(), expected.view(), "{}", user.id);
    }
}

#[tokio::test]
async fn a_killed_server_has_kept_what_its_sockets_were_told() {
    let server = Server::start();
    let room = server.room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let mut socket = ben.connect().await;
    let mut store = Store::default();
    let sent = ana.send_many(10).await;
    ana.react(&sent[2], "👍").await;
    ana.edit(&sent[3], "edited").await;
    for _ in 0..12 {
        let (revision, change) = socket.change().await;
        store.apply(revision, change);
    }
    server.kill().await;
    socket.closed(1006).await;
    server.restart().await;
    let missed = ana.send("while he was away").await;
    let mut socket = ben.dial().since(store.since).open().await;
    let (states, _) = socket.catch_up().await;
    assert_eq!(states.iter().map(|state| state.id.as_str()).collect::<Vec<_>>(), [missed.id.as_str()]);
    for state in states {
        let revision = state.revision;
        store.apply(
            0,
            Payload::SyncResponse(SyncResponse { messages: vec![state], revision, has_more: false }),
        );
    }
    assert_eq!(store.view(), Store::fresh(&room.user("reader")).await.view());
}
