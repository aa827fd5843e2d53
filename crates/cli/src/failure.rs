//! Why a command did not do what was asked, in one sentence.

use std::io;

use edgewise_client::Error;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server, or the way to it.
    #[error(transparent)]
    Client(#[from] Error),
    /// The terminal, a pipe, a file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What was asked makes no sense here.
    #[error("{0}")]
    Asked(String),
}

impl Failure {
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// The failure to do something that was asked.
pub(crate) fn asked(why: impl Into<String>) -> Failure {
    Failure::Asked(why.into())
}
