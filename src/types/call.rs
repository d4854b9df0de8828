//! `Call` and `Reply`: what flows from a listener to the cluster and back.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Frame;

use super::client::Client;
use super::method::Rpc;
use super::status::Status;

/// One request on its way to the cluster.
pub struct Call {
    /// The row of the method table that its path selects.
    pub rpc: &'static Rpc,
    pub wire: Wire,
    /// Method, URI and headers ('metadata'), forwarded as they are. Boxed, because a call is
    /// moved from future to future.
    pub head: Box<http::request::Parts>,
    /// When the client gives up, from its `grpc-timeout`.
    pub deadline: Option<Instant>,
    pub client: Arc<Client>,
    pub body: Body,
}

impl Call {
    /// Whether the client speaks gRPC, so that an answer must carry a `grpc-status`.
    pub fn is_grpc(&self) -> bool {
        self.wire == Wire::H2 && is_grpc(&self.head.headers)
    }
}

/// The protocol that a call arrived in, which is the one it leaves in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    H1,
    H2,
}

/// The answer to a [`Call`].
pub struct Reply {
    /// Status and headers; for HTTP/1.1 also how their names are spelled.
    pub head: http::response::Parts,
    pub body: Body,
}

impl Reply {
    /// A gRPC answer without a message: the status stands in the headers ('trailers-only').
    pub fn trailers_only(status: &Status) -> Self {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/grpc"));
        status.write(&mut headers);
        Self { head: response_head(StatusCode::OK, headers), body: Body::Empty }
    }

    /// A gRPC answer whose body ends with trailers.
    pub fn grpc(body: Body) -> Self {
        let mut headers = HeaderMap::with_capacity(1);
        headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/grpc"));
        Self { head: response_head(StatusCode::OK, headers), body }
    }

    /// A plain HTTP answer that carries the text of `status`.
    pub fn text(status: &Status) -> Self {
        Self::http(status, "text/plain; charset=utf-8", format!("{}\n", status.message))
    }

