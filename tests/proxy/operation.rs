//! What whoever runs etcdlet does with it: looks at it, changes its configuration, ends it.

mod admin;
mod certificates;
mod check;
mod drain;
mod reload;
mod service_manager;

use std::time::{Duration, Instant};

use crate::observability::value;
use crate::support::load::{Class, Report};
use crate::support::sidecar::Sidecar;

/// A plain listener in front of these endpoints, with more in the file.
fn configured(endpoints: &[String], more: &str) -> String {
    format!(
        "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{endpoints: ['{}'], sync-members: false}}
admin: {{url: 'http://{{admin}}'}}
{more}
",
        endpoints.join("', '")
    )
}

/// Looks until it holds; panics with the process's log otherwise.
fn until(sidecar: &Sidecar, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: never, in {LIMIT:?}\n{}", sidecar.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until so many reloads have ended so.
fn reloaded(sidecar: &Sidecar, outcome: &str, times: u32) {
    let series = format!("etcdlet_config_reloads_total{{outcome=\"{outcome}\"}}");
    until(sidecar, &series, || value(&sidecar.metrics(), &series) >= f64::from(times));
}

/// Nothing failed, and no stream broke.
fn assert_undisturbed(report: &Report, sidecar: &Sidecar) {
    for class in Class::ALL {
        let summary = report.of(class);
        assert!(summary.calls > 20 && summary.failed == 0, "{report}\n{}", sidecar.log());
    }
    assert!(!report.to_string().contains("broke"), "{report}\n{}", sidecar.log());
}

const LIMIT: Duration = Duration::from_secs(15);
