//! The Raft core, driven by transcripts.

mod confchange;
mod describe;
mod interaction;
mod quorum;
mod transcript;
mod transcripts;
