//! New files in the place of old ones, while clients are served.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use etcdlet::proto::etcdserverpb::{PutRequest, PutResponse};
use rustix::process::Signal;
use rustls::ClientConfig;
use tokio::task::JoinSet;

use super::{ask, listening, showing, shown};
use crate::observability::{becomes, metric};
use crate::support::certs::{Certs, Pair};
use crate::support::etcd::{Etcd, Options};
use crate::support::grpc::{Channel, Status};

use crate::support::sidecar::Sidecar;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_of_a_listener_is_shown_under_load_and_no_call_fails() {
    let (certs, etcd) = (Certs::new(), Etcd::start());
    let pair = certs.server();
    let mut sidecar = listening(&pair, "", &etcd.endpoint());
    let config = certs.client_config(None, &["h2"]);
    let url = format!("https://{}", sidecar.addr());
    let load = Load::start(&url, &config).await;
    for round in 1..=5 {
        let new = certs.server();
        let der = new.der();
        pair.replace_by(&new);
        reload(&mut sidecar, REPLACED, f64::from(round)).await;
        assert_eq!(shown(&sidecar, config.clone()).await, der);
        load.flows().await;
    }
    let accepted = metric(&sidecar, "etcdlet_connections_total");
    let (on_old, on_new) = load.stop().await;
    assert!(on_old > 100 && on_new > 100 && accepted > 100.0, "{on_old} {on_new} {accepted}");
}

#[tokio::test]
async fn files_that_do_not_fit_leave_the_listener_as_it_is() {
    let (certs, etcd) = (Certs::new(), Etcd::start());
    let pair = certs.server();
    let mut sidecar = listening(&pair, "", &etcd.endpoint());
    let config = certs.client_config(None, &[]);
    let expiry =
        format!("etcdlet_tls_certificate_expiry_timestamp_seconds{{file=\"{}\"}}", pair.cert.display());
    assert!(metric(&sidecar, &expiry) > 4e9);
    let (old, new) = (pair.der(), certs.server());
    // Half of the new pair is there, then half of a file.
    fs::copy(&new.cert, &pair.cert).unwrap();
    reload(&mut sidecar, FAILED, 1.0).await;
    let text = fs::read_to_string(&new.cert).unwrap();
    fs::write(&pair.cert, &text[..text.len() / 2]).unwrap();
    reload(&mut sidecar, FAILED, 2.0).await;
    assert_eq!(shown(&sidecar, config.clone()).await, old);
    ask(&sidecar, config.clone()).await.unwrap();
    assert!(sidecar.log().contains(&pair.cert.display().to_string()));

    let der = new.der();
    pair.replace_by(&new);
    reload(&mut sidecar, REPLACED, 1.0).await;
    assert_eq!(shown(&sidecar, config).await, der);
    assert_eq!(metric(&sidecar, &series(FAILED)), 2.0);
}

#[tokio::test]
async fn another_ca_and_another_revocation_list_count_for_new_connections() {
    let (certs, others, etcd) = (Certs::new(), Certs::new(), Etcd::start());
    let (ca, list) = (certs.directory().join("clients.pem"), certs.directory().join("crl"));
    fs::copy(certs.ca(), &ca).unwrap();
    fs::write(&list, certs.revocation_list(&[]).der()).unwrap();
    let tls = format!("trusted-ca-file: '{}', client-crl-file: '{}'", ca.display(), list.display());
    let mut sidecar = listening(&certs.server(), &tls, &etcd.endpoint());
    let (stays, goes, comes) = (certs.client(None), certs.client(None), others.client(None));
    let showing = |pair: &Pair, protocols: &[&str]| certs.client_config(Some(pair), protocols);
    let open =
        Channel::connect_tls(&format!("https://{}", sidecar.addr()), showing(&goes, &["h2"])).await.unwrap();
    put(&open).await.unwrap();
    ask(&sidecar, showing(&comes, &[])).await.unwrap_err();

    let both = [fs::read(certs.ca()).unwrap(), fs::read(others.ca()).unwrap()].concat();
    fs::write(&ca, both).unwrap();
    fs::write(&list, certs.revocation_list(&[&goes]).pem().unwrap()).unwrap();
    reload(&mut sidecar, REPLACED, 1.0).await;
    ask(&sidecar, showing(&comes, &[])).await.unwrap();
    ask(&sidecar, showing(&stays, &[])).await.unwrap();
    ask(&sidecar, showing(&goes, &[])).await.unwrap_err();
    put(&open).await.expect("a connection keeps what it was made with");
}

