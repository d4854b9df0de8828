//! Fixtures: real etcd clusters, etcdlet processes, a raw gRPC client.

pub mod etcd;
pub mod grpc;
pub mod sidecar;
