//! The file with a user's own key: 64 hexadecimal digits, the seed of an Ed25519 key, and readable by nobody else.

use std::{fs, path::Path};

use edgewise_client::Signer;

use crate::failure::{Failure, asked};

/// Reads a key, to sign with it.
pub(crate) fn read(path: &Path) -> Result<Signer, Failure> {
    let told = |why: &str| asked(format!("the key in {} {why}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| told(&format!("cannot be read: {error}")))?;
    if is_open(path)? {
        return Err(told("can be read by others; `chmod 600` makes it yours alone"));
    }
    let seed = seed(text.trim()).ok_or_else(|| told("is not 64 hexadecimal digits"))?;
    Ok(Signer::new(&seed))
}

fn seed(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        text.chars().map(|digit| Some(digit.to_digit(16)?.to_le_bytes()[0])).collect::<Option<_>>()?;
    let bytes: Vec<u8> =
        digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    if digits.len() == 64 { bytes.try_into().ok() } else { None }
}

#[cfg(unix)]
fn is_open(path: &Path) -> Result<bool, Failure> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(fs::metadata(path)?.mode() & 0o077 != 0)
}

/// Who may read a file is not told by its mode here.
#[cfg(not(unix))]
fn is_open(_path: &Path) -> Result<bool, Failure> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_64_digits() {
        let text = "00ff".repeat(16);
        assert_eq!(seed(&text).unwrap()[..3], [0, 255, 0]);
        assert_eq!(seed(&text.to_uppercase()), seed(&text));
        for wrong in ["", "0", &text[1..], &format!("{text}0"), &"0g".repeat(32), &"é".repeat(64)] {
            assert_eq!(seed(wrong), None, "{wrong}");
        }
    }
}
