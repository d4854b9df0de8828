//! `etcdlet grpc-proxy` and `etcdlet gateway` beside the commands of etcd that they stand in for.

mod alike;
mod flags;
mod gateway;
mod names;
mod pings;
mod register;
mod srv;
mod subject;
mod tls;
mod wrong;
