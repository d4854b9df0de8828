//! The edit against a naive model that works on decoded messages, and the way of a call.

mod call;
mod model;
mod random;
mod requests;
mod wire;
