//! The paths that a Rust file names: `a::b` in code, and each branch of a `use` tree.

use crate::tokens::{Kind, Token};

#[derive(Debug)]
pub(crate) struct NamedPath<'a> {
    /// Without `self` at the start; `*` stands for a glob import.
    pub segments: Vec<&'a str>,
    pub line: usize,
    /// Part of an item that exists only in tests.
    pub test: bool,
    /// Named by a `use`.
    pub imported: bool,
    /// Names of the modules inside the file that it stands in.
    pub inside: Vec<&'a str>,
    /// The token before it, if any.
    pub before: Option<Token<'a>>,
    /// What follows it.
    pub after: &'a [Token<'a>],
}

impl NamedPath<'_> {
    /// Whether these segments follow each other somewhere in the path.
    pub(crate) fn has(&self, segments: &[&str]) -> bool {
        self.segments.windows(segments.len()).any(|window| window == segments)
    }
}

pub(crate) fn paths<'a>(tokens: &'a [Token<'a>]) -> Vec<NamedPath<'a>> {
    let mut walk = Walk { tokens, at: 0, inside: Vec::new(), depth: 0, found: Vec::new() };
    while walk.at < tokens.len() {
        walk.step();
    }
    walk.found
}

struct Walk<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    /// Inline modules with the brace depth that they were opened at.
    inside: Vec<(&'a str, usize)>,
    depth: usize,
    found: Vec<NamedPath<'a>>,
}

impl<'a> Walk<'a> {
    fn step(&mut self) {
        let token = &self.tokens[self.at];
        if token.is_word("use") && !self.next_is("<") {
            self.at += 1;
            self.use_tree(&[]);
        } else if token.kind == Kind::Word {
            self.code_path();
        } else {
            if token.is_mark("{") {
                self.open();
            } else if token.is_mark("}") {
                self.depth = self.depth.saturating_sub(1);
                self.inside.retain(|(_, opened_at)| *opened_at < self.depth);
            }
            self.at += 1;
        }
    }

    fn open(&mut self) {
        if let Some([module, name]) = self.at.checked_sub(2).map(|at| &self.tokens[at..at + 2])
            && module.is_word("mod")
        {
            self.inside.push((name.text, self.depth));
        }
        self.depth += 1;
    }

    fn code_path(&mut self) {
        let start = self.at;
        let mut segments = vec![self.tokens[start].text];
        self.at += 1;
        while let [colons, segment, ..] = &self.tokens[self.at..]
            && colons.is_mark("::")
            && segment.kind == Kind::Word
        {
            segments.push(segment.text);
            self.at += 2;
        }
        self.push(segments, start, false);
    }

    /// One branch of a `use` tree, from behind its prefix up to the mark that ends it.
    fn use_tree(&mut self, prefix: &[&'a str]) {
        let start = self.at;
        let mut segments = prefix.to_vec();
        while let Some(token) = self.tokens.get(self.at) {
            if token.is_mark("{") {
                self.use_group(&segments);
                return;
            }
            if token.is_mark(",") || token.is_mark("}") || token.is_mark(";") {
                break;
            }
            if token.is_word("as") {
                self.at += 1;
            } else if !token.is_mark("::") {
                segments.push(token.text);
            }
            self.at += 1;
        }
        if self.at > start {
            self.push(segments, start, true);
        }
    }

    fn use_group(&mut self, prefix: &[&'a str]) {
        while let Some(token) = self.tokens.get(self.at) {
            if token.is_mark("}") {
                self.at += 1;
                return;
            }
            self.at += 1;
            self.use_tree(prefix);
        }
    }

    fn push(&mut self, mut segments: Vec<&'a str>, start: usize, imported: bool) {
        if segments.len() > 1 && segments[0] == "self" {
            segments.remove(0);
        }
        self.found.push(NamedPath {
            segments,
            line: self.tokens[start].line,
            test: self.tokens[start].test,
            imported,
            inside: self.inside.iter().map(|(name, _)| *name).collect(),
            before: start.checked_sub(1).map(|before| self.tokens[before]),
            after: &self.tokens[self.at..],
        });
    }

    fn next_is(&self, mark: &str) -> bool {
        self.tokens.get(self.at + 1).is_some_and(|token| token.is_mark(mark))
    }
}

#[cfg(test)]
fn joined(text: &str) -> Vec<String> {
    let tokens = crate::tokens::tokens(text);
    paths(&tokens).iter().map(|path| path.segments.join("::")).collect()
}

#[test]
fn use_trees_are_expanded() {
    assert_eq!(
        joined("pub use a::{b::{self, C as D}, e::*, f}; use self::g; use ::h::i as _; use j;"),
        ["pub", "a::b::self", "a::b::C", "a::e::*", "a::f", "g", "h::i", "j"]
    );
}

#[test]
fn paths_in_code_are_found() {
    assert_eq!(
        joined("fn x(y: a::B<c::D>) -> impl E + use<'_> { f::g!(h.i()); j::<k::L>::m() }"),
        ["fn", "x", "y", "a::B", "c::D", "impl", "E", "use", "f::g", "h", "i", "j", "k::L", "m"]
    );
}

#[test]
fn inline_modules_are_known() {
    let tokens = crate::tokens::tokens("a; mod b { c; mod d { if x { e } } f } g");
    let inside = |name: &str| {
        let paths = paths(&tokens);
        let path = paths.iter().find(|path| path.segments == [name]).expect("it is in the text");
        path.inside.join("::")
    };
    let found = ["a", "c", "e", "f", "g"].map(inside);
    assert_eq!(found, ["", "b", "b::d", "b", ""]);
}
