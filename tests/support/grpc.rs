//! A gRPC client that hides nothing: raw bytes go out, and everything that came back is shown.
//!
//! It stands on `h2` directly, because a gRPC library would refuse to send half of what a proxy has to survive
//! and would fold what comes back (trailers-only, resets, missing trailers) into one status.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::client::{self, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// One HTTP/2 connection. A clone shares it; it closes when the last clone and the last stream are gone.
#[derive(Clone)]
pub(crate) struct Channel {
    requests: SendRequest<Bytes>,
    origin: String,
}

/// One call, open in both directions until its end was received or it is dropped (which resets it).
pub(crate) struct Stream {
    outgoing: SendStream<Bytes>,
    incoming: Incoming,
    /// What came before the first message; `None` until it came.
    pub(crate) head: Option<(StatusCode, HeaderMap)>,
    /// Leaves what was received in the flow-control window, as a slow reader does.
    pub(crate) hold_window: bool,
    partial: BytesMut,
    messages: usize,
}

/// Everything that came back for one call.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) http: Option<StatusCode>,
    pub(crate) headers: HeaderMap,
    pub(crate) messages: Vec<Message>,
    /// Bytes behind the last whole message.
    pub(crate) leftover: Bytes,
    pub(crate) end: End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) compressed: bool,
    pub(crate) bytes: Bytes,
}

#[derive(Clone, Debug)]
pub(crate) enum Event {
    End(End),
    Message(Message),
    /// Nothing came within the time limit; the call goes on.
    Silence,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The connection broke.
    Broken(String),
    GoAway(Reason),
    /// The stream ended orderly, but without trailers and without a status in its headers.
    Missing,
    Reset(Reason),
    /// The time limit passed before any end.
    Silence,
    Trailers(HeaderMap),
    /// The status stands in the only block of headers.
    TrailersOnly,
}

/// A gRPC status. `code` is `None` if the call ended without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) code: Option<u32>,
    pub(crate) message: String,
}

enum Incoming {
    Body(RecvStream),
    Ended(End),
    Head(ResponseFuture),
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Channel {
    /// Connects to `http://host:port` or `unix:///path`, in HTTP/2 without negotiation.
    pub(crate) async fn connect(url: &str) -> io::Result<Self> {
        let socket: Box<dyn Io> = match url.strip_prefix("unix://") {
            Some(path) => Box::new(UnixStream::connect(path).await?),
            None => Box::new(tcp(url).await?),
        };
        let origin = if url.starts_with("unix:") { "http://localhost" } else { url };
        Self::handshake(socket, origin).await
    }

    /// Connects to `https://host:port`. The caller's configuration must offer ALPN `h2`.
    pub(crate) async fn connect_tls(url: &str, config: Arc<rustls::ClientConfig>) -> io::Result<Self> {
        let host = authority(url).rsplit_once(':').map_or(authority(url), |(host, _)| host);
        let name =
            ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(io::Error::other)?;
        let socket = tokio_rustls::TlsConnector::from(config).connect(name, tcp(url).await?).await?;
        Self::handshake(Box::new(socket), url).await
    }

    async fn handshake(socket: Box<dyn Io>, origin: &str) -> io::Result<Self> {
        let (requests, connection) = client::Builder::new()
            .initial_window_size(1 << 20)
            .initial_connection_window_size(16 << 20)
            .max_header_list_size(1 << 20)
            .handshake(socket)
            .await
            .map_err(io::Error::other)?;
        // Its streams learn of the connection's end themselves.
        tokio::spawn(async { drop(connection.await) });
        Ok(Self { requests, origin: origin.trim_end_matches('/').to_owned() })
    }

    /// Sends one message and half-closes.
    pub(crate) async fn unary(&self, path: &str, metadata: HeaderMap, message: &[u8]) -> Answer {
        match self.stream(path, metadata).await {
            Ok(mut stream) => {
                stream.send(message);
                stream.half_close();
                stream.answer(PATIENCE).await
            }
            Err(error) => Answer::refused(&error),
        }
    }

    /// Opens a call with the headers that every gRPC client sends, followed by `metadata`.
    pub(crate) async fn stream(&self, path: &str, metadata: HeaderMap) -> Result<Stream, h2::Error> {
        let mut headers = grpc_headers();
        headers.extend(metadata);
        self.open(Method::POST, path, headers, false).await
    }

    /// Opens a call with exactly these headers; `end` half-closes with the headers themselves.
    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        end: bool,
    ) -> Result<Stream, h2::Error> {
        let mut request = Request::new(());
        *request.version_mut() = Version::HTTP_2;
        *request.method_mut() = method;
        *request.uri_mut() = format!("{}{path}", self.origin).parse().expect("the caller gives a path");
        *request.headers_mut() = headers;
        let mut requests = self.requests.clone().ready().await?;
        let (response, outgoing) = requests.send_request(request, end)?;
        Ok(Stream {
            outgoing,
            incoming: Incoming::Head(response),
            head: None,
            hold_window: false,
            partial: BytesMut::new(),
            messages: 0,
        })
    }

