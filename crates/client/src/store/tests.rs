//! A channel is played by a model that knows the truth; whatever a store was told, and however often, it must end up
//! with what a fresh read of the model gives.

use edgewise_core::proto::{CaughtUpEvent, ChatMessage, EnvelopeBatch};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::ReactionSummary;

mod model;
use model::{Channel, acts, envelope};

fn held(store: &Store) -> Vec<Message> {
    store.messages().cloned().collect()
}

/// Leaves out what a store cannot know: the order of equally often counted emoji that were there before it was.
fn comparable(mut messages: Vec<Message>) -> Vec<Message> {
    for message in &mut messages {
        message.reactions.sort_by(|a, b| a.emoji.cmp(&b.emoji));
        for summary in &mut message.reactions {
            summary.user_ids.sort();
        }
    }
    messages
}

/// What can be seen: a reaction that was taken back and given again while away leaves no trace but a revision.
fn seen(messages: Vec<Message>) -> Vec<Message> {
    let seen = messages.into_iter().map(|message| Message { revision: 0, ..message });
    comparable(seen.collect())
}

/// What a reader who was shown only the changes knows.
#[derive(Default)]
struct Reader {
    shown: Vec<Message>,
}

impl Reader {
    fn read(&mut self, change: Change) {
        match change {
            Change::Created { message } => {
                assert!(self.shown.iter().all(|shown| shown.id != message.id), "shown twice: {}", message.id);
                self.shown.push(message);
            }
            Change::Edited { message, before } => {
                let shown = self.find(&message.id);
                assert_eq!(before, Some(shown.content.clone()));
                *shown = message;
            }
            Change::Deleted { message, .. } => {
                let length = self.shown.len();
                self.shown.retain(|shown| shown.id != message.id);
                assert_eq!(self.shown.len() + 1, length, "deleted twice, or never shown: {}", message.id);
            }
            Change::ReactionAdded(reacted) | Change::ReactionRemoved(reacted) => {
                *self.find(&reacted.message_id) = reacted.message.unwrap();
            }
            Change::Resynced { messages, .. } => self.shown = messages,
            Change::Touched { message } => panic!("below no floor: {}", message.id),
        }
    }

    fn find(&mut self, id: &str) -> &mut Message {
        self.shown.iter_mut().find(|shown| shown.id == id).unwrap()
    }

    fn ordered(mut self) -> Vec<Message> {
        self.shown.sort_by_key(|message| message.server_sequence);
        self.shown
    }
}

