//! Calls that go on while something happens to the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::{get, put};
use crate::support::grpc::{Channel, Status};
use crate::support::sidecar::Sidecar;

/// Puts, linearizable gets and serializable gets in turns over several connections, from a thread of its own, so that
/// a test that blocks does not hold them up.
pub(super) struct Traffic {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Report>,
}

#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) answered: usize,
    /// How often a call failed with this text.
    pub(super) failures: BTreeMap<String, usize>,
    /// The longest time in which no call of one client was answered.
    pub(super) longest_gap: Duration,
}

impl Traffic {
    pub(super) fn start(sidecar: &Sidecar) -> Self {
        let (stop, url) = (Arc::new(AtomicBool::new(false)), sidecar.url());
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(run(&url, &stopped))
        });
        Self { stop, thread }
    }

    pub(super) fn stop(self) -> Report {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("the traffic does not panic")
    }
}

async fn run(url: &str, stop: &Arc<AtomicBool>) -> Report {
    let clients: Vec<_> =
        (0..CLIENTS).map(|client| tokio::spawn(go_on(client, url.to_owned(), stop.clone()))).collect();
    let mut sum = Report::default();
    for client in clients {
        let Report { answered, failures, longest_gap } = client.await.expect("no client panics");
        sum.answered += answered;
        for (text, count) in failures {
            *sum.failures.entry(text).or_default() += count;
        }
        sum.longest_gap = sum.longest_gap.max(longest_gap);
    }
    sum
}

async fn go_on(client: usize, url: String, stop: Arc<AtomicBool>) -> Report {
    let channel = Channel::connect(&url).await.expect("the sidecar accepts");
    let (mut report, mut last, key) = (Report::default(), Instant::now(), format!("traffic/{client}"));
    for turn in 0_usize.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let call = async {
            match turn % 3 {
                0 => put(&channel, &key, "value").await.map(drop),
                1 => get(&channel, &key, false).await.map(drop),
                _ => get(&channel, &key, true).await.map(drop),
            }
        };
        let answered = timeout(CALL_LIMIT, call).await;
        report.longest_gap = report.longest_gap.max(last.elapsed());
        match answered {
            Ok(Ok(())) => {
                report.answered += 1;
                last = Instant::now();
            }
            Ok(Err(Status { code, message })) => report.fail(format!("{code:?} {message}")),
            Err(_) => report.fail(format!("nothing for {CALL_LIMIT:?}")),
        }
        sleep(PAUSE).await;
    }
    report
}

impl Report {
    fn fail(&mut self, text: String) {
        *self.failures.entry(text).or_default() += 1;
    }
}

const CALL_LIMIT: Duration = Duration::from_secs(8);
const CLIENTS: usize = 4;
/// The machine has other things to do.
const PAUSE: Duration = Duration::from_millis(5);
