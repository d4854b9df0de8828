//! Continuous load through one URL, and what became of every call.
//!
//! Linearizable gets, serializable gets and puts, each kind over a connection of its own and with closed-loop workers
//! of its own. The load runs on its own thread, so that a test may block beside it.
//!
//! No call has a deadline: how long it may hang is the promise under test, and a deadline would hide that it was
//! broken. After [`PATIENCE`](super::grpc::PATIENCE) the fixture gives up, which counts as a failure.

mod audit;
mod report;

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb as pb;
use tokio::runtime;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::grpc::{Channel, Status};

pub(crate) use audit::audit;
pub(crate) use report::{Class, Fate, Report};

use report::{Call, Write};

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
    stop: AtomicBool,
    records: Mutex<Records>,
}

#[derive(Default)]
struct Records {
    calls: Vec<Call>,
    writes: Vec<Write>,
    /// The place of the last acked write, which a linearizable read that starts later must show.
    acked: Option<usize>,
}

/// A connection that its workers share and that is made again when it broke.
struct Line {
    url: String,
    channel: tokio::sync::Mutex<Option<Channel>>,
}

impl Load {
    /// Returns when calls of every class have succeeded.
    pub(crate) fn start(url: &str) -> Self {
        let shared = Arc::new(Shared {
            url: url.to_owned(),
            prefix: format!("load/{:016x}/", fastrand::u64(..)),
            stop: AtomicBool::new(false),
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
        let Records { calls, writes, acked: _ } = mem::take(&mut *self.shared.records());
        Report { started: self.started, stopped, prefix: self.shared.prefix.clone(), calls, writes }
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
    let mut workers = JoinSet::new();
    for class in Class::ALL {
        let line = Arc::new(Line { url: shared.url.clone(), channel: tokio::sync::Mutex::default() });
        for worker in 0..WORKERS {
            workers.spawn(work(class, worker, line.clone(), shared.clone()));
        }
    }
    while let Some(ended) = workers.join_next().await {
        ended.expect("a worker does not panic");
    }
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
        let failure = line.call::<_, pb::PutResponse>(PUT, &request).await.err();
        let fate = failure.as_ref().map_or(Fate::Acked, Fate::of);
        self.note(Class::Put, started, failure);
        let mut records = self.records();
        records.writes.push(Write { key, value, fate });
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
    async fn call<Req, Resp>(&self, path: &str, request: &Req) -> Result<Resp, Status>
    where
        Req: prost::Message,
        Resp: prost::Message + Default,
    {
        let channel = self.channel().await?;
        let result = channel.call(path, request).await;
        if matches!(&result, Err(Status { code: None, .. })) {
            *self.channel.lock().await = None;
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
