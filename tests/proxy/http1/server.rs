//! A member that speaks HTTP/1.1 and does what a test tells it, byte by byte.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Serves in the test's own runtime; everything ends when it is dropped.
pub(super) struct Server {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

/// One connection that asks in HTTP/1.1.
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    ahead: Vec<u8>,
}

impl Server {
    /// Each connection is handed to `serve`, with its number from 0.
    pub(super) async fn start<F>(serve: impl Fn(usize, Peer) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let accepted = Arc::new(AtomicUsize::new(0));
        let (count, serve) = (accepted.clone(), Arc::new(serve));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (count, serve) = (count.clone(), serve.clone());
                tokio::spawn(async move {
                    let mut peer = Peer { stream, ahead: Vec::new() };
                    // The preface of HTTP/2 comes from the lanes, which have nothing to do here.
                    if peer.begins_in_http_1().await {
                        serve(count.fetch_add(1, Ordering::SeqCst), peer).await;
                    }
                });
            }
        });
        Self { address, accepted, accepting }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections in HTTP/1.1 so far.
    pub(super) fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Peer {
    /// The head of the next request, up to its empty line; `None` when the connection has ended.
    pub(super) async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.ahead.drain(..at + 4).collect();
                return Some(String::from_utf8(head).expect("heads are text"));
            }
            if self.more().await == 0 {
                return None;
            }
        }
    }

    /// At least one byte of what comes next; empty when the connection has ended.
    pub(super) async fn some(&mut self) -> Vec<u8> {
        if self.ahead.is_empty() {
            self.more().await;
        }
        std::mem::take(&mut self.ahead)
    }

    /// The body behind a head that tells its length.
    pub(super) async fn body(&mut self, head: &str) -> String {
        let name = "content-length: ";
        let line = head.lines().find(|line| line.to_lowercase().starts_with(name)).expect("a length");
        let length = line[name.len()..].parse().expect("a number");
        while self.ahead.len() < length {
            assert!(self.more().await > 0, "the connection ended inside a body");
        }
        String::from_utf8(self.ahead.drain(..length).collect()).expect("bodies are text")
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        // A client that left is the test's business, which sees it at its own end.
        drop(self.stream.write_all(bytes).await);
    }

    async fn begins_in_http_1(&mut self) -> bool {
        while self.ahead.len() < 4 {
            if self.more().await == 0 {
                return false;
            }
        }
        !self.ahead.starts_with(b"PRI ")
    }

    async fn more(&mut self) -> usize {
        self.stream.read_buf(&mut self.ahead).await.unwrap_or(0)
    }
}
