//! History: a page of a channel's live messages, newest first.
//!
//! A page is a range of the table's own key, and one row more than is shown tells whether others follow; a probe for a
//! single row tells the same of the other direction. Deleted messages keep their rows, so the
//! range steps over them.

use super::{MAX_NUMBER, cut, snapshot};
use crate::{
    access::Caller,
    database::{Answers, Database, DatabaseError, Statement},
    erasure::erased_sql,
    ids::{ChannelId, Sequence, Timestamp},
    message::{MessageRow, message_sql, reactions_sql},
    problem::{Code, Problem},
    proto::{ChatMessage, FetchHistoryRequest, FetchHistoryResponse},
};

/// How many messages a page has where nothing is said.
const DEFAULT: u64 = 50;
/// How many it has at most.
pub const MAX: u64 = 100;

/// Which page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    place: Place,
    limit: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Newest,
    Before(Sequence),
    After(Sequence),
    Around(Sequence),
}

impl PageRequest {
    /// The page that a query asks for, each parameter as far as it is there.
    ///
    /// # Errors
    /// 400 `QUERY_INVALID` for a limit that is not from 1 to 100, and for more than one place at once.
    pub fn from_query(
        limit: Option<u64>,
        before: Option<Sequence>,
        after: Option<Sequence>,
        around: Option<Sequence>,
    ) -> Result<Self, Problem> {
        let exact = |sequence: Sequence| sequence.min(MAX_NUMBER);
        let place = match (before.map(exact), after.map(exact), around.map(exact)) {
            (None, None, None) => Place::Newest,
            (Some(sequence), None, None) => Place::Before(sequence),
            (None, Some(sequence), None) => Place::After(sequence),
            (None, None, Some(sequence)) => Place::Around(sequence),
            _ => return Err(Code::QueryInvalid.with("at most one of before, after and around")),
        };
        Ok(Self { place, limit: super::limit(limit, DEFAULT, MAX)? })
    }

    /// The page that a socket's request asks for. There 0 is what a query leaves out.
    ///
    /// # Errors
    /// Those of [`Self::from_query`].
    pub fn from_request(request: &FetchHistoryRequest) -> Result<Self, Problem> {
        let given = |number: u64| (number != 0).then_some(number);
        Self::from_query(
            given(request.limit.into()),
            given(request.before_sequence),
            given(request.after_sequence),
            given(request.around_sequence),
        )
    }
}

/// The newest `?3` live messages below `?4`, as `?2` sees them.
const BELOW: &str = concat!(
    "SELECT ",
    message_sql!(reactions_sql!("?2", "20"), live),
    " AS json
     FROM messages m WHERE m.channel_id = ?1 AND m.server_sequence < ?4 AND m.deleted = 0 AND NOT ",
    erased_sql!("m"),
    "
     ORDER BY m.server_sequence DESC LIMIT ?3"
);

/// The same, but only so many as are left of `?3` where up to `?5` messages from `?4` on stand beside them.
const BELOW_THE_NEWER: &str = concat!(
    "SELECT ", message_sql!(reactions_sql!("?2", "20"), live), " AS json
     FROM messages m WHERE m.channel_id = ?1 AND m.server_sequence < ?4 AND m.deleted = 0 AND NOT ", erased_sql!("m"), "
     ORDER BY m.server_sequence DESC
     LIMIT ?3 - coalesce((SELECT max(0, min(?5, c.last_sequence + 1 - ?4)) FROM channels c WHERE c.id = ?1), 0)"
);

/// The oldest `?3` live messages from `?4` on, as `?2` sees them.
const FROM: &str = concat!(
    "SELECT ",
    message_sql!(reactions_sql!("?2", "20"), live),
    " AS json
     FROM messages m WHERE m.channel_id = ?1 AND m.server_sequence >= ?4 AND m.deleted = 0 AND NOT ",
    erased_sql!("m"),
    "
     ORDER BY m.server_sequence LIMIT ?3"
);

/// Whether any live message is below `?2`.
const ANY_BELOW: &str = concat!(
    "SELECT json(EXISTS (SELECT 1 FROM messages m WHERE m.channel_id = ?1 AND m.server_sequence < ?2 AND m.deleted = 0 AND NOT ",
    erased_sql!("m"),
    ")) AS json"
);

