//! May this client watch this, and what is the revision?
//!
//! A read of exactly the range that is to be watched, at a revision that never is, costs etcd
//! nothing: it says that the revision is of the future to whoever may read, and refuses the others.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::super::core::{Authorization, Authorize, Header, Probe};
use super::framed;
use super::state::Shared;
use crate::proto::etcdserverpb::RangeRequest;
use crate::proxy::caller::Caller;
use crate::proxy::{Proxy, peek, retry};
use crate::types::call::{Body, Call, Wire};
use crate::types::client::Client;
use crate::types::method::Rpc;
use crate::types::status::{Code, ETCD_FUTURE_REVISION, percent_decode};
use crate::upstream::Answer;

pub(super) async fn run(proxy: Arc<Proxy>, shared: Arc<Shared>, caller: Caller, request: Authorize) {
    let authorization = match request.range {
        Some(probe) => match ask(&proxy, &caller, &probe, Member::Any).await {
            // A member that lags may not know a token that another one has just given out, or a right.
            denied @ Authorization::Denied { .. } => {
                match ask(&proxy, &caller, &probe, Member::Fresh).await {
                    Authorization::Failed => denied,
                    other => other,
                }
            }
            other => other,
        },
        None => match revision(&proxy, &caller, &Bytes::from_static(&[0]), Member::Any).await {
            Ok(header) => Authorization::Permitted { header },
            Err(reason) => Authorization::Denied { header: None, reason },
        },
    };
    let watermark = proxy.watermark.revision();
    let authorization = match authorization {
        Authorization::Denied { header: None, reason } => {
            Authorization::Denied { header: known(&proxy, watermark), reason }
        }
        other => other,
    };
    shared.with(|core, now| core.handle_authorized(request.create, authorization, watermark, now));
}

/// Who is asked.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Member {
    Any,
    /// One that knows all that was acknowledged.
    Fresh,
}

async fn ask(proxy: &Arc<Proxy>, caller: &Caller, probe: &Probe, member: Member) -> Authorization {
    let (permission, revision) =
        tokio::join!(permission(proxy, caller, probe, member), revision(proxy, caller, &probe.key, member));
    match (permission, revision) {
        (Permission::Denied(reason), revision) => Authorization::Denied { header: revision.ok(), reason },
        (Permission::Granted, Ok(header)) => Authorization::Permitted { header },
        (Permission::Unknown, _) | (Permission::Granted, Err(_)) => Authorization::Failed,
    }
}

enum Permission {
    Denied(String),
    Granted,
    /// Nobody could be asked.
    Unknown,
}

async fn permission(proxy: &Proxy, caller: &Caller, probe: &Probe, member: Member) -> Permission {
    let Probe { key, range_end } = probe.clone();
    let serializable = member == Member::Any;
    let request = RangeRequest { key, range_end, revision: i64::MAX, serializable, ..Default::default() };
    // Not as a read that may be stale: the error is the answer.
    let Ok(answer) = proxy.answer_as_is(call(caller, &request)).await else { return Permission::Unknown };
    match error(&answer) {
        None => Permission::Granted,
        Some((Code::OutOfRange, text)) if text == ETCD_FUTURE_REVISION => Permission::Granted,
        Some((code, text)) if is_refusal(code) => Permission::Denied(reason(code, &text)),
        Some(_) => Permission::Unknown,
    }
}

/// Why there is no header, as far as anybody said it.
pub(super) enum Unread {
    Failed(String),
    /// The caller may not read.
    Refused(String),
}

async fn revision(
    proxy: &Arc<Proxy>,
    caller: &Caller,
    key: &Bytes,
    member: Member,
) -> Result<Header, String> {
    let header = header(proxy, caller, key, member).await;
    header.map_err(|(Unread::Failed(reason) | Unread::Refused(reason))| reason)
}

/// The header of a read of one key.
pub(super) async fn header(
    proxy: &Arc<Proxy>,
    caller: &Caller,
    key: &Bytes,
    member: Member,
) -> Result<Header, Unread> {
    let serializable = member == Member::Any;
    let request = RangeRequest { key: key.clone(), keys_only: true, serializable, ..Default::default() };
    let answered = proxy.answer(call(caller, &request), Instant::now()).await;
    let answered = answered.map_err(|_| Unread::Failed(String::new()))?;
    match (answered.header, error(&answered.answer)) {
        (Some(header), None) => {
            // What a client is about to be told.
            proxy.watermark.on_answer(header, answered.answer.from);
            let peek::Header { cluster_id, member_id, revision, raft_term } = header;
            Ok(Header { cluster_id, member_id, revision, raft_term })
        }
        (_, Some((code, text))) if is_refusal(code) => Err(Unread::Refused(reason(code, &text))),
        (_, Some((code, text))) => Err(Unread::Failed(reason(code, &text))),
        (None, None) => Err(Unread::Failed(String::new())),
    }
}

/// A header for whom nobody reads anything: of a member, as far as it is known.
fn known(proxy: &Proxy, revision: i64) -> Option<Header> {
    let view = proxy.upstream.view();
    let report = view.members.iter().find_map(|member| member.report.as_ref())?;
    Some(Header {
        cluster_id: report.cluster_id.0,
        member_id: report.member_id.0,
        revision,
        raft_term: report.term.0,
    })
}

fn call(caller: &Caller, request: &RangeRequest) -> Call {
    Call {
        rpc: Rpc::of(RANGE),
        wire: Wire::H2,
        head: caller.head(RANGE),
        deadline: None,
        client: Client::own(),
        body: Body::Full(framed(request)),
    }
}

fn error(answer: &Answer) -> Option<(Code, String)> {
    let (code, message) = retry::error_of(answer)?;
    Some((code, percent_decode(message.map_or(b"", |message| message.as_bytes()))))
}

fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::FailedPrecondition | Code::InvalidArgument | Code::PermissionDenied | Code::Unauthenticated
    )
}

/// As the Go library of etcd prints a status.
fn reason(code: Code, text: &str) -> String {
    format!("rpc error: code = {code:?} desc = {text}")
}

const RANGE: &str = "/etcdserverpb.KV/Range";