proptest! {
    /// Seen from the first message on, everything is known exactly, the order of reactions included.
    #[test]
    fn live_from_the_start(acts in acts(80)) {
        let channel = Channel::after(&acts);
        let (mut store, mut reader) = (Store::new("ana", 0), Reader::default());
        for push in channel.pushes.clone() {
            store.apply(push).unwrap().into_iter().for_each(|change| reader.read(change));
        }
        prop_assert_eq!(held(&store), channel.fresh());
        prop_assert_eq!(reader.ordered(), channel.fresh());
        prop_assert_eq!(store.since(), channel.revision);
    }

    /// Every push may come again at any later time, and is then no news.
    #[test]
    fn repeated_pushes_are_deaf(acts in acts(60), again in vec((0..1000usize, 0..1000usize), 0..60)) {
        let channel = Channel::after(&acts);
        let mut store = Store::new("ana", 0);
        for (index, push) in channel.pushes.iter().enumerate() {
            store.apply(push.clone()).unwrap();
            for (when, which) in &again {
                if when % channel.pushes.len() == index {
                    let stale = channel.pushes[which % (index + 1)].clone();
                    prop_assert_eq!(store.apply(stale).unwrap(), vec![]);
                }
            }
        }
        prop_assert_eq!(held(&store), channel.fresh());
    }

    /// Away and back any number of times, each time by sync frames of any size, some of them lost with their
    /// connection, all of them coming again in any order.
    #[test]
    fn away_and_back(
        rounds in vec((acts(25), acts(25), 1..6usize, 0..4usize), 1..5),
        first in acts(30),
        page in 1..100usize,
    ) {
        let mut channel = Channel::after(&first);
        let (mut store, mut reader) = (Store::new("ana", 0), Reader::default());
        reader.read(store.reset(channel.page(u64::MAX, 1000)));
        prop_assert_eq!(held(&store), channel.fresh());
        for (live, away, limit, kept) in rounds {
            let from = channel.pushes.len();
            channel.play(&live);
            for push in channel.pushes[from..].iter().cloned() {
                store.apply(push).unwrap().into_iter().for_each(|change| reader.read(change));
            }
            channel.play(&away);
            // A first connection breaks after a few frames; more happens before the second.
            let broken = channel.sync(store.since(), limit);
            for frame in broken.into_iter().take(kept) {
                store.apply(frame).unwrap().into_iter().for_each(|change| reader.read(change));
            }
            channel.play(&live);
            let frames = channel.sync(store.since(), page);
            for frame in &frames {
                store.apply(frame.clone()).unwrap().into_iter().for_each(|change| reader.read(change));
            }
            for stale in frames.into_iter().rev() {
                prop_assert_eq!(store.apply(stale).unwrap(), vec![]);
            }
            prop_assert_eq!(store.since(), channel.revision);
        }
        prop_assert_eq!(comparable(held(&store)), comparable(channel.fresh()));
        prop_assert_eq!(seen(reader.ordered()), seen(channel.fresh()));
    }

    /// All states that the messages ever had, in any order, any of them twice: the last ones stay.
    #[test]
    fn states_in_any_order(
        acts in acts(50),
        order in any::<prop::sample::Index>(),
        twice in vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let mut channel = Channel::default();
        let mut states = Vec::new();
        for act in acts {
            channel.act(act);
            states.extend((0..channel.messages.len()).map(|index| channel.state(index)));
        }
        prop_assume!(!states.is_empty());
        let again: Vec<ChatMessage> = twice.iter().map(|index| index.get(&states).clone()).collect();
        states.extend(again);
        let middle = order.index(states.len());
        states.rotate_left(middle);
        states.reverse();
        let mut store = Store::new("ana", 0);
        for state in states {
            let sync = SyncResponse { messages: vec![state], revision: 0, has_more: true };
            store.apply(envelope(Payload::SyncResponse(sync))).unwrap();
        }
        prop_assert_eq!(held(&store), channel.fresh());
    }

    /// Live first and read only then, out of a snapshot that is older than some of the pushes.
    #[test]
    fn states_that_come_late(before in acts(30), more in acts(30), cut in any::<prop::sample::Index>()) {
        let mut channel = Channel::after(&before);
        let mut store = Store::new("ana", channel.revision);
        let from = channel.pushes.len();
        let snapshot = cut.index(more.len() + 1);
        channel.play(&more[..snapshot]);
        let answer = channel.sync(0, 1000).swap_remove(0);
        channel.play(&more[snapshot..]);
        for push in channel.pushes[from..].iter().cloned() {
            store.apply(push).unwrap();
        }
        // Where nothing was there yet, the answer is a mere end of catching up.
        if matches!(answer.payload, Some(Payload::SyncResponse(_))) {
            store.apply(answer).unwrap();
        }
        prop_assert_eq!(comparable(held(&store)), comparable(channel.fresh()));
        prop_assert_eq!(store.since(), channel.revision);
    }

    /// A window of the newest, widened downwards later: never wrong, and told where the page was too old.
    #[test]
    fn a_window_with_a_floor(
        before in acts(60),
        more in acts(40),
        limit in 1..10usize,
        cut in any::<prop::sample::Index>(),
    ) {
        let mut channel = Channel::after(&before);
        let mut store = Store::new("ana", 0);
        store.reset(channel.page(u64::MAX, limit));
        let floor = store.floor();
        let from = channel.pushes.len();
        let snapshot = cut.index(more.len() + 1);
        channel.play(&more[..snapshot]);
        let older = channel.page(floor, 1000);
        channel.play(&more[snapshot..]);
        for push in channel.pushes[from..].iter().cloned() {
            store.apply(push).unwrap();
        }
        let mut fresh = channel.fresh();
        fresh.retain(|message| message.server_sequence >= floor);
        prop_assert_eq!(comparable(held(&store)), comparable(fresh));
        if store.extend(floor, older).is_err() {
            store.extend(floor, channel.page(floor, 1000)).unwrap();
        }
        prop_assert_eq!(comparable(held(&store)), comparable(channel.fresh()));

        store.trim(limit);
        let mut fresh = channel.fresh();
        fresh.retain(|message| message.server_sequence >= store.floor());
        prop_assert_eq!(comparable(held(&store)), comparable(fresh));
        let floor = store.floor();
        store.extend(floor, channel.page(floor, 1000)).unwrap();
        prop_assert_eq!(comparable(held(&store)), comparable(channel.fresh()));
    }
}

