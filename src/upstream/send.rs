//! Sending one call to one member.

use std::sync::Arc;
use std::time::Instant;

use h2::Reason;
use http::Request;
use http::request::Parts;
use http::uri::Scheme;

use super::answer::{Answer, AnswerBody, Exchange, From, Gather};
use super::balance::{Aim, Places, choose};
use super::connections::Connections;
use super::error::Failure;
use super::http1::{self, GRPC_ONLY};
use super::lane::{LaneKind, Offer};
use super::link::Opened;
use super::pool::{Routes, Upstream};
use super::response::Awaited;
use super::uri::aim;
use super::view::{self, Leader, Member, Standing, View};
use super::vitals::{Path, Waited};
use crate::net::h2_body::{Received, Stopped, broken, is_refused, transmit};
use crate::types::call::{Body, Broken, Call, Wire};
use crate::types::status::GRPC_STATUS;

/// Where a call should go, and how it may be treated on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    pub aim: Aim,
    pub lane: LaneKind,
    /// What its answer depends on; `None` for a call whose silence means nothing.
    pub path: Option<Path>,
    /// A read: it may be given up where it waits, to be asked for elsewhere.
    pub evictable: bool,
    /// The answer is ready when this is here; `None` for its head.
    pub gathers: Option<Gather>,
}

/// A call on its way.
pub struct Sent {
    /// The member's place in the view.
    pub place: usize,
    progress: Progress,
    from: From,
    gathers: Option<Gather>,
    waited: Option<Waited>,
    /// Where to listen for an eviction.
    evictable: Option<Arc<Connections>>,
}

enum Progress {
    /// Boxed: few calls are, and all are this large.
    H1(Box<(Call, Arc<Connections>)>),
    H2(Awaited, Exchange),
}

/// A call that no member has got.
pub struct Unsent {
    pub call: Call,
    pub why: Blocked,
}

struct NotOpened {
    /// Gone when HTTP/2 cannot carry it.
    head: Option<Box<Parts>>,
    why: Blocked,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// A connection is being made, or one is full for the moment.
    Connecting,
    /// Every endpoint leads back here.
    Loop,
    /// It wants the leader, and there is none, or none that can be reached.
    NoLeader,
    /// Nobody takes a request in HTTP, for this reason.
    NoHttp(&'static str),
    /// No member is left to be tried.
    Unreachable(String),
    /// HTTP cannot carry it to the member.
    Unsendable(String),
}

impl Upstream {
    /// Sends a call to the best member that is not in `tried`, as far as that goes without
    /// waiting. Not async, so that the call is not kept in the future of everyone who waits.
    pub fn try_send(&self, call: Call, route: &Route, tried: Places) -> Result<Sent, Box<Unsent>> {
        let routes = self.routes.load();
        if leaves_as_h1(&call, &routes, !self.dialer.http_endpoints.is_empty()) {
            return self.try_send_h1(call, route, tried, &routes);
        }
        let Call { body, head, .. } = call;
        let ended = matches!(body, Body::Empty);
        match self.try_open(head, ended, route, tried, &routes) {
            Ok((place, opened)) => Ok(self.sent(place, send_body(body, opened), route, &routes)),
            Err(NotOpened { head, why }) => {
                let head = head.unwrap_or_else(|| Box::new(Request::new(()).into_parts().0));
                Err(Box::new(Unsent { call: Call { body, head, ..call }, why }))
            }
        }
    }

    /// Waits for the head of the answer, or for all of it where the route says so.
    pub async fn answer(&self, sent: Sent) -> Result<Answer, Failure> {
        let Sent { place: _, progress, from, gathers, waited, evictable } = sent;
        let outcome = match (progress, evictable) {
            (Progress::H2(response, exchange), None) => receive(response, exchange, from, gathers).await,
            (Progress::H2(response, exchange), Some(connections)) => tokio::select! {
                biased;
                outcome = receive(response, exchange, from, gathers) => outcome,
                () = connections.evicted() => Err(Failure::Evicted),
            },
            (Progress::H1(call), evictable) => {
                let (call, connections) = *call;
                Box::pin(http1::ask(call, connections, from, gathers, evictable.is_some())).await
            }
        };
        match &outcome {
            Ok(_) => {
                if let Some(waited) = waited {
                    waited.on_answer(Instant::now());
                }
            }
            Err(failure) => {
                self.metrics.on_failure(failure.reason());
                if matches!(failure, Failure::Lost(Broken::Connection(_)) | Failure::Refused) {
                    self.signals.suspect();
                }
            }
        }
        outcome
    }

