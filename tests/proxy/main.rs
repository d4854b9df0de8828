//! A real etcd behind a real etcdlet: the same calls must give the same answers.

#[path = "../support/mod.rs"]
mod support;

mod differential;
mod etcdctl;
