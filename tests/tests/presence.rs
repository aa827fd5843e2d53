//! Presence and typing: who is here, and what they are doing.

use std::time::Duration;

use edgewise_client::{Presence, PresentUsers};
use edgewise_core::proto::{PresenceStatus, TypingIndicator, envelope::Payload};
use edgewise_tests::{Server, Socket, User, ask};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// The next presence of a user that a socket is told.
async fn told(socket: &mut Socket, user: &str) -> PresenceStatus {
    socket
        .find(|envelope| match envelope.payload {
            Some(Payload::PresenceUpdateEvent(event)) => event.update.filter(|update| update.user_id == user),
            _ => None,
        })
        .await
        .status()
}

async fn present(user: &User) -> Vec<(String, Presence)> {
    let page: PresentUsers = user.get("presence").send().await.expect(200).json();
    assert!(!page.has_more);
    page.presence.into_iter().map(|present| (present.user_id, present.status)).collect()
}

fn owned(users: &[(&str, Presence)]) -> Vec<(String, Presence)> {
    users.iter().map(|&(id, status)| (id.to_owned(), status)).collect()
}

async fn set(socket: &mut Socket, status: PresenceStatus) {
    assert!(matches!(socket.ask(ask::presence(status)).await, Payload::Ack(_)));
}

#[tokio::test]
async fn a_user_is_online_from_their_first_socket_to_their_last() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    assert_eq!(present(&ana).await, []);
    let mut watching = ana.connect().await;
    let (first, second) = (ben.connect().await, ben.connect().await);
    assert_eq!(told(&mut watching, "ben").await, PresenceStatus::Online);
    assert_eq!(present(&ana).await, owned(&[("ana", Presence::Online), ("ben", Presence::Online)]));
    first.close().await;
    assert_eq!(present(&ana).await, owned(&[("ana", Presence::Online), ("ben", Presence::Online)]));
    second.close().await;
    // There was nothing to tell in between.
    assert_eq!(told(&mut watching, "ben").await, PresenceStatus::Offline);
    assert_eq!(present(&ana).await, owned(&[("ana", Presence::Online)]));
}

#[tokio::test]
async fn a_socket_that_breaks_takes_its_user_offline() {
    let room = Server::shared().room().await;
    let mut watching = room.user("ana").connect().await;
    let socket = room.user("ben").connect().await;
    assert_eq!(told(&mut watching, "ben").await, PresenceStatus::Online);
    drop(socket);
    assert_eq!(told(&mut watching, "ben").await, PresenceStatus::Offline);
}

#[tokio::test]
async fn hello_says_who_is_here() {
    let room = Server::shared().room().await;
    let mut anas = room.user("ana").connect().await;
    set(&mut anas, PresenceStatus::Dnd).await;
    let bens = room.user("ben").connect().await;
    let here: Vec<_> = bens
        .hello
        .presence
        .iter()
        .filter(|present| present.user_id != "ben")
        .map(|p| (p.user_id.as_str(), p.status()))
        .collect();
    assert_eq!(here, [("ana", PresenceStatus::Dnd)]);
    assert_eq!(bens.hello.presence.iter().find(|p| p.user_id == "ana").unwrap().display_name, "Ana");
}

#[tokio::test]
async fn the_highest_of_a_users_sockets_counts() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let mut watching = ana.connect().await;
    let (mut one, mut two) = (ben.connect().await, ben.connect().await);
    assert_eq!(told(&mut watching, "ben").await, PresenceStatus::Online);
    set(&mut one, PresenceStatus::Away).await;
    // The other socket is online still.
    assert_eq!(present(&ana).await[1], ("ben".into(), Presence::Online));
    set(&mut two, PresenceStatus::Away).await;
    assert_eq!(told(&mut watching, "ben").await, PresenceStatus::Away);
    set(&mut one, PresenceStatus::Dnd).await;
    assert_eq!(told(&mut watching, "ben").await, PresenceStatus::Dnd);
    set(&mut two, PresenceStatus::Online).await;
    assert_eq!(present(&ana).await[1], ("ben".into(), Presence::Dnd));
    one.close().await;
    assert_eq!(told(&mut watching, "ben").await, PresenceStatus::Online);
}

#[tokio::test]
async fn what_was_set_outlives_the_object() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let (mut anas, mut bens) = (ana.connect().await, ben.connect().await);
    set(&mut anas, PresenceStatus::Away).await;
    set(&mut bens, PresenceStatus::Dnd).await;
    let expected = owned(&[("ana", Presence::Away), ("ben", Presence::Dnd)]);
    assert_eq!(present(&ana).await, expected);
    room.evict().await;
    assert_eq!(present(&ana).await, expected);
    assert_eq!(present(&room.user("carla")).await, expected);
}

