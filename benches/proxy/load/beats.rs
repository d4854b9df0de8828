use std::net::SocketAddr;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream};
use tokio::task::JoinSet;

use super::client::{CallError, Connection, Method, accepted, check_status};
use super::tally::Tally;
use super::wire;

/// Keep-alive streams of one lease, all closed when dropped.
#[derive(Debug)]
pub(crate) struct Beats {
    /// Held because dropping one closes it.
    _connections: Vec<Connection>,
    streams: Vec<Stream>,
}

#[derive(Debug)]
struct Stream {
    requests: SendStream<Bytes>,
    replies: RecvStream,
    body: BytesMut,
    beat: Bytes,
}

impl Beats {
    /// With a first beat on each stream. Streams are dealt to the connections in turn.
    pub(crate) async fn open(
        address: SocketAddr,
        connections: usize,
        streams: usize,
        lease: u64,
    ) -> Result<Self, CallError> {
        let mut opened = Vec::with_capacity(connections);
        for _ in 0..connections {
            opened.push(Connection::open(address).await?);
        }
        let mut opening = JoinSet::new();
        for index in 0..streams {
            let mut caller = opened[index % connections].caller(Method::LeaseKeepAlive);
            let beat = wire::lease_keep_alive(lease);
            opening.spawn(async move {
                let (response, requests) = caller.send(beat.clone(), false).await?;
                let replies = accepted(response.await?)?;
                let mut stream = Stream { requests, replies, body: BytesMut::new(), beat };
                stream.answer().await.map(|()| stream)
            });
        }
        let streams = opening.join_all().await.into_iter().collect::<Result<_, CallError>>()?;
        Ok(Self { _connections: opened, streams })
    }

    /// So many beats on each stream, each when the one before it is answered. A stream that fails beats
    /// no more.
    pub(crate) async fn run(&mut self, beats: u64) -> Tally {
        let mut loops = JoinSet::new();
        let start = Instant::now();
        for mut stream in self.streams.drain(..) {
            loops.spawn(async move {
                let mut tally = Tally::default();
                for _ in 0..beats {
                    let start = Instant::now();
                    let outcome = stream.beat().await;
                    let failed = outcome.is_err();
                    tally.add(start.elapsed(), outcome);
                    if failed {
                        break;
                    }
                }
                (stream, tally)
            });
        }
        let mut tally = Tally::default();
        for (stream, part) in loops.join_all().await {
            self.streams.push(stream);
            tally.absorb(part);
        }
        tally.elapsed = start.elapsed();
        tally
    }
}

impl Stream {
    async fn beat(&mut self) -> Result<(), CallError> {
        self.requests.send_data(self.beat.clone(), false)?;
        self.answer().await
    }

    /// Exactly one message, which says that the lease lives.
    async fn answer(&mut self) -> Result<(), CallError> {
        self.body.clear();
        while let Some(piece) = self.replies.data().await {
            let piece = piece?;
            self.replies.flow_control().release_capacity(piece.len())?;
            self.body.extend_from_slice(&piece);
            if let Some(message) = wire::first_message(&self.body) {
                let alone = wire::PREFIX_BYTES + message.len() == self.body.len();
                let fine = alone && wire::says_alive(message);
                return if fine { Ok(()) } else { Err(CallError::Reply(self.body.len())) };
            }
        }
        check_status(&self.replies.trailers().await?.unwrap_or_default())?;
        Err(CallError::Ended)
    }
}
