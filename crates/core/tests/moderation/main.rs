//! Who may do what to whom, over a real SQLite: roles, bans, and what they leave on record.

#![allow(unreachable_pub, reason = "a test is a crate of its own")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../simulation/client.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses more of it")]
mod client;
#[path = "../simulation/object.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses more of it")]
mod object;
#[path = "../simulation/planted.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses more of it")]
mod planted;
#[path = "../simulation/world.rs"]
#[allow(dead_code, reason = "shared with the simulation, which uses more of it")]
mod world;

mod bans;
mod erasure;
mod roles;

use std::cell::Cell;

use edgewise_core::{
    access::Caller,
    ids::{EntryId, RoleId, UserId},
    problem::{Code, Problem},
    read,
    write::decision::Request,
};
use futures_util::FutureExt as _;
use support::sqlite::Sqlite;

/// When everything here begins.
const NOW: u64 = 1_700_000_000_000;

/// A database with users, each with a role of their own that gives what they may.
struct World {
    database: Sqlite,
    now: Cell<u64>,
    entries: Cell<u128>,
}

impl World {
    fn new() -> Self {
        let world = Self { database: Sqlite::new(), now: Cell::new(NOW), entries: Cell::new(1) };
        for (user, permissions) in
            [("ana", 0), ("ben", 0), ("manager", 128), ("moderator", 128 | 8 | 32), ("chief", 16)]
        {
            world.user(user);
            if permissions > 0 {
                world.role(user, permissions);
                world.has(user, user);
            }
        }
        world.user("olga");
        world.database.execute("UPDATE users SET is_owner = 1 WHERE id = 'olga'");
        world
    }

    fn user(&self, id: &str) {
        self.database.execute(&format!(
            "INSERT INTO users (id, display_name, created_at) VALUES ('{id}', upper('{id}'), {NOW})"
        ));
    }

    fn role(&self, id: &str, permissions: u32) {
        self.database.execute(&format!(
            "INSERT INTO roles (id, name, permissions) VALUES ('{id}', 'role {id}', {permissions})"
        ));
    }

    fn has(&self, user: &str, role: &str) {
        self.database.execute(&format!("INSERT INTO user_roles VALUES ('{user}', '{role}')"));
    }

    /// Has somebody ask for something to be decided.
    fn by<T>(
        &self,
        id: &str,
        ask: impl AsyncFnOnce(&Sqlite, Request<'_>) -> Result<T, Problem>,
    ) -> Result<T, &'static str> {
        let caller = caller(id);
        self.entries.set(self.entries.get() + 1);
        let entry = EntryId::new(uuid::Uuid::from_u128(self.entries.get()));
        let request = Request { caller: &caller, now: self.now.get(), entry };
        ask(&self.database, request).now_or_never().expect("SQLite answers at once").map_err(code)
    }

    /// What is on record, oldest first: who did what to whom.
    fn record(&self) -> Vec<String> {
        let owner = caller("olga");
        let page = read::audit::list(&self.database, &owner, None, 100, self.now.get());
        let page = page.now_or_never().unwrap().unwrap();
        page.entries.into_iter().rev().map(|e| format!("{} {} {}", e.actor_id, e.action, e.target)).collect()
    }

    fn count(&self, sql: &str) -> u64 {
        self.database.number(&format!("SELECT count(*) FROM {sql}"))
    }
}

fn caller(id: &str) -> Caller {
    Caller { user_id: user(id), display_name: None, trusted: false, owner: false, expires_at: u64::MAX }
}

fn user(id: &str) -> UserId {
    UserId::parse(id).unwrap()
}

fn role(id: &str) -> RoleId {
    RoleId::parse(id).unwrap()
}

#[allow(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
fn code(problem: Problem) -> &'static str {
    assert_ne!(problem.code, Code::Internal);
    problem.code.as_str()
}

const FORBIDDEN: &str = "FORBIDDEN";
