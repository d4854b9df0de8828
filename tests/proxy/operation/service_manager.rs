//! sd_notify(3): what a service manager hears.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::configured;
use crate::support::etcd::Etcd;
use crate::support::sidecar::Sidecar;

#[test]
fn a_service_manager_is_told_of_every_turn() {
    let etcd = Etcd::start();
    let manager = Manager::new();
    let config = configured(&etcd.endpoints(), "reload: {interval: 0s}");
    let mut sidecar = manager.start(&config, &[]);
    let heard = manager.until("READY=1");
    assert!(heard.iter().all(|message| !message.contains("RELOADING")), "{heard:?}");
    // A name is known a moment later; the address always.
    manager.until("STATUS=1 of 1 members in rotation, leader ");
    sidecar.signal(Signal::HUP);
    let heard = manager.until("RELOADING=1");
    let message = heard.last().unwrap();
    let microseconds = message.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    let microseconds: i64 = microseconds.unwrap_or_else(|| panic!("{message}")).parse().unwrap();
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_sec;
    assert!((now - 10..=now).contains(&(microseconds / 1_000_000)), "{microseconds} at {now} s");
    manager.until("READY=1");
    sidecar.terminate();
    manager.until("STOPPING=1");
    assert!(sidecar.wait(Duration::from_secs(5)).is_some_and(|status| status.success()));
    let rest = manager.rest();
    assert!(rest.iter().all(|message| !message.contains("READY")), "{rest:?}");
}

#[test]
fn the_watchdog_hears_of_a_process_that_is_not_stuck() {
    let etcd = Etcd::start();
    let manager = Manager::new();
    let config = configured(&etcd.endpoints(), "");
    let sidecar = manager.start(&config, &[("WATCHDOG_USEC", "400000")]);
    let begun = Instant::now();
    for _ in 0..5 {
        manager.until("WATCHDOG=1");
    }
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(500) && took < Duration::from_secs(3), "{took:?}");
    drop(sidecar);
    // Of somebody else's watchdog nothing is heard.
    let other = Manager::new();
    let sidecar = other.start(&config, &[("WATCHDOG_USEC", "100000"), ("WATCHDOG_PID", "1")]);
    other.until("STATUS=1 of 1 members in rotation");
    std::thread::sleep(Duration::from_millis(500));
    drop(sidecar);
    let rest = other.rest();
    assert!(rest.iter().all(|message| !message.contains("WATCHDOG")), "{rest:?}");
}

struct Manager {
    socket: UnixDatagram,
    directory: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { socket, directory }
    }

    fn start(&self, config: &str, environment: &[(&str, &str)]) -> Sidecar {
        let path = self.directory.path().join("notify");
        let mut all = vec![("NOTIFY_SOCKET", path.to_str().unwrap())];
        all.extend_from_slice(environment);
        Sidecar::with_environment(config, &all)
    }

    /// All messages up to one with this in it.
    fn until(&self, part: &str) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            match self.hear() {
                Some(message) => heard.push(message),
                None => panic!("{part}: not heard in {heard:?}"),
            }
            if heard.last().is_some_and(|message| message.contains(part)) {
                return heard;
            }
        }
    }

    /// Of a process that has ended.
    fn rest(&self) -> Vec<String> {
        self.socket.set_nonblocking(true).unwrap();
        std::iter::from_fn(|| self.hear()).collect()
    }

    fn hear(&self) -> Option<String> {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).ok()?;
        Some(String::from_utf8(message[..length].to_vec()).unwrap())
    }
}
