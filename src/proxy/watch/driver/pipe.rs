//! One upstream stream from its opening to its end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame};

use super::super::WATCH;
use super::super::core::{Identity, Response};
use super::account::{NoPass, Pass};
use super::opener::Opener;
use super::pipes::{Outgoing, PipeId};
use super::state::Shared;
use crate::proxy::caller::Caller;
use crate::proxy::frames::Frames;
use crate::proxy::{Answered, Proxy, Unanswered, peek};
use crate::types::call::{Body, Broken, Call, Wire};
use crate::types::client::Client;
use crate::types::ids::ClusterId;
use crate::types::method::Rpc;
use crate::types::status::{Code, ETCD_NO_LEADER, GRPC_MESSAGE, grpc_status, percent_decode};
use crate::upstream::view::{Leader, Member, View};
use crate::upstream::{Answer, From};

/// How a stream ended.
enum Ended {
    /// Its watches may be opened elsewhere; at once, unless it has not lived for long.
    Lost { lived: bool },
    /// No member has a leader, and the caller asked for one.
    NoLeader,
    /// Etcdlet itself may not open any.
    Refused,
    /// The token that it was opened with is not valid any longer.
    Unauthenticated,
}

pub(super) async fn run(
    proxy: Arc<Proxy>,
    shared: Arc<Shared>,
    pipe: PipeId,
    identity: Identity,
    opener: Opener,
) {
    let over = shared.over(pipe);
    let ended = tokio::select! {
        biased;
        () = over.notified() => {
            shared.remove_pipe(pipe);
            return;
        }
        ended = open(&proxy, &shared, pipe, &opener) => ended,
    };
    let lost = shared.remove_pipe(pipe);
    match ended {
        Ended::Unauthenticated => shared.with(|core, now| core.handle_identity_expired(&identity, now)),
        Ended::Refused => shared.on_refused(&lost),
        Ended::NoLeader => shared.with(|core, now| core.handle_no_leader(&identity, now)),
        Ended::Lost { lived } => {
            // Not all at once, and not again and again where nobody answers.
            let pause = if lived { RESUME_JITTER } else { REOPEN_PAUSE };
            tokio::time::sleep(pause.mul_f64(fastrand::f64())).await;
            shared.on_pipe_ended(&lost);
        }
    }
}

async fn open(proxy: &Arc<Proxy>, shared: &Arc<Shared>, pipe: PipeId, opener: &Opener) -> Ended {
    let (caller, account) = match (opener, shared.account()) {
        (Opener::Account(caller), Some(account)) => (caller, account),
        (Opener::Account(caller) | Opener::Clients(caller), _) => {
            return stream(proxy, shared, pipe, caller, None).await;
        }
    };
    let pass = match account.pass(proxy, caller).await {
        Ok(pass) => pass,
        Err(NoPass::Refused) => return Ended::Refused,
        Err(NoPass::Unanswered) => return Ended::Lost { lived: false },
    };
    match stream(proxy, shared, pipe, &pass.sign(caller), Some(&pass)).await {
        Ended::Unauthenticated => {
            account.spend(&pass);
            Ended::Lost { lived: false }
        }
        ended => ended,
    }
}

/// Ready when a member has taken the stream.
async fn begin(
    proxy: &Arc<Proxy>,
    shared: &Arc<Shared>,
    pipe: PipeId,
    caller: &Caller,
) -> Result<Answer, Ended> {
    let call = Call {
        rpc: Rpc::of(WATCH),
        wire: Wire::H2,
        head: caller.head(WATCH),
        deadline: None,
        client: Client::own(),
        body: Body::stream(Requests { shared: shared.clone(), pipe }),
    };
    let answered = tokio::time::timeout(BEGIN_MAX, proxy.answer(call, Instant::now())).await;
    let answer = match answered {
        Ok(Ok(Answered { answer, .. })) => answer,
        // For as long as calls are held.
        Ok(Err(Unanswered::Status(_)))
            if caller.requires_leader() && proxy.upstream.view().leader == Leader::None =>
        {
            return Err(Ended::NoLeader);
        }
        Ok(Err(_)) | Err(_) => return Err(Ended::Lost { lived: false }),
    };
    if let Some(code) = grpc_status(&answer.head.headers) {
        // All that have been asked, for as long as reads are asked, have refused.
        let text = answer.head.headers.get(&GRPC_MESSAGE).map_or(&b""[..], |text| text.as_bytes());
        let refused = code == Code::Unavailable && percent_decode(text) == ETCD_NO_LEADER;
        return Err(if refused && caller.requires_leader() { Ended::NoLeader } else { ended(code, false) });
    }
    let view = proxy.upstream.view();
    let member = view.members.iter().find(|member| member.endpoint.id == answer.from.endpoint);
    let report = member.and_then(|member| member.report.as_ref());
    shared.on_member(
        pipe,
        answer.from.endpoint,
        report.is_none_or(|report| answers_progress(&report.version)),
    );
    Ok(answer)
}

