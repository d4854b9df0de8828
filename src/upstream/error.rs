//! Why a call has no answer.

use crate::types::call::Broken;
use crate::types::ids::ClusterId;
use crate::types::method::Effect;
use crate::types::status::{CONNECTION_LOST, Code, OUTCOME_UNKNOWN, Status};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A read was given up: its member has left rotation.
    #[error("the member has left rotation")]
    Evicted,
    /// A read was answered by a member of a cluster with this id, which is not ours.
    #[error("the member is of another cluster, {0}")]
    Foreign(ClusterId),
    /// Nothing there understands HTTP/1.1, for this reason: the call was not processed.
    #[error("{0}")]
    NoHttp(&'static str),
    /// The call was sent; whether etcd processed it is not known.
    #[error("{0}")]
    Lost(Broken),
    /// The member says that it did not process the call.
    #[error("refused by the member, not processed")]
    Refused,
    /// No endpoint could be connected to: the call was not sent.
    #[error("{0}")]
    Unreachable(String),
    /// The request cannot be expressed towards the member: it was not sent.
    #[error("{0}")]
    Unsendable(String),
}

impl Failure {
    /// What the client is told. A mutation that may have happened says so.
    pub fn status(&self, effect: Effect) -> Status {
        match self {
            Self::Evicted => Status::new(Code::Unavailable, CONNECTION_LOST),
            Self::Foreign(cluster) => Status::new(
                Code::Unavailable,
                format!("etcdlet: the member that answered is of another cluster, {cluster}"),
            ),
            Self::Lost(_) if effect == Effect::Read => Status::new(Code::Unavailable, CONNECTION_LOST),
            Self::Lost(_) => Status::new(Code::Unavailable, OUTCOME_UNKNOWN),
            Self::NoHttp(why) => Status::new(Code::Unavailable, format!("etcdlet: {why}")),
            Self::Refused => {
                Status::new(Code::Unavailable, "etcdlet: the member refused the call, not processed")
            }
            Self::Unreachable(why) => {
                Status::new(Code::Unavailable, format!("etcdlet: no endpoint is reachable, not sent: {why}"))
            }
            Self::Unsendable(why) => {
                Status::new(Code::Internal, format!("etcdlet: malformed request: {why}"))
            }
        }
    }

    /// Label of the failure metric.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Evicted => "evicted",
            Self::Foreign(_) => "foreign",
            Self::Lost(_) => "lost",
            Self::NoHttp(_) => "no http",
            Self::Refused => "refused",
            Self::Unreachable(_) => "unreachable",
            Self::Unsendable(_) => "unsendable",
        }
    }
}
