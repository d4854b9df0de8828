//! Fixtures: real etcd clusters, etcdlet processes, a raw gRPC client.

#![allow(dead_code, unused_imports, reason = "every test binary uses its own part of the fixtures")]

pub(crate) mod certs;
pub(crate) mod control;
pub(crate) mod dns;
pub(crate) mod etcd;
pub(crate) mod grpc;
pub(crate) mod load;
pub(crate) mod netns;
pub(crate) mod ports;
pub(crate) mod sidecar;
pub(crate) mod tools;
pub(crate) mod upstream;

pub(crate) mod http;
pub(crate) mod process;
