//! The conversation in `tests/data`, sent through the running server: what history and whoever listens see is what went
//! in.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
};

use edgewise_client::Message;
use edgewise_core::proto::envelope::Payload;
use edgewise_tests::{
    Room, Server, Store,
    command::{edgewise, run},
};
use serde::Deserialize;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/conversation.jsonl");

/// A line of the file.
#[derive(Debug, Deserialize)]
struct Line {
    op: String,
    key: String,
    #[serde(rename = "as")]
    speaker: Option<String>,
    content: Option<String>,
    reply_to: Option<String>,
    emoji: Option<String>,
}

/// What a message is in the end.
#[derive(Debug, Default)]
struct Expected {
    key: String,
    sender: String,
    content: String,
    reply_to: Option<String>,
    edited: bool,
    deleted: bool,
    reactions: BTreeMap<String, BTreeSet<String>>,
}

fn conversation() -> Vec<Line> {
    let text = fs::read_to_string(FILE).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What the conversation comes to, in the order of sending.
fn outcome(lines: &[Line]) -> Vec<Expected> {
    let mut messages: Vec<Expected> = Vec::new();
    for line in lines {
        let speaker = line.speaker.clone().unwrap_or_default();
        let content = line.content.clone().unwrap_or_default();
        if line.op == "send" {
            let (key, reply_to) = (line.key.clone(), line.reply_to.clone());
            messages.push(Expected { key, sender: speaker, content, reply_to, ..Expected::default() });
            continue;
        }
        let message = messages.iter_mut().find(|message| message.key == line.key).unwrap();
        let emoji = line.emoji.clone().unwrap_or_default();
        match line.op.as_str() {
            "edit" => (message.content, message.edited) = (content, true),
            "delete" => message.deleted = true,
            "react" => assert!(message.reactions.entry(emoji).or_default().insert(speaker)),
            "unreact" => assert!(message.reactions.get_mut(&emoji).unwrap().remove(&speaker)),
            other => panic!("{other} is no operation"),
        }
        message.reactions.retain(|_, users| !users.is_empty());
    }
    messages
}

/// A file of tokens for everyone who speaks.
fn tokens(room: &Room<'_>, lines: &[Line]) -> String {
    let speakers: BTreeSet<&str> = lines.iter().filter_map(|line| line.speaker.as_deref()).collect();
    let tokens: HashMap<&str, String> =
        speakers.into_iter().map(|speaker| (speaker, room.user(speaker).token().to_owned())).collect();
    let path = room.scratch(&format!("tokens-{}.json", room.id));
    fs::write(&path, serde_json::to_string(&tokens).unwrap()).unwrap();
    path.to_string_lossy().into_owned()
}

/// Expects of the channel's history what the conversation comes to.
async fn assert_history(room: &Room<'_>, expected: &[Expected]) {
    let history = room.owner.whole_history().await;
    let ids: HashMap<u64, &str> =
        history.iter().map(|message| (message.server_sequence, message.id.as_str())).collect();
    let sequence = |key: &str| expected.iter().position(|e| e.key == key).unwrap() as u64 + 1;
    let live: Vec<&Expected> = expected.iter().filter(|message| !message.deleted).collect();
    assert_eq!(history.len(), live.len());
    for (message, expected) in history.iter().zip(live) {
        assert_eq!(message.server_sequence, sequence(&expected.key));
        assert_eq!((&message.content, &message.sender_id), (&expected.content, &expected.sender));
        assert_eq!((message.edited, reactions(message)), (expected.edited, expected.reactions.clone()));
        match &expected.reply_to {
            None => assert_eq!(message.reply_to_id, None),
            Some(key) => {
                let target = message.reply_to_id.as_deref().unwrap();
                assert!(ids.get(&sequence(key)).is_none_or(|id| *id == target), "{key}");
            }
        }
    }
}

fn reactions(message: &Message) -> BTreeMap<String, BTreeSet<String>> {
    let summaries = message.reactions.iter();
    summaries
        .map(|summary| {
            let users: BTreeSet<String> = summary.user_ids.iter().cloned().collect();
            assert_eq!(users.len(), summary.count as usize);
            (summary.emoji.clone(), users)
        })
        .collect()
}

#[tokio::test]
async fn what_history_and_a_listener_see_is_what_went_in() {
    let room = Server::shared().room().await;
    let lines = conversation();
    let mut socket = room.user("listener").connect().await;
    let tokens = tokens(&room, &lines);
    let replay = ["replay", &room.id, FILE, "--tokens", &tokens];
    run(&room.owner, &replay).await;
    assert_history(&room, &outcome(&lines)).await;

    // Each operation was heard once, in its place.
    let (mut keys, mut store) = (HashMap::new(), Store::default());
    for line in &lines {
        let (revision, change) = socket.change().await;
        let told = told(&change, &mut keys, &line.key);
        assert_eq!(told, asked(line, &keys), "{}: {}", line.op, line.key);
        store.apply(revision, change);
    }
    assert_eq!(store.view(), Store::fresh(&room.user("reader")).await.view());

    // The same again changes nothing.
    let revision = room.owner.channel().await.revision;
    run(&room.owner, &replay).await;
    assert_eq!(room.owner.channel().await.last_sequence, outcome(&lines).len() as u64);
    assert_history(&room, &outcome(&lines)).await;
    assert!(
        room.owner.changes(revision).await.messages.len() <= 1,
        "only what came after the last message is repeated"
    );
}

/// An operation in words, as the file has it; who deletes is the sender, where nobody is named.
fn asked(line: &Line, senders: &HashMap<String, (String, String)>) -> String {
    let sender = senders.get(&line.key).map(|(_, sender)| sender.clone());
    let who = line.speaker.clone().or(sender).unwrap_or_default();
    match line.op.as_str() {
        "send" => format!("{who} sends {}", line.content.as_deref().unwrap_or_default()),
        "edit" => format!("edited to {}", line.content.as_deref().unwrap_or_default()),
        "delete" => format!("{who} deletes"),
        "react" => format!("{who} reacts {}", line.emoji.as_deref().unwrap_or_default()),
        _ => format!("{who} takes back {}", line.emoji.as_deref().unwrap_or_default()),
    }
}

/// The same of what was heard. `senders` learns of each key the message's id and its sender.
fn told(change: &Payload, senders: &mut HashMap<String, (String, String)>, key: &str) -> String {
    let is = |id: &str, senders: &HashMap<String, (String, String)>| assert_eq!(senders[key].0, id, "{key}");
    match change {
        Payload::NewMessageEvent(event) => {
            let message = event.message.as_ref().unwrap();
            senders.insert(key.to_owned(), (message.id.clone(), message.sender_id.clone()));
            format!("{} sends {}", message.sender_id, message.content)
        }
        Payload::MessageEditedEvent(event) => {
            is(&event.message_id, senders);
            format!("edited to {}", event.new_content)
        }
        Payload::MessageDeletedEvent(event) => {
            is(&event.message_id, senders);
            format!("{} deletes", event.deleted_by)
        }
        Payload::ReactionAddedEvent(event) => {
            let reaction = event.reaction.as_ref().unwrap();
            is(&reaction.message_id, senders);
            format!("{} reacts {}", reaction.user_id, reaction.emoji)
        }
        Payload::ReactionRemovedEvent(event) => {
            is(&event.message_id, senders);
            format!("{} takes back {}", event.user_id, event.emoji)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_replay_that_breaks_off_goes_on_where_it_was() {
    let room = Server::shared().room().await;
    let lines = conversation();
    let tokens = tokens(&room, &lines);
    let replay = ["replay", &room.id, FILE, "--tokens", &tokens];
    let mut socket = room.user("listener").connect().await;
    for heard in [70, 150] {
        let mut child = edgewise(&room.owner, &replay).spawn().unwrap();
        for _ in 0..heard {
            socket.change().await;
        }
        child.kill().await.unwrap();
    }
    run(&room.owner, &replay).await;
    assert_history(&room, &outcome(&lines)).await;
}
