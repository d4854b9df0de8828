//! The access log: lines of JSON, written by a thread of their own.
//!
//! ```text
//!   calls ── append ──> buffer (bounded) ──> thread "audit" ──> file, pipe or standard output
//!                └ full: the line is counted, and a line says so
//! ```
//!
//! Invariants: nobody who appends waits for a disk or for the reader of a pipe; lines are whole and
//! in their order; a line that is lost is counted.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus::{IntCounter, IntGauge};

use super::metrics::Metrics;

#[cfg(test)]
mod tests;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub target: Target,
    /// Bytes of lines that may wait to be written.
    pub buffer_bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Appended to; made when it is missing.
    File(PathBuf),
    StandardOutput,
}

/// Where lines go. Cheap to clone.
#[derive(Clone)]
pub struct Sink(Arc<Parts>);

struct Parts {
    config: Config,
    state: Mutex<State>,
    /// For the thread: there is something to do.
    news: Condvar,
    /// For who waits for the end of the thread.
    closed: Condvar,
    metrics: SinkMetrics,
}

#[derive(Default)]
struct State {
    ahead: Vec<u8>,
    /// Bytes that the thread has taken and not written yet.
    writing: usize,
    /// Lines that were lost since a line last said so.
    dropped: u64,
    reopens: bool,
    closing: bool,
    closed: bool,
}

#[derive(Clone)]
struct SinkMetrics {
    buffered: IntGauge,
    dropped: IntCounter,
    failing: IntGauge,
    lines: IntCounter,
}

impl Sink {
    /// Opens the target and starts the thread.
    pub fn open(config: &Config, metrics: &Metrics) -> io::Result<Self> {
        let output = config.target.open()?;
        let sink = Self::new(config, metrics);
        let writer = Writer::new(sink.clone(), output);
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run())?;
        Ok(sink)
    }

    fn new(config: &Config, metrics: &Metrics) -> Self {
        let counter = |name: &str, help: &str| metrics.register(IntCounter::new(name, help));
        let gauge = |name: &str, help: &str| metrics.register(IntGauge::new(name, help));
        let metrics = SinkMetrics {
            buffered: gauge("etcdlet_audit_buffered_bytes", "Bytes of audit lines that wait to be written."),
            dropped: counter("etcdlet_audit_lines_dropped_total", "Audit lines that were lost."),
            failing: gauge(
                "etcdlet_audit_failing",
                "1 while audit lines cannot be written, or not to where they belong.",
            ),
            lines: counter("etcdlet_audit_lines_total", "Audit lines, those that were lost included."),
        };
        let (state, news, closed) = Default::default();
        Self(Arc::new(Parts { config: config.clone(), state, news, closed, metrics }))
    }

    /// Takes a line, its end included, or drops it where too many wait.
    pub fn append(&self, line: &[u8]) {
        let Parts { config, news, metrics, .. } = &*self.0;
        metrics.lines.inc();
        let mut state = self.lock();
        let waiting = state.ahead.len() + state.writing;
        if waiting + line.len() > config.buffer_bytes {
            state.dropped += 1;
            metrics.dropped.inc();
            if waiting == 0 {
                news.notify_one();
            }
            return;
        }
        let was_idle = state.ahead.is_empty();
        state.ahead.extend_from_slice(line);
        metrics.buffered.set((waiting + line.len()) as i64);
        drop(state);
        if was_idle {
            news.notify_one();
        }
    }

    /// Lets the thread open the file again, when it has written what is there: for who has moved it.
    pub fn reopen(&self) {
        self.lock().reopens = true;
        self.0.news.notify_one();
    }

    /// Writes what is there, and ends; waits for that as long as `limit`.
    pub fn close(&self, limit: Duration) {
        let mut state = self.lock();
        state.closing = true;
        self.0.news.notify_one();
        let (state, waited) =
            self.0.closed.wait_timeout_while(state, limit, |state| !state.closed).expect(NOBODY_PANICS);
        if waited.timed_out() {
            let bytes = state.ahead.len() + state.writing;
            drop(state);
            tracing::warn!(bytes, "audit lines are lost: nobody takes them");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect(NOBODY_PANICS)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::StandardOutput => f.write_str("on standard output"),
        }
    }
}