    /// An error as etcd's JSON gateway writes it; the older one says everything twice.
    pub fn json(status: &Status, dialect: Dialect) -> Self {
        let (code, message) = (status.code as u8, serde_json::Value::from(&*status.message));
        let json = match dialect {
            Dialect::V1 => format!(r#"{{"error":{message},"message":{message},"code":{code}}}"#),
            Dialect::V2 => format!(r#"{{"code":{code},"message":{message}}}"#),
        };
        Self::http(status, "application/json", json)
    }

    fn http(status: &Status, content_type: &'static str, body: String) -> Self {
        let mut headers = HeaderMap::with_capacity(2);
        headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
        Self { head: response_head(status.code.http(), headers), body: Body::Full(Bytes::from(body)) }
    }
}

/// In which words the JSON gateway tells of an error, by the version of the library that it is made with
/// (grpc-gateway).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Up to etcd 3.5.
    V1,
    /// Since then.
    V2,
}

/// What a connection becomes when its member has switched protocols: a future that ends with it. It
/// travels among the extensions of a response's head.
#[derive(Clone)]
pub struct Tunnel(Arc<Mutex<Option<TunnelFuture>>>);

pub type TunnelFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Tunnel {
    pub fn new(future: TunnelFuture) -> Self {
        Self(Arc::new(Mutex::new(Some(future))))
    }

    /// The first time.
    pub fn take(&self) -> Option<TunnelFuture> {
        self.0.lock().expect("nobody panics while taking it").take()
    }
}

/// Raw data frames, then perhaps trailers.
pub enum Body {
    Empty,
    /// The whole body, which was read ahead.
    Full(Bytes),
    Stream(UnsyncBoxBody<Bytes, Broken>),
    /// The whole body with its trailers.
    Whole(Bytes, Box<HeaderMap>),
    /// What is left of that when the data are taken.
    Trailers(Box<HeaderMap>),
}

impl Body {
    pub fn stream(body: impl hyper::body::Body<Data = Bytes, Error = Broken> + Send + 'static) -> Self {
        Self::Stream(UnsyncBoxBody::new(body))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        match this {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Stream(body) => Pin::new(body).poll_frame(cx),
            Self::Trailers(trailers) => {
                let trailers = std::mem::take(&mut **trailers);
                *this = Self::Empty;
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Self::Whole(bytes, trailers) => {
                let (bytes, trailers) = (std::mem::take(bytes), std::mem::take(trailers));
                *this = Self::Trailers(trailers);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) | Self::Trailers(_) | Self::Whole(..) => false,
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Empty | Self::Trailers(_) => hyper::body::SizeHint::with_exact(0),
            Self::Full(bytes) | Self::Whole(bytes, _) => {
                hyper::body::SizeHint::with_exact(bytes.len() as u64)
            }
            Self::Stream(body) => body.size_hint(),
        }
    }
}

/// Why a body ended before its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("connection lost: {0}")]
    Connection(String),
    /// `RST_STREAM` with this error code (RFC 9113, section 7).
    #[error("stream reset with HTTP/2 error code {0}")]
    Reset(u32),
}

fn response_head(status: StatusCode, headers: HeaderMap) -> http::response::Parts {
    let (mut head, ()) = http::Response::new(()).into_parts();
    head.status = status;
    head.headers = headers;
    head
}

/// Whether etcd may take a request with these headers for gRPC: of several content types one is enough
/// (`operateHeaders` of grpc-go's `internal/transport/http2_server.go`), whatever its method is.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(http::header::CONTENT_TYPE).iter();
    types.any(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The value of `grpc-timeout` (gRPC over HTTP/2: at most eight digits and a unit), or `None`
/// where there is none or it is malformed: a malformed one is for etcd to refuse.
pub fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "n" => Some(Duration::from_nanos(count)),
        "u" => Some(Duration::from_micros(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeout(value: &'static str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", http::HeaderValue::from_static(value));
        grpc_timeout(&headers)
    }

    #[test]
    fn an_error_in_json_is_written_as_etcd_s_gateway_writes_it() {
        let status = Status::new(crate::types::status::Code::Unavailable, "no \"leader\"");
        for (dialect, expected) in [
            (Dialect::V1, r#"{"error":"no \"leader\"","message":"no \"leader\"","code":14}"#),
            (Dialect::V2, r#"{"code":14,"message":"no \"leader\""}"#),
        ] {
            let Reply { head, body } = Reply::json(&status, dialect);
            assert_eq!(
                (head.status.as_u16(), &head.headers["content-type"]),
                (503, &"application/json".parse().unwrap())
            );
            assert!(matches!(body, Body::Full(json) if json == expected));
        }
    }

    #[test]
    fn of_several_content_types_one_makes_a_call_grpc() {
        for (types, expected) in [
            (&["application/grpc"][..], true),
            (&["application/grpc+proto"], true),
            (&["text/plain", "application/grpc"], true),
            (&["application/grpc", "text/plain"], true),
            (&["text/plain", "application/json"], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in types {
                headers.append(http::header::CONTENT_TYPE, http::HeaderValue::from_static(value));
            }
            assert_eq!(is_grpc(&headers), expected, "{types:?}");
        }
    }

    #[test]
    fn every_unit_of_a_timeout_is_read() {
        assert_eq!(timeout("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(timeout("3M"), Some(Duration::from_secs(180)));
        assert_eq!(timeout("5S"), Some(Duration::from_secs(5)));
        assert_eq!(timeout("99999999m"), Some(Duration::from_millis(99_999_999)));
        assert_eq!(timeout("7u"), Some(Duration::from_micros(7)));
        assert_eq!(timeout("1n"), Some(Duration::from_nanos(1)));
    }

    #[test]
    fn a_malformed_timeout_counts_as_none() {
        for bad in ["", "5", "S", "-1S", "123456789S", "5s", "1.5S", "+5S"] {
            assert_eq!(timeout(bad), None, "{bad:?}");
        }
    }
}
