//! One commit: the statements that a batch of commands becomes, and what became of each command.
//!
//! A [`Commit`] can be run any number of times. It changes something at most once, because of the fence (see
//! `commit_sql`), and its answer says the same every time: it is read from the rows, by the ids and revisions that
//! were given before.

use std::collections::HashMap;

use serde::Deserialize;

use super::{
    command::Command,
    commit_sql as sql,
    rows::{self, Lists, Row},
    state,
};
use crate::{
    access::Caller,
    database::{Answers, Database, DatabaseError, Statement, Value, bool_of_int},
    envelope::Seal,
    ids::{ChannelId, CommitId, MessageId, Revision, Sequence, Timestamp},
    message::MessageRow,
    permissions::Permissions,
    problem::{Code, Problem},
    proto::{ChatMessage, LastRead},
};

/// Where a channel stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Head {
    /// Of the last commit that changed a message; empty before the first.
    pub(crate) commit_id: String,
    pub(crate) revision: Revision,
    pub(crate) last_sequence: Sequence,
    #[serde(deserialize_with = "bool_of_int")]
    pub(crate) deleted: bool,
    #[serde(deserialize_with = "bool_of_int")]
    pub(crate) private: bool,
}

/// What the database knows of one caller in one channel.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Actor {
    pub(crate) id: String,
    bits: u32,
    #[serde(deserialize_with = "bool_of_int")]
    banned: bool,
    #[serde(deserialize_with = "bool_of_int")]
    member: bool,
    pub(crate) name: Option<String>,
    pub(crate) pubkey: Option<String>,
    pub(crate) last_read: Option<Sequence>,
}

impl Actor {
    /// Whether the caller may act in the channel at all.
    pub(crate) fn admitted(&self, head: Option<&Head>) -> Result<(), Problem> {
        if self.banned {
            return Err(Code::Banned.with("you are banned"));
        }
        let seen = head.is_some_and(|head| {
            !head.deleted && (!head.private || self.member || self.may(Permissions::ADMINISTRATOR))
        });
        if seen { Ok(()) } else { Err(Code::ChannelNotFound.with("there is no such channel")) }
    }

    fn may(&self, permission: Permissions) -> bool {
        Permissions::from_bits(self.bits).contains(permission)
    }
}

/// The statement that tells where a channel stands.
pub(crate) fn head_statement(channel: ChannelId) -> Statement {
    Statement::new(sql::HEAD, vec![channel.to_string().into()])
}

/// The statements that make users known and tell what they may do in a channel.
pub(crate) fn actor_statements(channel: ChannelId, callers: &[Caller], now: Timestamp) -> [Statement; 3] {
    let params: Vec<Value> =
        vec![channel.to_string().into(), Value::Null, rows::callers(callers.iter()).into(), now.into()];
    [
        Statement::new(sql::PROVISION, params.clone()),
        Statement::sharing(sql::VISIT, &params),
        Statement::new(sql::ACTORS, params),
    ]
}

/// A command with who wants it, and the id that the message will have, or the entry of the audit log.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) caller: Caller,
    pub(crate) command: Command,
    pub(crate) message_id: MessageId,
    pub(crate) timestamp: Timestamp,
}

/// The commands of one commit and the id by which it will be known.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) id: CommitId,
    pub(crate) channel: ChannelId,
    pub(crate) operations: Vec<Operation>,
    pub(crate) now: Timestamp,
    /// Whether a caller may be new, or have a new name.
    pub(crate) provision: bool,
}

/// What a command did.
#[derive(Debug, Clone)]
pub(crate) enum Done {
    Sent(ChatMessage),
    /// The nonce was used before: this is what it was used for, as it is now.
    Replayed(ChatMessage),
    Edited,
    /// This signed edit is the message's newest already, or was when it was deleted.
    EditedBefore,
    Deleted,
    Reacted,
    /// The reaction was there already.
    ReactedBefore,
    Unreacted,
    Read(LastRead),
}

/// What a commit did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) head: Head,
    /// One for each command, with the revision that it took where it changed something.
    pub(crate) fates: Vec<Result<Done, Problem>>,
    /// The revision before the first command's.
    pub(crate) base: Revision,
    /// The messages that the commands other than sends name, as they are now.
    pub(crate) states: Vec<state::State>,
    pub(crate) actors: HashMap<String, Actor>,
}

/// What running a commit came to.
#[derive(Debug)]
pub(crate) enum Run {
    /// It is in, or nothing of it passed: either way this is what became of each command.
    Settled(Outcome),
    /// Another commit is in where this one expects its predecessor: nothing of it took effect.
    Fenced(Head),
    /// There is no such channel.
    NoChannel(HashMap<String, Actor>),
}

