//! Decides whether what clients of a key-value store were told could come from one store that does one thing after
//! the other.
//!
//! ```text
//!   History ──> one part a key ──> search ──> some order explains the answers
//!   (what clients                    │
//!    asked and were told)            └──────> none does: shrink ──> Violation (a few operations, drawn)
//! ```
//!
//! Linearizability is local (Herlihy and Wing 1990): a history has it if the part of each key has it. Each part is
//! searched by the algorithm of Wing and Gong (1993), with the memory of configurations that Lowe (2017) adds: take an
//! operation that no unfinished one precedes, see whether its answer is right, go on, and take it back when stuck.
//! Where that takes too long, a few operations at a time are looked at: a part of a history may show that there is no
//! order for the whole.
//!
//! Invariants:
//! - an operation whose answer never came may take effect at any time after its call, or never;
//! - a configuration (what is done, the value, which unanswered operations were made use of) is entered once, and not
//!   at all after one that differs only by having used fewer of these;
//! - what a violation shows as needed has no explanation whatever was before, whenever the unanswered writes beside it
//!   took effect, and has one as soon as one of its answers is forgotten;
//! - the effort is counted in configurations, not in seconds: the same history gives the same verdict everywhere.
//!
//! Absent: transactions over several keys, ranges, and revisions. A comparison of a revision is one of the value if
//! no value is written twice.

mod check;
mod history;
mod register;
mod search;
mod shrink;
mod violation;
mod window;

mod brute_force;
mod known_histories;
mod long_histories;

pub(crate) use check::{Fault, check};
pub(crate) use history::{Answer, History, OperationId, Request};
