//! Small things that must not get in: leftovers, silent exceptions, unbounded queues.

use crate::modules::reachable;
use crate::tokens::{Kind, begin_with, closing, tokens};
use crate::tree::{File, assert_none, files, read, rust_files};

// Put together, because this file is checked too.
const FOREIGN_PATHS: [&str; 3] = [concat!("/", "work/"), concat!("/", "root/"), concat!("/", "farm/")];
const LEFTOVERS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

const UNBOUNDED: [&str; 4] = ["UnboundedReceiver", "UnboundedSender", "unbounded", "unbounded_channel"];

#[test]
fn no_file_has_leftovers_or_the_paths_of_one_machine() {
    let mut files = files(&[".ci", "benches", "config", "deploy", "docs", "src", "tests"]);
    files.push(File { path: "Cargo.toml".into(), text: read("Cargo.toml") });
    assert_none(&violations(&files, leftovers));
}

#[test]
fn no_code_prints_for_debugging() {
    assert_none(&violations(&rust_files(&["benches", "src", "tests"]), debug_prints));
}

#[test]
fn every_queue_is_bounded() {
    assert_none(&violations(&rust_files(&["src"]), unbounded_queues));
}

#[test]
fn production_code_never_unwraps() {
    let files = rust_files(&["src"]);
    let roots = ["src/lib.rs", "src/main.rs"].map(String::from);
    let reachable = reachable(&roots, &files);
    let production: Vec<File> =
        files.into_iter().filter(|file| reachable.get(&file.path) != Some(&true)).collect();
    assert_none(&violations(&production, unwraps));
}

#[test]
fn every_allowed_lint_has_its_reason() {
    assert_none(&violations(&rust_files(&["src"]), unexplained_lints));
}

#[test]
fn every_ignored_test_has_its_reason() {
    assert_none(&violations(&rust_files(&["benches", "src", "tests"]), unexplained_ignores));
}

/// One line a violation, from a check that gives line numbers and what is there.
fn violations(files: &[File], check: fn(&str) -> Vec<(usize, String)>) -> Vec<String> {
    files
        .iter()
        .flat_map(|file| {
            let found = check(&file.text);
            found.into_iter().map(|(line, what)| format!("{}:{line}: {what}", file.path))
        })
        .collect()
}

fn leftovers(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let inside_word = |c: char| c.is_alphanumeric() || c == '_';
        let words = text.split(|c: char| !inside_word(c)).filter(|it| LEFTOVERS.contains(it));
        found.extend(words.map(|word| (line, String::from(word))));
        for path in FOREIGN_PATHS {
            // Behind a name, it is a part of some other path.
            let inside_path = |c: char| inside_word(c) || c == '.' || c == '-' || c == '}';
            let mut places = text.match_indices(path);
            if places.any(|(at, _)| !text[..at].ends_with(inside_path)) {
                found.push((line, String::from(path)));
            }
        }
    }
    found
}

fn debug_prints(text: &str) -> Vec<(usize, String)> {
    matches(text, &["dbg", "!"])
}

fn unwraps(text: &str) -> Vec<(usize, String)> {
    let tokens = tokens(text);
    let production: Vec<_> = tokens.into_iter().filter(|token| !token.test).collect();
    (0..production.len())
        .filter(|at| begin_with(&production[*at..], &[".", "unwrap", "(", ")"]))
        .map(|at| (production[at + 1].line, String::from("unwrap: say why it cannot fail")))
        .collect()
}

fn unbounded_queues(text: &str) -> Vec<(usize, String)> {
    UNBOUNDED.iter().flat_map(|name| matches(text, &[name])).collect()
}

/// Lines with these words and marks in a row.
fn matches(text: &str, pattern: &[&str]) -> Vec<(usize, String)> {
    let tokens = tokens(text);
    (0..tokens.len())
        .filter(|at| begin_with(&tokens[*at..], pattern))
        .map(|at| (tokens[at].line, pattern.concat()))
        .collect()
}

