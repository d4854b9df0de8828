//! A member that does what a test tells it: HTTP/2 without TLS, each call answered by the test's own code.
//!
//! Probes of an etcdlet are no calls: it answers them by itself (see [`probe`]), and counts neither them nor their
//! connections. It runs on a thread of its own, so that a test that blocks does not hold it up.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::server::{self, Connection};
use tokio::net::TcpStream;
use tokio::sync::{broadcast, oneshot};

#[allow(unused_imports, reason = "every test binary uses its own part of the fixtures")]
pub(crate) use call::{Answering, Call, answer_headers, status};
use probe::Reply;
#[allow(unused_imports, reason = "every test binary uses its own part of the fixtures")]
pub(crate) use probe::Report;

mod call;
mod probe;

/// A scripted member; its connections and calls end when it is dropped.
pub(crate) struct Upstream {
    address: SocketAddr,
    orders: broadcast::Sender<Order>,
    counts: Arc<Counts>,
    to_probes: Arc<Mutex<Reply>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    accepted: AtomicUsize,
    /// New connections are closed.
    closed: AtomicBool,
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
        let to_probes = Arc::<Mutex<Reply>>::default();
        let (stop, stopped) = oneshot::channel();
        let service = Service { handler, counts: counts.clone(), to_probes: to_probes.clone() };
        let accepting = accept(listener, service, orders.clone());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(async {
                tokio::select! {
                    () = accepting => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, orders, counts, to_probes, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections for calls that it has accepted so far.
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

    /// From now on it tells probes this about itself. Before, it answers as a member does that demands to know who
    /// asks: it lives, and nothing else is known of it.
    pub(crate) fn report(&self, report: Report) {
        self.reply_to_probes(Reply::Report(report));
    }

    /// From now on no probe gets an answer, as from a member that is frozen.
    pub(crate) fn ignore_probes(&self) {
        self.reply_to_probes(Reply::Silence);
    }

    fn reply_to_probes(&self, reply: Reply) {
        *self.to_probes.lock().expect("nothing panics under this lock") = reply;
    }

    /// From now on new connections are closed at once; those there are live on.
    pub(crate) fn close_new_connections(&self) {
        self.counts.closed.store(true, Ordering::SeqCst);
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

#[derive(Clone)]
struct Service {
    handler: Handler,
    counts: Arc<Counts>,
    to_probes: Arc<Mutex<Reply>>,
}

async fn accept(listener: TcpListener, service: Service, orders: broadcast::Sender<Order>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener can be registered");
    loop {
        // Errors of accepting are those of one connection.
        let Ok((socket, _)) = listener.accept().await else { continue };
        if service.counts.closed.load(Ordering::SeqCst) {
            continue;
        }
        tokio::spawn(serve(socket, service.clone(), orders.subscribe()));
    }
}

async fn serve(socket: TcpStream, service: Service, mut orders: broadcast::Receiver<Order>) {
    drop(socket.set_nodelay(true));
    let handshake = server::Builder::new()
        .initial_window_size(REQUEST_WINDOW)
        .initial_connection_window_size(REQUEST_WINDOW)
        // etcd takes any number of calls that are cancelled at once.
        .max_pending_accept_reset_streams(usize::MAX)
        .max_local_error_reset_streams(None)
        .handshake::<_, Bytes>(socket);
    let Ok(Ok(mut connection)) = tokio::time::timeout(HANDSHAKE_LIMIT, handshake).await else { return };
    let Service { handler, counts, to_probes } = service;
    let mut use_of_it = Use::Unknown;
    let mut undecided = pin!(tokio::time::sleep(PROBE_PAUSE));
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                let call = Call { request, respond };
                if probe::is_probe(&call) {
                    use_of_it = use_of_it.probed();
                    let reply = to_probes.lock().expect("nothing panics under this lock").clone();
                    tokio::spawn(probe::answer(call, reply));
                    continue;
                }
                use_of_it = use_of_it.called(&counts);
                counts.calls.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(handler(call));
            }
            () = &mut undecided, if matches!(use_of_it, Use::Unknown) => {
                use_of_it = Use::Idle(Counted::new(&counts));
            }
            order = orders.recv() => match order {
                Ok(order) if obey(&mut connection, order) => {}
                _ => return,
            }
        }
    }
}

/// What a connection is for, as far as it is known. A prober asks as soon as it is connected.
enum Use {
    Calls(Counted),
    /// No probe came in time: it waits for calls.
    Idle(Counted),
    Probes,
    Unknown,
}

impl Use {
    fn called(self, counts: &Arc<Counts>) -> Self {
        match self {
            Self::Calls(counted) | Self::Idle(counted) => Self::Calls(counted),
            Self::Probes | Self::Unknown => Self::Calls(Counted::new(counts)),
        }
    }

    fn probed(self) -> Self {
        match self {
            Self::Calls(counted) => Self::Calls(counted),
            Self::Idle(counted) => {
                // It was slow to ask.
                counted.0.accepted.fetch_sub(1, Ordering::SeqCst);
                Self::Probes
            }
            Self::Probes | Self::Unknown => Self::Probes,
        }
    }
}

/// One connection for calls, in the counts.
struct Counted(Arc<Counts>);

impl Counted {
    fn new(counts: &Arc<Counts>) -> Self {
        counts.accepted.fetch_add(1, Ordering::SeqCst);
        counts.open.fetch_add(1, Ordering::SeqCst);
        Self(counts.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
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

const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
const ORDER_QUEUE: usize = 16;
/// Far longer than a prober takes from its greeting to its question.
const PROBE_PAUSE: Duration = Duration::from_millis(50);
/// What requests may send ahead, as generous as etcd is.
const REQUEST_WINDOW: u32 = 1 << 20;
