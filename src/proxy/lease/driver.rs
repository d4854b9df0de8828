//! The streams to the leader, one task a lane.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame};
use tokio::time::Sleep;

use super::super::frames::Frames;
use super::super::{Answered, Proxy, Unanswered, peek, retry};
use super::KEEP_ALIVE;
use super::core::{Ended, LaneId, Next};
use super::group::{Group, Outgoing};
use crate::types::call::{Body, Broken, Call, Wire};
use crate::types::client::Client;
use crate::types::ids::ClusterId;
use crate::types::method::{Effect, Rpc};
use crate::types::status::{Code, ETCD_NO_LEADER, GRPC_MESSAGE, Status, grpc_status, percent_decode};
use crate::upstream::view::Leader;
use crate::upstream::{Failure, From};

/// Opens streams for a lane, one after the other, as long as something waits.
pub(super) async fn run(proxy: Arc<Proxy>, group: Arc<Group>, lane: LaneId) {
    let open = &group.common.metrics.upstream_streams;
    open.inc();
    loop {
        let ended = tokio::select! {
            biased;
            ended = stream(&proxy, &group, lane) => ended,
            never = suspect(&proxy, &group, lane) => match never {},
        };
        match group.ended(lane, &ended, proxy.settings.load().hold.limit) {
            Next::Stop => break,
            // The first time at once: another member can answer.
            Next::Again { failures: 0 | 1 } => {}
            Next::Again { failures } => tokio::time::sleep(retry::pause(failures - 2)).await,
        }
    }
    open.dec();
}

/// Says so when a renewal has no answer for long: no other call tells it of a stream that lasts.
async fn suspect(proxy: &Proxy, group: &Arc<Group>, lane: LaneId) -> Infallible {
    loop {
        tokio::time::sleep(STUCK_RECHECK).await;
        if group.with(|core| core.is_stuck(Instant::now(), lane)) {
            proxy.upstream.suspect();
        }
    }
}

/// Ends the clients of a group when there is no leader for long, as etcd does with a stream that
/// demands one.
pub(super) async fn watch_leader(proxy: Arc<Proxy>, group: Weak<Group>) {
    let mut since = None;
    while let Some(group) = group.upgrade() {
        let now = Instant::now();
        if proxy.upstream.view().leader == Leader::None {
            if now >= *since.get_or_insert(now) + proxy.settings.load().hold.limit {
                group.cut();
            }
        } else {
            since = None;
        }
        drop(group);
        let _elapsed = tokio::time::timeout(LEADER_RECHECK, proxy.upstream.changed()).await;
    }
}

/// One stream from its opening to its end. Routed as any call for the leader is: held while there
/// is none, sent elsewhere when it was refused.
async fn stream(proxy: &Arc<Proxy>, group: &Arc<Group>, lane: LaneId) -> Ended {
    let messages = Messages {
        group: group.clone(),
        lane,
        idle: Box::pin(tokio::time::sleep(group.common.config.idle_timeout)),
    };
    let call = Call {
        rpc: Rpc::of(KEEP_ALIVE),
        wire: Wire::H2,
        head: group.caller.head(KEEP_ALIVE),
        deadline: None,
        client: Client::own(),
        body: Body::stream(messages),
    };
    let Answered { answer, .. } = match proxy.answer(call, Instant::now()).await {
        Ok(answered) => answered,
        Err(Unanswered::Failed(failure)) => return Ended::Broken(failure.status(Effect::Read)),
        Err(Unanswered::Status(status)) => return Ended::Status(no_leader(status, group)),
    };
    if let Some(status) = status(&answer.head.headers) {
        return Ended::Status(status);
    }
    let (mut body, from) = (answer.body, answer.from);
    let mut frames = Frames::new(REPLY_MAX);
    loop {
        let mut changed = pin!(proxy.upstream.changed());
        changed.as_mut().enable();
        if has_moved(proxy, from) {
            group.with(|core| core.handle_retire(lane));
        }
        let ended = tokio::select! {
            biased;
            ended = replies(proxy, group, lane, &mut body, &mut frames, from) => ended,
            () = changed => continue,
        };
        return ended;
    }
}

