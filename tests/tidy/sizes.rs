//! No file and no function grows beyond what one sitting can review.

use crate::modules::reachable;
use crate::tokens::{Kind, Token, bracket, closing, tokens};
use crate::tree::{assert_none, rust_files};

/// Lines of a file without its tests; aim at 300.
const FILE_LINES_MAX: usize = 700;
/// Lines of a function from `fn` to its last brace; aim at 40.
const FUNCTION_LINES_MAX: usize = 70;
/// `main` only calls; what it calls is in the library.
const MAIN_LINES_MAX: usize = 80;

/// Functions that may exceed the limit: file, name, and why splitting makes them worse.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

#[test]
fn no_file_exceeds_the_limit() {
    let violations: Vec<String> =
        production_files().iter().filter_map(|(path, text)| file_violation(path, text)).collect();
    assert_none(&violations);
}

#[test]
fn no_function_exceeds_the_limit() {
    let violations: Vec<String> = production_files()
        .iter()
        .flat_map(|(path, text)| long_functions(path, text))
        .filter(|long| !LONG_FUNCTIONS.iter().any(|(path, name, _)| long.is(path, name)))
        .map(|long| format!("{}:{}: `{}` has {} lines", long.path, long.line, long.name, long.lines))
        .collect();
    assert_none(&violations);
}

#[test]
fn every_exception_is_still_needed() {
    let files = production_files();
    let long: Vec<LongFunction> = files.iter().flat_map(|(path, text)| long_functions(path, text)).collect();
    let violations: Vec<String> = LONG_FUNCTIONS
        .iter()
        .filter(|(path, name, _)| !long.iter().any(|long| long.is(path, name)))
        .map(|(path, name, _)| format!("`{name}` in {path} is not too long: drop its exception"))
        .collect();
    assert_none(&violations);
}

#[derive(Debug)]
struct LongFunction {
    path: String,
    name: String,
    line: usize,
    lines: usize,
}

impl LongFunction {
    fn is(&self, path: &str, name: &str) -> bool {
        self.path == path && self.name == name
    }
}

/// Path and text of what is in `src` by hand and not only for tests.
fn production_files() -> Vec<(String, String)> {
    let files = rust_files(&["src"]);
    let roots = ["src/lib.rs", "src/main.rs"].map(String::from);
    let reachable = reachable(&roots, &files);
    files
        .into_iter()
        .filter(|file| !file.components().any(|part| part == "generated"))
        .filter(|file| reachable.get(&file.path) != Some(&true))
        .map(|file| (file.path, file.text))
        .collect()
}

fn file_violation(path: &str, text: &str) -> Option<String> {
    let limit = if path == "src/main.rs" { MAIN_LINES_MAX } else { FILE_LINES_MAX };
    let lines = production_lines(text);
    (lines > limit).then(|| format!("{path}: {lines} lines without tests, {limit} are allowed"))
}

/// Lines that are not part of an item under `cfg(test)`.
fn production_lines(text: &str) -> usize {
    let tokens = tokens(text);
    let mut test_lines = 0;
    for run in tokens.chunk_by(|left, right| left.test == right.test) {
        if let [first, .., last] = run
            && first.test
        {
            test_lines += last.line - first.line + 1;
        }
    }
    text.lines().count() - test_lines
}

fn long_functions(path: &str, text: &str) -> Vec<LongFunction> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        // Without a name, `fn` is a pointer's type.
        if let Some(name) = tokens.get(at + 1)
            && token.is_word("fn")
            && name.kind == Kind::Word
            && !token.test
            && let Some(end) = body_end(&tokens, at)
        {
            let lines = tokens[end].line - token.line + 1;
            if lines > FUNCTION_LINES_MAX {
                let (path, name) = (String::from(path), String::from(name.text));
                found.push(LongFunction { path, name, line: token.line, lines });
            }
        }
    }
    found
}

/// Index of the brace that ends the function at `start`; none if it is only declared.
fn body_end(tokens: &[Token<'_>], start: usize) -> Option<usize> {
    let mut at = start;
    while at < tokens.len() && !tokens[at].is_mark(";") {
        if bracket(&tokens[at]).is_some() {
            let end = closing(tokens, at);
            if tokens[at].is_mark("{") {
                return Some(end);
            }
            at = end;
        }
        at += 1;
    }
    None
}

#[cfg(test)]
fn function(name: &str, lines: usize) -> String {
    format!("    fn {name}(x: [u8; 2]) -> u8\n    {{\n{}    }}\n", "        x();\n".repeat(lines - 3))
}

#[test]
fn a_function_beyond_the_limit_is_found() {
    let fits = function("fits", FUNCTION_LINES_MAX);
    let long = function("long", FUNCTION_LINES_MAX + 1);
    let declared = "trait T { fn declared(self) -> [u8; 2]; }\n";
    let text = format!("impl A {{\n{fits}{declared}{long}}}\n#[cfg(test)] mod tests {{ {long} }}");
    let found = long_functions("src/a.rs", &text);
    let [found] = &found[..] else { panic!("one function is long: {found:?}") };
    assert!(found.is("src/a.rs", "long"));
    assert_eq!((found.line, found.lines), (FUNCTION_LINES_MAX + 3, FUNCTION_LINES_MAX + 1));
}

#[test]
fn a_file_beyond_the_limit_is_found() {
    let lines = |count: usize| "x();\n".repeat(count);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", lines(FILE_LINES_MAX));
    let fits = format!("{}{tests}", lines(FILE_LINES_MAX));
    assert_eq!(file_violation("src/a.rs", &fits), None);
    assert!(file_violation("src/a.rs", &format!("{fits}{}", lines(1))).is_some());
    assert_eq!(file_violation("src/main.rs", &lines(MAIN_LINES_MAX)), None);
    assert!(file_violation("src/main.rs", &lines(MAIN_LINES_MAX + 1)).is_some());
}
