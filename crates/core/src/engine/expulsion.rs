//! What a ban does in this channel: the user's sockets close, and what they sent is erased, piece by piece.
//!
//! What is to be done stands in the outbox (`erasure.rs`), written by the ban's own transaction. Nobody here decides
//! anything: whoever asks for the next piece (`moderator.rs` does, until none is left) may ask as often as they like,
//! and after any crash. A piece is a commit like any other, so it has the fence, revisions, a place in the memory of
//! recent changes, and its events; other commands have their turn between two pieces.

use std::rc::Rc;

use super::{
    Channel, CloseCode, Platform,
    command::Command,
    commit::{Commit, Operation},
    recent::Recent,
    writer::{Failure, Reply},
};
use crate::{
    access::Caller,
    database::DatabaseError,
    erasure::{Piece, Work},
    ids::{CommitId, UserId},
    problem::Problem,
    proto::Ack,
};

/// When what a promise hides was taken out of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hidden {
    ToWhoConnects,
    BetweenCommits,
}

impl<P: Platform> Channel<P> {
    /// Closes the sockets of a user who is banned, and erases the next piece of what is to be erased of theirs.
    pub(super) async fn expel(self: &Rc<Self>, id: CommitId, user: &UserId, reply: Reply) {
        let fate = self.expel_piece(id, user).await;
        self.answer(reply, fate.map(|()| Ack::default()), id);
    }

    async fn expel_piece(self: &Rc<Self>, id: CommitId, user: &UserId) -> Result<(), Problem> {
        let now = self.now();
        let piece = self.within_bound(Piece::next(&self.platform, self.id, user, now)).await;
        let piece = piece.map_err(|error| self.unable(&error))?;
        if let Some(promise) = piece.promise() {
            self.hide_recent(promise, Hidden::BetweenCommits);
        }
        if piece.banned {
            self.close_user(user, CloseCode::Banned, "you are banned");
        }
        if let Some(commit) = self.commit_of(id, user, &piece)? {
            match self.run(&commit).await {
                Ok(outcome) => {
                    let nobody = commit.operations.iter().map(|_| Reply::Nobody).collect();
                    self.finish(&commit, outcome, nobody);
                }
                Err(Failure::NoChannel(_)) => {}
                Err(Failure::Unavailable) => {
                    self.leave_unsettled(commit);
                    return Err(Problem::storage_unavailable());
                }
                Err(Failure::Refused(why)) => {
                    return Err(self.unable(&DatabaseError::Refused(why)));
                }
                Err(Failure::Garbled(why)) => {
                    self.restart_sockets();
                    return Err(self.unable(&DatabaseError::Malformed(why)));
                }
            }
        }
        self.within_bound(piece.done(&self.platform)).await.map_err(|error| self.unable(&error))
    }

    fn unable(&self, error: &DatabaseError) -> Problem {
        self.platform.log(&format!("a piece of an expulsion is left for later: {error}"));
        error.clone().into()
    }

    /// The commit that erases a piece; None where it has nothing.
    fn commit_of(&self, id: CommitId, user: &UserId, piece: &Piece) -> Result<Option<Commit>, Problem> {
        let now = self.now();
        let Some(actor) = piece.actor() else { return Ok(None) };
        let operation = |by: &UserId, command| Operation {
            caller: Caller {
                user_id: by.clone(),
                display_name: None,
                trusted: false,
                owner: false,
                expires_at: now,
            },
            command,
            message_id: self.message_id(),
            timestamp: now,
        };
        let actor = UserId::parse(actor)?;
        let operations: Vec<Operation> = match &piece.work {
            Work::Messages(messages) => {
                messages.iter().map(|&message| operation(&actor, Command::Erase { message })).collect()
            }
            Work::Reactions(reactions) => reactions
                .iter()
                .map(|(message, emoji)| {
                    operation(user, Command::EraseReaction { message: *message, emoji: emoji.clone() })
                })
                .collect(),
        };
        let commit = Commit { id, channel: self.id, operations, now, provision: false };
        Ok((!commit.operations.is_empty()).then_some(commit))
    }

    /// Gives up the memory of recent changes, which holds what is hidden since a promise was made: who comes back is
    /// served from the database.
    ///
    /// Once when somebody connects, who must not see it; and once when no commit is under way, since the end of one
    /// that was may have put it there again.
    pub(super) fn hide_recent(&self, promise: &str, when: Hidden) {
        if !self.hidden.borrow_mut().insert((promise.to_owned(), when)) {
            return;
        }
        self.forgotten.set(self.forgotten.get() + 1);
        let revision = self.head.borrow().as_ref().map(|head| head.revision);
        *self.recent.borrow_mut() = revision.map(Recent::starting_at).unwrap_or_default();
    }
}
