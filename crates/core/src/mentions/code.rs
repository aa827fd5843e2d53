//! Which parts of a content are code, by `CommonMark`: fenced blocks and code spans.
//!
//! Of `CommonMark`'s blocks only fences and blank lines are known, so a span ends with its paragraph, and an indented
//! line is no code. Every function reads its text once, from the start to the end.

use std::{borrow::Cow, collections::HashMap};

/// The content with each character of its code replaced by a backtick, which neither starts nor belongs to a mention.
///
/// `]` and line breaks stay, because they also end the name of a rich mention that starts before the code.
pub(super) fn blanked(content: &str) -> Cow<'_, str> {
    if !content.contains('`') && !content.contains("~~~") {
        return content.into();
    }
    let mut out = String::with_capacity(content.len());
    let mut rest = content;
    let mut paragraph = content;
    let mut open: Option<Fence> = None;
    while !rest.is_empty() {
        let (line, after) = split_line(rest);
        let before = paragraph.get(..paragraph.len() - rest.len()).unwrap_or_default();
        match (&open, Fence::of(line)) {
            (Some(fence), here) => {
                blank(line, &mut out);
                if here.is_some_and(|here| here.closes(fence)) {
                    open = None;
                }
                paragraph = after;
            }
            (None, Some(fence)) if fence.opens() => {
                blank_spans(before, &mut out);
                blank(line, &mut out);
                open = Some(fence);
                paragraph = after;
            }
            (None, _) if is_blank(line) => {
                blank_spans(before, &mut out);
                out.push_str(line);
                paragraph = after;
            }
            (None, _) => {}
        }
        rest = after;
    }
    blank_spans(paragraph, &mut out);
    out.into()
}

/// The first line with its line break, and what follows.
fn split_line(text: &str) -> (&str, &str) {
    let end = text.find(['\n', '\r']).map_or(text.len(), |at| {
        let pair = text.get(at..).is_some_and(|rest| rest.starts_with("\r\n"));
        at + if pair { 2 } else { 1 }
    });
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Whether there is nothing but what `CommonMark` has a blank line of.
fn is_blank(text: &str) -> bool {
    text.chars().all(|c| matches!(c, ' ' | '\t' | '\n' | '\r'))
}

/// A line that starts, with up to three spaces before, with three or more backticks or tildes.
struct Fence<'a> {
    mark: char,
    length: usize,
    info: &'a str,
}

impl<'a> Fence<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let text = line.trim_start_matches(' ');
        let mark = text.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
        let info = text.trim_start_matches(mark);
        let length = text.len() - info.len();
        (length >= 3 && line.len() - text.len() <= 3).then_some(Self { mark, length, info })
    }

    fn opens(&self) -> bool {
        self.mark != '`' || !self.info.contains('`')
    }

    fn closes(&self, opening: &Self) -> bool {
        self.mark == opening.mark && self.length >= opening.length && is_blank(self.info)
    }
}

/// Copies a paragraph, its code spans blanked.
///
/// A span reaches from a run of backticks to the next run of the same length; what is escaped by a backslash opens none.
fn blank_spans(paragraph: &str, out: &mut String) {
    let runs = backtick_runs(paragraph);
    // From the last run to the first, so that the nearest run of each length is at hand for the ones before it.
    let mut nearest_end = HashMap::new();
    let mut spans = Vec::new();
    for run in runs.iter().rev() {
        if let Some(&end) = nearest_end.get(&(run.end - run.opening)) {
            spans.push((run.opening, end));
        }
        nearest_end.insert(run.end - run.start, run.end);
    }
    let mut copied = 0;
    for (start, end) in spans.into_iter().rev() {
        if start >= copied {
            out.push_str(paragraph.get(copied..start).unwrap_or_default());
            blank(paragraph.get(start..end).unwrap_or_default(), out);
            copied = end;
        }
    }
    out.push_str(paragraph.get(copied..).unwrap_or_default());
}

/// A run of backticks with no other next to it.
struct Run {
    start: usize,
    /// Where it starts as the opening of a span: one later where its first backtick is escaped.
    opening: usize,
    end: usize,
}

fn backtick_runs(text: &str) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        if byte == b'`' {
            match runs.last_mut() {
                Some(run) if run.end == at => run.end += 1,
                _ => runs.push(Run { start: at, opening: at + usize::from(escaped), end: at + 1 }),
            }
        }
        escaped = byte == b'\\' && !escaped;
    }
    runs
}

fn blank(code: &str, out: &mut String) {
    out.extend(code.chars().map(|c| if matches!(c, ']' | '\n' | '\r') { c } else { '`' }));
}
