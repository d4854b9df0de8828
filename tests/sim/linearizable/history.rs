//! What clients asked and were told, in the order in which it happened.

/// Operations by the order of their calls. Every call and every answer has its own place in one order; what is
/// recorded from several threads is recorded under one lock, the call before it is sent and the answer after it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    operations: Vec<Operation>,
    events: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OperationId(usize);

#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub client: u64,
    pub key: String,
    pub request: Request,
    /// Its place in the order.
    pub called: usize,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Writes `new` if the key has the value `expected`; `None` is a key that is not there.
    CompareAndSwap {
        expected: Option<String>,
        new: Option<String>,
    },
    Delete,
    Get,
    Put(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Whether there was something to delete.
    Deleted(bool),
    Found(Option<String>),
    Put,
    Swapped(bool),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered {
        answer: Answer,
        at: usize,
    },
    /// It certainly had no effect, and will have none.
    Refused,
    /// No answer, or none that says what happened.
    Unknown,
}

impl History {
    /// Until it is answered or refused, the operation's outcome is unknown.
    pub(crate) fn call(&mut self, client: u64, key: &str, request: Request) -> OperationId {
        let called = self.next_event();
        let key = String::from(key);
        self.operations.push(Operation { client, key, request, called, outcome: Outcome::Unknown });
        OperationId(self.operations.len() - 1)
    }

    pub(crate) fn answer(&mut self, id: OperationId, answer: Answer) {
        let at = self.next_event();
        let operation = self.unanswered(id);
        assert!(operation.request.admits(&answer), "{:?} was answered {answer:?}", operation.request);
        operation.outcome = Outcome::Answered { answer, at };
    }

    /// Only for an operation that the store can neither have done nor do later.
    pub(crate) fn refuse(&mut self, id: OperationId) {
        self.unanswered(id).outcome = Outcome::Refused;
    }

    pub(super) fn operations(&self) -> &[Operation] {
        &self.operations
    }

    fn unanswered(&mut self, id: OperationId) -> &mut Operation {
        let operation = &mut self.operations[id.0];
        assert_eq!(operation.outcome, Outcome::Unknown, "{:?} is answered twice", operation.request);
        operation
    }

    fn next_event(&mut self) -> usize {
        self.events += 1;
        self.events - 1
    }
}

impl Request {
    fn admits(&self, answer: &Answer) -> bool {
        matches!(
            (self, answer),
            (Self::CompareAndSwap { .. }, Answer::Swapped(_))
                | (Self::Delete, Answer::Deleted(_))
                | (Self::Get, Answer::Found(_))
                | (Self::Put(_), Answer::Put)
        )
    }
}
