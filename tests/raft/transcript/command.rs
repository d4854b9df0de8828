//! A command as it stands on its line.

use std::fmt::Display;
use std::str::FromStr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// Where it begins in its file, from 1.
    pub line: usize,
    pub name: String,
    pub arguments: Vec<Argument>,
    /// The lines below it, without the space around them.
    pub input: String,
}

/// `key`, `key=value` or `key=(value, value)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Argument {
    pub key: String,
    pub values: Vec<String>,
}

/// What an interpreter asks for. It panics if the transcript is wrong; the runner tells where.
impl Command {
    /// The arguments without values, in their order.
    pub(crate) fn bare(&self) -> impl Iterator<Item = &str> {
        self.arguments.iter().filter(|it| it.values.is_empty()).map(|it| it.key.as_str())
    }

    /// The arguments without values, as numbers.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let parse = |it: &str| it.parse().unwrap_or_else(|error| panic!("{it}: {error}"));
        self.bare().map(parse).collect()
    }

    /// Fails if there are not this many.
    pub(crate) fn exactly<const COUNT: usize>(&self) -> [u64; COUNT] {
        let numbers = self.numbers();
        numbers.try_into().unwrap_or_else(|_| panic!("{} takes {COUNT} numbers", self.name))
    }

    /// The value of `key=value`.
    pub(crate) fn value<T: FromStr<Err: Display>>(&self, key: &str) -> Option<T> {
        let values = self.values(key)?;
        let [value] = <[T; 1]>::try_from(values).ok().unwrap_or_else(|| panic!("{key}: it takes one value"));
        Some(value)
    }

    /// The values of `key=(value, value)`.
    pub(crate) fn values<T: FromStr<Err: Display>>(&self, key: &str) -> Option<Vec<T>> {
        let argument = self.arguments.iter().find(|it| it.key == key && !it.values.is_empty())?;
        let parse = |it: &String| it.parse().unwrap_or_else(|error| panic!("{key}={it}: {error}"));
        Some(argument.values.iter().map(parse).collect())
    }

    /// Fails if an argument with a value has another key than these.
    pub(crate) fn takes_only(&self, keys: &[&str]) {
        for argument in self.arguments.iter().filter(|it| !it.values.is_empty()) {
            assert!(keys.contains(&argument.key.as_str()), "{} takes no {}", self.name, argument.key);
        }
    }
}

/// Name and arguments; fails with the column, from 1, that makes no sense.
pub(super) fn parse(line: &str) -> Result<(String, Vec<Argument>), usize> {
    let line = line.trim();
    let (name, mut rest) = token(line, &[' ']);
    let mut arguments = Vec::new();
    loop {
        rest = rest.trim();
        if rest.is_empty() {
            return Ok((String::from(name), arguments));
        }
        let column = line.len() - rest.len() + 1;
        let (key, after) = token(rest, &[' ', '=']);
        if key.is_empty() {
            return Err(column);
        }
        let mut values = Vec::new();
        if let Some(list) = after.strip_prefix("=(") {
            rest = list_of(list, &mut values).ok_or(column)?;
        } else if let Some(value) = after.strip_prefix('=') {
            let (value, after) = token(value, &[' ']);
            values.push(String::from(value));
            rest = after;
        } else {
            rest = after;
        }
        arguments.push(Argument { key: String::from(key), values });
    }
}

/// What is before the first of these marks, and the rest from there.
fn token<'a>(text: &'a str, ends: &[char]) -> (&'a str, &'a str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// Takes the values of a list up to its bracket; brackets inside belong to a value. Returns what follows.
fn list_of<'a>(text: &'a str, values: &mut Vec<String>) -> Option<&'a str> {
    let mut begin = 0;
    let mut depth = 0;
    for (at, mark) in text.char_indices() {
        match mark {
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            ')' | ',' if depth == 0 => {
                let value = &text[begin..at];
                // Space is skipped only behind a comma.
                let value = if values.is_empty() { value } else { value.trim_start() };
                values.push(String::from(value));
                begin = at + 1;
                if mark == ')' {
                    return Some(&text[begin..]);
                }
            }
            _ => {}
        }
    }
    None
}
