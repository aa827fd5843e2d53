//! The present state of messages, for all who may receive it: what recovery is made of.
//!
//! A [`State`] knows who reacted, so that it can be turned into what one receiver sees (`me`, and a nonce for its
//! sender alone) without another query. Most receivers see the same: that copy is encoded once.

use std::{collections::BTreeSet, rc::Rc};

use prost::Message as _;

use crate::{
    database::{Answers, Database, DatabaseError, Rows, Statement},
    erasure::erased_reaction_sql,
    ids::{ChannelId, Revision, Sequence, UserId},
    message::{MessageRow, message_sql, reactions_sql},
    proto::ChatMessage,
};

/// How many users under one emoji a state names in full; beyond, who reacted is asked for with [`fill_in`].
const REACTORS_KEPT: usize = 1_000;
/// How many users a summary names.
const REACTORS_SHOWN: usize = 20;
/// How many changed messages are read at once.
pub(crate) const PAGE: u64 = 200;

/// A message as it is now.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// As its sender sees it, but for `me`.
    message: ChatMessage,
    /// Who reacted, as (emoji, user).
    reactors: BTreeSet<(String, String)>,
    /// Whether `reactors` has all of them.
    complete: bool,
    /// The message's encoding for whoever neither sent it with a nonce nor reacted to it.
    common: Rc<[u8]>,
}

impl State {
    pub(crate) fn new(mut message: ChatMessage) -> Self {
        let mut reactors = BTreeSet::new();
        let mut complete = true;
        for summary in &mut message.reactions {
            complete &= summary.user_ids.len() as u64 == u64::from(summary.count);
            reactors.extend(summary.user_ids.iter().map(|user| (summary.emoji.clone(), user.clone())));
            summary.user_ids.truncate(REACTORS_SHOWN);
            summary.me = false;
        }
        let mut common = message.clone();
        common.nonce.clear();
        Self { message, reactors, complete, common: common.encode_to_vec().into() }
    }

    pub(crate) fn revision(&self) -> Revision {
        self.message.revision
    }

    pub(crate) fn message(&self) -> &ChatMessage {
        &self.message
    }

    /// Whether it can be turned into what any receiver sees.
    pub(crate) const fn is_complete(&self) -> bool {
        self.complete
    }

    /// About how much memory it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        512 + 2 * self.common.len() + 64 * self.reactors.len()
    }

    /// The message as `receiver` sees it.
    pub(crate) fn seen_by(&self, receiver: &UserId) -> ChatMessage {
        let mut message = self.message.clone();
        if message.sender_id != receiver.as_str() {
            message.nonce.clear();
        }
        for summary in &mut message.reactions {
            summary.me = self.reacted(&summary.emoji, receiver);
        }
        message
    }

    /// The encoding of what `receiver` sees.
    pub(crate) fn encoded_for(&self, receiver: &UserId) -> Rc<[u8]> {
        let own = !self.message.nonce.is_empty() && self.message.sender_id == receiver.as_str();
        if own || self.message.reactions.iter().any(|summary| self.reacted(&summary.emoji, receiver)) {
            self.seen_by(receiver).encode_to_vec().into()
        } else {
            Rc::clone(&self.common)
        }
    }

    fn reacted(&self, emoji: &str, user: &UserId) -> bool {
        self.reactors.contains(&(emoji.to_owned(), user.as_str().to_owned()))
    }
}

/// Reads states from the answer of one of the statements below.
pub(crate) fn decode(rows: &Rows) -> Result<Vec<State>, DatabaseError> {
    let rows: Vec<MessageRow> = rows.decode()?;
    Ok(rows.into_iter().map(|row| State::new(row.into())).collect())
}

/// The states of the messages that `?2`, a JSON list, names by id.
const BY_ID: &str = concat!(
    "SELECT ",
    message_sql!(reactions_sql!("NULL", "1000")),
    " AS json
     FROM json_each(?2) id CROSS JOIN messages m ON m.id = id.value AND m.channel_id = +?1"
);

/// The first `?3` states changed after revision `?2`, by their last change.
const CHANGED: &str = concat!(
    "SELECT ", message_sql!(reactions_sql!("NULL", "1000")), " AS json
     FROM (SELECT * FROM messages WHERE channel_id = +?1 AND revision > ?2 ORDER BY revision LIMIT ?3) m ORDER BY m.revision"
);

const REVISION: &str = "SELECT json(revision) AS json FROM channels WHERE id = ?1";

/// Which of the users in `?3` reacted to which of the messages in `?2`.
const WHO_REACTED: &str = concat!(
    "SELECT json_array(r.server_sequence, r.emoji, r.user_id) AS json
    FROM json_each(?2) s CROSS JOIN reactions r ON r.channel_id = +?1 AND r.server_sequence = s.value
    WHERE r.user_id IN (SELECT value FROM json_each(?3)) AND NOT ",
    erased_reaction_sql!("r")
);

/// The statement that reads the messages of these ids.
pub(crate) fn by_id(channel: ChannelId, ids: &[String]) -> Statement {
    let ids = serde_json::json!(ids).to_string();
    Statement::new(BY_ID, vec![channel.to_string().into(), ids.into()])
}

/// One page of changes.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) states: Vec<State>,
    /// From which to go on.
    pub(crate) revision: Revision,
    pub(crate) has_more: bool,
}

/// Reads the changes after `since`, at most [`PAGE`] of them.
pub(crate) async fn changes(
    database: &impl Database,
    channel: ChannelId,
    since: Revision,
) -> Result<Changes, DatabaseError> {
    let id = channel.to_string();
    let mut answers = Answers::of(
        database,
        vec![
            Statement::new(REVISION, vec![id.clone().into()]),
            Statement::new(CHANGED, vec![id.into(), since.into(), PAGE.into()]),
        ],
    )
    .await?;
    let revision: Revision = answers.next_rows()?.first()?.unwrap_or_default();
    let states = decode(&answers.next_rows()?)?;
    let has_more = states.len() as u64 == PAGE;
    let revision = match states.last() {
        Some(last) if has_more => last.revision(),
        _ => revision,
    };
    Ok(Changes { states, revision, has_more })
}

/// Asks, in one query for all, which of `users` reacted where the states do not name everyone.
pub(crate) async fn fill_in(
    database: &impl Database,
    channel: ChannelId,
    states: &mut [State],
    users: &[UserId],
) -> Result<(), DatabaseError> {
    let sequences: Vec<Sequence> =
        states.iter().filter(|state| !state.complete).map(|state| state.message.server_sequence).collect();
    if sequences.is_empty() || users.is_empty() {
        return Ok(());
    }
    let statement = Statement::new(
        WHO_REACTED,
        vec![
            channel.to_string().into(),
            serde_json::json!(sequences).to_string().into(),
            serde_json::json!(users).to_string().into(),
        ],
    );
    let rows: Vec<(Sequence, String, String)> =
        Answers::of(database, vec![statement]).await?.next_rows()?.decode()?;
    for (sequence, emoji, user) in rows {
        if let Some(state) = states.iter_mut().find(|state| state.message.server_sequence == sequence) {
            state.reactors.insert((emoji, user));
        }
    }
    Ok(())
}

const _: () = assert!(REACTORS_KEPT == 1_000, "the number that the statements above spell out");
