//! The endpoints, in turn.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, SendStream};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Uri, Version};
use tokio::sync::Notify;

use super::answer::{Answer, AnswerBody, Exchange};
use super::config::Config;
use super::dial::Dialer;
use super::endpoint::Endpoint;
use super::error::Failure;
use super::lane::{LaneKind, Offer};
use super::link::Lease;
use super::metrics::Families;
use crate::net::h2_body::{Received, Stopped, broken, is_refused, transmit};
use crate::tls::TlsError;
use crate::tls::client::Client;
use crate::types::call::{Body, Call, Wire};

/// Sends calls to the cluster, from one thread of the data path.
pub struct Upstream {
    endpoints: Vec<Endpoint>,
    next: AtomicUsize,
    changed: Arc<Notify>,
    metrics: Families,
    presents_common_name: bool,
}

impl Upstream {
    /// Reads the certificate files, if the endpoints or the configuration need them.
    /// `control` is the runtime on which connections are made.
    pub fn try_new(
        config: &Config,
        metrics: &Families,
        control: tokio::runtime::Handle,
    ) -> Result<Self, TlsError> {
        let needs_tls = config.endpoints.iter().any(|endpoint| endpoint.tls);
        let tls = needs_tls.then(|| Client::try_new(&config.tls)).transpose()?;
        let presents_common_name = tls.as_ref().is_some_and(|client| client.common_name.is_some());
        let dialer = Dialer { control, tls, timeout: config.connect_timeout };
        let changed = Arc::new(Notify::new());
        let endpoint = |address: &_| {
            let metrics = metrics.of(&ToString::to_string(address));
            Endpoint::new(Clone::clone(address), &dialer, &metrics, &changed)
        };
        Ok(Self {
            endpoints: config.endpoints.iter().map(endpoint).collect(),
            next: AtomicUsize::new(0),
            metrics: metrics.clone(),
            presents_common_name,
            changed,
        })
    }

    /// Whether etcd could take our certificate's Common Name for the user of a call.
    pub fn presents_common_name(&self) -> bool {
        self.presents_common_name
    }

    /// Connects to every endpoint before the first call needs it.
    pub fn warm(&self) {
        for endpoint in &self.endpoints {
            endpoint.lane(LaneKind::Unary).warm();
        }
    }

    /// Sends a call and waits for the head of its answer.
    pub async fn send(&self, call: Call, lane: LaneKind) -> Result<Answer, Failure> {
        let outcome = match call.wire {
            Wire::H1 => self.send_h1(call).await,
            Wire::H2 => self.send_h2(call, lane).await,
        };
        if let Err(failure) = &outcome {
            self.metrics.on_failure(failure.reason());
        }
        outcome
    }

    async fn send_h2(&self, call: Call, lane: LaneKind) -> Result<Answer, Failure> {
        let Call { body, uri, method, metadata, .. } = call;
        let mut head = Request::new(()).into_parts().0;
        head.method = method;
        head.version = Version::HTTP_2;
        head.headers = metadata;
        head.uri = uri;
        let mut request = Some(Request::from_parts(head, ()));
        let ended = matches!(body, Body::Empty);
        let (response, stream, lease) = loop {
            if let Some(opened) = self.try_open(&mut request, ended, lane)? {
                break opened;
            }
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            // Once more, now that no change can be missed.
            if let Some(opened) = self.try_open(&mut request, ended, lane)? {
                break opened;
            }
            changed.await;
        };
        exchange(body, response, stream, lease).await
    }

