//! What people call channels, roles and themselves: trimmed, and within limits.

use serde::Serialize;
use thiserror::Error;

/// Why a text is no name or topic. It reads on after the field's own name: "name is blank".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing is left after trimming.
    #[error("is blank")]
    Blank,
    /// Too much is left after trimming.
    #[error("is {length} characters; the limit is {limit}")]
    TooLong {
        /// How many Unicode scalar values the trimmed text has.
        length: usize,
        /// How many it may have.
        limit: usize,
    },
    /// It has a control character, a line break for example.
    #[error("has control characters")]
    ControlCharacter,
}

/// Trims white space at both ends, and holds the rest to a limit in Unicode scalar values.
fn trimmed(text: &str, limit: usize) -> Result<&str, NameError> {
    let text = text.trim();
    match text.chars().count() {
        length if length > limit => Err(NameError::TooLong { length, limit }),
        _ => Ok(text),
    }
}

/// The same for what stands in one line and must not be blank.
fn one_line(text: &str, limit: usize) -> Result<&str, NameError> {
    let text = trimmed(text, limit)?;
    if text.is_empty() {
        Err(NameError::Blank)
    } else if text.contains(char::is_control) {
        Err(NameError::ControlCharacter)
    } else {
        Ok(text)
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $limit:literal, $check:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The longest one, in Unicode scalar values after trimming.
            pub const MAX_LENGTH: usize = $limit;

            /// Trims white space at both ends, and takes the rest as it is.
            ///
            /// # Errors
            /// [`NameError`] where the rest is not what this type says of itself.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                $check(text, Self::MAX_LENGTH).map(|text| Self(text.to_owned()))
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
        }
    };
}

name!(
    /// A channel's name: 1 to 100 characters in one line, no control characters.
    ChannelName,
    100,
    one_line
);
name!(
    /// A channel's topic: 0 to 1,024 characters, line breaks among them.
    Topic,
    1_024,
    trimmed
);
name!(
    /// A role's name: 1 to 100 characters in one line, no control characters.
    RoleName,
    100,
    one_line
);
name!(
    /// What a user is shown as: 1 to 64 characters in one line, no control characters.
    DisplayName,
    64,
    one_line
);

impl DisplayName {
    /// Makes a name of any text: control characters go (those that are white space become spaces), and what is too
    /// long is cut. None where nothing is left.
    ///
    /// For a name that another system chose, where its user could not mend it.
    #[must_use]
    pub fn cleaned(text: &str) -> Option<Self> {
        let visible: String = text
            .trim()
            .chars()
            .filter_map(|c| match c {
                _ if !c.is_control() => Some(c),
                _ if c.is_whitespace() => Some(' '),
                _ => None,
            })
            .collect();
        let cut: String = visible.trim_start().chars().take(Self::MAX_LENGTH).collect();
        Self::parse(&cut).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_trimmed_and_counted_in_characters() {
        assert_eq!(ChannelName::parse("  general chat\n").unwrap().as_str(), "general chat");
        assert_eq!(
            ChannelName::parse(&format!(" {} ", "é".repeat(100))).unwrap().into_string(),
            "é".repeat(100)
        );
        assert_eq!(ChannelName::parse(&"é".repeat(101)), Err(NameError::TooLong { length: 101, limit: 100 }));
        assert!(DisplayName::parse(&"é".repeat(64)).is_ok());
        assert!(DisplayName::parse(&"é".repeat(65)).is_err());
    }

    #[test]
    fn names_stand_in_one_line() {
        for blank in ["", " \n\u{3000}"] {
            assert_eq!(ChannelName::parse(blank), Err(NameError::Blank));
            assert_eq!(DisplayName::parse(blank), Err(NameError::Blank));
        }
        for wrong in ["a\nb", "a\tb", "\0", "\u{7f}", "a\u{85}b"] {
            assert_eq!(ChannelName::parse(wrong), Err(NameError::ControlCharacter), "{wrong:?}");
            assert_eq!(DisplayName::parse(wrong), Err(NameError::ControlCharacter), "{wrong:?}");
        }
    }

    #[test]
    fn topics_may_be_empty_and_have_lines() {
        assert_eq!(Topic::parse(" \n ").unwrap().as_str(), "");
        assert_eq!(Topic::parse("one\ntwo").unwrap().as_str(), "one\ntwo");
        assert!(Topic::parse(&"é".repeat(1_024)).is_ok());
        assert!(Topic::parse(&"é".repeat(1_025)).is_err());
    }

    #[test]
    fn cleaning_keeps_what_it_can() {
        let cleaned = |text: &str| DisplayName::cleaned(text).map(DisplayName::into_string);
        assert_eq!(cleaned(" Ana\nMaria\0 ").as_deref(), Some("Ana Maria"));
        assert_eq!(cleaned(&format!("\0 {}", "é".repeat(70))), Some("é".repeat(64)));
        assert_eq!(cleaned(&format!("{} b", "a".repeat(63))), Some("a".repeat(63)));
        assert_eq!(cleaned("\0\n \u{85}\u{1}"), None);
    }

    proptest! {
        #[test]
        fn a_cleaned_name_is_a_name_and_a_name_is_clean(text in any::<String>()) {
            if let Some(name) = DisplayName::cleaned(&text) {
                prop_assert_eq!(DisplayName::parse(name.as_str()), Ok(name));
            }
            if let Ok(name) = DisplayName::parse(&text) {
                prop_assert_eq!(DisplayName::cleaned(&text), Some(name));
            }
        }
    }
}
