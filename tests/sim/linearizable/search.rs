//! Looks for an order of one key's operations that explains their answers.

use std::collections::HashMap;

use super::register::{Interval, Value, with_unseen_alike};

/// What a search came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// No order gets beyond the answer at this place.
    No {
        beyond: usize,
    },
    /// The limit of configurations was reached.
    Undecided,
    Yes,
}

/// Begins with a value; returns what it found and how many configurations it entered.
pub(super) fn search(intervals: &[Interval], begin: Value, configurations_max: usize) -> (Found, usize) {
    let mut search = Search::new(intervals, begin);
    let found = search.run(configurations_max);
    (found, search.configurations)
}

struct Search {
    answered: Vec<Interval>,
    unanswered: Vec<Interval>,
    /// The last earlier unanswered operation that does the same.
    twins: Vec<Option<usize>>,
    events: Events,
    /// Answered operations not yet in the order.
    remaining: usize,
    value: Value,
    /// The answered operations in the order: their keys, combined by XOR.
    done: u128,
    /// The unanswered operations in the order, one bit each.
    used: Vec<u64>,
    order: Vec<Placed>,
    entered: HashMap<(u128, Value), Vec<Box<[u64]>>>,
    configurations: usize,
    beyond: usize,
}

/// An operation that was put into the order.
#[derive(Clone, Copy)]
struct Placed {
    choice: Choice,
    value_before: Value,
    /// Nothing is lost by having it here: there is no need to try anything else.
    for_sure: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Choice {
    Answered(usize),
    Unanswered(usize),
}

impl Search {
    fn new(intervals: &[Interval], begin: Value) -> Self {
        let (mut answered, mut unanswered): (Vec<_>, Vec<_>) =
            with_unseen_alike(intervals).into_iter().partition(|it| it.returned.is_some());
        answered.sort_by_key(|it| it.called);
        unanswered.sort_by_key(|it| it.called);
        let mut last = HashMap::new();
        let twins =
            unanswered.iter().enumerate().map(|(index, it): (_, &Interval)| last.insert(it.step, index));
        Self {
            twins: twins.collect(),
            events: Events::new(&answered),
            remaining: answered.len(),
            value: begin,
            done: 0,
            used: vec![0; unanswered.len().div_ceil(64)],
            order: Vec::new(),
            entered: HashMap::new(),
            configurations: 0,
            beyond: 0,
            answered,
            unanswered,
        }
    }

    fn run(&mut self, configurations_max: usize) -> Found {
        let mut after = None;
        while self.remaining > 0 {
            let until = self.events.first_return_at();
            self.beyond = self.beyond.max(until);
            if self.place_next(after, until) {
                after = None;
            } else if let Some(taken_back) = self.take_back() {
                after = Some(taken_back);
            } else {
                return Found::No { beyond: self.beyond };
            }
            if self.configurations > configurations_max {
                return Found::Undecided;
            }
        }
        Found::Yes
    }

    /// Puts one more operation into the order, one that was called before `until` and comes after the choice `after`.
    fn place_next(&mut self, after: Option<Choice>, until: usize) -> bool {
        // Right after an unanswered operation, one that does not look at its effect makes it useless; the order
        // without it is tried too.
        let looked_at = !matches!(self.order.last(), Some(Placed { choice: Choice::Unanswered(_), .. }));
        let open: Vec<usize> = self.events.open_calls().collect();
        let fits = |it: &Interval| looked_at || !it.step.is_blind();
        if after.is_none() {
            let right = |index: &usize| self.answered[*index].step.is_right_read(self.value);
            if let Some(index) = open.iter().copied().find(right) {
                self.place(Choice::Answered(index), self.value, true);
                return true;
            }
        }
        let answered = open.into_iter().map(Choice::Answered);
        let called = self.unanswered.partition_point(|it| it.called < until);
        // Last, so that an order that needs less of them is found first.
        let unanswered = (0..called).filter(|index| self.is_first_unused(*index)).map(Choice::Unanswered);
        let choices: Vec<Choice> = answered.chain(unanswered).filter(|it| Some(*it) > after).collect();
        for choice in choices {
            let operation = self.operation(choice);
            if fits(operation)
                && let Some(value) = operation.step.apply(self.value)
                && (value != self.value || operation.returned.is_some())
                && self.enter(choice, value)
            {
                self.place(choice, value, false);
                return true;
            }
        }
        false
    }

    /// Whether the configuration after this choice was not yet searched.
    fn enter(&mut self, choice: Choice, value: Value) -> bool {
        let mut used = self.used.clone();
        let mut done = self.done;
        match choice {
            Choice::Answered(index) => done ^= key(index),
            Choice::Unanswered(index) => used[index / 64] |= 1 << (index % 64),
        }
        let entered = self.entered.entry((done, value)).or_default();
        let fewer = |it: &[u64]| it.iter().zip(&used).all(|(theirs, ours)| theirs & !ours == 0);
        if entered.iter().any(|it| fewer(it)) {
            return false;
        }
        entered.push(used.into_boxed_slice());
        self.configurations += 1;
        true
    }

