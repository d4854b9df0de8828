//! The window of messages under way.

use std::collections::VecDeque;

use super::Window;
use crate::raft::index::LogIndex;

/// Messages with entries that a follower has not answered, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inflights {
    /// Of each message the last index and the payload bytes.
    messages: VecDeque<(LogIndex, u64)>,
    bytes: u64,
    messages_max: usize,
    bytes_max: u64,
}

impl Inflights {
    pub(crate) const fn new(window: Window) -> Self {
        let Window { messages_max, bytes_max } = window;
        Self { messages: VecDeque::new(), bytes: 0, messages_max, bytes_max }
    }

    /// The last message may exceed the limit of bytes: how large it is, is known only with it.
    pub(crate) fn add(&mut self, last: LogIndex, bytes: u64) {
        assert!(!self.is_full(), "a full window takes no message");
        self.messages.push_back((last, bytes));
        self.bytes += bytes;
    }

    /// The follower has everything up to here.
    pub(crate) fn free_to(&mut self, index: LogIndex) {
        while let Some((last, bytes)) = self.messages.front()
            && *last <= index
        {
            self.bytes -= bytes;
            self.messages.pop_front();
        }
    }

    #[must_use]
    pub fn is_full(&self) -> bool {
        self.messages.len() >= self.messages_max || self.bytes >= self.bytes_max
    }

    #[must_use]
    pub fn count(&self) -> usize {
        self.messages.len()
    }
}
