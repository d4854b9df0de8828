//! Checks a history, key by key.

use std::collections::BTreeMap;
use std::fmt;

use super::history::{History, Operation};
use super::register::{Interval, Value, Values};
use super::search::{Found, search};
use super::shrink::shrink;
use super::violation::Violation;
use super::window::first_violated;

/// Why a history was not found to be linearizable.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It may be or not; the history has too much at the same time.
    Undecided { key: String, configurations: usize },
    /// It is not.
    Violated(Violation),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undecided { key, configurations } => {
                write!(f, "key {key:?}: undecided after {configurations} configurations")
            }
            Self::Violated(violation) => violation.fmt(f),
        }
    }
}

/// Whether each key had one value at a time, which explains every answer. Returns the number of configurations that
/// it took.
pub(crate) fn check(history: &History) -> Result<usize, Fault> {
    let mut keys: BTreeMap<&str, Vec<(usize, &Operation)>> = BTreeMap::new();
    for (index, operation) in history.operations().iter().enumerate() {
        keys.entry(&operation.key).or_default().push((index, operation));
    }
    let mut total = 0;
    for (key, operations) in keys {
        let mut values = Values::default();
        let intervals: Vec<Interval> =
            operations.iter().filter_map(|(index, operation)| values.interval(*index, operation)).collect();
        let (found, configurations) = decide(&intervals);
        total += configurations;
        match found {
            Found::No { beyond } => {
                let blamed = shrink(&intervals, beyond);
                return Err(Fault::Violated(Violation::new(history, key, intervals.len(), &blamed)));
            }
            Found::Undecided => return Err(Fault::Undecided { key: key.into(), configurations }),
            Found::Yes => {}
        }
    }
    Ok(total)
}

fn decide(intervals: &[Interval]) -> (Found, usize) {
    let mut total = 0;
    for configurations_max in [CONFIGURATIONS_MAX / 10, CONFIGURATIONS_MAX] {
        let (found, configurations) = search(intervals, Value::ABSENT, configurations_max);
        total += configurations;
        if found != Found::Undecided {
            return (found, total);
        }
        // That there is no order at all takes long to know if much is open; mostly a small part shows it.
        if configurations_max < CONFIGURATIONS_MAX {
            let (violated, configurations) = first_violated(intervals, AT_A_TIME);
            total += configurations;
            if let Some(beyond) = violated {
                return (Found::No { beyond }, total);
            }
        }
    }
    (Found::Undecided, total)
}

/// Some seconds and 300 MiB; ten clients with a lost answer now and then take a tenth of it.
const CONFIGURATIONS_MAX: usize = 2_000_000;

/// Several times what is under way at once with a dozen clients.
const AT_A_TIME: usize = 64;
