//! Where a call goes: which connections it shares with others of its temper.

use super::peek;
use super::read_ahead::{Budget, Hold};
use crate::types::call::{Body, Broken, Call, Wire};
use crate::types::method::Shape;
use crate::upstream::LaneKind;

/// Chooses the lane of a call, reading the request ahead where it has one message. What was read
/// is held in the budget as long as the second value lives.
pub(super) async fn route<'a>(
    call: &mut Call,
    budget: &'a Budget,
) -> Result<(LaneKind, Option<Hold<'a>>), Broken> {
    if call.wire == Wire::H1 || call.rpc.shape == Shape::Bidirectional {
        return Ok((LaneKind::Stream, None));
    }
    let body = std::mem::replace(&mut call.body, Body::Empty);
    let (body, hold) = budget.read(body).await?;
    call.body = body;
    let lane = if call.rpc.endless {
        LaneKind::Stream
    } else if is_long(call, hold.length()) {
        LaneKind::Bulk
    } else {
        LaneKind::Unary
    };
    Ok((lane, Some(hold)))
}

/// Whether the request or its answer may be long. A transaction's answer may be too, but hardly
/// ever is.
fn is_long(call: &Call, request: usize) -> bool {
    let long_answer = match &call.body {
        Body::Full(bytes) if is_range(call) => peek::message(bytes).is_none_or(peek::is_long_range),
        // A range that could not be looked at.
        Body::Stream(_) if is_range(call) => true,
        Body::Empty | Body::Full(_) | Body::Stream(_) => call.rpc.shape == Shape::ServerStream,
    };
    long_answer || request > SHORT_REQUEST
}

fn is_range(call: &Call) -> bool {
    call.rpc.path == "/etcdserverpb.KV/Range"
}

/// A request up to this size fits the smallest connection window of HTTP/2, so that it waits
/// for nothing and others do not wait for it.
const SHORT_REQUEST: usize = 32 << 10;
