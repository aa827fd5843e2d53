//! What a request costs the database: counted by D1 itself, so that it can be held.

use std::collections::HashMap;

use edgewise_tests::{Answer, Server};
use futures_util::future::join_all;
use serde_json::json;

/// What an answer says that it cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Cost {
    batches: u64,
    read: u64,
    written: u64,
}

impl Cost {
    fn of(answer: &Answer) -> Self {
        let header = answer.header("x-edgewise-cost");
        let part = |name: &str| {
            let value = header.split(';').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
            value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {header:?}"))
        };
        Self { batches: part("batches"), read: part("rows_read"), written: part("rows_written") }
    }
}

#[tokio::test]
async fn a_send_writes_5_rows_and_one_a_mention() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    ana.send("so that she is known").await;
    for (mentions, content) in [(0, "hi"), (3, "@user:ben @user:carla @role:crew"), (0, "again")] {
        let body = json!({"content": content, "nonce": content});
        let cost = Cost::of(&ana.try_send(body.clone()).await.expect(201));
        println!("a send with {mentions} mentions: {cost:?}");
        assert_eq!(cost.batches, 1);
        assert!(cost.written <= 5 + mentions, "{cost:?}");
        assert!(cost.read <= 25 + mentions, "{cost:?}");
        // The same again writes nothing but, at most, the channel's own row.
        let cost = Cost::of(&ana.try_send(body).await.expect(200));
        assert!(cost.written <= 1, "{cost:?}");
    }
}

#[tokio::test]
async fn a_send_costs_the_same_in_a_long_channel() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    let send = async |content: &str| {
        Cost::of(&ana.try_send(json!({"content": content, "nonce": content})).await.expect(201))
    };
    send("so that she is known").await;
    let early = send("early").await;
    room.fill(300).await;
    assert_eq!(send("late").await, early);
}

#[tokio::test]
async fn a_page_of_50_reads_60_rows_and_its_reactions() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    room.fill(300).await;
    for query in ["", "before=200", "after=100", "around=150"] {
        let cost = Cost::of(&ana.get(&format!("messages?{query}")).send().await.expect(200));
        println!("a page of history ({query}): {cost:?}");
        assert_eq!((cost.batches, cost.written), (1, 0));
        assert!(cost.read <= 60, "{query}: {cost:?}");
    }
    let newest = ana.history("").await.messages;
    for message in &newest[..5] {
        for id in ["ana", "ben"] {
            room.user(id).react(message, "👍").await;
        }
    }
    let cost = Cost::of(&ana.get("messages").send().await.expect(200));
    assert!(cost.read <= 60 + 10, "{cost:?}");
}

#[tokio::test]
async fn what_64_senders_send_at_once_is_committed_together() {
    let room = Server::shared().room().await;
    let users: Vec<_> = (0..64).map(|number| room.user(&format!("sender{number}"))).collect();
    let round = async |round: &str| {
        let sends = users.iter().map(|user| user.try_send(json!({"content": "x", "nonce": round})));
        let answers = join_all(sends).await;
        let commits: HashMap<String, Cost> = answers
            .iter()
            .map(|answer| {
                assert_eq!(answer.status, 201, "{}", answer.text());
                (answer.header("x-edgewise-commit").to_owned(), Cost::of(answer))
            })
            .collect();
        assert!(!commits.contains_key(""));
        commits
    };
    round("so that all are known").await;
    let commits = round("counted").await;
    let count = commits.len() as u64;
    let (batches, read, written) = commits
        .values()
        .fold((0, 0, 0), |(b, r, w), cost| (b + cost.batches, r + cost.read, w + cost.written));
    println!("64 sends: {count} commits, {batches} batches, {read} rows read, {written} written");
    assert_eq!(batches, count);
    assert!(count <= 32, "{count} commits for 64 sends");
    // Four rows a message, one a commit.
    assert!(written <= 4 * 64 + count, "{written} rows written");
    assert!(read <= 25 * 64, "{read} rows read");
}

#[tokio::test]
async fn other_requests_are_small_too() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    room.fill(100).await;
    let sent = ana.send("target").await;
    let path = format!("messages/{}", sent.id);
    let reactions = format!("{path}/reactions");
    // What each may read, and write.
    for (what, call, read, written) in [
        ("edit", ana.put(&path).json(&json!({"content": "edited"})), 25, 4),
        ("react", ana.post(&reactions).json(&json!({"emoji": "x"})), 30, 5),
        ("read one", ana.get(&path), 15, 0),
        ("changes", ana.get(&format!("changes?since={}", sent.revision)), 20, 0),
        ("unreact", ana.delete(&format!("{reactions}/x")), 30, 5),
        ("mark as read", ana.put("last-read").json(&json!({"last_sequence": 101})), 30, 2),
        ("delete", ana.delete(&path), 30, 5),
    ] {
        let cost = Cost::of(&call.send().await);
        println!("{what}: {cost:?}");
        assert!(cost.read <= read && cost.written <= written, "{what}: {cost:?}");
    }
}
