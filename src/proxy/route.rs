//! Where a call goes: which connections it shares with others of its temper.

use super::peek;
use super::read_ahead::Budget;
use crate::types::call::{Body, Call, Wire};
use crate::types::method::{Shape, Target};
use crate::types::status::{Code, Status};
use crate::upstream::LaneKind;

/// Chooses the lane of a call, reading the request ahead where it has one message.
pub(super) async fn route(call: &mut Call, budget: &Budget) -> Result<LaneKind, Status> {
    if call.wire == Wire::H1 || call.rpc.shape == Shape::Bidirectional {
        return Ok(LaneKind::Stream);
    }
    let body = std::mem::replace(&mut call.body, Body::Empty);
    // A body that breaks is a client that went away: nobody reads this status.
    call.body = budget.read(body).await.map_err(|error| Status::new(Code::Canceled, error.to_string()))?;
    Ok(match (call.rpc.shape, &call.body) {
        (_, _) if call.rpc.endless => LaneKind::Stream,
        (Shape::ServerStream, _) => LaneKind::Bulk,
        (_, Body::Full(bytes)) if call.rpc.target == Target::Peek => {
            match peek::message(bytes) {
                Some(message) if is_range(call) && !peek::is_long_range(message) => LaneKind::Unary,
                // A transaction's answer is as long as its ranges; few are.
                Some(_) if !is_range(call) => LaneKind::Unary,
                _ => LaneKind::Bulk,
            }
        }
        // Too long to be read ahead: it would hold up the small ones.
        (_, Body::Stream(_)) => LaneKind::Bulk,
        (_, Body::Empty | Body::Full(_)) => LaneKind::Unary,
    })
}

fn is_range(call: &Call) -> bool {
    call.rpc.path == "/etcdserverpb.KV/Range"
}
