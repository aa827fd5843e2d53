//! What can go wrong, each told in one sentence that ends with the way to mend it.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}; `cargo xtask help` shows what there is.")]
    Usage(String),

    #[error("{tool} is not installed: {mend}.")]
    Missing { tool: &'static str, mend: String },

    #[error("{what}: {mend}.")]
    Failed { what: String, mend: String },

    #[error("Port {0} is taken: stop what listens there, or choose another with `--port`.")]
    PortTaken(u16),

    /// The user has been told already.
    #[error("")]
    Told,

    #[error("Cannot {doing}: {source}.")]
    Io { doing: String, source: io::Error },
}

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn failed(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::Failed { what: what.into(), mend: mend.into() }
    }
}

impl From<lexopt::Error> for Error {
    fn from(error: lexopt::Error) -> Self {
        let text = error.to_string();
        let mut letters = text.chars();
        let first = letters.next().into_iter().flat_map(char::to_uppercase);
        Self::Usage(first.chain(letters).collect())
    }
}

/// Says what was being done when the operating system refused.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { doing: what(), source })
    }
}

pub(crate) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).doing(|| format!("read {}", path.display()))
}

pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    std::fs::write(path, content).doing(|| format!("write {}", path.display()))
}

pub(crate) fn create_dir(path: impl Into<PathBuf>) -> Result<PathBuf> {
    let path = path.into();
    std::fs::create_dir_all(&path).doing(|| format!("create the folder {}", path.display()))?;
    Ok(path)
}
