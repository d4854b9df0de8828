//! The load generator: a raw HTTP/2 client with hand-encoded messages, so that on a small machine it
//! takes as little as possible of the CPU that the programs under test need.
//!
//! It looks like etcd's own Go client on the wire: the same headers, and one write for the headers and
//! the message of a call.

mod audience;
mod beats;
mod client;
mod closed_loop;
mod responses;
mod scrape;
mod tally;
mod watches;
pub(crate) mod wire;

pub(crate) use audience::Audience;
pub(crate) use beats::Beats;
pub(crate) use client::{CallError, Connection, Method};
pub(crate) use closed_loop::{Plan, Pool};
pub(crate) use scrape::scrape;
pub(crate) use tally::Tally;
pub(crate) use watches::Watches;
