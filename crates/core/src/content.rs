//! What a message says: trimmed, neither empty nor too long, and otherwise as it came.

use serde::Serialize;
use thiserror::Error;

/// The text of a message: 1 to 4,000 characters, with no white space at either end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Content(String);

/// Why a text is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ContentError {
    /// Nothing is left after trimming.
    #[error("content is empty")]
    Empty,
    /// More than [`Content::MAX_LENGTH`] characters are left after trimming.
    #[error("content is {length} characters; the limit is {}", Content::MAX_LENGTH)]
    TooLong {
        /// How many Unicode scalar values the trimmed text has.
        length: usize,
    },
}

impl Content {
    /// The longest content, in Unicode scalar values after trimming.
    pub const MAX_LENGTH: usize = 4_000;

    /// Trims Unicode white space at both ends, and takes the rest as it is, NUL included.
    ///
    /// # Errors
    /// [`ContentError`] where that leaves nothing or too much.
    pub fn parse(text: &str) -> Result<Self, ContentError> {
        let text = text.trim();
        match text.chars().count() {
            0 => Err(ContentError::Empty),
            1..=Self::MAX_LENGTH => Ok(Self(text.to_owned())),
            length => Err(ContentError::TooLong { length }),
        }
    }

    /// The trimmed text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The trimmed text, owned.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }

    /// Its length in Unicode scalar values: 1 to 4,000.
    #[must_use]
    pub fn length(&self) -> usize {
        self.0.chars().count()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn white_space_goes_at_the_ends_only() {
        assert_eq!(Content::parse(" \n\u{3000}\u{a0}a \n b\t\u{2028}\r\n").unwrap().as_str(), "a \n b");
        for kept in ["\0", "\0a\0", "\u{feff}a", "\u{200b}", "\u{1}", "e\u{301}"] {
            assert_eq!(Content::parse(kept).unwrap().into_string(), kept);
        }
    }

    #[test]
    fn blank_is_empty() {
        for blank in ["", " ", "\n\t\r\n", "\u{2003}\u{3000}\u{85}"] {
            assert_eq!(Content::parse(blank), Err(ContentError::Empty));
        }
    }

    #[test]
    fn length_is_counted_in_scalar_values_after_trimming() {
        let longest = "\u{1f600}".repeat(Content::MAX_LENGTH);
        assert_eq!(Content::parse(&format!("  {longest}  ")).unwrap().length(), 4_000);
        let error = Content::parse(&format!("{longest}e\u{301}")).unwrap_err();
        assert_eq!(error, ContentError::TooLong { length: 4_002 });
        assert_eq!(error.to_string(), "content is 4002 characters; the limit is 4000");
    }

    proptest! {
        #[test]
        fn parsing_again_changes_nothing(text in any::<String>()) {
            if let Ok(content) = Content::parse(&text) {
                prop_assert_eq!(Content::parse(content.as_str()).unwrap(), content);
            }
        }
    }
}
