//! Calls that come back to where they have been.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;
use pb::watch_request::RequestUnion;
use tokio::net::{TcpListener, TcpStream};

use super::{PUT, RANGE, SNAPSHOT, WATCH, call};
use crate::http1::client::Connection;
use crate::observability::{refusal, value};
use crate::support::grpc::Channel;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn a_circle_of_two_is_refused_and_makes_no_storm() {
    let relay = Relay::start().await;
    let first = Sidecar::start(&[relay.url()]);
    let second = Sidecar::start(&[first.url()]);
    relay.lead_to(second.addr());
    assert_refused(&first).await;
    assert_refused(&second).await;
    // Six calls at each end; every one of them passes each of the two once, and is refused at its second coming.
    for sidecar in [&first, &second] {
        let calls = all_calls(sidecar);
        assert!(calls <= 24.0, "{calls} calls:\n{}", sidecar.metrics());
    }
}

#[tokio::test]
async fn a_circle_of_one_is_refused() {
    let relay = Relay::start().await;
    let sidecar = Sidecar::start(&[relay.url()]);
    relay.lead_to(sidecar.addr());
    assert_refused(&sidecar).await;
    assert!(all_calls(&sidecar) <= 12.0, "{}", sidecar.metrics());
}

#[test]
fn an_endpoint_that_is_its_own_listener_is_refused_at_start() {
    for (listen, endpoint) in [
        ("http://127.0.0.1:23799", "http://127.0.0.1:23799"),
        ("http://127.0.0.1:23799", "http://localhost:23799"),
        ("http://127.0.0.1:23799", "127.0.0.1:23799"),
        ("http://0.0.0.0:23799", "http://127.0.0.1:23799"),
        ("http://localhost:23799", "http://127.0.0.1:23799"),
        ("http://[::]:23799", "http://127.0.0.1:23799"),
    ] {
        let mut command = Sidecar::command();
        command.args([
            "--listen-client-urls",
            listen,
            "--endpoints",
            &format!("http://127.0.0.1:1,{endpoint}"),
        ]);
        let (code, said) = refusal(command.args(["--admin-url", "http://127.0.0.1:0"]));
        assert_eq!(code, Some(1), "{listen} {endpoint}: {said}");
        assert!(said.contains("own listener") && said.contains("23799"), "{said}");
    }
}

#[tokio::test]
async fn one_etcdlet_behind_another_is_no_circle() {
    let etcd = crate::support::etcd::Etcd::start();
    let near = Sidecar::start(&etcd.endpoints());
    let far = Sidecar::start(&[near.url()]);
    let channel = Channel::connect(&far.url()).await.unwrap();
    for path in [PUT, RANGE] {
        assert_eq!(call(&channel, path).await.status().code, Some(0));
    }
    assert_eq!(Connection::open(&far.url()).await.get("/version").await.status, 200);
}

async fn assert_refused(sidecar: &Sidecar) {
    let channel = Channel::connect(&sidecar.url()).await.expect("etcdlet accepts");
    for path in [PUT, RANGE, SNAPSHOT, WATCH, "/unknown.Service/Method"] {
        let started = Instant::now();
        let status = call(&channel, path).await.status();
        assert_eq!(status.code, Some(9), "{path}: {status:?}");
        assert!(status.message.contains("etcdlet: ") && status.message.contains("loop"), "{status:?}");
        assert!(started.elapsed() < Duration::from_secs(1), "{path}: {:?}", started.elapsed());
    }
    // A watch that could be shared is asked about before it is opened.
    let create = pb::WatchCreateRequest { key: "a".into(), ..Default::default() };
    let request = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    let mut watch = channel.stream(WATCH, HeaderMap::new()).await.expect("a stream opens");
    watch.send_message(&request);
    let status = watch.answer(Duration::from_secs(1)).await.status();
    assert_eq!(status.code, Some(14), "{status:?}");
    let answer = Connection::open(&sidecar.url()).await.get("/version").await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("loop"), "{}", answer.text());
}

/// Calls that came from clients. The two probe each other by Status, at a pace of their own.
fn all_calls(sidecar: &Sidecar) -> f64 {
    let metrics = sidecar.metrics();
    let series = metrics.lines().filter_map(|line| line.strip_prefix("etcdlet_rpc_total")?.split_once(' '));
    let (probes, calls): (Vec<_>, Vec<_>) =
        series.partition(|(labels, _)| labels.contains("Maintenance/Status"));
    let sum = |series: &[(&str, &str)]| {
        series.iter().map(|(labels, _)| value(&metrics, &format!("etcdlet_rpc_total{labels}"))).sum::<f64>()
    };
    assert!(sum(&calls) > 0.0, "{metrics}");
    assert!(sum(&probes) <= 20.0, "a storm of probes:\n{metrics}");
    sum(&calls)
}

/// Something that etcdlet cannot see through, such as a load balancer: the address of one thing, the answers of
/// another, which is only known later.
struct Relay {
    address: SocketAddr,
    target: Arc<Mutex<Option<SocketAddr>>>,
}

impl Relay {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
        let (address, target) =
            (listener.local_addr().expect("a listener has an address"), Arc::new(Mutex::new(None)));
        let known = target.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let target: Option<SocketAddr> = *known.lock().expect("nothing panics under this lock");
                tokio::spawn(async move {
                    let Some(target) = target else { return };
                    let mut far = TcpStream::connect(target).await.expect("etcdlet accepts");
                    drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
                });
            }
        });
        Self { address, target }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn lead_to(&self, target: SocketAddr) {
        *self.target.lock().expect("nothing panics under this lock") = Some(target);
    }
}