    /// A typed unary call without metadata.
    pub(crate) async fn call<Req, Resp>(&self, path: &str, request: &Req) -> Result<Resp, Status>
    where
        Req: prost::Message,
        Resp: prost::Message + Default,
    {
        self.call_with(path, HeaderMap::new(), request).await
    }

    pub(crate) async fn call_with<Req, Resp>(
        &self,
        path: &str,
        metadata: HeaderMap,
        request: &Req,
    ) -> Result<Resp, Status>
    where
        Req: prost::Message,
        Resp: prost::Message + Default,
    {
        let answer = self.unary(path, metadata, &request.encode_to_vec()).await;
        let status = answer.status();
        match (&status.code, answer.messages.as_slice()) {
            (Some(0), [message]) => Ok(message.decode()),
            _ => Err(status),
        }
    }
}

impl Stream {
    /// Sends one uncompressed message. What the server's window does not admit yet is kept.
    pub(crate) fn send(&mut self, message: &[u8]) {
        self.send_raw(frame(0, message));
    }

    pub(crate) fn send_message(&mut self, message: &impl prost::Message) {
        self.send(&message.encode_to_vec());
    }

    /// Sends bytes as they are, whole gRPC frames or not.
    pub(crate) fn send_raw(&mut self, bytes: Bytes) {
        // The server may have ended the call already; `next` tells how.
        drop(self.outgoing.send_data(bytes, false));
    }

    pub(crate) fn half_close(&mut self) {
        drop(self.outgoing.send_data(Bytes::new(), true));
    }

    pub(crate) fn reset(&mut self, reason: Reason) {
        self.outgoing.send_reset(reason);
    }

    /// The next message, or how the call ended, which every later call tells again.
    pub(crate) async fn next(&mut self, limit: Duration) -> Event {
        timeout(limit, self.receive()).await.unwrap_or(Event::Silence)
    }

    /// The next message, decoded; anything else is a panic.
    pub(crate) async fn next_message<M: prost::Message + Default>(&mut self, limit: Duration) -> M {
        match self.next(limit).await {
            Event::Message(message) => message.decode(),
            other => panic!("expected a message, got {other:?}"),
        }
    }

    /// The response's headers, which may come before any message.
    pub(crate) async fn headers(&mut self, limit: Duration) -> Option<&(StatusCode, HeaderMap)> {
        if let Incoming::Head(response) = &mut self.incoming
            && let Ok(response) = timeout(limit, response).await
        {
            self.on_head(response);
        }
        self.head.as_ref()
    }

    /// Everything from here to the end; `limit` holds between two messages.
    pub(crate) async fn answer(mut self, limit: Duration) -> Answer {
        let mut messages = Vec::new();
        let end = loop {
            match self.next(limit).await {
                Event::Message(message) => messages.push(message),
                Event::End(end) => break end,
                Event::Silence => break End::Silence,
            }
        };
        let (http, headers) =
            self.head.take().map_or((None, HeaderMap::new()), |(http, head)| (Some(http), head));
        Answer { http, headers, messages, leftover: self.partial.split().freeze(), end }
    }

    async fn receive(&mut self) -> Event {
        loop {
            if let Some(message) = take_frame(&mut self.partial) {
                self.messages += 1;
                return Event::Message(message);
            }
            match &mut self.incoming {
                Incoming::Ended(end) => return Event::End(end.clone()),
                Incoming::Head(response) => {
                    let response = response.await;
                    self.on_head(response);
                }
                Incoming::Body(body) => match body.data().await {
                    Some(Ok(data)) => {
                        if !self.hold_window {
                            // Fails only if the connection is gone, which the next turn reports.
                            drop(body.flow_control().release_capacity(data.len()));
                        }
                        self.partial.put(data);
                    }
                    Some(Err(error)) => self.incoming = Incoming::Ended(end_of(&error)),
                    None => {
                        let trailers = body.trailers().await;
                        self.incoming = Incoming::Ended(self.end_by(trailers));
                    }
                },
            }
        }
    }

