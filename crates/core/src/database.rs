//! The database as the rest of this crate sees it: batches of statements, each batch one transaction.
//!
//! Every statement that answers does so in rows of one text column, a JSON document each. SQLite builds the
//! document, one string crosses from JavaScript instead of a property a column, and `serde` gives it its type; and
//! the same text comes out of D1 and of the SQLite that the tests run on.

use std::rc::Rc;

use serde::de::DeserializeOwned;
use thiserror::Error;

/// One bound parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// Below 2^53 in either direction: D1 carries it as a JavaScript number.
    Integer(i64),
    /// UTF-8, at most 2 MB.
    Text(Rc<str>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Integer(value.into())
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One statement with its parameters `?1`, `?2`, ….
#[derive(Debug, Clone)]
pub struct Statement {
    /// The text. Static: no value is ever written into SQL.
    pub sql: &'static str,
    /// At most 100.
    pub params: Vec<Value>,
}

impl Statement {
    /// A statement and what it is given.
    #[must_use]
    pub const fn new(sql: &'static str, params: Vec<Value>) -> Self {
        Self { sql, params }
    }

    /// A statement with as many of `params` as it names: D1 takes neither fewer nor more.
    ///
    /// So that several statements of a batch can share one numbering.
    #[must_use]
    pub fn sharing(sql: &'static str, params: &[Value]) -> Self {
        let named = sql.split('?').skip(1).filter_map(|rest| {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            rest.get(..digits)?.parse::<usize>().ok()
        });
        let count = named.max().unwrap_or_default();
        Self::new(sql, params.iter().take(count).cloned().collect())
    }
}

/// Why a batch failed. Whatever it was, the batch took effect whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DatabaseError {
    /// The way to the database broke, or it was restarted: the batch may or may not have taken effect.
    #[error("the database did not answer: {0}")]
    Unavailable(String),
    /// The batch is known not to have taken effect, and would not another time: a defect of this crate's SQL, or
    /// another writer's row in its way.
    #[error("the database refused: {0}")]
    Refused(String),
    /// A row that does not decode: a defect.
    #[error("an answer of the database has another form: {0}")]
    Malformed(String),
}

/// What one statement answered: a JSON document a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows(pub Vec<String>);

impl Rows {
    /// Each row, decoded.
    ///
    /// # Errors
    /// [`DatabaseError::Malformed`] where a row is not a `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<Vec<T>, DatabaseError> {
        self.0.iter().map(|row| decode(row)).collect()
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// [`DatabaseError::Malformed`] where it is not a `T`.
    pub fn first<T: DeserializeOwned>(&self) -> Result<Option<T>, DatabaseError> {
        self.0.first().map(|row| decode(row)).transpose()
    }
}

fn decode<T: DeserializeOwned>(row: &str) -> Result<T, DatabaseError> {
    serde_json::from_str(row).map_err(|error| DatabaseError::Malformed(error.to_string()))
}

/// A database: D1 in production, SQLite in the tests.
#[allow(async_fn_in_trait, reason = "one thread in workerd and in the simulation: nothing here needs Send")]
pub trait Database {
    /// Runs the statements in one transaction, in order, and answers with the rows of each.
    ///
    /// # Errors
    /// See [`DatabaseError`]; after any of them all statements took effect or none.
    async fn batch(&self, statements: Vec<Statement>) -> Result<Vec<Rows>, DatabaseError>;
}

/// The answers of a batch, taken one by one in the order of its statements.
#[derive(Debug)]
pub struct Answers(std::vec::IntoIter<Rows>);

impl Answers {
    /// Runs a batch and holds its answers.
    ///
    /// # Errors
    /// Those of [`Database::batch`].
    pub async fn of(database: &impl Database, statements: Vec<Statement>) -> Result<Self, DatabaseError> {
        Ok(Self(database.batch(statements).await?.into_iter()))
    }

    /// The next statement's rows.
    ///
    /// # Errors
    /// [`DatabaseError::Malformed`] where the database answered fewer statements than it was given.
    pub fn next_rows(&mut self) -> Result<Rows, DatabaseError> {
        self.0.next().ok_or_else(|| DatabaseError::Malformed("fewer answers than statements".into()))
    }
}

/// Decodes the 0 and 1 that SQLite has for booleans.
pub(crate) fn bool_of_int<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    struct Visitor;
    impl serde::de::Visitor<'_> for Visitor {
        type Value = bool;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("0, 1 or null")
        }
        fn visit_bool<E>(self, value: bool) -> Result<bool, E> {
            Ok(value)
        }
        fn visit_u64<E>(self, value: u64) -> Result<bool, E> {
            Ok(value != 0)
        }
        fn visit_i64<E>(self, value: i64) -> Result<bool, E> {
            Ok(value != 0)
        }
        fn visit_unit<E>(self) -> Result<bool, E> {
            Ok(false)
        }
    }
    deserializer.deserialize_any(Visitor)
}
