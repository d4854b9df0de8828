//! Small random histories, judged by trying every order.

use std::collections::BTreeMap;

use super::history::{Operation, Outcome};
use super::register::{Interval, Values};
use super::window::first_violated;
use super::{Answer, Fault, History, Request, check};

#[test]
fn every_verdict_is_that_of_trying_all_orders() {
    let mut explained = 0;
    for seed in 0..ROUNDS {
        let history = random_history(&mut fastrand::Rng::with_seed(seed));
        let expected = is_linearizable(history.operations());
        explained += u64::from(expected);
        match check(&history) {
            Ok(_) => assert!(expected, "seed {seed}: no order explains {history:#?}"),
            Err(fault) => assert!(!expected, "seed {seed}: {fault}\n{history:#?}"),
        }
    }
    // Neither verdict is rare.
    assert!((ROUNDS / 10..ROUNDS * 9 / 10).contains(&explained), "{explained} of {ROUNDS}");
}

/// The explanation is one: what it shows as needed is a violation without the rest, and each answer in it is needed.
#[test]
fn a_violation_holds_alone_and_is_minimal() {
    for seed in 0..ROUNDS {
        let history = random_history(&mut fastrand::Rng::with_seed(seed));
        let Err(Fault::Violated(violation)) = check(&history) else {
            continue;
        };
        let needed = |it: &Operation| violation.needed.iter().any(|needed| needed.called == it.called);
        let since = violation.since.unwrap_or(0);
        let of_key = history.operations().iter().filter(|it| it.key == violation.key);
        let current = of_key.filter(|it| answered_at(it).is_none_or(|at| at > since));
        let kept: Vec<Operation> =
            current.map(|it| if needed(it) { it.clone() } else { unanswered(it) }).collect();
        let is_explained = |operations: &[Operation]| {
            let begins = if violation.since.is_some() { &VALUES[..] } else { &[None] };
            begins.iter().any(|begin| {
                let store = begin.map(|it| (violation.key.clone(), String::from(it)));
                explain(&operations.iter().collect::<Vec<_>>(), &store.into_iter().collect())
            })
        };
        assert!(!is_explained(&kept), "seed {seed}: {violation}\n{history:#?}");
        // That a value nobody knows is not some other one is not remembered.
        let refused =
            |it: &Operation| matches!(it.outcome, Outcome::Answered { answer: Answer::Swapped(false), .. });
        if violation.since.is_some() && violation.needed.iter().any(refused) {
            continue;
        }
        for index in (0..kept.len()).filter(|index| needed(&kept[*index])) {
            let mut fewer = kept.clone();
            fewer[index] = unanswered(&fewer[index]);
            assert!(is_explained(&fewer), "seed {seed}: {:?} is not needed: {violation}", kept[index]);
        }
    }
}

/// As if nobody had told its outcome; what changed nothing is left out.
fn unanswered(operation: &Operation) -> Operation {
    let outcome = match operation.outcome {
        Outcome::Refused
        | Outcome::Answered {
            answer: Answer::Found(_) | Answer::Deleted(false) | Answer::Swapped(false),
            ..
        } => Outcome::Refused,
        Outcome::Answered { .. } | Outcome::Unknown => Outcome::Unknown,
    };
    Operation { outcome, ..operation.clone() }
}

#[test]
fn a_part_that_is_a_violation_alone_makes_the_whole_one() {
    let mut found = 0;
    for seed in 0..ROUNDS {
        let history = random_history(&mut fastrand::Rng::with_seed(seed));
        let mut values = Values::default();
        let of_key = history.operations().iter().enumerate().filter(|(_, it)| it.key == "k");
        let intervals: Vec<Interval> = of_key.filter_map(|(index, it)| values.interval(index, it)).collect();
        if let (Some(_), _) = first_violated(&intervals, 4) {
            found += 1;
            assert!(!is_linearizable(history.operations()), "seed {seed}: {history:#?}");
        }
    }
    // It is no rare thing.
    assert!(found > ROUNDS / 50, "{found}");
}

fn answered_at(operation: &Operation) -> Option<usize> {
    match operation.outcome {
        Outcome::Answered { at, .. } => Some(at),
        Outcome::Refused | Outcome::Unknown => None,
    }
}

