//! Changes that are decided by one question: a batch that judges, records, and acts.
//!
//! 1. The *verdict* is an SQL expression: an empty text, or why not. It is the one place that says who may.
//! 2. The *entry* in the audit log is written where the verdict is empty, and where anything is to be changed.
//! 3. Every further statement acts where that entry is. So what was done is on record, what is on record was done,
//!    and nothing that an earlier statement changes (the caller's own roles, say) sways a later one.
//!
//! All statements of such a batch number their parameters alike: `?1` the caller, `?2` their token's rank, which gives
//! every permission where it is not 0, `?3` the time, `?4` the entry's id, `?5` the caller's name or NULL, and from `?6` on their own.

use crate::{
    access::Caller,
    database::{Answers, Database, Rows, Statement, Value},
    ids::{EntryId, Timestamp},
    problem::{Code, Problem},
};

/// Who wants a change, when, and under which id it will be on record.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who.
    pub caller: &'a Caller,
    /// When.
    pub now: Timestamp,
    /// The audit entry's id, which no other has.
    pub entry: EntryId,
}

/// The statement that answers with a verdict.
macro_rules! verdict {
    ($($verdict:expr),+) => { concat!("SELECT json_quote(", $($verdict,)+ ") AS json") };
}
pub(crate) use verdict;

/// The statement that writes the entry where the verdict is empty, and where `$changes`.
macro_rules! entry {
    ($verdict:expr, $action:literal, $target:literal, $details:literal, $changes:literal) => {
        $crate::audit::recorded!(
            id: "?4", actor: "?1", at: "?3", action: $action, target: $target, details: $details,
            if: "(", $verdict, ") = '' AND ", $changes
        )
    };
}
pub(crate) use entry;

/// That the change was decided for.
macro_rules! decided {
    () => {
        "EXISTS (SELECT 1 FROM audit WHERE id = ?4)"
    };
}
pub(crate) use decided;

/// The caller's permissions, within a verdict or behind it.
macro_rules! own_bits {
    () => {
        crate::access::bits_sql!("?1", "?2")
    };
}
pub(crate) use own_bits;

/// Who changes something is a known user from then on; a name is written only where it changed.
pub(crate) const PROVISION: &str = concat!(
    "INSERT INTO users (id, display_name, created_at, token_rank)
     SELECT ?1, coalesce(?5, (SELECT display_name FROM users WHERE id = ?1), ?1), ?3, ?2 WHERE ",
    decided!(),
    "
     ON CONFLICT (id) DO UPDATE SET display_name = excluded.display_name, token_rank = excluded.token_rank
     WHERE users.display_name <> excluded.display_name OR users.token_rank <> excluded.token_rank"
);

/// Runs a decision: the verdict's statement, the entry's, those that act, and at last one whose rows are answered.
pub(crate) async fn run(
    database: &impl Database,
    request: Request<'_>,
    own: impl IntoIterator<Item = Value>,
    verdict: &'static str,
    acts: &[&'static str],
) -> Result<Rows, Problem> {
    let Request { caller, now, entry } = request;
    let mut params: Vec<Value> = vec![
        caller.user_id.as_str().into(),
        caller.token_rank().into(),
        now.into(),
        entry.to_string().into(),
        caller.display_name.clone().into(),
    ];
    params.extend(own);
    let statements = std::iter::once(verdict).chain(acts.iter().copied());
    let statements = statements.map(|sql| Statement::sharing(sql, &params)).collect();
    let mut answers = Answers::of(database, statements).await?;
    let verdict: String = answers.next_rows()?.first()?.ok_or_else(Problem::internal)?;
    pronounced(&verdict)?;
    let mut last = Rows::default();
    for _ in acts {
        last = answers.next_rows()?;
    }
    Ok(last)
}

/// What a verdict means: the words that verdicts are made of.
fn pronounced(verdict: &str) -> Result<(), Problem> {
    Err(match verdict {
        "" => return Ok(()),
        "BANNED" => Code::Banned.with("you are banned"),
        "FORBIDDEN" => Code::Forbidden.with("you don't have the permission that this needs"),
        "OUTRANKED" => Code::Forbidden.with("this takes permissions that you don't have yourself"),
        "DEFAULT" => Code::Forbidden.with("everyone has this role: it can be changed, not taken or deleted"),
        "SELF" => Code::Forbidden.with("nobody can do this to themselves"),
        "ROLE_NOT_FOUND" => Code::RoleNotFound.with("there is no such role"),
        "USER_NOT_FOUND" => Code::UserNotFound.with("there is no such user"),
        "INVITE_NOT_FOUND" => Code::InviteNotFound.with("there is no such invite"),
        "BAN_NOT_FOUND" => Code::BanNotFound.with("this user is not banned"),
        "NAME_TAKEN" => Code::NameTaken.with("another one has this name"),
        _ => Problem::internal(),
    })
}