    /// Counts a failure that was found elsewhere: a call that no member got, or the wrong one.
    pub fn count(&self, failure: Failure) -> Failure {
        self.metrics.on_failure(failure.reason());
        failure
    }

    fn sent(&self, place: usize, progress: Progress, route: &Route, routes: &Routes) -> Sent {
        let (member, connections) = (&routes.view.members[place], &routes.connections[place]);
        let waited = route.path.map(|path| member.vitals.start(path, Instant::now()));
        self.signals.on_call();
        Sent {
            place,
            progress,
            from: From {
                endpoint: member.endpoint.id,
                is_leader: routes.view.leader == Leader::Known(place),
                epoch: routes.view.epoch,
                cluster: routes.view.cluster_id,
                term: routes.view.term,
            },
            gathers: route.gathers,
            waited,
            evictable: route.evictable.then(|| connections.clone()),
        }
    }

    /// A stream on the best member that has a connection; otherwise the head comes back, if HTTP/2
    /// can carry it.
    fn try_open(
        &self,
        mut head: Box<Parts>,
        ended: bool,
        route: &Route,
        tried: Places,
        routes: &Routes,
    ) -> Result<(usize, Opened), NotOpened> {
        let mut skipped = tried;
        let mut connecting = false;
        let mut failures = Vec::new();
        while let Some(place) = self.choose(route, skipped, routes) {
            let (member, connections) = (&routes.view.members[place], &routes.connections[place]);
            let spared = route.aim == Aim::Follower && routes.view.leader == Leader::Known(place);
            if connecting && (spared || !member.is_healthy()) {
                // Better to wait for a good one than to take a bad one.
                break;
            }
            if let Err(error) = aim(&mut head.uri, &member.endpoint.address) {
                return Err(NotOpened { head: Some(head), why: Blocked::Unsendable(error.to_string()) });
            }
            match connections.lane(route.lane).open(head, ended) {
                Offer::Opened(opened) => return Ok((place, opened)),
                Offer::Wait(given_back) => (head, connecting) = (given_back, true),
                Offer::Failed(given_back, why) => {
                    head = given_back;
                    failures.push(why);
                    if member.is_healthy() {
                        self.signals.suspect();
                    }
                }
                Offer::Malformed(error) => {
                    return Err(NotOpened { head: None, why: Blocked::Unsendable(error.to_string()) });
                }
            }
            skipped.insert(place);
        }
        let why = if connecting { Blocked::Connecting } else { blocked(route, routes, &failures) };
        Err(NotOpened { head: Some(head), why })
    }

    fn choose(&self, route: &Route, tried: Places, routes: &Routes) -> Option<usize> {
        let load = |place: usize| match route.lane {
            LaneKind::Bulk | LaneKind::Unary => routes.view.members[place].vitals.load(),
            LaneKind::Stream => routes.connections[place].streams(),
        };
        choose(&routes.view, route.aim, tried, load)
    }