#[derive(Deserialize)]
struct Sent {
    k: usize,
    sequence: Option<Sequence>,
    revision: Option<Revision>,
    first: Option<MessageRow>,
    digest: Option<String>,
    signed_digest: Option<String>,
    #[serde(deserialize_with = "bool_of_int")]
    reply_lives: bool,
}

#[derive(Deserialize)]
struct Touched {
    k: usize,
    #[serde(deserialize_with = "bool_of_int")]
    found: bool,
    sender: Option<String>,
    #[serde(deserialize_with = "bool_of_int")]
    deleted: bool,
    revision: Option<Revision>,
    reaction: Option<Revision>,
    #[serde(deserialize_with = "bool_of_int")]
    signed: bool,
    signed_at: Option<Timestamp>,
    edit_digest: Option<String>,
}

#[derive(Deserialize)]
struct Read {
    k: usize,
    last_sequence: Sequence,
    unread_count: u32,
    mention_count: u32,
}

impl Commit {
    /// Runs it, `previous` being the commit that the channel's row must carry.
    pub(crate) async fn run(&self, database: &impl Database, previous: &str) -> Result<Run, DatabaseError> {
        let lists = Lists::of(&self.operations);
        let statements = self.statements(&lists, previous);
        let mut answers = Answers::of(database, statements.all).await?;
        for _ in 0..statements.changes {
            answers.next_rows()?;
        }
        self.read(&lists, previous, &mut answers)
    }

    fn statements(&self, lists: &Lists<'_>, previous: &str) -> Statements {
        let channel = Value::from(self.channel.to_string());
        let fence = Value::from(previous);
        let callers: Value = rows::callers(self.operations.iter().map(|o| &o.caller)).into();
        let common = vec![channel.clone(), fence.clone(), callers, self.now.into()];
        let mut all = Vec::with_capacity(16);
        if self.provision {
            all.push(Statement::new(sql::PROVISION, common.clone()));
            all.push(Statement::sharing(sql::VISIT, &common));
        }
        let kinds: [(&[Row<'_>], &[&'static str]); 11] = [
            (&lists.sends, &[sql::SEND]),
            (&lists.mentions, &[sql::SEND_MENTIONS]),
            (&lists.edits, &[sql::EDIT_FORGETS_MENTIONS]),
            (&lists.edit_mentions, &[sql::EDIT_MENTIONS]),
            (&lists.edits, &[sql::EDIT]),
            (
                &lists.deletes,
                &[
                    sql::DELETE_FORGETS_MENTIONS,
                    sql::DELETE,
                    sql::DELETE_FORGETS_REACTIONS,
                    sql::DELETE_IS_RECORDED,
                ],
            ),
            (&lists.reacts, &[sql::REACT, sql::REACT_TOUCHES]),
            (&lists.unreacts, &[sql::UNREACT_TOUCHES, sql::UNREACT]),
            (&lists.reads, &[sql::MARK_READ]),
            (&lists.erasures, &[sql::ERASE_FORGETS_MENTIONS, sql::ERASE_FORGETS_REACTIONS, sql::ERASE]),
            (&lists.reaction_erasures, &[sql::ERASE_REACTIONS_TOUCHES, sql::ERASE_REACTIONS]),
        ];
        for (list, statements) in kinds {
            push_all(&mut all, &common, list, statements);
        }
        all.push(Statement::new(
            sql::CLOSE,
            vec![
                channel.clone(),
                fence,
                self.id.to_string().into(),
                Value::from(self.operations.len() as u64),
            ],
        ));
        let changes = all.len();
        all.push(head_statement(self.channel));
        all.push(Statement::new(sql::ACTORS, common.clone()));
        push_all(&mut all, &common, &lists.sends, &[sql::SENT]);
        push_all(&mut all, &common, &lists.touched, &[sql::TOUCHED]);
        if !lists.touched_ids.is_empty() {
            all.push(state::by_id(self.channel, &lists.touched_ids));
        }
        push_all(&mut all, &common, &lists.reads, &[sql::READ]);
        Statements { all, changes }
    }