#[tokio::test]
async fn who_is_here_is_listed_by_user_id() {
    let room = Server::shared().room().await;
    let mut sockets = Vec::new();
    for id in ["dora", "ben", "emil", "ana", "carla"] {
        sockets.push(room.user(id).connect().await);
    }
    let ana = room.user("ana");
    let page = async |query: &str| -> (Vec<String>, bool) {
        let page: PresentUsers = ana.get(&format!("presence?{query}")).send().await.expect(200).json();
        (page.presence.into_iter().map(|present| present.user_id).collect(), page.has_more)
    };
    let named = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(page("").await, (named(&["ana", "ben", "carla", "dora", "emil"]), false));
    assert_eq!(page("limit=2").await, (named(&["ana", "ben"]), true));
    assert_eq!(page("limit=2&after=ben").await, (named(&["carla", "dora"]), true));
    assert_eq!(page("limit=2&after=dora").await, (named(&["emil"]), false));
    for query in ["limit=0", "limit=201", "limit=x"] {
        ana.get(&format!("presence?{query}")).send().await.refused(400, "QUERY_INVALID");
    }
    let first: Value = ana.get("presence?limit=1").send().await.expect(200).json();
    let expected = json!({
        "presence": [{"user_id": "ana", "display_name": "Ana", "status": "online"}], "has_more": true,
    });
    assert_eq!(first, expected);
}

#[tokio::test]
async fn above_200_users_who_is_here_is_asked_for() {
    let room = Server::shared().room().await;
    let users: Vec<User> = (0..=200).map(|number| room.user(&format!("guest{number:03}"))).collect();
    let _crowd = join_all(users.iter().map(User::connect)).await;
    let late = room.user("zoe").connect().await;
    assert_eq!(late.hello.presence, []);

    let page: PresentUsers = users[0].get("presence?limit=200").send().await.expect(200).json();
    assert_eq!((page.presence.len(), page.has_more), (200, true));
    let rest: PresentUsers =
        users[0].get("presence?limit=200&after=guest199").send().await.expect(200).json();
    let ids: Vec<&str> = rest.presence.iter().map(|present| present.user_id.as_str()).collect();
    assert_eq!((ids.as_slice(), rest.has_more), (["guest200", "zoe"].as_slice(), false));
}

#[tokio::test]
async fn a_socket_that_falls_silent_counts_as_gone() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let (mut beating, _silent) = (ana.connect().await, ben.connect().await);
    assert_eq!(present(&ana).await.len(), 2);
    // Whoever asks wakes the object; that one of the two still says `ping` is all the difference.
    let gone = async {
        while present(&room.user("carla")).await != owned(&[("ana", Presence::Online)]) {
            beating.ping().await;
            sleep(Duration::from_secs(2)).await;
        }
    };
    timeout(Duration::from_secs(180), gone).await.expect("a silent socket counts as gone after 75 s");
}

#[tokio::test]
async fn a_status_that_is_none_is_refused() {
    let room = Server::shared().room().await;
    let mut socket = room.user("ana").connect().await;
    for status in [0, 99, -1] {
        let request = edgewise_core::proto::SetPresenceRequest { status };
        let Payload::Error(error) = socket.ask(Payload::SetPresenceRequest(request)).await else {
            panic!("{status}")
        };
        assert!(matches!(error.code, 400 | 422), "{error:?}");
    }
    assert_eq!(present(&room.user("ana")).await, owned(&[("ana", Presence::Online)]));
}

/// What a socket is told of typing before the message with this id.
async fn typing_until(socket: &mut Socket, id: &str) -> Vec<TypingIndicator> {
    let mut typing = Vec::new();
    loop {
        match socket.next().await.payload {
            Some(Payload::TypingEvent(event)) => typing.push(event.indicator.expect("who types")),
            Some(Payload::NewMessageEvent(event)) if event.message.as_ref().is_some_and(|m| m.id == id) => {
                return typing;
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn typing_is_told_to_others_at_most_once_in_two_seconds() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let [mut anas, mut her_other, mut bens] = [ana.connect().await, ana.connect().await, ben.connect().await];
    for _ in 0..3 {
        ana.post("typing").send().await.expect(204);
        assert!(matches!(anas.ask(ask::typing()).await, Payload::Ack(_)));
    }
    ben.post("typing").send().await.expect(204);
    let end = ana.send("end").await;

    let seen = typing_until(&mut bens, &end.id).await;
    let [typing] = seen.as_slice() else { panic!("{seen:?}") };
    let expected = TypingIndicator {
        channel_id: room.id.clone(),
        display_name: "Ana".into(),
        timestamp: typing.timestamp,
        user_id: "ana".into(),
        ..Default::default()
    };
    assert_eq!(typing, &expected);
    for socket in [&mut anas, &mut her_other] {
        let seen = typing_until(socket, &end.id).await;
        assert!(matches!(seen.as_slice(), [typing] if typing.user_id == "ben"), "{seen:?}");
    }
}

#[tokio::test]
async fn a_sleeping_socket_is_told_of_typing() {
    let room = Server::shared().room().await;
    let mut bens = room.user("ben").connect().await;
    room.evict().await;
    room.user("ana").post("typing").send().await.expect(204);
    let typing = bens
        .find(|envelope| match envelope.payload {
            Some(Payload::TypingEvent(event)) => event.indicator,
            _ => None,
        })
        .await;
    assert_eq!(typing.user_id, "ana");
}
