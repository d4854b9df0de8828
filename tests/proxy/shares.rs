//! Equal reads share calls, and nobody can tell.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;
use prost::Message;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::observability::{becomes, metric};
use crate::resets::until;
use crate::support::etcd::Etcd;
use crate::support::grpc::{Answer, Channel, metadata};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Call, Upstream};

const SHARING: &str = "route: {share-reads: true}";
const RANGE: &str = "/etcdserverpb.KV/Range";
const PUT: &str = "/etcdserverpb.KV/Put";
const SOON: Duration = Duration::from_secs(5);
const SHARED: &str = "etcdlet_reads_shared_total";
const BATCHES: &str = "etcdlet_read_batches_total";

/// A member that answers a read with its number, when it is let.
struct Reader {
    upstream: Upstream,
    seen: Arc<Mutex<Vec<HeaderMap>>>,
    gone: Arc<AtomicUsize>,
    /// Reads below this number are answered.
    gate: watch::Sender<usize>,
    sidecar: Sidecar,
}

impl Reader {
    async fn start(more: &str) -> Self {
        Self::answering(more, |number, call| async move { call.answer(&range_answer(number, 10)).await })
            .await
    }

    async fn answering<F>(
        more: &str,
        answer: impl Fn(usize, Call) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (gate, open) = watch::channel(0);
        let (seen, gone) = (Arc::<Mutex<Vec<HeaderMap>>>::default(), Arc::<AtomicUsize>::default());
        let (theirs, left) = (seen.clone(), gone.clone());
        let upstream = Upstream::start(move |mut call: Call| {
            let (theirs, left, mut open, answer) =
                (theirs.clone(), left.clone(), open.clone(), answer.clone());
            async move {
                if call.path() == PUT {
                    return call.answer(&put_answer()).await;
                }
                let number = {
                    let mut seen = theirs.lock().expect("nothing panics under this lock");
                    seen.push(call.metadata().clone());
                    seen.len() - 1
                };
                let reset = std::future::poll_fn(|cx| call.respond.poll_reset(cx));
                tokio::select! {
                    _ = open.wait_for(|open| *open > number) => {}
                    _ = reset => {
                        left.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                }
                answer(number, call).await;
            }
        });
        let sidecar = crate::lease::configured(&[upstream.url()], more);
        Self { upstream, seen, gone, gate, sidecar }
    }

    fn calls(&self) -> usize {
        self.seen.lock().expect("nothing panics under this lock").len()
    }

    async fn channel(&self) -> Channel {
        Channel::connect(&self.sidecar.url()).await.expect("etcdlet accepts")
    }

    async fn arrive(&self, calls: usize) {
        until(SOON, "the calls arrive", || self.calls() >= calls).await;
    }

    fn let_all(&self) {
        self.gate.send_replace(usize::MAX);
    }
}

fn range_answer(number: usize, revision: i64) -> Vec<u8> {
    let header = pb::ResponseHeader { cluster_id: 1, member_id: 2, revision, raft_term: 4 };
    pb::RangeResponse { header: Some(header), count: number as i64, ..Default::default() }.encode_to_vec()
}

fn put_answer() -> Vec<u8> {
    let header = pb::ResponseHeader { cluster_id: 1, member_id: 2, revision: 100, raft_term: 4 };
    pb::PutResponse { header: Some(header), ..Default::default() }.encode_to_vec()
}

fn get(key: &'static str, serializable: bool) -> Vec<u8> {
    pb::RangeRequest { key: key.into(), serializable, ..Default::default() }.encode_to_vec()
}

fn asking(channel: &Channel, metadata: HeaderMap, request: Vec<u8>) -> JoinHandle<Answer> {
    let channel = channel.clone();
    tokio::spawn(async move { channel.unary(RANGE, metadata, &request).await })
}

/// The number of the call that answered it.
async fn answered(asking: JoinHandle<Answer>) -> i64 {
    let answer = asking.await.unwrap();
    assert_eq!(answer.status().code, Some(0), "{answer:?}");
    answer.messages[0].decode::<pb::RangeResponse>().count
}

/// Two equal reads that are not answered: whoever comes next waits.
async fn busy(reader: &Reader, channel: &Channel, metadata: &HeaderMap) -> [JoinHandle<Answer>; 2] {
    let first = asking(channel, metadata.clone(), get("a", false));
    reader.arrive(1).await;
    let second = asking(channel, metadata.clone(), get("a", false));
    reader.arrive(2).await;
    [first, second]
}

#[tokio::test]
async fn a_linearizable_read_shares_only_a_call_that_is_sent_after_it_came() {
    let reader = Reader::start(SHARING).await;
    let channel = reader.channel().await;
    let first = busy(&reader, &channel, &HeaderMap::new()).await;
    let mut later: Vec<_> = (0..50).map(|_| asking(&channel, HeaderMap::new(), get("a", false))).collect();
    // The first take so long that they do not wait for their end, and are sent together.
    reader.arrive(3).await;
    // Too late for that.
    later.extend((0..50).map(|_| asking(&channel, HeaderMap::new(), get("a", false))));
    reader.arrive(4).await;
    reader.let_all();
    for (number, first) in (0..).zip(first) {
        assert_eq!(answered(first).await, number);
    }
    for (number, read) in later.into_iter().enumerate() {
        let by = answered(read).await;
        assert!(by >= 2 && (number < 50 || by >= 3), "read {number} was answered by call {by}");
    }
    assert!(reader.calls() <= 6, "{} calls for 102 reads", reader.calls());
    assert!(metric(&reader.sidecar, SHARED) >= 95.0);
}

#[tokio::test]
async fn a_read_that_nobody_shares_is_sent_at_once() {
    let reader = Reader::start(SHARING).await;
    reader.let_all();
    let channel = reader.channel().await;
    for number in 0..100 {
        let read = asking(&channel, HeaderMap::new(), get("a", number % 2 == 0));
        assert_eq!(answered(read).await, number);
    }
    assert_eq!(metric(&reader.sidecar, SHARED), 0.0);
}

#[tokio::test]
async fn who_is_somebody_else_or_asks_for_something_else_shares_nothing() {
    let reader = Reader::start(SHARING).await;
    let channel = reader.channel().await;
    let identities: [&[(&str, &str)]; 7] = [
        &[],
        &[("token", "a")],
        &[("token", "b")],
        &[("authorization", "a")],
        &[("token", "a"), ("hasleader", "true")],
        &[("client-api-version", "3.5")],
        &[("token", "a"), ("token", "b")],
    ];
    let mut reads = Vec::new();
    for identity in identities {
        for key in ["a", "b"] {
            for serializable in [false, true] {
                reads.push(asking(&channel, metadata(identity), get(key, serializable)));
                reader.arrive(reads.len()).await;
            }
        }
    }
    reader.let_all();
    for (number, read) in (0..).zip(reads) {
        assert_eq!(answered(read).await, number);
    }
    assert_eq!(metric(&reader.sidecar, SHARED), 0.0);
}

#[tokio::test]
async fn a_serializable_read_joins_a_call_that_is_under_way() {
    let reader = Reader::start(SHARING).await;
    let channel = reader.channel().await;
    let first = asking(&channel, HeaderMap::new(), get("a", true));
    reader.arrive(1).await;
    let others: Vec<_> = (0..20).map(|_| asking(&channel, HeaderMap::new(), get("a", true))).collect();
    becomes(&reader.sidecar, "etcdlet_rpc_inflight", 21.0).await;
    reader.let_all();
    for read in others.into_iter().chain([first]) {
        answered(read).await;
    }
    // They may have left it where it took them long to arrive.
    assert!(reader.calls() <= 3, "{} calls for 21 reads", reader.calls());
    assert_eq!(metric(&reader.sidecar, SHARED), 20.0);
}

#[tokio::test]
async fn a_serializable_read_does_not_take_what_is_older_than_its_node_has_seen() {
    // The first is answered with revision 10.
    let reader = Reader::answering(SHARING, |number, call| async move {
        call.answer(&range_answer(number, if number == 0 { 10 } else { 100 })).await;
    })
    .await;
    let channel = reader.channel().await;
    let first = asking(&channel, HeaderMap::new(), get("a", true));
    reader.arrive(1).await;
    let put = channel.unary(PUT, HeaderMap::new(), b"\n\x01a").await;
    assert_eq!(put.status().code, Some(0));
    let late = asking(&channel, HeaderMap::new(), get("a", true));
    becomes(&reader.sidecar, "etcdlet_rpc_inflight", 2.0).await;
    reader.let_all();
    assert_eq!(answered(first).await, 0);
    assert_eq!(answered(late).await, 1);
}

#[tokio::test]
async fn everybody_leaves_at_his_own_deadline() {
    let reader = Reader::start(SHARING).await;
    let channel = reader.channel().await;
    let stuck = busy(&reader, &channel, &HeaderMap::new()).await;
    let began = Instant::now();
    let short = asking(&channel, metadata(&[("grpc-timeout", "300m")]), get("a", false));
    let long = asking(&channel, metadata(&[("grpc-timeout", "20S")]), get("a", false));
    let status = short.await.unwrap().status();
    assert_eq!(status.code, Some(4), "{status:?}");
    let took = began.elapsed();
    assert!(took > Duration::from_millis(280) && took < Duration::from_millis(900), "{took:?}");
    reader.let_all();
    for stuck in stuck {
        assert!(answered(stuck).await < 2);
    }
    assert_eq!(answered(long).await, 2);
    let seen = reader.seen.lock().unwrap();
    assert!(!seen[0].contains_key("grpc-timeout") && !seen[1].contains_key("grpc-timeout"));
    // The latest of those who were sent for.
    let timeout = seen[2]["grpc-timeout"].to_str().unwrap().trim_end_matches('m').parse::<u32>().unwrap();
    assert!((19_000..=20_000).contains(&timeout), "{timeout}");
}

#[tokio::test]
async fn a_batch_has_a_deadline_only_if_everybody_in_it_has() {
    let reader = Reader::start(SHARING).await;
    let channel = reader.channel().await;
    let stuck = busy(&reader, &channel, &metadata(&[("grpc-timeout", "20S")])).await;
    let waiting = [("grpc-timeout", "20S"), ("user-agent", "me")]
        .map(|header| asking(&channel, metadata(&[header]), get("a", false)));
    reader.arrive(3).await;
    reader.let_all();
    for stuck in stuck {
        answered(stuck).await;
    }
    for read in waiting {
        assert_eq!(answered(read).await, 2);
    }
    assert!(!reader.seen.lock().unwrap()[2].contains_key("grpc-timeout"));
}

#[tokio::test]
async fn an_error_is_that_of_its_batch() {
    let reader = Reader::answering(SHARING, |number, call| async move {
        match number {
            2 => call.refuse(7, "etcdserver: permission denied"),
            _ => call.answer(&range_answer(number, 10)).await,
        }
    })
    .await;
    let channel = reader.channel().await;
    let first = busy(&reader, &channel, &HeaderMap::new()).await;
    let second: Vec<_> = (0..10).map(|_| asking(&channel, HeaderMap::new(), get("a", false))).collect();
    reader.arrive(3).await;
    let third = asking(&channel, HeaderMap::new(), get("a", false));
    reader.arrive(4).await;
    reader.let_all();
    for first in first {
        assert!(answered(first).await < 2);
    }
    for read in second {
        let status = read.await.unwrap().status();
        assert_eq!((status.code, status.message.as_str()), (Some(7), "etcdserver: permission denied"));
    }
    assert_eq!(answered(third).await, 3);
}

#[tokio::test]
async fn whoever_gives_up_disturbs_nobody() {
    let reader = Reader::start(SHARING).await;
    let channel = reader.channel().await;
    let first = busy(&reader, &channel, &HeaderMap::new()).await;
    let mut batch: Vec<_> = (0..10).map(|_| asking(&channel, HeaderMap::new(), get("a", false))).collect();
    becomes(&reader.sidecar, "etcdlet_rpc_inflight", 12.0).await;
    // Those leave whom the others wait for, then the first of these.
    first.iter().for_each(JoinHandle::abort);
    reader.arrive(3).await;
    batch.remove(0).abort();
    becomes(&reader.sidecar, "etcdlet_rpc_inflight", 9.0).await;
    until(SOON, "the first calls are reset", || reader.gone.load(Ordering::SeqCst) == 2).await;
    reader.let_all();
    for read in batch {
        assert!(answered(read).await >= 2);
    }
    assert_eq!(reader.gone.load(Ordering::SeqCst), 2, "a call that others waited for was given up");
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_any_longer_is_given_up() {
    let reader = Reader::start(SHARING).await;
    let channel = reader.channel().await;
    let first = busy(&reader, &channel, &HeaderMap::new()).await;
    let batch: Vec<_> = (0..10).map(|_| asking(&channel, HeaderMap::new(), get("a", false))).collect();
    reader.arrive(3).await;
    becomes(&reader.sidecar, "etcdlet_rpc_inflight", 12.0).await;
    batch.iter().for_each(JoinHandle::abort);
    until(SOON, "they are reset", || reader.gone.load(Ordering::SeqCst) == reader.calls() - 2).await;
    // Nor is another sent in its place.
    let (calls, batches) = (reader.calls(), metric(&reader.sidecar, BATCHES));
    sleep(Duration::from_millis(500)).await;
    assert_eq!((reader.calls(), metric(&reader.sidecar, BATCHES)), (calls, batches));
    reader.let_all();
    for first in first {
        assert!(answered(first).await < 2);
    }
}

/// As in an outage: the member answers nothing, and everybody gives up in turn.
#[tokio::test]
async fn reads_that_all_give_up_leave_nothing_behind() {
    let mut etcd = Etcd::start();
    let sidecar = crate::lease::configured(&etcd.endpoints(), SHARING);
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    answered(asking(&channel, HeaderMap::new(), get("a", false))).await;
    etcd.freeze();
    let mut reads = Vec::new();
    for timeout in ["1500m", "1200m", "900m", "600m", "300m"] {
        reads.push(asking(&channel, metadata(&[("grpc-timeout", timeout)]), get("a", false)));
        sleep(Duration::from_millis(30)).await;
    }
    for read in reads {
        assert_ne!(read.await.unwrap().status().code, Some(0));
    }
    etcd.thaw();
    becomes(&sidecar, "etcdlet_rpc_inflight", 0.0).await;
    let batches = metric(&sidecar, BATCHES);
    sleep(Duration::from_millis(500)).await;
    assert_eq!(metric(&sidecar, BATCHES), batches, "calls that nobody asks for");
}

#[tokio::test]
async fn switched_off_everybody_asks_for_himself() {
    let reader = Reader::start("route: {share-reads: false}").await;
    let channel = reader.channel().await;
    let reads: Vec<_> = (0..20).map(|_| asking(&channel, HeaderMap::new(), get("a", false))).collect();
    reader.arrive(20).await;
    reader.let_all();
    for read in reads {
        answered(read).await;
    }
    assert_eq!(reader.upstream.calls(), 20);
}

/// An answer of several frames is streamed to the one who asked.
#[tokio::test]
async fn long_answers_are_not_shared() {
    let etcd = Etcd::start();
    let sidecar = crate::lease::configured(&etcd.endpoints(), SHARING);
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let value = vec![b'x'; 300 << 10];
    let put = pb::PutRequest { key: "a".into(), value: value.clone().into(), ..Default::default() };
    channel.call::<_, pb::PutResponse>(PUT, &put).await.unwrap();
    let reads: Vec<_> = (0..40).map(|_| asking(&channel, HeaderMap::new(), get("a", false))).collect();
    for read in reads {
        let answer = read.await.unwrap();
        assert_eq!(answer.status().code, Some(0));
        assert_eq!(answer.messages[0].decode::<pb::RangeResponse>().kvs[0].value, value);
    }
}

/// A thousand equal reads at once, again and again, while the key is written: each sees every write that was
/// acknowledged before it began.
#[tokio::test]
async fn equal_reads_are_linearizable() {
    let etcd = Etcd::start();
    let sidecar = crate::lease::configured(&etcd.endpoints(), SHARING);
    let acknowledged = Arc::new(AtomicI64::new(0));
    let writer = {
        let (acknowledged, channel) = (acknowledged.clone(), Channel::connect(&sidecar.url()).await.unwrap());
        tokio::spawn(async move {
            for number in 1_i64.. {
                let put = pb::PutRequest {
                    key: "a".into(),
                    value: number.to_string().into(),
                    ..Default::default()
                };
                channel.call::<_, pb::PutResponse>(PUT, &put).await.unwrap();
                acknowledged.store(number, Ordering::SeqCst);
            }
        })
    };
    until(SOON, "there is something to read", || acknowledged.load(Ordering::SeqCst) > 0).await;
    let mut readers = Vec::new();
    for reader in 0..1000 {
        let (acknowledged, channel) = (acknowledged.clone(), Channel::connect(&sidecar.url()).await.unwrap());
        readers.push(tokio::spawn(async move {
            sleep(Duration::from_millis(reader % 50)).await;
            for _ in 0..10 {
                let before = acknowledged.load(Ordering::SeqCst);
                let answer = channel.unary(RANGE, HeaderMap::new(), &get("a", false)).await;
                assert_eq!(answer.status().code, Some(0));
                let answer: pb::RangeResponse = answer.messages[0].decode();
                let seen: i64 = std::str::from_utf8(&answer.kvs[0].value).unwrap().parse().unwrap();
                assert!(seen >= before, "{seen} was read after {before} was acknowledged");
            }
        }));
    }
    for reader in readers {
        reader.await.unwrap();
    }
    writer.abort();
    let (shared, batches) = (metric(&sidecar, SHARED), metric(&sidecar, BATCHES));
    println!(
        "{shared} of 10,000 reads shared {batches} calls; {} writes",
        acknowledged.load(Ordering::SeqCst)
    );
    assert!(shared > 1000.0, "{shared}");
}
