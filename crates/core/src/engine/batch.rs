//! Which waiting commands go into one commit.
//!
//! A commit's statements each work on all commands of one kind, so within it the order between kinds is the
//! statements', not the queue's. A command therefore waits that touches something which an earlier one of the batch
//! touches in another way; everything else shares. They also ask once who each caller is: so those wait, too, that a user
//! sends with another token than before, which gives other permissions or another name.

use std::collections::{HashMap, HashSet, VecDeque};

use super::command::{Command, Edit};
use crate::{
    access::Caller,
    ids::{MessageId, UserId},
};

/// How many commands one commit takes at most.
pub const MAX_COMMANDS: usize = 128;
/// And how many bytes of them. A batch of this many is well below the 2 MB that D1 takes in one parameter.
const MAX_WEIGHT: usize = 1 << 20;

/// How a command touches a thing. Two that are equal may share a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Touch {
    /// Replies only need the message to live.
    ReplyTo,
    /// Reactions add to each other.
    React,
    /// Nothing else in the same batch.
    Alone,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Thing {
    Message(MessageId),
    Nonce(UserId, String),
    /// A signed message, by its digest.
    Signed(String),
    Read(UserId),
}

/// A request as the queue holds it.
pub(crate) trait Queued {
    fn caller(&self) -> &Caller;
    /// None: it is none for a commit, but its caller's commands wait behind it.
    fn command(&self) -> Option<&Command>;
}

fn touches(user: &UserId, command: &Command) -> [Option<(Thing, Touch)>; 3] {
    match command {
        Command::Send(send) => [
            send.reply_to.map(|id| (Thing::Message(id), Touch::ReplyTo)),
            send.nonce.as_ref().map(|n| (Thing::Nonce(user.clone(), n.as_str().to_owned()), Touch::Alone)),
            send.seal.as_ref().map(|seal| (Thing::Signed(seal.digest.clone()), Touch::Alone)),
        ],
        Command::React { message, .. } => [Some((Thing::Message(*message), Touch::React)), None, None],
        Command::Edit(Edit { message, .. })
        | Command::Delete { message }
        | Command::Unreact { message, .. } => [Some((Thing::Message(*message), Touch::Alone)), None, None],
        Command::MarkRead { .. } => [Some((Thing::Read(user.clone()), Touch::Alone)), None, None],
        // The last two are never queued: they are a commit that the writer makes of an `Expel`.
        Command::AddMember { .. }
        | Command::RemoveMember { .. }
        | Command::DeleteChannel
        | Command::Expel { .. }
        | Command::Erase { .. }
        | Command::EraseReaction { .. } => [None, None, None],
    }
}

/// Whether a command has a commit of its own.
pub(crate) const fn is_administration(command: &Command) -> bool {
    matches!(
        command,
        Command::AddMember { .. }
            | Command::RemoveMember { .. }
            | Command::DeleteChannel
            | Command::Expel { .. }
    )
}

/// Whether two tokens of one user say the same of them.
fn same_token(one: &Caller, other: &Caller) -> bool {
    (one.trusted, one.owner, &one.display_name) == (other.trusted, other.owner, &other.display_name)
}

/// Takes the next commit's commands from the queue: the first, and what can share with it. Empty only where nobody's next
/// is a command, or where it is of those that have a commit of their own and `alone` does not let one go.
///
/// Whoever can't share waits, and keeps what they have asked for afterwards behind it.
pub(crate) fn take<T: Queued>(queue: &mut VecDeque<T>, alone: bool) -> Vec<T> {
    let mut batch = Batch::default();
    let mut waiting = VecDeque::new();
    let mut lanes: HashSet<UserId> = HashSet::new();
    while let Some(next) = queue.pop_front() {
        let user = &next.caller().user_id;
        let command = next.command().filter(|_| !lanes.contains(user));
        match command.map_or(Fit::Waits, |command| batch.fit(next.caller(), command, alone)) {
            Fit::Shares => batch.taken.push(next),
            Fit::Alone => {
                batch.taken.push(next);
                break;
            }
            Fit::Waits => {
                if !lanes.contains(user) {
                    lanes.insert(user.clone());
                }
                waiting.push_back(next);
            }
            Fit::Full => {
                waiting.push_back(next);
                break;
            }
        }
    }
    waiting.append(queue);
    *queue = waiting;
    batch.taken
}

