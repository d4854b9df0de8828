//! Network namespaces for members and one for everything else, with a router between them that can lose packets.
//!
//! ```text
//!    m0 ──┐        m0, m1, m2: one member each
//!    m1 ──┤ hub    node: the test's own process, the sidecar, the clients
//!    m2 ──┤        hub: routes, and drops what a cut names
//!  node ──┘
//! ```
//!
//! A cut is a policy rule of the router, which discards without a word, for one direction between two addresses: to
//! both ends it is packet loss, with retransmissions, time-outs and connections that stay as they are. (Rules in the
//! members' own namespaces would let `connect` fail at once instead.)
//!
//! The test runs itself again in the namespace `node`, so that all its sockets are there. Namespaces need root.

use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::etcd::Host;
use super::process::Process;

/// The namespaces, as the test inside them sees them.
pub(crate) struct Net {
    prefix: String,
}

/// Their owner outside: removes them, and whatever still runs in them.
struct Owned(Net);

/// One end of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Member(usize),
    Node,
}

/// Directions that lose everything, until it is healed.
pub(crate) struct Cut {
    hub: String,
    rules: Vec<String>,
}

/// Runs `body` in the namespace `node`. `module` and `name` are the calling test's own: another process runs it again,
/// and gets to this line with the namespaces made.
pub(crate) fn enter(module: &str, name: &str, body: impl FnOnce(&Net)) {
    if let Ok(prefix) = std::env::var(MARK) {
        return body(&Net { prefix });
    }
    let directory = tempfile::Builder::new().prefix("netns-").tempdir().expect("a directory can be made");
    // Dropped before the directory, in which the processes inside have their files.
    let owned = Owned::make();
    let (_, module) = module.split_once("::").expect("a test is in a module of its binary");
    let itself = std::env::current_exe().expect("a test knows its own binary");
    let mut again = Command::new(itself);
    again
        .args([&format!("{module}::{name}"), "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, &owned.0.prefix)
        .env("TMPDIR", directory.path());
    let log = directory.path().join("log");
    let mut process = Process::spawn(inside(&owned.0.namespace(Place::Node), &again), &log);
    let status = process.wait(TEST_LIMIT);
    let log = process.log();
    println!("{log}");
    match status {
        None => panic!("the test in the namespaces does not end"),
        Some(status) => assert!(status.success(), "the test in the namespaces failed: {status}"),
    }
    assert!(log.contains("test result: ok. 1 passed"), "there is no test {module}::{name}");
}

/// The same command in a namespace. What it starts has the process id that is returned for it.
pub(crate) fn inside(namespace: &str, command: &Command) -> Command {
    let mut inside = Command::new("ip");
    inside.args(["netns", "exec", namespace]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => inside.env(name, value),
            None => inside.env_remove(name),
        };
    }
    inside
}

impl Net {
    /// Where the members run.
    pub(crate) fn hosts(&self) -> Vec<Host> {
        (0..MEMBERS)
            .map(|index| {
                let place = Place::Member(index);
                Host { address: place.address(), namespace: Some(self.namespace(place)) }
            })
            .collect()
    }

    /// From now on nothing gets from the first to the second place of each pair.
    pub(crate) fn cut(&self, directions: &[(Place, Place)]) -> Cut {
        let rules = directions
            .iter()
            .map(|(from, to)| format!("from {} to {} priority 100 blackhole", from.address(), to.address()));
        let cut = Cut { hub: self.hub(), rules: rules.collect() };
        cut.change("add");
        cut
    }

    fn hub(&self) -> String {
        format!("{}hub", self.prefix)
    }

    fn namespace(&self, place: Place) -> String {
        format!("{}{}", self.prefix, place.name())
    }

    fn connect(&self, place: Place) {
        let (name, inner, outer) = (place.name(), place.address(), place.router());
        batch(
            &self.hub(),
            &format!(
                "link add name {name} type veth peer name eth0 netns {}\n\
                 addr add {outer}/30 dev {name}\n\
                 link set dev {name} up\n",
                self.namespace(place)
            ),
        );
        batch(
            &self.namespace(place),
            &format!(
                "link set dev lo up\n\
                 addr add {inner}/30 dev eth0\n\
                 link set dev eth0 up\n\
                 route add default via {outer}\n"
            ),
        );
    }
}

impl Owned {
    fn make() -> Self {
        remove_leftovers();
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let owned = Self(Net { prefix: format!("{PREFIX}{}-{number}-", std::process::id()) });
        let net = &owned.0;
        ip(&["netns", "add", &net.hub()]);
        batch(&net.hub(), "link set dev lo up\n");
        for place in Place::all() {
            ip(&["netns", "add", &net.namespace(place)]);
            net.connect(place);
        }
        let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
        ip(&["netns", "exec", &net.hub(), "sh", "-c", forward]);
        owned
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        for namespace in existing().filter(|namespace| namespace.starts_with(&self.0.prefix)) {
            remove(&namespace);
        }
    }
}

impl Cut {
    pub(crate) fn heal(self) {
        self.change("del");
    }

    fn change(&self, what: &str) {
        let lines: String = self.rules.iter().map(|rule| format!("rule {what} {rule}\n")).collect();
        batch(&self.hub, &lines);
    }
}

impl Place {
    fn all() -> impl Iterator<Item = Self> {
        (0..MEMBERS).map(Self::Member).chain([Self::Node])
    }

    fn name(self) -> String {
        match self {
            Self::Member(index) => format!("m{index}"),
            Self::Node => "node".into(),
        }
    }

    fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, self.subnet(), 2)
    }

    /// The router's address towards it.
    fn router(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, self.subnet(), 1)
    }

    fn subnet(self) -> u8 {
        match self {
            Self::Member(index) => u8::try_from(index).expect("there are few members") + 1,
            Self::Node => 0,
        }
    }
}

