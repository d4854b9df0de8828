//! Streams that keep a lease alive each, as clientv3 does: when one breaks, another one is opened and asks at once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb as pb;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::report::{Break, Report, Span};
use super::{Line, Shared};
use crate::support::grpc::{Event, PATIENCE, Stream};

/// What became of one lease.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(super) breaks: Vec<Break>,
    /// When each keep-alive was first asked for, and when it was answered.
    beats: Vec<(Instant, Instant)>,
    /// Why it is not alive any more.
    lost: Option<String>,
}

/// Ends when the load has ended or the lease is gone. Says once that the lease is there and was kept.
pub(super) async fn keep(line: Arc<Line>, shared: Arc<Shared>, ready: mpsc::Sender<()>) -> Kept {
    let mut kept = Kept { breaks: Vec::new(), beats: Vec::new(), lost: None };
    let request = pb::LeaseGrantRequest { ttl: TTL_SECONDS, id: 0 };
    let lease = match line.call::<_, pb::LeaseGrantResponse>(GRANT, &request).await {
        Ok(granted) => granted.id,
        Err(status) => {
            kept.lost = Some(format!("not granted: {status:?}"));
            return kept;
        }
    };
    let (mut stream, mut ready) = (None, Some(ready));
    while !shared.written.load(Ordering::SeqCst) && kept.lost.is_none() {
        let asked = Instant::now();
        while let Err(why) = beat(&line, &mut stream, lease, &mut kept, asked).await {
            kept.breaks.push(Break { at: Instant::now(), why });
            stream = None;
            line.forget().await;
            if asked.elapsed() > PATIENCE {
                kept.lost = Some(format!("not answered for {:?}", asked.elapsed()));
                break;
            }
            sleep(REOPEN_AFTER).await;
        }
        if let Some(ready) = ready.take() {
            ready.send(()).await.ok();
        }
        sleep(BEAT_EVERY).await;
    }
    kept
}

/// One keep-alive and its reply, on the stream that is there or on another one.
async fn beat(
    line: &Line,
    stream: &mut Option<Stream>,
    lease: i64,
    kept: &mut Kept,
    asked: Instant,
) -> Result<(), String> {
    let open = match stream {
        Some(open) => open,
        None => {
            let channel = line.channel().await.map_err(|status| status.message)?;
            let new = channel.stream(KEEP_ALIVE, http::HeaderMap::new()).await;
            stream.insert(new.map_err(|error| error.to_string())?)
        }
    };
    open.send_message(&pb::LeaseKeepAliveRequest { id: lease });
    match open.next(PATIENCE).await {
        Event::Message(message) => {
            let reply: pb::LeaseKeepAliveResponse = message.decode();
            kept.beats.push((asked, Instant::now()));
            if reply.id != lease || reply.ttl <= 0 {
                kept.lost = Some(format!("{reply:?}"));
            }
            Ok(())
        }
        Event::Silence => Err(format!("no reply within {PATIENCE:?}")),
        Event::End(end) => Err(format!("{end:?}")),
    }
}

impl Report {
    pub(crate) fn leases_lost(&self) -> Vec<String> {
        let lost =
            self.kept.iter().enumerate().filter_map(|(number, kept)| Some((number, kept.lost.as_ref()?)));
        lost.map(|(number, why)| format!("lease {number} is lost: {why}")).collect()
    }

    /// The longest time for which a keep-alive was not answered, over all the streams that it took.
    pub(crate) fn keep_alive_stall(&self) -> Span {
        let beats = self.kept.iter().flat_map(|kept| &kept.beats);
        beats.map(|(asked, answered)| self.span(*asked, *answered)).max().unwrap_or_default()
    }

    /// How often each stream of keep-alives broke.
    pub(crate) fn keep_alive_breaks(&self) -> Vec<usize> {
        self.kept.iter().map(|kept| kept.breaks.len()).collect()
    }

    pub(crate) fn keep_alives(&self) -> usize {
        self.kept.iter().map(|kept| kept.beats.len()).sum()
    }
}

const GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
const KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
/// Longer than an election takes and a client waits in it, shorter than a fault test.
const TTL_SECONDS: i64 = 8;
/// Often, so that a stall is seen where it is.
const BEAT_EVERY: Duration = Duration::from_millis(200);
const REOPEN_AFTER: Duration = Duration::from_millis(50);
