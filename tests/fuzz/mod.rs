//! Every parser of ours against bytes that nobody wrote on purpose, on stable Rust.
//!
//! ```text
//!   corpus/TARGET/* ──┐
//!   what was new ─────┴─> mutate ──> the target: parse, compare with an oracle ──> what it did
//! ```
//!
//! A part of the library's own tests, because most parsers are nobody else's business. Each target
//! runs for `ETCDLET_FUZZ_SECONDS` (default 1; the gate says 20, `.ci/run --long fuzz` 600). What a
//! target tells of an input takes the place of coverage: an input that made it do something new is
//! mutated further.
//!
//! Invariants: a target panics for no input, and takes less than a second for each; the input that
//! broke it is printed and kept in the build directory, and belongs into the corpus with its repair.

mod answers;
mod audit;
mod config;
mod engine;
mod flow;
mod json;
mod lines;
mod metadata;
mod names;
mod namespace;
mod preface;
mod requests;
