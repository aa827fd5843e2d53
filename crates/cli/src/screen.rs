//! What is printed: messages and changes for people, in colour on a terminal, or JSON lines.

use std::{
    collections::HashMap,
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use edgewise_client::{Authenticity, Change, Message, Reacted};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;

const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();
const VERIFIED: Style = AnsiColor::Green.on_default();
const FORGED: Style = AnsiColor::Red.on_default().bold();
const NAMES: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Green,
    AnsiColor::Yellow,
    AnsiColor::Blue,
    AnsiColor::Magenta,
    AnsiColor::Red,
];

/// Where the lines of a message after its first begin.
const INDENT: &str = "        ";

pub(crate) struct Screen {
    json: bool,
    out: AutoStream<io::Stdout>,
    zone: TimeZone,
    day: Option<Date>,
    /// What replies may refer to: a message's number and its sender.
    known: HashMap<String, (u64, String)>,
}

impl Screen {
    pub(crate) fn new(json: bool) -> Self {
        let out = AutoStream::auto(io::stdout());
        Self { json, out, zone: TimeZone::system(), day: None, known: HashMap::new() }
    }

    /// A line of JSON, or the line of text that `text` makes.
    pub(crate) fn line<T: Serialize>(
        &mut self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> io::Result<()> {
        if self.json {
            let line = serde_json::to_string(value)?;
            writeln!(self.out, "{line}")
        } else {
            writeln!(self.out, "{}", text(value))
        }
    }

    pub(crate) fn message(&mut self, message: &Message) -> io::Result<()> {
        if self.json {
            return self.line(message, |_| String::new());
        }
        let text = self.day_line(message.timestamp) + &self.message_text(message);
        self.remember(message);
        write!(self.out, "{text}")
    }

    pub(crate) fn change(&mut self, change: &Change) -> io::Result<()> {
        if self.json {
            return self.line(change, |_| String::new());
        }
        let text = match change {
            Change::Created { message } => return self.message(message),
            Change::Edited { message, .. } => {
                let time = self.time(message.edit_timestamp.unwrap_or(message.timestamp));
                let content = indented(&message.content);
                format!(
                    "{DIM}{time}{DIM:#} {}{DIM}{}{DIM:#} {} {DIM}edited:{DIM:#} {content}\n",
                    mark(message),
                    number(message),
                    name(message)
                )
            }
            Change::Deleted { message, before, by } => {
                let of = before.as_ref().map_or_else(|| number(message), |before| reference(before));
                let by = by
                    .as_deref()
                    .filter(|by| !by.is_empty())
                    .map_or_else(String::new, |by| format!(" by {}", plain(by)));
                format!("{INDENT}{DIM}{of} was deleted{by}{DIM:#}\n")
            }
            Change::ReactionAdded(reacted) => reaction_text(reacted, "reacted with", "to"),
            Change::ReactionRemoved(reacted) => reaction_text(reacted, "took back", "from"),
            Change::Touched { message } => {
                format!(
                    "{:>7}{}{DIM}{} changed:{DIM:#} {}\n",
                    "",
                    mark(message),
                    reference(message),
                    indented(&message.content)
                )
            }
            _ => return Ok(()),
        };
        write!(self.out, "{text}")
    }

    /// `14:02 ✓#7 Ana ↩ #3 Ben: Hello`, further lines indented, reactions below.
    fn message_text(&self, message: &Message) -> String {
        let time = self.time(message.timestamp);
        let mut text =
            format!("{DIM}{time}{DIM:#} {}{DIM}{}{DIM:#} {}", mark(message), number(message), name(message));
        if let Some(target) = &message.reply_to_id {
            let target = self.known.get(target).map_or_else(
                || "an older message".to_owned(),
                |(sequence, sender)| format!("#{sequence} {sender}"),
            );
            let _ = write!(text, " {DIM}↩ {target}{DIM:#}");
        }
        let _ = write!(text, ": {}", indented(&message.content));
        if message.edited {
            let _ = write!(text, " {DIM}(edited){DIM:#}");
        }
        text.push('\n');
        if !message.reactions.is_empty() {
            let summaries = message.reactions.iter().map(|summary| {
                let (on, off) = if summary.me {
                    (BOLD.render(), BOLD.render_reset())
                } else {
                    (DIM.render(), DIM.render_reset())
                };
                format!("{} {on}{}{off}", plain(&summary.emoji), summary.count)
            });
            let _ = writeln!(text, "{INDENT}{}", summaries.collect::<Vec<_>>().join("  "));
        }
        text
    }

    fn remember(&mut self, message: &Message) {
        let sender = plain(&message.sender_display_name);
        self.known.insert(message.id.clone(), (message.server_sequence, sender));
    }

    fn time(&self, milliseconds: u64) -> String {
        self.zoned(milliseconds).map_or_else(|| "--:--".to_owned(), |time| time.strftime("%H:%M").to_string())
    }

    /// A line for the day where it is another than the last message's.
    fn day_line(&mut self, milliseconds: u64) -> String {
        let Some(time) = self.zoned(milliseconds) else { return String::new() };
        if self.day.replace(time.date()) == Some(time.date()) {
            return String::new();
        }
        format!("{DIM}--- {} ---{DIM:#}\n", time.strftime("%A, %-d %B %Y"))
    }

    fn zoned(&self, milliseconds: u64) -> Option<jiff::ZonedDateTime> {
        let time = Timestamp::from_millisecond(i64::try_from(milliseconds).ok()?).ok()?;
        Some(time.to_zoned_datetime(self.zone.clone()))
    }
}

fn reaction_text(reacted: &Reacted, verb: &str, preposition: &str) -> String {
    let who = reacted.user_id.as_deref().map_or_else(|| "others".to_owned(), plain);
    let to = reacted.message.as_ref().map_or_else(|| "an older message".to_owned(), reference);
    let (emoji, count) = (plain(&reacted.emoji), reacted.count);
    format!("{INDENT}{DIM}{who} {verb}{DIM:#} {emoji} {DIM}{preposition} {to} (now {count}){DIM:#}\n")
}

fn reference(message: &Message) -> String {
    if message.sender_display_name.is_empty() {
        return number(message);
    }
    format!("{} of {}", number(message), plain(&message.sender_display_name))
}

/// Whether a message is what its author signed: `✓` where it is, `✗` where it is not, nothing where nobody did. It stands
/// before the number, where no name and no content reaches.
fn mark(message: &Message) -> String {
    match message.authenticity {
        Authenticity::Unsigned => " ".to_owned(),
        Authenticity::Verified => format!("{VERIFIED}✓{VERIFIED:#}"),
        Authenticity::Forged => format!("{FORGED}✗{FORGED:#}"),
    }
}

fn number(message: &Message) -> String {
    format!("#{}", message.server_sequence)
}

/// Something to be known that is no output: on a terminal only, where it does not get into a file.
pub(crate) fn note(text: &str) {
    if io::stderr().is_terminal() {
        anstream::eprintln!("{DIM}{text}{DIM:#}");
    }
}

/// The sender's name in a colour of their own.
fn name(message: &Message) -> String {
    let sum =
        message.sender_id.bytes().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let colour = NAMES.get(sum % NAMES.len()).copied().unwrap_or(AnsiColor::White);
    let style = Style::new().bold().fg_color(Some(colour.into()));
    format!("{style}{}{style:#}", plain(&message.sender_display_name))
}

/// Content that cannot drive the terminal: control characters become visible, further lines are indented.
fn indented(content: &str) -> String {
    let mut text = String::with_capacity(content.len());
    for character in content.chars() {
        match character {
            '\n' => {
                text.push('\n');
                text.push_str(INDENT);
            }
            '\t' => text.push('\t'),
            other => text.push(visible(other)),
        }
    }
    text
}

/// A name or an emoji on one line, without what turns the direction of the text after it.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .filter(|character| !matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
        .map(visible)
        .collect()
}