/// Whether any live message is at `?2` or above.
const ANY_FROM: &str = concat!(
    "SELECT json(EXISTS (SELECT 1 FROM messages m WHERE m.channel_id = ?1 AND m.server_sequence >= ?2 AND m.deleted = 0 AND NOT ",
    erased_sql!("m"),
    ")) AS json"
);

/// Reads a page.
///
/// # Errors
/// 403 `BANNED`, 404 `CHANNEL_NOT_FOUND`, 503 `STORAGE_UNAVAILABLE`.
pub async fn page(
    database: &impl Database,
    caller: &Caller,
    channel: ChannelId,
    request: &PageRequest,
    now: Timestamp,
) -> Result<FetchHistoryResponse, Problem> {
    let limit = request.limit;
    let reader = Reader { caller, channel };
    let statements = match request.place {
        Place::Newest => vec![reader.rows(BELOW, limit + 1, MAX_NUMBER)],
        Place::Before(sequence) => {
            vec![reader.rows(BELOW, limit + 1, sequence), reader.probe(ANY_FROM, sequence)]
        }
        Place::After(sequence) => {
            vec![reader.rows(FROM, limit + 1, sequence + 1), reader.probe(ANY_BELOW, sequence + 1)]
        }
        Place::Around(sequence) => return around(database, &reader, sequence, limit, now).await,
    };
    let (access, mut answers) = snapshot(database, caller, channel, now, statements).await?;
    let mut messages = reader.messages(&mut answers)?;
    let further = cut(&mut messages, limit);
    let (has_more, has_newer) = match request.place {
        Place::After(_) => {
            messages.reverse();
            (any(&mut answers)?, further)
        }
        Place::Before(_) => (further, any(&mut answers)?),
        Place::Newest | Place::Around(_) => (further, false),
    };
    Ok(FetchHistoryResponse { messages, has_more, has_newer, revision: access.revision })
}

/// A page with `sequence` itself, up to half of `limit` newer ones, and older ones for the rest.
///
/// How many newer ones there are says how many older ones to read. The channel's last sequence tells, but for messages
/// deleted among the newest: only then a second batch reads without relying on it.
async fn around(
    database: &impl Database,
    reader: &Reader<'_>,
    sequence: Sequence,
    limit: u64,
    now: Timestamp,
) -> Result<FetchHistoryResponse, Problem> {
    let half = limit / 2;
    let newer = reader.rows(FROM, half + 1, sequence + 1);
    let mut older = reader.rows(BELOW_THE_NEWER, limit + 1, sequence + 1);
    older.params.push(half.into());
    let statements = [newer.clone(), older];
    let (mut access, mut answers) =
        snapshot(database, reader.caller, reader.channel, now, statements).await?;
    let mut messages = reader.messages(&mut answers)?;
    let expected = half.min(access.last_sequence.saturating_sub(sequence));
    if (messages.len() as u64) < expected {
        let statements = [newer, reader.rows(BELOW, limit + 1, sequence + 1)];
        (access, answers) = snapshot(database, reader.caller, reader.channel, now, statements).await?;
        messages = reader.messages(&mut answers)?;
    }
    let has_newer = cut(&mut messages, half);
    messages.reverse();
    messages.append(&mut reader.messages(&mut answers)?);
    let has_more = cut(&mut messages, limit);
    Ok(FetchHistoryResponse { messages, has_more, has_newer, revision: access.revision })
}

/// Who reads where.
struct Reader<'a> {
    caller: &'a Caller,
    channel: ChannelId,
}

impl Reader<'_> {
    fn rows(&self, sql: &'static str, limit: u64, sequence: Sequence) -> Statement {
        let reader = self.caller.user_id.as_str();
        Statement::new(
            sql,
            vec![self.channel.to_string().into(), reader.into(), limit.into(), sequence.into()],
        )
    }

    fn probe(&self, sql: &'static str, sequence: Sequence) -> Statement {
        Statement::new(sql, vec![self.channel.to_string().into(), sequence.into()])
    }

    fn messages(&self, answers: &mut Answers) -> Result<Vec<ChatMessage>, DatabaseError> {
        let rows: Vec<MessageRow> = answers.next_rows()?.decode()?;
        Ok(rows.into_iter().map(|row| row.seen_by(&self.caller.user_id)).collect())
    }
}

/// What a probe found.
fn any(answers: &mut Answers) -> Result<bool, DatabaseError> {
    Ok(answers.next_rows()?.first::<u8>()? == Some(1))
}
