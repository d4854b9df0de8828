//! `/livez` and `/readyz`, in the words and the form of etcd's (`server/etcdserver/api/etcdhttp/health.go`).

use std::fmt::Write;
use std::time::Instant;

use tokio::sync::watch;

use crate::telemetry::heartbeat::Heartbeats;
use crate::upstream::health::Publisher;
use crate::upstream::view::{Leader, Member, View};

/// What the answers come from. Cheap to clone.
#[derive(Clone)]
pub struct Health {
    pub heartbeats: Heartbeats,
    pub phase: watch::Receiver<Phase>,
    pub views: Publisher,
}

/// Where the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Starting,
    Serving,
    /// It is to end: nobody should begin anything here.
    Stopping,
}

/// A question, and why the answer is no.
type Check = (&'static str, Result<(), String>);

impl Health {
    /// Whether the process does what it is there for at all. If not, only another one will.
    pub(super) fn live(&self, now: Instant) -> Vec<Check> {
        vec![("data_threads", self.threads(now))]
    }

    /// Whether calls should come here.
    pub(super) fn ready(&self, now: Instant) -> Vec<Check> {
        let phase = *self.phase.borrow();
        let view = self.views.borrow().clone();
        let listeners = match phase {
            Phase::Starting => Err("not accepting yet".to_owned()),
            Phase::Serving | Phase::Stopping => self.threads(now),
        };
        let not_draining = match phase {
            Phase::Stopping => Err("the process is about to end".to_owned()),
            Phase::Starting | Phase::Serving => Ok(()),
        };
        vec![
            ("listeners", listeners),
            ("not_draining", not_draining),
            ("healthy_member", healthy_member(&view)),
            ("leader", leader(&view)),
        ]
    }

    fn threads(&self, now: Instant) -> Result<(), String> {
        match self.heartbeats.silent(now).first() {
            None => Ok(()),
            Some((place, silence)) => Err(format!("thread data-{place} has been silent for {silence:.1?}")),
        }
    }
}

fn healthy_member(view: &View) -> Result<(), String> {
    if view.members.iter().any(Member::is_healthy) {
        return Ok(());
    }
    Err(match (&view.discovery_error, view.members.len()) {
        (Some(error), 0) => error.clone(),
        (None, 0) => "no member is known".to_owned(),
        (_, members) => format!("none of {members} members is healthy"),
    })
}

fn leader(view: &View) -> Result<(), String> {
    match view.leader {
        Leader::Behind | Leader::Known(_) => Ok(()),
        Leader::None => Err("the cluster has no leader".to_owned()),
        // Members that tell their status to nobody are healthy by their own word.
        Leader::Unknown if view.members.iter().any(Member::is_healthy) => Ok(()),
        Leader::Unknown => Err("the leader is not known".to_owned()),
    }
}

/// Whether all is well, and the text that says so. `only` asks for one check; `query` may have
/// `verbose` and `exclude=CHECK`. `None` where there is no such check.
pub(super) fn render(checks: Vec<Check>, only: Option<&str>, query: Option<&str>) -> Option<(bool, String)> {
    let parameters = || query.unwrap_or_default().split('&');
    let is_verbose = parameters().any(|word| word == "verbose" || word.starts_with("verbose="));
    let is_excluded = |name: &str| parameters().any(|word| word.strip_prefix("exclude=") == Some(name));
    if only.is_some_and(|only| checks.iter().all(|(name, _)| *name != only)) {
        return None;
    }
    let mut text = String::new();
    let mut well = true;
    for (name, outcome) in checks {
        if only.is_some_and(|only| only != name) || is_excluded(name) {
            continue;
        }
        well &= outcome.is_ok();
        let written = match outcome {
            Ok(()) => writeln!(text, "[+]{name} ok"),
            Err(why) => writeln!(text, "[-]{name} failed: {why}"),
        };
        written.expect("a string takes every text");
    }
    Some(match (well, is_verbose) {
        (true, false) => (true, "ok\n".to_owned()),
        (true, true) => (true, text + "ok\n"),
        (false, _) => (false, text + "\n"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    fn checks(second: Result<(), String>) -> Vec<Check> {
        vec![("first", Ok(())), ("second", second)]
    }

    #[test]
    fn the_form_is_etcds() {
        let well = |query| render(checks(Ok(())), None, query).unwrap();
        assert_eq!(well(None), (true, "ok\n".to_owned()));
        assert_eq!(well(Some("verbose")), (true, "[+]first ok\n[+]second ok\nok\n".to_owned()));
        assert_eq!(well(Some("verbose&exclude=first")), (true, "[+]second ok\nok\n".to_owned()));
        let ill = || checks(Err("why".to_owned()));
        let told = (false, "[+]first ok\n[-]second failed: why\n\n".to_owned());
        assert_eq!(render(ill(), None, None).unwrap(), told);
        assert_eq!(render(ill(), None, Some("verbose")).unwrap(), told);
        assert_eq!(render(ill(), None, Some("exclude=second")).unwrap(), (true, "ok\n".to_owned()));
        assert_eq!(render(ill(), Some("first"), None).unwrap(), (true, "ok\n".to_owned()));
        assert!(!render(ill(), Some("second"), None).unwrap().0);
        assert_eq!(render(ill(), Some("third"), None), None);
    }

    #[test]
    fn a_thread_that_is_stuck_makes_the_process_neither_live_nor_ready() {
        let start = Instant::now();
        let heartbeats = Heartbeats::new(1, start);
        let (_phase, phase) = watch::channel(Phase::Serving);
        let (_views, views) = watch::channel(Arc::new(View::default()));
        let health = Health { heartbeats: heartbeats.clone(), phase, views };
        let beat = heartbeats.of(0);
        let fails = |checks: Vec<Check>| {
            let failed = checks.into_iter().filter(|(_, outcome)| outcome.is_err());
            failed.map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(fails(health.live(start)), [] as [&str; 0]);
        let late = start + Duration::from_secs(6);
        assert_eq!(fails(health.live(late)), ["data_threads"]);
        // Nobody has told of the cluster.
        assert_eq!(fails(health.ready(late)), ["listeners", "healthy_member", "leader"]);
        beat.beat(late);
        assert_eq!(fails(health.live(late)), [] as [&str; 0]);
    }
}
