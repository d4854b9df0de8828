//! One seed from its first event to its last.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use etcdlet::raft::Bug;

use super::census::Counts;
use super::client::Clients;
use super::seed::Seed;
use super::world::{Action, World};

#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// That every member has.
    pub bug: Option<Bug>,
}

impl Options {
    /// `ETCDLET_SIM_BUG`, if there is one of that name.
    pub(crate) fn from_environment() -> Self {
        let name = std::env::var("ETCDLET_SIM_BUG").unwrap_or_default();
        Self { bug: Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name) }
    }
}

/// Of a run in which nothing went wrong.
#[derive(Debug)]
pub(crate) struct Report {
    /// Stands for everything that happened.
    pub digest: u64,
    pub events: u64,
    pub counts: Counts,
    /// What happened last.
    pub trace: Vec<String>,
}

pub(crate) struct Failure {
    pub seed: Seed,
    pub bug: Option<Bug>,
    pub what: String,
    /// What happened last.
    pub trace: Vec<String>,
}

pub(crate) fn run(seed: Seed, options: &Options) -> Result<Report, Box<Failure>> {
    let mut world = World::new(seed, options);
    let outcome = catch_unwind(AssertUnwindSafe(|| drive(&mut world, seed)));
    let what = match outcome {
        Ok(()) => world.violation.take(),
        Err(panic) => Some(panic_message(&*panic)),
    };
    let (digest, events) = (world.trace.digest(), world.trace.count());
    match what {
        None => Ok(Report { digest, events, counts: world.counts, trace: world.trace.into_last() }),
        Some(what) => Err(Box::new(Failure { seed, bug: options.bug, what, trace: world.trace.into_last() })),
    }
}

fn drive(world: &mut World, seed: Seed) {
    let calm_at = world.scenario.faulty;
    let end = calm_at + world.scenario.calm_max;
    let mut look_at = calm_at + CALM_MIN;
    let mut clients = Clients::new(seed, world);
    while let Some(action) = world.next_action() {
        if world.now > look_at && !world.waits() || world.now > end || world.violation.is_some() {
            break;
        }
        if world.now > look_at {
            look_at += CALM_MIN;
        }
        match action {
            Action::Client(client) => clients.wake(world, client),
            action => world.perform(action),
        }
        while let Some((id, answer)) = world.take_answer() {
            clients.handle_answer(world, id, &answer);
        }
    }
    if world.violation.is_none() {
        world.finish();
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panic: {}", text.unwrap_or("of an unknown kind"))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed: Seed(seed), bug, what, trace } = self;
        for line in &trace[trace.len().saturating_sub(SHOWN)..] {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "\nseed {seed}: {what}")?;
        write!(f, "to see it again: ")?;
        if let Some(bug) = bug {
            write!(f, "ETCDLET_SIM_BUG={bug:?} ")?;
        }
        write!(f, "ETCDLET_SIM_SEED={seed} cargo test --test sim one_seed -- --nocapture")
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const SHOWN: usize = 60;

/// How long there are no faults at least, and when it is looked again whether more time is needed.
const CALM_MIN: Duration = Duration::from_secs(2);
