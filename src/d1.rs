//! D1 behind core's [`Database`] trait.
//!
//! Rows cross from JavaScript as one string each, taken off the result objects by hand: no value is turned into
//! another on the way. Errors are told apart by their text, which is all that D1 gives.

use std::{cell::Cell, fmt};

use edgewise_core::database::{Database, DatabaseError, Rows, Statement, Value};
use worker::{
    Env, Result, console_error,
    js_sys::{Array, Reflect},
    wasm_bindgen::{JsCast as _, JsValue},
    wasm_bindgen_futures::JsFuture,
    worker_sys::types::{D1Database, D1Result},
};

use crate::config;

/// What batches have cost, as D1 counts and bills it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    batches: u64,
    rows_read: u64,
    rows_written: u64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { batches, rows_read, rows_written } = self;
        write!(f, "batches={batches};rows_read={rows_read};rows_written={rows_written}")
    }
}

/// A D1 database.
#[derive(Debug)]
pub(crate) struct D1 {
    inner: D1Database,
    total: Cell<Cost>,
    last: Cell<Cost>,
}

impl D1 {
    /// The database of the binding `DB`.
    pub(crate) fn new(env: &Env) -> Result<Self> {
        let inner = JsValue::from(env.d1(config::DATABASE)?).unchecked_into();
        Ok(Self { inner, total: Cell::default(), last: Cell::default() })
    }

    /// What all batches through this handle have cost.
    pub(crate) fn total_cost(&self) -> Cost {
        self.total.get()
    }

    /// What the last batch has cost.
    pub(crate) fn last_cost(&self) -> Cost {
        self.last.get()
    }

    fn count(&self, results: &[D1Result]) {
        let sum = |name: &str| -> u64 {
            let counts = results.iter().filter_map(|result| {
                let meta = result.meta().ok()?;
                Reflect::get(&meta, &name.into()).ok()?.as_f64()
            });
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of rows")]
            counts.map(|count| count as u64).sum()
        };
        let cost = Cost { batches: 1, rows_read: sum("rows_read"), rows_written: sum("rows_written") };
        let total = self.total.get();
        self.last.set(cost);
        self.total.set(Cost {
            batches: total.batches + 1,
            rows_read: total.rows_read + cost.rows_read,
            rows_written: total.rows_written + cost.rows_written,
        });
    }

    async fn run(&self, statements: Vec<Statement>) -> std::result::Result<Vec<D1Result>, JsValue> {
        let prepared = Array::new();
        for Statement { sql, params } in statements {
            let params: Array = params.iter().map(to_js).collect();
            prepared.push(&JsValue::from(self.inner.prepare(sql)?.bind(params)?));
        }
        let results = JsFuture::from(self.inner.batch(prepared)?).await?;
        Ok(Array::from(&results).iter().map(JsValue::unchecked_into).collect())
    }
}

impl Database for D1 {
    async fn batch(&self, statements: Vec<Statement>) -> std::result::Result<Vec<Rows>, DatabaseError> {
        let results = self.run(statements).await.map_err(|error| {
            let error = classify(&error);
            console_error!("{error}");
            error
        })?;
        self.count(&results);
        results.iter().map(rows).collect()
    }
}

fn to_js(value: &Value) -> JsValue {
    match value {
        Value::Null => JsValue::NULL,
        // D1 refuses BigInt; numbers are exact to 2^53.
        #[allow(clippy::cast_precision_loss, reason = "the trait's values are below 2^53")]
        Value::Integer(integer) => JsValue::from_f64(*integer as f64),
        Value::Text(text) => JsValue::from_str(text),
    }
}

/// The column `json` of every row. A statement without one answers no rows.
fn rows(result: &D1Result) -> std::result::Result<Rows, DatabaseError> {
    let malformed = |_| DatabaseError::Malformed("a result without rows".into());
    let Some(results) = result.results().map_err(malformed)? else { return Ok(Rows::default()) };
    let column = JsValue::from_str("json");
    let row = |row: JsValue| {
        let text = Reflect::get(&row, &column).ok().and_then(|value| value.as_string());
        text.ok_or_else(|| DatabaseError::Malformed("a row without a text named json".into()))
    };
    Ok(Rows(results.iter().map(row).collect::<std::result::Result<_, _>>()?))
}

/// What is in D1's message where SQLite itself refused a statement, or D1 a parameter: nothing took effect, and nothing
/// would another time.
///
/// Everything else (`Network connection lost`, `storage caused object to be reset`, `reset because its code was
/// updated`, `internal error`, a timeout, `overloaded` and what Cloudflare may yet think of) is no word of the
/// statements, which may have taken effect.
const REFUSED: [&str; 8] = [
    "SQLITE_CONSTRAINT",
    "SQLITE_ERROR",
    "SQLITE_MISMATCH",
    "SQLITE_RANGE",
    "SQLITE_TOOBIG",
    "SQLITE_AUTH",
    "D1_TYPE_ERROR",
    "Wrong number of parameter bindings",
];

fn classify(error: &JsValue) -> DatabaseError {
    let message = error
        .dyn_ref::<worker::js_sys::Error>()
        .map_or_else(|| format!("{error:?}"), |error| String::from(error.message()));
    if REFUSED.iter().any(|sign| message.contains(sign)) {
        DatabaseError::Refused(message)
    } else {
        DatabaseError::Unavailable(message)
    }
}
