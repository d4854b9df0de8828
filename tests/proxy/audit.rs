//! The audit log: a line for each call, with who did what to which key, and never a value.

mod auth;
mod calls;
mod gateway;
mod secrets;
mod sink;
mod streams;

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::sidecar::Sidecar;

/// The lines that a sidecar writes.
struct Log {
    directory: TempDir,
}

/// A sidecar that tells these calls, with more in its configuration.
fn audited(endpoints: &[String], calls: &str, more: &str) -> (Sidecar, Log) {
    let log = Log { directory: tempfile::tempdir().unwrap() };
    let sidecar = told_in(&log.path(), endpoints, calls, more);
    (sidecar, log)
}

fn told_in(file: &Path, endpoints: &[String], calls: &str, more: &str) -> Sidecar {
    Sidecar::with_config(&format!(
        "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{endpoints: ['{}']}}
admin: {{url: 'http://{{admin}}'}}
audit: {{calls: {calls}, file: '{}', buffer-bytes: 256KiB}}
{more}
",
        endpoints.join("', '"),
        file.display()
    ))
}

impl Log {
    fn path(&self) -> PathBuf {
        self.directory.path().join("audit.log")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap_or_default()
    }

    /// Those that are whole.
    fn lines(&self) -> Vec<Value> {
        let text = self.text();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        whole.lines().map(parse).collect()
    }

    /// Waits for a line with all these fields.
    async fn wait(&self, expected: &Value) -> Value {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(line) = self.lines().into_iter().find(|line| has(line, expected)) {
                return line;
            }
            assert!(Instant::now() < deadline, "no line with {expected} in\n{}", self.text());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Stops it, and lets the clients of this thread go on meanwhile, whose connections it ends.
async fn stop(sidecar: &mut Sidecar) -> ExitStatus {
    sidecar.terminate();
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(status) = sidecar.wait(Duration::ZERO) {
            return status;
        }
        assert!(Instant::now() < deadline, "it does not end: {}", sidecar.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn has(line: &Value, expected: &Value) -> bool {
    expected.as_object().unwrap().iter().all(|(name, value)| line.get(name) == Some(value))
}

const SOON: Duration = Duration::from_secs(5);
