//! What shares a hop to the channel's object: whoever hangs up, the others are answered.

use std::collections::HashMap;

use edgewise_tests::Server;
use futures_util::future::{Either, join, join_all, select, select_all};
use serde_json::json;

const ROUNDS: usize = 12;

#[tokio::test]
async fn those_who_hang_up_take_nobody_with_them() {
    let room = Server::shared().room().await;
    let send = |round: usize, number: usize| {
        let user = room.user(&format!("sender{number}"));
        async move {
            let content = format!("{round}-{number}");
            user.try_send(json!({"content": content, "nonce": content})).await.expect(201);
            content
        }
    };
    let draft = room.owner.send("a draft").await;
    let mut answered = Vec::new();
    for round in 0..ROUNDS {
        let staying = join_all((32..64).map(|number| send(round, number)));
        let leaving = join_all((0..32).map(|number| send(round, number)));
        // Each edit of one message is a commit of its own: while they go on, what comes behind them waits.
        let edits = (0..16).map(|edit| {
            let (owner, draft) = (&room.owner, &draft);
            async move { owner.edit(draft, &format!("draft {round}.{edit}")).await }
        });
        let first_edit = select_all(edits.map(Box::pin));
        // In the middle of that, those who are leaving close their connections.
        let left = async {
            match select(Box::pin(leaving), first_edit).await {
                Either::Left((answered, _)) => answered,
                Either::Right((_, leaving)) => {
                    drop(leaving);
                    Vec::new()
                }
            }
        };
        let (stayed, left) = join(staying, left).await;
        answered.extend(stayed.into_iter().chain(left));
    }
    assert!(answered.len() >= ROUNDS * 32);

    // What one of them still had under way comes before the answer to what is sent now.
    room.owner.send("the last").await;
    let messages = room.owner.whole_history().await;
    let mut sequences: Vec<u64> = messages.iter().map(|message| message.server_sequence).collect();
    sequences.sort_unstable();
    assert!(sequences.iter().copied().eq(1..=messages.len() as u64), "{sequences:?}");
    let mut stored = HashMap::new();
    for message in messages {
        *stored.entry(message.content).or_insert(0) += 1;
    }
    assert!(answered.iter().all(|content| stored.contains_key(content)), "what was answered is stored");
    assert!(stored.values().all(|times| *times == 1), "and everything once");
}

#[tokio::test]
async fn each_who_shares_a_hop_gets_an_answer_of_their_own() {
    let room = Server::shared().room().await;
    let mut answers = Vec::new();
    for number in 0..64 {
        let user = room.user(&format!("sender{number}"));
        answers.push(async move {
            // Every fourth is refused: by the object, or already by the rules of content.
            let body = match number % 8 {
                0 => json!({"content": "no such message", "reply_to_id": "01890a5d-ac96-774b-bcce-b302099a8057"}),
                4 => json!({"content": " "}),
                _ => json!({"content": format!("from sender{number}")}),
            };
            (number, user.try_send(body).await)
        });
    }
    for (number, answer) in join_all(answers).await {
        match number % 8 {
            0 => drop(answer.refused(422, "REPLY_TARGET_NOT_FOUND")),
            4 => drop(answer.refused(422, "CONTENT_EMPTY")),
            _ => {
                let message: edgewise_client::Message = answer.expect(201).json();
                assert_eq!(message.sender_id, format!("sender{number}"));
                assert_eq!(message.content, format!("from sender{number}"));
            }
        }
    }
}
