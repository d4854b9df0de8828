//! Who is watched through: one etcd, directly, behind the sidecar and behind etcd's own proxy.

use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;

use super::client::{Client, Seen, Watch};
use crate::observability::value;
use crate::support::etcd::{Etcd, GrpcProxy, Options};
use crate::support::grpc::PATIENCE;
use crate::support::sidecar::Sidecar;

/// One way to an etcd.
pub(super) struct Subject {
    name: &'static str,
    pub(super) url: String,
    patience: Duration,
}

impl Subject {
    fn direct(etcd: &Etcd) -> Self {
        Self { name: "etcd", url: etcd.endpoint(), patience: PATIENCE }
    }

    fn sidecar(sidecar: &Sidecar) -> Self {
        Self { name: "sidecar", url: sidecar.url(), patience: PATIENCE }
    }

    /// A sidecar that shares nothing.
    fn passing(sidecar: &Sidecar) -> Self {
        Self { name: "passing", url: sidecar.url(), patience: PATIENCE }
    }

    /// What it never answers must not be waited for. Were it only slow, its defect would be claimed too easily; the
    /// test of what the sidecar does is none the weaker.
    fn grpc_proxy(proxy: &GrpcProxy) -> Self {
        Self { name: "grpc-proxy", url: proxy.url(), patience: Duration::from_millis(1500) }
    }

    pub(super) async fn client(&self) -> Client {
        Client::connect(&self.url, self.patience).await
    }

    /// A key that the other subjects do not touch.
    pub(super) fn key(&self, key: &str) -> String {
        format!("{}/{key}", self.name)
    }
}

/// That `probe` finds nothing wrong, neither with etcd itself nor with the sidecar.
pub(super) async fn as_etcd(probe: impl AsyncFn(&Subject) -> Seen<()>) {
    let etcd = Etcd::start();
    as_etcd_with(&etcd, probe).await;
}

pub(super) async fn as_etcd_with(etcd: &Etcd, probe: impl AsyncFn(&Subject) -> Seen<()>) {
    let (sidecar, passing) = (Sidecar::start(&etcd.endpoints()), Sidecar::passing(&etcd.endpoints()));
    for subject in [Subject::direct(etcd), Subject::sidecar(&sidecar), Subject::passing(&passing)] {
        if let Err(defect) = probe(&subject).await {
            panic!("{}: {defect}", subject.name);
        }
    }
    for sidecar in [sidecar, passing] {
        assert!(!sidecar.log().contains("panic"), "{}", sidecar.log());
    }
}

/// The same; and that it finds this wrong with etcd's own proxy, so that the claim is not an empty one.
pub(super) async fn unlike_grpc_proxy(sign: &str, probe: impl AsyncFn(&Subject) -> Seen<()>) {
    unlike_grpc_proxy_with(&Etcd::start(), sign, probe).await;
}

pub(super) async fn unlike_grpc_proxy_with(
    etcd: &Etcd,
    sign: &str,
    probe: impl AsyncFn(&Subject) -> Seen<()>,
) {
    as_etcd_with(etcd, &probe).await;
    let proxy = GrpcProxy::start(etcd);
    match probe(&Subject::grpc_proxy(&proxy)).await {
        Ok(()) => panic!("etcd {}'s grpc-proxy does not have the defect", etcd.version()),
        Err(defect) => {
            println!("grpc-proxy: {defect}");
            assert!(defect.contains(sign), "grpc-proxy has another defect than {sign:?}: {defect}");
        }
    }
}

/// Open at this member.
pub(super) fn watchers(etcd: &Etcd) -> usize {
    value(&etcd.metrics(), "etcd_debugging_mvcc_watcher_total") as usize
}

/// An etcd with the users `root`, `wide` (may do everything) and `narrow` (everything below `narrow/`), whose passwords
/// are their names.
pub(super) fn guarded(options: Options) -> Etcd {
    let etcd = options.start();
    for arguments in [
        "user add root:root",
        "user grant-role root root",
        "user add wide:wide",
        "role add wide",
        "role grant-permission wide readwrite --prefix=true ",
        "user grant-role wide wide",
        "user add narrow:narrow",
        "role add narrow",
        "role grant-permission narrow readwrite --prefix=true narrow/",
        "user grant-role narrow narrow",
        "auth enable",
    ] {
        etcd.run_etcdctl(&arguments.split(' ').collect::<Vec<_>>());
    }
    etcd
}

/// Two streams to one etcd, directly and through the sidecar, that are asked the same and must show the same, to the
/// last field.
pub(super) struct Mirror {
    pub(super) direct: Watch,
    pub(super) through: Watch,
    /// Writes through the sidecar.
    pub(super) writer: Client,
    // Dropped last.
    _sidecar: Sidecar,
    pub(super) etcd: Etcd,
}

impl Mirror {
    pub(super) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub(super) async fn with(options: Options) -> Self {
        let etcd = options.start();
        let sidecar = Sidecar::start(&etcd.endpoints());
        let direct = Subject::direct(&etcd).client().await;
        let writer = Subject::sidecar(&sidecar).client().await;
        let through = Subject::sidecar(&sidecar).client().await;
        Self { direct: direct.watch().await, through: through.watch().await, writer, _sidecar: sidecar, etcd }
    }

    /// Another pair of streams to the same etcd.
    pub(super) async fn again(&mut self) {
        self.direct = Subject::direct(&self.etcd).client().await.watch().await;
        self.through = self.writer.watch().await;
    }

    pub(super) fn create(&mut self, request: &pb::WatchCreateRequest) {
        self.both(|watch| watch.create(request.clone()));
    }

    pub(super) fn both(&mut self, ask: impl Fn(&mut Watch)) {
        ask(&mut self.direct);
        ask(&mut self.through);
    }

    /// The next response of both.
    pub(super) async fn next(&mut self) -> pb::WatchResponse {
        self.all(1).await.remove(0)
    }

    /// The next ones; etcd leaves it open in which order the watchers of a stream see a revision.
    pub(super) async fn all(&mut self, count: usize) -> Vec<pb::WatchResponse> {
        let direct = sorted(&mut self.direct, count).await.expect("etcd answers");
        let through = sorted(&mut self.through, count).await;
        assert_eq!(through.as_ref(), Ok(&direct), "through the sidecar, and directly");
        direct
    }

    pub(super) async fn is_silent(&mut self) {
        self.direct.is_silent().await.expect("etcd is silent");
        self.through.is_silent().await.expect("the sidecar is silent");
    }
}

async fn sorted(watch: &mut Watch, count: usize) -> Seen<Vec<pb::WatchResponse>> {
    let mut responses = Vec::new();
    for _ in 0..count {
        responses.push(watch.next().await.map_err(|why| format!("{why} after {responses:?}"))?);
    }
    responses.sort_by_key(|it| (it.watch_id, it.header.as_ref().map(|header| header.revision)));
    Ok(responses)
}
