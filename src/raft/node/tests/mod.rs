//! Transitions of one node, by their exact outputs.

mod election;
mod harness;
mod hostile;
mod membership;
mod reads;
mod replicate;
mod storage;
