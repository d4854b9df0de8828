//! A member that joins while the sidecar runs: first without a vote, then with one.

use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb as pb;
use tokio::time::sleep;

use super::{Client, SOON, calls, config, settles, standing, view, view_becomes};
use crate::support::etcd::Cluster;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn a_learner_gets_no_call_and_is_found_and_used_once_it_is_promoted() {
    let mut cluster = Cluster::start(3);
    let old = cluster.endpoints();
    let fast = "sync-interval: 500ms\n  probe: {idle-interval: 500ms}";
    // One has to find it, the other was told of it.
    let finder = Sidecar::with_config(&config(&old, fast));
    settles(&finder, &old).await;
    // etcd takes no new member before the others have been connected for 5 s.
    sleep(Duration::from_secs(6)).await;
    let place = cluster.add_learner();
    let (endpoint, learner) = (cluster.members[place].endpoint(), cluster.members[place].id());
    let told = Sidecar::with_config(&config(&cluster.endpoints(), fast));
    view_becomes(&told, SOON, "it is told for a learner", |view| standing(view, &endpoint) == "learner")
        .await;
    settles(&told, &old).await;
    // Time for the member list to be asked for.
    sleep(Duration::from_secs(2)).await;
    let view = view(&finder);
    assert!(matches!(standing(&view, &endpoint), "absent" | "learner"), "{view:#}");
    for sidecar in [&finder, &told] {
        let answered = Client::connect(&sidecar.url()).await.call_all(40).await;
        assert!(!answered.contains(&learner), "the learner answered: {answered:x?}");
        assert!(calls(sidecar, &endpoint) < 0.5, "it got {} calls", calls(sidecar, &endpoint));
    }

    promote(&mut cluster, learner).await;
    for (sidecar, source) in [(&finder, "members"), (&told, "static")] {
        let view = view_becomes(sidecar, Duration::from_secs(5), "it is in rotation", |view| {
            standing(view, &endpoint) == "healthy"
        })
        .await;
        let member = super::member(&view, &endpoint).expect("it is there");
        assert_eq!(member["source"], source, "{view:#}");
        let answered = Client::connect(&sidecar.url()).await.call_all(40).await;
        assert!(answered.contains(&learner), "it got no call: {answered:x?}");
    }
}

/// Gives it a vote, as soon as it has caught up.
async fn promote(cluster: &mut Cluster, learner: u64) {
    let leader = cluster.leader();
    let channel = Client::connect(&cluster.members[leader].endpoint()).await.channel;
    let request = pb::MemberPromoteRequest { id: learner };
    let path = "/etcdserverpb.Cluster/MemberPromote";
    let deadline = Instant::now() + SOON;
    while let Err(status) = channel.call::<_, pb::MemberPromoteResponse>(path, &request).await {
        assert!(Instant::now() < deadline, "the learner does not catch up: {status:?}");
        sleep(Duration::from_millis(50)).await;
    }
}
