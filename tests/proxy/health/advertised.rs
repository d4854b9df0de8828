//! URLs that the members advertise and that don't lead to them.

use std::time::Duration;

use tokio::time::sleep;

use super::{Client, calls, config, member, standing, view, view_becomes};
use crate::support::etcd::{Etcd, Options};
use crate::support::ports::free_port;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn an_advertised_url_that_leads_back_or_nowhere_or_elsewhere_gets_no_call() {
    let foreign = Etcd::start();
    let itself = format!("http://127.0.0.1:{}", free_port());
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let advertised = [itself.clone(), nobody.clone(), foreign.endpoint()];
    let mut cluster =
        Options::default().flag(format!("--advertise-client-urls={}", advertised.join(","))).start_cluster(3);
    // The other two members are known by what they advertise alone.
    let seed = cluster.members[0].endpoint();
    let listen = format!("listen: [{{url: 'http://{{listen}}'}}, {{url: '{itself}'}}]");
    let yaml = config(std::slice::from_ref(&seed), "sync-interval: 1s");
    let sidecar = Sidecar::with_config(&yaml.replace("listen: [{url: 'http://{listen}'}]", &listen));
    let client = Client::connect(&itself).await;

    view_becomes(&sidecar, super::SOON, "each of the URLs is told for what it is", |view| {
        standing(view, &seed) == "healthy"
            && standing(view, &itself) == "loop"
            && matches!(standing(view, &nobody), "unproven" | "unreachable")
            && standing(view, &foreign.endpoint()) == "foreign cluster"
    })
    .await;
    let only = super::ids(&cluster).await[0];
    let answered = client.call_all(50).await;
    assert!(answered.iter().all(|id| *id == only), "the others are not reachable: {answered:x?}");
    for url in &advertised {
        assert!(calls(&sidecar, url) < 0.5, "{url} got {} calls", calls(&sidecar, url));
    }
    // The cluster of its seed is the one it belongs to, and stays so without the seed.
    let pinned = view(&sidecar)["cluster_id"].clone();
    cluster.members[0].kill();
    sleep(Duration::from_secs(2)).await;
    client.read().await.expect_err("no member of the cluster is left");
    let view = view(&sidecar);
    assert_eq!(view["cluster_id"], pinned, "{view:#}");
    assert!(member(&view, &seed).is_some(), "the seed stays: {view:#}");
    for url in &advertised {
        assert!(calls(&sidecar, url) < 0.5, "{url} got {} calls", calls(&sidecar, url));
    }
    let log = sidecar.log();
    assert!(!log.contains("panic"), "{log}");
}
