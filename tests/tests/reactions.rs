//! Reactions: added, counted, listed, taken back.

use edgewise_core::proto::envelope::Payload;
use edgewise_tests::Server;
use futures_util::future::join_all;
use serde_json::{Value, json};

#[tokio::test]
async fn a_reaction_is_answered_with_its_summary() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let sent = ana.send("hi").await;
    let summary = ana.react(&sent, "👍").await;
    assert_eq!(summary, json!({"emoji": "👍", "count": 1, "me": true, "user_ids": ["ana"]}));
    let again: Value = ana.try_react(&sent, "👍").await.expect(200).json();
    assert_eq!(again, summary);
    let both = ben.react(&sent, "👍").await;
    assert_eq!(both, json!({"emoji": "👍", "count": 2, "me": true, "user_ids": ["ana", "ben"]}));
    ben.unreact(&sent, "👍").await;
    assert_eq!(ana.read(&sent).await.reactions.len(), 1);
}

#[tokio::test]
async fn summaries_come_most_counted_first_then_by_the_earliest_reaction() {
    let room = Server::shared().room().await;
    let [ana, ben, carla] = ["ana", "ben", "carla"].map(|id| room.user(id));
    let sent = ana.send("hi").await;
    for (user, emoji) in
        [(&ana, "1"), (&ana, "2"), (&ben, "3"), (&carla, "3"), (&ben, "4"), (&ana, "4"), (&ben, "5")]
    {
        user.react(&sent, emoji).await;
    }
    // The earliest of 1 is gone, so 2 comes before it.
    carla.react(&sent, "1").await;
    ana.unreact(&sent, "1").await;
    let answer: Value = ana.get(&format!("messages/{}/reactions", sent.id)).send().await.expect(200).json();
    assert_eq!(
        answer,
        json!({"reactions": [
            {"emoji": "3", "count": 2, "me": false, "user_ids": ["ben", "carla"]},
            {"emoji": "4", "count": 2, "me": true, "user_ids": ["ben", "ana"]},
            {"emoji": "2", "count": 1, "me": true, "user_ids": ["ana"]},
            {"emoji": "5", "count": 1, "me": false, "user_ids": ["ben"]},
            {"emoji": "1", "count": 1, "me": false, "user_ids": ["carla"]},
        ]})
    );
}

#[tokio::test]
async fn a_reaction_is_taken_back_once() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let sent = ana.send("hi").await;
    ana.react(&sent, "👍").await;
    ben.try_unreact(&sent, "👍").await.refused(404, "REACTION_NOT_FOUND");
    ana.try_unreact(&sent, "👎").await.refused(404, "REACTION_NOT_FOUND");
    ana.unreact(&sent, "👍").await;
    ana.try_unreact(&sent, "👍").await.refused(404, "REACTION_NOT_FOUND");
    assert_eq!(ana.read(&sent).await.reactions, []);
    ana.react(&sent, "👍").await;
}

#[tokio::test]
async fn any_short_text_is_an_emoji() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let sent = ana.send("hi").await;
    let family = "👩‍👩‍👧‍👦";
    for emoji in
        ["❤️", family, "🇨🇭", "👍🏽", "a/b", "50%", "%41", "?", "#", "&", "+1", ":thumbs_up:", "ü", "..."]
    {
        assert_eq!(ana.react(&sent, emoji).await["emoji"], emoji);
        let path = format!("messages/{}/reactions/{}", sent.id, encode(emoji));
        let who: Value = ana.get(&path).send().await.expect(200).json();
        assert_eq!(who["users"][0]["user_id"], "ana", "{emoji}");
        ana.unreact(&sent, emoji).await;
    }
    assert_eq!(ana.react(&sent, &"x".repeat(64)).await["count"], 1);
}

#[tokio::test]
async fn what_is_no_emoji_is_refused() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let sent = ana.send("hi").await;
    let long = "x".repeat(65);
    let longer_in_bytes = "👍".repeat(17);
    for emoji in
        ["", " ", "a b", "👍 ", "\n", "a\u{0}", "\u{7f}", "\u{a0}", ".", "..", &long, &longer_in_bytes]
    {
        ana.try_react(&sent, emoji).await.refused(422, "EMOJI_INVALID");
    }
    assert_eq!(ana.read(&sent).await, sent);
}

#[tokio::test]
async fn a_message_has_20_different_emoji() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let sent = ana.send("hi").await;
    for number in 1..=20 {
        ana.react(&sent, &format!("e{number}")).await;
    }
    for user in [&ana, &ben] {
        user.try_react(&sent, "e21").await.refused(422, "TOO_MANY_REACTIONS");
    }
    ben.react(&sent, "e20").await;
    ana.try_react(&sent, "e20").await.expect(200);
    ana.unreact(&sent, "e1").await;
    ana.react(&sent, "e21").await;
    assert_eq!(ana.read(&sent).await.reactions.len(), 20);
}