    fn read(&self, lists: &Lists<'_>, previous: &str, answers: &mut Answers) -> Result<Run, DatabaseError> {
        let head: Option<Head> = answers.next_rows()?.first()?;
        let actors: Vec<Actor> = answers.next_rows()?.decode()?;
        let actors: HashMap<_, _> = actors.into_iter().map(|actor| (actor.id.clone(), actor)).collect();
        let Some(head) = head else { return Ok(Run::NoChannel(actors)) };
        let in_effect = head.commit_id == self.id.to_string();
        if !in_effect && head.commit_id != previous {
            return Ok(Run::Fenced(head));
        }
        let sent: Vec<Sent> = decode_if(!lists.sends.is_empty(), answers)?;
        let touched: Vec<Touched> = decode_if(!lists.touched.is_empty(), answers)?;
        let states =
            if lists.touched_ids.is_empty() { Vec::new() } else { state::decode(&answers.next_rows()?)? };
        let read: Vec<Read> = decode_if(!lists.reads.is_empty(), answers)?;
        let base = if in_effect {
            head.revision.saturating_sub(self.operations.len() as u64)
        } else {
            head.revision
        };
        let judge = Judge { commit: self, head: &head, actors: &actors, base, in_effect };
        let mut fates = vec![Err(Problem::internal()); self.operations.len()];
        let judged = sent.into_iter().map(|row| (row.k, judge.sent(row)));
        let judged = judged.chain(touched.into_iter().map(|row| (row.k, judge.touched(&row))));
        for (k, fate) in judged.chain(read.into_iter().map(|row| (row.k, judge.read(&row)))) {
            if let Some(slot) = fates.get_mut(k) {
                *slot = fate;
            }
        }
        Ok(Run::Settled(Outcome { head, fates, base, states, actors }))
    }
}

struct Statements {
    all: Vec<Statement>,
    /// How many of them answer nothing.
    changes: usize,
}

fn push_all(to: &mut Vec<Statement>, common: &[Value], list: &[Row<'_>], statements: &[&'static str]) {
    if list.is_empty() {
        return;
    }
    let list: Value = rows::json(list).into();
    for sql in statements {
        let mut params = common.to_vec();
        params.push(list.clone());
        to.push(Statement::new(sql, params));
    }
}

fn decode_if<T: serde::de::DeserializeOwned>(
    asked: bool,
    answers: &mut Answers,
) -> Result<Vec<T>, DatabaseError> {
    if asked { answers.next_rows()?.decode() } else { Ok(Vec::new()) }
}

/// Tells from the rows what became of a command, and why where nothing did.
struct Judge<'a> {
    commit: &'a Commit,
    head: &'a Head,
    actors: &'a HashMap<String, Actor>,
    base: Revision,
    in_effect: bool,
}

