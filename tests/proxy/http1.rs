//! HTTP/1.1: the JSON gateway, health, version and metrics of etcd.

pub(crate) mod client;
mod failure;
mod gateway;
mod server;
mod wire;
