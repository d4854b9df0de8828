//! What a test remembers of an event that it has seen.

use std::hash::{DefaultHasher, Hash, Hasher};

use etcdlet::proto::mvccpb::Event;

use super::client::modified;

/// What is kept of an event, of which there are millions.
#[derive(Debug)]
pub(super) struct Mark {
    pub revision: i64,
    /// A hash of its type and of the pair of key and value.
    pub event: u64,
    /// A hash of what was before.
    pub prev_kv: Option<u64>,
}

impl Mark {
    pub(super) fn of(event: &Event) -> Self {
        let prev_kv = event.prev_kv.as_ref().map(hash);
        Self { revision: modified(event), event: hash(&(event.r#type, &event.kv)), prev_kv }
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
