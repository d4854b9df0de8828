//! One call to the scripted member, and its answer.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};

use crate::support::grpc::frame;

/// One call, in the hands of the test.
pub(crate) struct Call {
    pub(crate) request: Request<RecvStream>,
    pub(crate) respond: SendResponse<Bytes>,
}

/// An answer whose headers are sent.
pub(crate) struct Answering {
    pub(crate) stream: SendStream<Bytes>,
}

impl Call {
    pub(crate) fn path(&self) -> &str {
        self.request.uri().path()
    }

    pub(crate) fn metadata(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// Reads the request to its end, or to where it broke.
    pub(crate) async fn body(&mut self) -> Bytes {
        let mut whole = BytesMut::new();
        while let Some(Ok(data)) = self.request.body_mut().data().await {
            drop(self.request.body_mut().flow_control().release_capacity(data.len()));
            whole.put(data);
        }
        whole.freeze()
    }

    /// The only message of the request, decoded; a default one if it is not there.
    pub(crate) async fn message<M: prost::Message + Default>(&mut self) -> M {
        let body = self.body().await;
        body.get(FRAME_HEADER..).and_then(|message| M::decode(message).ok()).unwrap_or_default()
    }

    /// Reads the request and answers it with one message.
    pub(crate) async fn answer(mut self, message: &[u8]) {
        self.body().await;
        if let Some(mut answering) = self.begin() {
            answering.send(frame(0, message));
            answering.finish(0, "");
        }
    }

    /// Answers by headers only.
    pub(crate) fn refuse(mut self, code: u32, text: &str) {
        let mut headers = answer_headers();
        headers.extend(status(code, text));
        drop(self.respond.send_response(response(headers), true));
    }

    /// Sends the headers of an answer; `None` if the call is gone.
    pub(crate) fn begin(&mut self) -> Option<Answering> {
        self.begin_with(answer_headers())
    }

    pub(crate) fn begin_with(&mut self, headers: HeaderMap) -> Option<Answering> {
        let stream = self.respond.send_response(response(headers), false).ok()?;
        Some(Answering { stream })
    }

    pub(crate) fn reset(mut self, reason: Reason) {
        self.respond.send_reset(reason);
    }
}

impl Answering {
    /// Sends bytes as they are. What the window does not admit yet is kept.
    pub(crate) fn send(&mut self, bytes: Bytes) {
        // Fails only if the call is gone.
        drop(self.stream.send_data(bytes, false));
    }

    /// Sends bytes only as the window admits them, and adds to `handed` what it took. `false` if the call ended.
    pub(crate) async fn send_lazily(&mut self, mut bytes: Bytes, handed: &AtomicU64) -> bool {
        while !bytes.is_empty() {
            self.stream.reserve_capacity(bytes.len().min(LAZY_CHUNK));
            let granted = std::future::poll_fn(|cx| self.stream.poll_capacity(cx)).await;
            let Some(Ok(granted)) = granted else { return false };
            let chunk = bytes.split_to(granted.min(bytes.len()));
            handed.fetch_add(chunk.len() as u64, Ordering::SeqCst);
            if self.stream.send_data(chunk, false).is_err() {
                return false;
            }
        }
        true
    }

    pub(crate) fn finish(mut self, code: u32, text: &str) {
        drop(self.stream.send_trailers(status(code, text)));
    }

    /// Ends the stream without trailers.
    pub(crate) fn finish_bare(mut self) {
        drop(self.stream.send_data(Bytes::new(), true));
    }

    pub(crate) fn reset(mut self, reason: Reason) {
        self.stream.send_reset(reason);
    }
}

fn response(headers: HeaderMap) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::OK;
    *response.headers_mut() = headers;
    response
}

/// The headers with which every gRPC answer begins.
pub(crate) fn answer_headers() -> HeaderMap {
    HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"))])
}

/// Trailers with a status.
pub(crate) fn status(code: u32, text: &str) -> HeaderMap {
    let mut status = HeaderMap::new();
    status.insert("grpc-status", HeaderValue::from(code));
    if !text.is_empty() {
        status.insert("grpc-message", HeaderValue::from_str(text).expect("a test's texts are plain"));
    }
    status
}

const FRAME_HEADER: usize = 5;
/// Bytes that `send_lazily` asks for at once: four frames.
const LAZY_CHUNK: usize = 64 << 10;
