//! Connections that pass as they are.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use etcdlet::net::nofile;
use etcdlet::proto::authpb::{Permission, permission};
use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::listening;
use crate::http1::client::Connection;
use crate::lifecycle::watch;
use crate::observability::{becomes, metric};
use crate::support::certs::Certs;
use crate::support::etcd::{Etcd, Options};
use crate::support::grpc::{Channel, End, Event, Status};
use crate::support::ports::free_port;
use crate::support::sidecar::Sidecar;

/// The user of a call is the Common Name of the client's certificate, and the proxy has no part in that.
#[tokio::test]
async fn clients_show_etcd_their_own_certificates() {
    let certs = Certs::new();
    let etcd = Options::default().tls(certs.of_etcd()).start();
    let probe = certs.client(None);
    let port = free_port();
    let tls = format!(
        "upstream: {{endpoints: ['{}'], tls: {{cacert: '{}', cert: '{}', key: '{}'}}}}",
        etcd.endpoint(),
        certs.ca().display(),
        probe.cert.display(),
        probe.key.display()
    );
    let sidecar = Sidecar::with_config(&format!(
        "listen: [{{url: 'http://{{listen}}'}}, {{url: 'http://127.0.0.1:{port}', protocol: tcp}}]\n{tls}\n\
         admin: {{url: 'http://{{admin}}'}}\n"
    ));
    let url = format!("https://127.0.0.1:{port}");
    let connect = async |name: &str| {
        let config = certs.client_config(Some(&certs.client(Some(name))), &["h2"]);
        Channel::connect_tls(&url, config).await.unwrap()
    };
    let (root, alice) = (connect("root").await, connect("alice").await);
    enable_auth(&root).await;
    let put = async |channel: &Channel, key: &str| {
        let put = pb::PutRequest { key: key.to_owned().into(), ..Default::default() };
        channel.call::<_, pb::PutResponse>("/etcdserverpb.KV/Put", &put).await.map(|_| ())
    };
    let denied = Status { code: Some(7), message: "etcdserver: permission denied".into() };
    assert_eq!(put(&root, "anywhere").await, Ok(()));
    assert_eq!(put(&alice, "alice").await, Ok(()));
    assert_eq!(put(&alice, "anywhere").await, Err(denied));
    let tunnels = format!("etcdlet_tunnels{{endpoint=\"{}\"}}", etcd.endpoint());
    becomes(&sidecar, &tunnels, 2.0).await;
    drop((root, alice));
    becomes(&sidecar, &tunnels, 0.0).await;
    becomes(&sidecar, "etcdlet_tunnels_total", 2.0).await;
}

#[tokio::test]
async fn tunnels_spread_and_leave_a_member_that_fails() {
    let mut cluster = Options::default().start_cluster(3);
    let port = free_port();
    let endpoints = cluster.endpoints().join("', '");
    let sidecar = listening(&endpoints, &format!("{{url: 'tcp://127.0.0.1:{port}'}}"), "");
    let url = format!("http://127.0.0.1:{port}");
    let mut watches = Vec::new();
    for _ in 0..12 {
        let channel = Channel::connect(&url).await.unwrap();
        watches.push((watch(&channel, "key").await, channel));
    }
    let open = |endpoint: &str| metric(&sidecar, &format!("etcdlet_tunnels{{endpoint=\"{endpoint}\"}}"));
    let endpoints = cluster.endpoints();
    for endpoint in &endpoints {
        assert!(open(endpoint) >= 1.0, "{}", sidecar.metrics());
    }
    // Frozen, its connections stay open, and nothing on them is answered.
    let frozen = open(&endpoints[1]);
    cluster.members[1].freeze();
    let (started, cut) = (Instant::now(), "etcdlet_tunnel_failures_total{reason=\"cut\"}");
    while metric(&sidecar, cut) < frozen {
        assert!(started.elapsed() < LIMIT, "{}", sidecar.metrics());
        sleep(Duration::from_millis(20)).await;
    }
    println!("{frozen} tunnels were cut after {:?}", started.elapsed());
    let mut ended = 0.0;
    for (watch, _) in &mut watches {
        match watch.next(Duration::from_millis(50)).await {
            Event::End(End::Broken(_)) => ended += 1.0,
            Event::Silence => {}
            other => panic!("{other:?}"),
        }
    }
    assert!((ended - frozen).abs() < 0.1, "{ended} of {frozen} ended");
    for _ in 0..8 {
        let channel = Channel::connect(&url).await.unwrap();
        let answer = channel.unary("/etcdserverpb.KV/Range", HeaderMap::new(), b"\n\x01a\x38\x01").await;
        assert_eq!(answer.status().code, Some(0), "{answer:?}");
    }
}

#[tokio::test]
async fn a_member_that_cannot_be_connected_to_is_passed_over() {
    let etcd = Etcd::start();
    // Nothing listens there.
    let dead = format!("http://127.0.0.1:{}", free_port());
    let port = free_port();
    let endpoints = format!("{dead}', '{}", etcd.endpoint());
    let _sidecar = listening(&endpoints, &format!("{{url: 'tcp://127.0.0.1:{port}'}}"), "");
    for _ in 0..20 {
        let mut connection = Connection::open(&format!("http://127.0.0.1:{port}")).await;
        assert_eq!(connection.get("/version").await.status, 200);
    }
}

