//! Histories as long as a run of the simulator, decided with little effort.

use std::time::Instant;

use super::{Answer, Fault, History, OperationId, Request, check};

#[test]
fn ten_thousand_operations_on_one_key_are_decided() {
    for seed in 0..5 {
        let history = Workload { seed, keys: 1, unknown_in: 1000 }.run(None);
        explain(&history);
    }
}

#[test]
fn ten_thousand_operations_with_hundreds_of_unknowns_are_decided() {
    for seed in 0..5 {
        let history = Workload { seed, keys: 5, unknown_in: 30 }.run(None);
        explain(&history);
    }
}

#[test]
fn one_stale_read_among_ten_thousand_operations_is_found_and_shown_with_few_others() {
    for seed in 0..3 {
        for (keys, unknown_in) in [(1, 1000), (1, 20), (5, 30), (5, 5)] {
            let history = Workload { seed, keys, unknown_in }.run(Some(OPERATIONS * 3 / 4));
            let begun = Instant::now();
            let Err(Fault::Violated(violation)) = check(&history) else {
                panic!("seed {seed}, {keys} keys: the stale read was not found");
            };
            println!("{keys} keys: {:?}\n{violation}", begun.elapsed());
            assert!(violation.shown().len() <= 6, "seed {seed}: {violation}");
        }
    }
}

fn explain(history: &History) {
    let begun = Instant::now();
    let configurations = check(history).unwrap_or_else(|fault| panic!("{fault}"));
    println!("{configurations} configurations in {:?}", begun.elapsed());
    assert!(configurations <= 10 * OPERATIONS, "{configurations}");
}

/// Ten clients of a true store, each with one operation at a time.
struct Workload {
    seed: u64,
    keys: usize,
    /// One of so many answers is lost, with or without the effect, which may come late.
    unknown_in: usize,
}

struct UnderWay {
    id: OperationId,
    key: usize,
    request: Request,
    answer: Option<Answer>,
}

impl Workload {
    /// The read at the place `stale` sees what another one saw long before.
    fn run(&self, stale: Option<usize>) -> History {
        let mut random = fastrand::Rng::with_seed(self.seed);
        let mut history = History::default();
        let mut store: Vec<Option<String>> = vec![None; self.keys];
        let mut seen: Vec<Vec<String>> = vec![Vec::new(); self.keys];
        let mut clients: Vec<Option<UnderWay>> = (0..CLIENTS).map(|_| None).collect();
        let mut late: Vec<(usize, Request)> = Vec::new();
        let mut stale = stale;
        let mut called = 0;
        while called < OPERATIONS {
            if !late.is_empty() && random.usize(..200) == 0 {
                let (key, request) = late.swap_remove(random.usize(..late.len()));
                perform(&mut store[key], &request);
            }
            let client = random.usize(..CLIENTS);
            let Some(mut operation) = clients[client].take() else {
                let key = random.usize(..self.keys);
                let request = Self::request(&mut random, called, &store[key]);
                let id = history.call(client as u64, &format!("k{key}"), request.clone());
                clients[client] = Some(UnderWay { id, key, request, answer: None });
                called += 1;
                continue;
            };
            if operation.answer.is_none() {
                if random.usize(..self.unknown_in) == 0 {
                    late.push((operation.key, operation.request));
                } else {
                    operation.answer = Some(perform(&mut store[operation.key], &operation.request));
                    clients[client] = Some(operation);
                }
                continue;
            }
            let answer = operation.answer.expect("it was just looked at");
            let told = match (answer, &mut seen[operation.key]) {
                (Answer::Found(Some(_)), seen) if stale.is_some_and(|it| called > it) && seen.len() > 100 => {
                    stale = None;
                    Answer::Found(Some(seen[seen.len() - 100].clone()))
                }
                (Answer::Found(Some(value)), seen) => {
                    seen.push(value.clone());
                    Answer::Found(Some(value))
                }
                (answer, _) => answer,
            };
            history.answer(operation.id, told);
        }
        history
    }

    fn request(random: &mut fastrand::Rng, unique: usize, current: &Option<String>) -> Request {
        let value = format!("v{unique}");
        match random.u8(..10) {
            0..4 => Request::Get,
            4..7 => Request::Put(value),
            7 => Request::Delete,
            _ => Request::CompareAndSwap { expected: current.clone(), new: Some(value) },
        }
    }
}

fn perform(value: &mut Option<String>, request: &Request) -> Answer {
    match request {
        Request::CompareAndSwap { expected, new } => {
            let swapped = value == expected;
            if swapped {
                value.clone_from(new);
            }
            Answer::Swapped(swapped)
        }
        Request::Delete => Answer::Deleted(value.take().is_some()),
        Request::Get => Answer::Found(value.clone()),
        Request::Put(new) => {
            *value = Some(new.clone());
            Answer::Put
        }
    }
}

const CLIENTS: usize = 10;

const OPERATIONS: usize = 10_000;
