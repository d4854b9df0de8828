//! Command lines as etcd's own commands read them: the rules, texts and exit codes of Go's `pflag` and
//! `cobra`, so that a unit file written for etcd means the same here.
//!
//! ```text
//!   etcdlet grpc-proxy start --a=b --c ──> parse: Given (checked by kind) ──> grpc_proxy, gateway
//!                                    └──> Exit: help (0), what is wrong (1)
//! ```
//!
//! Invariants: a flag's row says all that is known of it; the first mistake ends the reading, as in etcd.
//!
//! Deliberately absent: shorthands, which etcd's proxies have none of but `-h`.

mod duration;
mod help;
mod parse;
mod value;

use std::io::{self, Write};
use std::process::ExitCode;

pub use parse::{Given, parse};

/// One flag of etcd's.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    pub name: &'static str,
    pub kind: Kind,
    pub default: &'static str,
    pub help: &'static str,
    pub fate: Fate,
}

impl Flag {
    pub const fn new(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        fate: Fate,
        help: &'static str,
    ) -> Self {
        Self { name, kind, default, help, fate }
    }
}

/// What may stand behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Duration,
    Int,
    Strings,
    Text,
    Uint,
    Uint32,
}

/// What becomes of it here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Means what it means in etcd.
    Done,
    /// Accepted, and why nothing depends on it.
    Idle(&'static str),
    /// Refused when it is set, and what to do instead.
    Refused(&'static str),
}

/// `etcdlet NAME start`.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    pub name: &'static str,
    pub about: &'static str,
    pub start: &'static str,
    pub flags: &'static [Flag],
}

/// The end of the process before it has begun. Without a mistake it is told on the standard output.
#[derive(Debug, PartialEq, Eq)]
pub struct Exit {
    pub text: String,
    pub failed: bool,
}

impl Exit {
    pub fn tell(&self) -> ExitCode {
        let text = self.text.trim_end();
        // Whoever asked may have left.
        if self.failed {
            let _written = writeln!(io::stderr(), "{text}");
            return ExitCode::FAILURE;
        }
        let _written = writeln!(io::stdout(), "{text}");
        ExitCode::SUCCESS
    }

    pub fn failed(text: impl Into<String>) -> Self {
        Self { text: text.into(), failed: true }
    }
}
