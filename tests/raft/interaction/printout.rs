//! What a command has to say.

use std::fmt::Display;

use super::commands::Outcome;

#[derive(Default)]
pub(super) struct Printout {
    text: String,
    depth: usize,
    /// Only errors are told.
    pub quiet: bool,
}

impl Printout {
    pub(super) fn put(&mut self, text: impl Display) {
        if !self.quiet {
            for line in text.to_string().lines() {
                self.text += &"  ".repeat(self.depth);
                self.text += line;
                self.text += "\n";
            }
        }
    }

    /// What follows belongs below this line, up to [`end`](Self::end).
    pub(super) fn begin(&mut self, title: impl Display) {
        self.put(title);
        self.depth += 1;
    }

    pub(super) fn end(&mut self) {
        self.depth -= 1;
    }

    /// All of it, with what the command ended with.
    pub(super) fn finish(&mut self, outcome: Outcome) -> String {
        let error = outcome.err().map_or_else(String::new, |it| it.to_string());
        let text = std::mem::take(&mut self.text) + &error;
        if text.is_empty() { String::from("ok") } else { text }
    }
}

/// Whether this level of the log is the last, at which only errors are told. The others are alike: the
/// core has no logs.
pub(super) fn is_quiet(level: &str) -> Result<bool, String> {
    if LEVELS.iter().any(|it| it.eq_ignore_ascii_case(level)) {
        return Ok(level.eq_ignore_ascii_case("none"));
    }
    Err(format!("log levels must be either of [{}]", LEVELS.join(" ")))
}

const LEVELS: [&str; 6] = ["DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE"];