impl Target {
    fn open(&self) -> io::Result<File> {
        match self {
            Self::File(path) => open(path),
            // Not the one of the standard library, whose buffer keeps what it reports as not written.
            Self::StandardOutput => Ok(io::stdout().as_fd().try_clone_to_owned()?.into()),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    if path.metadata().is_ok_and(|it| it.file_type().is_fifo()) {
        // Whoever only writes would wait here for a reader, and be ended by its going (fifo(7)).
        return options.read(true).write(true).open(path);
    }
    // It says who reads what: not for everybody.
    options.append(true).create(true).mode(0o600).open(path)
}

/// The thread.
struct Writer {
    sink: Sink,
    output: File,
    /// The last attempt to write has failed, which was logged.
    fails: bool,
    /// The last attempt to open it again has failed: lines go on to where they went before.
    is_stale: bool,
}

/// After a pause between two attempts.
enum Paused {
    /// The process ends.
    Ended,
    OtherFile,
    SameFile,
}

impl Writer {
    fn new(sink: Sink, output: File) -> Self {
        Self { sink, output, fails: false, is_stale: false }
    }

    fn run(mut self) {
        loop {
            let Some(lines) = self.take() else { return };
            self.write(&lines);
            let mut state = self.sink.lock();
            state.writing = 0;
            self.sink.0.metrics.buffered.set(state.ahead.len() as i64);
        }
    }

    /// Waits for lines; `None` at the end.
    fn take(&mut self) -> Option<Vec<u8>> {
        let sink = self.sink.clone();
        let Parts { news, closed, metrics, .. } = &*sink.0;
        let mut state = sink.lock();
        loop {
            state = news.wait_while(state, |state| state.is_idle()).expect(NOBODY_PANICS);
            if !state.is_urgent() {
                // Many lines cost one write.
                let gathered = news.wait_timeout_while(state, GATHERING, |state| !state.is_urgent());
                state = gathered.expect(NOBODY_PANICS).0;
            }
            let mut lines = std::mem::take(&mut state.ahead);
            if state.dropped > 0 {
                lines.extend_from_slice(dropped(state.dropped, SystemTime::now()).as_bytes());
                state.dropped = 0;
            }
            if !lines.is_empty() {
                state.writing = lines.len();
                metrics.buffered.set(lines.len() as i64);
                return Some(lines);
            }
            if std::mem::take(&mut state.reopens) {
                drop(state);
                self.reopen();
                state = sink.lock();
            } else if state.closing {
                state.closed = true;
                closed.notify_all();
                return None;
            }
        }
    }

    /// Writes it all, trying again as long as that takes; at the end of the process only once.
    fn write(&mut self, lines: &[u8]) {
        let mut at = 0;
        while at < lines.len() {
            match self.output.write(&lines[at..]) {
                Ok(written) if written > 0 => at += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                outcome => {
                    if !std::mem::replace(&mut self.fails, true) {
                        let error =
                            outcome.err().map_or("nothing is taken".to_owned(), |error| error.to_string());
                        let target = &self.sink.0.config.target;
                        tracing::error!(%error, %target, "audit lines cannot be written; they wait, then they are lost");
                        self.count();
                    }
                    match self.pause() {
                        Paused::Ended => {
                            let lost = lines[at..].iter().filter(|byte| **byte == b'\n').count() as u64;
                            return self.sink.0.metrics.dropped.inc_by(lost);
                        }
                        // There, the rest of a line would be none.
                        Paused::OtherFile => {
                            at = lines[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                        }
                        Paused::SameFile => {}
                    }
                    continue;
                }
            }
            if std::mem::take(&mut self.fails) {
                tracing::info!("audit lines are written again");
                self.count();
            }
        }
    }

    /// Waits before another attempt.
    fn pause(&mut self) -> Paused {
        let state = self.sink.lock();
        let news = &self.sink.0.news;
        let waited = news.wait_timeout_while(state, PAUSE, |state| !state.is_urgent());
        let mut state = waited.expect(NOBODY_PANICS).0;
        if state.closing {
            return Paused::Ended;
        }
        if std::mem::take(&mut state.reopens) {
            drop(state);
            if self.reopen() {
                return Paused::OtherFile;
            }
        }
        Paused::SameFile
    }

    /// Whether it is another file now.
    fn reopen(&mut self) -> bool {
        let target = &self.sink.0.config.target;
        let opened = target.open();
        self.is_stale = opened.is_err();
        self.count();
        match opened {
            Ok(opened) => {
                let before = std::mem::replace(&mut self.output, opened);
                tracing::info!(%target, "the audit log was opened again");
                identity(&before) != identity(&self.output)
            }
            Err(error) => {
                tracing::error!(%error, %target, "the audit log stays where it is");
                false
            }
        }
    }

    fn count(&self) {
        self.sink.0.metrics.failing.set(i64::from(self.fails || self.is_stale));
    }
}

fn identity(file: &File) -> Option<(u64, u64)> {
    file.metadata().ok().map(|it| (it.dev(), it.ino()))
}

impl State {
    fn is_idle(&self) -> bool {
        self.ahead.is_empty() && self.dropped == 0 && !self.is_urgent()
    }

    fn is_urgent(&self) -> bool {
        self.reopens || self.closing
    }
}

fn dropped(lines: u64, now: SystemTime) -> String {
    format!(
        "{{\"time\":\"{}\",\"op\":\"dropped\",\"lines\":{lines}}}\n",
        // It panics at what is before.
        humantime::format_rfc3339_millis(now.max(UNIX_EPOCH))
    )
}

const NOBODY_PANICS: &str = "nobody panics while holding the buffer";

const GATHERING: Duration = Duration::from_millis(20);

/// Between two attempts to write to a full disk.
const PAUSE: Duration = Duration::from_secs(1);
