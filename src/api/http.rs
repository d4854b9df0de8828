//! Requests in HTTP/1.1, which pass as they are: JSON, health, version, metrics.

use std::sync::Arc;

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::proxy::Proxy;
use crate::types::call::{Body, Broken, Call, Reply, Wire};
use crate::types::client::Client;
use crate::types::method::Rpc;

pub async fn serve(request: Request<Incoming>, proxy: &Arc<Proxy>, client: Arc<Client>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let call = Call {
        rpc: Rpc::of_http(head.uri.path()),
        wire: Wire::H1,
        head: Box::new(head),
        deadline: None,
        client,
        body: Body::stream(body.map_err(|error| Broken::Connection(error.to_string()))),
    };
    let Reply { head, body } = proxy.call(call).await;
    Response::from_parts(head, body)
}