async fn stream(
    proxy: &Arc<Proxy>,
    shared: &Arc<Shared>,
    pipe: PipeId,
    caller: &Caller,
    pass: Option<&Pass>,
) -> Ended {
    let Answer { mut body, from, .. } = match begin(proxy, shared, pipe, caller).await {
        Ok(answer) => answer,
        Err(ended) => return ended,
    };
    let mut frames = Frames::new(MESSAGE_MAX);
    let opened = Instant::now();
    let lived = || opened.elapsed() > LIVED_MIN;
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            _ = look.tick() => {
                if is_better_elsewhere(&proxy.upstream.view(), from) {
                    shared.on_unwell(pipe);
                }
                continue;
            }
        };
        let data = match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => data,
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    return ended(grpc_status(&trailers).unwrap_or(Code::Unknown), lived());
                }
            },
            Some(Err(_)) | None => return Ended::Lost { lived: lived() },
        };
        frames.on_data(data);
        let mut responses = Vec::new();
        while let Some(frame) = frames.next() {
            let Ok(frame) = frame else { return Ended::Lost { lived: false } };
            if let Some(header) = peek::header(&frame) {
                if from.is_foreign(ClusterId(header.cluster_id)) {
                    proxy.upstream.suspect();
                    return Ended::Lost { lived: false };
                }
                proxy.watermark.on_answer(header, from);
            }
            match Response::read(&frame.slice(PREFIX..)) {
                Ok(response) => responses.push(response),
                Err(_malformed) => return Ended::Lost { lived: false },
            }
        }
        shared.on_responses(pipe, responses, pass);
    }
}

/// Older releases answer before the events that they speak of, or not at all. Those that keep their
/// version to themselves are newer.
fn answers_progress(version: &str) -> bool {
    let mut numbers = version.split(['.', '-', '+']).map_while(|part| part.parse::<u32>().ok());
    let version = [(); 3].map(|()| numbers.next().unwrap_or_default());
    match version {
        [3, 4, patch] => patch >= 31,
        [3, 5, patch] => patch >= 13,
        newer_or_older => newer_or_older > [3, 5, 0],
    }
}

/// Whether the member has been out of rotation for some time, though others are in it: whoever
/// joins its feeds would wait with them.
fn is_better_elsewhere(view: &View, from: From) -> bool {
    let member = view.members.iter().find(|member| member.endpoint.id == from.endpoint);
    let is_out = member.is_some_and(|member| !member.is_healthy() && member.since.elapsed() > MOVE_AFTER);
    is_out && view.members.iter().any(Member::is_healthy)
}

fn ended(code: Code, lived: bool) -> Ended {
    match code {
        Code::Unauthenticated => Ended::Unauthenticated,
        _ => Ended::Lost { lived },
    }
}

/// The requests of a pipe, taken when they can be sent.
struct Requests {
    shared: Arc<Shared>,
    pipe: PipeId,
}

impl HttpBody for Requests {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.shared.poll_pipe(self.pipe, cx) {
            Outgoing::End => Poll::Ready(None),
            Outgoing::Message(message) => Poll::Ready(Some(Ok(Frame::data(message)))),
            Outgoing::Nothing => Poll::Pending,
        }
    }
}

/// gRPC's own bytes before a message.
const PREFIX: usize = 5;

/// Fragments are cut at a few MiB; only one event can be larger, by its value and the one before.
const MESSAGE_MAX: usize = 1 << 30;

/// For a member to take a stream, those included that were asked in vain.
const BEGIN_MAX: Duration = Duration::from_secs(30);

/// How often it is looked whether the member is still a good one.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A member that comes back sooner keeps its feeds.
const MOVE_AFTER: Duration = Duration::from_secs(3);

/// A stream that ends sooner was not worth having.
const LIVED_MIN: Duration = Duration::from_secs(1);

/// A thousand nodes must not come back in step.
const RESUME_JITTER: Duration = Duration::from_millis(50);

/// Between attempts where nobody answers, twice the mean.
const REOPEN_PAUSE: Duration = Duration::from_millis(400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_whose_progress_is_right_are_known() {
        for version in ["3.4.31", "3.5.13", "3.5.30", "3.6.0", "3.7.0-rc.1", "4.0.0"] {
            assert!(answers_progress(version), "{version}");
        }
        for version in ["3.3.27", "3.4.23", "3.5.8", "3.5.12", ""] {
            assert!(!answers_progress(version), "{version}");
        }
    }
}