impl Judge<'_> {
    fn operation(&self, k: usize) -> Result<&Operation, Problem> {
        self.commit.operations.get(k).ok_or_else(Problem::internal)
    }

    /// The caller, where they may act in the channel at all.
    fn actor(&self, operation: &Operation) -> Result<&Actor, Problem> {
        let actor = self.actors.get(operation.caller.user_id.as_str()).ok_or_else(Problem::internal)?;
        actor.admitted(Some(self.head))?;
        Ok(actor)
    }

    fn need(&self, operation: &Operation, permission: Permissions) -> Result<(), Problem> {
        if self.actor(operation)?.may(permission) {
            return Ok(());
        }
        Err(Code::Forbidden.with("you don't have the permission that this needs"))
    }

    /// That the caller signed with the key that they are known by.
    fn own_key(&self, operation: &Operation, seal: Option<&Seal>) -> Result<(), Problem> {
        let own = self.actor(operation)?.pubkey.as_deref();
        if seal.is_none_or(|seal| own == Some(seal.author.to_string().as_str())) {
            return Ok(());
        }
        Err(Code::Forbidden.with("the envelope is signed with a key that is not yours"))
    }

    fn sent(&self, row: Sent) -> Result<Done, Problem> {
        let operation = self.operation(row.k)?;
        let Command::Send(send) = &operation.command else { return Err(Problem::internal()) };
        if let (Some(sequence), Some(revision)) = (row.sequence, row.revision) {
            let actor = self.actors.get(operation.caller.user_id.as_str()).ok_or_else(Problem::internal)?;
            return Ok(Done::Sent(ChatMessage {
                id: operation.message_id.to_string(),
                channel_id: self.commit.channel.to_string(),
                sender_pubkey: actor.pubkey.clone().unwrap_or_default(),
                sender_display_name: actor.name.clone().unwrap_or_default(),
                content: send.content.as_str().to_owned(),
                timestamp: operation.timestamp,
                server_sequence: sequence,
                reply_to_id: send.reply_to.map(|id| id.to_string()),
                mention_user_ids: send.mentions.users.clone(),
                mention_role_ids: send.mentions.roles.clone(),
                sender_id: operation.caller.user_id.as_str().to_owned(),
                revision,
                nonce: send.nonce.as_ref().map(|nonce| nonce.as_str().to_owned()).unwrap_or_default(),
                signature: send.seal.as_ref().map(|seal| seal.signature.clone()).unwrap_or_default(),
                envelope: send.seal.as_ref().map(|seal| seal.envelope.clone()).unwrap_or_default(),
                ..ChatMessage::default()
            }));
        }
        self.need(operation, Permissions::SEND_MESSAGES)?;
        self.own_key(operation, send.seal.as_deref())?;
        if let Some(first) = row.first {
            let same_seal =
                send.seal.as_ref().is_some_and(|seal| row.signed_digest.as_ref() == Some(&seal.digest));
            if same_seal || row.digest.as_deref() == Some(send.digest.as_str()) {
                return Ok(Done::Replayed(first.seen_by(&operation.caller.user_id)));
            }
            return Err(Code::NonceReused.with("this nonce was used for another message"));
        }
        if !row.reply_lives {
            return Err(Code::ReplyTargetNotFound.with("reply_to_id names no message of this channel"));
        }
        Err(Problem::storage_unavailable())
    }

    fn touched(&self, row: &Touched) -> Result<Done, Problem> {
        let operation = self.operation(row.k)?;
        let took_effect = self.in_effect && row.revision == Some(self.base + row.k as u64 + 1);
        let added = self.in_effect && row.reaction == Some(self.base + row.k as u64 + 1);
        match &operation.command {
            Command::Edit(_) if took_effect && !row.deleted => return Ok(Done::Edited),
            Command::Delete { .. } | Command::Erase { .. } if took_effect && row.deleted => {
                return Ok(Done::Deleted);
            }
            Command::React { .. } if added => return Ok(Done::Reacted),
            Command::Unreact { .. } if took_effect && row.reaction.is_none() => return Ok(Done::Unreacted),
            // Several of one message's may go at once: it has the revision of the last of them.
            Command::EraseReaction { .. }
                if self.in_effect && row.reaction.is_none() && row.revision > Some(self.base) =>
            {
                return Ok(Done::Unreacted);
            }
            Command::Erase { .. } | Command::EraseReaction { .. } => {
                return Err(Code::MessageNotFound.with("there is nothing to erase"));
            }
            _ => {}
        }
        self.actor(operation)?;
        let seal = if let Command::Edit(edit) = &operation.command { edit.seal.as_deref() } else { None };
        self.own_key(operation, seal)?;
        if seal.is_some_and(|seal| row.edit_digest.as_ref() == Some(&seal.digest)) {
            return Ok(Done::EditedBefore);
        }
        if !row.found || row.deleted {
            return Err(Code::MessageNotFound.with("there is no such message"));
        }
        let own = row.sender.as_deref() == Some(operation.caller.user_id.as_str());
        match &operation.command {
            Command::Edit(_) if !own => Err(Code::Forbidden.with("only its sender can edit a message")),
            // Else receivers could not tell it from a server that takes a signature away.
            Command::Edit(_) if seal.is_none() && row.signed => {
                Err(Code::SignatureRequired.with("a signed message can only be edited with a signature"))
            }
            Command::Edit(_)
                if seal.is_some_and(|seal| row.signed_at.is_some_and(|at| seal.timestamp <= at)) =>
            {
                Err(Code::EnvelopeStale.with("the message's envelope is not older than this one"))
            }
            Command::Delete { .. } if !own => {
                self.need(operation, Permissions::MANAGE_MESSAGES)?;
                Err(Problem::storage_unavailable())
            }
            Command::React { .. } => {
                self.need(operation, Permissions::ADD_REACTIONS)?;
                if row.reaction.is_some() {
                    return Ok(Done::ReactedBefore);
                }
                Err(Code::TooManyReactions.with("a message has at most 20 distinct emoji"))
            }
            Command::Unreact { .. } if row.reaction.is_none() => {
                Err(Code::ReactionNotFound.with("you have not reacted with this emoji"))
            }
            // Nothing explains why it did not pass, so something changed in between: it may pass the next time.
            _ => Err(Problem::storage_unavailable()),
        }
    }

    fn read(&self, row: &Read) -> Result<Done, Problem> {
        let operation = self.operation(row.k)?;
        self.actor(operation)?;
        if let Command::MarkRead { sequence, .. } = &operation.command
            && *sequence > self.head.last_sequence
        {
            return Err(Code::SequenceOutOfRange
                .with(format!("the channel's last message is {}", self.head.last_sequence)));
        }
        Ok(Done::Read(LastRead {
            channel_id: self.commit.channel.to_string(),
            last_sequence: row.last_sequence,
            unread_count: row.unread_count,
            mention_count: row.mention_count,
        }))
    }
}

/// Reads where a channel stands.
pub(crate) async fn read_head(
    database: &impl Database,
    channel: ChannelId,
) -> Result<Option<Head>, DatabaseError> {
    Answers::of(database, vec![head_statement(channel)]).await?.next_rows()?.first()
}
