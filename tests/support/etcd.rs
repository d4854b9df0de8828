//! Real etcd members on loopback ports, alone or as a cluster.
//!
//! A member that is dropped is killed and leaves nothing behind. Everything that fails panics with the end of
//! the member's log.

use std::time::Duration;

pub(crate) use cluster::Cluster;
pub(crate) use grpc_proxy::GrpcProxy;
pub(crate) use member::Etcd;
pub(crate) use options::{Host, Options, Tls};
pub(crate) use release::{Release, installed_lines};

mod change;
mod cluster;
mod grpc_proxy;
mod member;
mod options;
mod release;

const HEALTHY_LIMIT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