#[tokio::test]
async fn a_summary_names_the_first_20_and_counts_all() {
    let room = Server::shared().room().await;
    let sent = room.owner.send("hi").await;
    // By id they would come the other way round.
    let users: Vec<_> = (0..25).rev().map(|number| room.user(&format!("fan{number:02}"))).collect();
    for user in &users {
        user.react(&sent, "👍").await;
    }
    let first: Vec<&str> = users[..20].iter().map(|user| user.id.as_str()).collect();
    for (reader, me) in [(&users[24], true), (&users[0], true), (&room.owner, false)] {
        let answer: Value =
            reader.get(&format!("messages/{}/reactions", sent.id)).send().await.expect(200).json();
        assert_eq!(answer["reactions"], json!([{"emoji": "👍", "count": 25, "me": me, "user_ids": first}]));
    }
}

#[tokio::test]
async fn who_reacted_is_listed_by_user_id() {
    let room = Server::shared().room().await;
    let sent = room.owner.send("hi").await;
    for id in ["dora", "ben", "emil", "ana", "carla"] {
        room.user(id).react(&sent, "👍").await;
    }
    let ana = room.user("ana");
    let page = async |query: &str| -> (Vec<String>, bool) {
        let path = format!("messages/{}/reactions/%F0%9F%91%8D?{query}", sent.id);
        let page: Value = ana.get(&path).send().await.expect(200).json();
        let users = page["users"].as_array().unwrap().iter();
        (users.map(|user| user["user_id"].as_str().unwrap().to_owned()).collect(), page["has_more"] == true)
    };
    let named = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(page("").await, (named(&["ana", "ben", "carla", "dora", "emil"]), false));
    assert_eq!(page("limit=2").await, (named(&["ana", "ben"]), true));
    assert_eq!(page("limit=2&after=ben").await, (named(&["carla", "dora"]), true));
    assert_eq!(page("limit=2&after=dora").await, (named(&["emil"]), false));
    assert_eq!(page("after=zoe").await, (vec![], false));

    let path = format!("messages/{}/reactions/%F0%9F%91%8D", sent.id);
    let first: Value = ana.get(&path).send().await.expect(200).json();
    let user = &first["users"][0];
    let timestamp = user["timestamp"].as_u64().unwrap();
    assert_eq!(user, &json!({"user_id": "ana", "display_name": "Ana", "timestamp": timestamp}));
    assert!(timestamp >= sent.timestamp);
    for query in ["limit=0", "limit=101", "limit=x"] {
        ana.get(&format!("{path}?{query}")).send().await.refused(400, "QUERY_INVALID");
    }
}

#[tokio::test]
async fn nothing_reacts_to_what_is_not_there() {
    let server = Server::shared();
    let (room, elsewhere) = (server.room().await, server.room().await);
    let ana = room.user("ana");
    let gone = ana.send("gone").await;
    ana.react(&gone, "👍").await;
    ana.erase(&gone).await;
    let foreign = elsewhere.user("ana").send("elsewhere").await;
    let unknown = uuid::Uuid::now_v7().to_string();
    for (id, status, code) in [
        (gone.id.as_str(), 404, "MESSAGE_NOT_FOUND"),
        (&foreign.id, 404, "MESSAGE_NOT_FOUND"),
        (&unknown, 404, "MESSAGE_NOT_FOUND"),
        ("x", 400, "ID_INVALID"),
    ] {
        let path = format!("messages/{id}/reactions");
        let one = format!("{path}/x");
        ana.post(&path).json(&json!({"emoji": "x"})).send().await.refused(status, code);
        ana.get(&path).send().await.refused(status, code);
        ana.get(&one).send().await.refused(status, code);
        ana.delete(&one).send().await.refused(status, code);
    }
}

#[tokio::test]
async fn reactions_that_race_count_once() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let sent = ana.send("hi").await;
    let answers = join_all((0..12).map(|_| ana.try_react(&sent, "👍"))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers {
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        assert_eq!(answer.json::<Value>()["count"], 1);
    }
    let answers = join_all((0..12).map(|_| ana.try_unreact(&sent, "👍"))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 204).count(), 1);
    assert_eq!(ana.read(&sent).await.reactions, []);
}

#[tokio::test]
async fn a_reaction_that_changes_nothing_is_not_broadcast() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let sent = ana.send("hi").await;
    let mut socket = ben.connect().await;
    ana.react(&sent, "👍").await;
    ana.try_react(&sent, "👍").await.expect(200);
    ana.try_unreact(&sent, "👎").await.refused(404, "REACTION_NOT_FOUND");
    let end = ana.send("end").await;
    let changes = socket.changes_until(&end.id).await;
    assert!(matches!(changes.as_slice(), [(_, Payload::ReactionAddedEvent(_))]), "{changes:?}");
}

#[tokio::test]
async fn a_reaction_that_races_with_a_deletion_leaves_nothing() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    for round in 0..8 {
        let sent = ana.send("hi").await;
        let ((), answer) = tokio::join!(ana.erase(&sent), ben.try_react(&sent, "👍"));
        assert!(matches!(answer.status, 201 | 404), "{}", answer.text());
        let left = room.sql("SELECT * FROM reactions WHERE channel_id = ?", json!([room.id])).await;
        assert_eq!(left, Vec::<Value>::new(), "round {round}");
    }
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