/// All keys at once: nothing is partitioned or remembered here.
fn is_linearizable(operations: &[Operation]) -> bool {
    explain(&operations.iter().collect::<Vec<_>>(), &BTreeMap::new())
}

fn explain(left: &[&Operation], store: &BTreeMap<String, String>) -> bool {
    let left: Vec<&Operation> = left.iter().copied().filter(|it| it.outcome != Outcome::Refused).collect();
    let Some(first) = left.iter().filter_map(|it| answered_at(it)).min() else {
        return true;
    };
    (0..left.len()).filter(|index| left[*index].called < first).any(|index| {
        let mut rest = left.to_vec();
        let operation = rest.remove(index);
        let mut after = store.clone();
        let told = perform(operation, &mut after);
        let right = match &operation.outcome {
            Outcome::Answered { answer, .. } => *answer == told,
            Outcome::Refused | Outcome::Unknown => true,
        };
        right && explain(&rest, &after)
    })
}

fn perform(operation: &Operation, store: &mut BTreeMap<String, String>) -> Answer {
    let key = &operation.key;
    let found = store.get(key).cloned();
    match &operation.request {
        Request::CompareAndSwap { expected, new } => {
            let swapped = found == *expected;
            if swapped {
                set(store, key, new.clone());
            }
            Answer::Swapped(swapped)
        }
        Request::Delete => Answer::Deleted(store.remove(key).is_some()),
        Request::Get => Answer::Found(found),
        Request::Put(value) => {
            set(store, key, Some(value.clone()));
            Answer::Put
        }
    }
}

fn set(store: &mut BTreeMap<String, String>, key: &str, value: Option<String>) {
    match value {
        Some(value) => drop(store.insert(String::from(key), value)),
        None => drop(store.remove(key)),
    }
}

/// Clients of a true store, some answers of which are changed on their way; few values, so that they coincide.
fn random_history(random: &mut fastrand::Rng) -> History {
    let mut history = History::default();
    let mut store = BTreeMap::new();
    let count = random.usize(1..=OPERATIONS_MAX);
    let mut under_way = Vec::new();
    let mut called = 0;
    while called < count || !under_way.is_empty() {
        if called < count && (under_way.is_empty() || random.u8(..3) > 0) {
            let key = ["k", "k", "k", "l"][random.usize(..4)];
            let id = history.call(called as u64, key, random_request(random));
            under_way.push((id, called, None));
            called += 1;
            continue;
        }
        let index = random.usize(..under_way.len());
        let (id, operation, answer) = &mut under_way[index];
        if let Some(answer) = answer.take() {
            history.answer(*id, if random.u8(..8) == 0 { changed(random, &answer) } else { answer });
            under_way.remove(index);
        } else if random.u8(..6) == 0 {
            // It stays unknown, or is refused; it may have taken effect in spite of it.
            if random.bool() {
                perform(&history.operations()[*operation], &mut store);
            } else if random.u8(..4) == 0 {
                history.refuse(*id);
            }
            under_way.remove(index);
        } else {
            *answer = Some(perform(&history.operations()[*operation], &mut store));
        }
    }
    history
}

fn random_request(random: &mut fastrand::Rng) -> Request {
    match random.u8(..8) {
        0 | 1 => Request::CompareAndSwap { expected: random_value(random), new: random_value(random) },
        2 => Request::Delete,
        3 | 4 => Request::Put(String::from(["a", "b", "c"][random.usize(..3)])),
        _ => Request::Get,
    }
}

fn random_value(random: &mut fastrand::Rng) -> Option<String> {
    VALUES[random.usize(..VALUES.len())].map(String::from)
}

fn changed(random: &mut fastrand::Rng, answer: &Answer) -> Answer {
    match answer {
        Answer::Deleted(was) => Answer::Deleted(!was),
        Answer::Found(_) => Answer::Found(random_value(random)),
        Answer::Put => Answer::Put,
        Answer::Swapped(was) => Answer::Swapped(!was),
    }
}

const VALUES: [Option<&str>; 4] = [None, Some("a"), Some("b"), Some("c")];

const ROUNDS: u64 = 20_000;

const OPERATIONS_MAX: usize = 8;
