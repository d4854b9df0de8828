use std::fmt;

/// What the core promises of itself.
#[derive(Debug)]
pub(crate) struct Limit {
    subject: &'static str,
    unit: &'static str,
    bound: Bound,
    reason: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    Least(f64),
    Most(f64),
}

/// Against its limit.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) limit: &'static Limit,
    pub(crate) value: f64,
}

impl Figure {
    pub(crate) fn holds(&self) -> bool {
        match self.limit.bound {
            Bound::Least(bound) => self.value >= bound,
            Bound::Most(bound) => self.value <= bound,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Limit { subject, unit, bound, reason } = self.limit;
        let word = if self.holds() { "held" } else { "BROKEN" };
        let (words, bound) = match bound {
            Bound::Least(bound) => ("at least", bound),
            Bound::Most(bound) => ("at most", bound),
        };
        let digits = if self.value < 100.0 { 2 } else { 0 };
        let Self { limit: _, value } = self;
        write!(formatter, "{word:<7} {subject:<36} {value:>9.digits$} {unit:<23} {words} {bound}: {reason}")
    }
}

pub(crate) static ENTRIES_ONE_BY_ONE: Limit = Limit {
    subject: "3 nodes, one proposal at a time",
    unit: "entries a second",
    bound: Bound::Least(100_000.0),
    reason: "a disk that syncs for each of them takes longer by far",
};

pub(crate) static ENTRIES_BATCHED: Limit = Limit {
    subject: "3 nodes, 64 proposals at a time",
    unit: "entries a second",
    bound: Bound::Least(1_000_000.0),
    reason: "what a member does with an entry costs more than to agree on it",
};

pub(crate) static ALLOCATIONS_ONE_BY_ONE: Limit = Limit {
    subject: "3 nodes, one proposal at a time",
    unit: "allocations a message",
    bound: Bound::Most(2.0),
    reason: "the list of its entries, and that of what becomes durable before it is answered",
};

pub(crate) static ALLOCATIONS_BATCHED: Limit = Limit {
    subject: "3 nodes, 64 proposals at a time",
    unit: "allocations a message",
    bound: Bound::Most(2.0),
    reason: "payloads are shared, never copied",
};

pub(crate) static TICK: Limit = Limit {
    subject: "a follower's tick",
    unit: "ns",
    bound: Bound::Most(100.0),
    reason: "an idle member is idle",
};

pub(crate) static HEARTBEATS: Limit = Limit {
    subject: "heartbeat round of 7 nodes",
    unit: "ns",
    bound: Bound::Most(10_000.0),
    reason: "of all nodes together: 6 messages and their answers",
};
