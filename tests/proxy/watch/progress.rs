//! Progress on request, on which consistent lists from a cache stand: all that a stream's watchers are to see up to a
//! revision, they have seen.

use std::collections::BTreeMap;
use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;
use futures_util::future::try_join_all;
use tokio::time::{Instant, interval, sleep};

use super::client::{Client, NOTHING, Seen, Watch, claim, key, modified, prefix, revision};
use super::subject::{Mirror, as_etcd, unlike_grpc_proxy};
use crate::support::etcd::{Cluster, Options};
use crate::support::grpc::PATIENCE;
use crate::support::sidecar::Sidecar;

/// W5.
#[tokio::test]
async fn progress_is_told_on_request() {
    unlike_grpc_proxy(NOTHING, async |subject| {
        let client = subject.client().await;
        let mut watch = client.watch().await;
        for name in ["a", "b", "c"] {
            watch.created(key(subject.key(name))).await?;
        }
        let mut last = 0;
        for _ in 0..10 {
            let put = client.put(&subject.key("a"), "1").await?;
            let elsewhere = client.put(&subject.key("elsewhere"), "1").await?;
            watch.request_progress();
            let mut response = watch.next().await?;
            while response.watch_id == -1 {
                // Asked for before the put, or on the way when the event came.
                let early = revision(response.header.as_ref()) < put;
                claim(early, || format!("progress overtakes the event of {put}: {response:?}"))?;
                response = watch.next().await?;
            }
            let shown = response.events.iter().map(modified).eq([put]);
            claim(shown, || format!("not the event of revision {put}: {response:?}"))?;
            let reached = progress(&mut watch, elsewhere).await?;
            claim(reached >= last, || format!("{reached} behind {last}"))?;
            last = reached;
        }
        Ok(())
    })
    .await;
}

/// Asks every 100 ms, as kube-apiserver does, until the answer is at least `wanted`.
async fn progress(watch: &mut Watch, wanted: i64) -> Seen<i64> {
    let deadline = Instant::now() + watch.patience;
    while Instant::now() < deadline {
        watch.request_progress();
        while let Some(response) = watch.next_within(ASK_EVERY).await? {
            let bare = response.events.is_empty() && !response.created && !response.canceled;
            claim(bare && response.watch_id == -1, || format!("no progress: {response:?}"))?;
            let reached = revision(response.header.as_ref());
            if reached >= wanted {
                return Ok(reached);
            }
        }
    }
    Err(NOTHING.into())
}

#[tokio::test]
async fn progress_is_not_told_where_nobody_watches_or_who_watches_is_not_there_yet() {
    let mut mirror = Mirror::start().await;
    mirror.both(Watch::request_progress);
    mirror.is_silent().await;
    let now = mirror.writer.put("p", "1").await.expect("a put succeeds");
    mirror.create(&key("p"));
    mirror.create(&pb::WatchCreateRequest { start_revision: now + 2, ..key("p") });
    mirror.next().await;
    mirror.next().await;
    mirror.both(Watch::request_progress);
    mirror.is_silent().await;
    mirror.both(|watch| watch.cancel(1));
    assert!(mirror.next().await.canceled);
    for watch in [&mut mirror.direct, &mut mirror.through] {
        assert_eq!(progress(watch, now).await, Ok(now));
    }
    mirror.both(|watch| watch.cancel(0));
    mirror.both(Watch::request_progress);
    for watch in [&mut mirror.direct, &mut mirror.through] {
        // What was asked for before may still be on its way.
        while !watch.next().await.expect("it goes on").canceled {}
    }
    mirror.is_silent().await;
}

/// Watchers that are far behind: not before they have caught up, and behind their events.
#[tokio::test]
async fn progress_waits_for_those_that_catch_up() {
    as_etcd(async |subject| {
        let client = subject.client().await;
        let written = client.fill(&subject.key("b/"), 3_000, 1, 64).await?;
        let last = written.last().expect("there are some").0;
        let mut watch = client.watch().await;
        watch.created(key(subject.key("live"))).await?;
        let past = pb::WatchCreateRequest { start_revision: written[0].0, ..prefix(&subject.key("b/")) };
        watch.create(past);
        let (mut seen, mut reached) = (0, 0);
        while reached < last {
            watch.request_progress();
            while let Some(response) = watch.next_within(ASK_EVERY).await? {
                seen += response.events.len();
                let created = response.created && response.watch_id == 1 && seen == 0;
                if response.watch_id == -1 {
                    reached = revision(response.header.as_ref());
                    // Asked for before the second watcher was there.
                    let early = seen == 0 && reached == last;
                    claim(seen == written.len() || early, || format!("{reached} after {seen} events"))?;
                } else {
                    claim(created || !response.events.is_empty(), || format!("{response:?}"))?;
                }
            }
        }
        while seen < written.len() {
            seen += watch.next().await?.events.len();
        }
        claim(seen == written.len(), || format!("{seen} events of {}", written.len()))
    })
    .await;
}

