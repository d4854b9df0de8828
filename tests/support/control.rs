//! The control client: it tells how long the members themselves could not write, without anything in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb as pb;
use tokio::runtime;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::grpc::Channel;
use super::load::PUT;

/// Writes to each of the survivors; ends at its first success or when it is dropped.
pub(crate) struct Control {
    first: Receiver<Instant>,
    stop: Arc<AtomicBool>,
}

impl Control {
    /// A write each 20 ms to every survivor, whether or not the ones before have been answered: a member may sit on a
    /// write that it forwarded to a leader that is gone.
    pub(crate) fn start(survivors: Vec<String>) -> Self {
        let (success, first) = mpsc::sync_channel(1);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        thread::spawn(move || {
            let run = async {
                let mut writers = JoinSet::new();
                for url in survivors {
                    writers.spawn(write(url, success.clone(), stopped.clone()));
                }
                while writers.join_next().await.is_some() {}
            };
            runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be built")
                .block_on(run);
        });
        Self { first, stop }
    }

    /// The time from the fault until a write succeeded.
    pub(crate) fn first_success(self, fault: Instant) -> Duration {
        let first = self.first.recv_timeout(ELECTION_LIMIT);
        first.expect("the survivors can write again").saturating_duration_since(fault)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

async fn write(url: String, success: SyncSender<Instant>, stop: Arc<AtomicBool>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut channel: Option<Channel> = None;
    let mut writes = JoinSet::new();
    while !stop.load(Ordering::SeqCst) {
        ticks.tick().await;
        while let Some(ended) = writes.try_join_next() {
            if ended.expect("a write does not panic") == Written::Disconnected {
                channel = None;
            }
        }
        if channel.is_none() {
            channel = timeout(WRITE_LIMIT, Channel::connect(&url)).await.ok().and_then(Result::ok);
        }
        if let Some(channel) = channel.clone() {
            writes.spawn(put(channel, success.clone(), stop.clone()));
        }
    }
}

#[derive(PartialEq, Eq)]
enum Written {
    Disconnected,
    No,
    Yes,
}

async fn put(channel: Channel, success: SyncSender<Instant>, stop: Arc<AtomicBool>) -> Written {
    let request = pb::PutRequest { key: "control".into(), ..Default::default() };
    match timeout(WRITE_LIMIT, channel.call::<_, pb::PutResponse>(PUT, &request)).await {
        Ok(Ok(_)) => {
            // The first one counts, whichever member it came from.
            success.try_send(Instant::now()).ok();
            stop.store(true, Ordering::SeqCst);
            Written::Yes
        }
        Ok(Err(status)) if status.code.is_none() => Written::Disconnected,
        Ok(Err(_)) | Err(_) => Written::No,
    }
}

const INTERVAL: Duration = Duration::from_millis(20);
const WRITE_LIMIT: Duration = Duration::from_secs(1);
/// Far more than any election takes, even on a machine that is busy.
const ELECTION_LIMIT: Duration = Duration::from_secs(15);
