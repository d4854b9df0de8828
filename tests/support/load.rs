//! Continuous load through one URL, and what became of every call.
//!
//! Linearizable gets, serializable gets and puts, each kind over a connection of its own and with closed-loop workers
//! of its own; and, where a test wants them, watchers of all that is put and leases that are kept alive. The load runs
//! on its own thread, so that a test may block beside it.
//!
//! No call has a deadline: how long it may hang is the promise under test, and a deadline would hide that it was
//! broken. After [`PATIENCE`](super::grpc::PATIENCE) the fixture gives up, which counts as a failure.

mod audit;
mod keep_alive;
mod report;
mod watch;

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb as pb;
use tokio::runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::grpc::{Channel, Status};

pub(crate) use audit::audit;
pub(crate) use report::{Class, Fate, Report};

use keep_alive::Kept;
use report::{Call, Write};
use watch::Watched;

/// Running load, which ends when this is dropped.
pub(crate) struct Load {
    shared: Arc<Shared>,
    started: Instant,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    url: String,
    /// Under which this load has its keys to itself.
    prefix: String,
    streams: Streams,
    stop: AtomicBool,
    /// No more is written.
    written: AtomicBool,
    records: Mutex<Records>,
}

/// How many of each there are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Streams {
    pub(crate) watches: usize,
    pub(crate) keep_alives: usize,
}

#[derive(Default)]
struct Records {
    calls: Vec<Call>,
    writes: Vec<Write>,
    /// The place of the last acked write, which a linearizable read that starts later must show.
    acked: Option<usize>,
    /// The highest revision of an acked write.
    acked_revision: i64,
    watched: Vec<Watched>,
    kept: Vec<Kept>,
}

/// A connection that its workers share and that is made again when it broke.
struct Line {
    url: String,
    channel: tokio::sync::Mutex<Option<Channel>>,
}

impl Load {
    /// Returns when calls of every class have succeeded.
    pub(crate) fn start(url: &str) -> Self {
        Self::with_streams(url, Streams::default())
    }

    /// The same, when all the streams are there too; the watchers before anything is written.
    pub(crate) fn with_streams(url: &str, streams: Streams) -> Self {
        let shared = Arc::new(Shared {
            url: url.to_owned(),
            prefix: format!("load/{:016x}/", fastrand::u64(..)),
            streams,
            stop: AtomicBool::new(false),
            written: AtomicBool::new(false),
            records: Mutex::default(),
        });
        let running = shared.clone();
        let thread = thread::spawn(move || {
            runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be built")
                .block_on(run(running));
        });
        let load = Self { shared, started: Instant::now(), thread: Some(thread) };
        load.wait_flowing();
        load
    }

    /// Lets the calls under way end.
    pub(crate) fn stop(mut self) -> Report {
        let stopped = Instant::now();
        self.shared.stop.store(true, Ordering::SeqCst);
        let thread = self.thread.take().expect("only this takes it");
        thread.join().expect("the load does not panic");
        let Records { calls, writes, acked: _, acked_revision: _, watched, kept } =
            mem::take(&mut *self.shared.records());
        let (started, prefix) = (self.started, self.shared.prefix.clone());
        Report { started, stopped, prefix, calls, writes, watched, kept }
    }

