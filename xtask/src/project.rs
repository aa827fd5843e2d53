//! Where things are: the clone, its build output, the per-user cache.

use std::env;
use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::{Doing, Error, Result, create_dir};

/// The clone that the command was called in.
pub(crate) struct Project {
    root: PathBuf,
}

impl Project {
    pub(crate) fn find() -> Result<Self> {
        // Set by `cargo run`, whatever folder it was called from.
        let manifest = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let here = env::current_dir().doing(|| "tell the current folder".to_owned())?;
        manifest
            .iter()
            .chain([&here])
            .flat_map(|start| start.ancestors())
            .find(|folder| folder.join("wrangler.toml").is_file())
            .map(|root| Self { root: root.to_owned() })
            .ok_or_else(|| {
                Error::failed(
                    "No wrangler.toml in this folder or above it",
                    "call this inside the repository",
                )
            })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Waits until no other command of this clone is inside the part that `name` guards.
    pub(crate) fn lock(&self, name: &str) -> Result<File> {
        lock(&self.path(".edgewise"), name)
    }
}

/// The folder of the tools, one for all clones of this user.
pub(crate) fn tools_folder() -> Result<PathBuf> {
    let absolute = |value: OsString| Some(PathBuf::from(value)).filter(|path| path.is_absolute());
    let cache = env::var_os("XDG_CACHE_HOME")
        .and_then(absolute)
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
        .ok_or_else(|| {
            Error::failed("There is no place for the build tools", "set HOME or XDG_CACHE_HOME to a folder")
        })?;
    create_dir(cache.join("edgewise/tools"))
}

/// An exclusive lock on `name` in `folder`, released when dropped or when the process ends; waits for it.
pub(crate) fn lock(folder: &Path, name: &str) -> Result<File> {
    let file = lock_file(folder, name)?;
    file.lock().doing(|| format!("lock {}", folder.display()))?;
    Ok(file)
}

/// The same, `None` where another process has it.
pub(crate) fn try_lock(folder: &Path, name: &str) -> Result<Option<File>> {
    let file = lock_file(folder, name)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => {
            Err(Error::Io { doing: format!("lock {}", folder.display()), source })
        }
    }
}

fn lock_file(folder: &Path, name: &str) -> Result<File> {
    let path = create_dir(folder)?.join(format!("{name}.lock"));
    File::create(&path).doing(|| format!("create {}", path.display()))
}
