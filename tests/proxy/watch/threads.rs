//! Several threads of the data path: what clients share, they share whichever thread they are on.

use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;

use super::client::{Client, Seen, Watch, modified, prefix};
use super::subject::watchers;
use crate::lease::configured;
use crate::observability::{becomes, metric};
use crate::support::etcd::Etcd;
use crate::support::grpc::PATIENCE;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn clients_of_all_threads_share_one_watch() {
    let (etcd, sidecar, clients) = crowd().await;
    let mut watches = watching(&clients).await;
    let put = clients[0].put("a/1", "1").await.expect("it is put");
    for watch in &mut watches {
        let seen = watch.next().await.expect("it is seen");
        assert_eq!(seen.events.iter().map(modified).collect::<Vec<_>>(), [put]);
    }
    assert_eq!(watchers(&etcd), 1);
    // Others are served when those of the thread that it lives on are gone.
    drop(watches);
    drop(clients);
    becomes(&sidecar, "etcdlet_watch_watchers", 0.0).await;
    let clients = connected(&sidecar).await;
    let mut watches = watching(&clients).await;
    let put = clients[0].put("a/1", "1").await.expect("it is put");
    for watch in &mut watches {
        watch.sees(put).await.expect("it is seen");
    }
}

#[tokio::test]
async fn keep_alives_of_all_threads_share_their_renewals() {
    let (_etcd, sidecar, clients) = crowd().await;
    let grant = pb::LeaseGrantRequest { id: 7, ttl: 60 };
    let granted: Seen<pb::LeaseGrantResponse> =
        clients[0].call("/etcdserverpb.Lease/LeaseGrant", &grant).await;
    granted.expect("it is granted");
    let mut streams = Vec::new();
    for client in &clients {
        let stream =
            client.channel.stream("/etcdserverpb.Lease/LeaseKeepAlive", http::HeaderMap::new()).await;
        streams.push(stream.expect("a stream opens"));
    }
    for _ in 0..ROUNDS {
        for stream in &mut streams {
            stream.send_message(&pb::LeaseKeepAliveRequest { id: 7 });
        }
        for stream in &mut streams {
            let answer: pb::LeaseKeepAliveResponse = stream.next_message(SOON).await;
            assert_eq!(answer.ttl, 60);
        }
    }
    let requests = metric(&sidecar, "etcdlet_lease_requests_total");
    let renewals = metric(&sidecar, "etcdlet_lease_renewals_total");
    assert!(requests >= (ROUNDS * clients.len()) as f64, "{requests}");
    // Each thread of its own would send at least one a round.
    assert!(renewals < requests / 2.0, "{renewals} renewals for {requests} requests");
    becomes(&sidecar, "etcdlet_lease_upstream_streams", 1.0).await;
}

#[tokio::test]
async fn a_drain_waits_for_clients_of_other_threads() {
    let (_etcd, mut sidecar, clients) = crowd().await;
    let watches = watching(&clients).await;
    sidecar.terminate();
    for mut watch in watches {
        let end = watch.next().await.expect_err("the drain ends it");
        assert!(end.contains(r#""grpc-status": "14""#), "{end}");
    }
    drop(clients);
    let status = sidecar.wait(SOON).expect("it ends");
    assert!(status.success(), "{status}: {}", sidecar.log());
}

/// Clients on more than one thread. A busy kernel may wake one and the same for a few dozen of them.
async fn crowd() -> (Etcd, Sidecar, Vec<Client>) {
    let etcd = Etcd::start();
    let sidecar = configured(&etcd.endpoints(), "threads: 4");
    let mut clients = Vec::new();
    loop {
        clients.append(&mut connected(&sidecar).await);
        for client in &clients {
            client.put("crowd", "1").await.expect("it is put");
        }
        if busy_threads(&sidecar) > 1 {
            return (etcd, sidecar, clients);
        }
        assert!(clients.len() < CLIENTS_MAX, "{} clients are all on one thread", clients.len());
    }
}

async fn connected(sidecar: &Sidecar) -> Vec<Client> {
    let url = sidecar.url();
    futures_util::future::join_all((0..CLIENTS).map(|_| Client::connect(&url, PATIENCE))).await
}

async fn watching(clients: &[Client]) -> Vec<Watch> {
    let mut watches = Vec::new();
    for client in clients {
        let mut watch = client.watch().await;
        watch.created(prefix("a/")).await.expect("it is created");
        watches.push(watch);
    }
    watches
}

/// Threads of the data path that have used the processor beyond their start: the kernel wakes whichever it likes for a
/// new connection.
fn busy_threads(sidecar: &Sidecar) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", sidecar.pid())).expect("it runs");
    let is_busy = |task: std::path::PathBuf| {
        let name = std::fs::read_to_string(task.join("comm")).expect("a thread has a name");
        let status = std::fs::read_to_string(task.join("status")).expect("a thread has a status");
        let switches = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        let switches: u64 = switches.expect("they are counted").trim().parse().expect("a number");
        name.starts_with("data-") && switches > 10
    };
    tasks.filter(|task| is_busy(task.as_ref().expect("it can be read").path())).count()
}

const CLIENTS: usize = 24;
const CLIENTS_MAX: usize = 20 * CLIENTS;
const ROUNDS: usize = 20;
const SOON: Duration = Duration::from_secs(5);
