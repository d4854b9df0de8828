//! What the service manager is told (sd_notify(3)): that the process is ready, reloads, stops, how it
//! is, and that it is not stuck. Without a service manager all of it is nothing.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tokio::time::MissedTickBehavior;

use crate::admin::health::{Health, Phase};
use crate::upstream::view::{Leader, Member, View};

/// Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Notifier(Option<Arc<Socket>>);

#[derive(Debug)]
struct Socket {
    socket: UnixDatagram,
    address: SocketAddr,
    /// After that word it cannot be ready again.
    is_stopping: AtomicBool,
}

impl Notifier {
    pub fn from_environment() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self(None);
        };
        match Self::to(&name) {
            Ok(notifier) => notifier,
            Err(error) => {
                tracing::warn!(?name, %error, "NOTIFY_SOCKET cannot be used");
                Self(None)
            }
        }
    }

    /// A path, or an abstract name that begins with `@`.
    fn to(name: &OsStr) -> std::io::Result<Self> {
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        // It waits for a manager that is slow, but not for one that is stuck.
        socket.set_write_timeout(Some(SEND_LIMIT))?;
        Ok(Self(Some(Arc::new(Socket { socket, address, is_stopping: AtomicBool::new(false) }))))
    }

    pub fn ready(&self) {
        self.tell_unless_stopping("READY=1");
    }

    /// To be followed by [`ready`](Self::ready).
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let now = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.tell_unless_stopping(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }

    pub fn stopping(&self) {
        if let Some(socket) = &self.0 {
            socket.is_stopping.store(true, Ordering::Relaxed);
        }
        self.tell("STOPPING=1\nSTATUS=stopping: calls under way may finish");
    }

    /// Tells how the cluster is, and that the data path lives, until the process ends.
    pub async fn follow(self, health: Health) {
        if self.0.is_none() {
            return;
        }
        let variable = |name| std::env::var(name).ok();
        let watchdog = watchdog(
            variable("WATCHDOG_USEC").as_deref(),
            variable("WATCHDOG_PID").as_deref(),
            std::process::id(),
        );
        self.follow_within(health, watchdog).await;
    }

    async fn follow_within(self, health: Health, watchdog: Option<Duration>) {
        let alive = async {
            let Some(limit) = watchdog else { return };
            // More often than it is told: a process that was silent, and recovers, has until the end.
            let mut ticks = tokio::time::interval(limit / 10);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut told_at = None;
            let mut was_silent = false;
            loop {
                let now = ticks.tick().await;
                let silent = health.heartbeats.silent(Instant::now());
                if silent.is_empty() {
                    if told_at.is_none_or(|told_at| now - told_at >= limit / 2) {
                        self.tell("WATCHDOG=1");
                        told_at = Some(now);
                    }
                } else if !was_silent {
                    tracing::error!(
                        ?silent,
                        "threads do not answer: the service manager's watchdog is not told"
                    );
                }
                was_silent = !silent.is_empty();
            }
        };
        let well = async {
            let mut views = health.views.clone();
            let mut told = String::new();
            while *health.phase.borrow() != Phase::Stopping {
                let status = status(&views.borrow_and_update());
                if status != told {
                    self.tell_status(&status);
                    told = status;
                }
                // Not each change of a cluster that is sick and changes all the time.
                tokio::time::sleep(STATUS_PAUSE).await;
                if views.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::join!(alive, well);
    }

    /// The name of a member in it must not become a word of its own.
    fn tell_status(&self, status: &str) {
        self.tell(&format!("STATUS={}", status.replace(char::is_control, " ")));
    }

    fn tell_unless_stopping(&self, state: &str) {
        if self.0.as_deref().is_some_and(|socket| !socket.is_stopping.load(Ordering::Relaxed)) {
            self.tell(state);
        }
    }

    fn tell(&self, state: &str) {
        let Some(Socket { socket, address, .. }) = self.0.as_deref() else { return };
        if let Err(error) = socket.send_to_addr(state.as_bytes(), address) {
            tracing::warn!(%error, state, "the service manager cannot be told");
        }
    }
}

/// Within what time the manager must hear that the process is not stuck.
fn watchdog(microseconds: Option<&str>, pid: Option<&str>, own: u32) -> Option<Duration> {
    // It may be meant for a parent.
    if pid.is_some_and(|pid| pid.parse() != Ok(own)) {
        return None;
    }
    let limit = Duration::from_micros(microseconds?.parse().ok()?);
    (!limit.is_zero()).then_some(limit)
}

/// For one line of `systemctl status`.
fn status(view: &View) -> String {
    let healthy = view.members.iter().filter(|member| member.is_healthy()).count();
    let leader = match view.leader {
        Leader::Known(place) => format!("leader {}", name(&view.members[place])),
        Leader::Behind => "leader not reachable from here".to_owned(),
        Leader::None => "no leader".to_owned(),
        Leader::Unknown => "leader not known".to_owned(),
    };
    format!("{healthy} of {} members in rotation, {leader}", view.members.len())
}

fn name(member: &Member) -> String {
    let address = &member.endpoint.address;
    member.name.as_ref().map_or_else(|| address.to_string(), |name| format!("{name} ({address})"))
}

const SEND_LIMIT: Duration = Duration::from_secs(1);

const STATUS_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::heartbeat::{Heartbeats, SILENT_AFTER};
    use tokio::sync::watch;

    #[test]
    fn the_watchdog_is_for_this_process_only() {
        let own = 7;
        assert_eq!(watchdog(Some("3000000"), None, own), Some(Duration::from_secs(3)));
        assert_eq!(watchdog(Some("3000000"), Some("7"), own), Some(Duration::from_secs(3)));
        for (limit, pid) in [(None, None), (Some("3000000"), Some("8")), (Some("0"), None), (Some("x"), None)]
        {
            assert_eq!(watchdog(limit, pid, own), None, "{limit:?} {pid:?}");
        }
    }

    #[test]
    fn an_abstract_address_is_told_too() {
        let (manager, notifier) = pair("abstract");
        notifier.ready();
        assert_eq!(heard(&manager), ["READY=1"]);
    }

    #[test]
    fn a_reload_while_it_stops_is_not_told() {
        let (manager, notifier) = pair("stopping");
        notifier.stopping();
        notifier.reloading();
        notifier.ready();
        assert_eq!(heard(&manager), ["STOPPING=1\nSTATUS=stopping: calls under way may finish"]);
    }

    #[tokio::test]
    async fn a_thread_that_answers_again_in_time_is_told_of_in_time() {
        let (manager, notifier) = pair("recovered");
        let heartbeats = Heartbeats::new(1, Instant::now() - 2 * SILENT_AFTER);
        let beat = heartbeats.of(0);
        let (_phase, phase) = watch::channel(Phase::Serving);
        let (_views, views) = watch::channel(Arc::new(View::default()));
        let health = Health { heartbeats, phase, views };
        let limit = Duration::from_secs(1);
        let following = tokio::spawn(notifier.follow_within(health, Some(limit)));
        // Whenever the last word was, it was before this.
        tokio::time::sleep(limit.mul_f64(0.55)).await;
        beat.beat(Instant::now());
        tokio::time::sleep(limit.mul_f64(0.2)).await;
        assert!(heard(&manager).contains(&"WATCHDOG=1".to_owned()));
        following.abort();
    }

    #[tokio::test]
    async fn the_watchdog_is_not_told_while_a_thread_is_stuck() {
        let (manager, notifier) = pair("stuck");
        let heartbeats = Heartbeats::new(1, Instant::now() - 2 * SILENT_AFTER);
        let beat = heartbeats.of(0);
        let (_phase, phase) = watch::channel(Phase::Serving);
        let (_views, views) = watch::channel(Arc::new(View::default()));
        let health = Health { heartbeats, phase, views };
        let limit = Duration::from_millis(100);
        let following = tokio::spawn(notifier.follow_within(health, Some(limit)));
        tokio::time::sleep(3 * limit).await;
        assert_eq!(heard(&manager), ["STATUS=0 of 0 members in rotation, leader not known"]);
        beat.beat(Instant::now());
        tokio::time::sleep(3 * limit).await;
        assert!(heard(&manager).contains(&"WATCHDOG=1".to_owned()));
        following.abort();
    }

    /// A manager, and who tells it.
    fn pair(name: &str) -> (UnixDatagram, Notifier) {
        let name = format!("etcdlet-test-{name}-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        manager.set_nonblocking(true).unwrap();
        (manager, Notifier::to(OsStr::new(&format!("@{name}"))).unwrap())
    }

    /// All that was told up to now.
    fn heard(manager: &UnixDatagram) -> Vec<String> {
        let mut message = [0; 256];
        let hear = || {
            let length = manager.recv(&mut message).ok()?;
            Some(String::from_utf8(message[..length].to_vec()).unwrap())
        };
        std::iter::from_fn(hear).collect()
    }

    #[test]
    fn the_name_of_a_member_says_nothing_else() {
        let (manager, notifier) = pair("name");
        notifier.tell_status("leader m1\nMAINPID=1");
        assert_eq!(heard(&manager), ["STATUS=leader m1 MAINPID=1"]);
    }

    #[test]
    fn the_status_is_one_line() {
        assert_eq!(status(&View::default()), "0 of 0 members in rotation, leader not known");
    }
}
