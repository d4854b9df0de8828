//! Which Rust files are compiled, and which of them only for tests.

use std::collections::BTreeMap;

use crate::tokens::{Kind, Token, begin_with, closing, tokens};
use crate::tree::File;

/// What a file declares to be part of its crate.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Declared {
    /// Where the file may be.
    pub candidates: Vec<String>,
    pub test: bool,
    /// Its own modules are looked for in its folder, not in one named after it.
    pub owns_folder: bool,
}

/// The files that these crate roots reach, each with whether only tests reach it.
pub(crate) fn reachable(roots: &[String], files: &[File]) -> BTreeMap<String, bool> {
    let texts: BTreeMap<&str, &str> =
        files.iter().map(|file| (file.path.as_str(), file.text.as_str())).collect();
    let mut reached = BTreeMap::new();
    let mut pending: Vec<_> = roots.iter().map(|root| (root.clone(), false, true)).collect();
    while let Some((path, test, owns_folder)) = pending.pop() {
        let Some(text) = texts.get(path.as_str()) else {
            continue;
        };
        if reached.get(&path).is_some_and(|only_tests| *only_tests <= test) {
            continue;
        }
        reached.insert(path.clone(), test);
        for declared in declarations(&path, owns_folder, text) {
            let test = test || declared.test;
            let found = declared.candidates.into_iter().find(|it| texts.contains_key(it.as_str()));
            pending.extend(found.map(|it| (it, test, declared.owns_folder)));
        }
    }
    reached
}

/// The modules and included Rust files that a file declares.
pub(crate) fn declarations(path: &str, owns_folder: bool, text: &str) -> Vec<Declared> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let home = if owns_folder || name == "mod.rs" {
        String::from(folder)
    } else {
        String::from(path.trim_end_matches(".rs"))
    };
    let tokens = tokens(text);
    let mut declared = Vec::new();
    let mut inside: Vec<(usize, String)> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        inside.retain(|(end, _)| at < *end);
        let rest = &tokens[at..];
        let inner = inside.iter().map(|(_, name)| format!("/{name}")).collect::<String>();
        if let [_, name, mark, ..] = rest
            && token.is_word("mod")
            && name.kind == Kind::Word
        {
            let path = path_attribute(&tokens[..at]);
            if mark.is_mark("{") {
                inside.push((closing(&tokens, at + 2), String::from(path.unwrap_or(name.text))));
            } else if mark.is_mark(";") {
                let base = if inside.is_empty() && path.is_some() { folder } else { &home };
                declared.push(module(&format!("{base}{inner}"), name, path));
            }
        } else if let [_, _, _, literal, ..] = rest
            && begin_with(rest, &["include", "!", "("])
            && literal.text.ends_with(".rs")
        {
            declared.push(module(folder, token, Some(literal.text)));
        }
    }
    declared
}

fn module(base: &str, token: &Token<'_>, path: Option<&str>) -> Declared {
    let name = token.text;
    let candidates = match path {
        Some(path) => vec![join(base, path)],
        None => vec![join(base, &format!("{name}.rs")), join(base, &format!("{name}/mod.rs"))],
    };
    Declared { candidates, test: token.test, owns_folder: path.is_some() }
}

/// The value of the `path` attribute among those that end these tokens.
fn path_attribute<'a>(mut before: &[Token<'a>]) -> Option<&'a str> {
    while let Some((last, rest)) = before.split_last() {
        if last.is_mark("]") {
            let open = before.iter().rposition(|token| token.is_mark("#"))?;
            if let [_, _, name, _, value, _] = &before[open..]
                && name.is_word("path")
            {
                return Some(value.text);
            }
            before = &before[..open];
        } else if ["pub", "(", "crate", "super", "self", "in", ")"].contains(&last.text) {
            before = rest;
        } else {
            return None;
        }
    }
    None
}

fn join(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
fn candidates(path: &str, owns_folder: bool, text: &str) -> Vec<String> {
    declarations(path, owns_folder, text).into_iter().flat_map(|it| it.candidates).collect()
}

#[test]
fn modules_are_looked_for_where_the_compiler_does() {
    for (path, owns_folder, text, expected) in [
        ("src/lib.rs", true, "pub mod a;", vec!["src/a.rs", "src/a/mod.rs"]),
        ("src/a/mod.rs", false, "mod b;", vec!["src/a/b.rs", "src/a/b/mod.rs"]),
        ("src/a/b.rs", false, "mod c;", vec!["src/a/b/c.rs", "src/a/b/c/mod.rs"]),
        ("src/a/mod.rs", false, "mod b { mod c; }", vec!["src/a/b/c.rs", "src/a/b/c/mod.rs"]),
        ("src/a/mod.rs", false, "mod b {} mod c;", vec!["src/a/c.rs", "src/a/c/mod.rs"]),
        ("tests/a/main.rs", true, "#[path = \"../b/mod.rs\"] mod b;", vec!["tests/b/mod.rs"]),
        ("tests/a/b.rs", false, "#[path = \"c.rs\"] #[x] pub(crate) mod d;", vec!["tests/a/c.rs"]),
        ("src/a.rs", false, "mod b { #[path = \"c.d.rs\"] mod c; }", vec!["src/a/b/c.d.rs"]),
        ("src/a.rs", false, "include!(\"b/c.rs\"); include_str!(\"d.rs\");", vec!["src/b/c.rs"]),
        ("src/a.rs", false, "// mod b;\nconst C: &str = \"mod c;\"; macro!(mod);", vec![]),
    ] {
        assert_eq!(candidates(path, owns_folder, text), expected, "{path}: {text}");
    }
}

#[test]
fn a_file_that_both_tests_and_production_reach_is_production() {
    let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
    let files = [
        file("src/lib.rs", "#[cfg(test)] mod a; mod b;"),
        file("src/a.rs", "mod c; #[path = \"shared.rs\"] mod shared;"),
        file("src/a/c.rs", ""),
        file("src/b.rs", "#[path = \"shared.rs\"] mod shared; mod missing;"),
        file("src/dead.rs", ""),
        file("src/shared.rs", ""),
    ];
    let found = reachable(&[String::from("src/lib.rs")], &files);
    let found: Vec<_> = found.iter().map(|(path, test)| (path.as_str(), *test)).collect();
    assert_eq!(
        found,
        [
            ("src/a.rs", true),
            ("src/a/c.rs", true),
            ("src/b.rs", false),
            ("src/lib.rs", false),
            ("src/shared.rs", false),
        ]
    );
}
