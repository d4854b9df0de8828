//! The admin port: what the process says of itself: its metrics, the cluster as it sees it, and what
//! watches share.

mod cluster;
mod watches;

use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::proxy::Watermark;
use crate::telemetry::metrics::Metrics;
use crate::upstream::health::Publisher;

/// Where the answers come from.
#[derive(Clone)]
pub struct State {
    pub metrics: Metrics,
    pub views: Publisher,
    pub watermark: Watermark,
    pub watches: crate::proxy::watch::Hub,
}

/// Serves until the process ends, so that a drain can be watched.
pub async fn run(listener: TcpListener, state: State) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let response = answer(&request, &state);
                async { Ok::<_, Infallible>(response) }
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "admin connection ended");
            }
        });
    }
}

fn answer(request: &Request<Incoming>, state: &State) -> Response<Full<Bytes>> {
    let (status, kind, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => {
            (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", Bytes::from(state.metrics.render()))
        }
        (&Method::GET, "/cluster") => {
            let view = state.views.borrow().clone();
            (StatusCode::OK, "application/json", cluster::render(&view, &state.watermark).into())
        }
        (&Method::GET, "/watches") => match watches::render(&state.watches, request.uri().query()) {
            Ok(text) => (StatusCode::OK, "application/json", text.into()),
            Err(why) => (StatusCode::BAD_REQUEST, TEXT, why.into()),
        },
        (_, "/cluster" | "/metrics" | "/watches") => {
            (StatusCode::METHOD_NOT_ALLOWED, TEXT, Bytes::from_static(b"GET only\n"))
        }
        _ => (
            StatusCode::NOT_FOUND,
            TEXT,
            Bytes::from_static(b"not found; there are /cluster, /metrics and /watches\n"),
        ),
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

const TEXT: &str = "text/plain; charset=utf-8";
