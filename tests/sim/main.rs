//! Whole clusters from a seed.
//!
//! ```text
//!   seed ──> Scenario ──> World: clock, queue of actions, members, network
//!                          │  ^ propose, read                │
//!                          v  │                              v every Event, with a View of all members
//!                         Clients                        Invariants ──> Failure: how to see it again
//! ```
//!
//! A run is a function of its seed: one thread, one queue ordered by virtual time, one stream of chance for each
//! purpose, no clock and nothing whose order is not defined. Faults for a while, then calm, in which the cluster has
//! to become whole again.
//!
//! Reading order: `scenario`, `world`, `member`, `process`, `disk`, `network`, `faults`, `invariant/`.
//!
//! ```text
//! cargo test --test sim                                              a thousand seeds
//! ETCDLET_SIM_SEEDS=5000..9000 cargo test --test sim thousand_seeds  others
//! ETCDLET_SIM_SEED=5017 cargo test --test sim one_seed               one, with what happened in it
//! ETCDLET_SIM_BUG=DoubleVote cargo test --test sim bugs_are_found    a known bug put back, until a seed finds it
//! ```

mod census;
mod client;
mod disk;
mod event;
mod faults;
mod invariant;
mod linearizable;
mod member;
mod membership;
mod mutation;
mod network;
mod process;
mod run;
mod scenario;
mod seed;
mod seeds;
mod state_machine;
mod trace;
mod world;
