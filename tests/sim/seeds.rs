//! Many seeds, one seed, and the same seed twice.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::census::{Counts, amiss};
use super::run::{Failure, Options, Report, run};
use super::seed::Seed;

#[test]
fn thousand_seeds() {
    let seeds = std::env::var("ETCDLET_SIM_SEEDS").map_or(0..1_000, |text| range(&text));
    let (reports, failures) = run_all(seeds, &Options::default(), FAILURES_MAX);
    if let Some(first) = failures.first() {
        let line = |it: &Failure| format!("seed {}: {}\n", it.seed.0, it.what);
        let lines: Vec<String> = failures.iter().map(line).collect();
        panic!("{first}\n\nof {}:\n{}", lines.len(), lines.concat());
    }
    let mut counts = Counts::new();
    for (what, count) in reports.iter().flat_map(|report| &report.counts) {
        *counts.entry(what).or_default() += count;
    }
    let events: u64 = reports.iter().map(|report| report.events).sum();
    println!("{} seeds, {events} events\n{counts:#?}", reports.len());
    assert_eq!(amiss(&counts, reports.len() as u64), Vec::<String>::new(), "of {counts:#?}");
}

/// Shows what happens in one seed, by default one in which nothing goes wrong.
#[test]
fn one_seed() {
    let seed = std::env::var("ETCDLET_SIM_SEED").map_or(1, |text| text.parse().expect("a number"));
    let outcome = run(Seed(seed), &Options::from_environment());
    let trace = outcome.as_ref().map_or_else(|failure| &failure.trace, |report| &report.trace);
    trace.iter().for_each(|line| println!("{line}"));
    match outcome {
        Ok(report) => println!("{} events, {:#?}", report.events, report.counts),
        Err(failure) => panic!("{failure}"),
    }
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    for seed in (0..10).map(Seed) {
        let digests = [(); 2].map(|()| run(seed, &Options::default()).expect("a good seed").digest);
        assert_eq!(digests[0], digests[1], "{seed:?}");
    }
}

/// On every core, until so many have failed; those by their seeds.
pub(crate) fn run_all(
    seeds: Range<u64>,
    options: &Options,
    failures_max: usize,
) -> (Vec<Report>, Vec<Failure>) {
    let next = AtomicU64::new(seeds.start);
    let found = Mutex::new((Vec::new(), Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let outcome = run(Seed(seed), options);
            let (reports, failures) = &mut *found.lock().expect("nobody fails with it");
            match outcome {
                Ok(report) => reports.push(Report { trace: Vec::new(), ..report }),
                Err(failure) => failures.push(*failure),
            }
            if failures.len() >= failures_max {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let (reports, mut failures) = found.into_inner().expect("nobody fails with it");
    failures.sort_by_key(|failure| failure.seed.0);
    (reports, failures)
}

/// More would say the same.
const FAILURES_MAX: usize = 20;

pub(crate) fn range(text: &str) -> Range<u64> {
    let (from, to) = text.split_once("..").expect("as in 1000..2000");
    from.parse().expect("a number")..to.parse().expect("a number")
}
