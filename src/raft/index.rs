//! Positions in the log.

use std::fmt;
use std::ops::{Add, Sub};

use crate::types::ids::Term;

/// The position of an entry; the first has 1, and 0 stands before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogIndex(pub u64);

impl LogIndex {
    /// Before the first entry.
    pub const ZERO: Self = Self(0);

    /// No log comes near: who claims a position behind it would make others run out of numbers.
    pub(crate) const PLAUSIBLE_MAX: Self = Self(u64::MAX / 2);

    /// The position behind this one; the last has none and stays.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The position before this one; 0 has none and stays.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl Add<u64> for LogIndex {
    type Output = Self;

    fn add(self, count: u64) -> Self {
        Self(self.0 + count)
    }
}

/// How many positions lie between; the right one must not be behind the left one.
impl Sub for LogIndex {
    type Output = u64;

    fn sub(self, earlier: Self) -> u64 {
        self.0.checked_sub(earlier.0).expect("the earlier index is on the right")
    }
}

impl fmt::Display for LogIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What makes an entry the same in all logs: entries that agree in it are equal, and so are all
/// that precede them.
///
/// Ordered as logs are by how recent they are: by term first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    pub term: Term,
    pub index: LogIndex,
}

impl EntryId {
    /// Before the first entry of every log.
    pub const ZERO: Self = Self { term: Term(0), index: LogIndex::ZERO };
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.term, self.index)
    }
}
