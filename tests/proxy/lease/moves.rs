//! Leaders come and go; keep-alives go on.

use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;
use tokio::time::sleep;

use super::{KEEP_ALIVE, LEASES, SOON, beat, beaten, configured, connect, grant, keep_alive};
use crate::observability::metric;
use crate::support::etcd::{Cluster, Etcd};
use crate::support::grpc::{Channel, Event, Status, Stream, metadata};
use crate::support::sidecar::Sidecar;

const CLIENTS: i64 = 6;
const TTL: i64 = 10;

/// Clients that beat every 50 ms, each for a lease of its own and one of all.
struct Beating {
    cluster: Cluster,
    sidecar: Sidecar,
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<Duration>>,
}

impl Beating {
    async fn start() -> Self {
        let cluster = Cluster::start(3);
        let sidecar = configured(&cluster.endpoints(), "");
        let channel = connect(&sidecar).await;
        for id in 0..=CLIENTS {
            grant(&channel, 1000 + id, TTL).await;
        }
        crate::resets::until(SOON, "the leader is known", || {
            metric(&sidecar, "etcdlet_cluster_has_leader") > 0.0
        })
        .await;
        let stop = std::sync::Arc::<std::sync::atomic::AtomicBool>::default();
        let mut clients = Vec::new();
        for client in 1..=CLIENTS {
            let metadata =
                if client % 2 == 0 { metadata(&[("hasleader", "true")]) } else { HeaderMap::new() };
            let stream = keep_alive(&connect(&sidecar).await, metadata).await;
            clients.push(tokio::spawn(beats(stream, 1000 + client, stop.clone())));
        }
        sleep(Duration::from_millis(500)).await;
        Self { cluster, sidecar, stop, clients }
    }

    /// The longest time that anybody waited.
    async fn stop(mut self) -> Duration {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let mut longest = Duration::ZERO;
        for client in self.clients {
            longest = longest.max(client.await.expect("nobody's stream ends"));
        }
        let survivor = self.cluster.leader();
        let direct = Channel::connect(&self.cluster.members[survivor].endpoint()).await.unwrap();
        let leases: pb::LeaseLeasesResponse = direct.call(LEASES, &pb::LeaseLeasesRequest {}).await.unwrap();
        assert_eq!(leases.leases.len() as i64, CLIENTS + 1, "a lease was lost");
        println!("the longest wait: {longest:.3?}");
        longest
    }
}

async fn beats(
    mut stream: Stream,
    lease: i64,
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
) -> Duration {
    let mut longest = Duration::ZERO;
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        let asked = Instant::now();
        for lease in [lease, 1000] {
            beat(&mut stream, lease);
        }
        for lease in [lease, 1000] {
            let answer: pb::LeaseKeepAliveResponse = stream.next_message(PATIENCE).await;
            assert_eq!((answer.id, answer.ttl), (lease, TTL));
        }
        longest = longest.max(asked.elapsed());
        sleep(Duration::from_millis(50)).await;
    }
    longest
}

#[tokio::test]
async fn no_stream_ends_when_the_leader_is_killed() {
    fault(Etcd::kill).await;
}

#[tokio::test]
async fn no_stream_ends_when_the_leader_is_frozen() {
    fault(Etcd::freeze).await;
}

#[tokio::test]
async fn no_stream_ends_when_the_leader_stops() {
    fault(Etcd::terminate).await;
}

async fn fault(fault: fn(&mut Etcd)) {
    let _alone = crate::faults::ALONE.lock().await;
    let mut beating = Beating::start().await;
    let leader = beating.cluster.leader();
    fault(&mut beating.cluster.members[leader]);
    sleep(Duration::from_secs(5)).await;
    assert!(metric(&beating.sidecar, "etcdlet_elections_total") >= 1.0);
    // Elections take up to two seconds here, and another second is allowed.
    let longest = beating.stop().await;
    assert!(longest < Duration::from_millis(4500), "{longest:?}");
}

/// A follower would ask the leader by a request of its own for each renewal.
#[tokio::test]
async fn the_streams_follow_the_leader() {
    let _alone = crate::faults::ALONE.lock().await;
    let mut beating = Beating::start().await;
    let renewals = |member: &Etcd| {
        let line = "grpc_server_msg_received_total{grpc_method=\"LeaseKeepAlive\"";
        let metrics = member.metrics();
        let lines = metrics.lines().filter(|at| at.starts_with(line));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum::<f64>()
    };
    let old = beating.cluster.leader();
    let new = (old + 1) % 3;
    assert!(renewals(&beating.cluster.members[old]) > 0.0);
    assert_eq!(renewals(&beating.cluster.members[new]), 0.0);
    let direct = Channel::connect(&beating.cluster.members[new].endpoint()).await.unwrap();
    let status: pb::StatusResponse =
        direct.call("/etcdserverpb.Maintenance/Status", &pb::StatusRequest::default()).await.unwrap();
    let id = status.header.unwrap().member_id;
    beating.cluster.members[old].run_etcdctl(&["move-leader", &format!("{id:x}")]);
    sleep(Duration::from_secs(3)).await;
    let (at_old, at_new) = (renewals(&beating.cluster.members[old]), renewals(&beating.cluster.members[new]));
    assert!(at_new > 20.0, "{at_new} renewals at the new leader");
    sleep(Duration::from_millis(500)).await;
    assert_eq!(renewals(&beating.cluster.members[old]), at_old, "the old leader is asked still");
    let longest = beating.stop().await;
    assert!(longest < Duration::from_millis(2500), "{longest:?}");
}

/// etcd ends a stream that demands a leader although nothing is asked on it, and no other.
#[tokio::test]
async fn without_a_leader_an_idle_stream_that_demands_one_ends() {
    let _alone = crate::faults::ALONE.lock().await;
    let mut cluster = Cluster::start(3);
    let sidecar = configured(&cluster.endpoints(), "hold: {timeout: 1s}");
    let channel = connect(&sidecar).await;
    grant(&channel, 7, 600).await;
    let mut demanding = keep_alive(&channel, metadata(&[("hasleader", "true")])).await;
    let mut patient = keep_alive(&channel, HeaderMap::new()).await;
    for stream in [&mut demanding, &mut patient] {
        beat(stream, 7);
        beaten(stream).await;
    }
    let leader = cluster.leader();
    for index in [leader, (leader + 1) % 3] {
        cluster.members[index].kill();
    }
    let status = demanding.answer(PATIENCE).await.status();
    assert_eq!(status, Status { code: Some(14), message: "etcdserver: no leader".into() });
    let event = patient.next(Duration::from_secs(1)).await;
    assert!(matches!(event, Event::Silence), "{event:?}");
    // A new one that demands a leader is told the same.
    let request = pb::LeaseKeepAliveRequest { id: 7 };
    let demanding = metadata(&[("hasleader", "true")]);
    let refused: Result<pb::LeaseKeepAliveResponse, _> =
        channel.call_with(KEEP_ALIVE, demanding, &request).await;
    assert_eq!(refused.unwrap_err(), Status { code: Some(14), message: "etcdserver: no leader".into() });
    for index in [leader, (leader + 1) % 3] {
        cluster.members[index].restart();
    }
    beat(&mut patient, 7);
    let answer: pb::LeaseKeepAliveResponse = patient.next_message(PATIENCE).await;
    assert_eq!((answer.id, answer.ttl), (7, 600));
}

const PATIENCE: Duration = Duration::from_secs(20);