fn visible(character: char) -> char {
    match character {
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(character)).unwrap_or('\u{fffd}'),
        '\x7f' => '\u{2421}',
        '\u{80}'..='\u{9f}' => '\u{fffd}',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use edgewise_client::ReactionSummary;

    use super::*;

    fn screen() -> Screen {
        Screen { zone: TimeZone::UTC, ..Screen::new(false) }
    }

    fn message() -> Message {
        Message {
            id: "m7".into(),
            sender_display_name: "Ana".into(),
            content: "Hello\nyou".into(),
            timestamp: 1_795_000_000_000,
            server_sequence: 7,
            ..Message::default()
        }
    }

    fn bare(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_message_reads_well() {
        let mut screen = screen();
        screen.remember(&message());
        let reactions = vec![ReactionSummary { emoji: "👍".into(), count: 2, me: true, user_ids: vec![] }];
        let reply = Message { reply_to_id: Some("m7".into()), edited: true, reactions, ..message() };
        let expected = "11:06  #7 Ana ↩ #7 Ana: Hello\n        you (edited)\n        👍 2\n";
        assert_eq!(bare(&screen.message_text(&reply)), expected);
    }

    #[test]
    fn whether_it_is_signed_shows_where_nobody_else_writes() {
        let screen = screen();
        let line = |authenticity, name: &str| {
            let message = Message {
                authenticity,
                sender_display_name: name.into(),
                content: "x\n14:02 ✓#8 Ben: y".into(),
                ..message()
            };
            bare(&screen.message_text(&message))
        };
        assert_eq!(line(Authenticity::Verified, "Ana"), "11:06 ✓#7 Ana: x\n        14:02 ✓#8 Ben: y\n");
        assert_eq!(line(Authenticity::Forged, "Ana")[..12], *"11:06 ✗#7 ");
        assert_eq!(line(Authenticity::Unsigned, "✓#7 Ana")[..10], *"11:06  #7 ");
    }

    #[test]
    fn each_day_is_named_once() {
        let mut screen = screen();
        assert_eq!(bare(&screen.day_line(1_795_000_000_000)), "--- Wednesday, 18 November 2026 ---\n");
        assert_eq!(screen.day_line(1_795_000_000_001), "");
    }

    #[test]
    fn no_message_drives_the_terminal() {
        assert_eq!(indented("\x1b[2Jhi\r\u{9b}1m\ttab"), "␛[2Jhi␍\u{fffd}1m\ttab");
        assert_eq!(plain("evil\u{202e}eman\n"), "evileman␊");
        assert_eq!(indented("👩🏽‍🚀 שלום e\u{301}"), "👩🏽‍🚀 שלום e\u{301}");
    }
}