/// Whether a command can go into a batch.
enum Fit {
    Shares,
    /// With nothing behind it.
    Alone,
    /// Not with what is in there.
    Waits,
    /// Nor anything else.
    Full,
}

struct Batch<T> {
    taken: Vec<T>,
    weight: usize,
    touched: HashMap<Thing, Touch>,
    /// Each user's first command.
    users: HashMap<UserId, usize>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { taken: Vec::new(), weight: 0, touched: HashMap::new(), users: HashMap::new() }
    }
}

impl<T: Queued> Batch<T> {
    fn fit(&mut self, caller: &Caller, command: &Command, alone: bool) -> Fit {
        if is_administration(command) {
            return if alone && self.taken.is_empty() { Fit::Alone } else { Fit::Waits };
        }
        let weight = self.weight + command.weight();
        if self.taken.len() >= MAX_COMMANDS || (!self.taken.is_empty() && weight > MAX_WEIGHT) {
            return Fit::Full;
        }
        let before = self.users.get(&caller.user_id).and_then(|first| self.taken.get(*first)).map(T::caller);
        if before.is_some_and(|before| !same_token(before, caller)) {
            return Fit::Waits;
        }
        let touches = touches(&caller.user_id, command);
        let conflicts = touches.iter().flatten().any(|(thing, touch)| {
            self.touched.get(thing).is_some_and(|before| before != touch || *before == Touch::Alone)
        });
        if conflicts {
            return Fit::Waits;
        }
        self.weight = weight;
        self.touched.extend(touches.into_iter().flatten());
        self.users.entry(caller.user_id.clone()).or_insert(self.taken.len());
        Fit::Shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::Signature,
        envelope::Rules,
        ids::ChannelId,
        proto::{
            AddReactionRequest, DeleteMessageRequest, RemoveReactionRequest, SendMessageRequest,
            UpdateLastReadRequest, envelope::Payload,
        },
    };

    struct Waiting(Caller, Command);
    impl Queued for Waiting {
        fn caller(&self) -> &Caller {
            &self.0
        }
        fn command(&self) -> Option<&Command> {
            Some(&self.1)
        }
    }

    const A: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
    const B: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

    fn of(user: &str, payload: Payload) -> Waiting {
        let rules = Rules::new(ChannelId::parse(A).unwrap());
        let command = Command::parse(payload, &rules, Signature::Unverified).unwrap();
        let user_id = UserId::parse(user).unwrap();
        let caller = Caller { user_id, display_name: None, trusted: false, owner: false, expires_at: 0 };
        Waiting(caller, command)
    }
    fn send(user: &str, nonce: &str, reply_to: Option<&str>) -> Waiting {
        let request = SendMessageRequest {
            content: "x".into(),
            nonce: nonce.into(),
            reply_to_id: reply_to.map(Into::into),
            ..SendMessageRequest::default()
        };
        of(user, Payload::SendMessageRequest(request))
    }
    fn react(user: &str, id: &str) -> Waiting {
        of(user, Payload::AddReactionRequest(AddReactionRequest { message_id: id.into(), emoji: "x".into() }))
    }
    fn unreact(user: &str, id: &str) -> Waiting {
        let request = RemoveReactionRequest { message_id: id.into(), emoji: "x".into() };
        of(user, Payload::RemoveReactionRequest(request))
    }
    fn delete(user: &str, id: &str) -> Waiting {
        of(user, Payload::DeleteMessageRequest(DeleteMessageRequest { message_id: id.into() }))
    }
    fn read(user: &str) -> Waiting {
        let request = UpdateLastReadRequest { last_sequence: 1, allow_decrease: true };
        of(user, Payload::UpdateLastReadRequest(request))
    }

