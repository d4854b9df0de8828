//! Bodies of HTTP/2 streams: receiving one as a [`Body`], transmitting one with back-pressure.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use hyper::body::{Body as HttpBody, Frame};

use crate::types::call::{Body, Broken};

/// A received stream. Its flow-control window is given back as frames are taken.
pub struct Received {
    stream: RecvStream,
    data_ended: bool,
}

impl Received {
    pub fn new(stream: RecvStream) -> Self {
        Self { stream, data_ended: false }
    }
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if !self.data_ended {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(bytes)) => {
                    // Fails only when the stream is already closed: then nobody needs room.
                    let _closed = self.stream.flow_control().release_capacity(bytes.len());
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(broken(&error)))),
                None => self.data_ended = true,
            }
        }
        match ready!(self.stream.poll_trailers(cx)) {
            Ok(trailers) => Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers)))),
            Err(error) => Poll::Ready(Some(Err(broken(&error)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }
}

/// How [`transmit`] ended before the end of the body.
pub enum Stopped {
    /// The body broke; the stream is still open.
    Body(Broken),
    /// The peer reset the stream or is gone.
    Peer,
}

/// Sends `body` to the end. The next frame is taken from `body` only when the one before has
/// been handed to the connection, which takes it only when the peer's window has room: a slow
/// reader holds back its source, with one frame waiting here.
pub async fn transmit(body: &mut Body, stream: &mut SendStream<Bytes>) -> Result<(), Stopped> {
    loop {
        let Some(frame) = poll_fn(|cx| poll_next(body, stream, cx)).await? else {
            return stream.send_data(Bytes::new(), true).map_err(|_| Stopped::Peer);
        };
        match frame.into_data() {
            Ok(bytes) => {
                // Not asked for earlier: what is reserved is taken from the other streams.
                poll_fn(|cx| poll_room(stream, cx)).await?;
                let ended = body.is_end_stream();
                stream.send_data(bytes, ended).map_err(|_| Stopped::Peer)?;
                if ended {
                    return Ok(());
                }
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    return stream.send_trailers(trailers).map_err(|_| Stopped::Peer);
                }
            }
        }
    }
}

fn poll_next(
    body: &mut Body,
    stream: &mut SendStream<Bytes>,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Frame<Bytes>>, Stopped>> {
    match Pin::new(body).poll_frame(cx) {
        Poll::Ready(Some(Ok(frame))) => Poll::Ready(Ok(Some(frame))),
        Poll::Ready(Some(Err(error))) => Poll::Ready(Err(Stopped::Body(error))),
        Poll::Ready(None) => Poll::Ready(Ok(None)),
        Poll::Pending => stream.poll_reset(cx).map(|_| Err(Stopped::Peer)),
    }
}

/// Ready when the peer's window has room for a byte; the rest of a frame may wait in h2.
fn poll_room(stream: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
    if stream.capacity() > 0 {
        return Poll::Ready(Ok(()));
    }
    // What is granted at once would wake the waker that waits for a reset, which is that of the very
    // task that asks: it would be polled again for nothing, and whoever polls it with others would
    // take it for one that yields.
    if let Poll::Ready(_reset) = stream.poll_reset(&mut Context::from_waker(Waker::noop())) {
        return Poll::Ready(Err(Stopped::Peer));
    }
    stream.reserve_capacity(1);
    while stream.capacity() == 0 {
        match stream.poll_capacity(cx) {
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Err(Stopped::Peer)),
            Poll::Pending => return stream.poll_reset(cx).map(|_| Err(Stopped::Peer)),
        }
    }
    Poll::Ready(Ok(()))
}

pub fn broken(error: &h2::Error) -> Broken {
    match error.reason() {
        Some(reason) if error.is_reset() => Broken::Reset(reason.into()),
        _ => Broken::Connection(error.to_string()),
    }
}

/// Whether the peer says that it did not process the stream: by its reset, or by a GOAWAY that
/// names an earlier stream as the last (RFC 9113, section 8.7).
pub fn is_refused(error: &h2::Error) -> bool {
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    error.is_remote() && (refused || error.is_go_away())
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use http::{Request, Response};

    /// A body that sends nothing and does not end.
    struct Idle;

    impl HttpBody for Idle {
        type Data = Bytes;
        type Error = Broken;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
            Poll::Pending
        }
    }

    async fn serve(io: tokio::io::DuplexStream) {
        let mut connection = h2::server::handshake(io).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let mut stream = respond.send_response(Response::new(()), false).unwrap();
            let mut body = match request.uri().path() {
                "/idle" => Body::stream(Idle),
                _ => Body::Full(Bytes::from(vec![1; WINDOW])),
            };
            tokio::spawn(async move { transmit(&mut body, &mut stream).await });
        }
    }

    #[tokio::test]
    async fn streams_that_send_nothing_take_nothing_from_the_window_of_their_connection() {
        let (client, server) = tokio::io::duplex(1 << 20);
        tokio::spawn(serve(server));
        let (mut sender, connection) = h2::client::handshake(client).await.unwrap();
        tokio::spawn(connection);
        let mut idle = Vec::new();
        for _ in 0..100 {
            let request = Request::get("http://h/idle").body(()).unwrap();
            idle.push(sender.send_request(request, true).unwrap().0.await.unwrap());
        }
        let request = Request::get("http://h/full").body(()).unwrap();
        let mut answer = sender.send_request(request, true).unwrap().0.await.unwrap().into_body();
        let mut received = 0;
        while received < WINDOW {
            // Nothing is released: all of it must fit the window that there is.
            received += answer.data().await.unwrap().unwrap().len();
        }
    }

    /// A body that has one frame after it had none.
    struct Late(u8);

    impl HttpBody for Late {
        type Data = Bytes;
        type Error = Broken;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
            self.0 += 1;
            if self.0 == 2 {
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"late")))))
            } else {
                Poll::Pending
            }
        }
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn a_frame_that_finds_room_does_not_wake_the_task_that_sends_it() {
        let (client, server) = tokio::io::duplex(1 << 20);
        let (handshake, client) = tokio::join!(h2::server::handshake(server), h2::client::handshake(client));
        let (mut sender, client) = client.unwrap();
        tokio::spawn(client);
        let mut connection = handshake.unwrap();
        let request = Request::get("http://h/late").body(()).unwrap();
        let answer = sender.send_request(request, true).unwrap();
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        let mut body = Body::stream(Late(0));
        let mut sending = pin!(transmit(&mut body, &mut stream));
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        for _ in 0..2 {
            assert!(sending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
        // It still hears of a reset.
        drop(answer);
        let connection = tokio::spawn(async move { while connection.accept().await.is_some() {} });
        assert!(matches!(sending.await, Err(Stopped::Peer)));
        connection.abort();
    }

    /// Of a connection, where nobody says otherwise.
    const WINDOW: usize = 65_535;
}
