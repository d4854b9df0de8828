//! Entries, and the changes of members in them.

use std::fmt::Write;

use etcdlet::raft::confchange::{ConfChangeSingle, ConfChangeType};
use etcdlet::raft::{Entry, EntryType};
use etcdlet::types::ids::MemberId;

/// `1/3 EntryNormal "payload"`
pub(super) fn entry(entry: &Entry) -> String {
    let kind = match entry.kind {
        EntryType::ConfChange => "EntryConfChange",
        EntryType::ConfChangeV2 => "EntryConfChangeV2",
        EntryType::Normal => "EntryNormal",
    };
    let payload = match entry.conf_change().expect("the core wrote it") {
        Some(change) => told(&change.changes),
        None => quoted(&entry.data),
    };
    let space = if payload.is_empty() { "" } else { " " };
    format!("{} {kind}{space}{payload}", entry.id())
}

/// Each on its line.
pub(crate) fn entries(entries: &[Entry]) -> String {
    entries.iter().map(|it| entry(it) + "\n").collect()
}

/// `v1 l2 r3 u4`: a voter, a learner, one that is removed, one that is updated; 0 is nobody.
pub(crate) fn changes(text: &str) -> Vec<ConfChangeSingle> {
    let change = |word: &str| {
        let (kind, _) = KINDS.iter().find(|(_, letter)| word.starts_with(*letter))?;
        let number: u64 = word[1..].parse().ok()?;
        Some(ConfChangeSingle { kind: *kind, node: (number != 0).then_some(MemberId(number)) })
    };
    let change = |word| change(word).unwrap_or_else(|| panic!("{word} is no change of a member"));
    text.split_whitespace().map(change).collect()
}

fn told(changes: &[ConfChangeSingle]) -> String {
    let word = |change: &ConfChangeSingle| {
        let (_, letter) = KINDS.iter().find(|(kind, _)| *kind == change.kind).expect("all kinds are there");
        format!("{letter}{}", change.node.map_or(0, |id| id.0))
    };
    changes.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// As Go's `%q`.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from('"');
    for chunk in bytes.utf8_chunks() {
        for mark in chunk.valid().chars() {
            match mark {
                '"' | '\\' => text.extend(['\\', mark]),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                '\t' => text.push_str("\\t"),
                '\u{7}' => text.push_str("\\a"),
                '\u{8}' => text.push_str("\\b"),
                '\u{b}' => text.push_str("\\v"),
                '\u{c}' => text.push_str("\\f"),
                '\0'..' ' | '\u{7f}' => write!(text, "\\x{:02x}", u32::from(mark)).expect("it is in memory"),
                _ => text.push(mark),
            }
        }
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02x}").expect("it is in memory");
        }
    }
    text + "\""
}

const KINDS: [(ConfChangeType, char); 4] = [
    (ConfChangeType::AddLearnerNode, 'l'),
    (ConfChangeType::AddNode, 'v'),
    (ConfChangeType::RemoveNode, 'r'),
    (ConfChangeType::UpdateNode, 'u'),
];

#[test]
fn payloads_are_quoted_as_go_does() {
    for (payload, expected) in [
        (&b""[..], r#""""#),
        (b"a 'b' \"c\\", r#""a 'b' \"c\\""#),
        (b"\x00\x07\x08\t\n\x0b\x0c\r\x1f\x7f", r#""\x00\a\b\t\n\v\f\r\x1f\x7f""#),
        ("ä\u{20ac}".as_bytes(), "\"ä\u{20ac}\""),
        (b"a\xffb\xe2\x82", r#""a\xffb\xe2\x82""#),
    ] {
        assert_eq!(quoted(payload), expected);
    }
}
