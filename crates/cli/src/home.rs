//! What the command keeps between its runs: for each server a key, and a login.
//!
//! Both are secrets. They stand in the user's configuration folder, in files that nobody else may read; what is written
//! is written whole or not at all.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use edgewise_client::{Login, Signer};

use crate::{
    failure::{Failure, asked},
    key,
};

/// What is kept for one server.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    folder: PathBuf,
}

impl Home {
    /// That of the server at this address.
    pub(crate) fn of(url: &str) -> Result<Self, Failure> {
        let configuration = base().ok_or_else(|| {
            asked("there is no folder to keep a login in: set HOME, XDG_CONFIG_HOME or EDGEWISE_CONFIG_DIR")
        })?;
        Ok(Self { folder: configuration.join(name(url)) })
    }

    /// The key, where there is one.
    pub(crate) fn key(&self) -> Result<Option<Signer>, Failure> {
        let path = self.key_path();
        if path.exists() { key::read(&path).map(Some) } else { Ok(None) }
    }

    /// Where the key is, or will be.
    pub(crate) fn key_path(&self) -> PathBuf {
        self.folder.join("key")
    }

    /// Makes a key. Never in the place of another: a key that is gone is gone for good.
    pub(crate) fn make_key(&self) -> Result<Signer, Failure> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| asked(format!("there is no randomness: {error}")))?;
        let path = self.key_path();
        self.make_folder()?;
        let written = create(&path).and_then(|mut file| {
            writeln!(file, "{}", hex::encode(seed))?;
            file.sync_all()
        });
        written.map_err(|error| asked(format!("the key cannot be kept in {}: {error}", path.display())))?;
        Ok(Signer::new(&seed))
    }

    /// The login, where there is one.
    pub(crate) fn login(&self) -> Result<Option<Login>, Failure> {
        let path = self.login_path();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(asked(format!("{} cannot be read: {error}", path.display()))),
        };
        let login = serde_json::from_slice(&text);
        login.map(Some).map_err(|_| asked(format!("{} is none of ours: log in again", path.display())))
    }

    /// Keeps a login in the place of the one before.
    pub(crate) fn keep(&self, login: &Login) -> Result<(), Failure> {
        let (path, new) = (self.login_path(), self.folder.join("login.json.new"));
        self.make_folder()?;
        let written = serde_json::to_vec(login).map_err(io::Error::from).and_then(|text| {
            // Of a run that was killed.
            remove(&new)?;
            create(&new)?.write_all(&text)?;
            fs::rename(&new, &path)
        });
        written.map_err(|error| asked(format!("the login cannot be kept in {}: {error}", path.display())))
    }

    /// Forgets the login, and keeps the key.
    pub(crate) fn forget_login(&self) -> Result<(), Failure> {
        Ok(remove(&self.login_path())?)
    }

    /// Keeps other runs from renewing the login meanwhile, until the file is dropped. Waits for those that do.
    pub(crate) fn lock(&self) -> Result<File, Failure> {
        self.make_folder()?;
        let path = self.folder.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        file.lock()?;
        Ok(file)
    }

    fn login_path(&self) -> PathBuf {
        self.folder.join("login.json")
    }

    fn make_folder(&self) -> Result<(), Failure> {
        let mut folder = fs::DirBuilder::new();
        folder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
        folder.create(&self.folder).map_err(|error| asked(format!("{}: {error}", self.folder.display())))
    }
}

/// A new file that nobody else may read.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The folder of the command's own.
fn base() -> Option<PathBuf> {
    let folder = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    folder("EDGEWISE_CONFIG_DIR")
        .or_else(|| folder("XDG_CONFIG_HOME").map(|folder| folder.join("edgewise")))
        .or_else(|| folder("HOME").map(|home| home.join(".config/edgewise")))
        .or_else(|| folder("APPDATA").map(|folder| folder.join("edgewise")))
}

/// A server's address as the name of a folder: `chat.example.com`, `127.0.0.1_8787`.
fn name(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.trim_end_matches('/').to_lowercase();
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
    // Another scheme is another server.
    let start = if scheme.eq_ignore_ascii_case("https") { "" } else { "plain-" };
    format!("{start}{}", rest.chars().map(plain).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_one_folder_below_the_commands_own() {
        assert_eq!(name("https://Chat.example.com/"), "chat.example.com");
        assert_eq!(name("http://127.0.0.1:8787"), "plain-127.0.0.1_8787");
        assert_ne!(name("http://chat.example.com"), name("https://chat.example.com"));
        for odd in ["https://../../etc", "", "https://a/../b", "https://[::1]:80/x?y#z"] {
            let name = name(odd);
            assert!(!name.contains('/') && name != ".." && name != ".", "{odd}: {name}");
        }
    }
}
