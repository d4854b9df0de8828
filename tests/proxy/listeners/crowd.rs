//! Ten thousand connections.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use etcdlet::net::nofile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{listening, socket};
use crate::bad_input::length;
use crate::bad_input::subject::{KIB, MIB};
use crate::bad_input::wire::{PREFACE, settings, whole_call};
use crate::observability::becomes;
use crate::support::upstream::Upstream;

/// Of both kinds, each with a call, all open at once. (The long run has ten thousand, the other a thousand.)
#[tokio::test]
async fn ten_thousand_connections_are_held_with_bounded_memory() {
    let (upstream, (_directory, path)) = (Upstream::start(|call| call.answer(b"")), socket());
    let count = 1_000 * length();
    nofile::raise();
    let limits = format!("limits: {{connections: {count}}}");
    let sidecar = listening(&upstream.url(), &format!("{{url: 'unix://{}'}}", path.display()), &limits);
    let mut open: Vec<Box<dyn Send>> = Vec::with_capacity(count);
    let mut base = 0;
    while open.len() < count {
        // In batches below the listener's backlog.
        let mut batch: JoinSet<Box<dyn Send>> = JoinSet::new();
        for _ in 0..BATCH / 2 {
            // A port is taken only together with an address.
            let address = Ipv4Addr::new(127, 1, 0, 1 + (open.len() / 2_000) as u8);
            batch.spawn(tcp(address, sidecar.addr()));
            batch.spawn(unix(path.clone()));
        }
        open.extend(batch.join_all().await);
        // The first ones find out what is made once.
        if open.len() == BATCH {
            base = sidecar.rss_bytes();
        }
    }
    becomes(&sidecar, "etcdlet_connections", count as f64).await;
    let each = sidecar.rss_bytes().saturating_sub(base) / (count - BATCH) as u64;
    println!("{count} connections take {each} bytes each");
    assert!(each <= 40 * KIB, "{each} bytes each");
    // One more is one too many, and those that are served don't notice.
    let mut over = UnixStream::connect(&path).await.unwrap();
    assert_eq!(timeout(LIMIT, over.read(&mut [0])).await.unwrap().unwrap_or(0), 0);
    becomes(&sidecar, "etcdlet_connections", count as f64).await;
    drop(open);
    becomes(&sidecar, "etcdlet_connections", 0.0).await;
    assert!(sidecar.rss_bytes() < base + count as u64 * 40 * KIB + 8 * MIB);
    assert!(upstream.calls() >= count);
}

async fn tcp(from: Ipv4Addr, to: SocketAddr) -> Box<dyn Send> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    call(socket.connect(to).await.expect("the sidecar accepts")).await
}

async fn unix(path: impl AsRef<Path>) -> Box<dyn Send> {
    call(UnixStream::connect(path).await.expect("the sidecar accepts")).await
}

/// With little memory of its own.
async fn call<S: AsyncReadExt + AsyncWriteExt + Send + Unpin + 'static>(mut stream: S) -> Box<dyn Send> {
    let call = [PREFACE, &settings(&[]), &whole_call(1, "/etcdserverpb.KV/Range", b"\n\x01a")].concat();
    stream.write_all(&call).await.unwrap();
    let mut heard = Vec::new();
    while !ends(&heard) {
        let read = timeout(LIMIT, stream.read_buf(&mut heard)).await.expect("an answer in time");
        assert!(read.unwrap() > 0, "closed after {heard:?}");
    }
    Box::new(stream)
}

/// Whether the last frame of a call is there: HEADERS with END_STREAM (RFC 9113, section 4.1).
fn ends(mut bytes: &[u8]) -> bool {
    while let Some(([l0, l1, l2, kind, flags, ..], _)) = bytes.split_first_chunk::<9>() {
        if *kind == 1 && flags & 1 != 0 {
            return true;
        }
        let length = u32::from_be_bytes([0, *l0, *l1, *l2]) as usize;
        bytes = bytes.get(9 + length..).unwrap_or_default();
    }
    false
}

const BATCH: usize = 200;
const LIMIT: Duration = Duration::from_secs(10);
