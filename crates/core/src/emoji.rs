//! What a reaction says.
//!
//! Whatever is short and has neither white space nor control characters will do: Unicode gains emoji every year,
//! and applications have names for their own.

use serde::Serialize;
use thiserror::Error;

/// An emoji: 1 to 64 bytes of UTF-8 that can stand as one segment of a URL's path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Emoji(String);

/// Why a text is no emoji.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EmojiError {
    /// It is empty.
    #[error("emoji is empty")]
    Empty,
    /// It has more than [`Emoji::MAX_BYTES`] bytes.
    #[error("emoji is {bytes} bytes; the limit is {}", Emoji::MAX_BYTES)]
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
    /// It has white space or a control character.
    #[error("emoji has white space or control characters")]
    Character,
    /// It is `.` or `..`, which a URL's path cannot name.
    #[error("emoji is `.` or `..`")]
    Dots,
}

impl Emoji {
    /// The longest emoji, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 64;

    /// Takes an emoji exactly as it is.
    ///
    /// # Errors
    /// [`EmojiError`] for a text that is none.
    pub fn parse(text: &str) -> Result<Self, EmojiError> {
        if text.is_empty() {
            return Err(EmojiError::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(EmojiError::TooLong { bytes: text.len() });
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(EmojiError::Character);
        }
        if matches!(text, "." | "..") {
            return Err(EmojiError::Dots);
        }
        Ok(Self(text.to_owned()))
    }

    /// The emoji as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The emoji as text, owned.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_people_react_with() {
        let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466}";
        for right in ["👍", "❤\u{fe0f}", family, ":party_parrot:", "+1", "...", "a/b?c#%25", &"x".repeat(64)]
        {
            assert_eq!(Emoji::parse(right).unwrap().as_str(), right);
        }
    }

    #[test]
    fn refuses_the_rest() {
        assert_eq!(Emoji::parse(""), Err(EmojiError::Empty));
        assert_eq!(Emoji::parse(&"👍".repeat(17)), Err(EmojiError::TooLong { bytes: 68 }));
        for wrong in [" ", "👍 ", "a\u{3000}b", "a\nb", "\0", "\u{7f}", "\u{9f}"] {
            assert_eq!(Emoji::parse(wrong), Err(EmojiError::Character), "{wrong:?}");
        }
        for wrong in [".", ".."] {
            assert_eq!(Emoji::parse(wrong), Err(EmojiError::Dots));
        }
    }
}
