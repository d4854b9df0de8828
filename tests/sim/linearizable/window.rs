//! Parts of a history that are a violation alone.

use super::register::{Interval, Value};
use super::search::{Found, search};

/// Looks at so many operations at a time, which takes little however long the history is. Returns the answer that no
/// order gets beyond, if some part shows one, and the number of configurations that it took.
pub(super) fn first_violated(intervals: &[Interval], at_a_time: usize) -> (Option<usize>, usize) {
    let mut calls: Vec<usize> = intervals.iter().map(|it| it.called).collect();
    calls.sort_unstable();
    let mut total = 0;
    for begin in (0..calls.len()).step_by(at_a_time / 2) {
        let end = calls.get(begin + at_a_time).copied().unwrap_or(usize::MAX);
        let part = begun_since(&until(intervals, end), calls[begin]);
        let (found, configurations) = search(&part, Value::ANY, CONFIGURATIONS_MAX);
        total += configurations;
        if let Found::No { beyond } = found {
            return (Some(beyond), total);
        }
    }
    (None, total)
}

/// What was called by then; what has its answer later need not have taken effect.
pub(super) fn until(intervals: &[Interval], beyond: usize) -> Vec<Interval> {
    let called = intervals.iter().filter(|it| it.called < beyond);
    let in_time = |it: &Interval| it.returned.is_some_and(|returned| returned <= beyond);
    let seen = called.filter(|it| in_time(it) || it.step.left().is_some());
    seen.map(|it| if in_time(it) { *it } else { Interval { returned: None, ..*it } }).collect()
}

/// What was called since then, whatever was before: what ended before is left out, and what was under way is as if
/// nobody had told its outcome.
pub(super) fn begun_since(all: &[Interval], place: usize) -> Vec<Interval> {
    let current = all.iter().filter(|it| it.returned.is_none_or(|returned| returned > place));
    current.filter_map(|it| if it.called >= place { Some(*it) } else { it.unanswered() }).collect()
}

const CONFIGURATIONS_MAX: usize = 20_000;
