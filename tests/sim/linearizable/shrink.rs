//! Finds the few operations that are to blame.

use super::register::{Interval, Value};
use super::search::{Found, search};
use super::window::{begun_since, until};

/// What is to blame, in the order of the calls.
#[derive(Debug)]
pub(super) struct Blamed {
    /// No order explains these, and each answer among them is needed.
    pub needed: Vec<Interval>,
    /// They wrote what those have seen.
    pub written: Vec<Interval>,
    /// Operations that returned before this place may have left any value; `None`: the key was absent at first.
    pub since: Option<usize>,
}

/// Takes a part that no order explains, and the answer that no order gets beyond.
///
/// The rest is forgotten in ways that can make nothing wrong: what ended before some place counts only as a value
/// that nobody knows, and of what was under way then, or has an answer that is not needed, a read is left out and a
/// write may take effect at any time.
pub(super) fn shrink(intervals: &[Interval], beyond: usize) -> Blamed {
    let mut effort = EFFORT_MAX;
    let all = until(intervals, beyond);
    let since = latest_begin(&all, &mut effort);
    let (mut recent, begin) = match since {
        Some(place) => (begun_since(&all, place), Value::ANY),
        None => (all.clone(), Value::ABSENT),
    };
    // Reads first: what was written is easier to follow than what others have seen of it.
    for also_writes in [false, true] {
        forget(&mut recent, begin, |it| also_writes || it.step.left().is_none(), &mut effort);
    }
    let needed: Vec<Interval> = recent.into_iter().filter(|it| it.returned.is_some()).collect();
    let mut seen: Vec<Value> = needed.iter().filter_map(|it| it.step.found()).collect();
    seen.retain(|value| *value != Value::ABSENT);
    let explains = |it: &Interval| it.step.left().is_some_and(|value| seen.contains(&value));
    let is_needed = |it: &Interval| needed.iter().any(|other| other.operation == it.operation);
    let written = all.into_iter().filter(|it| explains(it) && !is_needed(it)).collect();
    Blamed { needed, written, since }
}

/// The latest place that what began since is a violation alone, whatever was before.
fn latest_begin(all: &[Interval], effort: &mut usize) -> Option<usize> {
    let mut calls: Vec<usize> = all.iter().map(|it| it.called).collect();
    calls.sort_unstable_by(|left, right| right.cmp(left));
    let mut is_enough = |count: usize| is_violated(&begun_since(all, calls[count - 1]), Value::ANY, effort);
    // The fewer there are, the less it takes to know.
    let mut enough = 1;
    while !is_enough(enough) {
        if enough == calls.len() {
            return None;
        }
        enough = (2 * enough).min(calls.len());
    }
    let mut too_few = enough / 2;
    while too_few + 1 < enough {
        let middle = too_few.midpoint(enough);
        *(if is_enough(middle) { &mut enough } else { &mut too_few }) = middle;
    }
    Some(calls[enough - 1])
}

/// Forgets what it can of the answers that `may` be forgotten, many at once and ever fewer.
fn forget(intervals: &mut Vec<Interval>, begin: Value, may: impl Fn(&Interval) -> bool, effort: &mut usize) {
    let mut size = intervals.len().div_ceil(2).max(1);
    loop {
        let candidates: Vec<usize> =
            intervals.iter().filter(|it| it.returned.is_some() && may(it)).map(|it| it.operation).collect();
        let mut forgotten = 0;
        for chunk in candidates.chunks(size) {
            let forget =
                |it: &Interval| if chunk.contains(&it.operation) { it.unanswered() } else { Some(*it) };
            let fewer: Vec<Interval> = intervals.iter().filter_map(forget).collect();
            if is_violated(&fewer, begin, effort) {
                *intervals = fewer;
                forgotten += chunk.len();
            }
        }
        if size > 1 && *effort > 0 {
            size = size.div_ceil(2);
        } else if forgotten == 0 {
            return;
        }
    }
}

/// Not if it takes too much to know.
fn is_violated(intervals: &[Interval], begin: Value, effort: &mut usize) -> bool {
    if *effort == 0 {
        return false;
    }
    let (found, configurations) = search(intervals, begin, CONFIGURATIONS_MAX.min(*effort));
    *effort = effort.saturating_sub(configurations);
    matches!(found, Found::No { .. })
}

/// Of one search: forgetting many answers at once may leave too much open, and fewer are forgotten then.
const CONFIGURATIONS_MAX: usize = 200_000;

/// Of all searches together; what is shown then is larger than it need be.
const EFFORT_MAX: usize = 2_000_000;
