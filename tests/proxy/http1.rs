//! HTTP/1.1: the JSON gateway, health, version and metrics of etcd.

mod apisix;
mod classes;
pub(crate) mod client;
mod endpoints;
mod failure;
mod gateway;
mod kill;
mod own;
mod patroni;
mod python;
mod server;
mod websocket;
mod wire;
