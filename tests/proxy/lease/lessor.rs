//! A scripted leader: it handles the messages of a stream one after the other, as etcd does, and notes them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;
use prost::Message;
use tokio::time::Instant;

use crate::support::grpc::frame;
use crate::support::upstream::{Answering, Call, Upstream};

pub(super) struct Lessor {
    pub(super) upstream: Upstream,
    notes: Arc<Mutex<Notes>>,
}

#[derive(Default)]
pub(super) struct Notes {
    /// What came with each stream.
    pub(super) streams: Vec<HeaderMap>,
    pub(super) beats: Vec<Beat>,
    /// Streams whose requests ended.
    pub(super) ended: usize,
    /// Streams that were reset, or lost.
    pub(super) lost: usize,
    inflight: HashSet<(usize, i64)>,
    /// The most at once.
    pub(super) inflight_max: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Beat {
    pub(super) stream: usize,
    pub(super) lease: i64,
    /// Its number among all beats.
    pub(super) number: usize,
}

/// What the leader does with a beat.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// With this time to live.
    Answer(i64),
    /// After a while.
    Later(Duration, i64),
    /// Ends the stream.
    End(u32, &'static str),
    /// Ends it without a word.
    Reset,
    Silence,
}

impl Lessor {
    pub(super) fn start(script: impl Fn(Beat) -> Act + Send + Sync + 'static) -> Self {
        let (notes, script) = (Arc::<Mutex<Notes>>::default(), Arc::new(script));
        let theirs = notes.clone();
        let upstream = Upstream::start(move |call| serve(call, theirs.clone(), script.clone()));
        Self { upstream, notes }
    }

    pub(super) fn notes<T>(&self, look: impl FnOnce(&Notes) -> T) -> T {
        look(&self.notes.lock().expect("nothing panics under this lock"))
    }

    pub(super) fn beats(&self) -> usize {
        self.notes(|notes| notes.beats.len())
    }

    pub(super) fn leases(&self) -> Vec<i64> {
        self.notes(|notes| notes.beats.iter().map(|beat| beat.lease).collect())
    }

    pub(super) fn streams(&self) -> usize {
        self.notes(|notes| notes.streams.len())
    }
}

async fn serve(mut call: Call, notes: Arc<Mutex<Notes>>, script: Arc<impl Fn(Beat) -> Act>) {
    let lock = || notes.lock().expect("nothing panics under this lock");
    let stream = {
        let mut notes = lock();
        notes.streams.push(call.metadata().clone());
        notes.streams.len() - 1
    };
    let mut answering: Option<Answering> = None;
    let mut partial = BytesMut::new();
    let mut waiting = std::collections::VecDeque::new();
    let mut ended = false;
    let mut due: Option<Instant> = None;
    loop {
        if due.is_none()
            && let Some((_, act)) = waiting.front()
        {
            let delay = if let Act::Later(delay, _) = act { *delay } else { Duration::ZERO };
            due = (!matches!(act, Act::Silence)).then(|| Instant::now() + delay);
        }
        if ended && waiting.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            data = call.request.body_mut().data(), if !ended => match data {
                Some(Ok(data)) => {
                    drop(call.request.body_mut().flow_control().release_capacity(data.len()));
                    partial.extend_from_slice(&data);
                    while let Some(lease) = take(&mut partial) {
                        let beat = note(&mut lock(), stream, lease);
                        waiting.push_back((beat, script(beat)));
                    }
                }
                Some(Err(_)) => {
                    let mut notes = lock();
                    notes.lost += 1;
                    notes.inflight.retain(|(of, _)| *of != stream);
                    return;
                }
                None => {
                    ended = true;
                    lock().ended += 1;
                }
            },
            () = sleep_until(due) => {
                due = None;
                let (beat, act) = waiting.pop_front().expect("it is due");
                lock().inflight.remove(&(stream, beat.lease));
                match act {
                    Act::Answer(ttl) | Act::Later(_, ttl) => {
                        answering = answering.or_else(|| call.begin());
                        let Some(answering) = &mut answering else { return };
                        answering.send(answer(beat.lease, ttl));
                    }
                    Act::End(code, text) => {
                        lock().inflight.retain(|(of, _)| *of != stream);
                        return match answering {
                            Some(answering) => answering.finish(code, text),
                            None => call.refuse(code, text),
                        };
                    }
                    Act::Reset => {
                        lock().inflight.retain(|(of, _)| *of != stream);
                        call.respond.send_reset(h2::Reason::INTERNAL_ERROR);
                        return;
                    }
                    Act::Silence => {}
                }
            }
        }
    }
    match answering {
        Some(answering) => answering.finish(0, ""),
        None => call.refuse(0, ""),
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn note(notes: &mut Notes, stream: usize, lease: i64) -> Beat {
    let beat = Beat { stream, lease, number: notes.beats.len() };
    notes.beats.push(beat);
    notes.inflight.insert((stream, lease));
    let of_it = |streams: &[HeaderMap], at: usize| {
        let identity = |at: usize| (streams[at].get("token").cloned(), streams[at].contains_key("hasleader"));
        identity(at) == identity(stream)
    };
    let inflight =
        notes.inflight.iter().filter(|(at, other)| *other == lease && of_it(&notes.streams, *at)).count();
    notes.inflight_max = notes.inflight_max.max(inflight);
    beat
}

fn take(partial: &mut BytesMut) -> Option<i64> {
    let length = partial.get(1..5)?.try_into().map(u32::from_be_bytes).expect("four bytes") as usize;
    if partial.len() < 5 + length {
        return None;
    }
    partial.advance(5);
    let message = partial.split_to(length);
    Some(pb::LeaseKeepAliveRequest::decode(message).expect("a message").id)
}

/// With a field that nobody knows yet behind those that there are.
fn answer(id: i64, ttl: i64) -> bytes::Bytes {
    let header = pb::ResponseHeader { cluster_id: 1, member_id: 2, revision: 3, raft_term: 4 };
    let mut message = pb::LeaseKeepAliveResponse { header: Some(header), id, ttl }.encode_to_vec();
    message.extend_from_slice(&UNKNOWN_FIELD);
    frame(0, &message)
}

/// Field 100, of two bytes.
pub(super) const UNKNOWN_FIELD: [u8; 5] = [0xa2, 0x06, 0x02, b'?', b'!'];
