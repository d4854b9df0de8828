//! A large answer that nobody reads holds up nobody else, and a large answer that somebody reads arrives whole.
//!
//! Calls that share a connection to the member share its flow-control window; a proxy with one such connection and
//! small windows stops for all its clients when a few of them stop reading.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;
use prost::Message;
use tokio::time::{Instant, sleep, timeout};

use crate::bad_input::length;
use crate::bad_input::subject::{
    KIB, MIB, PUT, RANGE, SNAPSHOT, Subject, assert_answered, assert_no_panic, long_range, settle,
    upstream_with_long_answers,
};
use crate::support::etcd::Etcd;
use crate::support::grpc::{Channel, PATIENCE, Stream};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Call, Upstream};

#[tokio::test]
async fn fifty_stalled_snapshots_do_not_slow_down_the_gets_of_others() {
    stalled_answers_are_nobody_elses_matter(SNAPSHOT, Vec::new(), MIB).await;
}

#[tokio::test]
async fn fifty_stalled_ranges_that_did_not_look_large_do_not_slow_down_the_gets_of_others() {
    stalled_answers_are_nobody_elses_matter(RANGE, long_range(), 256 * KIB).await;
}

async fn stalled_answers_are_nobody_elses_matter(path: &'static str, request: Vec<u8>, window: u64) {
    let handed = Arc::new(AtomicU64::new(0));
    let subject = Subject::before(upstream_of_100_mib(&handed)).await;
    let url = subject.sidecar.url();
    subject.forget_peak();
    // A quarter of the window goes to the buffers around it.
    let growth_max = STALLED as u64 * (window + window / 4 + 64 * KIB) + SLACK;
    // The allocator keeps some of what the clients before left behind; a leak would grow with every round.
    let later_growth_max = growth_max * 2;
    let first = Cell::new(true);
    let compare = Comparison { url: &url, path, request: &request, stalled: STALLED };
    let measured = compare.run(async || {
        stand_still(&handed).await;
        let each = handed.swap(0, Ordering::SeqCst) / STALLED as u64;
        // The client takes its window, the sidecar its own; on the way is one frame of each.
        let allowed = CLIENT_WINDOW + window + 2 * FRAME;
        println!(
            "{path}: {} KiB handed out for each stalled client, allowed are {} KiB",
            each >> 10,
            allowed >> 10
        );
        assert!(
            each <= allowed,
            "{path}: the member handed out {each} bytes a client, allowed are {allowed}"
        );
        subject.assert_growth(path, if first.replace(false) { growth_max } else { later_growth_max });
    });
    measured.await;
    settle(&subject.sidecar, path, 0).await;
    // Whoever does read a large answer is not held up either.
    let stalled = compare.stall().await;
    stand_still(&handed).await;
    let answered = timeout(PATIENCE / 4, read_100_mib(&subject.channel().await, path, &request)).await;
    println!(
        "{path}: 100 MiB beside {STALLED} stalled clients in {:?}",
        answered.expect("a reader is not held up")
    );
    drop(stalled);
    subject.assert_well(path, 0, later_growth_max).await;
}

#[tokio::test]
async fn eight_stalled_readers_of_a_real_etcd_do_not_slow_down_the_gets_of_others() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    let url = sidecar.url();
    let channel = Channel::connect(&url).await.expect("the sidecar accepts");
    for key in 0..100 {
        let put = pb::PutRequest {
            key: format!("large/{key}").into(),
            value: vec![key; 200_000].into(),
            ..Default::default()
        };
        let _: pb::PutResponse = channel.call(PUT, &put).await.expect("a put succeeds");
    }
    let all = pb::RangeRequest { key: "large/".into(), range_end: "large0".into(), ..Default::default() };
    // A transaction does not say how long its answer gets.
    let txn = pb::TxnRequest {
        success: vec![pb::RequestOp { request: Some(pb::request_op::Request::RequestRange(all.clone())) }],
        ..Default::default()
    };
    let before = sidecar.rss_bytes();
    for (path, request) in
        [(RANGE, all.encode_to_vec()), ("/etcdserverpb.KV/Txn", txn.encode_to_vec()), (SNAPSHOT, Vec::new())]
    {
        let compare = Comparison { url: &url, path, request: &request, stalled: 8 };
        compare.run(async || sleep(Duration::from_millis(300)).await).await;
        let growth = sidecar.rss_bytes().saturating_sub(before);
        println!("{path}: memory grew by {} KiB", growth >> 10);
        assert!(growth <= 8 * (MIB + 320 * KIB) + SLACK, "{path}: memory grew by {growth} bytes");
    }
    assert_no_panic(&sidecar, "stalled readers");
}

#[tokio::test]
async fn an_answer_of_100_mib_arrives_whole_in_little_memory() {
    let handed = Arc::new(AtomicU64::new(0));
    let subject = Subject::before(upstream_of_100_mib(&handed)).await;
    let channel = subject.channel().await;
    for (path, request) in [(RANGE, long_range()), (SNAPSHOT, Vec::new())] {
        subject.forget_peak();
        println!("{path}: 100 MiB in {:?}", read_100_mib(&channel, path, &request).await);
        subject.assert_growth(path, 40 * MIB);
    }
    drop(channel);
    subject.assert_well("100 MiB", 0, 40 * MIB).await;
}

/// The gets of some clients while nobody stalls and while others do, in turns.
struct Comparison<'a> {
    url: &'a str,
    path: &'static str,
    request: &'a [u8],
    stalled: usize,
}

