//! `.dev.vars`: the secrets of a local server, which never enter Git.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use crate::error::{Doing, Error, Result, read};
use crate::project::Project;

const FILE: &str = ".dev.vars";
const NAME: &str = "JWT_SECRET";
/// What the server takes, in bytes.
const SHORTEST: usize = 32;

/// The secret that signs tokens; makes a random one where there is none.
pub(crate) fn ensure_secret(project: &Project) -> Result<String> {
    let path = project.path(FILE);
    let content = if path.exists() { read(&path)? } else { String::new() };
    if let Some(secret) = value_of(&content, NAME) {
        return checked(secret);
    }
    let secret = random_hex()?;
    let separator = if content.is_empty() || content.ends_with('\n') { "" } else { "\n" };
    let mut options = OpenOptions::new();
    options
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| writeln!(file, "{separator}{NAME}={secret}"))
        .doing(|| format!("write {FILE}"))?;
    Ok(secret)
}

/// The secret that signs tokens, where there is one.
pub(crate) fn secret(project: &Project) -> Result<String> {
    let content = fs::read_to_string(project.path(FILE)).unwrap_or_default();
    let secret = value_of(&content, NAME).ok_or_else(|| {
        Error::failed(format!("There is no {NAME} in {FILE}"), "`cargo xtask dev` makes one")
    })?;
    checked(secret)
}

fn checked(secret: &str) -> Result<String> {
    if secret.len() < SHORTEST {
        return Err(Error::failed(
            format!("{NAME} in {FILE} is shorter than {SHORTEST} bytes"),
            "remove its line, and `cargo xtask dev` makes a new one",
        ));
    }
    Ok(secret.to_owned())
}

/// The value of `NAME=value`, with or without quotes.
fn value_of<'a>(content: &'a str, name: &str) -> Option<&'a str> {
    content
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("export ").split_once('='))
        .filter(|(key, _)| key.trim() == name)
        .map(|(_, value)| unquoted(value.trim()))
        .rfind(|value| !value.is_empty())
}

fn unquoted(value: &str) -> &str {
    ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value)
}

fn random_hex() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::failed("The system gives no random numbers", error.to_string()))?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_dotenv_files_have_them() {
        let content = "# JWT_SECRET=no\nOTHER=1\nexport JWT_SECRET = \"abc=d\"\n";
        assert_eq!(value_of(content, "JWT_SECRET"), Some("abc=d"));
        assert_eq!(value_of(content, "SETUP_TOKEN"), None);
        assert_eq!(value_of("JWT_SECRET=\n", "JWT_SECRET"), None);
        assert_eq!(value_of("JWT_SECRET='x'", "JWT_SECRET"), Some("x"));
    }

    #[test]
    fn secrets_are_64_hex_characters_and_never_the_same() {
        let (one, other) = (random_hex().expect("random"), random_hex().expect("random"));
        assert_eq!(one.len(), 64);
        assert_ne!(one, other);
        assert!(checked(&one).is_ok());
        assert!(checked("short").is_err());
    }
}
