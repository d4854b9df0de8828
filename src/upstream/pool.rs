//! The endpoints, in turn.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use h2::Reason;
use h2::client::ResponseFuture;
use http::header::HOST;
use http::request::Parts;
use http::uri::{self, Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Uri, Version};
use tokio::sync::Notify;

use super::answer::{Answer, AnswerBody, Exchange};
use super::config::Config;
use super::dial::Dialer;
use super::endpoint::Endpoint;
use super::error::Failure;
use super::http1::strip;
use super::lane::{LaneKind, Offer};
use super::link::Opened;
use super::metrics::Families;
use crate::net::address::Address;
use crate::net::h2_body::{Received, Stopped, broken, is_refused, transmit};
use crate::tls::TlsError;
use crate::tls::client::Client;
use crate::types::call::{Body, Broken, Call, Wire};

/// A call on its way.
pub struct Sent(Progress);

enum Progress {
    Failed(Failure),
    Sent(ResponseFuture, Exchange),
    /// It waits for a connection, or is HTTP/1.1. Boxed: few calls are, and all are this large.
    Later(Box<(Call, LaneKind)>),
}

/// Sends calls to the cluster, from one thread of the data path.
pub struct Upstream {
    endpoints: Vec<Endpoint>,
    /// One turn a lane, or calls that alternate between lanes would always meet the same endpoint.
    turns: [AtomicUsize; LaneKind::COUNT],
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
        let endpoint = |address: &Address| {
            let metrics = metrics.of(&address.to_string());
            Endpoint::new(address.clone(), &dialer, &metrics, &changed)
        };
        Ok(Self {
            endpoints: config.endpoints.iter().map(endpoint).collect(),
            turns: Default::default(),
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

    /// Sends a call as far as that goes without waiting. Not async, so that the call is not kept
    /// in the future of everyone who waits for the answer.
    pub fn send(&self, call: Call, lane: LaneKind) -> Sent {
        if self.leaves_as_h1(&call) {
            return Sent(Progress::Later(Box::new((call, lane))));
        }
        let Call { body, head, .. } = call;
        let ended = matches!(body, Body::Empty);
        let opened = match self.try_open(head, ended, lane) {
            Ok(Ok(opened)) => opened,
            Ok(Err(head)) => return Sent(Progress::Later(Box::new((Call { body, head, ..call }, lane)))),
            Err(failure) => return Sent(Progress::Failed(failure)),
        };
        match send_body(body, opened) {
            Ok((response, exchange)) => Sent(Progress::Sent(response, exchange)),
            Err(failure) => Sent(Progress::Failed(failure)),
        }
    }

    /// Waits for the head of the answer.
    pub async fn answer(&self, sent: Sent) -> Result<Answer, Failure> {
        let outcome = match sent.0 {
            Progress::Failed(failure) => Err(failure),
            Progress::Sent(response, exchange) => receive(response, exchange).await,
            Progress::Later(call) => Box::pin(self.send_later(*call)).await,
        };
        if let Err(failure) = &outcome {
            self.metrics.on_failure(failure.reason());
        }
        outcome
    }

    /// A member without TLS takes everything in HTTP/2 for gRPC. Clients of a TLS listener use
    /// HTTP/2 for the rest too, so that this goes to such a member in HTTP/1.1.
    fn leaves_as_h1(&self, call: &Call) -> bool {
        let by_tls = call.head.uri.scheme() == Some(&Scheme::HTTPS);
        let to_plain = || self.endpoints.iter().any(|endpoint| !endpoint.address.tls);
        call.wire == Wire::H1 || !call.is_grpc() && by_tls && to_plain()
    }

    async fn send_later(&self, (call, lane): (Call, LaneKind)) -> Result<Answer, Failure> {
        if self.leaves_as_h1(&call) {
            return self.send_h1(call).await;
        }
        let Call { body, head, .. } = call;
        let opened = self.open(head, matches!(body, Body::Empty), lane).await?;
        let (response, exchange) = send_body(body, opened)?;
        receive(response, exchange).await
    }

    /// Waits for a connection.
    async fn open(&self, mut head: Box<Parts>, ended: bool, lane: LaneKind) -> Result<Opened, Failure> {
        loop {
            let mut changed = pin!(self.changed.notified());
            // From here on no change is missed.
            changed.as_mut().enable();
            match self.try_open(head, ended, lane)? {
                Ok(opened) => return Ok(opened),
                Err(given_back) => head = given_back,
            }
            changed.await;
        }
    }

    /// A stream on the next endpoint in turn that has a connection; the head is given back when
    /// that has to be waited for.
    fn try_open(
        &self,
        mut head: Box<Parts>,
        ended: bool,
        lane: LaneKind,
    ) -> Result<Result<Opened, Box<Parts>>, Failure> {
        let mut failures = Vec::new();
        let mut wait = false;
        for endpoint in self.in_turn(lane) {
            aim(&mut head.uri, endpoint).map_err(|error| Failure::Unsendable(error.to_string()))?;
            match endpoint.lane(lane).open(head, ended) {
                Offer::Opened(opened) => return Ok(Ok(opened)),
                Offer::Wait(given_back) => (head, wait) = (given_back, true),
                Offer::Failed(given_back, why) => {
                    head = given_back;
                    failures.push(why);
                }
                Offer::Malformed(error) => return Err(Failure::Unsendable(error.to_string())),
            }
        }
        if wait { Ok(Err(head)) } else { Err(Failure::Unreachable(failures.join("; "))) }
    }

    async fn send_h1(&self, call: Call) -> Result<Answer, Failure> {
        let endpoint = self.first_reachable();
        let Call { body, mut head, .. } = call;
        aim_h1(&mut head, endpoint).map_err(|error| Failure::Unsendable(error.to_string()))?;
        let request = Request::from_parts(*head, body);
        let response = endpoint.http1.request(request).await.map_err(|error| {
            let why =
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            if error.is_connect() {
                Failure::Unreachable(format!("{}: {why}", endpoint.address))
            } else {
                Failure::Lost(Broken::Connection(why))
            }
        })?;
        let (mut head, body) = response.into_parts();
        strip(&mut head.headers);
        Ok(Answer { head, body: AnswerBody::h1(body) })
    }

    /// The next in turn whose last connection did not fail. A request in HTTP/1 is tried only
    /// once, so its choice leans on what the lanes know.
    fn first_reachable(&self) -> &Endpoint {
        let mut in_turn = self.in_turn(LaneKind::Stream).peekable();
        let first = *in_turn.peek().expect("a configuration has at least one endpoint");
        in_turn.find(|endpoint| endpoint.lane(LaneKind::Unary).warm()).unwrap_or(first)
    }

    fn in_turn(&self, lane: LaneKind) -> impl Iterator<Item = &Endpoint> {
        let count = self.endpoints.len();
        let first = self.turns[lane as usize].fetch_add(1, Ordering::Relaxed) % count;
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
    if parts.authority.is_none() {
        parts.authority = Some(Authority::try_from(endpoint.address.authority())?);
    }
    *uri = Uri::from_parts(parts_with_scheme(parts, endpoint))?;
    Ok(())
}

/// The same for HTTP/1.1. The URI names the endpoint, because hyper keeps connections by it and
/// clients may name any host; what they named stays in `Host`.
fn aim_h1(head: &mut Parts, endpoint: &Endpoint) -> Result<(), http::Error> {
    strip(&mut head.headers);
    let own = Authority::try_from(endpoint.address.authority())?;
    let mut parts = std::mem::take(&mut head.uri).into_parts();
    let named = parts.authority.replace(own.clone()).unwrap_or(own);
    if !head.headers.contains_key(HOST) {
        head.headers.try_insert(HOST, HeaderValue::from_str(named.as_str())?)?;
    }
    head.uri = Uri::from_parts(parts_with_scheme(parts, endpoint))?;
    head.version = Version::HTTP_11;
    Ok(())
}

fn parts_with_scheme(mut parts: uri::Parts, endpoint: &Endpoint) -> uri::Parts {
    parts.scheme = Some(if endpoint.address.tls { Scheme::HTTPS } else { Scheme::HTTP });
    parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    parts
}

/// Sends the body, in the background unless it is whole.
fn send_body(mut body: Body, opened: Opened) -> Result<(ResponseFuture, Exchange), Failure> {
    let Opened { response, mut stream, lease } = opened;
    let sending = match body {
        Body::Empty => None,
        Body::Full(bytes) => {
            // Not held back by the window: h2 keeps it, and the read-ahead limit bounds it.
            stream.send_data(bytes, true).map_err(|error| Failure::Lost(broken(&error)))?;
            None
        }
        Body::Stream(_) => {
            let sending = async move {
                if let Err(Stopped::Body(_)) = transmit(&mut body, &mut stream).await {
                    stream.send_reset(Reason::CANCEL);
                }
            };
            Some(tokio::spawn(sending).abort_handle())
        }
    };
    Ok((response, Exchange { _lease: lease, sending }))
}

/// Waits for the head of the answer.
async fn receive(response: ResponseFuture, exchange: Exchange) -> Result<Answer, Failure> {
    let response = response
        .await
        .map_err(|error| if is_refused(&error) { Failure::Refused } else { Failure::Lost(broken(&error)) })?;
    let (head, received) = response.into_parts();
    Ok(Answer { head, body: AnswerBody::h2(Received::new(received), exchange) })
}