impl Comparison<'_> {
    /// `when_stalled` waits until the stalled clients have come to a stand, and checks what holds then.
    async fn run(&self, when_stalled: impl AsyncFn()) {
        // What others do on the machine slows some phases down; a stalled client that holds up others does so in
        // every phase. Hence the quieter half of the phases counts, and a disturbed comparison is made again.
        for attempt in 1..=ATTEMPTS {
            let (mut free, mut beside) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS * length() {
                free.push(p99_of_gets(self.url).await);
                let stalled = self.stall().await;
                when_stalled().await;
                beside.push(p99_of_gets(self.url).await);
                drop(stalled);
            }
            let quiet = median_of_quieter_half(&mut free);
            let stalled = median_of_quieter_half(&mut beside);
            println!(
                "{}: p99 {quiet:?} ({free:?}), beside stalled clients {stalled:?} ({beside:?})",
                self.path
            );
            if stalled <= quiet.mul_f64(1.5) + NOISE {
                return;
            }
            println!("{}: attempt {attempt} of {ATTEMPTS} failed", self.path);
        }
        panic!("{}: the gets beside stalled clients are slower", self.path);
    }

    /// Clients that ask and do not read the answer: its bytes stay in their windows.
    async fn stall(&self) -> Vec<(Channel, Stream)> {
        let mut stalled = Vec::new();
        for _ in 0..self.stalled {
            let channel = Channel::connect(self.url).await.expect("the sidecar accepts");
            let mut stream = open(&channel, self.path, self.request).await;
            assert!(stream.headers(PATIENCE).await.is_some(), "{}: no headers", self.path);
            stalled.push((channel, stream));
        }
        stalled
    }
}

/// Of 2,000 gets over four connections, one at a time on each.
async fn p99_of_gets(url: &str) -> Duration {
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let url = url.to_owned();
            tokio::spawn(async move {
                let channel = Channel::connect(&url).await.expect("the sidecar accepts");
                let mut times = Vec::with_capacity(GETS);
                // The first calls pay for what is made once.
                for call in 0..GETS + GETS / 10 {
                    let started = Instant::now();
                    assert_answered(&channel, "a get").await;
                    if call >= GETS / 10 {
                        times.push(started.elapsed());
                    }
                }
                times
            })
        })
        .collect();
    let mut times = Vec::with_capacity(CONNECTIONS * GETS);
    for client in clients {
        times.extend(client.await.expect("every get is answered"));
    }
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// Reads a large answer, proves it right byte by byte, and says how long it was on its way.
async fn read_100_mib(channel: &Channel, path: &str, request: &[u8]) -> Duration {
    let started = Instant::now();
    let answer = open(channel, path, request).await.answer(PATIENCE).await;
    let time = started.elapsed();
    let [message] = answer.messages.as_slice() else {
        panic!("{path}: not one message, and then {:?}", answer.end)
    };
    assert_eq!(answer.status().code, Some(0), "{path}");
    assert_eq!(message.bytes.len() as u64, LARGE, "{path}");
    let pattern = pattern();
    for (index, chunk) in message.bytes.chunks(pattern.len()).enumerate() {
        assert!(chunk == &pattern[..chunk.len()], "{path}: differs behind byte {}", index * pattern.len());
    }
    time
}

async fn open(channel: &Channel, path: &str, request: &[u8]) -> Stream {
    let mut stream = channel.stream(path, HeaderMap::new()).await.expect("a stream opens");
    stream.send(request);
    stream.half_close();
    stream
}

/// A member whose long answers are one message of 100 MiB, handed out as the windows allow and counted.
fn upstream_of_100_mib(handed: &Arc<AtomicU64>) -> Upstream {
    let (handed, pattern) = (handed.clone(), pattern());
    upstream_with_long_answers(move |call| send_100_mib(call, handed.clone(), pattern.clone()))
}

async fn send_100_mib(mut call: Call, handed: Arc<AtomicU64>, pattern: Bytes) {
    let Some(mut answering) = call.begin() else { return };
    let mut header = vec![0];
    header.extend(u32::try_from(LARGE).expect("it fits").to_be_bytes());
    answering.send(header.into());
    let mut left = LARGE as usize;
    while left > 0 {
        let chunk = left.min(pattern.len());
        if !answering.send_lazily(pattern.slice(..chunk), &handed).await {
            return;
        }
        left -= chunk;
    }
    answering.finish(0, "");
}

/// Its length is a prime, so that a frame which is lost, doubled or moved shows.
fn pattern() -> Bytes {
    (0..65_521u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

async fn stand_still(handed: &AtomicU64) {
    let mut last = u64::MAX;
    while handed.load(Ordering::SeqCst) != last {
        last = handed.load(Ordering::SeqCst);
        sleep(Duration::from_millis(150)).await;
    }
}

/// The lower quartile.
fn median_of_quieter_half(values: &mut [Duration]) -> Duration {
    values.sort_unstable();
    values[values.len() / 4]
}

const ATTEMPTS: usize = 3;
const CONNECTIONS: usize = 4;
const GETS: usize = 500;
const ROUNDS: usize = 5;
const STALLED: usize = 50;

const LARGE: u64 = 100 * MIB;
/// Of one stream of the test's own client.
const CLIENT_WINDOW: u64 = MIB;
const FRAME: u64 = 16 * KIB;
/// One step of the scheduler; the gets themselves take about as long.
const NOISE: Duration = Duration::from_micros(300);
/// What calls under way and the allocator take.
const SLACK: u64 = 8 * MIB;
