//! What a member says of a request that is none: releases differ in their words.

use std::time::Duration;

use bytes::Bytes;

use super::super::WATCH;
use crate::proxy::caller::Caller;
use crate::proxy::{Proxy, Unanswered, retry};
use crate::types::call::{Body, Call, Wire};
use crate::types::client::Client;
use crate::types::method::{Effect, Rpc};
use crate::types::status::{Code, Status, percent_decode};
use crate::upstream::Answer;

/// The end of a stream that has these bytes, and then no more.
pub(super) async fn objection(proxy: &Proxy, caller: &Caller, bytes: Bytes) -> Status {
    let call = Call {
        rpc: Rpc::of(WATCH),
        wire: Wire::H2,
        head: caller.head(WATCH),
        deadline: None,
        client: Client::own(),
        body: Body::Full(bytes),
    };
    match tokio::time::timeout(PATIENCE, proxy.answer_as_is(call)).await {
        Ok(Ok(answer)) => of(&answer),
        Ok(Err(Unanswered::Status(status))) => Some(status),
        Ok(Err(Unanswered::Failed(failure))) => Some(failure.status(Effect::Read)),
        Err(_elapsed) => None,
    }
    .unwrap_or_else(|| Status::new(Code::Internal, OURS))
}

fn of(answer: &Answer) -> Option<Status> {
    let (code, message) = retry::error_of(answer)?;
    let message = percent_decode(message.map_or(b"", |message| message.as_bytes()));
    let is_own = !matches!(code, Code::Canceled | Code::DeadlineExceeded);
    is_own.then(|| Status::new(code, message))
}

/// For a member to say so.
const PATIENCE: Duration = Duration::from_secs(5);

const OURS: &str = "grpc: failed to unmarshal the received message";
