//! Asking one member how it is, on a connection of its own.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};
use http_body_util::BodyExt;
use prost::Message;

use super::Signals;
use super::core::{ListedMember, Outcome, Probe};
use super::refusal::{is_about_permission, is_momentary, refusal, wants_token};
use crate::net::h2_body::Received;
use crate::net::socket::Traffic;
use crate::proto::etcdserverpb::{
    AuthenticateRequest, AuthenticateResponse, MemberListRequest, MemberListResponse, RangeRequest,
    RangeResponse, StatusRequest, StatusResponse,
};
use crate::proto::health::{HealthCheckRequest, HealthCheckResponse};
use crate::types::call::Body;
use crate::types::hop::{self, HOP};
use crate::types::ids::{ClusterId, MemberId, Term};
use crate::types::status::Status;
use crate::upstream::changes::Changes;
use crate::upstream::dial::{self, Dialer, Protocol};
use crate::upstream::http1::Http1;
use crate::upstream::lane::LaneKind;
use crate::upstream::link::{Link, OpenError};
use crate::upstream::metrics::EndpointMetrics;
use crate::upstream::view::{Endpoint, Report};

/// Whom the probes are sent as, where the cluster demands it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

pub(super) struct Prober {
    endpoint: Endpoint,
    dialer: Dialer,
    credentials: Option<Credentials>,
    changes: Changes,
    http1: Http1,
    link: tokio::sync::Mutex<Option<Arc<Link>>>,
    token: Mutex<Token>,
    round_trip: Mutex<Option<Duration>>,
    /// Something was answered on the connection that there is.
    understood: AtomicBool,
}

#[derive(Default)]
struct Token {
    value: Option<HeaderValue>,
    /// The credentials were refused; they may be put right meanwhile.
    refused_at: Option<Instant>,
}

/// Why a probe has no answer.
enum Unanswered {
    /// As [`Outcome::Garbled`].
    Garbled(String),
    Lost(String),
    Refused(Status),
}

impl Prober {
    pub fn new(
        endpoint: &Endpoint,
        dialer: Dialer,
        credentials: Option<Credentials>,
        signals: Signals,
    ) -> Self {
        let http1 = Http1::new(endpoint, dialer.clone(), Traffic::detached());
        Self {
            endpoint: endpoint.clone(),
            dialer,
            credentials,
            changes: Changes::new(signals),
            http1,
            link: tokio::sync::Mutex::default(),
            token: Mutex::default(),
            round_trip: Mutex::default(),
            understood: AtomicBool::default(),
        }
    }

    /// Ends when the member has shown that its process runs, though it owes an answer for a while.
    pub async fn pulse(&self) {
        tokio::time::sleep(PULSE_AFTER).await;
        let link = self.link.lock().await.clone();
        let alive = match link {
            Some(link) => link.ping().await.is_ok(),
            None => false,
        };
        if !alive {
            std::future::pending::<()>().await;
        }
    }

