//! SQLite in memory behind the `Database` trait, with the real migrations: what stands in for D1 in native tests.
//!
//! A [`Sqlite`] is a handle: its clones are further connections to the same database, as the Worker and the objects
//! of several channels have them. A batch runs at once and whole, so that nothing can come between its statements,
//! as in D1; faults and delays are for the simulation to add around it.

use std::{
    cell::{Cell, RefCell},
    path::Path,
    rc::Rc,
};

use edgewise_core::{
    database::{Database, DatabaseError, Rows, Statement, Value},
    ids::ChannelId,
};
use rusqlite::{Connection, StatementStatus, ToSql, types::ToSqlOutput};

/// What D1 holds a statement to.
const MAX_PARAMS: usize = 100;
const MAX_SQL: usize = 100_000;
const MAX_VALUE: usize = 2_000_000;
/// Beyond it a JavaScript number is no longer exact.
const MAX_INTEGER: u64 = 1 << 53;

/// What a handle's batches have cost since [`Sqlite::reset_cost`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    pub batches: u64,
    pub statements: u64,
    /// Rows passed over without an index. Not D1's `rows_read`, which counts the rows found by an index as well, but
    /// it grows where an index is missing.
    pub scanned: u64,
    /// Steps of SQLite's machine: deterministic, so that what should not grow with a table can be held not to.
    pub steps: u64,
    /// Rows inserted, changed or deleted, those of indexes left out.
    pub changed: u64,
}

/// A connection to an in-memory database. Cheap to clone; clones share the database, not the cost.
#[derive(Debug)]
pub struct Sqlite {
    connection: Rc<RefCell<Connection>>,
    cost: Cell<Cost>,
    recompiled: Rc<Cell<u64>>,
}

impl Clone for Sqlite {
    fn clone(&self) -> Self {
        Self {
            connection: Rc::clone(&self.connection),
            cost: Cell::default(),
            recompiled: Rc::clone(&self.recompiled),
        }
    }
}

