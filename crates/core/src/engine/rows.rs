//! The commands of a commit as its statements take them: a list of rows for each kind, as JSON.

use std::collections::HashMap;

use serde::{Serialize, Serializer};

use super::{
    command::{Command, Edit},
    commit::Operation,
};
use crate::{
    access::Caller,
    envelope::Seal,
    ids::{MessageId, Nonce, Sequence, Timestamp, UserId},
    mentions::Mentions,
    signature::PublicKey,
};

/// One command. What its kind does not have is left out, and the statements find NULL there.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Row<'a> {
    /// The place in the commit.
    k: usize,
    /// The user.
    u: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    t: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<MessageId>,
    /// Under which it is on record.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<MessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    users: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    targets: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    emoji: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<Sequence>,
    #[serde(skip_serializing_if = "Option::is_none")]
    back: Option<u8>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    seal: Option<Proof<'a>>,
}

/// What a signed command is proven by.
#[derive(Debug, Clone, Serialize)]
struct Proof<'a> {
    #[serde(serialize_with = "key")]
    author: &'a PublicKey,
    seal: &'a str,
    sealed_at: Timestamp,
    #[serde(serialize_with = "hex::serialize")]
    signature: &'a [u8],
    #[serde(serialize_with = "hex::serialize")]
    envelope: &'a [u8],
}

fn key<S: Serializer>(key: &PublicKey, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(key)
}

impl<'a> Proof<'a> {
    fn of(seal: &'a Seal) -> Self {
        Self {
            author: &seal.author,
            seal: &seal.digest,
            sealed_at: seal.timestamp,
            signature: &seal.signature,
            envelope: &seal.envelope,
        }
    }
}

/// The commands of a commit, by kind.
#[derive(Default)]
pub(super) struct Lists<'a> {
    pub(super) sends: Vec<Row<'a>>,
    pub(super) mentions: Vec<Row<'a>>,
    pub(super) edits: Vec<Row<'a>>,
    /// Those of them that mention someone.
    pub(super) edit_mentions: Vec<Row<'a>>,
    pub(super) deletes: Vec<Row<'a>>,
    pub(super) reacts: Vec<Row<'a>>,
    pub(super) unreacts: Vec<Row<'a>>,
    pub(super) reads: Vec<Row<'a>>,
    pub(super) erasures: Vec<Row<'a>>,
    pub(super) reaction_erasures: Vec<Row<'a>>,
    /// All that name a message which was there before.
    pub(super) touched: Vec<Row<'a>>,
    pub(super) touched_ids: Vec<String>,
}

impl<'a> Lists<'a> {
    pub(super) fn of(operations: &'a [Operation]) -> Self {
        let mut lists = Self::default();
        for (k, operation) in operations.iter().enumerate() {
            lists.add(k, operation);
        }
        lists.touched_ids.sort_unstable();
        lists.touched_ids.dedup();
        lists
    }

    fn add(&mut self, k: usize, operation: &'a Operation) {
        let row = Row { k, u: operation.caller.user_id.as_str(), ..Row::default() };
        let t = Some(operation.timestamp);
        match &operation.command {
            Command::Send(send) => {
                let id = Some(operation.message_id);
                let targets = targets(&send.mentions);
                if !targets.is_empty() {
                    self.mentions.push(Row { id, targets, ..row.clone() });
                }
                self.sends.push(Row {
                    t,
                    id,
                    content: Some(send.content.as_str()),
                    reply: send.reply_to,
                    nonce: send.nonce.as_ref().map(Nonce::as_str),
                    digest: Some(&send.digest),
                    users: Some(&send.mentions.users),
                    roles: Some(&send.mentions.roles),
                    seal: send.seal.as_deref().map(Proof::of),
                    ..row
                });
            }
            Command::Edit(Edit { message, content, mentions, seal }) => {
                let edit = Row {
                    t,
                    id: Some(*message),
                    content: Some(content.as_str()),
                    users: Some(&mentions.users),
                    roles: Some(&mentions.roles),
                    targets: targets(mentions),
                    seal: seal.as_deref().map(Proof::of),
                    ..row.clone()
                };
                if !edit.targets.is_empty() {
                    self.edit_mentions.push(edit.clone());
                }
                self.edits.push(edit);
                self.touch(*message, row);
            }
            Command::Delete { message } => {
                let entry = Some(operation.message_id);
                self.deletes.push(Row { id: Some(*message), entry, ..row.clone() });
                self.touch(*message, row);
            }
            Command::React { message, emoji } => {
                let row = Row { emoji: Some(emoji.as_str()), ..row };
                self.reacts.push(Row { t, id: Some(*message), ..row.clone() });
                self.touch(*message, row);
            }
            Command::Unreact { message, emoji } => {
                let row = Row { emoji: Some(emoji.as_str()), ..row };
                self.unreacts.push(Row { id: Some(*message), ..row.clone() });
                self.touch(*message, row);
            }
            Command::MarkRead { sequence, allow_decrease } => {
                let back = Some(u8::from(*allow_decrease));
                self.reads.push(Row { sequence: Some(*sequence), back, ..row });
            }
            Command::Erase { message } => {
                self.erasures.push(Row { id: Some(*message), ..row.clone() });
                self.touch(*message, row);
            }
            Command::EraseReaction { message, emoji } => {
                let row = Row { emoji: Some(emoji.as_str()), ..row };
                self.reaction_erasures.push(Row { id: Some(*message), ..row.clone() });
                self.touch(*message, row);
            }
            Command::AddMember { .. }
            | Command::RemoveMember { .. }
            | Command::DeleteChannel
            | Command::Expel { .. } => {}
        }
    }

    fn touch(&mut self, message: MessageId, row: Row<'a>) {
        self.touched.push(Row { id: Some(message), ..row });
        self.touched_ids.push(message.to_string());
    }
}

fn targets(mentions: &Mentions) -> Vec<String> {
    let users = mentions.users.iter().map(|id| format!("user:{id}"));
    users.chain(mentions.roles.iter().map(|id| format!("role:{id}"))).collect()
}

/// The callers, each once: who appears twice counts as they did last, by their newest token.
pub(super) fn callers<'a>(callers: impl Iterator<Item = &'a Caller>) -> String {
    #[derive(Serialize)]
    struct Row<'a> {
        id: &'a UserId,
        name: Option<&'a str>,
        trusted: u64,
    }
    let callers: HashMap<_, _> = callers.map(|caller| (caller.user_id.as_str(), caller)).collect();
    let rows = callers.values().map(|caller| Row {
        id: &caller.user_id,
        name: caller.display_name.as_deref(),
        trusted: caller.token_rank(),
    });
    json(&rows.collect::<Vec<_>>())
}

/// Rows of strings and numbers: writing them as JSON cannot fail.
pub(super) fn json(rows: &[impl Serialize]) -> String {
    serde_json::to_string(rows).unwrap_or_default()
}
