//! Sockets as the data path wants them.
//!
//! ```text
//!   h2 / hyper ──> Transport ──(TLS)──> Socket ──> buffer ──> flusher task ──> TCP or Unix
//! ```
//!
//! HTTP/2 code writes HEADERS and DATA apart and flushes after each. [`socket::Socket`] takes
//! all of these into one buffer and writes it once per pass of the scheduler, which halves the
//! system calls of a forwarded call. It stands below TLS, so that records are gathered too.
//!
//! Invariants: bytes leave in the order in which they were written; a buffer never grows past
//! its high-water mark plus one write; between two connections at most one frame waits, and the
//! next is taken only when that one has gone on.

pub mod address;
pub mod h2_body;
pub mod inherited;
pub mod listen_url;
pub mod listener;
pub mod nofile;
pub mod socket;
pub mod splice;
pub mod stream;
pub mod transport;
pub mod unix_socket;
