//! A Rust file as words, literals and marks, without its comments.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A string or character; its text is what stands between the quotes.
    Literal,
    /// Punctuation: `::` or a single character.
    Mark,
    /// An identifier, a keyword or a part of a number.
    Word,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub kind: Kind,
    pub text: &'a str,
    /// Line of its first character, from 1.
    pub line: usize,
    /// Part of an item that exists only in tests.
    pub test: bool,
}

impl Token<'_> {
    pub(crate) fn is_word(&self, text: &str) -> bool {
        self.kind == Kind::Word && self.text == text
    }

    pub(crate) fn is_mark(&self, text: &str) -> bool {
        self.kind == Kind::Mark && self.text == text
    }
}

pub(crate) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut lexer = Lexer { text, at: 0, line: 1, tokens: Vec::new() };
    while lexer.at < text.len() {
        lexer.step();
    }
    let mut tokens = lexer.tokens;
    mark_tests(&mut tokens);
    tokens
}

/// Whether the tokens begin with these words and marks.
pub(crate) fn begin_with(tokens: &[Token<'_>], pattern: &[&str]) -> bool {
    tokens.len() >= pattern.len()
        && tokens.iter().zip(pattern).all(|(token, text)| token.kind != Kind::Literal && token.text == *text)
}

/// Index of the mark that closes the bracket at `open`; the last index if nothing does.
pub(crate) fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match bracket(token) {
            Some(Bracket::Open) => depth += 1,
            Some(Bracket::Close) if depth == 1 => return index,
            Some(Bracket::Close) => depth -= 1,
            None => {}
        }
    }
    tokens.len() - 1
}

pub(crate) enum Bracket {
    Close,
    Open,
}

pub(crate) fn bracket(token: &Token<'_>) -> Option<Bracket> {
    match (token.kind, token.text) {
        (Kind::Mark, "(" | "[" | "{") => Some(Bracket::Open),
        (Kind::Mark, ")" | "]" | "}") => Some(Bracket::Close),
        _ => None,
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    tokens: Vec<Token<'a>>,
}

impl<'a> Lexer<'a> {
    fn step(&mut self) {
        let rest = &self.text[self.at..];
        let word = word_length(rest);
        if rest.starts_with("//") {
            self.skip(rest.find('\n').unwrap_or(rest.len()));
        } else if rest.starts_with("/*") {
            self.skip(block_comment_length(rest));
        } else if let Some((start, end)) = literal(rest) {
            self.push(Kind::Literal, start, end);
            self.skip_quote_and_hashes(rest);
        } else if let Some(lifetime) = rest.strip_prefix('\'') {
            self.skip(1 + word_length(lifetime));
        } else if rest.starts_with("r#") && word_length(&rest[2..]) > 0 {
            self.push(Kind::Word, 2, 2 + word_length(&rest[2..]));
        } else if word > 0 {
            self.push(Kind::Word, 0, word);
        } else if rest.starts_with("::") {
            self.push(Kind::Mark, 0, 2);
        } else {
            let first = rest.chars().next().map_or(1, char::len_utf8);
            if rest.starts_with(char::is_whitespace) {
                self.skip(first);
            } else {
                self.push(Kind::Mark, 0, first);
            }
        }
    }

    /// Takes `rest[start..end]` as a token and moves behind it.
    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        let text = &self.text[self.at + start..self.at + end];
        self.tokens.push(Token { kind, text, line: self.line, test: false });
        self.skip(end);
    }

    /// Moves behind the closing quote of the literal that `rest` began with.
    fn skip_quote_and_hashes(&mut self, rest: &str) {
        let hashes = rest.trim_start_matches(['b', 'c', 'r']).bytes().take_while(|b| *b == b'#');
        self.skip(1 + hashes.count());
    }

    fn skip(&mut self, length: usize) {
        let end = self.at + length;
        self.line += self.text[self.at..end].matches('\n').count();
        self.at = end;
    }
}

fn word_length(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

fn block_comment_length(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(found) = text[at..].find(['/', '*']) {
        at += found;
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// Where the content of the literal that `text` begins with starts and ends.
fn literal(text: &str) -> Option<(usize, usize)> {
    let prefix = text.len() - text.trim_start_matches(['b', 'c', 'r']).len();
    if !["", "b", "c", "r", "br", "cr"].contains(&&text[..prefix]) {
        return None;
    }
    if text[..prefix].ends_with('r') {
        let unhashed = text[prefix..].trim_start_matches('#');
        let start = text.len() - unhashed.strip_prefix('"')?.len();
        let terminator = format!("\"{}", &text[prefix..start - 1]);
        let length = text[start..].find(&terminator).unwrap_or(text.len() - start - 1);
        return Some((start, start + length));
    }
    let start = prefix + 1;
    match text[prefix..].chars().next()? {
        '"' => Some((start, start + quoted_length(&text[start..], '"'))),
        '\'' if is_character(&text[start..]) => Some((start, start + quoted_length(&text[start..], '\''))),
        _ => None,
    }
}

/// Tells a character literal from a lifetime by what follows the quote.
fn is_character(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next() == Some('\\') || chars.next() == Some('\'')
}

fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return at;
        }
    }
    text.len() - 1
}

