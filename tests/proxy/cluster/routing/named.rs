//! The header `etcdlet-member`, by which a client chooses the member.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;
use prost::Message;

use crate::cluster::{RANGE, STATUS, beside_others, connect, in_front, range, shown};
use crate::support::etcd::Cluster;
use crate::support::grpc::{Channel, metadata};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Call, Report, Upstream};

#[tokio::test]
async fn a_member_is_named_by_its_name_or_id() {
    let _turn = beside_others().await;
    let mut cluster = Cluster::start(3);
    let sidecar = in_front(&cluster).await;
    let channel = connect(&sidecar).await;
    for member in &mut cluster.members {
        let id = member.id();
        for name in [member.name().to_owned(), format!("{id:x}")] {
            for _ in 0..5 {
                let named = metadata(&[("etcdlet-member", &name)]);
                let status: pb::StatusResponse =
                    channel.call_with(STATUS, named.clone(), &pb::StatusRequest {}).await.unwrap();
                assert_eq!(status.header.unwrap().member_id, id, "Status by {name}");
                for serializable in [false, true] {
                    let request = range("key", serializable);
                    let read: pb::RangeResponse =
                        channel.call_with(RANGE, named.clone(), &request).await.unwrap();
                    assert_eq!(read.header.unwrap().member_id, id, "a get by {name}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_member_that_is_down_or_unknown_is_not_replaced_by_another() {
    let _turn = beside_others().await;
    let mut cluster = Cluster::start(3);
    let sidecar = in_front(&cluster).await;
    let channel = connect(&sidecar).await;
    for name in ["m3", "M0", "abc123", "ffffffffffffffff", ""] {
        let status = status_by(&channel, name).await.expect_err("nobody has that name");
        assert_eq!(status.code, Some(5), "{name:?}: {status:?}");
        assert!(status.message.contains("etcdlet: no such member"), "{name:?}: {status:?}");
    }
    let follower = (cluster.leader() + 1) % 3;
    cluster.members[follower].kill();
    let endpoint = cluster.members[follower].endpoint();
    shown::until(&sidecar, Duration::from_secs(5), "it is out", |shown| !shown.member(&endpoint).healthy())
        .await;
    let status = status_by(&channel, cluster.members[follower].name()).await.expect_err("it is down");
    assert_eq!(status.code, Some(14), "{status:?}");
    let other = (follower + 1) % 3;
    status_by(&channel, cluster.members[other].name()).await.expect("another one is not");
}

async fn status_by(
    channel: &Channel,
    name: &str,
) -> Result<pb::StatusResponse, crate::support::grpc::Status> {
    channel.call_with(STATUS, metadata(&[("etcdlet-member", name)]), &pb::StatusRequest {}).await
}

#[tokio::test]
async fn the_header_stays_with_the_sidecar() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let upstream = Upstream::start(move |call| {
        log.lock().unwrap().push((call.path().to_owned(), call.metadata().clone()));
        only_member(call)
    });
    let pb::ResponseHeader { cluster_id, member_id, revision, raft_term: term } = HEADER;
    upstream.report(Report { cluster_id, member_id, term, leader: member_id, revision, learner: false });
    let sidecar = Sidecar::start(&[upstream.url()]);
    shown::until(&sidecar, Duration::from_secs(10), "the member's id is known", |shown| {
        shown.members.iter().any(|it| it.id == Some(member_id))
    })
    .await;
    let channel = connect(&sidecar).await;
    for read in 0..2 {
        let id = format!("{member_id:x}");
        let named = metadata(&[("etcdlet-member", &id), ("other", "value")]);
        let _: pb::RangeResponse = channel.call_with(RANGE, named, &range("key", read == 0)).await.unwrap();
    }
    let seen = seen.lock().unwrap();
    let ours = |headers: &&HeaderMap| headers.contains_key("other");
    assert_eq!(seen.iter().map(|(_, headers)| headers).filter(ours).count(), 2);
    for (path, headers) in &*seen {
        assert!(!headers.contains_key("etcdlet-member"), "{path}: {headers:?}");
    }
}

async fn only_member(call: Call) {
    call.answer(&pb::RangeResponse { header: Some(HEADER), ..Default::default() }.encode_to_vec()).await;
}

const HEADER: pb::ResponseHeader =
    pb::ResponseHeader { cluster_id: 0xc1, member_id: 0xab12, revision: 5, raft_term: 2 };
