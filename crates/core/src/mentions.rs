//! Whom a message calls: the mentions in its content.
//!
//! `@user:ana` and `@role:mods` are mentions, and so are `@[Ana Maria](user:ana)` and `@[Mods](role:mods)`; within
//! Markdown code nothing is. Whether an id exists is not asked here.
//!
//! The time is linear in the content's length, whatever the content is: every position that is searched for from many
//! starting points (the `]` of a name, the end of an id) is held by an `Ahead`, which reads no byte twice.

mod code;

use thiserror::Error;

use crate::ids::UserId;

/// The ids that a content mentions, each once, in order of first use.
///
/// They are of the form of a [`UserId`], 1 to 128 characters; a role's id keeps to the same alphabet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mentions {
    /// Users: at most [`Mentions::MAX_USERS`].
    pub users: Vec<String>,
    /// Roles: at most [`Mentions::MAX_ROLES`].
    pub roles: Vec<String>,
}

/// A content that mentions more than a message may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TooManyMentions {
    /// Too many distinct users.
    #[error("content mentions more than {} users", Mentions::MAX_USERS)]
    Users,
    /// Too many distinct roles.
    #[error("content mentions more than {} roles", Mentions::MAX_ROLES)]
    Roles,
}

impl Mentions {
    /// How many distinct users one message may mention.
    pub const MAX_USERS: usize = 50;
    /// How many distinct roles one message may mention.
    pub const MAX_ROLES: usize = 20;

    /// Finds the mentions in a content.
    ///
    /// # Errors
    /// [`TooManyMentions`] at the 51st distinct user or the 21st distinct role.
    pub fn parse(content: &str) -> Result<Self, TooManyMentions> {
        let text = &*code::blanked(content);
        let mut names = Ahead::default();
        let mut ids = Ahead::default();
        let mut mentions = Self::default();
        let mut read_to = 0;
        for (at, _) in text.match_indices('@') {
            if at < read_to || follows_word(text, at) {
                continue;
            }
            let Some(mention) = bare(text, at).or_else(|| rich(text, at, &mut names, &mut ids)) else {
                continue;
            };
            read_to = mention.end;
            mentions.add(&mention)?;
        }
        Ok(mentions)
    }

    fn add(&mut self, mention: &Mention<'_>) -> Result<(), TooManyMentions> {
        let (ids, limit, error) = match mention.kind {
            Kind::User => (&mut self.users, Self::MAX_USERS, TooManyMentions::Users),
            Kind::Role => (&mut self.roles, Self::MAX_ROLES, TooManyMentions::Roles),
        };
        if UserId::parse(mention.id).is_err() || ids.iter().any(|known| known == mention.id) {
            return Ok(());
        }
        if ids.len() == limit {
            return Err(error);
        }
        ids.push(mention.id.to_owned());
        Ok(())
    }
}

/// One mention where it stands.
struct Mention<'a> {
    kind: Kind,
    id: &'a str,
    /// The byte after it.
    end: usize,
}

#[derive(Clone, Copy)]
enum Kind {
    User,
    Role,
}

/// Reads `@user:<id>` at `at`. What is too long for an id is read as one all the same, so that the ids which it seems
/// to hold are not taken for mentions of their own.
fn bare(text: &str, at: usize) -> Option<Mention<'_>> {
    let (kind, start) = kind(text, at + 1)?;
    let rest = text.get(start..)?;
    if !rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let length = rest.bytes().position(|byte| !UserId::allows(byte)).unwrap_or(rest.len());
    let id = rest.get(..length)?.trim_end_matches(['.', ':']);
    Some(Mention { kind, id, end: start + id.len() })
}

/// Reads `@[name](user:<id>)` at `at`.
fn rich<'a>(text: &'a str, at: usize, names: &mut Ahead, ids: &mut Ahead) -> Option<Mention<'a>> {
    let name = at + 2;
    if !text.get(at..)?.starts_with("@[") {
        return None;
    }
    let name_end = names.first(text, name, |byte| matches!(byte, b']' | b'\n' | b'\r'));
    if !text.get(name_end..)?.starts_with("](") {
        return None;
    }
    let (kind, start) = kind(text, name_end + 2)?;
    let end = ids.first(text, start, |byte| !UserId::allows(byte));
    let id = text.get(start..end)?;
    (text.get(end..)?.starts_with(')') && UserId::parse(id).is_ok()).then_some(Mention {
        kind,
        id,
        end: end + 1,
    })
}

/// Reads `user:` or `role:` at `at`, and says where the id starts.
fn kind(text: &str, at: usize) -> Option<(Kind, usize)> {
    let rest = text.get(at..)?;
    [("user:", Kind::User), ("role:", Kind::Role)]
        .into_iter()
        .find(|(prefix, _)| rest.starts_with(prefix))
        .map(|(prefix, kind)| (kind, at + prefix.len()))
}

/// Whether the character before `at` is a letter or digit, as in an e-mail address.
fn follows_word(text: &str, at: usize) -> bool {
    text.get(..at).and_then(|before| before.chars().next_back()).is_some_and(char::is_alphanumeric)
}

/// Finds the next byte of one kind again and again, from starting points that never go back, and reads each byte once.
#[derive(Default)]
struct Ahead {
    at: usize,
}

impl Ahead {
    /// The first position at or after `from` that `stops`, or the text's end.
    fn first(&mut self, text: &str, from: usize, stops: impl Fn(u8) -> bool) -> usize {
        // Between an earlier `from` and `self.at` nothing stops, so nothing is there to be read again.
        self.at = self.at.max(from);
        while text.as_bytes().get(self.at).is_some_and(|byte| !stops(*byte)) {
            self.at += 1;
        }
        self.at
    }
}