/// Takes answers until the stream ends.
async fn replies(
    proxy: &Proxy,
    group: &Arc<Group>,
    lane: LaneId,
    body: &mut (impl HttpBody<Data = Bytes, Error = Broken> + Unpin),
    frames: &mut Frames,
    from: From,
) -> Ended {
    let lost = |broken| Ended::Broken(Failure::Lost(broken).status(Effect::Read));
    let nonsense = || lost(Broken::Connection("the member answers what was not asked".to_owned()));
    loop {
        let frame = match body.frame().await {
            Some(Ok(frame)) => frame,
            Some(Err(broken)) => return lost(broken),
            None => return lost(Broken::Connection("the answer has no trailers".to_owned())),
        };
        match frame.into_data() {
            Ok(data) => frames.on_data(data),
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                let none = || Status::new(Code::Unknown, "the answer has no status");
                return Ended::Status(status(&trailers).unwrap_or_else(none));
            }
        }
        while let Some(frame) = frames.next() {
            let Ok(frame) = frame else { return nonsense() };
            if let Some(header) = peek::header(&frame) {
                if is_news(proxy, header, from) {
                    proxy.upstream.suspect();
                }
                let cluster = ClusterId(header.cluster_id);
                if from.is_foreign(cluster) {
                    // It knows nothing of these leases.
                    let failure = proxy.upstream.count(Failure::Foreign(cluster));
                    return Ended::Broken(failure.status(Effect::Read));
                }
                proxy.watermark.on_answer(header, from);
            }
            let lease = peek::kept_alive(&frame);
            if group.with(|core| core.handle_reply(Instant::now(), lane, lease, &frame)).is_err() {
                return nonsense();
            }
        }
    }
}

/// Whether there was an election, or the member is of another cluster than it was.
fn is_news(proxy: &Proxy, header: peek::Header, from: From) -> bool {
    let known = proxy.upstream.view().term.0;
    known > 0 && header.raft_term > known || from.is_foreign(ClusterId(header.cluster_id))
}

/// Whether the leader is another member by now: this one would ask it by a request of its own for
/// each renewal (`server/etcdserver/v3_server.go`, `LeaseRenew`).
fn has_moved(proxy: &Proxy, from: From) -> bool {
    let view = proxy.upstream.view();
    match view.leader {
        Leader::Known(place) if proxy.settings.load().leader_aware => {
            view.members[place].is_healthy() && view.members[place].endpoint.id != from.endpoint
        }
        _ => false,
    }
}

/// Clients that demand a leader know it by etcd's own word that there is none.
fn no_leader(status: Status, group: &Group) -> Status {
    if status.code == Code::Unavailable && group.caller.requires_leader() {
        return Status::new(Code::Unavailable, ETCD_NO_LEADER);
    }
    status
}

fn status(headers: &http::HeaderMap) -> Option<Status> {
    let code = grpc_status(headers)?;
    let message = headers.get(&GRPC_MESSAGE).map_or(&b""[..], |value| value.as_bytes());
    Some(Status::new(code, percent_decode(message)))
}

/// The requests of a lane, taken when they can be sent.
struct Messages {
    group: Arc<Group>,
    lane: LaneId,
    idle: Pin<Box<Sleep>>,
}

impl HttpBody for Messages {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let Self { group, lane, idle } = &mut *self;
        let timeout = group.common.config.idle_timeout;
        loop {
            match group.poll_lane(*lane, cx) {
                Outgoing::End => return Poll::Ready(None),
                Outgoing::Message(first) => {
                    idle.as_mut().reset(tokio::time::Instant::now() + timeout);
                    return Poll::Ready(Some(Ok(Frame::data(batch(first, || group.poll_lane(*lane, cx))))));
                }
                Outgoing::Nothing => {}
            }
            ready!(idle.as_mut().poll(cx));
            idle.as_mut().reset(tokio::time::Instant::now() + timeout);
            group.with(|core| {
                if core.is_idle(*lane) {
                    core.handle_retire(*lane);
                }
            });
        }
    }
}

/// What can be sent at once, in one frame.
fn batch(first: Bytes, mut next: impl FnMut() -> Outgoing) -> Bytes {
    let Outgoing::Message(second) = next() else { return first };
    let mut batch = BytesMut::with_capacity(8 * (first.len() + second.len()));
    batch.extend_from_slice(&first);
    batch.extend_from_slice(&second);
    while batch.len() < BATCH
        && let Outgoing::Message(message) = next()
    {
        batch.extend_from_slice(&message);
    }
    batch.freeze()
}

/// Well within the smallest window of HTTP/2.
const BATCH: usize = 4 << 10;

/// An election takes longer, so that nothing is lost.
const STUCK_RECHECK: Duration = Duration::from_millis(500);

/// How often it is looked whether there is a leader.
const LEADER_RECHECK: Duration = Duration::from_secs(1);

/// An answer has about 30 bytes.
const REPLY_MAX: usize = 1 << 20;
