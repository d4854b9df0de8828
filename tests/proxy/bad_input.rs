//! What hostile, broken and careless clients send: it costs them their own connection or call and nobody else
//! anything.
//!
//! After every blow the sidecar answers a normal call within a second, has not panicked, holds no more memory than
//! the test states, and its gauges are back at what is really open. `ETCDLET_LONG=1` makes the blows ten times as
//! long.

mod crowds;
mod floods;
mod frames;
mod grpc_frames;
mod headers;
mod http1;
mod limits;
mod slow;
pub(crate) mod subject;
pub(crate) mod wire;

/// By how much the long soaks are longer.
pub(crate) fn length() -> usize {
    if std::env::var_os("ETCDLET_LONG").is_some_and(|value| value == "1") { 10 } else { 1 }
}