impl Sqlite {
    /// A fresh database with every migration applied, in order.
    pub fn new() -> Self {
        let connection = Connection::open_in_memory().expect("SQLite opens in memory");
        connection.set_prepared_statement_cache_capacity(256);
        connection.pragma_update(None, "foreign_keys", true).expect("foreign keys can be enforced");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .expect("the migrations are where they should be")
            .map(|entry| entry.expect("a folder entry reads").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
            .collect();
        files.sort();
        for file in files {
            let sql = std::fs::read_to_string(&file).expect("a migration reads");
            connection.execute_batch(&sql).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
        Self {
            connection: Rc::new(RefCell::new(connection)),
            cost: Cell::default(),
            recompiled: Rc::default(),
        }
    }

    /// The id of `general`, which the first migration makes.
    pub fn general(&self) -> ChannelId {
        let id: String = self.value("SELECT id FROM channels WHERE name = 'general'");
        ChannelId::parse(&id).expect("the migration makes a UUID")
    }

    /// Runs any SQL, for what a test arranges by hand.
    pub fn execute(&self, sql: &str) {
        self.connection.borrow().execute_batch(sql).unwrap_or_else(|error| panic!("{error} in {sql}"));
    }

    /// The one value that a query answers, for what a test looks at by hand.
    pub fn value<T: rusqlite::types::FromSql>(&self, sql: &str) -> T {
        self.connection
            .borrow()
            .query_row(sql, [], |row| row.get(0))
            .unwrap_or_else(|error| panic!("{error} in {sql}"))
    }

    /// The same for a number that is not negative.
    pub fn number(&self, sql: &str) -> u64 {
        u64::try_from(self.value::<i64>(sql)).expect("not below zero")
    }

    /// What this handle's batches have cost.
    pub fn cost(&self) -> Cost {
        self.cost.get()
    }

    /// How often SQLite compiled a statement once more that it had compiled before, through whatever handle.
    pub fn recompiled(&self) -> u64 {
        self.recompiled.get()
    }

    /// Counts from zero again.
    pub fn reset_cost(&self) {
        self.cost.set(Cost::default());
    }

    /// One batch, without the trait's `async`.
    pub fn run(&self, statements: &[Statement]) -> Result<Vec<Rows>, DatabaseError> {
        let mut connection = self.connection.borrow_mut();
        let mut cost = self.cost.get();
        cost.batches += 1;
        let answer = (|| {
            // Dropped uncommitted, it rolls back.
            let transaction = connection.transaction().map_err(refused)?;
            let answers = statements
                .iter()
                .map(|statement| run(&transaction, statement, &mut cost, &self.recompiled))
                .collect::<Result<_, _>>()?;
            transaction.commit().map_err(refused)?;
            Ok(answers)
        })();
        self.cost.set(cost);
        answer
    }
}

impl Database for Sqlite {
    async fn batch(&self, statements: Vec<Statement>) -> Result<Vec<Rows>, DatabaseError> {
        self.run(&statements)
    }
}

fn run(
    connection: &Connection,
    statement: &Statement,
    cost: &mut Cost,
    recompiled: &Cell<u64>,
) -> Result<Rows, DatabaseError> {
    within_limits(statement)?;
    cost.statements += 1;
    let changed_before = connection.total_changes();
    let mut prepared = connection.prepare_cached(statement.sql).map_err(refused)?;
    prepared.reset_status(StatementStatus::FullscanStep);
    prepared.reset_status(StatementStatus::VmStep);
    prepared.reset_status(StatementStatus::RePrepare);
    let answers = prepared.column_count() > 0;
    if answers && !prepared.column_names().eq(["json"]) {
        return Err(DatabaseError::Malformed(format!("not one column named json: {}", statement.sql)));
    }
    let params = rusqlite::params_from_iter(statement.params.iter().map(Param));
    let rows = if answers {
        prepared
            .query_map(params, |row| row.get::<_, String>(0))
            .and_then(Iterator::collect)
            .map_err(refused)?
    } else {
        prepared.execute(params).map_err(refused)?;
        Vec::new()
    };
    cost.scanned += status(&prepared, StatementStatus::FullscanStep);
    cost.steps += status(&prepared, StatementStatus::VmStep);
    recompiled.set(recompiled.get() + status(&prepared, StatementStatus::RePrepare));
    cost.changed += connection.total_changes() - changed_before;
    Ok(Rows(rows))
}

fn within_limits(statement: &Statement) -> Result<(), DatabaseError> {
    let fault = if statement.sql.len() > MAX_SQL {
        Some("more than 100 KB of SQL")
    } else if statement.params.len() > MAX_PARAMS {
        Some("more than 100 parameters")
    } else if statement.params.iter().any(|value| match value {
        Value::Null => false,
        Value::Integer(integer) => integer.unsigned_abs() > MAX_INTEGER,
        Value::Text(text) => text.len() > MAX_VALUE,
    }) {
        Some("a value that D1 does not carry")
    } else {
        None
    };
    fault.map_or(Ok(()), |fault| Err(DatabaseError::Refused(fault.into())))
}

fn status(statement: &rusqlite::Statement<'_>, what: StatementStatus) -> u64 {
    u64::try_from(statement.get_status(what)).unwrap_or(0)
}

#[allow(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
fn refused(error: rusqlite::Error) -> DatabaseError {
    DatabaseError::Refused(error.to_string())
}

struct Param<'a>(&'a Value);

impl ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Value::Null => rusqlite::types::Null.into(),
            // As D1 binds a JavaScript number: where a parameter shows in an answer, so does the difference.
            #[allow(clippy::cast_precision_loss, reason = "within 2^53, as was checked")]
            Value::Integer(integer) => (*integer as f64).into(),
            Value::Text(text) => ToSqlOutput::from(&**text),
        })
    }
}
