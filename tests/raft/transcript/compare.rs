//! Whether an output is the one that was expected.

use std::fmt::Write;

/// Apart from lines of a log: both Raft's messages and their wording are left to each implementation.
pub(super) fn agree(expected: &str, actual: &str) -> bool {
    without_log(expected) == without_log(actual)
}

/// What of a text is not of a log. A command that tells nothing else says `ok` when there is no log.
fn without_log(text: &str) -> String {
    let kept: String = text.split_inclusive('\n').filter(|line| !is_of_log(line)).collect();
    if kept.is_empty() && !text.is_empty() { String::from("ok\n") } else { kept }
}

fn is_of_log(line: &str) -> bool {
    line.split_whitespace().next().is_some_and(|word| LEVELS.contains(&word))
}

/// Both without lines of a log, with `-` before what was expected alone and `+` before what came alone.
/// What is alike is only shown near to that.
pub(super) fn difference(expected: &str, actual: &str) -> String {
    let (expected, actual) = (without_log(expected), without_log(actual));
    let lines = merged(&expected.lines().collect::<Vec<_>>(), &actual.lines().collect::<Vec<_>>());
    let mut told = String::new();
    let mut hides = false;
    for (at, (sign, line)) in lines.iter().enumerate() {
        let near = at.saturating_sub(AROUND)..lines.len().min(at + AROUND + 1);
        if lines[near].iter().any(|(sign, _)| *sign != ' ') {
            writeln!(told, "{sign} {line}").expect("a text takes everything");
            hides = false;
        } else if !hides {
            told.push_str("  …\n");
            hides = true;
        }
    }
    told
}

/// As many lines as can be are those of both.
fn merged<'a>(expected: &[&'a str], actual: &[&'a str]) -> Vec<(char, &'a str)> {
    // How many lines are alike from these two on.
    let mut alike = vec![vec![0; actual.len() + 1]; expected.len() + 1];
    for old in (0..expected.len()).rev() {
        for new in (0..actual.len()).rev() {
            let skipped = alike[old + 1][new].max(alike[old][new + 1]);
            let both = if expected[old] == actual[new] { alike[old + 1][new + 1] + 1 } else { 0 };
            alike[old][new] = skipped.max(both);
        }
    }
    let (mut old, mut new) = (0, 0);
    let mut lines = Vec::new();
    while old < expected.len() || new < actual.len() {
        let left = expected.get(old);
        if left.is_some() && left == actual.get(new) {
            lines.push((' ', expected[old]));
            (old, new) = (old + 1, new + 1);
        } else if new == actual.len() || left.is_some() && alike[old + 1][new] >= alike[old][new + 1] {
            lines.push(('-', expected[old]));
            old += 1;
        } else {
            lines.push(('+', actual[new]));
            new += 1;
        }
    }
    lines
}

const LEVELS: [&str; 5] = ["DEBUG", "ERROR", "FATAL", "INFO", "WARN"];

/// Lines that are shown before and after a difference.
const AROUND: usize = 3;
