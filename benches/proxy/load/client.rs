use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::responses::Wrong;
use super::wire::PREFIX_BYTES;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Method {
    LeaseGrant,
    LeaseKeepAlive,
    Put,
    Range,
    Watch,
}

/// Why a call does not count.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("connection refused or lost: {0}")]
    Connect(#[from] io::Error),

    #[error("a stream ended that should not have")]
    Ended,

    #[error("a stream was shown {seen} events, not {events}")]
    Events { seen: u64, events: u64 },

    #[error("HTTP status {0}")]
    Http(u16),

    #[error("reply of {0} bytes is incomplete or lacks what was asked for")]
    Reply(usize),

    #[error("grpc-status {code}: {message}")]
    Status { code: String, message: String },

    #[error("HTTP/2: {0}")]
    Transport(#[from] h2::Error),

    #[error(transparent)]
    Watch(#[from] Wrong),
}

/// An HTTP/2 connection, closed when dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    send: SendRequest<Bytes>,
    address: SocketAddr,
    driver: JoinHandle<()>,
}

/// Calls one method over a connection.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    send: SendRequest<Bytes>,
    request: Request<()>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, CallError> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let (send, connection) = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .enable_push(false)
            .handshake(OneBuffer(socket))
            .await?;
        let driver = tokio::spawn(async move {
            // The calls in flight report the failure.
            connection.await.ok();
        });
        Ok(Self { send, address, driver })
    }

    pub(crate) fn caller(&self, method: Method) -> Caller {
        let path = match method {
            Method::LeaseGrant => "/etcdserverpb.Lease/LeaseGrant",
            Method::LeaseKeepAlive => "/etcdserverpb.Lease/LeaseKeepAlive",
            Method::Put => "/etcdserverpb.KV/Put",
            Method::Range => "/etcdserverpb.KV/Range",
            Method::Watch => "/etcdserverpb.Watch/Watch",
        };
        let request = Request::post(format!("http://{}{path}", self.address))
            .version(http::Version::HTTP_2)
            .header("content-type", "application/grpc")
            .header("user-agent", "grpc-go/1.71.1")
            .header("te", "trailers")
            .header("client-api-version", "3.5.21")
            .body(())
            .expect("the parts are constants and an address");
        Caller { send: self.send.clone(), request }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Caller {
    /// Makes one call whose reply message has at least `reply_bytes_min` bytes.
    pub(crate) async fn unary(&mut self, body: Bytes, reply_bytes_min: usize) -> Result<(), CallError> {
        let (response, _) = self.send(body, true).await?;
        let response = response.await?;
        let mut reply = accepted(response)?;
        let mut length = 0;
        let mut announced = None;
        while let Some(chunk) = reply.data().await {
            let chunk = chunk?;
            if announced.is_none() {
                announced = announced_length(&chunk);
            }
            length += chunk.len();
            reply.flow_control().release_capacity(chunk.len())?;
        }
        check_status(&reply.trailers().await?.unwrap_or_default())?;
        let complete = announced == Some(length) && length >= PREFIX_BYTES + reply_bytes_min;
        if complete { Ok(()) } else { Err(CallError::Reply(length)) }
    }

    /// Sends a first message; the stream stays open for more unless `last`.
    pub(crate) async fn send(
        &mut self,
        body: Bytes,
        last: bool,
    ) -> Result<(ResponseFuture, h2::SendStream<Bytes>), CallError> {
        std::future::poll_fn(|context| self.send.poll_ready(context)).await?;
        let (response, mut stream) = self.send.send_request(self.request.clone(), false)?;
        stream.send_data(body, last)?;
        Ok((response, stream))
    }
}

/// The body of a response whose head announces no failure.
pub(super) fn accepted(response: Response<RecvStream>) -> Result<RecvStream, CallError> {
    if response.status() != http::StatusCode::OK {
        return Err(CallError::Http(response.status().as_u16()));
    }
    if response.headers().contains_key("grpc-status") {
        check_status(response.headers())?;
    }
    Ok(response.into_body())
}

pub(super) fn check_status(headers: &HeaderMap) -> Result<(), CallError> {
    let text = |name| {
        let value = headers.get(name).map(|value| value.as_bytes());
        String::from_utf8_lossy(value.unwrap_or(b"missing")).into_owned()
    };
    if headers.get("grpc-status").is_some_and(|code| code == "0") {
        return Ok(());
    }
    Err(CallError::Status { code: text("grpc-status"), message: text("grpc-message") })
}

/// Length of the body that a frame's prefix announces; none when the first chunk is shorter than that.
fn announced_length(chunk: &[u8]) -> Option<usize> {
    let length = chunk.get(1..PREFIX_BYTES)?;
    Some(length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)) + PREFIX_BYTES)
}

/// A socket that admits no vectored writes: h2 then copies a message behind its headers and writes once,
/// as etcd's Go client does. Two segments for a call would be unkind to every proxy.
#[derive(Debug)]
struct OneBuffer(TcpStream);

impl AsyncRead for OneBuffer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for OneBuffer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        false
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Windows of a Go client that has measured its link: they never throttle here.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