    pub async fn probe(&self, probe: Probe, sent_at: Instant) -> Outcome {
        let asked = async {
            match probe {
                Probe::Members => self.members().await,
                Probe::Read => self.read().await,
                Probe::Status => self.status(sent_at).await,
            }
        };
        match tokio::time::timeout(PROBE_LIMIT, asked).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(Unanswered::Lost(why))) => Outcome::Failed(why),
            Ok(Err(Unanswered::Garbled(why))) => Outcome::Garbled(why),
            Ok(Err(Unanswered::Refused(status))) if status.message == hop::LOOP => Outcome::Loop,
            Ok(Err(Unanswered::Refused(status))) => match probe {
                // etcd reads only after it has heard from the leader, and refuses only then.
                Probe::Read if is_about_permission(&status) => Outcome::Read,
                Probe::Members | Probe::Read => Outcome::Refused(status.message.into_owned()),
                Probe::Status if is_about_permission(&status) => {
                    let ready = tokio::time::timeout(PROBE_LIMIT, self.readiness()).await;
                    ready.map_or(Outcome::TimedOut, |not_ready| Outcome::Closed { not_ready })
                }
                Probe::Status => Outcome::Closed { not_ready: None },
            },
            Err(_elapsed) => {
                // Whatever holds it up, a new connection may get through.
                *self.link.lock().await = None;
                Outcome::TimedOut
            }
        }
    }

    async fn status(&self, sent_at: Instant) -> Result<Outcome, Unanswered> {
        let status: StatusResponse = self.ask(STATUS, &StatusRequest::default()).await?;
        let Some(header) = status.header else {
            return Ok(Outcome::Closed { not_ready: None });
        };
        Ok(Outcome::Status(Report {
            cluster_id: ClusterId(header.cluster_id),
            member_id: MemberId(header.member_id),
            term: Term(status.raft_term),
            leader: Some(status.leader).filter(|leader| *leader != 0).map(MemberId),
            applied_index: status.raft_applied_index,
            learner: status.is_learner,
            version: status.version,
            errors: status.errors,
            sent_at,
            received_at: Instant::now(),
        }))
    }

    async fn read(&self) -> Result<Outcome, Unanswered> {
        let request =
            RangeRequest { key: Bytes::from_static(&[0]), limit: 1, keys_only: true, ..Default::default() };
        let _: RangeResponse = self.ask("/etcdserverpb.KV/Range", &request).await?;
        Ok(Outcome::Read)
    }

    async fn members(&self) -> Result<Outcome, Unanswered> {
        let request = MemberListRequest { linearizable: true };
        let list: MemberListResponse = self.ask("/etcdserverpb.Cluster/MemberList", &request).await?;
        let members = list.members.into_iter().map(|member| ListedMember {
            id: MemberId(member.id),
            name: member.name,
            client_urls: member.client_ur_ls.iter().filter_map(|url| url.parse().ok()).collect(),
            learner: member.is_learner,
        });
        let cluster = list.header.map_or(ClusterId(0), |header| ClusterId(header.cluster_id));
        Ok(Outcome::Members(cluster, members.collect()))
    }

    /// What the member's own health checks say, for one that keeps its Status to itself: the
    /// first that it has.
    async fn readiness(&self) -> Option<String> {
        let paths = ["/readyz", "/health?exclude=NOSPACE"];
        // What some member says is of no use.
        let is_its_own = self.dialer.http_of(&self.endpoint).len() == 1;
        for path in paths.into_iter().filter(|_| is_its_own) {
            match self.http_get(path).await {
                Ok((200, _)) => return None,
                Ok((503, text)) => return Some(text),
                // An older release, or one that serves HTTP elsewhere.
                Ok(_) | Err(_) => {}
            }
        }
        let request = HealthCheckRequest::default();
        match self.ask::<_, HealthCheckResponse>("/grpc.health.v1.Health/Check", &request).await {
            Ok(answer) if answer.status == NOT_SERVING => Some("its gRPC health is NOT_SERVING".to_owned()),
            Ok(_) | Err(_) => None,
        }
    }

    async fn http_get(&self, path: &str) -> Result<(u16, String), String> {
        let url = format!("{}{path}", self.endpoint.address);
        let request =
            Request::get(url).header(&HOP, hop::own()).header(USER_AGENT, PROBE_AGENT).body(Body::Empty);
        let request = request.map_err(|error| error.to_string())?;
        let response = self.http1.request(request).await.map_err(|error| error.to_string())?;
        let status = response.status().as_u16();
        let body = http_body_util::Limited::new(response.into_body(), HEALTH_TEXT_MAX).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).trim().to_owned()))
    }

    /// How long the last Status took on its open connection, once.
    pub fn take_round_trip(&self) -> Option<Duration> {
        self.round_trip.lock().expect("nobody panics while holding the time").take()
    }

    /// A unary call as the one whose credentials there are.
    async fn ask<Q: Message, A: Message + Default>(&self, path: &str, request: &Q) -> Result<A, Unanswered> {
        let token = self.token().value.clone();
        match self.call(path, request, token).await {
            Err(Unanswered::Refused(status)) if wants_token(&status) => match self.authenticate().await? {
                Some(token) => self.call(path, request, Some(token)).await,
                None => Err(Unanswered::Refused(status)),
            },
            outcome => outcome,
        }
    }

    /// A new token, if there are credentials and the cluster takes them.
    async fn authenticate(&self) -> Result<Option<HeaderValue>, Unanswered> {
        let Some(Credentials { username, password }) = &self.credentials else { return Ok(None) };
        let refused_at = self.token().refused_at;
        if refused_at.is_some_and(|refused_at| refused_at.elapsed() < REFUSED_PAUSE) {
            return Ok(None);
        }
        let request = AuthenticateRequest { name: username.clone(), password: password.clone() };
        let answer = self.call("/etcdserverpb.Auth/Authenticate", &request, None).await;
        let token = match answer {
            Ok(AuthenticateResponse { token, .. }) => HeaderValue::from_str(&token).ok(),
            Err(Unanswered::Refused(status)) if is_momentary(&status) => {
                return Err(Unanswered::Refused(status));
            }
            Err(Unanswered::Refused(status)) => {
                let endpoint = &self.endpoint.address;
                tracing::warn!(%endpoint, username, error = %status.message, "upstream.auth is refused");
                None
            }
            Err(lost) => return Err(lost),
        };
        let refused_at = token.is_none().then(Instant::now);
        *self.token() = Token { value: token.clone(), refused_at };
        Ok(token)
    }

    fn token(&self) -> MutexGuard<'_, Token> {
        self.token.lock().expect("nobody panics while holding the token")
    }

    async fn call<Q: Message, A: Message + Default>(
        &self,
        path: &str,
        request: &Q,
        token: Option<HeaderValue>,
    ) -> Result<A, Unanswered> {
        let mut link = self.link().await?;
        let mut head = Some(self.head(path, token)?);
        // The connection may have ended since it was last used.
        let opened = loop {
            let given = head.take().expect("given back by every failed attempt");
            match link.try_open(Box::new(given), false) {
                Ok(opened) => break opened,
                Err(OpenError::Ended(given_back)) => {
                    head = Some(*given_back);
                    *self.link.lock().await = None;
                    link = self.link().await?;
                }
                Err(OpenError::Full(_)) => return Err(Unanswered::Lost("it allows no streams".to_owned())),
                Err(OpenError::Malformed(error)) => return Err(Unanswered::Lost(error.to_string())),
            }
        };
        let lost = |error: h2::Error| match self.understood.load(Ordering::Relaxed) {
            true => Unanswered::Lost(error.to_string()),
            false => self.garbled(&error.to_string()),
        };
        let mut stream = opened.stream;
        let sent_at = Instant::now();
        stream.send_data(framed(request), true).map_err(lost)?;
        let (head, body) = opened.response.await.map_err(lost)?.into_parts();
        self.understood.store(true, Ordering::Relaxed);
        if path == STATUS {
            *self.round_trip.lock().expect("nobody panics while holding the time") = Some(sent_at.elapsed());
        }
        if let Some(status) = refusal(&head.headers) {
            return Err(Unanswered::Refused(status));
        }
        let body = http_body_util::Limited::new(Received::new(body), ANSWER_MAX).collect().await;
        let body = body.map_err(|error| Unanswered::Lost(error.to_string()))?;
        if let Some(status) = body.trailers().and_then(refusal) {
            return Err(Unanswered::Refused(status));
        }
        let bytes = body.to_bytes();
        let message = bytes.get(5..).unwrap_or_default();
        A::decode(message).map_err(|error| Unanswered::Lost(format!("not an answer of etcd: {error}")))
    }

    fn head(&self, path: &str, token: Option<HeaderValue>) -> Result<http::request::Parts, Unanswered> {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(USER_AGENT, HeaderValue::from_static(PROBE_AGENT));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(&HOP, hop::own());
        if path != STATUS {
            // An answer at once where there is no leader. Status is to say so itself.
            headers.insert(HeaderName::from_static("hasleader"), HeaderValue::from_static("true"));
        }
        if let Some(token) = token {
            headers.insert(HeaderName::from_static("token"), token);
        }
        let request = Request::builder()
            .method(Method::POST)
            .version(Version::HTTP_2)
            .uri(format!("{}{path}", self.endpoint.address))
            .body(());
        let request = request.map_err(|error| Unanswered::Lost(error.to_string()))?;
        let (mut head, ()) = request.into_parts();
        head.headers = headers;
        Ok(head)
    }

    async fn link(&self) -> Result<Arc<Link>, Unanswered> {
        let mut link = self.link.lock().await;
        if let Some(link) = link.as_ref().filter(|link| !link.has_ended()) {
            return Ok(link.clone());
        }
        let metrics = EndpointMetrics::detached();
        let lost = |error: io::Error| match dial::has_reached(&error) {
            true => self.garbled(&error.to_string()),
            false => Unanswered::Lost(error.to_string()),
        };
        let parked = self.dialer.dial(&self.endpoint, Protocol::H2).await.map_err(lost)?;
        let transport = parked.attach(metrics.traffic.clone()).map_err(lost)?;
        self.understood.store(false, Ordering::Relaxed);
        let changes = self.changes.clone();
        let opened = Link::open(transport, &self.endpoint.address, LaneKind::Unary, metrics, changes).await;
        let opened = opened.map_err(|error| self.garbled(&format!("no HTTP/2 there: {error}")))?;
        Ok(link.insert(opened).clone())
    }

    fn garbled(&self, why: &str) -> Unanswered {
        let hint = if self.endpoint.address.tls { "" } else { "; if it serves TLS, name it https://" };
        Unanswered::Garbled(format!("{why}{hint}"))
    }
}

fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.extend_from_slice(&[0]);
    frame.extend_from_slice(&u32::try_from(length).expect("probes are short").to_be_bytes());
    message.encode(&mut frame).expect("the buffer grows");
    frame.freeze()
}

const STATUS: &str = "/etcdserverpb.Maintenance/Status";

/// For those who read the logs of the members.
const PROBE_AGENT: &str = concat!("etcdlet-probe/", env!("CARGO_PKG_VERSION"));

/// A probe that takes longer is sent again, on a new connection.
const PROBE_LIMIT: Duration = Duration::from_millis(1500);

/// A healthy member has answered by then.
const PULSE_AFTER: Duration = Duration::from_millis(200);

/// Between two attempts with credentials that were refused: each costs the cluster a hash.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

const ANSWER_MAX: usize = 1 << 20;
const HEALTH_TEXT_MAX: usize = 64 << 10;

/// `HealthCheckResponse.ServingStatus`.
const NOT_SERVING: i32 = 2;

#[cfg(test)]
mod tests {
    use http::Response;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::runtime::Handle;

    use super::*;
    use crate::tls;
    use crate::types::ids::EndpointId;
    use crate::upstream::dial::Timeout;
    use crate::upstream::view::Source;

    #[tokio::test]
    async fn a_member_that_is_there_and_does_not_understand_us_is_told_from_one_that_is_not() {
        // What an etcd that wants TLS says to whom has begun without: a fatal alert.
        let alert: &[u8] = &[21, 3, 1, 0, 2, 2, 70];
        for (scheme, answer) in
            [("http", &b""[..]), ("http", alert), ("http", b"HTTP/1.1 400 Bad Request\r\n\r\n")]
        {
            let outcome = probed(scheme, answer).await;
            let Outcome::Garbled(why) = &outcome else { panic!("{answer:?}: {outcome:?}") };
            assert!(why.ends_with("; if it serves TLS, name it https://"), "{why}");
        }
        for answer in [b"", alert] {
            let outcome = probed("https", answer).await;
            let Outcome::Garbled(why) = &outcome else { panic!("{answer:?}: {outcome:?}") };
            assert!(!why.contains("name it"), "{why}");
        }
        for scheme in ["http", "https"] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let prober = prober(scheme, &listener);
            drop(listener);
            let outcome = prober.probe(Probe::Status, Instant::now()).await;
            assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn whoever_has_answered_once_is_lost_and_no_stranger() {
        for (answers, understood) in [(0, false), (1, true)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let prober = prober("http", &listener);
            tokio::spawn(async move { answer(listener.accept().await.unwrap().0, answers).await });
            for _ in 0..answers {
                let outcome = prober.probe(Probe::Status, Instant::now()).await;
                assert!(matches!(outcome, Outcome::Closed { not_ready: None }), "{outcome:?}");
            }
            let outcome = prober.probe(Probe::Status, Instant::now()).await;
            match understood {
                true => assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}"),
                false => assert!(matches!(outcome, Outcome::Garbled(_)), "{outcome:?}"),
            }
        }
    }

