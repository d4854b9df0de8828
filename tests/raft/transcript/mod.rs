//! Runs transcripts: files of commands, each with the output that it must have.
//!
//! ```text
//!   # a comment                        folder ──> every file ──> parse ──> kind ──> Interpreter
//!   campaign 1                                                     │                 │ output
//!   ----                                                           │                 v
//!   ok                                               rewritten <───┴── differences (compare)
//!
//!   deliver-msgs 2 type=MsgVote drop=(1, 3)
//! ```
//!
//! The format is that of github.com/cockroachdb/datadriven, which etcd-io/raft uses: name and arguments on a line (a
//! `\` at its end goes on in the next), lines of input, `----`, and the output up to an empty line. An output that has
//! empty lines stands between two lines `----` and two more. A line with `#` first is a comment.
//!
//! Invariants:
//! - a file is rewritten only between its `----` and what ends the output: whatever else is in it stays byte for byte,
//!   and so does an output that agrees;
//! - what is written is read back as the same output;
//! - a file's kind follows from its commands, all of which are of one kind; an unknown one is an error;
//! - a folder without files fails, so that a wrong path is not a success;
//! - lines of a log do not count: what the core logs is its own affair.
//!
//! Absent: what the commands do. That is the interpreters', one for each kind.

mod command;
mod compare;
mod folder;
mod kind;
mod parse;
mod run;

mod grammar_tests;
mod run_tests;

pub(crate) use command::Command;
pub(crate) use folder::{failures, run_folder};
pub(crate) use kind::Kind;
pub(crate) use run::{Interpreter, Mode};