    fn place(&mut self, choice: Choice, value: Value, for_sure: bool) {
        match choice {
            Choice::Answered(index) => {
                self.events.remove(index);
                self.done ^= key(index);
                self.remaining -= 1;
            }
            Choice::Unanswered(index) => self.used[index / 64] ^= 1 << (index % 64),
        }
        self.order.push(Placed { choice, value_before: self.value, for_sure });
        self.value = value;
    }

    /// Takes back the last choice that had alternatives.
    fn take_back(&mut self) -> Option<Choice> {
        loop {
            let Placed { choice, value_before, for_sure } = self.order.pop()?;
            match choice {
                Choice::Answered(index) => {
                    self.events.put_back(index);
                    self.done ^= key(index);
                    self.remaining += 1;
                }
                Choice::Unanswered(index) => self.used[index / 64] ^= 1 << (index % 64),
            }
            self.value = value_before;
            if !for_sure {
                return Some(choice);
            }
        }
    }

    fn operation(&self, choice: Choice) -> &Interval {
        match choice {
            Choice::Answered(index) => &self.answered[index],
            Choice::Unanswered(index) => &self.unanswered[index],
        }
    }

    /// Of those that do the same it makes no difference which one is used.
    fn is_first_unused(&self, index: usize) -> bool {
        !self.is_used(index) && self.twins[index].is_none_or(|twin| self.is_used(twin))
    }

    fn is_used(&self, index: usize) -> bool {
        self.used[index / 64] >> (index % 64) & 1 == 1
    }
}

/// The calls and answers of the operations that are not yet in the order, as a list in their order.
struct Events {
    /// What is at each place: an operation, and when it returned if this is its return.
    at: Vec<(usize, Option<usize>)>,
    /// The place of each operation's call and return.
    places: Vec<(usize, usize)>,
    /// The place after the last one is the list's end and its beginning.
    next: Vec<usize>,
    previous: Vec<usize>,
}

impl Events {
    fn new(answered: &[Interval]) -> Self {
        let mut timed: Vec<(usize, usize, Option<usize>)> = Vec::new();
        for (index, operation) in answered.iter().enumerate() {
            let returned = operation.returned.expect("only answered ones are here");
            timed.push((operation.called, index, None));
            timed.push((returned, index, Some(returned)));
        }
        timed.sort_unstable();
        let mut places = vec![(0, 0); answered.len()];
        for (place, (_, index, returned)) in timed.iter().enumerate() {
            let of = &mut places[*index];
            *(if returned.is_some() { &mut of.1 } else { &mut of.0 }) = place;
        }
        let count = timed.len() + 1;
        Self {
            at: timed.into_iter().map(|(_, index, returned)| (index, returned)).collect(),
            places,
            next: (0..count).map(|place| (place + 1) % count).collect(),
            previous: (0..count).map(|place| (place + count - 1) % count).collect(),
        }
    }

    /// The operations that no other one precedes, in the order of their calls.
    fn open_calls(&self) -> impl Iterator<Item = usize> {
        self.walk().take_while(|(_, returned)| returned.is_none()).map(|(index, _)| index)
    }

    fn first_return_at(&self) -> usize {
        self.walk().find_map(|(_, returned)| returned).expect("a call that is left has its return")
    }

    fn walk(&self) -> impl Iterator<Item = (usize, Option<usize>)> {
        let end = self.at.len();
        let step = move |place: &usize| Some(self.next[*place]).filter(|it| *it != end);
        std::iter::successors(step(&end), step).map(|place| self.at[place])
    }

    fn remove(&mut self, index: usize) {
        let (called, returned) = self.places[index];
        for place in [called, returned] {
            let (previous, next) = (self.previous[place], self.next[place]);
            self.next[previous] = next;
            self.previous[next] = previous;
        }
    }

    /// Undoes the last `remove` that is not undone; its neighbours are what they were then.
    fn put_back(&mut self, index: usize) {
        let (called, returned) = self.places[index];
        for place in [returned, called] {
            let (previous, next) = (self.previous[place], self.next[place]);
            self.next[previous] = place;
            self.previous[next] = place;
        }
    }
}

/// A number for each operation, so that sets of them can be told apart by 128 bits (splitmix64, twice). Two of a
/// hundred million sets are alike with a chance below 1 in 10^22.
fn key(index: usize) -> u128 {
    let mix = |seed: u64| {
        let mut bits = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    };
    let seed = 2 * (index as u64 + 1);
    u128::from(mix(seed)) << 64 | u128::from(mix(seed + 1))
}
