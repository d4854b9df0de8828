//! What a client is told of a call that ends here when it is too late to undo it: a refusal of ours alone
//! would read as if nothing had happened, and whoever reads that sends the call again.

use crate::types::method::Effect;
use crate::types::status::{Code, Status};

/// `why` a call ends of which etcd has something, but perhaps not all.
pub(super) fn unknown(why: Status, effect: Effect) -> Status {
    told(why, effect, "outcome unknown")
}

/// `why` an answer cannot be passed on.
pub(super) fn processed(why: Status, effect: Effect) -> Status {
    told(why, effect, "processed, but its answer is lost")
}

fn told(why: Status, effect: Effect, outcome: &str) -> Status {
    match effect {
        Effect::Read => why,
        Effect::Mutation | Effect::Peek => {
            let why = why.message.trim_start_matches("etcdlet: ");
            Status::new(Code::Unavailable, format!("etcdlet: {outcome}: {why}"))
        }
    }
}
