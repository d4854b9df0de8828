use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream};
use tokio::task::JoinSet;

use super::client::{CallError, Connection, Method, accepted};
use super::wire;

/// Connections with one created watch each, all closed when dropped.
#[derive(Debug)]
pub(crate) struct Watches(Vec<Watch>);

#[derive(Debug)]
struct Watch {
    /// Held because dropping either ends the watch.
    _connection: Connection,
    _requests: SendStream<Bytes>,
    replies: RecvStream,
}

impl Watches {
    /// Every watch has its own key: the case that a proxy cannot make cheap by sharing.
    pub(crate) async fn open(address: SocketAddr, count: usize) -> Result<Self, CallError> {
        let mut opened = Vec::with_capacity(count);
        let mut opening = JoinSet::new();
        for index in 0..count {
            if opening.len() == OPENING_MAX
                && let Some(watch) = opening.join_next().await
            {
                opened.push(watch.map_err(std::io::Error::other)??);
            }
            opening.spawn(async move {
                let key = format!("bench/watch/{index:04}");
                Watch::open(address, key.as_bytes()).await
            });
        }
        for watch in opening.join_all().await {
            opened.push(watch?);
        }
        Ok(Self(opened))
    }

    /// How many have neither ended nor spoken, as none should while nobody writes.
    pub(crate) fn quiet(&mut self) -> usize {
        let mut context = Context::from_waker(Waker::noop());
        self.0.iter_mut().map(|watch| watch.replies.poll_data(&mut context)).filter(Poll::is_pending).count()
    }
}

impl Watch {
    async fn open(address: SocketAddr, key: &[u8]) -> Result<Self, CallError> {
        let connection = Connection::open(address).await?;
        let mut caller = connection.caller(Method::Watch);
        let (response, requests) = caller.send(wire::watch_create(key, b""), false).await?;
        let mut replies = accepted(response.await?)?;
        let mut body = BytesMut::new();
        loop {
            let Some(chunk) = replies.data().await else {
                return Err(CallError::Reply(body.len()));
            };
            let chunk = chunk?;
            replies.flow_control().release_capacity(chunk.len())?;
            body.extend_from_slice(&chunk);
            match wire::first_message(&body) {
                None => {}
                Some(message) if wire::says_created(message) => break,
                Some(_) => return Err(CallError::Reply(body.len())),
            }
        }
        Ok(Self { _connection: connection, _requests: requests, replies })
    }
}

/// Below every listen backlog.
const OPENING_MAX: usize = 50;
