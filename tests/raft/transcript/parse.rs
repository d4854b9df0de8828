//! Takes a file apart, and puts it together with other outputs.

use std::fmt;
use std::ops::Range;

use super::command::{self, Command};

/// A file; what is between its steps is only in the text.
#[derive(Clone, Debug)]
pub(super) struct Transcript {
    text: String,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(super) struct Step {
    pub command: Command,
    /// Each line with its end.
    pub expected: String,
    /// Where the output stands in the text, with the marks around it if it has any.
    output: Range<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub line: usize,
    pub problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// Something else than an empty line follows an output that is marked at both ends.
    Continued,
    /// No argument begins in this column, from 1.
    Malformed { column: usize },
    /// No `----` follows the command.
    NoOutput,
    /// No `----` twice ends the output.
    Unended,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problem {
            Problem::Continued => write!(f, "an empty line must follow the end of an output"),
            Problem::Malformed { column } => write!(f, "no argument begins at column {column}"),
            Problem::NoOutput => write!(f, "no {MARK} follows the command"),
            Problem::Unended => write!(f, "no two lines {MARK} end the output"),
        }
    }
}

impl Transcript {
    pub(super) fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut lines = Lines { text, at: 0, number: 0 };
        let mut steps = Vec::new();
        while let Some(line) = lines.next() {
            let mut directive = String::from(line.text.trim());
            if directive.is_empty() || directive.starts_with('#') {
                continue;
            }
            while directive.ends_with('\\')
                && let Some(next) = lines.next()
            {
                directive.pop();
                directive = format!("{directive} {}", next.text.trim());
            }
            let failed = |problem| SyntaxError { line: line.number, problem };
            let (name, arguments) =
                command::parse(&directive).map_err(|column| failed(Problem::Malformed { column }))?;
            // It names a part of the file, and has no output.
            if name == "subtest" {
                continue;
            }
            let input = lines.input().ok_or_else(|| failed(Problem::NoOutput))?;
            let (expected, output) = lines.output()?;
            let command = Command { line: line.number, name, arguments, input };
            steps.push(Step { command, expected, output });
        }
        Ok(Self { text: String::from(text), steps })
    }

    /// The file with these outputs in place of those that it has; `None` leaves one as it is.
    pub(super) fn rewritten(&self, outputs: &[Option<String>]) -> String {
        assert_eq!(outputs.len(), self.steps.len(), "each step has its output");
        let mut written = String::new();
        let mut copied = 0;
        for (step, output) in self.steps.iter().zip(outputs) {
            let Some(output) = output else {
                continue;
            };
            written.push_str(&self.text[copied..step.output.start]);
            if !written.ends_with('\n') && !output.is_empty() {
                written.push('\n');
            }
            written.push_str(&marked(output));
            copied = step.output.end;
        }
        written + &self.text[copied..]
    }
}

/// With a line end if there is none, and with marks if it would not be read back without them.
fn marked(output: &str) -> String {
    let output = lined(output);
    let is_mark = |line: &str| line == MARK;
    let lines: Vec<&str> = output.lines().collect();
    let ambiguous =
        lines.iter().any(|it| it.trim().is_empty()) || lines.first().is_some_and(|it| is_mark(it));
    if !ambiguous {
        return output;
    }
    assert!(!lines.iter().any(|it| is_mark(it)), "no output with empty lines may have a line {MARK}");
    format!("{MARK}\n{output}{MARK}\n{MARK}\n")
}

/// An output as it is compared: its last line ends too.
pub(super) fn lined(output: &str) -> String {
    let end = if output.is_empty() || output.ends_with('\n') { "" } else { "\n" };
    format!("{output}{end}")
}

struct Lines<'a> {
    text: &'a str,
    at: usize,
    number: usize,
}

struct Line<'a> {
    /// Without its end.
    text: &'a str,
    begin: usize,
    number: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<Line<'a>> {
        let begin = self.at;
        let rest = &self.text[begin..];
        let text = rest.lines().next()?;
        self.at = rest.find('\n').map_or(self.text.len(), |end| begin + end + 1);
        self.number += 1;
        Some(Line { text, begin, number: self.number })
    }

    /// What is before the mark.
    fn input(&mut self) -> Option<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.next()?.text;
            if line == MARK {
                return Some(String::from(lines.join("\n").trim()));
            }
            lines.push(line);
        }
    }

    fn output(&mut self) -> Result<(String, Range<usize>), SyntaxError> {
        let begin = self.at;
        let mut expected = String::new();
        let mut first = self.next();
        if first.as_ref().is_some_and(|it| it.text == MARK) {
            return self.marked_output(begin);
        }
        while let Some(line) = first.take_if(|it| !it.text.trim().is_empty()) {
            expected.push_str(line.text);
            expected.push('\n');
            first = self.next();
        }
        Ok((expected, begin..first.map_or(self.text.len(), |blank| blank.begin)))
    }

    /// Behind its first mark, which begins at this place.
    fn marked_output(&mut self, begin: usize) -> Result<(String, Range<usize>), SyntaxError> {
        let number = self.number;
        let unended = || SyntaxError { line: number, problem: Problem::Unended };
        let mut expected = String::new();
        loop {
            let mut line = self.next().ok_or_else(unended)?;
            if line.text == MARK {
                let next = self.next().ok_or_else(unended)?;
                if next.text == MARK {
                    break;
                }
                expected.push_str(MARK);
                expected.push('\n');
                line = next;
            }
            expected.push_str(line.text);
            expected.push('\n');
        }
        let output = begin..self.at;
        match self.next() {
            Some(line) if !line.text.trim().is_empty() => {
                Err(SyntaxError { line: line.number, problem: Problem::Continued })
            }
            _ => Ok((expected, output)),
        }
    }
}

/// Alone on its line between a command and its output.
const MARK: &str = "----";
