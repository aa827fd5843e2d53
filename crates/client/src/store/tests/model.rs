//! The truth about a channel, and what a server would send of it.

use edgewise_core::proto::{
    CaughtUpEvent, ChatMessage, Envelope, MessageDeletedEvent, MessageEditedEvent, NewMessageEvent, Reaction,
    ReactionAddedEvent, ReactionRemovedEvent, SyncResponse, envelope::Payload,
};
use proptest::{collection::vec, prelude::*};

use crate::{Message, Page, ReactionSummary};

const USERS: [&str; 3] = ["ana", "ben", "chi"];
const EMOJI: [&str; 3] = ["👍", "🎉", "👩🏽‍🚀"];

/// Something a user does, to a message picked by its number where one is needed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Send,
    Edit(usize),
    Delete(usize),
    React(usize, usize, usize),
    Unreact(usize, usize, usize),
}

pub(super) fn acts(most: usize) -> impl Strategy<Value = Vec<Act>> {
    let index = 0..1000usize;
    let act = prop_oneof![
        3 => Just(Act::Send),
        1 => index.clone().prop_map(Act::Edit),
        1 => index.clone().prop_map(Act::Delete),
        4 => (index.clone(), 0..3usize, 0..3usize).prop_map(|(m, u, e)| Act::React(m, u, e)),
        2 => (index, 0..3usize, 0..3usize).prop_map(|(m, u, e)| Act::Unreact(m, u, e)),
    ];
    vec(act, 1..most)
}

/// The truth: messages with every reaction in order, and every push there ever was.
#[derive(Clone, Debug, Default)]
pub(super) struct Channel {
    pub(super) revision: u64,
    pub(super) messages: Vec<(ChatMessage, Vec<(String, String)>)>,
    pub(super) pushes: Vec<Envelope>,
}

impl Channel {
    pub(super) fn after(acts: &[Act]) -> Self {
        let mut channel = Self::default();
        channel.play(acts);
        channel
    }

    pub(super) fn play(&mut self, acts: &[Act]) {
        for act in acts {
            self.act(*act);
        }
    }

    pub(super) fn act(&mut self, act: Act) {
        let revision = self.revision + 1;
        let sequence = self.messages.len() as u64 + 1;
        let live: Vec<usize> =
            (0..self.messages.len()).filter(|index| !self.messages[*index].0.deleted).collect();
        let pick = |number: usize| live.get(number % live.len().max(1)).copied();
        let payload = match act {
            Act::Send => {
                let message = ChatMessage {
                    id: format!("m{sequence}"),
                    sender_id: USERS[live.len() % 3].into(),
                    content: format!("number {sequence}"),
                    server_sequence: sequence,
                    revision,
                    ..ChatMessage::default()
                };
                self.messages.push((message.clone(), Vec::new()));
                Payload::NewMessageEvent(NewMessageEvent { message: Some(message) })
            }
            Act::Edit(number) => {
                let Some(index) = pick(number) else { return };
                let (message, _) = &mut self.messages[index];
                message.content = format!("edited at {revision}");
                message.edited = true;
                message.edit_timestamp = Some(revision);
                message.revision = revision;
                Payload::MessageEditedEvent(MessageEditedEvent {
                    message_id: message.id.clone(),
                    message: Some(message.clone()),
                    ..Default::default()
                })
            }
            Act::Delete(number) => {
                let Some(index) = pick(number) else { return };
                let (message, reactions) = &mut self.messages[index];
                message.content.clear();
                message.deleted = true;
                message.revision = revision;
                reactions.clear();
                Payload::MessageDeletedEvent(MessageDeletedEvent {
                    message_id: message.id.clone(),
                    server_sequence: message.server_sequence,
                    deleted_by: message.sender_id.clone(),
                    ..Default::default()
                })
            }
            Act::React(number, user, emoji) => {
                let Some(index) = pick(number) else { return };
                let (message, reactions) = &mut self.messages[index];
                let reaction = (EMOJI[emoji].to_owned(), USERS[user].to_owned());
                if reactions.contains(&reaction) {
                    return;
                }
                reactions.push(reaction);
                message.revision = revision;
                Payload::ReactionAddedEvent(ReactionAddedEvent {
                    count: count(reactions, EMOJI[emoji]),
                    reaction: Some(Reaction {
                        message_id: message.id.clone(),
                        emoji: EMOJI[emoji].into(),
                        user_id: USERS[user].into(),
                        ..Reaction::default()
                    }),
                })
            }
            Act::Unreact(number, user, emoji) => {
                let Some(index) = pick(number) else { return };
                let (message, reactions) = &mut self.messages[index];
                let reaction = (EMOJI[emoji].to_owned(), USERS[user].to_owned());
                let Some(place) = reactions.iter().position(|other| *other == reaction) else { return };
                reactions.remove(place);
                message.revision = revision;
                Payload::ReactionRemovedEvent(ReactionRemovedEvent {
                    message_id: message.id.clone(),
                    emoji: EMOJI[emoji].into(),
                    user_id: USERS[user].into(),
                    count: count(reactions, EMOJI[emoji]),
                    ..Default::default()
                })
            }
        };
        self.revision = revision;
        self.pushes.push(Envelope { request_id: String::new(), revision, payload: Some(payload) });
    }

    pub(super) fn state(&self, index: usize) -> ChatMessage {
        let (message, reactions) = &self.messages[index];
        let mut summaries: Vec<ReactionSummary> = Vec::new();
        for (emoji, user) in reactions {
            if !summaries.iter().any(|summary| summary.emoji == *emoji) {
                summaries.push(ReactionSummary { emoji: emoji.clone(), ..ReactionSummary::default() });
            }
            let summary = summaries.iter_mut().find(|summary| summary.emoji == *emoji).unwrap();
            summary.count += 1;
            summary.me |= user == "ana";
            summary.user_ids.push(user.clone());
        }
        summaries.sort_by_key(|summary| std::cmp::Reverse(summary.count));
        ChatMessage { reactions: summaries, ..message.clone() }
    }

    pub(super) fn fresh(&self) -> Vec<Message> {
        let states = (0..self.messages.len()).map(|index| self.state(index));
        states.filter(|message| !message.deleted).map(Message::from).collect()
    }

    pub(super) fn page(&self, below: u64, limit: usize) -> Page {
        let mut messages = self.fresh();
        messages.retain(|message| message.server_sequence < below);
        let has_more = messages.len() > limit;
        let messages = messages.into_iter().rev().take(limit).collect();
        Page { messages, has_more, has_newer: false, revision: self.revision }
    }

    /// What a reconnecting socket gets: present states by last change, and the end.
    pub(super) fn sync(&self, since: u64, limit: usize) -> Vec<Envelope> {
        let mut states: Vec<ChatMessage> = (0..self.messages.len())
            .map(|index| self.state(index))
            .filter(|message| message.revision > since)
            .collect();
        states.sort_by_key(|message| message.revision);
        let pages = states.chunks(limit).map(|page| SyncResponse {
            messages: page.to_vec(),
            revision: page.last().unwrap().revision,
            has_more: true,
        });
        let mut frames: Vec<Envelope> = pages.map(|page| envelope(Payload::SyncResponse(page))).collect();
        frames.push(envelope(Payload::CaughtUpEvent(CaughtUpEvent { revision: self.revision })));
        frames
    }
}

fn count(reactions: &[(String, String)], emoji: &str) -> u32 {
    reactions.iter().filter(|(other, _)| other == emoji).count().try_into().unwrap()
}

pub(super) fn envelope(payload: Payload) -> Envelope {
    Envelope { request_id: String::new(), revision: 0, payload: Some(payload) }
}