    fn on_head(&mut self, response: Result<http::Response<RecvStream>, h2::Error>) {
        self.incoming = match response {
            Ok(response) => {
                let (head, body) = response.into_parts();
                self.head = Some((head.status, head.headers));
                Incoming::Body(body)
            }
            Err(error) => Incoming::Ended(end_of(&error)),
        };
    }

    fn end_by(&self, trailers: Result<Option<HeaderMap>, h2::Error>) -> End {
        // A server that did not read all of the request resets the stream with NO_ERROR behind its answer
        // (RFC 9113, 8.1): that is not part of the answer.
        let status_in_head = self.messages == 0
            && self.partial.is_empty()
            && self.head.as_ref().is_some_and(|(_, headers)| headers.contains_key("grpc-status"));
        match trailers {
            Ok(Some(trailers)) => End::Trailers(trailers),
            Ok(None) if status_in_head => End::TrailersOnly,
            Ok(None) => End::Missing,
            Err(error) if status_in_head && error.reason() == Some(Reason::NO_ERROR) => End::TrailersOnly,
            Err(error) => end_of(&error),
        }
    }
}

impl Answer {
    /// Of a call whose stream could not be opened.
    pub(crate) fn refused(error: &h2::Error) -> Self {
        let end = end_of(error);
        Self { http: None, headers: HeaderMap::new(), messages: Vec::new(), leftover: Bytes::new(), end }
    }

    pub(crate) fn status(&self) -> Status {
        let fields = match &self.end {
            End::Trailers(trailers) => trailers,
            End::TrailersOnly => &self.headers,
            End::Broken(_) | End::GoAway(_) | End::Missing | End::Reset(_) | End::Silence => {
                return Status { code: None, message: format!("{:?}", self.end) };
            }
        };
        let text =
            |name| fields.get(name).map(|value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()));
        Status {
            code: text("grpc-status").and_then(|code| code.parse().ok()),
            message: text("grpc-message").unwrap_or_default().into_owned(),
        }
    }

    pub(crate) fn is_trailers_only(&self) -> bool {
        self.end == End::TrailersOnly
    }
}

impl Message {
    pub(crate) fn decode<M: prost::Message + Default>(&self) -> M {
        M::decode(self.bytes.clone()).unwrap_or_else(|error| panic!("{error}: {}", hex(&self.bytes)))
    }
}

/// Metadata from text.
pub(crate) fn metadata(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| header(name, value.as_bytes())).collect()
}

/// One header, whose value may be any bytes that HTTP/2 can carry.
pub(crate) fn header(name: &str, value: &[u8]) -> (HeaderName, HeaderValue) {
    (name.parse().expect("a header name"), HeaderValue::from_bytes(value).expect("a header value"))
}

/// What a gRPC client sends with every call.
pub(crate) fn grpc_headers() -> HeaderMap {
    metadata(&[("content-type", "application/grpc"), ("te", "trailers")])
}

/// A gRPC frame; `flag` 0 means uncompressed, 1 compressed, and nothing else is allowed.
pub(crate) fn frame(flag: u8, message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(FRAME_HEADER + message.len());
    frame.put_u8(flag);
    frame.put_u32(u32::try_from(message.len()).expect("a test's message is small"));
    frame.put_slice(message);
    frame.freeze()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

fn take_frame(partial: &mut BytesMut) -> Option<Message> {
    let length = partial.get(1..FRAME_HEADER)?.try_into().map(u32::from_be_bytes).expect("four bytes");
    if partial.len() < FRAME_HEADER + length as usize {
        return None;
    }
    let compressed = partial.get_u8() != 0;
    partial.advance(FRAME_HEADER - 1);
    Some(Message { compressed, bytes: partial.split_to(length as usize).freeze() })
}

fn end_of(error: &h2::Error) -> End {
    match error.reason() {
        Some(reason) if error.is_reset() => End::Reset(reason),
        Some(reason) if error.is_go_away() => End::GoAway(reason),
        _ => End::Broken(error.to_string()),
    }
}

async fn tcp(url: &str) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(authority(url)).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

fn authority(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/')
}

/// Longer than etcd itself ever takes for a call that does not block (7 s, twice for a linearizable read).
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
const FRAME_HEADER: usize = 5;
