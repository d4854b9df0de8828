//! Keeps what was sent of a streaming request until its answer begins: the first message of a
//! watch, say. A call that its member declares unprocessed can then be sent again.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body as HttpBody, Frame};

use crate::types::call::{Body, Broken};

/// Dropped, it keeps nothing any longer; the body goes on.
pub(super) struct Replay(Arc<Mutex<State>>);

struct State {
    kept: Vec<Bytes>,
    /// Bytes of all that was kept; `None` when it was too much, or is not wanted any longer.
    room: Option<usize>,
    /// Frames of `kept` that the present body has given.
    given: usize,
    /// Counts the bodies that were given out.
    present: u32,
    rest: UnsyncBoxBody<Bytes, Broken>,
}

impl Replay {
    /// The body to be sent in the place of `body`, and what brings it back.
    pub fn of(body: UnsyncBoxBody<Bytes, Broken>) -> (Body, Self) {
        let state = State { kept: Vec::new(), room: Some(KEPT_MAX), given: 0, present: 0, rest: body };
        let state = Arc::new(Mutex::new(state));
        (Body::stream(Replayed { state: state.clone(), number: 0 }), Self(state))
    }

    /// Whether all that was given is still here.
    pub fn is_whole(&self) -> bool {
        lock(&self.0).room.is_some()
    }

    /// The body from its beginning, or from what is left of it. The one that was given out before
    /// breaks: a connection that is given up may still read it.
    pub fn rewind(&self) -> Body {
        let mut state = lock(&self.0);
        state.given = 0;
        state.present += 1;
        Body::stream(Replayed { state: self.0.clone(), number: state.present })
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        lock(&self.0).forget();
    }
}

impl State {
    fn forget(&mut self) {
        self.room = None;
        // What was not given yet still has to be.
        self.kept.drain(..self.given);
        self.given = 0;
    }

    fn keep(&mut self, data: &Bytes) {
        let Some(room) = self.room else { return };
        match room.checked_sub(data.len()) {
            Some(left) => {
                self.room = Some(left);
                self.kept.push(data.clone());
                self.given += 1;
            }
            None => self.forget(),
        }
    }
}

struct Replayed {
    state: Arc<Mutex<State>>,
    number: u32,
}

impl HttpBody for Replayed {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let mut state = lock(&self.state);
        if self.number != state.present {
            return Poll::Ready(Some(Err(Broken::Connection("the request was sent again".to_owned()))));
        }
        if let Some(data) = state.kept.get(state.given).cloned() {
            if state.room.is_some() {
                state.given += 1;
            } else {
                state.kept.remove(0);
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let frame = ready!(Pin::new(&mut state.rest).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            state.keep(data);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let state = lock(&self.state);
        self.number == state.present && state.given >= state.kept.len() && state.rest.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        let state = lock(&self.state);
        if state.kept.is_empty() { state.rest.size_hint() } else { hyper::body::SizeHint::default() }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("nobody panics while holding the state")
}

/// Far more than a watch or a campaign begins with, and less than the smallest window of HTTP/2: of a
/// long request that a member does not read on, nothing is kept.
const KEPT_MAX: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, StreamBody};

    fn body(chunks: &[&'static [u8]]) -> UnsyncBoxBody<Bytes, Broken> {
        let frames: Vec<_> = chunks.iter().map(|data| Ok(Frame::data(Bytes::from_static(data)))).collect();
        UnsyncBoxBody::new(StreamBody::new(futures_util::stream::iter(frames)))
    }

    async fn next(body: &mut Body) -> Option<Bytes> {
        body.frame().await.map(|frame| frame.unwrap().into_data().unwrap())
    }

    #[tokio::test]
    async fn a_body_is_given_again_from_its_beginning_and_then_goes_on() {
        let (mut first, replay) = Replay::of(body(&[b"a", b"b", b"c"]));
        assert_eq!(next(&mut first).await.unwrap(), "a");
        assert_eq!(next(&mut first).await.unwrap(), "b");
        let mut second = replay.rewind();
        assert!(first.frame().await.unwrap().is_err(), "it was rewound");
        assert_eq!(next(&mut second).await.unwrap(), "a");
        drop(replay);
        assert_eq!(next(&mut second).await.unwrap(), "b");
        assert_eq!(next(&mut second).await.unwrap(), "c");
        assert_eq!(next(&mut second).await, None);
    }

    #[tokio::test]
    async fn what_is_too_much_is_passed_on_and_not_given_again() {
        static LONG: [u8; KEPT_MAX] = [0; KEPT_MAX];
        let (mut first, replay) = Replay::of(body(&[b"a", &LONG, b"b"]));
        for length in [1, KEPT_MAX, 1] {
            assert_eq!(next(&mut first).await.unwrap().len(), length);
        }
        assert!(!replay.is_whole());
        assert!(lock(&replay.0).kept.is_empty());
    }
}