/// Attributes that silence a lint without a comment on their line or the one above, and without
/// a `reason` of their own.
fn unexplained_lints(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let tokens = tokens(text);
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let silences = token.is_word("allow") || token.is_word("expect");
        let [.., before] = &tokens[..at] else {
            continue;
        };
        // In `#[allow(`, `#![allow(` and `cfg_attr(…, allow(`, but not in `.expect(`.
        if !silences || !(before.is_mark("[") || before.is_mark(",")) {
            continue;
        }
        if !begin_with(&tokens[at + 1..], &["("]) {
            continue;
        }
        let reason = tokens[at..closing(&tokens, at + 1)].iter().any(|it| it.is_word("reason"));
        let same_line = lines[token.line - 1].contains("// ");
        let above = token.line >= 2 && lines[token.line - 2].trim_start().starts_with("// ");
        if !(reason || same_line || above) {
            found.push((token.line, format!("{} without a reason", token.text)));
        }
    }
    found
}

fn unexplained_ignores(text: &str) -> Vec<(usize, String)> {
    let tokens = tokens(text);
    (0..tokens.len())
        .filter(|at| begin_with(&tokens[*at..], &["[", "ignore"]))
        .filter(|at| {
            let explained = tokens
                .get(at + 3)
                .is_some_and(|value| value.kind == Kind::Literal && !value.text.trim().is_empty());
            !explained
        })
        .map(|at| (tokens[at].line, String::from("ignore without a reason")))
        .collect()
}

#[test]
fn leftovers_and_foreign_paths_are_found() {
    for text in LEFTOVERS {
        assert_eq!(leftovers(&format!("x\n# {text}: later")), [(2, String::from(text))]);
        assert!(leftovers(&format!("{}: mktemp a.{text}{text}", text.to_lowercase())).is_empty());
    }
    for text in FOREIGN_PATHS {
        assert_eq!(leftovers(&format!("cd {text}main")), [(1, String::from(text))]);
        assert!(leftovers(&format!("cd target{text}main ${{a}}{text}")).is_empty());
    }
}

#[test]
fn a_debug_print_is_found() {
    assert_eq!(debug_prints("let a =\n dbg!(b);").len(), 1);
    assert!(debug_prints("// dbg!\nlet dbg = \"dbg!\";").is_empty());
}

#[test]
fn an_unbounded_queue_is_found() {
    assert_eq!(unbounded_queues("let (a, b) = mpsc::unbounded_channel();").len(), 1);
    assert_eq!(unbounded_queues("struct A { a: UnboundedSender<B> }").len(), 1);
    assert!(unbounded_queues("let (a, b) = mpsc::channel(1); Bound::Unbounded").is_empty());
}

#[test]
fn an_unwrap_is_found_unless_in_a_test() {
    assert_eq!(unwraps("fn a() { b()\n.unwrap(); }"), unwraps("\n.unwrap()"));
    assert_eq!(unwraps("fn a() { b.unwrap(); }").len(), 1);
    assert!(unwraps("fn a() { b.unwrap_or(1); c.expect(\".unwrap()\"); }").is_empty());
    assert!(unwraps("#[cfg(test)] mod tests { fn a() { b.unwrap(); } }").is_empty());
}

#[test]
fn a_silenced_lint_without_a_reason_is_found() {
    for text in [
        "#[allow(dead_code)]\nfn a() {}",
        "#![allow(dead_code)]",
        "/// What it is.\n#[expect(dead_code)]\nfn a() {}",
        "#[cfg_attr(unix, allow(dead_code))]",
    ] {
        assert_eq!(unexplained_lints(text).len(), 1, "{text}");
    }
    for text in [
        "#[allow(dead_code)] // Read by the debugger.",
        "// Read by the debugger.\n#[allow(dead_code)]",
        "#[expect(dead_code, reason = \"read by the debugger\")]",
        "fn a() { b.expect(\"why\"); allow(1); }",
        "const A: &str = \"#[allow(dead_code)]\";",
    ] {
        assert!(unexplained_lints(text).is_empty(), "{text}");
    }
}

#[test]
fn an_ignored_test_without_a_reason_is_found() {
    assert_eq!(unexplained_ignores("#[test]\n#[ignore]\nfn a() {}").len(), 1);
    assert_eq!(unexplained_ignores("#[ignore = \"\"]").len(), 1);
    assert!(unexplained_ignores("#[ignore = \"takes an hour\"] fn a() {}").is_empty());
}
