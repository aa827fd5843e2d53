//! Calling the cargo that called this program.

use std::env;
use std::process::Command;

pub(crate) fn command() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
