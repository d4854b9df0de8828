//! Clients that stop in the middle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::sleep;

use super::subject::{
    KIB, MIB, PUT, RANGE, SNAPSHOT, Subject, WATCH, assert_answered, long_range, settle,
    upstream_with_long_answers,
};
use super::wire::{
    DATA, HEADERS, INITIAL_WINDOW_SIZE, LARGEST, Wire, block, call_headers, frame, open_call, whole_call,
    window_update,
};
use crate::support::grpc::{self, Event};
use crate::support::upstream::{Call, Upstream};

#[tokio::test]
async fn clients_that_send_half_a_request_cost_others_nothing() {
    let subject = Subject::start().await;
    let bystander = subject.channel().await;
    subject.forget_peak();
    let head = block(call_headers(PUT));
    // A message of 64 KiB of which half comes; a block of headers of which half comes; a frame of which half comes.
    let message = [&[0, 0, 1, 0, 0][..], &[7; 16_000]].concat();
    let halves = [
        [open_call(1, PUT), frame(DATA, 0, 1, &message), frame(DATA, 0, 1, &message[5..])].concat(),
        frame(HEADERS, 0, 1, &head[..head.len() / 2]),
        frame(HEADERS, 0, 1, &head)[..20].to_vec(),
    ];
    let mut clients = Vec::new();
    for index in 0..CLIENTS {
        let mut wire = Wire::http2(subject.sidecar.addr(), &[]).await;
        wire.send(&halves[index % halves.len()]).await.expect("half a request is taken");
        clients.push(wire);
    }
    let whole_heads = CLIENTS.div_ceil(halves.len()) as u64;
    subject.wait_for("etcdlet_streams", whole_heads).await;
    assert_eq!(subject.metric("etcdlet_connections"), CLIENTS as u64 + 1);
    // Half of 64 KiB each.
    assert_eq!(subject.metric("etcdlet_read_ahead_bytes"), whole_heads * 32_005);
    for _ in 0..100 {
        assert_answered(&bystander, "slow writers").await;
    }
    // What they sent and half as much again for buffers, and what a connection costs.
    subject.assert_growth("slow writers", whole_heads * 48 * KIB + CLIENTS as u64 * 64 * KIB);
    drop((clients, bystander));
    subject.assert_well("slow writers", 0, 32 * MIB).await;
}

#[tokio::test]
async fn clients_that_never_read_are_held_back_at_the_window() {
    let handed = Arc::new(AtomicU64::new(0));
    let counted = handed.clone();
    let subject =
        Subject::before(upstream_with_long_answers(move |call| lazily(call, counted.clone()))).await;
    let bystander = subject.channel().await;
    for (path, request, window) in [(RANGE, long_range(), 256 * KIB), (SNAPSHOT, Vec::new(), MIB)] {
        subject.forget_peak();
        handed.store(0, Ordering::SeqCst);
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            // The windows are wide open, so that only the socket is in the way.
            let mut wire = Wire::http2(subject.sidecar.addr(), &[(INITIAL_WINDOW_SIZE, LARGEST)]).await;
            let call = [window_update(0, LARGEST - 65_535), whole_call(1, path, &request)].concat();
            wire.send(&call).await.expect("a request is taken");
            clients.push(wire);
        }
        stalled(&handed).await;
        for _ in 0..100 {
            assert_answered(&bystander, "slow readers").await;
        }
        let each = handed.load(Ordering::SeqCst) / CLIENTS as u64;
        println!(
            "{path}: the member handed out {} KiB for each of {CLIENTS} clients that never read",
            each >> 10
        );
        // The member's window, h2's send buffer, the outbox, and what the kernel takes.
        let buffers = 400 * KIB + 80 * KIB;
        assert!(each <= window + buffers + KERNEL_BUFFERS, "{path}: {each} bytes each");
        // Half as much again for what the allocator rounds up.
        let growth_max = CLIENTS as u64 * (window + buffers) * 3 / 2;
        subject.assert_growth(path, growth_max);
        drop(clients);
        subject.assert_well(path, 1, growth_max).await;
    }
}

#[tokio::test]
async fn requests_to_a_member_that_reads_nothing_stay_within_the_read_ahead_limit() {
    // It accepts connections and calls, and takes not a byte of any request beyond its window.
    let upstream = Upstream::start(|call| async move {
        if call.path() == PUT {
            let _held = call;
            std::future::pending::<()>().await;
        } else {
            call.answer(b"").await;
        }
    });
    let limits = "handshake-timeout: 1s, retry-buffer-total-bytes: 16MiB";
    let subject = Subject::with_limits(upstream, limits).await;
    subject.forget_peak();
    let mut streams = Vec::new();
    let value = vec![7; 1 << 20];
    for _ in 0..100 {
        let channel = subject.channel().await;
        let mut stream = channel.stream(PUT, http::HeaderMap::new()).await.expect("a stream opens");
        stream.send(&value);
        stream.half_close();
        streams.push((channel, stream));
    }
    subject.wait_for("etcdlet_rpc_inflight", 100).await;
    sleep(Duration::from_millis(500)).await;
    // Sixteen MiB of read ahead, and at most a window and a buffer for every request beyond, and its connection.
    let growth_max = 16 * MIB + 100 * (256 * KIB + 64 * KIB + 21 * KIB);
    subject.assert_growth("puts of 1 MiB", growth_max);
    drop(streams);
    subject.assert_well("puts of 1 MiB", 0, growth_max).await;
}

