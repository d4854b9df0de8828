//! Watchers that do whatever watchers may do, while others write, compact and restart the member: each is shown what
//! etcd's own history says that a watch of its own would have shown it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;
use etcdlet::proto::mvccpb::Event;
use futures_util::future::try_join_all;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::client::{Client, Seen, Watch, claim, key, modified, prefix, revision};
use super::long;
use super::mark::Mark;
use crate::support::etcd::Etcd;
use crate::support::grpc::PATIENCE;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn watchers_of_all_kinds_see_the_history_of_etcd() {
    against(Etcd::start(), false).await;
}

/// Each watch at a member is lost several times; those who watch do not notice.
#[tokio::test]
async fn watchers_of_all_kinds_see_the_history_of_a_member_that_restarts() {
    against(Etcd::start(), true).await;
}

async fn against(mut etcd: Etcd, restarts: bool) {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    fastrand::seed(seed);
    let sidecar = Sidecar::start(&etcd.endpoints());
    let writer = Client::connect(&sidecar.url(), PATIENCE).await;
    let (told, written) = watch::channel(Written::default());
    let lanes = try_join_all((0..LANES).map(async |_| {
        let client = Client::connect(&sidecar.url(), PATIENCE).await;
        Lane::new(&client, written.clone()).await.run().await
    }));
    let writes = async {
        let mut history = History::of(&etcd).await;
        let steps = if long() { 10 * STEPS } else { STEPS };
        for step in 1..=steps {
            write(&writer, &told).await;
            if step % 10 == 0 {
                // Often, so that no compaction overtakes it.
                history.read(&told).await?;
            }
            if restarts && step % (steps / 3) == 0 {
                etcd.kill();
                etcd.restart();
                history = history.again(&etcd).await;
            }
        }
        told.send_modify(|written| written.done = true);
        history.read(&told).await?;
        Ok::<_, String>(history)
    };
    let (history, lanes) = tokio::join!(writes, lanes);
    let history = history.expect("etcd tells its history");
    let mut counts = BTreeMap::<&str, usize>::new();
    for shown in lanes.expect("no promise is broken").into_iter().flatten() {
        *counts.entry(shown.fate(&history.events).expect("it is etcd's history")).or_default() += 1;
    }
    println!("{} events, {} revisions: {counts:?}", history.events.len(), told.borrow().last);
    for fate in ["canceled", "followed to the end", "left"] {
        assert!(counts.contains_key(fate), "nobody was {fate}: {counts:?}");
    }
    assert!(!sidecar.log().contains("panic"), "{}", sidecar.log());
}

/// What the writer has done.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    last: i64,
    compacted: i64,
    done: bool,
}

/// One call; those that a restart of the member loses are not missed.
async fn write(writer: &Client, told: &watch::Sender<Written>) {
    let Written { last, compacted, .. } = *told.borrow();
    let some_key = || KEYS[fastrand::usize(..KEYS.len())].to_owned();
    let outcome = match fastrand::u8(..20) {
        0 if last > compacted + 40 => {
            let revision = fastrand::i64(compacted + 1..last - 20);
            let outcome = writer.compact(revision).await;
            if outcome.is_ok() {
                told.send_modify(|written| written.compacted = revision);
            }
            outcome.map(|()| last)
        }
        0..4 => writer.delete(&some_key()).await,
        4..8 => {
            let mut keys: Vec<String> = (0..fastrand::usize(2..6)).map(|_| some_key()).collect();
            keys.sort();
            keys.dedup();
            writer.put_all(&keys, vec![b'x'; fastrand::usize(..2_000)]).await
        }
        _ => writer.put(&some_key(), vec![b'x'; fastrand::usize(..200)]).await,
    };
    match outcome {
        Ok(revision) => told.send_modify(|written| written.last = revision.max(written.last)),
        Err(_lost) => sleep(Duration::from_millis(20)).await,
    }
    if fastrand::u8(..4) == 0 {
        sleep(Duration::from_millis(fastrand::u64(..8))).await;
    }
}

/// All that has happened, as etcd itself tells it.
struct History {
    watch: Watch,
    client: Client,
    events: Vec<Event>,
}

impl History {
    async fn of(etcd: &Etcd) -> Self {
        let client = Client::connect(&etcd.endpoint(), PATIENCE).await;
        let watch = Self::watch(&client, 1).await;
        Self { watch, client, events: Vec::new() }
    }

    /// Goes on at a member that was restarted.
    async fn again(self, etcd: &Etcd) -> Self {
        let client = Client::connect(&etcd.endpoint(), PATIENCE).await;
        let next = self.events.last().map_or(1, |event| modified(event) + 1);
        Self { watch: Self::watch(&client, next).await, client, events: self.events }
    }

