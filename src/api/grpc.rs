//! Requests in HTTP/2: gRPC, and whatever else comes that way.

use std::future::poll_fn;
use std::time::Instant;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Request, Response};

use crate::net::h2_body::{Received, Stopped, transmit};
use crate::proxy::Proxy;
use crate::types::call::{Body, Call, Reply, Wire, grpc_timeout, is_grpc};
use crate::types::method::{HTTP, Rpc};

/// Serves one stream to its end. A client that resets it ends the call.
pub async fn serve(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, proxy: &Proxy) {
    let call = call(request);
    let reply = tokio::select! {
        biased;
        reply = proxy.call(call) => reply,
        _reset = poll_fn(|cx| respond.poll_reset(cx)) => return,
    };
    answer(reply, respond).await;
}

fn call(request: Request<RecvStream>) -> Call {
    let (head, body) = request.into_parts();
    let rpc = if is_grpc(&head.headers) { Rpc::of(head.uri.path()) } else { &HTTP };
    Call {
        rpc,
        wire: Wire::H2,
        deadline: grpc_timeout(&head.headers).map(|timeout| Instant::now() + timeout),
        method: head.method,
        uri: head.uri,
        metadata: head.headers,
        body: if body.is_end_stream() { Body::Empty } else { Body::stream(Received::new(body)) },
    }
}

async fn answer(reply: Reply, mut respond: SendResponse<Bytes>) {
    let Reply { status, headers, mut body } = reply;
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    let ended = matches!(body, Body::Empty);
    // Fails only when the client has gone: then nobody is there to tell.
    let Ok(mut stream) = respond.send_response(response, ended) else { return };
    if !ended && let Err(Stopped::Body(_)) = transmit(&mut body, &mut stream).await {
        // A gRPC answer ends with trailers in every case; this one is something else.
        stream.send_reset(Reason::INTERNAL_ERROR);
    }
}
