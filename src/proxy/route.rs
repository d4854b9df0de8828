//! Where a call goes: which connections it shares with others of its temper.

use super::peek;
use super::read_ahead::{Budget, Hold};
use crate::types::call::{Body, Call, Wire};
use crate::types::method::Shape;
use crate::types::status::{Code, Status};
use crate::upstream::LaneKind;

/// Chooses the lane of a call, reading the request ahead where it has one message. What was read
/// is held in the budget as long as the second value lives.
pub(super) async fn route<'a>(
    call: &mut Call,
    budget: &'a Budget,
) -> Result<(LaneKind, Option<Hold<'a>>), Status> {
    if call.wire == Wire::H1 || call.rpc.shape == Shape::Bidirectional {
        return Ok((LaneKind::Stream, None));
    }
    let body = std::mem::replace(&mut call.body, Body::Empty);
    // A body that breaks is a client that went away: nobody reads this status.
    let (body, hold) =
        budget.read(body).await.map_err(|error| Status::new(Code::Canceled, error.to_string()))?;
    call.body = body;
    let lane = if call.rpc.endless {
        LaneKind::Stream
    } else if is_long(call) {
        LaneKind::Bulk
    } else {
        LaneKind::Unary
    };
    Ok((lane, Some(hold)))
}

/// Whether the request or its answer may be long. A transaction's answer may be too, but hardly
/// ever is.
fn is_long(call: &Call) -> bool {
    match &call.body {
        Body::Stream(_) => true,
        Body::Full(bytes) if bytes.len() > SHORT_REQUEST => true,
        Body::Full(bytes) if is_range(call) => peek::message(bytes).is_none_or(peek::is_long_range),
        Body::Empty | Body::Full(_) => call.rpc.shape == Shape::ServerStream,
    }
}

fn is_range(call: &Call) -> bool {
    call.rpc.path == "/etcdserverpb.KV/Range"
}

/// A request up to this size fits the smallest connection window of HTTP/2, so that it waits
/// for nothing and others do not wait for it.
const SHORT_REQUEST: usize = 32 << 10;
