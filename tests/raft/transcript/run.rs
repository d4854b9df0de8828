//! Runs one file.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::command::Command;
use super::compare::{agree, difference};
use super::kind::{Kind, NoKind};
use super::parse::{SyntaxError, Transcript, lined};

/// What gives the commands of a file their meaning; each file has a new one.
pub(crate) trait Interpreter {
    /// Returns the output. It panics for a command that makes no sense.
    fn run(&mut self, command: &Command) -> String;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A file fails at its first difference.
    Check,
    /// Outputs that differ are written anew.
    Rewrite,
}

/// Why a file fails.
#[derive(Debug)]
pub(super) enum Failure {
    Differs { line: usize, name: String, expected: String, actual: String },
    Io(io::Error),
    NoKind(NoKind),
    Panicked { line: usize, name: String, message: String },
    Syntax(SyntaxError),
}

impl Failure {
    fn line(&self) -> Option<usize> {
        match self {
            Self::Differs { line, .. }
            | Self::NoKind(NoKind::Mixed { line } | NoKind::Unknown { line, .. })
            | Self::Panicked { line, .. } => Some(*line),
            Self::Io(_) | Self::NoKind(NoKind::Empty) => None,
            Self::Syntax(error) => Some(error.line),
        }
    }

    /// `path:line: what is wrong`
    pub(super) fn at(&self, path: &Path) -> String {
        let line = self.line().map_or_else(String::new, |line| format!(":{line}"));
        format!("{}{line}: {self}", path.display())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs { name, expected, actual, .. } => {
                write!(f, "{name} has another output (-: expected)\n{}", difference(expected, actual))
            }
            Self::Io(error) => error.fmt(f),
            Self::NoKind(NoKind::Empty) => write!(f, "there is no command in it"),
            Self::NoKind(NoKind::Mixed { .. }) => write!(f, "a command of another kind than those before"),
            Self::NoKind(NoKind::Unknown { name, .. }) => write!(f, "no command is called {name}"),
            Self::Panicked { name, message, .. } => write!(f, "{name} panicked: {message}"),
            Self::Syntax(error) => error.fmt(f),
        }
    }
}

/// Returns how many commands were run.
pub(super) fn run_file(
    path: &Path,
    mode: Mode,
    interpreter: &dyn Fn(Kind) -> Box<dyn Interpreter>,
) -> Result<usize, Failure> {
    let text = std::fs::read_to_string(path).map_err(Failure::Io)?;
    let transcript = Transcript::parse(&text).map_err(Failure::Syntax)?;
    let kind = Kind::of(&transcript.steps).map_err(Failure::NoKind)?;
    let mut interpreter = interpreter(kind);
    let mut outputs = Vec::new();
    for step in &transcript.steps {
        let (line, name) = (step.command.line, step.command.name.clone());
        let output = catch_unwind(AssertUnwindSafe(|| interpreter.run(&step.command)));
        let actual = match output {
            Ok(output) => lined(&output),
            Err(why) => return Err(Failure::Panicked { line, name, message: told(why.as_ref()) }),
        };
        if agree(&step.expected, &actual) {
            outputs.push(None);
        } else if mode == Mode::Rewrite {
            outputs.push(Some(actual));
        } else {
            return Err(Failure::Differs { line, name, expected: step.expected.clone(), actual });
        }
    }
    if outputs.iter().any(Option::is_some) {
        std::fs::write(path, transcript.rewritten(&outputs)).map_err(Failure::Io)?;
    }
    Ok(outputs.len())
}

fn told(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    String::from(text.unwrap_or("without a text"))
}