#[tokio::test]
async fn where_nobody_can_be_reached_the_client_is_told_by_the_end_of_its_connection() {
    let port = free_port();
    let dead = format!("http://127.0.0.1:{}", free_port());
    let sidecar = listening(&dead, &format!("{{url: 'tcp://127.0.0.1:{port}'}}"), "");
    let mut connection = Connection::open(&format!("http://127.0.0.1:{port}")).await;
    assert!(connection.is_closed_within(LIMIT).await);
    becomes(&sidecar, "etcdlet_tunnel_failures_total{reason=\"unreachable\"}", 1.0).await;
}

#[tokio::test]
async fn each_side_ends_by_itself() {
    let (member, address) = listener().await;
    let port = free_port();
    let _sidecar = listening(&format!("http://{address}"), &format!("{{url: 'tcp://127.0.0.1:{port}'}}"), "");
    let member = tokio::spawn(async move {
        loop {
            let (mut stream, _) = member.accept().await.unwrap();
            // Probes come here too.
            tokio::spawn(async move {
                let mut request = Vec::new();
                stream.read_to_end(&mut request).await.unwrap_or_default();
                drop(stream.write_all(&request).await);
            });
        }
    });
    let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = b"hello".repeat(200_000);
    let mut answer = Vec::new();
    client.write_all(&request).await.unwrap();
    client.shutdown().await.unwrap();
    timeout(LIMIT, client.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer == request, "{} of {} bytes", answer.len(), request.len());
    member.abort();
}

#[tokio::test]
async fn idle_tunnels_cost_little() {
    nofile::raise();
    let (etcd, port) = (Etcd::start(), free_port());
    let sidecar = listening(&etcd.endpoint(), &format!("{{url: 'tcp://127.0.0.1:{port}'}}"), "");
    let mut clients = Vec::new();
    let mut base = 0;
    for count in 0..TUNNELS {
        // The first ones find out what is made once.
        if count == TUNNELS / 2 {
            base = sidecar.rss_bytes();
        }
        let mut client = Connection::open(&format!("http://127.0.0.1:{port}")).await;
        assert_eq!(client.get("/metrics").await.status, 200);
        clients.push(client);
    }
    becomes(&sidecar, &format!("etcdlet_tunnels{{endpoint=\"{}\"}}", etcd.endpoint()), TUNNELS as f64).await;
    let each = sidecar.rss_bytes().saturating_sub(base) / (TUNNELS as u64 / 2);
    println!("an idle tunnel takes {each} bytes");
    assert!(each < 8 << 10, "{each} bytes for each tunnel");
}

#[tokio::test]
async fn a_drain_ends_tunnels_when_they_are_quiet() {
    let etcd = Etcd::start();
    let port = free_port();
    let more = "drain: {stream-jitter: 100ms}";
    let mut sidecar = listening(&etcd.endpoint(), &format!("{{url: 'tcp://127.0.0.1:{port}'}}"), more);
    let url = format!("http://127.0.0.1:{port}");
    let (busy, idle) = (Channel::connect(&url).await.unwrap(), Channel::connect(&url).await.unwrap());
    let mut watching = watch(&idle, "key").await;
    sidecar.terminate();
    let signalled = Instant::now();
    while signalled.elapsed() < Duration::from_secs(3) {
        let answer = busy.unary("/etcdserverpb.KV/Range", HeaderMap::new(), b"\n\x01a").await;
        assert_eq!(answer.status().code, Some(0), "{answer:?} after {:?}", signalled.elapsed());
        sleep(Duration::from_millis(100)).await;
    }
    let next = watching.next(Duration::ZERO).await;
    assert!(matches!(next, Event::End(End::Broken(_))), "{next:?}");
    assert!(Channel::connect(&url).await.is_err(), "new ones are still taken");
    let status = tokio::task::spawn_blocking(move || sidecar.wait(LIMIT)).await.unwrap();
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
}

async fn enable_auth(root: &Channel) {
    let role = pb::AuthRoleAddRequest { name: "alice".into() };
    root.call::<_, pb::AuthRoleAddResponse>("/etcdserverpb.Auth/RoleAdd", &role).await.unwrap();
    let perm = Permission {
        perm_type: permission::Type::Readwrite.into(),
        key: "alice".into(),
        ..Default::default()
    };
    let grant = pb::AuthRoleGrantPermissionRequest { name: "alice".into(), perm: Some(perm) };
    root.call::<_, pb::AuthRoleGrantPermissionResponse>("/etcdserverpb.Auth/RoleGrantPermission", &grant)
        .await
        .unwrap();
    for user in ["root", "alice"] {
        let add =
            pb::AuthUserAddRequest { name: user.into(), password: "secret".into(), ..Default::default() };
        root.call::<_, pb::AuthUserAddResponse>("/etcdserverpb.Auth/UserAdd", &add).await.unwrap();
        let grant = pb::AuthUserGrantRoleRequest { user: user.into(), role: user.into() };
        root.call::<_, pb::AuthUserGrantRoleResponse>("/etcdserverpb.Auth/UserGrantRole", &grant)
            .await
            .unwrap();
    }
    let enable = pb::AuthEnableRequest {};
    root.call::<_, pb::AuthEnableResponse>("/etcdserverpb.Auth/AuthEnable", &enable).await.unwrap();
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

const LIMIT: Duration = Duration::from_secs(10);
const TUNNELS: usize = 400;
