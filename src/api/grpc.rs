//! Requests in HTTP/2: gRPC, and whatever else comes that way.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{Method, Request, Response};

use crate::net::h2_body::{Received, Stopped, transmit};
use crate::proxy::Proxy;
use crate::types::call::{Body, Call, Reply, Wire, grpc_timeout, is_grpc};
use crate::types::client::Client;
use crate::types::method::Rpc;

/// Serves one stream to its end. A client that resets it ends the call.
///
/// The future is small enough for the allocator's fast path: every call makes one.
pub fn serve(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    proxy: Arc<Proxy>,
    client: Arc<Client>,
) -> impl Future<Output = ()> + Send {
    let is_head = request.method() == Method::HEAD;
    let call = call(request, client);
    async move {
        let reply = tokio::select! {
            biased;
            reply = proxy.call(call) => reply,
            _reset = poll_fn(|cx| respond.poll_reset(cx)) => return,
        };
        let Some((mut body, mut stream)) = begin(reply, is_head, respond) else { return };
        if let Err(Stopped::Body(_)) = transmit(&mut body, &mut stream).await {
            // A gRPC answer ends with trailers in every case; this one is something else.
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
    }
}

fn call(request: Request<RecvStream>, client: Arc<Client>) -> Call {
    let (head, body) = request.into_parts();
    Call {
        rpc: if is_grpc(&head.headers) { Rpc::of(head.uri.path()) } else { Rpc::of_http(&head) },
        wire: Wire::H2,
        deadline: grpc_timeout(&head.headers).map(|timeout| Instant::now() + timeout),
        head: Box::new(head),
        client,
        body: if body.is_end_stream() { Body::Empty } else { Body::stream(Received::new(body)) },
    }
}

/// Sends the head of the answer. `None` when that was all, or when the client has gone.
fn begin(reply: Reply, is_head: bool, mut respond: SendResponse<Bytes>) -> Option<(Body, SendStream<Bytes>)> {
    let Reply { head, body } = reply;
    // To HEAD there is none, whoever answers (RFC 9110, section 9.3.2).
    let ended = is_head || matches!(body, Body::Empty);
    let stream = respond.send_response(Response::from_parts(head, ()), ended).ok()?;
    (!ended).then_some((body, stream))
}
