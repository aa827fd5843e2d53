//! What changed after a revision.

use edgewise_client::{Changes, Message};
use edgewise_tests::Server;
use serde_json::{Value, json};

fn ids(changes: &Changes) -> Vec<&str> {
    changes.messages.iter().map(|message| message.id.as_str()).collect()
}

#[tokio::test]
async fn present_states_come_in_the_order_of_their_last_change() {
    let room = Server::shared().room().await;
    let (ana, ben) = (room.user("ana"), room.user("ben"));
    let sent = ana.send_many(5).await;
    let start = ana.changes(0).await;
    assert_eq!(start.messages, sent);
    assert_eq!((start.revision, start.has_more), (sent[4].revision, false));

    ana.edit(&sent[3], "edited").await;
    ana.erase(&sent[1]).await;
    ben.react(&sent[0], "👍").await;
    ben.react(&sent[4], "👍").await;
    ben.unreact(&sent[4], "👍").await;
    let changes = ana.changes(start.revision).await;
    assert_eq!(ids(&changes), [&sent[3].id, &sent[1].id, &sent[0].id, &sent[4].id]);
    assert!(changes.messages.is_sorted_by(|a, b| a.revision < b.revision));
    assert_eq!(changes.messages[0], ana.read(&sent[3]).await);
    assert_eq!(changes.messages[2], ana.read(&sent[0]).await);
    assert_eq!(changes.messages[3], Message { revision: changes.revision, ..sent[4].clone() });
    assert_eq!(changes.revision, ana.channel().await.revision);

    let all = ana.changes(0).await;
    assert_eq!(ids(&all), [&sent[2].id, &sent[3].id, &sent[1].id, &sent[0].id, &sent[4].id]);
}

#[tokio::test]
async fn deleted_messages_come_as_tombstones() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let sent = ana.send("secret @user:ben @role:crew").await;
    ana.react(&sent, "👍").await;
    ana.erase(&sent).await;
    let changes: Value = ana.get("changes?since=0").send().await.expect(200).json();
    let tombstone = &changes["messages"][0];
    let expected = json!({
        "id": sent.id, "server_sequence": 1, "channel_id": room.id, "sender_id": "ana", "deleted": true,
        "content": "", "reactions": [], "mention_user_ids": [], "mention_role_ids": [], "envelope": null,
        "revision": changes["revision"],
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&tombstone[field], value, "{field}");
    }
}

#[tokio::test]
async fn pages_go_on_from_their_revision() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let sent = ana.send_many(7).await;
    ana.edit(&sent[0], "edited").await;
    let (mut seen, mut since) = (Vec::new(), 0);
    for expected in [3, 3, 1] {
        let page: Changes =
            ana.get(&format!("changes?since={since}&limit=3")).send().await.expect(200).json();
        assert_eq!(page.messages.len(), expected);
        assert_eq!(page.has_more, expected == 3);
        assert!(page.revision >= page.messages.last().unwrap().revision);
        since = page.revision;
        seen.extend(page.messages.into_iter().map(|message| message.server_sequence));
    }
    assert_eq!(seen, [2, 3, 4, 5, 6, 7, 1]);
    assert_eq!(since, ana.channel().await.revision);
}

#[tokio::test]
async fn a_page_has_100_unless_told_otherwise() {
    let room = Server::shared().room().await;
    room.fill(201).await;
    let ana = room.user("ana");
    let page = ana.changes(0).await;
    assert_eq!((page.messages.len(), page.has_more), (100, true));
    let page: Changes = ana.get("changes?since=0&limit=200").send().await.expect(200).json();
    assert_eq!((page.messages.len(), page.has_more), (200, true));
    let rest = ana.changes(page.revision).await;
    assert_eq!((rest.messages.len(), rest.has_more), (1, false));
}

#[tokio::test]
async fn nothing_comes_from_beyond_the_end() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let empty = ana.changes(0).await;
    assert_eq!((empty.messages.len(), empty.revision, empty.has_more), (0, 0, false));
    let sent = ana.send("only").await;
    for since in [sent.revision, sent.revision + 1, 1_000_000, 9_007_199_254_740_993] {
        let page = ana.changes(since).await;
        assert_eq!((page.messages.len(), page.revision, page.has_more), (0, sent.revision, false), "{since}");
    }
}

#[tokio::test]
async fn queries_that_make_no_sense_are_refused() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    for query in [
        "since=x",
        "since=-1",
        "since=1.5",
        "since=0&limit=0",
        "since=0&limit=201",
        "since=0&limit=x",
        "since=",
    ] {
        ana.get(&format!("changes?{query}")).send().await.refused(400, "QUERY_INVALID");
    }
}