    /// A connection in HTTP/1 is made when it is needed, so the choice leans on what the lanes know.
    fn try_send_h1(
        &self,
        call: Call,
        route: &Route,
        tried: Places,
        routes: &Routes,
    ) -> Result<Sent, Box<Unsent>> {
        let mut skipped = tried;
        let (mut first, mut in_vain) = (None, false);
        while let Some(place) = self.choose(route, skipped, routes) {
            skipped.insert(place);
            if routes.connections[place].http1.speech.is_grpc_only(Instant::now()) {
                in_vain = true;
                continue;
            }
            first = first.or(Some(place));
            if routes.connections[place].lane(LaneKind::Unary).warm() {
                first = Some(place);
                break;
            }
        }
        let Some(place) = first else {
            let why = if in_vain { Blocked::NoHttp(GRPC_ONLY) } else { blocked(route, routes, &[]) };
            return Err(Box::new(Unsent { call, why }));
        };
        routes.connections[place].on_http1_call();
        let progress = Progress::H1(Box::new((call, routes.connections[place].clone())));
        Ok(self.sent(place, progress, route, routes))
    }
}

/// Why nobody could be sent to.
fn blocked(route: &Route, routes: &Routes, failures: &[String]) -> Blocked {
    let view = &*routes.view;
    let survivors = view.members.iter().any(|member| member.is_healthy() && member.report.is_some());
    match (route.aim, view.leader) {
        (Aim::Leader, Leader::None) => return Blocked::NoLeader,
        // The others will choose another, or have a way to it.
        (Aim::Leader, Leader::Known(_)) if survivors && view.members.len() > 1 => return Blocked::NoLeader,
        _ => {}
    }
    let loops = |member: &Member| member.standing == Standing::Out(view::Reason::Loop);
    if !view.members.is_empty() && view.members.iter().all(loops) {
        return Blocked::Loop;
    }
    if route.aim.may_be(view).all(|member| member.must_prove)
        && route.aim.may_be(view).any(|member| member.standing == Standing::Unproven)
    {
        return Blocked::Connecting;
    }
    let why = match (&view.discovery_error, failures) {
        (Some(error), []) => error.clone(),
        (None, []) if view.members.is_empty() => "none is known yet".to_owned(),
        (None, []) => standings(view),
        (_, failures) => failures.join("; "),
    };
    Blocked::Unreachable(why)
}

/// Why none of the members may be tried.
fn standings(view: &View) -> String {
    let standing = |member: &Member| match member.standing {
        Standing::Out(reason) => format!("{}: {reason}: {}", member.endpoint.address, member.detail),
        Standing::Unproven if member.must_prove => {
            format!("{}: not known yet whose it is", member.endpoint.address)
        }
        Standing::Healthy | Standing::Unproven => format!("{}: tried", member.endpoint.address),
    };
    view.members.iter().map(standing).collect::<Vec<_>>().join("; ")
}

/// HTTP may be served elsewhere than gRPC. And a member without TLS takes everything in HTTP/2 for gRPC:
/// clients of a TLS listener use HTTP/2 for the rest too, so that this goes to such a member in HTTP/1.1.
fn leaves_as_h1(call: &Call, routes: &Routes, elsewhere: bool) -> bool {
    let by_tls = || call.head.uri.scheme() == Some(&Scheme::HTTPS);
    let to_plain = || routes.view.members.iter().any(|member| !member.endpoint.address.tls);
    call.wire == Wire::H1 || call.rpc.is_http() && (elsewhere || by_tls() && to_plain())
}

/// Sends the body, in the background unless it is whole.
fn send_body(mut body: Body, opened: Opened) -> Progress {
    let Opened { response, mut stream, lease } = opened;
    let sending = match body {
        Body::Empty => None,
        Body::Full(bytes) => {
            // Not held back by the window: h2 keeps it, and the read-ahead limit bounds it. An
            // error is that of the stream, whose response tells it.
            let _told_by_the_response = stream.send_data(bytes, true);
            None
        }
        Body::Stream(_) | Body::Trailers(_) | Body::Whole(..) => {
            let sending = async move {
                if let Err(Stopped::Body(_)) = transmit(&mut body, &mut stream).await {
                    stream.send_reset(Reason::CANCEL);
                }
            };
            Some(tokio::spawn(sending).abort_handle())
        }
    };
    Progress::H2(Awaited::new(response), Exchange { _lease: lease, sending })
}

async fn receive(
    response: Awaited,
    exchange: Exchange,
    from: From,
    gathers: Option<Gather>,
) -> Result<Answer, Failure> {
    let response = response
        .await
        .map_err(|error| if is_refused(&error) { Failure::Refused } else { Failure::Lost(broken(&error)) })?;
    let (head, received) = response.into_parts();
    let body = if head.headers.contains_key(&GRPC_STATUS) {
        // The headers are all: nobody reads the request any longer.
        drop(exchange);
        AnswerBody::ended()
    } else {
        AnswerBody::h2(Received::new(received), exchange)
    };
    let mut answer = Answer::new(head, body, from);
    match gathers {
        Some(Gather::Message) => answer.gather_message().await.map_err(Failure::Lost)?,
        Some(Gather::Body) => answer.gather_body().await.map_err(Failure::Lost)?,
        None => {}
    }
    Ok(answer)
}