/// The cluster moves to another CA: certificates of both sides change.
#[tokio::test]
async fn the_cluster_is_reached_again_when_its_ca_was_replaced_on_both_sides() {
    let (certs, next) = (Certs::new(), Certs::new());
    let tls = certs.of_etcd();
    let client = certs.client(None);
    let mut etcd = Options::default().tls(tls.clone()).start();
    let mut sidecar = showing(&certs, &client, &etcd.endpoint());
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    put(&channel).await.unwrap();
    // Another certificate of the same CA: connections that are open stay.
    client.replace_by(&certs.client(None));
    reload(&mut sidecar, REPLACED, 1.0).await;
    put(&channel).await.unwrap();

    let new_ca = certs.directory().join("new-ca.pem");
    fs::copy(next.ca(), &new_ca).unwrap();
    fs::rename(new_ca, certs.ca()).unwrap();
    client.replace_by(&next.client(None));
    Pair { cert: tls.cert_file, key: tls.key_file }.replace_by(&next.server());
    let (cert, key) = tls.client.expect("the fixture has one");
    Pair { cert, key }.replace_by(&next.client(None));
    etcd.restart();
    put(&channel).await.expect_err("the sidecar still trusts the old CA only");
    reload(&mut sidecar, REPLACED, 2.0).await;
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while let Err(status) = put(&channel).await {
        assert!(std::time::Instant::now() < deadline, "{status:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Connections opened once, and a new one for each call.
struct Load {
    stop: Arc<AtomicBool>,
    done: [Arc<AtomicUsize>; 2],
    workers: JoinSet<()>,
}

impl Load {
    async fn start(url: &str, config: &Arc<ClientConfig>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let done: [Arc<AtomicUsize>; 2] = Default::default();
        let mut workers = JoinSet::new();
        for worker in 0..4 {
            let (url, config, stop) = (url.to_owned(), config.clone(), stop.clone());
            let (done, keeps) = (done[worker % 2].clone(), worker % 2 == 0);
            let mut channel = Channel::connect_tls(&url, config.clone()).await.unwrap();
            workers.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    if !keeps {
                        channel = Channel::connect_tls(&url, config.clone()).await.expect("it shakes hands");
                    }
                    put(&channel).await.expect("no call fails");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let load = Self { stop, done, workers };
        load.flows().await;
        load
    }

    /// Until some more calls of both kinds have ended.
    async fn flows(&self) {
        for done in &self.done {
            let begun = done.load(Ordering::Relaxed);
            while done.load(Ordering::Relaxed) < begun + 25 {
                assert_eq!(self.workers.len(), 4);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    async fn stop(mut self) -> (usize, usize) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.workers.join_next().await {
            ended.expect("nothing failed");
        }
        let [on_old, on_new] = self.done.map(|done| done.load(Ordering::Relaxed));
        (on_old, on_new)
    }
}

async fn reload(sidecar: &mut Sidecar, outcome: &str, expected: f64) {
    sidecar.signal(Signal::HUP);
    becomes(sidecar, &series(outcome), expected).await;
}

fn series(outcome: &str) -> String {
    format!("etcdlet_tls_reloads_total{{outcome=\"{outcome}\"}}")
}

async fn put(channel: &Channel) -> Result<PutResponse, Status> {
    let request = PutRequest { key: "key".into(), value: "value".into(), ..Default::default() };
    channel.call("/etcdserverpb.KV/Put", &request).await
}

const FAILED: &str = "failed";
const REPLACED: &str = "replaced";
