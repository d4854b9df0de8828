//! Clients behind TLS that all come at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use etcdlet::net::nofile;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::listening;
use crate::observability::becomes;
use crate::support::certs::Certs;
use crate::support::etcd::Options;

/// Whoever may connect can send them; the answer to each is the server's dearest part of a handshake.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_handshakes_holds_up_no_probe() {
    nofile::raise();
    let (certs, cluster) = (Certs::new(), Options::default().start_cluster(3));
    let sidecar = listening(&certs.server(), "", &cluster.endpoints().join("', '"));
    for endpoint in cluster.endpoints() {
        becomes(&sidecar, &format!("etcdlet_member_healthy{{endpoint=\"{endpoint}\"}}"), 1.0).await;
    }
    let mut hello = Vec::new();
    let mut client =
        ClientConnection::new(certs.client_config(None, &["h2"]), ServerName::try_from("127.0.0.1").unwrap())
            .unwrap();
    client.write_tls(&mut hello).unwrap();
    let (over, started) = (AtomicBool::new(false), Instant::now());
    let (took, slowest) = std::thread::scope(|scope| {
        // What answers lives on the thread that probes.
        let asking = scope.spawn(|| {
            let mut slowest = Duration::ZERO;
            while !over.load(Ordering::Relaxed) {
                let asked = Instant::now();
                assert_eq!(sidecar.admin_get("/livez").0, 200);
                slowest = slowest.max(asked.elapsed());
                std::thread::sleep(Duration::from_millis(5));
            }
            slowest
        });
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let mut crowd = JoinSet::new();
                for _ in 0..CROWD {
                    crowd.spawn(greet(sidecar.addr(), hello.clone()));
                }
                crowd.join_all().await;
            });
        });
        let took = started.elapsed();
        over.store(true, Ordering::Relaxed);
        (took, asking.join().unwrap())
    });
    println!("{CROWD} handshakes began within {took:?}; the slowest answer beside them took {slowest:?}");
    assert!(slowest < SILENT_AFTER, "{slowest:?} of {took:?}");
    let metrics = sidecar.metrics();
    assert!(!metrics.contains("etcdlet_member_ejections_total{"), "{metrics}");
}

/// Until the server has said its part.
async fn greet(to: std::net::SocketAddr, hello: Vec<u8>) {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(&hello).await.unwrap();
    stream.read_exact(&mut [0]).await.unwrap();
}

const CROWD: usize = 4000;

/// After this a member is silent (`upstream.probe.silent-after`).
const SILENT_AFTER: Duration = Duration::from_millis(400);