    async fn watch(client: &Client, start_revision: i64) -> Watch {
        let mut watch = client.watch().await;
        let all = pb::WatchCreateRequest { range_end: "\0".into(), ..key("\0") };
        let request = pb::WatchCreateRequest { start_revision, prev_kv: true, ..all };
        watch.created(request).await.expect("etcd creates it");
        watch
    }

    /// Reads on to the present.
    async fn read(&mut self, told: &watch::Sender<Written>) -> Seen<()> {
        let range = pb::RangeRequest { key: "a".into(), ..Default::default() };
        let present: pb::RangeResponse = self.client.call("/etcdserverpb.KV/Range", &range).await?;
        let last = revision(present.header.as_ref());
        while self.events.last().map_or(1, modified) < last {
            self.events.extend(self.watch.next().await?.events);
        }
        told.send_modify(|written| written.last = last);
        Ok(())
    }
}

/// A client with one stream after the other, each with some watchers.
struct Lane {
    client: Client,
    watch: Watch,
    written: watch::Receiver<Written>,
    /// Asked for, and not yet created.
    creating: VecDeque<pb::WatchCreateRequest>,
    watchers: BTreeMap<i64, Shown>,
    /// Ids that a compaction has canceled: etcd keeps them until their client cancels them too.
    compacted: BTreeSet<i64>,
    over: Vec<Shown>,
}

/// What a watcher was shown.
struct Shown {
    request: pb::WatchCreateRequest,
    /// The first revision that concerns it.
    start: i64,
    events: Vec<Mark>,
    /// All up to here was shown, as progress says.
    floor: i64,
    /// More of this revision is to come.
    in_fragments: bool,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Canceled,
    Compacted { at: i64 },
    Left,
    Open,
}

impl Lane {
    async fn new(client: &Client, written: watch::Receiver<Written>) -> Self {
        let (creating, watchers, compacted, over) = Default::default();
        Self {
            client: client.clone(),
            watch: client.watch().await,
            written,
            creating,
            watchers,
            compacted,
            over,
        }
    }

    async fn run(mut self) -> Seen<Vec<Shown>> {
        while !self.written.borrow().done {
            match fastrand::u8(..20) {
                0..6 if self.watchers.len() < WATCHERS_MAX => self.create(),
                6..8 => {
                    let live: Vec<i64> = self.watchers.keys().copied().collect();
                    if let Some(id) = fastrand::choice(live) {
                        self.watch.cancel(id);
                    }
                }
                8 if fastrand::bool() => {
                    self.leave();
                    self.watch = self.client.watch().await;
                }
                9 => self.watch.request_progress(),
                10 => sleep(Duration::from_millis(fastrand::u64(..60))).await,
                _ => self.read_for(Duration::from_millis(fastrand::u64(..20))).await?,
            }
        }
        // To the end, which is known when the writer has read it.
        let deadline = Instant::now() + 3 * PATIENCE;
        loop {
            self.read_for(Duration::from_millis(300)).await?;
            self.watch.request_progress();
            let last = self.written.borrow().last;
            let is_ahead = |shown: &Shown| shown.start > last;
            if self.creating.is_empty() && self.watchers.values().all(|shown| shown.floor >= last) {
                break;
            }
            if self.watchers.values().any(is_ahead) {
                // Progress is not told before such a watcher has begun.
                self.read_for(Duration::from_secs(2)).await?;
                break;
            }
            claim(Instant::now() < deadline, || format!("no progress to {last}"))?;
        }
        self.over.extend(std::mem::take(&mut self.watchers).into_values());
        Ok(self.over)
    }

    fn create(&mut self) {
        let Written { last, compacted, .. } = *self.written.borrow();
        let range = match fastrand::u8(..4) {
            0 => key(KEYS[fastrand::usize(..KEYS.len())]),
            1 => prefix(["a", "a/b", "b/"][fastrand::usize(..3)]),
            2 => pb::WatchCreateRequest { range_end: "b/2".into(), ..key("a/b/1") },
            _ => pb::WatchCreateRequest { range_end: "\0".into(), ..key("\0") },
        };
        let start_revision = match fastrand::u8(..6) {
            0..3 => 0,
            3 => fastrand::i64(1..=last.max(1)),
            4 => (compacted + fastrand::i64(-30..10)).max(1),
            _ => last + fastrand::i64(0..30),
        };
        let filters = if fastrand::u8(..5) == 0 { vec![fastrand::i32(0..2)] } else { Vec::new() };
        let request = pb::WatchCreateRequest {
            start_revision,
            filters,
            prev_kv: fastrand::u8(..3) == 0,
            fragment: fastrand::bool(),
            progress_notify: fastrand::bool(),
            ..range
        };
        self.watch.create(request.clone());
        self.creating.push_back(request);
    }