    /// By whoever says this to the first bytes, and closes.
    async fn probed(scheme: &str, answer: &'static [u8]) -> Outcome {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let prober = prober(scheme, &listener);
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            stream.write_all(answer).await.unwrap();
        });
        prober.probe(Probe::Status, Instant::now()).await
    }

    /// Answers so many calls in HTTP/2 with an empty message, and closes at the next one.
    async fn answer(stream: TcpStream, calls: usize) {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        for _ in 0..calls {
            let (_request, mut respond) = connection.accept().await.unwrap().unwrap();
            let mut body = respond.send_response(Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(&[0; 5]), false).unwrap();
            let trailers = HeaderMap::from_iter([(
                HeaderName::from_static("grpc-status"),
                HeaderValue::from_static("0"),
            )]);
            body.send_trailers(trailers).unwrap();
        }
        connection.accept().await.unwrap().unwrap();
    }

    fn prober(scheme: &str, listener: &TcpListener) -> Prober {
        let unverified = tls::client::Config { skip_verify: true, ..Default::default() };
        let dialer = Dialer {
            control: Handle::current(),
            tls: Some(tls::client::Client::try_new(&unverified).unwrap()),
            timeout: Timeout::new(Duration::from_secs(3)),
            http_endpoints: Arc::default(),
        };
        let endpoint = Endpoint {
            id: EndpointId(0),
            address: format!("{scheme}://{}", listener.local_addr().unwrap()).parse().unwrap(),
            server_name: None,
            source: Source::Static,
            priority: 0,
            weight: 1,
        };
        Prober::new(&endpoint, dialer, None, Signals::default())
    }
}
