//! The lines that say what is being done and how far it is.

use std::io::{self, Write};

use crate::error::Error;

pub(crate) enum Progress {
    /// `[2/7] …`, each step numbered.
    Counted { done: u32, total: u32 },
    /// Steps inside a stage that has its own number.
    Nested,
    /// Only what takes long: for commands that other tools call.
    Quiet,
}

impl Progress {
    pub(crate) fn counted(total: u32) -> Self {
        Self::Counted { done: 0, total }
    }

    /// The next step, which has something to do.
    pub(crate) fn step(&mut self, text: &str) {
        match self {
            Self::Counted { done, total } => {
                *done += 1;
                eprintln!("[{done}/{total}] {text}");
            }
            Self::Nested => eprintln!("      {text}"),
            Self::Quiet => eprintln!("{text}"),
        }
    }

    /// The next step, which finds everything as it should be.
    pub(crate) fn ready(&mut self, text: &str) {
        if !matches!(self, Self::Quiet) {
            self.step(text);
        }
    }
}

/// Prints an error's sentence in one piece, so that whoever passes it on does not tear it apart.
pub(crate) fn tell(error: &Error) {
    if !matches!(error, Error::Told) {
        // There is nowhere else to report that standard error is closed.
        let _ = io::stderr().write_all(format!("{error}\n").as_bytes());
    }
}