/// What runs of this kind left behind whose process is gone: it was killed before it could clean up.
fn remove_leftovers() {
    for namespace in existing() {
        let owner = namespace.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !fs::exists(format!("/proc/{pid}")).unwrap_or(true)) {
            remove(&namespace);
        }
    }
}

fn existing() -> impl Iterator<Item = String> {
    let list = Command::new("ip").args(["netns", "list"]).output();
    let text = list.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let names: Vec<String> =
        text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    names.into_iter()
}

/// Never panics: it also runs while a test does.
fn remove(namespace: &str) {
    let pids = Command::new("ip").args(["netns", "pids", namespace]).output();
    let pids = pids.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    for pid in pids.lines().filter_map(|line| Pid::from_raw(line.trim().parse().ok()?)) {
        // It may just have ended by itself.
        kill_process(pid, Signal::KILL).ok();
    }
    let removed = Command::new("ip").args(["netns", "del", namespace]).status();
    if !removed.is_ok_and(|status| status.success()) {
        println!("the namespace {namespace} cannot be removed");
    }
}

/// Several commands of `ip` in one namespace, nearly at once.
fn batch(namespace: &str, lines: &str) {
    let mut child = Command::new("ip")
        .args(["-n", namespace, "-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("ip: {error}; {NEEDED}"));
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(lines.as_bytes()).expect("ip reads its commands");
    drop(stdin);
    let output = child.wait_with_output().expect("a child can be waited for");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip -n {namespace} -batch: {said}\n{lines}{NEEDED}");
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("ip: {error}; {NEEDED}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments:?}: {said}{NEEDED}");
}

static MADE: AtomicUsize = AtomicUsize::new(0);

const MEMBERS: usize = 3;
const PREFIX: &str = "etcdlet-";
/// Holds the prefix of the namespaces; who has it runs inside.
const MARK: &str = "ETCDLET_TEST_NETNS";
const NEEDED: &str =
    "this test makes network namespaces: it needs iproute2, and root with CAP_SYS_ADMIN and CAP_NET_ADMIN";
const TEST_LIMIT: Duration = Duration::from_secs(120);
