//! One message that is held: states and events apply where they are news to it.

use std::{cmp::Reverse, collections::HashMap};

use crate::{Authenticity, Change, Message, Reacted, ReactionSummary};

/// How many users a summary names.
const SAMPLE: usize = 20;

#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) message: Message,
    /// At which revision a user's reaction was seen to come, by emoji and user. Those that were there already are
    /// not in it: they are older.
    seen: HashMap<(String, String), u64>,
}

impl Held {
    pub(super) fn new(message: Message) -> Self {
        Self { message, seen: HashMap::new() }
    }

    /// A complete state takes the place of an older one.
    pub(super) fn replace(&mut self, message: Message) -> Vec<Change> {
        if message.revision <= self.message.revision {
            return Vec::new();
        }
        let before = std::mem::replace(self, Self::new(message.clone())).message;
        if message.deleted {
            let gone = (!before.deleted).then(|| Box::new(before));
            return gone
                .map(|before| Change::Deleted { message, before: Some(before), by: None })
                .into_iter()
                .collect();
        }
        let mut changes = reactions_between(&before, &message);
        if before.content != message.content
            || before.edit_timestamp != message.edit_timestamp
            || before.authenticity != message.authenticity
        {
            changes.insert(0, Change::Edited { message, before: Some(before.content) });
        }
        changes
    }

    /// An edit brings everything but the reactions, which stay.
    pub(super) fn edit(&mut self, message: Message) -> Option<Change> {
        if message.revision <= self.message.revision {
            return None;
        }
        let held = std::mem::take(&mut self.message);
        self.message = Message { reactions: held.reactions, nonce: message.nonce.or(held.nonce), ..message };
        Some(Change::Edited { message: self.message.clone(), before: Some(held.content) })
    }

    pub(super) fn delete(&mut self, revision: u64, by: Option<String>) -> Option<Change> {
        if revision <= self.message.revision {
            return None;
        }
        let before = self.message.clone();
        self.seen.clear();
        self.message = Message {
            revision,
            deleted: true,
            content: String::new(),
            reactions: Vec::new(),
            mention_user_ids: Vec::new(),
            mention_role_ids: Vec::new(),
            envelope: None,
            authenticity: Authenticity::Unsigned,
            ..std::mem::take(&mut self.message)
        };
        Some(Change::Deleted { message: self.message.clone(), before: Some(Box::new(before)), by })
    }

    /// Whether it was news.
    pub(super) fn react(&mut self, reacted: &Reacted, own: bool) -> bool {
        let user_id = reacted.user_id.clone().unwrap_or_default();
        let Some(summary) = news(&mut self.message, reacted) else { return false };
        summary.count = reacted.count;
        summary.me |= own;
        if summary.user_ids.len() < SAMPLE && !summary.user_ids.contains(&user_id) {
            summary.user_ids.push(user_id.clone());
        }
        self.seen.insert((reacted.emoji.clone(), user_id), reacted.revision);
        self.sort();
        true
    }

    /// Whether it was news.
    pub(super) fn unreact(&mut self, reacted: &Reacted, own: bool) -> bool {
        let user_id = reacted.user_id.clone().unwrap_or_default();
        let Some(summary) = news(&mut self.message, reacted) else { return false };
        summary.count = reacted.count;
        summary.me &= !own;
        summary.user_ids.retain(|other| *other != user_id);
        self.seen.remove(&(reacted.emoji.clone(), user_id));
        self.sort();
        true
    }

    /// Most counted first, then by the earliest reaction that is left. Among reactions that were there before the
    /// store was, that order is not known in full, and the one they came in stays.
    fn sort(&mut self) {
        let seen = &self.seen;
        self.message.reactions.retain(|summary| summary.count > 0);
        self.message.reactions.sort_by_cached_key(|summary| {
            let first = summary.user_ids.first().cloned().unwrap_or_default();
            let earliest = seen.get(&(summary.emoji.clone(), first)).copied().unwrap_or_default();
            (Reverse(summary.count), earliest)
        });
    }
}

/// The summary that a reaction changes, an empty one where there is none yet; `None` where it is no news.
fn news<'a>(message: &'a mut Message, reacted: &Reacted) -> Option<&'a mut ReactionSummary> {
    if message.deleted || reacted.revision <= message.revision {
        return None;
    }
    message.revision = reacted.revision;
    let reactions = &mut message.reactions;
    let index = reactions.iter().position(|summary| summary.emoji == reacted.emoji);
    let index = index.unwrap_or_else(|| {
        reactions.push(ReactionSummary { emoji: reacted.emoji.clone(), ..ReactionSummary::default() });
        reactions.len() - 1
    });
    reactions.get_mut(index)
}

/// What must have happened to the reactions between two states.
fn reactions_between(before: &Message, after: &Message) -> Vec<Change> {
    let none = ReactionSummary::default();
    let find = |message: &Message, emoji: &str| -> ReactionSummary {
        message.reactions.iter().find(|summary| summary.emoji == emoji).unwrap_or(&none).clone()
    };
    let mut emoji: Vec<&str> = Vec::new();
    for summary in before.reactions.iter().chain(&after.reactions) {
        if !emoji.contains(&summary.emoji.as_str()) {
            emoji.push(&summary.emoji);
        }
    }
    let mut changes = Vec::new();
    for emoji in emoji {
        let (old, new) = (find(before, emoji), find(after, emoji));
        let reacted = |user_id: Option<&String>| Reacted {
            message_id: after.id.clone(),
            message: Some(after.clone()),
            emoji: emoji.to_owned(),
            user_id: user_id.cloned(),
            count: new.count,
            revision: after.revision,
        };
        // Who came and went is known where both states name everybody.
        if names_all(&old) && names_all(&new) {
            let gone = old.user_ids.iter().filter(|user| !new.user_ids.contains(user));
            changes.extend(gone.map(|user| Change::ReactionRemoved(reacted(Some(user)))));
            let come = new.user_ids.iter().filter(|user| !old.user_ids.contains(user));
            changes.extend(come.map(|user| Change::ReactionAdded(reacted(Some(user)))));
        } else if new.count > old.count {
            changes.push(Change::ReactionAdded(reacted(None)));
        } else if new.count < old.count {
            changes.push(Change::ReactionRemoved(reacted(None)));
        }
    }
    changes
}

fn names_all(summary: &ReactionSummary) -> bool {
    usize::try_from(summary.count).is_ok_and(|count| count == summary.user_ids.len())
}
