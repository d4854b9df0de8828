//! A client's program: commands go to it, what it says is kept by the id of the command.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::Client;
use crate::support::tools::installed;

/// Killed when dropped.
pub(crate) struct Program {
    pub(crate) client: &'static Client,
    child: Child,
    input: Mutex<Option<ChildStdin>>,
    next_id: AtomicU64,
    heard: Arc<Heard>,
    /// Its standard error.
    log: NamedTempFile,
}

/// Why something was not done.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    /// None when the client says so itself.
    pub(crate) code: Option<i64>,
    pub(crate) message: String,
}

#[derive(Default)]
struct Heard {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    by_id: HashMap<u64, Vec<Value>>,
    /// The program has closed its output.
    ended: bool,
}

impl Program {
    /// Starts it and connects it to this URL.
    pub(crate) fn open(client: &'static Client, url: &str) -> Self {
        Self::open_with(client, json!({"url": url}))
    }

    /// The same with more than the URL.
    pub(crate) fn open_with(client: &'static Client, settings: Value) -> Self {
        let program = Self::start(client);
        program.call("open", settings);
        program
    }

    pub(crate) fn start(client: &'static Client) -> Self {
        let log = NamedTempFile::new().expect("a temporary file can be made");
        let errors = log.reopen().expect("a temporary file can be opened again");
        let mut child = Self::spawn(client, errors);
        let output = child.stdout.take().expect("it is piped");
        let input = Mutex::new(child.stdin.take());
        let heard = Arc::new(Heard::default());
        let listener = heard.clone();
        thread::spawn(move || listener.listen(output));
        Self { client, child, input, next_id: AtomicU64::new(1), heard, log }
    }

    fn spawn(client: &Client, errors: File) -> Child {
        Command::new(installed(format!("tools/{}/bin/client", client.name)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", client.name))
    }

    /// Has something done, without waiting; returns the id.
    pub(crate) fn ask(&self, what: &str, mut command: Value) -> u64 {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        command["id"] = json!(id);
        command["do"] = json!(what);
        let mut input = self.input.lock().expect("nothing panics under this lock");
        let written = writeln!(input.as_mut().expect("it is open"), "{command}");
        assert!(written.is_ok(), "{what}: {written:?}: {}", self.report());
        id
    }

    /// How a command ended.
    pub(crate) fn answer(&self, id: u64) -> Result<Value, Refusal> {
        let line = self.wait(id, "an answer", |lines| {
            lines
                .iter()
                .find(|line| ["ok", "error", "ended"].iter().any(|it| line.get(it).is_some()))
                .cloned()
        });
        match line.get("ok") {
            Some(result) => Ok(result.clone()),
            None => Err(Refusal::of(line.get("error").unwrap_or(&line["ended"]))),
        }
    }

    /// Whether a command has been answered.
    pub(crate) fn is_answered(&self, id: u64) -> bool {
        !self.heard(id).is_empty()
    }

    /// Has something done that must succeed.
    pub(crate) fn call(&self, what: &str, command: Value) -> Value {
        let shown = command.to_string();
        let answer = self.answer(self.ask(what, command));
        answer.unwrap_or_else(|refusal| panic!("{what} {shown}: {refusal:?}: {}", self.report()))
    }

    /// Has something done that must not succeed.
    pub(crate) fn refused(&self, what: &str, command: Value) -> Refusal {
        let shown = command.to_string();
        match self.answer(self.ask(what, command)) {
            Err(refusal) => refusal,
            Ok(answer) => panic!("{what} {shown} is not refused: {answer}"),
        }
    }

    /// A watch that is created.
    pub(crate) fn watch(&self, command: Value) -> u64 {
        let id = self.ask("watch", command);
        self.answer(id).unwrap_or_else(|refusal| panic!("watch: {refusal:?}: {}", self.report()));
        id
    }

    /// The first so many lines of this kind about a command.
    pub(crate) fn news(&self, id: u64, kind: &str, count: usize) -> Vec<Value> {
        self.wait(id, &format!("{count} × {kind}"), |lines| {
            let news = of_kind(lines, kind);
            (news.len() >= count).then(|| news[..count].to_vec())
        })
    }

    /// All lines of this kind about a command, until now.
    pub(crate) fn news_so_far(&self, id: u64, kind: &str) -> Vec<Value> {
        of_kind(&self.heard(id), kind)
    }

    /// That it ends when its input does.
    pub(crate) fn finish(mut self) {
        *self.input.lock().expect("nothing panics under this lock") = None;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait().expect("a child can be waited for") {
                Some(status) => return assert!(status.success(), "{status}: {}", self.report()),
                None => assert!(Instant::now() < deadline, "it does not end: {}", self.report()),
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn heard(&self, id: u64) -> Vec<Value> {
        let lines = self.heard.lines.lock().expect("nothing panics under this lock");
        lines.by_id.get(&id).cloned().unwrap_or_default()
    }

    fn wait<T>(&self, id: u64, what: &str, find: impl Fn(&[Value]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.heard.lines.lock().expect("nothing panics under this lock");
        loop {
            let about: &[Value] = lines.by_id.get(&id).map_or(&[], Vec::as_slice);
            if let Some(found) = find(about) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if lines.ended || left.is_zero() {
                let said = about[about.len().saturating_sub(SHOWN_MAX)..].to_vec();
                drop(lines);
                panic!("command {id}: not heard: {what}; but {said:?}: {}", self.report());
            }
            (lines, _) =
                self.heard.changed.wait_timeout(lines, left).expect("nothing panics under this lock");
        }
    }

    fn report(&self) -> String {
        let log = fs::read(self.log.path()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(SHOWN_MAX)..].join("\n");
        let name = self.client.name;
        format!("{name} said beside the protocol: {:?}; the end of its log:\n{tail}", self.heard(NO_COMMAND))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

impl Refusal {
    fn of(line: &Value) -> Self {
        Self {
            code: line["code"].as_i64(),
            message: line["message"].as_str().expect("a refusal has a message").to_owned(),
        }
    }

    #[track_caller]
    pub(crate) fn assert_says(&self, text: &str) {
        assert!(self.message.contains(text), "{self:?} does not say {text:?}");
    }
}

impl Heard {
    fn listen(&self, output: ChildStdout) {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let line: Value = serde_json::from_str(&line).unwrap_or_else(
                |error| json!({"id": NO_COMMAND, "not understood": format!("{error}: {line}")}),
            );
            let id = line["id"].as_u64().unwrap_or(NO_COMMAND);
            self.lines
                .lock()
                .expect("nothing panics under this lock")
                .by_id
                .entry(id)
                .or_default()
                .push(line);
            self.changed.notify_all();
        }
        self.lines.lock().expect("nothing panics under this lock").ended = true;
        self.changed.notify_all();
    }
}

fn of_kind(lines: &[Value], kind: &str) -> Vec<Value> {
    lines.iter().filter_map(|line| line.get(kind).cloned()).collect()
}

/// Beyond what the sidecar holds a call for, and the start of a Java machine on a busy one.
const PATIENCE: Duration = Duration::from_secs(30);
const SHOWN_MAX: usize = 20;
/// Under which everything else is kept that a program says.
const NO_COMMAND: u64 = 0;
