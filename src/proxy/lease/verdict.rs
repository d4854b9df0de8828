//! Whom the end of a stream to a member is about.

use crate::types::status::{Code, ETCD_LEARNER, ETCD_NOT_PRIMARY, ETCD_RAFT_STOPPED, Status};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// About the member: what it has not answered is asked of another.
    Again,
    /// About the token, hence about everything that was sent with it.
    All,
    /// About the first request without an answer: etcd handles one after the other, and an error
    /// of one ends the stream (`server/etcdserver/api/v3rpc/lease.go`).
    First,
}

/// The verdict on a stream that ended with `status` although its requests had not ended, unless it
/// had one (`raw`) and that was all.
pub(super) fn verdict(status: &Status, raw: bool) -> Verdict {
    match status.code {
        Code::Ok if !raw => Verdict::Again,
        Code::Canceled | Code::DeadlineExceeded | Code::Unavailable => Verdict::Again,
        Code::Unknown if [ETCD_NOT_PRIMARY, ETCD_RAFT_STOPPED].contains(&&*status.message) => Verdict::Again,
        Code::FailedPrecondition if status.message == ETCD_LEARNER => Verdict::Again,
        Code::Unauthenticated => Verdict::All,
        _ => Verdict::First,
    }
}

/// What a client is told that should open another stream.
pub(super) fn unavailable(status: &Status) -> Status {
    if status.code == Code::Unavailable {
        return status.clone();
    }
    let text = format!("etcdlet: the member answered {}: {}", status.code.name(), status.message);
    Status::new(Code::Unavailable, text)
}
