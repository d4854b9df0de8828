//! From a protocol to a [`Call`](crate::types::call::Call) and back from a
//! [`Reply`](crate::types::call::Reply).
//!
//! Invariants: nothing is decided here; a request becomes a call and a reply becomes a response
//! without a change that the proxy did not ask for.

pub mod grpc;
pub mod http;
