//! A conversation to be replayed, as JSON lines: one operation a line, in the order in which they happened.
//!
//! ```json
//! {"op": "send", "key": "m1", "as": "ana", "content": "Is anyone awake?"}
//! {"op": "send", "key": "m2", "as": "ben", "content": "Barely.", "reply_to": "m1"}
//! {"op": "edit", "key": "m2", "content": "Barely. Coffee first."}
//! {"op": "react", "key": "m1", "as": "ben", "emoji": "☕"}
//! {"op": "unreact", "key": "m1", "as": "ben", "emoji": "☕"}
//! {"op": "delete", "key": "m2"}
//! ```
//!
//! `key` is the conversation's own name for a message, `as` who speaks. A message is edited and deleted by who sent
//! it; a deletion may name another. Fields that are not listed here are refused, so that a slip of the pen does not
//! pass for an option, and so is an operation on a message that is not there.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

use serde::Deserialize;

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Op {
    Send {
        key: String,
        #[serde(rename = "as")]
        speaker: String,
        content: String,
        reply_to: Option<String>,
    },
    Edit {
        key: String,
        content: String,
    },
    Delete {
        key: String,
        #[serde(rename = "as")]
        speaker: Option<String>,
    },
    React {
        key: String,
        #[serde(rename = "as")]
        speaker: String,
        emoji: String,
    },
    Unreact {
        key: String,
        #[serde(rename = "as")]
        speaker: String,
        emoji: String,
    },
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    line: usize,
    what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// Reads a conversation and sees that it makes sense from beginning to end, so that it does not break off midway.
pub(crate) fn parse(text: &str) -> Result<Vec<Op>, Fault> {
    let mut ops = Vec::new();
    let mut messages: HashMap<String, Live> = HashMap::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let fault = |what: String| Fault { line: index + 1, what };
        let op: Op = serde_json::from_str(line).map_err(|error| fault(reason(&error)))?;
        check(&op, &mut messages).map_err(fault)?;
        ops.push(op);
    }
    Ok(ops)
}

/// A message that is there at some point, with its reactions: `None` once it is deleted.
type Live = Option<BTreeSet<(String, String)>>;

fn check(op: &Op, messages: &mut HashMap<String, Live>) -> Result<(), String> {
    if let Op::Send { key, reply_to, .. } = op {
        if let Some(target) = reply_to {
            live(messages, target)?;
        }
        return match messages.insert(key.clone(), Some(BTreeSet::new())) {
            None => Ok(()),
            Some(_) => Err(format!("there is a message {key} already")),
        };
    }
    match op {
        Op::Send { .. } => {}
        Op::Edit { key, .. } => drop(live(messages, key)?),
        Op::Delete { key, .. } => {
            live(messages, key)?;
            messages.insert(key.clone(), None);
        }
        Op::React { key, speaker, emoji } => {
            if !live(messages, key)?.insert((speaker.clone(), emoji.clone())) {
                return Err(format!("{speaker} has reacted to {key} with {emoji} already"));
            }
        }
        Op::Unreact { key, speaker, emoji } => {
            if !live(messages, key)?.remove(&(speaker.clone(), emoji.clone())) {
                return Err(format!("{speaker} has not reacted to {key} with {emoji}"));
            }
        }
    }
    Ok(())
}

fn live<'a>(
    messages: &'a mut HashMap<String, Live>,
    key: &str,
) -> Result<&'a mut BTreeSet<(String, String)>, String> {
    match messages.get_mut(key) {
        Some(Some(reactions)) => Ok(reactions),
        Some(None) => Err(format!("the message {key} is deleted by then")),
        None => Err(format!("there is no message {key} yet")),
    }
}

/// serde's reason without its own count of lines.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(reason, _)| reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    const HELLO: &str = r#"{"op":"send","key":"m1","as":"ana","content":"hello"}"#;

    #[test]
    fn a_conversation_is_read_in_order() {
        let text = format!(
            "{HELLO}\n\n{}\n{}\n",
            r#"{"op":"react","key":"m1","as":"ben","emoji":"👋"}"#, r#"{"op":"delete","key":"m1"}"#
        );
        let ops = parse(&text).unwrap();
        assert_eq!(ops.len(), 3);
        assert_eq!(ops[2], Op::Delete { key: "m1".into(), speaker: None });
    }

    #[test]
    fn what_makes_no_sense_is_told_by_line() {
        let with = |line: &str| format!("{HELLO}\n{line}");
        assert!(fault("nonsense").starts_with("line 1: expected"));
        assert_eq!(fault(&with(HELLO)), "line 2: there is a message m1 already");
        let edit = r#"{"op":"edit","key":"m2","content":"x"}"#;
        assert_eq!(fault(&with(edit)), "line 2: there is no message m2 yet");
        let delete = r#"{"op":"delete","key":"m1"}"#;
        assert_eq!(fault(&with(&format!("{delete}\n{delete}"))), "line 3: the message m1 is deleted by then");
        let unreact = r#"{"op":"unreact","key":"m1","as":"ben","emoji":"👋"}"#;
        assert_eq!(fault(&with(unreact)), "line 2: ben has not reacted to m1 with 👋");
        let slip = r#"{"op":"send","key":"m2","as":"ana","content":"x","replyto":"m1"}"#;
        assert!(fault(&with(slip)).starts_with("line 2: unknown field `replyto`"));
    }

    /// The conversation of the tests: large, in many languages, and without a fault.
    #[test]
    fn the_conversation_of_the_tests_is_sound() {
        let ops = parse(include_str!("../../../tests/data/conversation.jsonl")).unwrap();
        let sends = ops.iter().filter(|op| matches!(op, Op::Send { .. })).count();
        assert!(ops.len() >= 300 && sends >= 250, "{} operations, {sends} messages", ops.len());
        for op in &ops {
            if let Op::Send { content, key, .. } | Op::Edit { content, key } = op {
                let length = content.trim().chars().count();
                assert!(
                    (1..=4000).contains(&length) && content.trim() == content,
                    "{key}: {length} characters"
                );
            }
        }
    }
}
