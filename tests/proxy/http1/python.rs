//! A client library of the JSON gateway, unchanged.

use std::process::Output;

use crate::observability::becomes;
use crate::support::etcd::Cluster;
use crate::support::sidecar::Sidecar;
use crate::support::tools::python;

#[tokio::test]
async fn etcd3gw_works_through_the_sidecar() {
    let cluster = Cluster::start(3);
    let sidecar = Sidecar::start(&cluster.endpoints());
    becomes(&sidecar, "etcdlet_cluster_has_leader", 1.0).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proxy/gateway_client.py");
    let output = python()
        .arg(script)
        .arg(sidecar.addr().ip().to_string())
        .arg(sidecar.addr().port().to_string())
        .output()
        .expect("python runs");
    let Output { status, stdout, stderr } = &output;
    assert!(status.success(), "{}{}", String::from_utf8_lossy(stdout), String::from_utf8_lossy(stderr));
}
