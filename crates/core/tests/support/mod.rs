//! What the tests of this crate share.
#![allow(unreachable_pub, dead_code, reason = "each test file is a crate of its own and uses a part of this")]

pub mod sqlite;