fn mark_tests(tokens: &mut [Token<'_>]) {
    let whole_file = begin_with(tokens, &["#", "!", "[", "cfg", "(", "test", ")", "]"]);
    let mut at = 0;
    while at < tokens.len() {
        let end = if whole_file {
            tokens.len() - 1
        } else if is_test_attribute(&tokens[at..]) {
            item_end(tokens, at)
        } else {
            at += 1;
            continue;
        };
        for token in &mut tokens[at..=end] {
            token.test = true;
        }
        at = end + 1;
    }
}

fn is_test_attribute(tokens: &[Token<'_>]) -> bool {
    begin_with(tokens, &["#", "[", "cfg", "(", "test", ")"])
        || begin_with(tokens, &["#", "[", "cfg", "(", "all", "(", "test", ","])
}

/// Index of the last token of the item, field or variant whose attributes begin at `start`.
fn item_end(tokens: &[Token<'_>], start: usize) -> usize {
    let mut at = start;
    while begin_with(&tokens[at..], &["#", "["]) {
        at = closing(tokens, at + 1) + 1;
    }
    if begin_with(&tokens[at..], &["pub", "("]) {
        at = closing(tokens, at + 1) + 1;
    } else if begin_with(&tokens[at..], &["pub"]) {
        at += 1;
    }
    let keyword = tokens.get(at).map_or("", |token| token.text);
    let ends_at_brace = begin_with(&tokens[at..], &["const", "fn"])
        || !["const", "let", "static", "type", "use"].contains(&keyword);
    let ends_at_comma = !ITEM_KEYWORDS.contains(&keyword);
    while at < tokens.len() {
        let token = &tokens[at];
        match bracket(token) {
            Some(Bracket::Open) => {
                at = closing(tokens, at);
                if ends_at_brace && tokens[at].is_mark("}") {
                    return at;
                }
            }
            Some(Bracket::Close) => return at - 1,
            None if token.is_mark(";") || ends_at_comma && token.is_mark(",") => return at,
            None => {}
        }
        at += 1;
    }
    tokens.len() - 1
}

const ITEM_KEYWORDS: [&str; 16] = [
    "async",
    "const",
    "enum",
    "extern",
    "fn",
    "impl",
    "let",
    "macro_rules",
    "mod",
    "static",
    "struct",
    "trait",
    "type",
    "union",
    "unsafe",
    "use",
];

#[test]
fn comments_and_the_content_of_literals_are_not_words() {
    let text = r##"
        // unwrap
        /* unwrap /* unwrap */ unwrap */
        let a = "unwrap \" unwrap"; let b = r#"unwrap " unwrap"#; let c = b"unwrap";
        let d = '"'; let e = '\''; let f: &'static str = "";
    "##;
    let words: Vec<_> = tokens(text).into_iter().filter(|t| t.kind == Kind::Word).collect();
    let words: Vec<_> = words.iter().map(|t| t.text).collect();
    assert_eq!(words, ["let", "a", "let", "b", "let", "c", "let", "d", "let", "e", "let", "f", "str"]);
    let literals: Vec<_> = tokens(text).into_iter().filter(|t| t.kind == Kind::Literal).collect();
    let literals: Vec<_> = literals.iter().map(|t| t.text).collect();
    assert_eq!(literals, [r#"unwrap \" unwrap"#, r#"unwrap " unwrap"#, "unwrap", "\"", r"\'", ""]);
}

#[test]
fn tokens_know_their_line() {
    let lines: Vec<_> = tokens("a\n/* x\n */ b \"\n\n\" c").iter().map(|t| t.line).collect();
    assert_eq!(lines, [1, 3, 3, 5]);
}

#[test]
fn only_items_under_cfg_test_are_test_code() {
    for (text, expected) in [
        ("#[cfg(test)] mod tests { fn a() {} } fn b() {}", vec!["b"]),
        ("#[cfg(test)] mod tests; fn b() {}", vec!["b"]),
        ("#[cfg(test)] use a::{x, y}; fn b() {}", vec!["b"]),
        ("#[cfg(test)] pub(crate) const fn a() -> [u8; 4] { [0; 4] } fn b() {}", vec!["b"]),
        ("#[cfg(test)] #[derive(Debug)] struct A { x: u8 } fn b() {}", vec!["b"]),
        ("#[cfg(all(test, unix))] fn a<T>() where T: X, T: Y {} fn b() {}", vec!["b"]),
        ("struct S { #[cfg(test)] fn_a: A, fn_b: B } fn b() {}", vec!["fn_b", "b"]),
        ("enum E { #[cfg(test)] fn_a { x: u8 }, } fn b() {}", vec!["b"]),
        ("#[cfg(not(test))] fn a() {} fn b() {}", vec!["a", "b"]),
        ("#![cfg(test)] fn a() {} fn b() {}", vec![]),
    ] {
        let production: Vec<_> = tokens(text)
            .into_iter()
            .filter(|token| !token.test && ["a", "b", "fn_a", "fn_b"].contains(&token.text))
            .map(|token| token.text)
            .collect();
        assert_eq!(production, expected, "{text}");
    }
}
