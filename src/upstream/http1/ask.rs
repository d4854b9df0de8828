//! One request in HTTP/1.1, and its answer.

use std::sync::Arc;

use http::{Request, StatusCode};
use hyper_util::client::legacy::Error;

use super::headers::{strip, upgrade};
use super::speech::{GRPC_ONLY, Heard};
use crate::types::call::{Broken, Call};
use crate::upstream::answer::{Answer, AnswerBody, From, Gather};
use crate::upstream::connections::Connections;
use crate::upstream::error::Failure;
use crate::upstream::link::GIVEN_UP;
use crate::upstream::uri::aim_h1;

/// Waits for the answer, as much of it as is gathered; a read may be given up meanwhile.
pub(in crate::upstream) async fn ask(
    call: Call,
    connections: Arc<Connections>,
    from: From,
    gathers: Option<Gather>,
    evictable: bool,
) -> Result<Answer, Failure> {
    let exchange = async {
        let mut answer = send(call, &connections, from).await?;
        if gathers.is_some() {
            answer.gather_body().await.map_err(Failure::Lost)?;
        }
        Ok(answer)
    };
    tokio::select! {
        biased;
        outcome = exchange => outcome,
        () = connections.evicted(), if evictable => Err(Failure::Evicted),
    }
}

async fn send(call: Call, connections: &Connections, from: From) -> Result<Answer, Failure> {
    let Call { rpc, body, mut head, .. } = call;
    let mut cut = connections.http1_cut(rpc.endless);
    let malformed = |error: http::Error| Failure::Unsendable(error.to_string());
    aim_h1(&mut head, &connections.endpoint.address).map_err(malformed)?;
    if rpc.is_websocket() {
        upgrade(&mut head.headers).map_err(malformed)?;
    }
    let request = Request::from_parts(*head, body);
    let response = tokio::select! {
        biased;
        response = connections.http1.request(request) => response,
        () = &mut cut => return Err(Failure::Lost(Broken::Connection(GIVEN_UP.to_owned()))),
    };
    let response = response.map_err(|error| failure(&error, connections))?;
    let (mut head, body) = response.into_parts();
    strip(&mut head.headers);
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        upgrade(&mut head.headers).map_err(malformed)?;
    }
    Ok(Answer::new(head, AnswerBody::h1(body, cut), from))
}

fn failure(error: &Error, connections: &Connections) -> Failure {
    let why = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    if error.is_connect() {
        return Failure::Unreachable(format!("{}: {why}", connections.endpoint.address));
    }
    let mut of_connection = http::Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut of_connection);
    }
    match of_connection.get::<Arc<Heard>>() {
        Some(heard) if heard.is_http2() => Failure::NoHttp(GRPC_ONLY),
        _ => Failure::Lost(Broken::Connection(why)),
    }
}
