//! Read state: how far each user has read, and what is new to them.

use edgewise_client::LastRead;
use edgewise_tests::Server;
use serde_json::{Value, json};

fn state(last_sequence: u64, unread_count: u32, mention_count: u32) -> LastRead {
    LastRead { last_sequence, unread_count, mention_count }
}

#[tokio::test]
async fn nothing_is_read_at_first() {
    let room = Server::shared().room().await;
    let ben = room.user("ben");
    assert_eq!(ben.last_read().await, state(0, 0, 0));
    room.user("ana").send_many(3).await;
    assert_eq!(ben.last_read().await, state(0, 3, 0));
    let body: Value = ben.get("last-read").send().await.expect(200).json();
    assert_eq!(body, json!({"last_sequence": 0, "unread_count": 3, "mention_count": 0}));
}

#[tokio::test]
async fn what_is_read_is_no_longer_unread() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    ana.send("1 @user:ben").await;
    ben.send("2").await;
    ana.send("3").await;
    ana.send("4 @user:ben").await;
    assert_eq!(ben.last_read().await, state(0, 3, 2));
    assert_eq!(ben.mark_read(1).await, state(1, 2, 1));
    assert_eq!(ben.mark_read(3).await, state(3, 1, 1));
    assert_eq!(ben.mark_read(4).await, state(4, 0, 0));
    assert_eq!(ben.last_read().await, state(4, 0, 0));
    assert_eq!(ana.last_read().await, state(0, 1, 0));
    ana.send("5").await;
    assert_eq!(ben.last_read().await, state(4, 1, 0));
}

#[tokio::test]
async fn the_mark_never_goes_back_unless_that_is_allowed() {
    let room = Server::shared().room().await;
    room.user("ana").send_many(4).await;
    let ben = room.user("ben");
    ben.mark_read(3).await;
    assert_eq!(ben.mark_read(1).await, state(3, 1, 0));
    let put =
        async |body: Value| -> LastRead { ben.put("last-read").json(&body).send().await.expect(200).json() };
    assert_eq!(put(json!({"last_sequence": 2, "allow_decrease": false})).await, state(3, 1, 0));
    assert_eq!(put(json!({"last_sequence": 2, "allow_decrease": true})).await, state(2, 2, 0));
    assert_eq!(put(json!({"last_sequence": 0, "allow_decrease": true})).await, state(0, 4, 0));
    assert_eq!(ben.last_read().await, state(0, 4, 0));
}

#[tokio::test]
async fn nothing_is_read_beyond_the_last_message() {
    let room = Server::shared().room().await;
    let ben = room.user("ben");
    let put = async |last_sequence: u64| {
        ben.put("last-read").json(&json!({"last_sequence": last_sequence})).send().await
    };
    put(1).await.refused(422, "SEQUENCE_OUT_OF_RANGE");
    put(0).await.expect(200);
    let sent = room.user("ana").send_many(2).await;
    put(3).await.refused(422, "SEQUENCE_OUT_OF_RANGE");
    put(9_007_199_254_740_993).await.refused(422, "SEQUENCE_OUT_OF_RANGE");
    // A deleted message was one.
    room.user("ana").erase(&sent[1]).await;
    put(2).await.expect(200);
    assert_eq!(ben.last_read().await, state(2, 0, 0));
}

#[tokio::test]
async fn deleted_messages_and_ones_own_are_not_unread() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let sent = ana.send_many(3).await;
    ben.send("mine").await;
    ana.erase(&sent[1]).await;
    assert_eq!(ben.last_read().await, state(0, 2, 0));
}

#[tokio::test]
async fn marks_that_race_end_at_the_highest() {
    let room = Server::shared().room().await;
    room.user("ana").send_many(12).await;
    let ben = room.user("ben");
    futures_util::future::join_all((1..=12).map(|sequence| ben.mark_read(sequence))).await;
    assert_eq!(ben.last_read().await, state(12, 0, 0));
}

#[tokio::test]
async fn counts_are_exact_up_to_1000() {
    let room = Server::shared().room().await;
    room.fill(999).await;
    let ben = room.user("ben");
    assert_eq!(ben.last_read().await, state(0, 999, 0));
    room.fill(3).await;
    assert_eq!(ben.last_read().await, state(0, 1000, 0));
    assert_eq!(ben.channel().await.unread_count, 1000);
    assert_eq!(ben.mark_read(1).await, state(1, 1000, 0));
    assert_eq!(ben.mark_read(3).await, state(3, 999, 0));
}

#[tokio::test]
async fn a_channel_shows_the_same() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    ana.send("1").await;
    ana.send("2 @user:ben").await;
    let last = ana.send("3").await;
    ben.mark_read(1).await;
    let channel = ben.channel().await;
    assert_eq!((channel.last_read_sequence, channel.unread_count, channel.mention_count), (1, 2, 1));
    assert_eq!((channel.last_sequence, channel.revision), (3, last.revision));
    let list: Value = ben.get("/api/channels").send().await.expect(200).json();
    let listed = list["channels"].as_array().unwrap().iter().find(|listed| listed["id"] == room.id.as_str());
    assert_eq!(listed, Some(&serde_json::to_value(channel).unwrap()));
}