    /// A stream on the next endpoint in turn that has a connection; `None` when one is being
    /// made.
    fn try_open(
        &self,
        request: &mut Option<Request<()>>,
        ended: bool,
        lane: LaneKind,
    ) -> Result<Option<(ResponseFuture, SendStream<Bytes>, Lease)>, Failure> {
        let unsendable = |error: &dyn std::fmt::Display| Failure::Unsendable(error.to_string());
        let mut failures = Vec::new();
        let mut dialing = false;
        for endpoint in self.in_turn() {
            let waiting = request.as_mut().expect("a lane leaves the request unless it opens a stream");
            aim(waiting.uri_mut(), endpoint).map_err(|error| unsendable(&error))?;
            let offer = endpoint
                .lane(lane)
                .open(request, |link, request| link.try_open(request, ended))
                .map_err(|error| unsendable(&error))?;
            match offer {
                Offer::Dialing => dialing = true,
                Offer::Failed(why) => failures.push(why),
                Offer::Opened(opened) => return Ok(Some(opened)),
            }
        }
        if dialing { Ok(None) } else { Err(Failure::Unreachable(failures.join("; "))) }
    }

    async fn send_h1(&self, call: Call) -> Result<Answer, Failure> {
        let endpoint = self.first_reachable();
        let Call { body, mut uri, method, metadata, .. } = call;
        aim(&mut uri, endpoint).map_err(|error| Failure::Unsendable(error.to_string()))?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = metadata;
        let response = endpoint.http1.request(request).await.map_err(|error| {
            let why =
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            if error.is_connect() {
                Failure::Unreachable(format!("{}: {why}", endpoint.address))
            } else {
                Failure::Lost(crate::types::call::Broken::Connection(why))
            }
        })?;
        let (head, body) = response.into_parts();
        Ok(Answer { status: head.status, headers: head.headers, body: AnswerBody::h1(body) })
    }

    /// The next in turn whose last connection did not fail. A request in HTTP/1 is tried only
    /// once, so its choice leans on what the lanes know.
    fn first_reachable(&self) -> &Endpoint {
        let mut in_turn = self.in_turn().peekable();
        let first = *in_turn.peek().expect("a configuration has at least one endpoint");
        in_turn.find(|endpoint| endpoint.lane(LaneKind::Unary).warm()).unwrap_or(first)
    }

    fn in_turn(&self) -> impl Iterator<Item = &Endpoint> {
        let count = self.endpoints.len();
        let first = if count == 1 { 0 } else { self.next.fetch_add(1, Ordering::Relaxed) % count };
        self.endpoints[first..].iter().chain(&self.endpoints[..first])
    }
}

/// Completes the URI for `endpoint`: its scheme, and its authority where the client gave none.
fn aim(uri: &mut Uri, endpoint: &Endpoint) -> Result<(), http::Error> {
    let scheme = if endpoint.address.tls { Scheme::HTTPS } else { Scheme::HTTP };
    if uri.scheme() == Some(&scheme) && uri.authority().is_some() {
        return Ok(());
    }
    let mut parts = std::mem::take(uri).into_parts();
    parts.scheme = Some(scheme);
    if parts.authority.is_none() {
        parts.authority = Some(Authority::try_from(endpoint.address.authority())?);
    }
    if parts.path_and_query.is_none() {
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
    }
    *uri = Uri::from_parts(parts)?;
    Ok(())
}

/// Sends the body while it waits for the head of the answer.
async fn exchange(
    mut body: Body,
    response: ResponseFuture,
    mut stream: SendStream<Bytes>,
    lease: Lease,
) -> Result<Answer, Failure> {
    let sending = match body {
        Body::Empty => None,
        Body::Full(bytes) => {
            // Not counted against the window here: h2 holds it, and the read-ahead limit bounds it.
            stream.send_data(bytes, true).map_err(|error| Failure::Lost(broken(&error)))?;
            None
        }
        Body::Stream(_) => Some(
            tokio::spawn(async move {
                if let Err(Stopped::Body(_)) = transmit(&mut body, &mut stream).await {
                    stream.send_reset(Reason::CANCEL);
                }
            })
            .abort_handle(),
        ),
    };
    let exchange = Exchange { _lease: lease, sending };
    let response = response
        .await
        .map_err(|error| if is_refused(&error) { Failure::Refused } else { Failure::Lost(broken(&error)) })?;
    let (head, received) = response.into_parts();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: AnswerBody::h2(Received::new(received), exchange),
    })
}