    /// The sizes of the batches that a queue is cut into.
    fn cut(queue: Vec<Waiting>) -> Vec<usize> {
        let mut queue = VecDeque::from(queue);
        std::iter::from_fn(|| Some(take(&mut queue, true).len()).filter(|&length| length > 0)).collect()
    }

    #[test]
    fn what_does_not_touch_shares() {
        assert_eq!(
            cut(vec![send("a", "1", None), send("b", "1", None), react("a", A), delete("a", B), read("a")]),
            [5]
        );
        assert_eq!(cut(vec![react("a", A), react("b", A), react("a", A)]), [3]);
        assert_eq!(cut(vec![send("a", "", Some(A)), send("b", "", Some(A))]), [2]);
    }

    #[test]
    fn what_touches_in_another_way_waits() {
        assert_eq!(cut(vec![react("a", A), delete("a", A), react("a", A)]), [1, 1, 1]);
        assert_eq!(cut(vec![unreact("a", A), unreact("b", A)]), [1, 1]);
        assert_eq!(cut(vec![send("a", "", Some(A)), delete("a", A)]), [1, 1]);
        assert_eq!(cut(vec![send("a", "1", None), send("a", "1", None)]), [1, 1]);
        assert_eq!(cut(vec![read("a"), read("a")]), [1, 1]);
    }

    #[test]
    fn who_waits_keeps_their_own_behind_them_and_nobody_else() {
        assert_eq!(cut(vec![react("a", A), delete("a", A), react("b", A)]), [2, 1]);
        assert_eq!(cut(vec![read("a"), read("a"), send("a", "", None), read("b")]), [2, 2]);
        let users = |batch: Vec<Waiting>| batch.iter().map(|w| w.0.user_id.to_string()).collect::<String>();
        let queue =
            vec![react("a", A), unreact("b", A), unreact("c", A), send("b", "", None), send("d", "", None)];
        let mut queue = VecDeque::from(queue);
        assert_eq!(users(take(&mut queue, true)), "ad");
        assert_eq!(users(take(&mut queue, true)), "bb");
        assert_eq!(users(take(&mut queue, true)), "c");
    }

    #[test]
    fn a_user_with_another_token_waits() {
        let with = |user: &str, change: fn(&mut Caller)| {
            let mut waiting = send(user, "", None);
            change(&mut waiting.0);
            waiting
        };
        let named = |caller: &mut Caller| caller.display_name = Some("Ana".into());
        let trusted = |caller: &mut Caller| caller.trusted = true;
        let renewed = |caller: &mut Caller| caller.expires_at = 1;
        assert_eq!(cut(vec![send("a", "", None), with("a", trusted), with("b", trusted)]), [2, 1]);
        assert_eq!(cut(vec![with("a", named), send("b", "", None), send("a", "", None)]), [2, 1]);
        assert_eq!(cut(vec![with("a", named), with("a", named), send("b", "", None)]), [3]);
        assert_eq!(cut(vec![send("a", "", None), with("a", renewed)]), [2]);
    }

    #[test]
    fn batches_are_bounded_in_commands_and_in_bytes() {
        assert_eq!(cut((0..300).map(|_| send("a", "", None)).collect()), [128, 128, 44]);
        let long = || {
            let request =
                SendMessageRequest { content: format!("x{}x", "\0".repeat(3_998)), ..Default::default() };
            of("a", Payload::SendMessageRequest(request))
        };
        let sizes = cut((0..100).map(|_| long()).collect());
        assert!(sizes.iter().all(|&size| size * 24_000 <= MAX_WEIGHT), "{sizes:?}");
        assert_eq!(sizes.iter().sum::<usize>(), 100);
    }
}