/// What kube-apiserver does: a stream has watchers of many ranges that ask for progress, it asks on the stream every
/// 100 ms while somebody lists, and it lists as of a revision that it knows.
#[tokio::test]
async fn progress_reaches_every_put_soon_and_overtakes_no_event() {
    let members = Options::default().flag("--experimental-watch-progress-notify-interval=500ms");
    let cluster = members.start_cluster(3);
    as_kubernetes(&cluster).await.expect("no promise is broken");
}

async fn as_kubernetes(cluster: &Cluster) -> Seen<()> {
    let sidecar = Sidecar::start(&cluster.endpoints());
    let writer = Client::connect(&sidecar.url(), PATIENCE).await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let client = Client::connect(&sidecar.url(), PATIENCE).await;
        let mut watch = client.watch_with(&[("hasleader", "true")]).await;
        for resource in 0..RESOURCES {
            let request = pb::WatchCreateRequest {
                progress_notify: true,
                prev_kv: true,
                ..prefix(&format!("registry/{resource}/"))
            };
            watch.created(request).await?;
        }
        streams.push(watch);
    }
    let writes = async {
        let mut acked = Vec::new();
        for number in 0..PUTS {
            let key = format!("registry/{}/{}", number % RESOURCES, number % 7);
            let revision = writer.put(&key, vec![b'x'; 300]).await?;
            acked.push((revision, Instant::now()));
            sleep(Duration::from_millis(5)).await;
        }
        Ok::<_, String>(acked)
    };
    let (written, followed) =
        tokio::join!(writes, try_join_all(streams.iter_mut().map(|watch| Follower::default().follow(watch))));
    let (acked, followers) = (written?, followed?);
    let mut worst = Duration::ZERO;
    for follower in &followers {
        for (revision, at) in &acked {
            let reached = follower.reached.range(revision..).map(|(_, reached)| *reached).min();
            let reached = reached.ok_or("progress that was never told")?;
            worst = worst.max(reached.saturating_duration_since(*at));
        }
    }
    println!(
        "{} puts, each reached by the progress of {STREAMS} streams after {worst:.3?} at most",
        acked.len()
    );
    claim(worst <= REACHED_WITHIN, || format!("a put was reached only after {worst:?}"))?;
    claim(!sidecar.log().contains("panic"), || sidecar.log())
}

/// What one stream has shown.
#[derive(Default)]
struct Follower {
    events: usize,
    /// All up to this revision has been shown on the stream.
    floor: i64,
    /// The last revision that each watcher showed, or was told to have seen.
    positions: BTreeMap<i64, i64>,
    /// When progress on request first told each revision.
    reached: BTreeMap<i64, Instant>,
}

impl Follower {
    /// Until all puts have been shown, and progress has reached the last of them.
    async fn follow(mut self, watch: &mut Watch) -> Seen<Self> {
        let (mut ticks, deadline) = (interval(ASK_EVERY), Instant::now() + 3 * PATIENCE);
        let mut last = 0;
        while self.events < PUTS || self.floor < last {
            claim(Instant::now() < deadline, || format!("{} events, progress {}", self.events, self.floor))?;
            tokio::select! {
                _ = ticks.tick() => watch.request_progress(),
                response = watch.next() => last = last.max(self.note(&response?)?),
            }
        }
        claim(self.events == PUTS, || format!("{} events of {PUTS}", self.events))?;
        Ok(self)
    }

    /// The last revision in it.
    fn note(&mut self, response: &pb::WatchResponse) -> Seen<i64> {
        claim(!response.canceled && !response.created, || format!("{response:?}"))?;
        let header = revision(response.header.as_ref());
        if response.watch_id == -1 {
            let seen = self.positions.values().copied().max().unwrap_or(0).max(self.floor);
            claim(header >= seen, || format!("progress of the stream goes back from {seen}: {response:?}"))?;
            self.floor = header;
            self.reached.entry(header).or_insert_with(Instant::now);
            return Ok(header);
        }
        let position = self.positions.entry(response.watch_id).or_default();
        for event in &response.events {
            let revision = modified(event);
            let after = revision > self.floor && revision > *position;
            claim(after, || format!("behind {} and {position}: {event:?}", self.floor))?;
            *position = revision;
        }
        if response.events.is_empty() {
            claim(header >= *position, || format!("progress goes back from {position}: {response:?}"))?;
            *position = header;
        }
        self.events += response.events.len();
        Ok(*position)
    }
}

const ASK_EVERY: Duration = Duration::from_millis(100);
const REACHED_WITHIN: Duration = Duration::from_secs(2);
const STREAMS: usize = 10;
const RESOURCES: usize = 12;
const PUTS: usize = 500;
