//! How many connections a listener and a client may have.

use std::time::Duration;

use tokio::net::TcpSocket;

use super::{listening, socket};
use crate::http1::client::Connection;
use crate::observability::becomes;
use crate::support::etcd::Etcd;
use crate::support::ports::free_port;

#[tokio::test]
async fn a_listener_has_its_own_limit() {
    let etcd = Etcd::start();
    let (_directory, path) = socket();
    let entry = format!("{{url: 'unix://{}', connections: 2}}", path.display());
    let sidecar = listening(&etcd.endpoint(), &entry, "");
    let mut within = Vec::new();
    for _ in 0..2 {
        let mut connection = Connection::open_unix(&path).await.unwrap();
        assert_eq!(connection.get("/version").await.status, 200);
        within.push(connection);
    }
    let mut over = Connection::open_unix(&path).await.unwrap();
    assert!(over.is_closed_within(LIMIT).await);
    becomes(&sidecar, "etcdlet_connections_refused_total{reason=\"listener limit\"}", 1.0).await;
    // The others of the process are not concerned, and one that leaves makes room.
    assert_eq!(Connection::open(&sidecar.url()).await.get("/version").await.status, 200);
    within.pop();
    becomes(&sidecar, "etcdlet_connections", 1.0).await;
    assert_eq!(Connection::open_unix(&path).await.unwrap().get("/version").await.status, 200);
}

#[tokio::test]
async fn a_client_has_its_own_limit_by_its_address_or_its_user() {
    let etcd = Etcd::start();
    let (_directory, path) = socket();
    let port = free_port();
    let entries = format!("{{url: 'unix://{}'}}, {{url: 'http://127.0.0.1:{port}'}}", path.display());
    let sidecar = listening(&etcd.endpoint(), &entries, "limits: {connections-per-peer: 2}");
    becomes(&sidecar, "etcdlet_connections", 0.0).await;
    // Two listeners count together.
    let mut within =
        [Connection::open(&sidecar.url()).await, Connection::open(&format!("http://127.0.0.1:{port}")).await];
    for connection in &mut within {
        assert_eq!(connection.get("/version").await.status, 200);
    }
    assert!(Connection::open(&sidecar.url()).await.is_closed_within(LIMIT).await);
    let refused = "etcdlet_connections_refused_total{reason=\"peer limit\"}";
    becomes(&sidecar, refused, 1.0).await;
    let neighbour = TcpSocket::new_v4().unwrap();
    neighbour.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut neighbour = Connection::over(neighbour.connect(sidecar.addr()).await.unwrap());
    assert_eq!(neighbour.get("/version").await.status, 200);
    let mut users = Vec::new();
    for _ in 0..2 {
        let mut connection = Connection::open_unix(&path).await.unwrap();
        assert_eq!(connection.get("/version").await.status, 200);
        users.push(connection);
    }
    assert!(Connection::open_unix(&path).await.unwrap().is_closed_within(LIMIT).await);
    becomes(&sidecar, refused, 2.0).await;
    drop(within);
    becomes(&sidecar, "etcdlet_connections", 3.0).await;
    assert_eq!(Connection::open(&sidecar.url()).await.get("/version").await.status, 200);
}

const LIMIT: Duration = Duration::from_secs(1);