    fn leave(&mut self) {
        for (_, shown) in std::mem::take(&mut self.watchers) {
            self.over.push(Shown { end: End::Left, ..shown });
        }
        self.creating.clear();
        self.compacted.clear();
    }

    async fn read_for(&mut self, limit: Duration) -> Seen<()> {
        let deadline = Instant::now() + limit;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            if let Some(response) = self.watch.next_within(left).await? {
                self.note(&response)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, response: &pb::WatchResponse) -> Seen<()> {
        let header = revision(response.header.as_ref());
        if response.created {
            let request = self.creating.pop_front().ok_or("created and not asked for")?;
            claim(!response.canceled, || format!("not created: {response:?}"))?;
            let start = if request.start_revision > 0 { request.start_revision } else { header + 1 };
            let shown =
                Shown { request, start, events: Vec::new(), floor: 0, in_fragments: false, end: End::Open };
            let other = self.watchers.insert(response.watch_id, shown);
            return claim(other.is_none(), || format!("its id is not free: {response:?}"));
        }
        if response.watch_id == -1 {
            for shown in self.watchers.values_mut() {
                claim(header >= shown.floor, || format!("progress goes back to {header}: {shown}"))?;
                shown.floor = header;
            }
            return Ok(());
        }
        if response.canceled && response.compact_revision == 0 && self.compacted.remove(&response.watch_id) {
            return Ok(());
        }
        let Some(shown) = self.watchers.get_mut(&response.watch_id) else {
            return Err(format!("for nobody: {response:?}"));
        };
        if response.canceled {
            let at = response.compact_revision;
            if at > 0 {
                self.compacted.insert(response.watch_id);
            }
            let end = if at > 0 { End::Compacted { at } } else { End::Canceled };
            let shown = self.watchers.remove(&response.watch_id).expect("it is there");
            self.over.push(Shown { end, ..shown });
            return Ok(());
        }
        let first = response.events.first().map_or(i64::MAX, modified);
        let last = shown.events.last().map_or(0, |mark| mark.revision);
        let whole = first > last || shown.in_fragments && first == last;
        claim(whole, || format!("a revision in pieces, behind {last}: {response:?}"))?;
        claim(first > shown.floor, || format!("behind progress to {}: {response:?}", shown.floor))?;
        let fragment = response.fragment;
        claim(!fragment || shown.request.fragment, || format!("not asked for fragments: {response:?}"))?;
        shown.in_fragments = fragment;
        if response.events.is_empty() {
            shown.floor = header;
        }
        shown.events.extend(response.events.iter().map(Mark::of));
        Ok(())
    }
}

impl Shown {
    /// How it ended, if all it was shown is what it should have been.
    fn fate(&self, history: &[Event]) -> Seen<&'static str> {
        let mut expected = history.iter().filter(|event| self.concerns(event));
        for (number, mark) in self.events.iter().enumerate() {
            let due = expected.next();
            let same = due.map(Mark::of).is_some_and(|due| {
                // What was before may have been compacted.
                let prev_is_due =
                    mark.prev_kv.is_none() || self.request.prev_kv && mark.prev_kv == due.prev_kv;
                mark.event == due.event && prev_is_due
            });
            claim(same, || format!("event {number} of {self} is {mark:?} and not {due:?}"))?;
        }
        let next = expected.next();
        match self.end {
            End::Canceled => Ok("canceled"),
            End::Compacted { at } => {
                let position = self.events.last().map_or(self.start, |mark| mark.revision + 1);
                claim(position < at, || format!("compacted at {at}, although it has all: {self}"))?;
                Ok("compacted")
            }
            End::Left => Ok("left"),
            End::Open => {
                claim(next.is_none(), || format!("never shown to {self}: {next:?}"))?;
                Ok("followed to the end")
            }
        }
    }

    fn concerns(&self, event: &Event) -> bool {
        let (from, to) = (&self.request.key, &self.request.range_end);
        let key = &event.kv.as_ref().expect("an event has a key").key;
        let is_within = match to.as_ref() {
            b"" => key == from,
            b"\0" => key >= from,
            _ => key >= from && key < to,
        };
        // `FilterType` is `NOPUT` and `NODELETE`, `EventType` is `PUT` and `DELETE`.
        modified(event) >= self.start && is_within && !self.request.filters.contains(&event.r#type)
    }
}

impl std::fmt::Display for Shown {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let last = self.events.last().map(|mark| mark.revision);
        write!(formatter, "{:?} from {}, last shown {last:?}, {:?}", self.request, self.start, self.end)
    }
}

const KEYS: [&str; 9] = ["a", "a/a", "a/b", "a/b/1", "a/b/2", "b", "b/1", "b/2", "c"];
const LANES: usize = 10;
const WATCHERS_MAX: usize = 8;
const STEPS: usize = 1_500;
