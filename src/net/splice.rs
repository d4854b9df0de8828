//! Two connections as one: what comes in at either goes out at the other, as it is.
//!
//! A connection on which nothing is under way holds no buffer: what is read goes from one of the
//! thread's own straight to the other side, and only what that does not take at once is kept; nothing
//! more is read in that direction until it has gone.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use prometheus::IntCounter;

use super::socket::Traffic;
use super::stream::Stream;

/// Ends when both directions have ended, each with its half-close, or either connection fails.
/// `moved` counts the bytes of both.
pub async fn splice(
    client: (&Stream, &Traffic),
    member: (&Stream, &Traffic),
    moved: &AtomicU64,
) -> io::Result<()> {
    let mut ways = [
        Way::new(client.0, member.0, [&client.1.received, &member.1.sent], moved),
        Way::new(member.0, client.0, [&member.1.received, &client.1.sent], moved),
    ];
    poll_fn(|cx| {
        let mut ended = true;
        for way in &mut ways {
            ended &= way.poll(cx)?.is_ready();
        }
        if ended { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

/// One direction.
struct Way<'a> {
    from: &'a Stream,
    to: &'a Stream,
    counters: [&'a IntCounter; 2],
    moved: &'a AtomicU64,
    state: State,
}

enum State {
    Ended,
    Reading,
    /// The other side has taken the first `written` bytes.
    Writing {
        bytes: Vec<u8>,
        written: usize,
    },
}

impl<'a> Way<'a> {
    fn new(from: &'a Stream, to: &'a Stream, counters: [&'a IntCounter; 2], moved: &'a AtomicU64) -> Self {
        Self { from, to, counters, moved, state: State::Reading }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..READS_PER_TURN {
            if let State::Ended = self.state {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_write(cx))?;
            ready!(self.from.poll_read_ready(cx))?;
            self.pass()?;
        }
        // The other tasks of the thread have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ready when nothing is kept.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let State::Writing { bytes, written } = &mut self.state {
            ready!(self.to.poll_write_ready(cx))?;
            *written += taken(self.to.try_write(&bytes[*written..]))?;
            if *written == bytes.len() {
                self.state = State::Reading;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// One read, and what the other side takes of it at once.
    fn pass(&mut self) -> io::Result<()> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(READ_MAX, 0);
            let count = match self.from.try_read(scratch) {
                Ok(0) => {
                    self.state = State::Ended;
                    return self.to.shutdown_write();
                }
                Ok(count) => count,
                Err(error) => return taken(Err(error)).map(|_| ()),
            };
            self.counters.iter().for_each(|counter| counter.inc_by(count as u64));
            self.moved.fetch_add(count as u64, Ordering::Relaxed);
            let written = taken(self.to.try_write(&scratch[..count]))?;
            if written < count {
                self.state = State::Writing { bytes: scratch[written..count].to_vec(), written: 0 };
            }
            Ok(())
        })
    }
}

/// Nothing, where the socket has no room or the system was interrupted.
fn taken(outcome: io::Result<usize>) -> io::Result<usize> {
    outcome.or_else(|error| match error.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => Ok(0),
        _ => Err(error),
    })
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Also the most that is kept for each direction.
const READ_MAX: usize = 64 << 10;

/// A megabyte, then somebody else.
const READS_PER_TURN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::JoinHandle;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    /// Both outer ends, and what happens between them.
    async fn spliced() -> (TcpStream, TcpStream, JoinHandle<(io::Result<()>, u64)>) {
        let ((client, inner), (outer, member)) = (pair().await, pair().await);
        let task = tokio::spawn(async move {
            let (client, member) = (Stream::from(inner), Stream::from(outer));
            let (traffic, moved) = (Traffic::detached(), AtomicU64::new(0));
            let outcome = splice((&client, &traffic), (&member, &traffic), &moved).await;
            (outcome, moved.into_inner())
        });
        (client, member, task)
    }

    #[tokio::test]
    async fn bytes_pass_both_ways_and_half_closes_one_by_one() {
        let (mut client, mut member, task) = spliced().await;
        let request = vec![1; 3 << 20];
        let (sent, received) = tokio::join!(
            async {
                client.write_all(&request).await.unwrap();
                client.shutdown().await
            },
            async {
                let mut received = Vec::new();
                member.read_to_end(&mut received).await.unwrap();
                received
            }
        );
        sent.unwrap();
        assert!(received == request);
        member.write_all(b"answer").await.unwrap();
        let mut answer = [0; 6];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"answer");
        member.shutdown().await.unwrap();
        assert_eq!(client.read(&mut answer).await.unwrap(), 0);
        let (outcome, moved) = task.await.unwrap();
        outcome.unwrap();
        assert_eq!(moved, (3 << 20) + 6);
    }

    #[tokio::test]
    async fn who_does_not_read_holds_back_the_other_and_gets_all_in_the_end() {
        let (mut client, mut member, task) = spliced().await;
        let chunk = vec![7; 64 << 10];
        let mut sent = 0;
        while let Ok(written) = tokio::time::timeout(Duration::from_millis(200), client.write(&chunk)).await {
            sent += written.unwrap();
            assert!(sent < 64 << 20, "nothing holds it back");
        }
        drop(client);
        let mut received = Vec::new();
        member.read_to_end(&mut received).await.unwrap();
        assert_eq!(received.len(), sent);
        drop(member);
        task.await.unwrap().0.unwrap();
    }

    #[tokio::test]
    async fn a_reset_on_one_side_ends_both() {
        let (client, mut member, task) = spliced().await;
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        assert_eq!(member.read(&mut [0]).await.unwrap_or(0), 0);
        assert!(task.await.unwrap().0.is_err());
    }
}
