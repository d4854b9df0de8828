//! A client of HTTP/1.1 that shows what came: names in their case, order, chunks.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// One connection.
pub(crate) struct Connection {
    stream: Box<dyn Io>,
    ahead: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// As they came: names in their case, in their order.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Connection {
    /// To `http://host:port`.
    pub(crate) async fn open(url: &str) -> Self {
        Self::over(TcpStream::connect(authority(url)).await.expect("the server accepts"))
    }

    /// To a Unix socket.
    pub(crate) async fn open_unix(path: &Path) -> io::Result<Self> {
        Ok(Self::over(UnixStream::connect(path).await?))
    }

    /// To `https://host:port`; `config` offers what it offers by ALPN.
    pub(crate) async fn open_tls(url: &str, config: Arc<rustls::ClientConfig>) -> io::Result<Self> {
        let stream = TcpStream::connect(authority(url)).await?;
        let host = authority(url).rsplit_once(':').expect("a port").0.to_owned();
        let name = ServerName::try_from(host).expect("a host name");
        Ok(Self::over(tokio_rustls::TlsConnector::from(config).connect(name, stream).await?))
    }

    pub(crate) fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { stream: Box::new(stream), ahead: Vec::new() }
    }

    /// Sends a request without a body and reads the answer.
    pub(crate) async fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: etcd\r\n\r\n").as_bytes()).await;
        self.response("GET").await
    }

    /// Sends a JSON body and reads the answer.
    pub(crate) async fn post(&mut self, path: &str, json: &str) -> Response {
        self.send(&post(path, json)).await;
        self.response("POST").await
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        timeout(PATIENCE, self.stream.write_all(bytes))
            .await
            .expect("the server reads")
            .expect("the connection lives");
    }

    /// The answer to a request with `method`, whole.
    pub(crate) async fn response(&mut self, method: &str) -> Response {
        let mut response = self.head().await;
        if method == "HEAD" || matches!(response.status, 100..200 | 204 | 304) {
            return response;
        }
        if response.header("transfer-encoding").is_some_and(|value| value == "chunked") {
            while let Some(chunk) = self.chunk().await {
                response.body.extend(chunk);
            }
        } else if let Some(length) = response.header("content-length") {
            let length = length.parse().expect("a length is a number");
            response.body = self.take(length).await;
        } else {
            while self.more().await > 0 {}
            response.body = std::mem::take(&mut self.ahead);
        }
        response
    }

    /// Status and headers; the body is left to be read.
    pub(crate) async fn head(&mut self) -> Response {
        let line = self.line().await;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not a status line: {line:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line().await;
            if line.is_empty() {
                return Response { status, headers, body: Vec::new() };
            }
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("not a header: {line:?}"));
            headers.push((name.to_owned(), value.to_owned()));
        }
    }

    /// The next chunk; `None` behind the last one.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.line().await;
        let length =
            usize::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("not a chunk's length: {line:?}"));
        let chunk = self.take(length).await;
        assert_eq!(self.line().await, "", "a chunk ends with its line");
        (length > 0).then_some(chunk)
    }

    /// The next `length` bytes of a body.
    pub(crate) async fn rest(&mut self, length: usize) -> Vec<u8> {
        self.take(length).await
    }

    /// Whether the server ends the connection, without a byte before.
    pub(crate) async fn is_closed_within(&mut self, limit: Duration) -> bool {
        let mut byte = [0];
        self.ahead.is_empty()
            && matches!(timeout(limit, self.stream.read(&mut byte)).await, Ok(Ok(0) | Err(_)))
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.ahead.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.ahead.drain(..at + 2).take(at).collect();
                return String::from_utf8(line).expect("lines are text");
            }
            assert!(self.more().await > 0, "the connection ended inside a line: {:?}", self.ahead);
        }
    }

    async fn take(&mut self, length: usize) -> Vec<u8> {
        while self.ahead.len() < length {
            assert!(
                self.more().await > 0,
                "the connection ended after {} of {length} bytes",
                self.ahead.len()
            );
        }
        self.ahead.drain(..length).collect()
    }

    async fn more(&mut self) -> usize {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.ahead)).await;
        read.expect("the server answers in time").unwrap_or(0)
    }
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// The bytes of a POST with a JSON body.
pub(crate) fn post(path: &str, json: &str) -> Vec<u8> {
    let length = json.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: etcd\r\nContent-Type: application/json\r\n");
    format!("{head}Content-Length: {length}\r\n\r\n{json}").into_bytes()
}

fn authority(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

const PATIENCE: Duration = Duration::from_secs(10);