#[test]
fn a_restored_server_is_noticed() {
    let mut store = Store::new("ana", 9);
    let caught_up = |revision| envelope(Payload::CaughtUpEvent(CaughtUpEvent { revision }));
    assert_eq!(store.apply(caught_up(9)), Ok(vec![]));
    assert_eq!(store.apply(caught_up(4)), Err(Restored));
    store.reset(Page { revision: 4, ..Page::default() });
    assert_eq!(store.since(), 4);
}

#[test]
fn acks_and_batches_move_nothing() {
    let mut store = Store::new("ana", 3);
    let ack = proto::Ack { revision: 8, message: Some(ChatMessage::default()), ..Default::default() };
    let mut acked = envelope(Payload::Ack(ack));
    acked.revision = 8;
    assert_eq!(store.apply(acked), Ok(vec![]));
    store.apply(envelope(Payload::EnvelopeBatch(EnvelopeBatch::default()))).unwrap();
    assert_eq!(store.since(), 3);
}

#[test]
fn what_many_did_while_away_is_told_by_count() {
    let summary = |count, users: usize| ReactionSummary {
        emoji: "👍".into(),
        count,
        me: false,
        user_ids: (0..users).map(|user| format!("u{user:02}")).collect(),
    };
    let message = |revision, reaction| Message {
        id: "m1".into(),
        server_sequence: 1,
        revision,
        reactions: vec![reaction],
        ..Message::default()
    };
    let mut held = Held::new(message(1, summary(3, 3)));
    let changes = held.replace(message(2, summary(25, 20)));
    let [Change::ReactionAdded(reacted)] = changes.as_slice() else { panic!("{changes:?}") };
    assert_eq!((reacted.user_id.as_deref(), reacted.count), (None, 25));
    assert_eq!(held.replace(message(2, summary(1, 1))), vec![], "no news at the same revision");
}

#[test]
fn what_happens_to_messages_that_are_never_read_is_not_kept_for_ever() {
    let mut store = Store::new("ana", 10);
    let reacted = |revision: u64| {
        let reaction = proto::Reaction {
            message_id: format!("before {}", revision % 3),
            emoji: "+1".into(),
            user_id: "ben".into(),
            ..proto::Reaction::default()
        };
        let event = proto::ReactionAddedEvent { reaction: Some(reaction), count: 1 };
        Envelope { revision, ..envelope(Payload::ReactionAddedEvent(event)) }
    };
    for revision in 11..=20_000 {
        assert_eq!(store.apply(reacted(revision)).unwrap().len(), 1, "it is told all the same");
    }
    let kept: usize = store.early.values().map(Vec::len).sum();
    assert!(kept <= EARLY, "{kept} are kept");
    let page = |revision| Page { messages: Vec::new(), has_more: false, has_newer: false, revision };
    // A page of before them lacks what is not kept.
    assert_eq!(store.extend(0, page(15)), Err(StalePage));
    assert_eq!(store.extend(0, page(20_000)), Ok(()));
}
