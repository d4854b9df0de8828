//! The messages of etcd's v3 API and of the gRPC health protocol.
//!
//! Each `.proto` file of this folder is one protobuf package and one module here. Field names, in
//! their mixed case, are part of the API, because the JSON gateway shows them. Only messages are
//! generated: the services are declared for reference, and calls travel as raw frames.
//!
//! The generated code is committed, so that a build needs no protobuf compiler and no build
//! script, and so that a change of the generator shows up in review. After editing a `.proto`
//! file, run `ETCDLET_REGENERATE=1 cargo test --test tidy generated_messages`; without the
//! variable that test fails when the committed code differs from what the files give.
//!
//! Invariants:
//! - `bytes` fields are `Bytes`: decoding from a `Bytes` shares its memory. A small field that is
//!   kept for long pins the whole frame, so copy it.
//! - Decoding drops unknown fields, hence a message that is only passed on is never decoded and
//!   encoded again.
//!
//! Deliberately absent: etcd's internal messages (raft, log, membership, lease), which no client
//! sees.

pub use generated::{authpb, etcdserverpb, health, mvccpb, v3electionpb, v3lockpb};

// rustfmt must leave the generator's output as it is, or the two would overwrite each other.
#[rustfmt::skip]
mod generated {
    pub mod authpb;
    pub mod etcdserverpb;
    #[path = "grpc.health.v1.rs"]
    pub mod health;
    pub mod mvccpb;
    pub mod v3electionpb;
    pub mod v3lockpb;
}
