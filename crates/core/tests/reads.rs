//! The reads, over a real SQLite.

mod support;

use support::sqlite::Sqlite;

#[test]
fn opens() {
    let database = Sqlite::new();
    let _ = database.general();
    assert_eq!(database.clone().value::<i64>("SELECT count(*) FROM channels"), 1);
}
