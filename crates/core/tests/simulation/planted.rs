//! Faults that are planted to show that the simulation bites: each is a mistake that an engine like this could make,
//! and with each of them a run of seeds must fail.

use edgewise_core::database::{DatabaseError, Rows, Statement};

use crate::support::sqlite::Sqlite;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    Nothing,
    /// Commits do not look whether another came before: a late one takes effect after newer ones.
    NoFence,
    /// The answer is given, and nothing was stored.
    AckBeforeCommit,
    /// Reactions do not move their message's revision: who was away never hears of them.
    ReactionWithoutRevision,
    /// A deletion leaves the reactions in place.
    ReactionsOutliveMessage,
    /// Sequences are counted over all commands, refused ones included: holes.
    SequenceCountsRefused,
    /// An edit takes the place of a later one.
    OlderEditComesBack,
    /// A deletion leaves the envelope, and with it what was said.
    EnvelopeOutlivesMessage,
}

impl Planted {
    pub const ALL: [Self; 7] = [
        Self::NoFence,
        Self::AckBeforeCommit,
        Self::ReactionWithoutRevision,
        Self::ReactionsOutliveMessage,
        Self::SequenceCountsRefused,
        Self::OlderEditComesBack,
        Self::EnvelopeOutlivesMessage,
    ];

    pub fn run(self, database: &Sqlite, statements: &[Statement]) -> Result<Vec<Rows>, DatabaseError> {
        if self == Self::Nothing {
            return database.run(statements);
        }
        let changed: Vec<_> = statements.iter().map(|statement| self.change(statement)).collect();
        let answer = database.run(&changed);
        if self == Self::AckBeforeCommit && statements.iter().any(|s| s.sql.contains("INSERT INTO messages"))
        {
            // What was answered is taken back: as if the reply had not waited for the commit.
            database.execute(
                "DELETE FROM messages WHERE content_text LIKE '%7' AND revision = (SELECT max(revision) FROM messages)
                   AND NOT EXISTS (SELECT 1 FROM reactions r WHERE r.server_sequence = messages.server_sequence)",
            );
        }
        answer
    }

    fn change(self, statement: &Statement) -> Statement {
        let sql = statement.sql;
        let changed = match self {
            Self::NoFence => {
                sql.replace("c.commit_id = +?2", "?2 = ?2").replace("commit_id = +?2\n", "?2 = ?2\n")
            }
            Self::ReactionWithoutRevision if sql.contains("max(r.revision)") => {
                sql.replace("SET revision = added.revision", "SET revision = messages.revision")
            }
            Self::ReactionsOutliveMessage
                if sql.contains(
                    "DELETE FROM reactions WHERE channel_id = +?1 AND server_sequence IN (SELECT sequence",
                ) =>
            {
                sql.replace("IN (SELECT sequence FROM valid)", "IN (SELECT -1 FROM valid)")
            }
            Self::OlderEditComesBack => sql.replace("m.signed_at < op.sealed_at", "true"),
            Self::EnvelopeOutlivesMessage => sql.replace("payload = NULL, ", ""),
            Self::SequenceCountsRefused => sql.replace("row_number() OVER (ORDER BY op.k)", "op.k + 1"),
            _ => return statement.clone(),
        };
        // Leaked once a statement and run of the test: `Statement` takes static text only, as it should.
        Statement { sql: Box::leak(changed.into_boxed_str()), params: statement.params.clone() }
    }
}
