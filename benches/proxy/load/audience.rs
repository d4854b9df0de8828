use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::client::{CallError, Caller, Connection, Method, accepted, check_status};
use super::responses::{Responses, Shown};

/// Watch streams that count what they are shown. All are closed when it is dropped.
#[derive(Debug)]
pub(crate) struct Audience {
    /// Held because dropping one closes it.
    _connections: Vec<Connection>,
    _listeners: JoinSet<()>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// By stream.
    events: Vec<AtomicU64>,
    created: Count,
    seen: Count,
    failure: Mutex<Option<CallError>>,
    /// A count has reached what is waited for, or something has failed.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Count {
    now: AtomicU64,
    wanted: AtomicU64,
}

impl Audience {
    /// Opens a stream for each element and creates its watches, one when the one before it is there, as
    /// etcd's own client does it. Streams are dealt to the connections in turn.
    pub(crate) async fn open(
        address: SocketAddr,
        connections: usize,
        streams: Vec<Vec<Bytes>>,
    ) -> Result<Self, CallError> {
        let mut opened = Vec::with_capacity(connections);
        for _ in 0..connections {
            opened.push(Connection::open(address).await?);
        }
        let shared = Arc::new(Shared {
            events: streams.iter().map(|_| AtomicU64::new(0)).collect(),
            created: Count::default(),
            seen: Count::default(),
            failure: Mutex::new(None),
            changed: Notify::new(),
        });
        let watches = streams.iter().map(Vec::len).sum::<usize>() as u64;
        let mut listeners = JoinSet::new();
        for (index, creates) in streams.into_iter().enumerate() {
            let (caller, shared) = (opened[index % connections].caller(Method::Watch), Arc::clone(&shared));
            listeners.spawn(async move {
                if let Err(error) = listen(caller, creates, index, &shared).await {
                    shared.on_failure(error);
                }
            });
        }
        let audience = Self { _connections: opened, _listeners: listeners, shared };
        audience.until(&audience.shared.created, watches).await?;
        Ok(audience)
    }

    /// Waits until every stream has been shown exactly so many events since it was opened.
    pub(crate) async fn until_seen(&self, events: u64) -> Result<(), CallError> {
        let Shared { events: streams, seen, .. } = &*self.shared;
        self.until(seen, events * streams.len() as u64).await?;
        match streams.iter().map(|stream| stream.load(Ordering::Relaxed)).find(|seen| *seen != events) {
            Some(seen) => Err(CallError::Events { seen, events }),
            None => Ok(()),
        }
    }

    async fn until(&self, count: &Count, wanted: u64) -> Result<(), CallError> {
        count.wanted.store(wanted, Ordering::Relaxed);
        loop {
            if let Some(error) = self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return Err(error);
            }
            if count.now.load(Ordering::Relaxed) >= wanted {
                return Ok(());
            }
            self.shared.changed.notified().await;
        }
    }
}

impl Shared {
    fn on_shown(&self, stream: usize, shown: Shown) {
        let Shown { created, events } = shown;
        self.events[stream].fetch_add(events, Ordering::Relaxed);
        if self.created.reaches(created) | self.seen.reaches(events) {
            self.changed.notify_one();
        }
    }

    fn on_failure(&self, error: CallError) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.changed.notify_one();
    }
}

impl Count {
    /// Whether it was not yet, and is now, what is waited for.
    fn reaches(&self, more: u64) -> bool {
        let before = self.now.fetch_add(more, Ordering::Relaxed);
        let wanted = self.wanted.load(Ordering::Relaxed);
        before < wanted && before + more >= wanted
    }
}

/// Ends only by failing.
async fn listen(
    mut caller: Caller,
    creates: Vec<Bytes>,
    stream: usize,
    shared: &Shared,
) -> Result<(), CallError> {
    let mut creates = creates.into_iter();
    let first = creates.next().unwrap_or_default();
    let (response, mut requests) = caller.send(first, false).await?;
    let mut replies = accepted(response.await?)?;
    let mut responses = Responses::default();
    while let Some(piece) = replies.data().await {
        let piece = piece?;
        let shown = responses.read(&piece)?;
        replies.flow_control().release_capacity(piece.len())?;
        for create in creates.by_ref().take(usize::try_from(shown.created).unwrap_or(usize::MAX)) {
            requests.send_data(create, false)?;
        }
        shared.on_shown(stream, shown);
    }
    check_status(&replies.trailers().await?.unwrap_or_default())?;
    Err(CallError::Ended)
}
