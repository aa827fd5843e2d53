//! The contract's "Mentions", one sentence after the other, and what nobody should write but somebody will.

use edgewise_core::mentions::{Mentions, TooManyMentions};
use proptest::prelude::*;

/// What a content mentions, as one line: `user:ana role:mods`, users first.
fn found(content: &str) -> String {
    let mentions = Mentions::parse(content).unwrap();
    let users = mentions.users.iter().map(|id| format!("user:{id}"));
    let roles = mentions.roles.iter().map(|id| format!("role:{id}"));
    users.chain(roles).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn finds(cases: &[(&str, &str)]) {
    for (content, expected) in cases {
        assert_eq!(found(content), *expected, "{content:?}");
    }
}

#[test]
fn bare() {
    finds(&[
        ("@user:ana", "user:ana"),
        ("hi @user:ana.", "user:ana"),
        ("hi @user:ana...:.", "user:ana"),
        ("@user:ana, @user:bob! @role:mods", "user:ana user:bob role:mods"),
        ("@user:auth0|5f7c @user:ana@example.org", "user:auth0|5f7c user:ana@example.org"),
        ("@user:a.b:c_d-e", "user:a.b:c_d-e"),
        ("@user:01890a5d-ac96-774b-bcce-b302099a8057?", "user:01890a5d-ac96-774b-bcce-b302099a8057"),
        ("@role:everyone", "role:everyone"),
        ("@user:anaé @user:bob漢", "user:ana user:bob"),
        ("@user:a@user:b", "user:a@user:b"),
        ("@user:@user:b", "user:b"),
        ("@user: @user:_a @user:.a @user:-a @user:|a @user @users:a @User:a @:a @channel:a", ""),
    ]);
}

#[test]
fn rich() {
    finds(&[
        ("@[Ana Maria](user:ana)", "user:ana"),
        ("@[Mods](role:mods), @[](user:bob)", "user:bob role:mods"),
        ("@[a [b @[c (d)](user:ana)", "user:ana"),
        ("@[Ana](user:ana.)@[Ana](user:ana:)", "user:ana. user:ana:"),
        ("@[é 漢 @user:bob](user:ana)", "user:ana"),
        ("@[a]b](user:ana) @[a\nb](user:ana) @[a\rb](user:ana)", ""),
        ("@[a](user:) @[a](user:_a) @[a](user:a b) @[a](users:a) @[a] (user:a) [a](user:a)", ""),
        ("@[a](user:a @[b](user:b)", "user:b"),
        ("@[@user:ana](user:) @[@user:bob", "user:ana user:bob"),
    ]);
}

#[test]
fn starts_after_no_letter_or_digit() {
    finds(&[
        ("ana@user:bob 1@user:bob é@user:bob 漢@user:bob ²@user:bob ana@[b](user:bob)", ""),
        ("(@user:a) -@user:b _@user:c \n@user:d", "user:a user:b user:c user:d"),
        ("👍@user:a @@user:b \\@user:c", "user:a user:b user:c"),
        ("@[a](user:a)@user:b", "user:a user:b"),
    ]);
}

#[test]
fn each_id_once_in_order_of_first_use() {
    finds(&[
        ("@user:b @user:a @[B](user:b) @user:a @role:b @role:a @role:b", "user:b user:a role:b role:a"),
        ("@user:A @user:a", "user:A user:a"),
    ]);
}

#[test]
fn ids_end_at_128_characters() {
    let longest = "a".repeat(128);
    assert_eq!(found(&format!("@user:{longest}.")), format!("user:{longest}"));
    assert_eq!(found(&format!("@[a](role:{longest})")), format!("role:{longest}"));
    let longer = longest + "a";
    assert_eq!(found(&format!("@user:{longer}|@user:bob @[a](user:{longer}) @user:ana")), "user:ana");
}

#[test]
fn code_spans() {
    finds(&[
        ("`@user:a` @user:b", "user:b"),
        ("`` @user:a ` @user:b `` @user:c", "user:c"),
        ("` @user:a", "user:a"),
        ("`` @user:a ` @user:b", "user:a user:b"),
        ("` @user:a `` @user:b ` @user:c", "user:c"),
        ("`a`@user:b`c`", "user:b"),
        ("@user:ana`b`", "user:ana"),
    ]);
}

#[test]
fn a_code_span_ends_with_its_paragraph() {
    finds(&[
        ("`a\n@user:a\nb` @user:b", "user:b"),
        ("`a\r\n@user:a\r\nb` @user:b", "user:b"),
        ("`a\n\n@user:a` b`", "user:a"),
        ("`a\r\n \t\r\n@user:a` b`", "user:a"),
    ]);
}

#[test]
fn an_escaped_backtick_opens_no_code_span() {
    finds(&[
        ("\\`@user:a` @user:b`", "user:a"),
        ("\\\\`@user:a` @user:b", "user:b"),
        ("`a\\`@user:a`", "user:a"),
        ("\\``@user:a` @user:b", "user:b"),
    ]);
}

#[test]
fn a_code_span_cuts_a_rich_mention() {
    finds(&[
        ("@[`code`](user:a)", "user:a"),
        ("@[`]`](user:a)", ""),
        ("@[x`](user:a)`", ""),
        ("@[`](user:a)`](user:b)", ""),
    ]);
}

#[test]
fn fenced_code_blocks() {
    finds(&[
        ("```\n@user:a\n```\n@user:b", "user:b"),
        ("~~~ rust @user:a `\n@user:a\n~~~\n@user:b", "user:b"),
        ("text\n   ````\n@user:a\n```\n@user:a\n   ````` \t\n@user:b", "user:b"),
        ("```\n@user:a\n~~~\n@user:a\n``` no end\n@user:a\n    ```\n@user:a", ""),
        ("```\r\n@user:a\r\n```\r\n@user:b", "user:b"),
        ("~~~\r@user:a\r~~~\r@user:b", "user:b"),
        ("@user:b\n~~~\n@user:a\n\n@user:a", "user:b"),
        ("@[x\n```\n](user:a)\n```", ""),
    ]);
}

#[test]
fn what_looks_like_a_fence() {
    finds(&[
        ("x\n    ~~~\n@user:a", "user:a"),
        ("x\n\t~~~\n@user:a", "user:a"),
        ("~~\n@user:a", "user:a"),
        ("x ~~~\n@user:a", "user:a"),
        ("``` @user:a ``` @user:b", "user:b"),
        ("```a`b\n@user:a", "user:a"),
        ("`x\n```\n@user:a\n```\n@user:b `", "user:b"),
    ]);
}

#[test]
fn limits() {
    let many = |kind: &str, count: usize| {
        (0..count).map(|n| format!("@{kind}:{n} @{kind}:{n} ")).collect::<String>()
    };
    let most = Mentions::parse(&(many("user", 50) + &many("role", 20))).unwrap();
    assert_eq!((most.users.len(), most.roles.len()), (50, 20));
    assert_eq!(Mentions::parse(&many("user", 51)), Err(TooManyMentions::Users));
    assert_eq!(Mentions::parse(&many("role", 21)), Err(TooManyMentions::Roles));
    assert_eq!(found(&format!("`{}`", many("user", 51))), "");
}

/// Were one of these read in quadratic time, this test would take many minutes.
#[test]
fn no_content_is_read_over_and_over() {
    const SIZE: usize = 512 << 10;
    let many = |part: &str| part.repeat(SIZE / part.len());
    let all_lengths = |mark: &str| {
        let lengths = (1..).take_while(|n| n * n < 2 * SIZE);
        lengths.map(|n| mark.repeat(n) + " ").collect::<String>()
    };
    for content in [
        all_lengths("`"),
        all_lengths("`") + &all_lengths("`"),
        all_lengths("\\`"),
        all_lengths("\n~~~"),
        many("`"),
        many("` `` "),
        many("\\"),
        many("\\`"),
        many("```\n"),
        many("```\n\n~~~\n"),
        many("@"),
        many("@["),
        many("@[ `"),
        many("@[") + "](user:" + &many("a"),
        many("@[@user:_") + "](user:" + &many("a."),
        many("@[a](user:"),
        many("@[a](user:a"),
        many("@user:"),
        many("@user:."),
        many("@user:a|"),
        many("|@user:a") + &many("."),
        many(" @user:a") + &many(":"),
        many("\n"),
        many("\r\n "),
        many("é@user:a"),
    ] {
        let _ = Mentions::parse(&content);
    }
}

/// The same rules by looking at every position anew: slow, and plain to read.
mod plainly {
    use std::collections::BTreeSet;

    fn id_length(text: &str) -> usize {
        text.find(|c: char| !(c.is_ascii_alphanumeric() || "_.:@-|".contains(c))).unwrap_or(text.len())
    }

    fn starts_as_id(text: &str) -> bool {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
    }

    fn first_char_length(text: &str) -> usize {
        text.chars().next().map_or(1, char::len_utf8)
    }

    /// Which bytes are code, where lines end with `\n`.
    fn code(text: &str) -> BTreeSet<usize> {
        let mut code = BTreeSet::new();
        let mut fence: Option<(&str, usize)> = None;
        let mut paragraph = 0..0;
        for line in text.split_inclusive('\n') {
            let (start, end) = (paragraph.end, paragraph.end + line.len());
            let bare = line.trim_start_matches(' ');
            let mark = if bare.starts_with('~') { "~" } else { "`" };
            let info = bare.trim_start_matches(mark).trim_matches([' ', '\t', '\n']);
            let length = bare.len() - bare.trim_start_matches(mark).len();
            let is_fence = length >= 3 && line.len() - bare.len() <= 3;
            let ends_paragraph = if let Some((open, least)) = fence {
                code.extend(start..end);
                if is_fence && mark == open && length >= least && info.is_empty() {
                    fence = None;
                }
                true
            } else if is_fence && (mark == "~" || !info.contains('`')) {
                code.extend(start..end);
                fence = Some((mark, length));
                true
            } else {
                line.trim().is_empty()
            };
            if ends_paragraph {
                spans(text, paragraph.start, start, &mut code);
                paragraph = end..end;
            } else {
                paragraph.end = end;
            }
        }
        spans(text, paragraph.start, text.len(), &mut code);
        code
    }

    fn spans(text: &str, start: usize, end: usize, code: &mut BTreeSet<usize>) {
        let run = |at: usize| text[at..end].len() - text[at..end].trim_start_matches('`').len();
        let mut at = start;
        while at < end {
            let length = run(at);
            if text[at..end].starts_with("\\`") || text[at..end].starts_with("\\\\") {
                at += 2;
            } else if length == 0 {
                at += first_char_length(&text[at..]);
            } else {
                let mut close = at + length;
                while close < end && run(close) != length {
                    close += run(close).max(first_char_length(&text[close..]));
                }
                if close < end {
                    code.extend(at..close + length);
                    at = close;
                }
                at += length;
            }
        }
    }

    fn bare<'a>(text: &'a str, kind: &str) -> Option<(&'a str, usize)> {
        let id =
            text.strip_prefix('@')?.strip_prefix(kind)?.strip_prefix(':').filter(|id| starts_as_id(id))?;
        let id = id[..id_length(id)].trim_end_matches(['.', ':']);
        Some((id, "@user:".len() + id.len()))
    }

    fn rich<'a>(text: &'a str, kind: &str, is_code: impl Fn(usize) -> bool) -> Option<(&'a str, usize)> {
        let (name, rest) = text.strip_prefix("@[")?.split_once(']')?;
        let id =
            rest.strip_prefix('(')?.strip_prefix(kind)?.strip_prefix(':').filter(|id| starts_as_id(id))?;
        let (id, rest) = id.split_at(id_length(id));
        let right = rest.starts_with(')') && !name.contains(['\n', '\r']) && !is_code(2 + name.len());
        (right && id.len() <= 128).then_some((id, "@[](user:)".len() + name.len() + id.len()))
    }

    /// The kinds and ids of all mentions, repeated ones too.
    pub(crate) fn mentions(text: &str) -> Vec<(&'static str, &str)> {
        let code = code(text);
        let mut all = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let starts = !text[..at].ends_with(char::is_alphanumeric) && !code.contains(&at);
            let found = ["user", "role"].into_iter().filter(|_| starts).find_map(|kind| {
                let rest = &text[at..];
                let (id, length) =
                    bare(rest, kind).or_else(|| rich(rest, kind, |offset| code.contains(&(at + offset))))?;
                Some((kind, id, length))
            });
            at += found.map_or_else(|| first_char_length(&text[at..]), |(_, _, length)| length);
            all.extend(found.filter(|(_, id, _)| id.len() <= 128).map(|(kind, id, _)| (kind, id)));
        }
        all
    }
}

