//! Every default, with its reason.

use std::time::Duration;

/// Where etcd's own clients look when they are told nothing.
pub(super) const LISTEN: &str = "http://127.0.0.1:2379";

/// Next to etcd's ports, and on loopback, because it answers anybody.
pub(super) const ADMIN: &str = "http://127.0.0.1:9379";

/// One core forwards about 50,000 calls a second, more than a cluster answers; every further
/// thread costs its own connections to the cluster.
pub(super) const THREADS: usize = 1;

/// Far more than a node has clients; each costs about 37 KiB.
pub(super) const CONNECTIONS: usize = 10_000;

/// Whoever chooses a Unix socket wants to say who may connect; loopback is there for everybody.
pub(super) const SOCKET_MODE: u32 = 0o660;

/// etcd allows as many as it can count, and a client library opens one per watch group.
pub(super) const STREAMS_PER_CONNECTION: u32 = 65_536;

/// etcd refuses requests of more than 1.5 MiB by default, so that larger ones are rare.
pub(super) const RETRY_BUFFER: u64 = 2 << 20;

/// 32 requests of the largest size at once.
pub(super) const RETRY_BUFFER_TOTAL: u64 = 64 << 20;

/// A key of a mebibyte that 45 clients watch in JSON, which is longer by a third.
pub(super) const JSON_LINES_TOTAL: u64 = 64 << 20;

/// What etcd's gRPC server takes by default: 1.5 MiB, and half a MiB of what is around it.
pub(super) const NAMESPACE_REQUEST: u64 = 2 << 20;

/// A few of the longest answers that clients ask for at once.
pub(super) const NAMESPACE_TOTAL: u64 = 256 << 20;

/// What etcd's gRPC server accepts.
pub(super) const HEADER_LIST: u64 = 16 << 20;

/// A client that needs longer for its first bytes is not a client.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A head is sent in one piece; lost packets and slow links included.
pub(super) const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// etcd's own for its clients, all three.
pub(super) const KEEPALIVE_MIN_TIME: Duration = Duration::from_secs(5);
pub(super) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2 * 60 * 60);
pub(super) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// etcd itself waits for ever; longer than any client pauses between two requests.
pub(super) const HTTP1_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// Covers one lost SYN, which is sent again after a second.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Whoever has a load balancer before it knows how long that takes to look.
pub(super) const DRAIN_DELAY: Duration = Duration::ZERO;

/// Kubernetes itself takes a minute to bring a new file; looking costs a few microseconds.
pub(super) const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// Less than the 30 s that Kubernetes gives a pod, more than the 7 s that etcd gives a call.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// Spreads the return of a node's watches without holding up its restart.
pub(super) const STREAM_JITTER: Duration = Duration::from_secs(2);

/// A thousand nodes then ask each of three members 200 times a second.
pub(super) const IDLE_INTERVAL: Duration = Duration::from_secs(5);

/// Ten times what a slow answer of a healthy member takes, a quarter of an election timeout.
pub(super) const SUSPICION_AFTER: Duration = Duration::from_millis(250);

/// etcd's heartbeat interval: nothing changes faster.
pub(super) const SUSPICION_INTERVAL: Duration = Duration::from_millis(100);

/// With the suspicion before it, a silent member is out well within a second.
pub(super) const SILENT_AFTER: Duration = Duration::from_millis(400);

/// Where etcd itself begins to refuse writes.
pub(super) const LAG_ENTRIES_MAX: u64 = 5000;

/// Whoever replaces the members one after another gives a new one longer than this to catch up.
pub(super) const SYNC_INTERVAL: Duration = Duration::from_secs(10);

/// Several heartbeats: a follower that is further behind is ill.
pub(super) const WATERMARK_WAIT: Duration = Duration::from_millis(250);

/// Longer than an election and than etcd's own limit for a call.
pub(super) const READ_LIMIT: Duration = Duration::from_secs(10);

/// A few percent of what a thread forwards.
pub(super) const BUDGET_RATE: u32 = 1000;

/// Every call that a busy node has under way, when a member fails.
pub(super) const BUDGET_BURST: u32 = 10_000;

/// Elections take one to three seconds.
pub(super) const HOLD_TIMEOUT: Duration = Duration::from_secs(5);

/// What comes in during an election on a busy node; each costs its request and some KiB.
pub(super) const HOLD_CALLS: usize = 1000;

/// etcd handles the messages of a stream one after the other; a renewal takes it about 30 µs, but up
/// to a second where the lease is about to expire. So one that is stuck leaves three.
pub(super) const LEASE_STREAMS: usize = 4;

/// Longer than the pause between two beats of a lease of two minutes.
pub(super) const LEASE_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// More leases than a client keeps alive at once; each takes some 100 bytes while it waits.
pub(super) const LEASE_WAITING_PER_STREAM: usize = 1024;

/// A few MiB.
pub(super) const LEASE_WAITING_TOTAL: usize = 65_536;

/// Years, as etcd has it. A certificate that clients do not check need not last longer.
pub(super) const SELF_SIGNED_CERT_VALIDITY: u32 = 1;

/// More operations than most transactions have; a line stays below 64 KiB.
pub(super) const AUDIT_KEYS: usize = 32;

/// Longer than the keys of everybody known.
pub(super) const AUDIT_KEY_BYTES: usize = 1024;

/// As much as requests that are read ahead may take.
pub(super) const AUDIT_REQUESTS: u64 = 64 << 20;

/// More than a node has clients with tokens that are not expired; some 100 bytes each.
pub(super) const AUDIT_TOKENS: usize = 10_000;

/// Ten thousand lines: a second of a busy node, while a disk is slow.
pub(super) const AUDIT_BUFFER: u64 = 4 << 20;
