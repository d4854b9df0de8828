//! Two members that play one script together: what becomes of a call depends on how many came before it at either.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;
use prost::Message;

use super::{PUT, RANGE, in_front_of, until};
use crate::observability::metric;
use crate::support::grpc::{Answer, Channel};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::{Call, Upstream};

pub(super) struct Pair {
    pub(super) members: [Upstream; 2],
    pub(super) sidecar: Sidecar,
    pub(super) channel: Channel,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A call as it came.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) member: usize,
    pub(super) metadata: HeaderMap,
}

impl Pair {
    /// `script` gets each call with the number of those before it. `more` is the rest of the configuration.
    pub(super) async fn start<F>(
        more: &str,
        script: impl Fn(usize, Call) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start_each(more, move |_, number, call| script(number, call)).await
    }

    /// The same; `script` gets the member's place too.
    pub(super) async fn start_each<F>(
        more: &str,
        script: impl Fn(usize, usize, Call) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let members = [0, 1].map(|member| {
            let (seen, script) = (seen.clone(), script.clone());
            Upstream::start(move |call| {
                let mut seen = seen.lock().expect("nothing panics under this lock");
                seen.push(Seen { member, metadata: call.metadata().clone() });
                script(member, seen.len() - 1, call)
            })
        });
        let (sidecar, channel) = in_front_of(&[&members[0], &members[1]], more).await;
        until(Duration::from_secs(5), "both are connected to", || {
            members.iter().all(|member| member.connections_open() > 0)
        })
        .await;
        Self { members, sidecar, channel, seen }
    }

    /// The calls so far, in their order.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("nothing panics under this lock").clone()
    }

    /// That so many calls came, and that each of them went to the other member than the one before.
    pub(super) fn assert_alternating(&self, count: usize, what: &str) {
        let members: Vec<usize> = self.seen().iter().map(|seen| seen.member).collect();
        assert_eq!(members.len(), count, "{what}: {members:?}");
        assert!(members.windows(2).all(|two| two[0] != two[1]), "{what}: {members:?}");
    }

    pub(super) async fn wait_for_calls(&self, count: usize) {
        until(Duration::from_secs(5), "the call arrives", || self.seen().len() >= count).await;
    }

    pub(super) async fn ask(&self, question: &Question) -> Answer {
        self.channel.unary(question.path, HeaderMap::new(), &question.message).await
    }

    /// The same in the background.
    pub(super) fn asking(&self, question: &Question) -> tokio::task::JoinHandle<Answer> {
        let (channel, Question { path, message, .. }) = (self.channel.clone(), question.clone());
        tokio::spawn(async move { channel.unary(path, HeaderMap::new(), &message).await })
    }

    pub(super) fn retries(&self, reason: &str) -> f64 {
        metric(&self.sidecar, &format!("etcdlet_retries_total{{reason=\"{reason}\"}}"))
    }
}

#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) name: &'static str,
    pub(super) path: &'static str,
    pub(super) message: Vec<u8>,
}

pub(super) fn put() -> Question {
    Question { name: "a put", path: PUT, message: b"\n\x01a".to_vec() }
}

pub(super) fn range(serializable: bool) -> Question {
    let name = if serializable { "a serializable range" } else { "a linearizable range" };
    let request = pb::RangeRequest { key: "a".into(), serializable, ..Default::default() };
    Question { name, path: RANGE, message: request.encode_to_vec() }
}

/// Reads of every kind.
pub(super) fn reads() -> Vec<Question> {
    let range_of_a = pb::RangeRequest { key: "a".into(), ..Default::default() };
    let read = pb::RequestOp { request: Some(pb::request_op::Request::RequestRange(range_of_a)) };
    let txn = pb::TxnRequest { success: vec![read], ..Default::default() };
    let lease = pb::LeaseTimeToLiveRequest { id: 7, ..Default::default() };
    vec![
        range(false),
        range(true),
        Question {
            name: "a transaction that reads",
            path: "/etcdserverpb.KV/Txn",
            message: txn.encode_to_vec(),
        },
        Question {
            name: "a look at a lease",
            path: "/etcdserverpb.Lease/LeaseTimeToLive",
            message: lease.encode_to_vec(),
        },
    ]
}

/// A transaction that writes if a comparison says so.
pub(super) fn writing_txn() -> Question {
    let put = pb::PutRequest { key: "a".into(), ..Default::default() };
    let write = pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put)) };
    let txn = pb::TxnRequest { failure: vec![write], ..Default::default() };
    Question {
        name: "a transaction that may write",
        path: "/etcdserverpb.KV/Txn",
        message: txn.encode_to_vec(),
    }
}

/// Keeps a call without an answer.
pub(super) async fn keep(call: Call) {
    std::future::pending::<()>().await;
    drop(call);
}
