//! Requests in HTTP/1.1, which pass as they are: JSON, health, version, metrics.

use std::sync::Arc;
use std::time::Instant;

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::proxy::Proxy;
use crate::types::call::{Body, Broken, Call, Reply, Tunnel, TunnelFuture, Wire, grpc_timeout};
use crate::types::client::Client;
use crate::types::method::Rpc;

/// The second value is what becomes of the connection when the answer is that it switches protocols.
pub async fn serve(
    request: Request<Incoming>,
    proxy: &Arc<Proxy>,
    client: Arc<Client>,
) -> (Response<Body>, Option<TunnelFuture>) {
    let (head, body) = request.into_parts();
    let rpc = Rpc::of_http(&head);
    // etcd's gateway passes it on.
    let timeout = if rpc.is_gateway() { grpc_timeout(&head.headers) } else { None };
    let call = Call {
        rpc,
        wire: Wire::H1,
        head: Box::new(head),
        deadline: timeout.map(|timeout| Instant::now() + timeout),
        client,
        body: if hyper::body::Body::is_end_stream(&body) {
            Body::Empty
        } else {
            Body::stream(body.map_err(|error| Broken::Connection(error.to_string())))
        },
    };
    let Reply { mut head, body } = proxy.call(call).await;
    let tunnel = head.extensions.remove::<Tunnel>().and_then(|tunnel| tunnel.take());
    (Response::from_parts(head, body), tunnel)
}
