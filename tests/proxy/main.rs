//! A real etcd behind a real etcdlet: the same calls must give the same answers.

#![allow(clippy::unwrap_used, reason = "in a test, what cannot go on fails")]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod differential;
mod etcdctl;
mod head_of_line;
mod http1;
mod lifecycle;
mod observability;
mod resets;
mod tls;
