//! Runs the same shell commands beside each twin and compares what they print.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb as pb;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::text::{normalise, sort_log};
use crate::differential::Twins;
use crate::differential::known::Known;
use crate::differential::normalise::picture;
use crate::support::etcd::Etcd;
use crate::support::grpc::Channel;

/// The two sides, and how they differed so far.
pub(crate) struct Pair {
    sides: [Side; 2],
    failures: Vec<String>,
    compared: usize,
}

/// A place in which `etcdctl` talks to one of the twins.
struct Side {
    endpoint: String,
    /// Where etcdctl and etcdutl are, and the environment that they need.
    path: String,
    environment: Vec<(String, String)>,
    known: Known,
    /// The working directory, so that both sides name files alike.
    directory: TempDir,
}

/// A command that runs beside both twins until it is stopped.
pub(crate) struct Background {
    script: String,
    runs: [Run; 2],
}

/// One process with its output in files, which can be read while it runs.
struct Run {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

struct Printed {
    out: Vec<u8>,
    err: Vec<u8>,
    status: Option<ExitStatus>,
}

impl Pair {
    pub(crate) fn new(twins: &Twins) -> Self {
        let direct = Side::new(&twins.direct, twins.direct.endpoint());
        let through = Side::new(&twins.behind, twins.subject());
        Self { sides: [direct, through], failures: Vec::new(), compared: 0 }
    }

    /// Each of these scripts must print the same and exit alike. The ids that are known stand in variables.
    pub(crate) fn same_all(&mut self, scripts: &[&str]) {
        for script in scripts {
            self.same(script);
        }
    }

    pub(crate) fn same(&mut self, script: &str) {
        self.same_but(script, str::to_owned);
    }

    /// The same after `blank` took away what may differ.
    pub(crate) fn same_but(&mut self, script: &str, blank: fn(&str) -> String) {
        let printed = self.run(script);
        self.compare(script, &printed, blank);
    }

    /// The same, with an id in the first line printed, which gets a name: in later output and as a variable.
    pub(crate) fn same_naming(
        &mut self,
        name: &str,
        script: &str,
        find: fn(&str) -> Option<u64>,
        blank: fn(&str) -> String,
    ) {
        let printed = self.run(script);
        for (side, printed) in self.sides.iter_mut().zip(&printed) {
            if let Some(id) = find(&String::from_utf8_lossy(&printed.out)) {
                side.known.learn_id(name, id);
            }
        }
        self.compare(script, &printed, blank);
    }

    /// The same protobuf message, the answer of this method.
    pub(crate) fn same_message(&mut self, method: &str, script: &str) {
        let printed = self.run(script);
        let messages = [0, 1].map(|side| picture(method, &printed[side].out, &self.sides[side].known));
        let errors = [0, 1].map(|side| String::from_utf8_lossy(&printed[side].err).into_owned());
        self.judge(
            script,
            [format!("{}{}", messages[0], errors[0]), format!("{}{}", messages[1], errors[1])],
        );
    }

    /// The revision of the direct twin, and so of both.
    pub(crate) fn revision(&self) -> u64 {
        let out = Run::start(&self.sides[0], "etcdctl get x -w json").finish().out;
        let answer: serde_json::Value = serde_json::from_slice(&out).expect("etcdctl prints JSON");
        answer["header"]["revision"].as_u64().expect("a header has a revision")
    }

    /// Starts a command beside each twin; `exec` makes it the process that is signalled.
    pub(crate) fn start(&self, command: &str) -> Background {
        let script = format!("exec {command}");
        let runs = self.sides.each_ref().map(|side| Run::start(side, &script));
        Background { script: command.to_owned(), runs }
    }

    /// Waits until a command has printed these many lines on each side.
    pub(crate) fn wait_lines(&mut self, background: &Background, lines: usize) {
        let deadline = Instant::now() + PATIENCE;
        let enough = |run: &Run| {
            fs::read(&run.out).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count() >= lines
        };
        while !background.runs.iter().all(enough) {
            if Instant::now() > deadline {
                return self
                    .failures
                    .push(format!("{}\n    has not printed {lines} lines", background.script));
            }
            sleep(POLL_INTERVAL);
        }
    }

    /// Gives a name to an id that a running command has printed.
    pub(crate) fn name_from_lines(
        &mut self,
        name: &str,
        background: &Background,
        find: fn(&str) -> Option<u64>,
    ) {
        for (side, run) in self.sides.iter_mut().zip(&background.runs) {
            let out = fs::read(&run.out).unwrap_or_default();
            if let Some(id) = find(&String::from_utf8_lossy(&out)) {
                side.known.learn_id(name, id);
            }
        }
    }

    /// Waits for the end of a command that repeats a line, how often is chance, and compares each kind of line once.
    pub(crate) fn wait_distinct(&mut self, background: Background) {
        let Background { script, runs: [direct, through] } = background;
        // At the same time: some print something every so often.
        let printed = scope(|threads| {
            let through = threads.spawn(|| through.finish());
            [direct.finish(), through.join().expect("it only waits for a process")]
        });
        self.compare(&script, &printed, |text| {
            let mut lines: Vec<&str> = text.lines().collect();
            lines.dedup();
            lines.join("\n")
        });
    }

