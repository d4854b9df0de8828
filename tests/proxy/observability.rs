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

pub(crate) fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap_or_else(|_| panic!("not a number: {series} {value}")))
}

/// Exit code and standard error of an etcdlet that is expected to end by itself.
pub(crate) fn refusal(command: &mut Command) -> (Option<i32>, String) {
    let mut child =
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("etcdlet can be started");
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut status = None;
    while status.is_none() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
        status = child.try_wait().expect("a child can be waited for");
    }
    if status.is_none() {
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
    }
    let mut said = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut said).expect("errors are text");
    (status.and_then(|status| status.code()), said)
}