    fn wait_flowing(&self) {
        let deadline = Instant::now() + FLOWING_LIMIT;
        let flows = |class| {
            self.shared.records().calls.iter().any(|call| call.class == class && call.failure.is_none())
        };
        while !Class::ALL.into_iter().all(flows) {
            if Instant::now() >= deadline {
                let calls = mem::take(&mut self.shared.records().calls);
                panic!("not every class of call succeeds: {:?}", calls.last());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }
}

async fn run(shared: Arc<Shared>) {
    let (mut watchers, mut keepers) = (JoinSet::new(), JoinSet::new());
    let Streams { watches, keep_alives } = shared.streams;
    let (ready, mut arrivals) = mpsc::channel(watches + keep_alives + 1);
    for _ in 0..watches {
        watchers.spawn(watch::watch(Line::new(&shared.url), shared.clone(), ready.clone()));
    }
    for _ in 0..keep_alives {
        keepers.spawn(keep_alive::keep(Line::new(&shared.url), shared.clone(), ready.clone()));
    }
    drop(ready);
    while arrivals.recv().await.is_some() {}
    let mut workers = JoinSet::new();
    for class in Class::ALL {
        let line = Line::new(&shared.url);
        for worker in 0..WORKERS {
            workers.spawn(work(class, worker, line.clone(), shared.clone()));
        }
    }
    while let Some(ended) = workers.join_next().await {
        ended.expect("a worker does not panic");
    }
    shared.written.store(true, Ordering::SeqCst);
    let (watched, kept) = (watchers.join_all().await, keepers.join_all().await);
    let mut records = shared.records();
    (records.watched, records.kept) = (watched, kept);
}

/// A put that failed is never repeated: the worker goes on with the next key.
async fn work(class: Class, worker: usize, line: Arc<Line>, shared: Arc<Shared>) {
    for number in 0.. {
        if shared.stop.load(Ordering::SeqCst) {
            return;
        }
        match class {
            Class::Linearizable => shared.read_what_was_acked(&line).await,
            Class::Put => shared.put(&line, format!("{}{worker}/{number:06}", shared.prefix)).await,
            Class::Serializable => shared.read_anything(&line).await,
        }
        sleep(PAUSE).await;
    }
}

impl Shared {
    async fn read_what_was_acked(&self, line: &Line) {
        let acked = {
            let records = self.records();
            records
                .acked
                .map(|index| (records.writes[index].key.clone(), records.writes[index].value.clone()))
        };
        let (key, value) = acked.map_or(("none".to_owned(), None), |(key, value)| (key, Some(value)));
        let request = pb::RangeRequest { key: key.clone().into(), ..Default::default() };
        let started = Instant::now();
        let failure = match line.call::<_, pb::RangeResponse>(RANGE, &request).await {
            Err(status) => Some(status),
            Ok(response) => {
                let found = response.kvs.first().map(|kv| kv.value.clone());
                let fresh = found.as_deref() == value.as_ref().map(String::as_bytes);
                (!fresh).then(|| Status { code: None, message: "stale: an acked write is missing".into() })
            }
        };
        self.note(Class::Linearizable, started, failure);
    }

    async fn read_anything(&self, line: &Line) {
        let request = pb::RangeRequest { key: "any".into(), serializable: true, ..Default::default() };
        let started = Instant::now();
        let failure = line.call::<_, pb::RangeResponse>(RANGE, &request).await.err();
        self.note(Class::Serializable, started, failure);
    }

    async fn put(&self, line: &Line, key: String) {
        let value = format!("{:016x}", fastrand::u64(..));
        let request =
            pb::PutRequest { key: key.clone().into(), value: value.clone().into(), ..Default::default() };
        let started = Instant::now();
        let result = line.call::<_, pb::PutResponse>(PUT, &request).await;
        let revision = result.as_ref().ok().and_then(|put| put.header.as_ref()).map_or(0, |it| it.revision);
        let failure = result.err();
        let fate = failure.as_ref().map_or(Fate::Acked, Fate::of);
        self.note(Class::Put, started, failure);
        let mut records = self.records();
        records.writes.push(Write { key, value, fate, revision, ended: Instant::now() });
        records.acked_revision = records.acked_revision.max(revision);
        if fate == Fate::Acked {
            records.acked = Some(records.writes.len() - 1);
        }
    }

    fn note(&self, class: Class, started: Instant, failure: Option<Status>) {
        let call = Call { class, started, ended: Instant::now(), failure };
        self.records().calls.push(call);
    }

    fn records(&self) -> std::sync::MutexGuard<'_, Records> {
        self.records.lock().expect("nothing panics under this lock")
    }
}

impl Line {
    fn new(url: &str) -> Arc<Self> {
        Arc::new(Self { url: url.to_owned(), channel: tokio::sync::Mutex::default() })
    }

    /// The next call makes another connection.
    async fn forget(&self) {
        *self.channel.lock().await = None;
    }

    async fn call<Req, Resp>(&self, path: &str, request: &Req) -> Result<Resp, Status>
    where
        Req: prost::Message,
        Resp: prost::Message + Default,
    {
        let channel = self.channel().await?;
        let result = channel.call(path, request).await;
        if matches!(&result, Err(Status { code: None, .. })) {
            self.forget().await;
        }
        result
    }

    async fn channel(&self) -> Result<Channel, Status> {
        let mut channel = self.channel.lock().await;
        if let Some(channel) = &*channel {
            return Ok(channel.clone());
        }
        let new = Channel::connect(&self.url)
            .await
            .map_err(|error| Status { code: None, message: format!("cannot connect: {error}") })?;
        Ok(channel.insert(new).clone())
    }
}

/// For each class, and therefore how many of its calls are ever in flight.
pub(crate) const WORKERS: usize = 4;
/// Leaves the members the processor: without it the load alone would cost them their leader.
const PAUSE: Duration = Duration::from_millis(10);
const FLOWING_LIMIT: Duration = Duration::from_secs(10);

pub(crate) const PUT: &str = "/etcdserverpb.KV/Put";
pub(crate) const RANGE: &str = "/etcdserverpb.KV/Range";
const WATCH: &str = "/etcdserverpb.Watch/Watch";
