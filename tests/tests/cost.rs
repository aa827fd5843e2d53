//! What a request costs the database: counted by D1 itself, so that it can be held.

use std::collections::HashMap;

use edgewise_tests::{Answer, Server, User};
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
        assert!(cost.read <= 30 + 5 * mentions, "{cost:?}");
        // The same again writes nothing but, at most, the channel's own row.
        let cost = Cost::of(&ana.try_send(body).await.expect(200));
        assert!(cost.written <= 1, "{cost:?}");
    }
}

#[tokio::test]
async fn a_signature_costs_one_row_more_and_no_round_trip() {
    let room = Server::shared().room().await;
    let author = room.author().await;
    author.send("so that she is known").await;
    let signed = author.note("signed").payload(|payload| payload.nonce = "n".into()).sign();
    let cost = Cost::of(&author.try_post(&signed).await.expect(201));
    println!("a signed send: {cost:?}");
    assert_eq!(cost.batches, 1);
    // Five, and the index by which it is known again.
    assert!(cost.written <= 6 && cost.read <= 35, "{cost:?}");
    let again = author.try_post(&signed).await.expect(200);
    assert!(Cost::of(&again).written <= 1);
    let sent: edgewise_client::Message = again.json();
    let edit = author.correction(&sent.id, "edited").sign();
    let cost = Cost::of(&author.try_put(&sent.id, &edit).await.expect(200));
    println!("a signed edit: {cost:?}");
    assert!(cost.batches == 1 && cost.written <= 4 && cost.read <= 65, "{cost:?}");
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

/// What the commits cost together that brought these answers, and how many there were.
fn together(answers: &[Answer], status: u16) -> (u64, Cost) {
    let mut commits: HashMap<&str, Cost> = HashMap::new();
    for answer in answers {
        assert_eq!(answer.status, status, "{}", answer.text());
        let commit = answer.header("x-edgewise-commit");
        assert!(!commit.is_empty());
        commits.insert(commit, Cost::of(answer));
    }
    let sum = commits.values().fold(Cost::default(), |sum, cost| Cost {
        batches: sum.batches + cost.batches,
        read: sum.read + cost.read,
        written: sum.written + cost.written,
    });
    (commits.len() as u64, sum)
}

#[tokio::test]
async fn what_64_users_do_at_once_is_committed_together() {
    let room = Server::shared().room().await;
    let users: Vec<_> = (0..64).map(|number| room.user(&format!("sender{number}"))).collect();
    let send = async |nonce: &str| {
        let sends = users.iter().map(|user| user.try_send(json!({"content": "x", "nonce": nonce})));
        together(&join_all(sends).await, 201)
    };
    send("so that all are known").await;
    let (commits, cost) = send("counted").await;
    println!("64 sends: {commits} commits, {cost:?}");
    assert!(cost.batches == commits && commits <= 32, "{commits} commits, {cost:?}");
    // Four rows a message, one a commit.
    assert!(cost.written <= 4 * 64 + commits, "{cost:?}");
    assert!(cost.read <= 30 * 64, "{cost:?}");

    let target = room.owner.send("target").await;
    let reactions = join_all(users.iter().map(|user| user.try_react(&target, "👍"))).await;
    let (commits, cost) = together(&reactions, 201);
    println!("64 reactions: {commits} commits, {cost:?}");
    assert!(cost.batches == commits && commits <= 32, "{commits} commits, {cost:?}");
    // One row a reaction; the message with its index and the channel are written once a commit.
    assert!(cost.written <= 64 + 4 * commits, "{cost:?}");
}

#[tokio::test]
async fn other_requests_are_small_too_and_do_not_grow_with_the_channel() {
    let room = Server::shared().room().await;
    let ana = room.user("ana");
    ana.send("so that she is known").await;
    let early = costs(&ana).await;
    room.fill(300).await;
    let late = costs(&ana).await;
    // What each may read, and write.
    for (index, (what, read, written)) in [
        ("edit", 60, 4),
        ("react", 60, 5),
        ("read one", 15, 0),
        ("changes", 20, 0),
        ("unreact", 60, 5),
        ("mark as read", 60, 2),
        ("delete", 60, 5),
    ]
    .into_iter()
    .enumerate()
    {
        println!("{what}: {:?}, later {:?}", early[index], late[index]);
        assert!(late[index].read <= read && late[index].written <= written, "{what}: {:?}", late[index]);
        assert_eq!(late[index].written, early[index].written, "{what}");
        assert!(
            late[index].read <= early[index].read + 3,
            "{what}: {:?}, then {:?}",
            early[index],
            late[index]
        );
    }
}

/// What each kind of request costs on a new message.
async fn costs(user: &User) -> Vec<Cost> {
    let sent = user.send("target").await;
    let path = format!("messages/{}", sent.id);
    let reactions = format!("{path}/reactions");
    let mut costs = Vec::new();
    for call in [
        user.put(&path).json(&json!({"content": "edited"})),
        user.post(&reactions).json(&json!({"emoji": "x"})),
        user.get(&path),
        user.get(&format!("changes?since={}", sent.revision)),
        user.delete(&format!("{reactions}/x")),
        user.put("last-read").json(&json!({"last_sequence": sent.server_sequence})),
        user.delete(&path),
    ] {
        costs.push(Cost::of(&call.send().await));
    }
    costs
}
