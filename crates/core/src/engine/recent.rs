//! The recent changes of a channel, in memory: what those who reconnect after a moment are served from.
//!
//! A cache and no more. It holds every change after [`Recent::from`], or it does not answer.

use std::collections::{BTreeMap, HashMap};

use super::state::State;
use crate::ids::Revision;

/// At most so many states, and so many bytes of them: a fraction of an object's 128 MB.
const MAX_STATES: usize = 2_000;
const MAX_WEIGHT: usize = 8 << 20;

/// The states of the messages that changed lately, by their revision.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    from: Revision,
    states: BTreeMap<Revision, State>,
    revisions: HashMap<String, Revision>,
    weight: usize,
}

impl Recent {
    /// Knows of nothing before `revision`, and that nothing has happened since.
    pub(crate) fn starting_at(revision: Revision) -> Self {
        Self { from: revision, ..Self::default() }
    }

    /// Whether everything that changed after `since` is here.
    pub(crate) const fn covers(&self, since: Revision) -> bool {
        since >= self.from
    }

    /// Where it begins.
    pub(crate) const fn from(&self) -> Revision {
        self.from
    }

    /// The states changed after `since`, by their last change.
    pub(crate) fn since(&self, since: Revision) -> impl Iterator<Item = &State> {
        self.states.range(since + 1..).map(|(_, state)| state)
    }

    /// Takes in a change, newer than all before.
    pub(crate) fn add(&mut self, state: State) {
        let incomplete = (!state.is_complete()).then(|| state.revision());
        self.insert(state);
        self.shrink(incomplete);
    }

    /// Takes in older changes: all those after `from`, up to where this begins.
    pub(crate) fn extend_back(&mut self, from: Revision, states: Vec<State>) {
        let mut incomplete = None;
        // A message that changed between two pages is in both: the newest counts.
        for state in states.into_iter().rev() {
            if !self.revisions.contains_key(&state.message().id) {
                if !state.is_complete() {
                    incomplete = incomplete.max(Some(state.revision()));
                }
                self.insert(state);
            }
        }
        self.from = self.from.min(from);
        self.shrink(incomplete);
    }

    fn insert(&mut self, state: State) {
        let revision = state.revision();
        if let Some(old) = self.revisions.insert(state.message().id.clone(), revision)
            && let Some(old) = self.states.remove(&old)
        {
            self.weight -= old.weight();
        }
        self.weight += state.weight();
        self.states.insert(revision, state);
    }

    /// Forgets the oldest beyond the bounds, and everything up to `incomplete`: the last of what has just come in that
    /// cannot be shown to everyone.
    fn shrink(&mut self, incomplete: Option<Revision>) {
        while let Some((&revision, _)) = self.states.first_key_value() {
            let needless = incomplete.is_some_and(|incomplete| revision <= incomplete);
            if !needless && self.states.len() <= MAX_STATES && self.weight <= MAX_WEIGHT {
                break;
            }
            if let Some(state) = self.states.remove(&revision) {
                self.revisions.remove(&state.message().id);
                self.weight -= state.weight();
                self.from = self.from.max(revision);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{ChatMessage, ReactionSummary};

    fn state(id: &str, revision: Revision) -> State {
        State::new(ChatMessage { id: id.into(), revision, ..ChatMessage::default() })
    }

    fn since(recent: &Recent, revision: Revision) -> Vec<&str> {
        recent.since(revision).map(|state| state.message().id.as_str()).collect()
    }

    #[test]
    fn a_message_stands_at_its_last_change() {
        let mut recent = Recent::starting_at(4);
        for (id, revision) in [("a", 5), ("b", 6), ("a", 7)] {
            recent.add(state(id, revision));
        }
        assert_eq!(since(&recent, 4), ["b", "a"]);
        assert_eq!(since(&recent, 6), ["a"]);
        assert!(recent.covers(4) && !recent.covers(3));
    }

    #[test]
    fn older_changes_do_not_replace_newer_ones() {
        let mut recent = Recent::starting_at(4);
        recent.add(state("a", 5));
        recent.extend_back(1, vec![state("a", 2), state("b", 3)]);
        assert_eq!(since(&recent, 1), ["b", "a"]);
        assert!(recent.covers(1));
    }

    #[test]
    fn of_two_older_states_of_a_message_the_newer_counts() {
        let mut recent = Recent::starting_at(4);
        recent.extend_back(1, vec![state("a", 2), state("b", 3), state("a", 4)]);
        assert_eq!(since(&recent, 1), ["b", "a"]);
        assert_eq!(since(&recent, 3), ["a"]);
    }

    #[test]
    fn beyond_its_bounds_it_says_so() {
        let mut recent = Recent::starting_at(0);
        for revision in 1..=MAX_STATES as u64 + 5 {
            recent.add(state(&revision.to_string(), revision));
        }
        assert!(!recent.covers(4) && recent.covers(5));
        assert_eq!(since(&recent, 5).len(), MAX_STATES);
    }

    #[test]
    fn what_cannot_be_shown_to_everyone_is_not_kept() {
        let mut recent = Recent::starting_at(0);
        recent.add(state("a", 1));
        let reactions =
            vec![ReactionSummary { emoji: "x".into(), count: 2_000, ..ReactionSummary::default() }];
        recent.add(State::new(ChatMessage {
            id: "b".into(),
            revision: 2,
            reactions,
            ..ChatMessage::default()
        }));
        recent.add(state("c", 3));
        assert!(!recent.covers(1) && recent.covers(2));
        assert_eq!(since(&recent, 2), ["c"]);
    }
}
