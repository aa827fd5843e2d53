//! Which waiting commands go into one commit.
//!
//! A commit's statements each work on all commands of one kind, so within it the order between kinds is the
//! statements', not the queue's. A batch therefore ends where a command touches something that an earlier one in it
//! touches in another way; everything else shares. They also ask once who each caller is: so it ends, too, where a user
//! comes with another token than before, which gives other permissions or another name.

use std::collections::{HashMap, VecDeque};

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

/// A command as the queue holds it.
pub(crate) trait Queued {
    fn caller(&self) -> &Caller;
    fn command(&self) -> &Command;
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

/// Takes the next commit's commands from the front of the queue. Never empty where the queue is not.
pub(crate) fn take<T: Queued>(queue: &mut VecDeque<T>) -> Vec<T> {
    let mut batch: Vec<T> = Vec::new();
    let mut touched: HashMap<Thing, Touch> = HashMap::new();
    // Each user's first command.
    let mut users: HashMap<UserId, usize> = HashMap::new();
    let mut weight = 0;
    while let Some(next) = queue.front() {
        let command = next.command();
        weight += command.weight();
        let full = batch.len() >= MAX_COMMANDS || weight > MAX_WEIGHT;
        if !batch.is_empty() && (full || is_administration(command)) {
            break;
        }
        let caller = next.caller();
        let before = users.get(&caller.user_id).and_then(|first| batch.get(*first)).map(T::caller);
        if before.is_some_and(|before| !same_token(before, caller)) {
            break;
        }
        let touches = touches(&caller.user_id, command);
        let conflicts = touches.iter().flatten().any(|(thing, touch)| {
            touched.get(thing).is_some_and(|before| before != touch || *before == Touch::Alone)
        });
        if conflicts {
            break;
        }
        touched.extend(touches.into_iter().flatten());
        users.entry(caller.user_id.clone()).or_insert(batch.len());
        let alone = is_administration(command);
        batch.extend(queue.pop_front());
        if alone {
            break;
        }
    }
    batch
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
        fn command(&self) -> &Command {
            &self.1
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
        std::iter::from_fn(|| Some(take(&mut queue).len()).filter(|&length| length > 0)).collect()
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
        assert_eq!(cut(vec![react("a", A), delete("a", A), react("b", A)]), [1, 1, 1]);
        assert_eq!(cut(vec![unreact("a", A), unreact("b", A)]), [1, 1]);
        assert_eq!(cut(vec![send("a", "", Some(A)), delete("a", A)]), [1, 1]);
        assert_eq!(cut(vec![send("a", "1", None), send("a", "1", None)]), [1, 1]);
        assert_eq!(cut(vec![read("a"), read("a"), read("b")]), [1, 2]);
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
        assert_eq!(cut(vec![send("a", "", None), with("a", trusted), with("b", trusted)]), [1, 2]);
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