#[tokio::test]
async fn a_watcher_that_does_not_read_costs_its_window_and_not_what_others_receive() {
    let (alone, beside) = (growth_of_watchers(false).await, growth_of_watchers(true).await);
    println!("memory grew by {} KiB, with a stalled watcher by {} KiB", alone >> 10, beside >> 10);
    // Its window is 256 KiB, and keeping a small event costs a few times its size. If an event kept the buffer that
    // it was read in, whose other events are long delivered, it would cost eighty times its size.
    assert!(
        beside <= alone + STALLED_WATCHER_MAX,
        "with a stalled watcher memory grew by {beside} bytes, without by {alone}"
    );
}

/// The peak while 200 watchers receive small events, perhaps beside one that does not read its own.
async fn growth_of_watchers(stalled: bool) -> u64 {
    let (sent, due) = watch::channel(0);
    let subject = Subject::passing(upstream_of_events(due), "").await;
    let channel = subject.channel().await;
    let mut watchers = Vec::new();
    for _ in 0..WATCHERS {
        watchers.push(channel.stream(WATCH, http::HeaderMap::new()).await.expect("a stream opens"));
    }
    let mut wire = Wire::http2(subject.sidecar.addr(), &[(INITIAL_WINDOW_SIZE, 0)]).await;
    if stalled {
        wire.send(&open_call(1, WATCH)).await.expect("the connection is open");
    }
    subject.wait_for("etcdlet_upstream_streams", (WATCHERS + usize::from(stalled)) as u64).await;
    subject.forget_peak();
    // In steps, so that nothing waits anywhere but for the watcher that does not read.
    for events in (0..=EVENTS).step_by(EVENTS_A_STEP).skip(1) {
        sent.send_replace(events);
        for watcher in &mut watchers {
            for _ in 0..EVENTS_A_STEP {
                let event = watcher.next(Duration::from_secs(10)).await;
                assert!(
                    matches!(event, Event::Message(_)),
                    "a watcher that reads misses an event: {event:?}"
                );
            }
        }
    }
    let growth = subject.growth();
    drop((wire, watchers, channel));
    settle(&subject.sidecar, "watchers", 0).await;
    growth
}

/// A member that sends every watcher the same small events, interleaved as those of one key are.
fn upstream_of_events(due: watch::Receiver<usize>) -> Upstream {
    let event = grpc::frame(0, &[7; 100]);
    Upstream::start(move |mut call| {
        let (event, mut due) = (event.clone(), due.clone());
        async move {
            if call.path() != WATCH {
                return call.answer(b"").await;
            }
            let Some(mut answering) = call.begin() else { return };
            let mut sent = 0;
            // An error means that the test is over.
            while due.wait_for(|due| *due > sent).await.is_ok() {
                answering.send(event.clone());
                sent += 1;
                yield_now().await;
            }
        }
    })
}

/// 100 MiB, as the windows admit them.
async fn lazily(mut call: Call, handed: Arc<AtomicU64>) {
    let Some(mut answering) = call.begin() else { return };
    let block = Bytes::from(vec![7; 1 << 20]);
    answering.send(Bytes::from_static(&[0, 0x06, 0x40, 0, 0]));
    for _ in 0..100 {
        if !answering.send_lazily(block.clone(), &handed).await {
            return;
        }
    }
    answering.finish(0, "");
}

/// Waits until nothing more is handed out.
async fn stalled(handed: &AtomicU64) {
    let mut last = u64::MAX;
    while handed.load(Ordering::SeqCst) != last {
        last = handed.load(Ordering::SeqCst);
        sleep(Duration::from_millis(300)).await;
    }
}

const CLIENTS: usize = 200;
/// Small ones, as many as a window of 256 KiB holds.
const EVENTS: usize = 2_400;
const EVENTS_A_STEP: usize = 20;
const STALLED_WATCHER_MAX: u64 = 4 * MIB;
const WATCHERS: usize = 200;
/// Of both ends of a connection on loopback: up to 4 MiB to send, as Linux grows it, and the little that
/// [`Wire`] allows itself to receive.
const KERNEL_BUFFERS: u64 = 4 * MIB + 256 * KIB;
