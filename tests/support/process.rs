//! A child process with a log file, that is gone when its fixture is.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, kill_process};

pub(crate) use rustix::process::Signal;

#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output appended to the file `log`.
    pub(crate) fn spawn(mut command: Command, log: &Path) -> Self {
        let file =
            fs::OpenOptions::new().create(true).append(true).open(log).expect("the log file can be opened");
        let out = file.try_clone().expect("a file handle can be cloned");
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
        Self { child, log: log.to_owned() }
    }

    /// The same with open sockets as its first files behind the three that every process has: passed as two of these,
    /// because a child inherits no other, and moved by a shell. `environment` can say `$$`, which is its process id.
    pub(crate) fn spawn_passing(
        command: &Command,
        sockets: Vec<OwnedFd>,
        environment: &str,
        log: &Path,
    ) -> Self {
        let mut sockets = sockets.into_iter();
        let (first, second) = (sockets.next(), sockets.next());
        assert!(sockets.next().is_none(), "two are enough");
        let moves = match (&first, &second) {
            (Some(_), Some(_)) => "exec 3<&0 4<&1 </dev/null >&2",
            (Some(_), None) => "exec 3<&0 </dev/null",
            _ => ":",
        };
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{moves}; export {environment}; exec \"$0\" \"$@\""));
        shell.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let open = || {
            fs::OpenOptions::new().create(true).append(true).open(log).expect("the log file can be opened")
        };
        let child = shell
            .stdin(first.map_or_else(Stdio::null, Stdio::from))
            .stdout(second.map_or_else(|| open().into(), Stdio::from))
            .stderr(open())
            .spawn()
            .expect("a shell can be started");
        Self { child, log: log.to_owned() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal; to a process that is gone already it is nothing.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.exited().is_none() {
            kill_process(Pid::from_child(&self.child), signal).expect("a child can be signalled");
        }
    }

    /// Freezes it, and waits until each of its threads stands still.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::STOP);
        let deadline = Instant::now() + STOP_LIMIT;
        while !self.stands_still() {
            assert!(Instant::now() < deadline, "SIGSTOP does not stop: {}", self.report());
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn stands_still(&self) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("a child has threads");
        tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok()).all(|stat| {
            // The state is behind the name, which stands in parentheses.
            stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('T'))
        })
    }

    /// The exit status, if the process has ended.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits until the process has ended; `None` when it still runs at the limit.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            let status = self.exited();
            if status.is_some() || Instant::now() >= deadline {
                return status;
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Ends it as a crash would, also when it is frozen.
    pub(crate) fn kill(&mut self) -> ExitStatus {
        self.signal(Signal::KILL);
        self.child.wait().expect("a child can be waited for")
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The end of the log and the exit status if there is one, for a panic's message.
    pub(crate) fn report(&mut self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n");
        let state = match self.exited() {
            None => format!("process {} runs", self.pid()),
            Some(status) => match status.signal() {
                None => format!("process {} ended: {status}", self.pid()),
                Some(signal) => format!("process {} died by signal {signal}", self.pid()),
            },
        };
        format!("{state}; the end of its log:\n{tail}")
    }

    /// Resident memory in bytes.
    pub(crate) fn rss_bytes(&self) -> u64 {
        // VmRSS of the status file lags behind by up to 64 pages a thread.
        let rollup = self.proc_file("smaps_rollup");
        let kib: u64 = rollup
            .lines()
            .find_map(|line| line.strip_prefix("Rss:")?.strip_suffix("kB")?.trim().parse().ok())
            .expect("smaps_rollup has a line Rss");
        kib * 1024
    }

    /// User and system time of all its threads, those that ended included; in steps of 10 ms.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = self.proc_file("stat");
        // The second field is the name in parentheses, which may itself hold spaces; utime and stime are the
        // 14th and 15th.
        let (_, fields) = stat.rsplit_once(')').expect("stat holds a name");
        let ticks: u64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|field| field.parse::<u64>().expect("times are numbers"))
            .sum();
        Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
    }

    fn proc_file(&self, name: &str) -> String {
        let path = format!("/proc/{}/{name}", self.pid());
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

const POLL_INTERVAL: Duration = Duration::from_millis(10);
const STOP_LIMIT: Duration = Duration::from_secs(5);
const LOG_TAIL_LINES: usize = 30;
/// `USER_HZ`, which Linux fixes at 100 for user space on every architecture that we build for.
const TICKS_PER_SECOND: u64 = 100;