    /// Sets an alarm, which etcdctl cannot.
    pub(crate) fn activate(&self, alarm: &pb::AlarmRequest) {
        for side in &self.sides {
            let answer = runtime().block_on(async {
                let channel = Channel::connect(&side.endpoint).await.expect("a connection is accepted");
                let alarm = pb::AlarmRequest { member_id: side.known.id("member"), ..*alarm };
                channel.call::<_, pb::AlarmResponse>("/etcdserverpb.Maintenance/Alarm", &alarm).await
            });
            answer.expect("an alarm can be set");
        }
    }

    /// Interrupts a command as a user does, and compares all that it printed.
    pub(crate) fn interrupt(&mut self, background: Background) {
        for run in &background.runs {
            // Fails only if it has ended already.
            kill_process(Pid::from_child(&run.child), Signal::INT).ok();
        }
        self.wait(background);
    }

    /// Waits for the end of a command, and compares all that it printed.
    pub(crate) fn wait(&mut self, background: Background) {
        let Background { script, runs: [direct, through] } = background;
        // At the same time: some print something every so often.
        let printed = scope(|threads| {
            let through = threads.spawn(|| through.finish());
            [direct.finish(), through.join().expect("it only waits for a process")]
        });
        self.compare(&script, &printed, str::to_owned);
    }

    /// Runs the script until it succeeds on both sides, then compares.
    pub(crate) fn same_in_the_end(&mut self, script: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let printed = self.run(script);
            let done = printed.iter().all(|printed| printed.status.is_some_and(|status| status.success()));
            if done || Instant::now() > deadline {
                return self.compare(script, &printed, str::to_owned);
            }
            sleep(POLL_INTERVAL);
        }
    }

    pub(crate) fn finish(self) {
        let Self { failures, compared, sides: _ } = self;
        assert!(
            failures.is_empty(),
            "{} of {compared} commands differ\n\n{}",
            failures.len(),
            failures.join("\n\n")
        );
        println!("etcdctl: {compared} commands print the same");
    }

    fn run(&self, script: &str) -> [Printed; 2] {
        let [direct, through] = &self.sides;
        scope(|threads| {
            let through = threads.spawn(|| Run::start(through, script).finish());
            [Run::start(direct, script).finish(), through.join().expect("it only waits for a process")]
        })
    }

    fn compare(&mut self, script: &str, printed: &[Printed; 2], blank: fn(&str) -> String) {
        let seen = [0, 1].map(|side| {
            let text = |bytes| normalise(&String::from_utf8_lossy(bytes), &self.sides[side].known);
            let Printed { out, err, status } = &printed[side];
            let status = status.map_or_else(|| "did not end".to_owned(), |status| status.to_string());
            format!("{}{}[{status}]", blank(&text(out)), blank(&sort_log(&text(err))))
        });
        self.judge(script, seen);
    }

    fn judge(&mut self, script: &str, [direct, through]: [String; 2]) {
        self.compared += 1;
        if std::env::var_os("DIFFERENTIAL_SHOW").is_some() {
            println!("$ {script}\n{direct}");
        }
        if direct != through {
            let indent = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
            self.failures.push(format!(
                "$ {script}\n  direct:\n{}  through:\n{}",
                indent(&direct),
                indent(&through)
            ));
        }
    }
}

impl Side {
    fn new(etcd: &Etcd, endpoint: String) -> Self {
        let mut known = runtime().block_on(Known::discover(&etcd.endpoint()));
        known.learn_text("endpoint", &endpoint);
        let program = etcd.etcdctl();
        let programs =
            std::path::Path::new(program.get_program()).parent().expect("etcdctl is in a directory");
        let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
        Self {
            path: format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default()),
            environment: program
                .get_envs()
                .filter_map(|(name, value)| Some((text(name), text(value?))))
                .collect(),
            endpoint,
            known,
            directory: tempfile::tempdir().expect("a temporary directory can be made"),
        }
    }

    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).current_dir(self.directory.path());
        command.env("PATH", &self.path).env("ETCDCTL_ENDPOINTS", &self.endpoint);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.envs(self.known.ids().map(|(name, value)| (name.to_uppercase(), format!("{value:x}"))));
        command
    }
}

impl Run {
    fn start(side: &Side, script: &str) -> Self {
        let name = |kind| side.directory.path().join(format!("{:x}.{kind}", fastrand::u64(..)));
        let (out, err) = (name("out"), name("err"));
        let file = |path| File::create(path).expect("the directory is ours");
        let mut command = side.shell(script);
        command.stdin(Stdio::null()).stdout(file(&out)).stderr(file(&err));
        Self { child: command.spawn().expect("a shell runs"), out, err }
    }

    fn finish(mut self) -> Printed {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("a child can be waited for") {
                None if Instant::now() > deadline => {
                    self.child.kill().expect("a child can be killed");
                    self.child.wait().expect("a child can be waited for");
                    break None;
                }
                None => sleep(POLL_INTERVAL),
                status => break status,
            }
        };
        let read = |path| fs::read(path).expect("it was created at the start");
        Printed { out: read(&self.out), err: read(&self.err), status }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts")
}

/// Beyond etcdctl's own time limit of 5 s a command.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(5);
