//! Certificates that are renewed while connections are open.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use super::{reloaded, until};
use crate::http1::client::Connection;
use crate::observability::metric;
use crate::support::certs::{Certs, Pair};
use crate::support::etcd::Etcd;
use crate::support::grpc::Channel;
use crate::support::load::RANGE;
use crate::support::sidecar::Sidecar;
use etcdlet::proto::etcdserverpb as pb;

#[tokio::test]
async fn new_connections_are_shown_the_new_certificate_and_old_ones_go_on() {
    let (certs, etcd) = (Certs::new(), Etcd::start());
    let mounted = tempfile::tempdir().unwrap();
    mount(mounted.path(), "first", &certs.server());
    let sidecar = Sidecar::with_config(&format!(
        "
listen: [{{url: 'https://{{listen}}', tls: {{cert-file: '{0}/tls.crt', key-file: '{0}/tls.key'}}}}]
upstream: {{endpoints: ['{1}']}}
admin: {{url: 'http://{{admin}}'}}
reload: {{interval: 200ms}}
",
        mounted.path().display(),
        etcd.endpoint()
    ));
    let url = format!("https://{}", sidecar.addr());
    let calls = Calls::start(&url, &certs);
    let mut old_http = Connection::open_tls(&url, certs.client_config(None, &[])).await.unwrap();
    assert_eq!(old_http.get("/version").await.status, 200);
    let first = shown(&sidecar, &certs).await;
    mount(mounted.path(), "second", &certs.server());
    reloaded(&sidecar, "ok", 1);
    let second = shown(&sidecar, &certs).await;
    assert_ne!(first, second);
    assert!(calls.stop() > 20);
    assert_eq!(old_http.get("/version").await.status, 200);

    // A key that does not fit: everything stays, and it is said which files.
    let (one, other) = (certs.server(), certs.server());
    mount(mounted.path(), "third", &Pair { cert: one.cert, key: other.key });
    reloaded(&sidecar, "failed", 1);
    assert_eq!(shown(&sidecar, &certs).await, second);
    let named = format!("{}/tls.crt and ", mounted.path().display());
    until(&sidecar, "the files are named", || sidecar.log().contains(&named));
    // Put right again, without anybody's doing.
    mount(mounted.path(), "fourth", &certs.server());
    reloaded(&sidecar, "ok", 2);
    assert_ne!(shown(&sidecar, &certs).await, second);
    assert_eq!(metric(&sidecar, "etcdlet_config_restart_needed"), 0.0);
}

/// Calls on one connection, one after the other, on a thread of their own.
struct Calls {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Calls {
    /// Returns when the first has succeeded.
    fn start(url: &str, certs: &Certs) -> Self {
        let (url, config) = (url.to_owned(), certs.client_config(None, &["h2"]));
        let stop = Arc::new(AtomicBool::new(false));
        let (begun, first) = mpsc::channel();
        let stopped = stop.clone();
        let run = async move {
            let channel = Channel::connect_tls(&url, config).await.unwrap();
            let range = pb::RangeRequest { key: "key".into(), ..Default::default() };
            let mut calls = 0;
            while !stopped.load(Ordering::SeqCst) {
                channel.call::<_, pb::RangeResponse>(RANGE, &range).await.unwrap();
                calls += 1;
                let _more = begun.send(());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            calls
        };
        let thread = std::thread::spawn(|| {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run)
        });
        first.recv().expect("the first call succeeds");
        Self { stop, thread }
    }

    /// How many there were; none has failed.
    fn stop(self) -> usize {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().expect("every call succeeds")
    }
}

/// As Kubernetes brings a version of a Secret: the files are links into `..data`, which is a link to
/// a directory that is replaced in one step.
fn mount(at: &Path, version: &str, pair: &Pair) {
    let directory = at.join(format!("..{version}"));
    fs::create_dir(&directory).unwrap();
    fs::copy(&pair.cert, directory.join("tls.crt")).unwrap();
    fs::copy(&pair.key, directory.join("tls.key")).unwrap();
    symlink(format!("..{version}"), at.join("..data_tmp")).unwrap();
    fs::rename(at.join("..data_tmp"), at.join("..data")).unwrap();
    for name in ["tls.crt", "tls.key"] {
        // There already from the second on.
        let _there = symlink(format!("..data/{name}"), at.join(name));
    }
}

/// The certificate that a new connection sees.
async fn shown(sidecar: &Sidecar, certs: &Certs) -> Vec<u8> {
    let connector = tokio_rustls::TlsConnector::from(certs.client_config(None, &["h2"]));
    let stream = TcpStream::connect(sidecar.addr()).await.unwrap();
    let session = connector.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await.unwrap();
    session.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}
