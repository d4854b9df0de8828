//! Fixtures: real etcd clusters, etcdlet processes, a raw gRPC client.

#![allow(dead_code, reason = "every test binary uses its own part of the fixtures")]

pub(crate) mod certs;
pub(crate) mod etcd;
pub(crate) mod grpc;
pub(crate) mod sidecar;
pub(crate) mod tools;
pub(crate) mod upstream;

mod http;
mod ports;
mod process;
