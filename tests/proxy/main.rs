//! A real etcd behind a real etcdlet: the same calls must give the same answers.

#![allow(clippy::unwrap_used, reason = "in a test, what cannot go on fails")]

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod bad_input;
mod cluster;
mod differential;
mod discovery;
mod drop_in;
mod etcdctl;
mod faults;
mod head_of_line;
mod health;
mod http1;
mod lease;
mod lifecycle;
mod listeners;
mod namespace;
mod observability;
mod operation;
mod resets;
mod shares;
mod tls;
mod watch;
