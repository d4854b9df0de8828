//! One key as a register: what an operation with this answer needs of the value, and what it makes of it.

use std::collections::{HashMap, HashSet};

use super::history::{Answer, Operation, Outcome, Request};

/// A value by its number; equal values have equal numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Value(u32);

impl Value {
    /// The key is not there, as in the beginning.
    pub(super) const ABSENT: Self = Self(0);

    /// It may be any; it is known once it was seen.
    pub(super) const ANY: Self = Self(u32::MAX);

    /// One that nobody looks for; which one makes no difference.
    const UNSEEN: Self = Self(u32::MAX - 1);

    fn may_be(self, value: Self) -> bool {
        self == value || self == Self::ANY
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// It saw this value.
    Read(Value),
    /// It saw that the value is not this one.
    ReadOther(Value),
    /// It found the first value and left the second.
    Swap(Value, Value),
    /// It found a value and left none.
    Take,
    /// It left this value, whatever there was.
    Write(Value),
}

/// One operation on the key, with the time in which it may take effect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    pub step: Step,
    pub called: usize,
    /// `None`: at any time after the call, or never.
    pub returned: Option<usize>,
    /// Its index in the history.
    pub operation: usize,
}

impl Step {
    /// The value after it; `None` if it cannot be next.
    pub(super) fn apply(self, value: Value) -> Option<Value> {
        match self {
            Self::Read(seen) => value.may_be(seen).then_some(seen),
            Self::ReadOther(missed) => (value != missed).then_some(value),
            Self::Swap(from, to) => value.may_be(from).then_some(to),
            Self::Take => (value != Value::ABSENT).then_some(Value::ABSENT),
            Self::Write(written) => Some(written),
        }
    }

    /// It only looks, and sees this value. Whatever order there is, it can have this one moved to its front.
    pub(super) fn is_right_read(self, value: Value) -> bool {
        matches!(self, Self::Read(_) | Self::ReadOther(_)) && self.apply(value) == Some(value)
    }

    /// It does the same whatever was before it.
    pub(super) fn is_blind(self) -> bool {
        matches!(self, Self::Write(_))
    }

    /// The value that it must have found.
    pub(super) fn found(self) -> Option<Value> {
        match self {
            Self::Read(value) | Self::Swap(value, _) => Some(value),
            Self::ReadOther(_) | Self::Take | Self::Write(_) => None,
        }
    }

    fn looked_for(self) -> Option<Value> {
        match self {
            Self::Read(value) | Self::ReadOther(value) | Self::Swap(value, _) => Some(value),
            Self::Take | Self::Write(_) => None,
        }
    }

    /// The value that it leaves if it changes something.
    pub(super) fn left(self) -> Option<Value> {
        match self {
            Self::Swap(_, value) | Self::Write(value) => Some(value),
            Self::Take => Some(Value::ABSENT),
            Self::Read(_) | Self::ReadOther(_) => None,
        }
    }
}

impl Interval {
    /// The same operation if nobody had told its outcome; `None` if nothing is left of it then.
    pub(super) fn unanswered(self) -> Option<Self> {
        let step = match self.step {
            Step::Read(_) | Step::ReadOther(_) => return None,
            Step::Take => Step::Write(Value::ABSENT),
            Step::Swap(..) | Step::Write(_) => self.step,
        };
        Some(Self { step, returned: None, ..self })
    }
}

/// The same with one value in place of all that nobody looks for.
pub(super) fn with_unseen_alike(intervals: &[Interval]) -> Vec<Interval> {
    let looked_for: HashSet<Value> = intervals.iter().filter_map(|it| it.step.looked_for()).collect();
    let alike = |it: Value| if it == Value::ABSENT || looked_for.contains(&it) { it } else { Value::UNSEEN };
    let step = |it: Step| match it {
        Step::Swap(from, to) => Step::Swap(from, alike(to)),
        Step::Write(written) => Step::Write(alike(written)),
        Step::Read(_) | Step::ReadOther(_) | Step::Take => it,
    };
    intervals.iter().map(|it| Interval { step: step(it.step), ..*it }).collect()
}

/// Numbers the values of a key and puts its operations as steps.
#[derive(Debug, Default)]
pub(super) struct Values<'a> {
    numbers: HashMap<&'a str, u32>,
}

impl<'a> Values<'a> {
    /// `None` if the operation says nothing about the key.
    pub(super) fn interval(&mut self, index: usize, operation: &'a Operation) -> Option<Interval> {
        let (step, returned) = match &operation.outcome {
            Outcome::Answered { answer, at } => (self.answered(&operation.request, answer), Some(*at)),
            Outcome::Refused => return None,
            Outcome::Unknown => (self.unknown(&operation.request)?, None),
        };
        Some(Interval { step, called: operation.called, returned, operation: index })
    }

    fn answered(&mut self, request: &'a Request, answer: &'a Answer) -> Step {
        match (request, answer) {
            (Request::CompareAndSwap { expected, .. }, Answer::Swapped(false)) => {
                Step::ReadOther(self.number(expected.as_ref()))
            }
            (_, Answer::Deleted(false)) => Step::Read(Value::ABSENT),
            (_, Answer::Deleted(true)) => Step::Take,
            (_, Answer::Found(value)) => Step::Read(self.number(value.as_ref())),
            // What changes the key, did so as if it had no answer.
            (request, _) => self.unknown(request).expect("only a get changes nothing, and it was not this"),
        }
    }

    fn unknown(&mut self, request: &'a Request) -> Option<Step> {
        Some(match request {
            // If it finds another value it changes nothing, which is the same as never.
            Request::CompareAndSwap { expected, new } => {
                Step::Swap(self.number(expected.as_ref()), self.number(new.as_ref()))
            }
            Request::Delete => Step::Write(Value::ABSENT),
            Request::Get => return None,
            Request::Put(value) => Step::Write(self.number(Some(value))),
        })
    }

    fn number(&mut self, value: Option<&'a String>) -> Value {
        let Some(value) = value else {
            return Value::ABSENT;
        };
        let next = u32::try_from(self.numbers.len() + 1).expect("a history has fewer values");
        Value(*self.numbers.entry(value).or_insert(next))
    }
}
