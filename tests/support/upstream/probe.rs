//! Probes: an etcdlet asks on connections of its own how a member is.

use etcdlet::proto::etcdserverpb as pb;
use prost::Message;

use super::call::Call;

/// What a member says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) cluster_id: u64,
    pub(crate) member_id: u64,
    pub(crate) term: u64,
    /// 0 where it knows of none.
    pub(crate) leader: u64,
    pub(crate) revision: i64,
    pub(crate) learner: bool,
}

/// What a probe is told.
#[derive(Clone, Debug, Default)]
pub(super) enum Reply {
    /// As by a member with authentication, from which only its life can be told.
    #[default]
    Denied,
    Report(Report),
    Silence,
}

impl Report {
    fn header(&self) -> pb::ResponseHeader {
        pb::ResponseHeader {
            cluster_id: self.cluster_id,
            member_id: self.member_id,
            revision: self.revision,
            raft_term: self.term,
        }
    }
}

pub(super) fn is_probe(call: &Call) -> bool {
    call.metadata().get("user-agent").is_some_and(|agent| agent.as_bytes().starts_with(AGENT))
}

pub(super) async fn answer(mut call: Call, reply: Reply) {
    call.body().await;
    let report = match reply {
        Reply::Denied => return deny(call),
        Reply::Report(report) => report,
        Reply::Silence => return std::future::pending().await,
    };
    let header = Some(report.header());
    match call.path() {
        "/etcdserverpb.Maintenance/Status" => {
            let Report { term: raft_term, leader, learner: is_learner, .. } = report;
            let version = "3.6.0".to_owned();
            let status =
                pb::StatusResponse { header, raft_term, leader, is_learner, version, ..Default::default() };
            call.answer(&status.encode_to_vec()).await;
        }
        "/etcdserverpb.KV/Range" => {
            call.answer(&pb::RangeResponse { header, ..Default::default() }.encode_to_vec()).await;
        }
        _ => deny(call),
    }
}

fn deny(call: Call) {
    call.refuse(PERMISSION_DENIED, "etcdserver: permission denied");
}

/// How the name of a prober begins.
const AGENT: &[u8] = b"etcdlet-probe/";
const PERMISSION_DENIED: u32 = 7;
