//! A member that does what a test tells it: HTTP/2 without TLS, each call answered by the test's own code.
//!
//! It runs on a thread of its own, so that a test that blocks does not hold it up.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use h2::server::{self, Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use tokio::net::TcpStream;
use tokio::sync::{broadcast, oneshot};

use super::grpc::frame;

/// A scripted member; its connections and calls end when it is dropped.
pub(crate) struct Upstream {
    address: SocketAddr,
    orders: broadcast::Sender<Order>,
    counts: Arc<Counts>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    accepted: AtomicUsize,
    calls: AtomicUsize,
    open: AtomicUsize,
}

/// What all open connections have to do.
#[derive(Clone, Copy)]
enum Order {
    Abort(Reason),
    GoAway,
    Kill,
}

/// One call, in the hands of the test.
pub(crate) struct Call {
    pub(crate) request: Request<RecvStream>,
    pub(crate) respond: SendResponse<Bytes>,
}

/// An answer whose headers are sent.
pub(crate) struct Answering {
    pub(crate) stream: SendStream<Bytes>,
}

type Handler = Arc<dyn Fn(Call) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

impl Upstream {
    /// Each call is handed to `handler`, in a task of its own; a call that `handler` drops unanswered is reset.
    pub(crate) fn start<F>(handler: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into(), handler)
    }

    /// The same on a given address, for one that comes back.
    pub(crate) fn start_on<F>(
        address: SocketAddr,
        handler: impl Fn(Call) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).expect("the address is free");
        listener.set_nonblocking(true).expect("a socket can be made non-blocking");
        let address = listener.local_addr().expect("a listener has an address");
        let handler: Handler = Arc::new(move |call| Box::pin(handler(call)));
        let (orders, counts) = (broadcast::channel(ORDER_QUEUE).0, Arc::new(Counts::default()));
        let (stop, stopped) = oneshot::channel();
        let accepting = accept(listener, handler, orders.clone(), counts.clone());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(async {
                tokio::select! {
                    () = accepting => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, orders, counts, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections that it has accepted so far.
    pub(crate) fn connections_accepted(&self) -> usize {
        self.counts.accepted.load(Ordering::SeqCst)
    }

    pub(crate) fn connections_open(&self) -> usize {
        self.counts.open.load(Ordering::SeqCst)
    }

    /// Calls that reached it so far.
    pub(crate) fn calls(&self) -> usize {
        self.counts.calls.load(Ordering::SeqCst)
    }

    /// Cuts every open connection without a word; new ones are accepted.
    pub(crate) fn kill_connections(&self) {
        self.order(Order::Kill);
    }

    /// Says on every open connection that it will end (GOAWAY with `NO_ERROR`); calls under way may finish.
    pub(crate) fn go_away(&self) {
        self.order(Order::GoAway);
    }

    /// Ends every open connection by a GOAWAY with this reason; calls under way are lost.
    pub(crate) fn abort_connections(&self, reason: Reason) {
        self.order(Order::Abort(reason));
    }

    fn order(&self, order: Order) {
        // An error means that no connection is open.
        drop(self.orders.send(order));
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.take();
        // A handler's panic was printed by its own thread; a second one here would hide the test's.
        drop(self.thread.take().map(JoinHandle::join));
    }
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

    /// Reads the request and answers with its metadata as headers, each name behind `echo-`.
    pub(crate) async fn echo(mut self) {
        self.body().await;
        let mut headers = answer_headers();
        for (name, value) in self.request.headers() {
            let name = HeaderName::try_from(format!("echo-{name}")).expect("a name with a prefix is a name");
            headers.append(name, value.clone());
        }
        if let Some(mut answering) = self.begin_with(headers) {
            answering.send(frame(0, b""));
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

async fn accept(
    listener: TcpListener,
    handler: Handler,
    orders: broadcast::Sender<Order>,
    counts: Arc<Counts>,
) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener can be registered");
    loop {
        // Errors of accepting are those of one connection.
        let Ok((socket, _)) = listener.accept().await else { continue };
        counts.accepted.fetch_add(1, Ordering::SeqCst);
        let (handler, counts, orders) = (handler.clone(), counts.clone(), orders.subscribe());
        tokio::spawn(async move {
            counts.open.fetch_add(1, Ordering::SeqCst);
            serve(socket, handler, orders, &counts).await;
            counts.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn serve(socket: TcpStream, handler: Handler, mut orders: broadcast::Receiver<Order>, counts: &Counts) {
    drop(socket.set_nodelay(true));
    let handshake = server::Builder::new()
        .initial_window_size(REQUEST_WINDOW)
        .initial_connection_window_size(REQUEST_WINDOW)
        // etcd takes any number of calls that are cancelled at once.
        .max_pending_accept_reset_streams(usize::MAX)
        .max_local_error_reset_streams(None)
        .handshake::<_, Bytes>(socket);
    let Ok(Ok(mut connection)) = tokio::time::timeout(HANDSHAKE_LIMIT, handshake).await else { return };
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                counts.calls.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(handler(Call { request, respond }));
            }
            order = orders.recv() => match order {
                Ok(order) if obey(&mut connection, order) => {}
                _ => return,
            }
        }
    }
}

/// Returns whether the connection goes on.
fn obey(connection: &mut Connection<TcpStream, Bytes>, order: Order) -> bool {
    match order {
        Order::Abort(reason) => connection.abrupt_shutdown(reason),
        Order::GoAway => connection.graceful_shutdown(),
        Order::Kill => return false,
    }
    true
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
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Bytes that `send_lazily` asks for at once: four frames.
const LAZY_CHUNK: usize = 64 << 10;
const ORDER_QUEUE: usize = 16;
/// What requests may send ahead, as generous as etcd is.
const REQUEST_WINDOW: u32 = 1 << 20;
