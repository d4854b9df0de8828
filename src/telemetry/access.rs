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
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use prometheus::{IntCounter, IntGauge};

use super::metrics::Metrics;

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
    lines: IntCounter,
}

impl Sink {
    /// Opens the target and starts the thread.
    pub fn open(config: &Config, metrics: &Metrics) -> io::Result<Self> {
        let output = config.target.open()?;
        let counter = |name: &str, help: &str| metrics.register(IntCounter::new(name, help));
        let metrics = SinkMetrics {
            buffered: metrics.register(IntGauge::new(
                "etcdlet_audit_buffered_bytes",
                "Bytes of audit lines that wait to be written.",
            )),
            dropped: counter("etcdlet_audit_lines_dropped_total", "Audit lines that were lost."),
            lines: counter("etcdlet_audit_lines_total", "Audit lines, those that were lost included."),
        };
        let (state, news, closed) = Default::default();
        let sink = Self(Arc::new(Parts { config: config.clone(), state, news, closed, metrics }));
        let writer = Writer { sink: sink.clone(), output, fails: false };
        std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run())?;
        Ok(sink)
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
    fn open(&self) -> io::Result<Box<dyn Write + Send>> {
        Ok(match self {
            Self::File(path) => Box::new(open(path)?),
            Self::StandardOutput => Box::new(io::stdout()),
        })
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
    output: Box<dyn Write + Send>,
    /// The last attempt has failed, which was logged.
    fails: bool,
}

impl Writer {
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
        let Parts { news, closed, metrics, .. } = &*self.sink.0;
        let mut state = self.sink.lock();
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
                reopen(&self.sink.0.config.target, &mut self.output);
                state = self.sink.lock();
            } else if state.closing {
                state.closed = true;
                closed.notify_all();
                return None;
            }
        }
    }

    /// Writes it all, trying again as long as that takes; at the end of the process only once.
    fn write(&mut self, mut lines: &[u8]) {
        while !lines.is_empty() {
            match self.output.write(lines).and_then(|written| self.output.flush().map(|()| written)) {
                Ok(written) if written > 0 => lines = &lines[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                outcome => {
                    if !std::mem::replace(&mut self.fails, true) {
                        let error =
                            outcome.err().map_or("nothing is taken".to_owned(), |error| error.to_string());
                        let target = &self.sink.0.config.target;
                        tracing::error!(%error, %target, "audit lines cannot be written; they wait, then they are lost");
                    }
                    if !self.pause() {
                        let lost = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
                        return self.sink.0.metrics.dropped.inc_by(lost);
                    }
                    continue;
                }
            }
            if std::mem::take(&mut self.fails) {
                tracing::info!("audit lines are written again");
            }
        }
    }

    /// Waits before another attempt, which may be in another file; `false` at the end of the process.
    fn pause(&mut self) -> bool {
        let Parts { news, config, .. } = &*self.sink.0;
        let state = self.sink.lock();
        let waited = news.wait_timeout_while(state, PAUSE, |state| !state.is_urgent());
        let mut state = waited.expect(NOBODY_PANICS).0;
        if state.closing {
            return false;
        }
        if std::mem::take(&mut state.reopens) {
            drop(state);
            reopen(&config.target, &mut self.output);
        }
        true
    }
}

fn reopen(target: &Target, output: &mut Box<dyn Write + Send>) {
    match target.open() {
        Ok(opened) => {
            *output = opened;
            tracing::info!(%target, "the audit log was opened again");
        }
        Err(error) => tracing::error!(%error, %target, "the audit log stays where it is"),
    }
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
        humantime::format_rfc3339_millis(now)
    )
}

const NOBODY_PANICS: &str = "nobody panics while holding the buffer";

const GATHERING: Duration = Duration::from_millis(20);

/// Between two attempts to write to a full disk.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::time::Instant;

    const LIMIT: Duration = Duration::from_secs(10);

    fn sink(path: &Path, buffer_bytes: usize) -> Sink {
        let config = Config { target: Target::File(path.to_owned()), buffer_bytes };
        Sink::open(&config, &Metrics::new()).unwrap()
    }

    #[test]
    fn lines_are_in_the_file_when_it_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit");
        std::fs::write(&path, "before\n").unwrap();
        let sink = sink(&path, 1000);
        for line in ["a\n", "b\n"] {
            sink.append(line.as_bytes());
        }
        sink.close(LIMIT);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before\na\nb\n");
    }

    #[test]
    fn a_file_that_was_moved_is_left_when_it_is_opened_again() {
        let directory = tempfile::tempdir().unwrap();
        let (path, moved) = (directory.path().join("audit"), directory.path().join("audit.1"));
        let sink = sink(&path, 1000);
        sink.append(b"a\n");
        std::fs::rename(&path, &moved).unwrap();
        sink.append(b"b\n");
        sink.reopen();
        while !path.exists() {
            std::thread::yield_now();
        }
        sink.append(b"c\n");
        sink.close(LIMIT);
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "a\nb\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "c\n");
    }

    #[test]
    fn lines_beyond_the_buffer_are_counted_and_a_line_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit");
        let fifo = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(fifo.success());
        let sink = sink(&path, 256 << 10);
        let line = [vec![b'x'; 1023], vec![b'\n']].concat();
        // A pipe takes 64 KiB; beyond that and the buffer nobody waits.
        for _ in 0..1000 {
            sink.append(&line);
        }
        let lost = sink.0.metrics.dropped.get();
        assert!((600..800).contains(&lost), "{lost}");
        let mut pipe = File::open(&path).unwrap();
        let reader = std::thread::spawn(move || {
            let (mut text, mut piece) = (Vec::new(), [0; 1 << 16]);
            while !text.ends_with(b"}\n") {
                let length = pipe.read(&mut piece).unwrap();
                text.extend_from_slice(&piece[..length]);
            }
            String::from_utf8(text).unwrap()
        });
        let text = reader.join().unwrap();
        sink.close(LIMIT);
        let told = text.lines().last().unwrap();
        let told: serde_json::Value = serde_json::from_str(told).unwrap();
        assert_eq!((told["op"].as_str(), told["lines"].as_u64()), (Some("dropped"), Some(lost)));
        assert_eq!(text.lines().count() as u64, 1000 - lost + 1);
    }

    #[test]
    fn the_end_does_not_wait_for_a_pipe_that_nobody_reads() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let sink = sink(&path, 1 << 20);
        sink.append(&[b'x'; 512 << 10]);
        let started = Instant::now();
        sink.close(Duration::from_millis(50));
        assert!(started.elapsed() < LIMIT);
    }
}
