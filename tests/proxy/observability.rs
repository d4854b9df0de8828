//! What the process says of itself: metrics, logs, and errors of its configuration.

mod admin;
mod configuration;
mod logs;
mod metrics;

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::sidecar::Sidecar;

/// The value of one series, written as Prometheus does (labels in the order of their names); 0 if there is none yet.
pub(crate) fn metric(sidecar: &Sidecar, series: &str) -> f64 {
    value(&sidecar.metrics(), series)
}

/// Waits for a value that follows what a client sees by a moment; panics with what it is instead.
pub(crate) async fn becomes(sidecar: &Sidecar, series: &str, expected: f64) {
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        let metrics = sidecar.metrics();
        let actual = value(&metrics, series);
        if actual.to_bits() == expected.to_bits() {
            return;
        }
        assert!(Instant::now() < deadline, "{series} is {actual}, not {expected}, in\n{metrics}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap_or_else(|_| panic!("not a number: {series} {value}")))
}

/// Exit code and standard error of an etcdlet that is expected to end by itself.
pub(crate) fn refusal(command: &mut Command) -> (Option<i32>, String) {
    let mut child = Child::spawn(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut status = None;
    while status.is_none() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
        status = child.0.try_wait().expect("a child can be waited for");
    }
    let mut stderr = child.0.stderr.take().expect("it is piped");
    // Or its standard error would never end.
    drop(child);
    let mut said = String::new();
    stderr.read_to_string(&mut said).expect("errors are text");
    (status.and_then(|status| status.code()), said)
}

/// A process that a test starts itself; killed when dropped.
pub(crate) struct Child(std::process::Child);

impl Child {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self(command.spawn().expect("the program can be started"))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