fn collected<'a>(all: impl IntoIterator<Item = (&'static str, &'a str)>) -> Mentions {
    let mut mentions = Mentions::default();
    for (kind, id) in all {
        let ids = if kind == "user" { &mut mentions.users } else { &mut mentions.roles };
        if !ids.iter().any(|known| known == id) {
            ids.push(id.to_owned());
        }
    }
    mentions
}

/// A piece of content and what it mentions.
fn fragment() -> impl Strategy<Value = (String, Option<(&'static str, String)>)> {
    let kind = || prop_oneof![Just("user"), Just("role")];
    let id = "[A-Za-z0-9]([A-Za-z0-9_.:@|-]{0,30}[A-Za-z0-9_@|-])?";
    let text = r"[^@`~\\\r\n\]]{0,10}";
    prop_oneof![
        text.prop_map(|text| (text, None)),
        (kind(), id, "[.:]{0,2}")
            .prop_map(|(kind, id, end)| (format!("@{kind}:{id}{end}"), Some((kind, id)))),
        (kind(), id, text).prop_map(|(kind, id, name)| (format!("@[{name}]({kind}:{id})"), Some((kind, id)))),
        (kind(), id, "`{1,3}").prop_map(|(kind, id, run)| (format!("{run} @{kind}:{id} {run}"), None)),
        (kind(), id, "\n {0,3}(`{3,5}|~{3,5})", "[a-z ]{0,5}")
            .prop_map(|(kind, id, fence, info)| (format!("{fence}{info}\n@{kind}:{id}{fence}\n"), None)),
    ]
}

proptest! {
    #[test]
    fn any_text_will_do(text in any::<String>()) {
        let _ = Mentions::parse(&text);
    }

    #[test]
    fn what_was_put_in_is_found(fragments in prop::collection::vec(fragment(), 0..15)) {
        let content = fragments.iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(" ");
        let put_in = fragments.iter().filter_map(|(_, mention)| mention.as_ref());
        let expected = collected(put_in.map(|(kind, id)| (*kind, id.as_str())));
        prop_assert_eq!(Mentions::parse(&content).unwrap(), expected, "{:?}", content);
    }

    #[test]
    fn the_plain_way_finds_the_same(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "`", "``", "```", "~~~", "\n", "\n\n", "\\", " ", "   ", "@", "@user:", "@role:", "@[", "](", "](user:",
                ")", "](user:a)", "@user:a", "@user:b", "@role:c", "a", ".", ":", "é", "|",
            ]),
            0..40,
        ),
    ) {
        let content = parts.concat();
        let expected = collected(plainly::mentions(&content));
        prop_assert_eq!(Mentions::parse(&content).unwrap(), expected, "{:?}", content);
    }

    #[test]
    fn what_was_found_is_found_again(
        content in "([@`~\n]|@user:[a-z.]{1,5}|@\\[[a-z ]{0,3}\\]\\(role:[a-z]\\)| ){0,40}",
    ) {
        let mentions = Mentions::parse(&content).unwrap();
        let rich = |kind: &str, ids: &[String]| {
            ids.iter().map(|id| format!("@[x]({kind}:{id})")).collect::<String>()
        };
        let again = rich("user", &mentions.users) + &rich("role", &mentions.roles);
        prop_assert_eq!(Mentions::parse(&again).unwrap(), mentions);
    }
}
