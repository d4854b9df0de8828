//! Whether a leader still leads, for reads.
//!
//! Each broadcast of heartbeats is a round with a number, which followers echo. A read waits for a
//! round that began after it came; when a quorum has echoed that one, no other leader can have
//! committed anything before the read came.
//!
//! A lease says the same beforehand: followers of a quorum have heard of this leader since a round
//! began, and vote for nobody else for an election timeout. It is taken to last half of that, the
//! rest is for clocks that differ. It does not survive what makes followers forget: a restart
//! within an election timeout, or a handover, after which the lease is not used.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::index::LogIndex;
use super::quorum::Joint;
use crate::types::ids::MemberId;

/// Who asked, this node itself or one that forwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadRequest {
    pub from: MemberId,
    pub context: Bytes,
}

#[derive(Debug)]
pub(crate) struct ReadIndex {
    own: MemberId,
    /// Every round is numbered, not only those that reads wait for.
    leases: bool,
    /// The last one that began.
    round: u64,
    /// With the round that confirms them and the index to serve them at, by age.
    waiting: VecDeque<(u64, LogIndex, ReadRequest)>,
    echoed: BTreeMap<MemberId, u64>,
    /// The tick in which each round began; as far back as leases go.
    begun: VecDeque<(u64, u64)>,
    /// The tick in which the last confirmed round began.
    lease_from: Option<u64>,
}

impl ReadIndex {
    pub(crate) const fn new(own: MemberId, leases: bool) -> Self {
        Self {
            own,
            leases,
            round: 0,
            waiting: VecDeque::new(),
            echoed: BTreeMap::new(),
            begun: VecDeque::new(),
            lease_from: None,
        }
    }

    /// It waits for the round that begins next.
    pub(crate) fn wait(&mut self, request: ReadRequest, index: LogIndex) {
        self.waiting.push_back((self.round + 1, index, request));
    }

    pub(crate) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// What the heartbeats of a new round carry; nothing if nobody needs it.
    pub(crate) fn begin_round(&mut self, now: u64, lease_ticks: u64) -> Bytes {
        if self.waiting.is_empty() && !self.leases {
            return Bytes::new();
        }
        self.round += 1;
        if self.leases {
            self.begun.push_back((self.round, now));
            while self.begun.front().is_some_and(|(_, tick)| now - tick > lease_ticks) {
                self.begun.pop_front();
            }
        }
        Bytes::copy_from_slice(&self.round.to_le_bytes())
    }

    pub(crate) fn handle_echo(&mut self, from: MemberId, context: &[u8]) {
        let Ok(number) = context.try_into().map(u64::from_le_bytes) else { return };
        if number <= self.round {
            let echoed = self.echoed.entry(from).or_default();
            *echoed = number.max(*echoed);
        }
    }

    /// The reads that a quorum has confirmed.
    pub(crate) fn take_confirmed(&mut self, voters: &Joint) -> Vec<(LogIndex, ReadRequest)> {
        let of = |id| if id == self.own { Some(self.round) } else { self.echoed.get(&id).copied() };
        let confirmed = voters.reached(of).unwrap_or_default();
        while let Some((round, tick)) = self.begun.front()
            && *round <= confirmed
        {
            self.lease_from = Some(*tick);
            self.begun.pop_front();
        }
        let count = self.waiting.partition_point(|(round, ..)| *round <= confirmed);
        self.waiting.drain(..count).map(|(_, index, request)| (index, request)).collect()
    }

    /// Whether a quorum keeps to this leader still.
    pub(crate) fn has_lease(&self, now: u64, lease_ticks: u64) -> bool {
        self.lease_from.is_some_and(|from| now - from < lease_ticks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voters() -> Joint {
        Joint { incoming: (1..=3).map(MemberId).collect(), ..Joint::default() }
    }

    fn request(name: &'static str) -> ReadRequest {
        ReadRequest { from: MemberId(1), context: Bytes::from_static(name.as_bytes()) }
    }

    #[test]
    fn a_read_waits_for_a_round_that_began_after_it() {
        let mut reads = ReadIndex::new(MemberId(1), false);
        assert_eq!(reads.begin_round(0, 5), "");
        reads.wait(request("a"), LogIndex(5));
        let first = reads.begin_round(0, 5);
        reads.wait(request("b"), LogIndex(6));
        reads.handle_echo(MemberId(2), &first);
        assert_eq!(reads.take_confirmed(&voters()), [(LogIndex(5), request("a"))]);
        let second = reads.begin_round(0, 5);
        reads.handle_echo(MemberId(2), &first);
        assert_eq!(reads.take_confirmed(&voters()), []);
        reads.handle_echo(MemberId(3), &second);
        assert_eq!(reads.take_confirmed(&voters()), [(LogIndex(6), request("b"))]);
        assert_eq!(reads.begin_round(0, 5), "");
    }

    #[test]
    fn a_later_round_confirms_all_reads_before_it() {
        let mut reads = ReadIndex::new(MemberId(1), false);
        reads.wait(request("a"), LogIndex(5));
        reads.begin_round(0, 5);
        reads.wait(request("b"), LogIndex(5));
        let second = reads.begin_round(0, 5);
        reads.handle_echo(MemberId(2), &second);
        assert_eq!(reads.take_confirmed(&voters()).len(), 2);
    }

    #[test]
    fn an_echo_of_a_round_that_never_was_counts_for_nothing() {
        let mut reads = ReadIndex::new(MemberId(1), false);
        reads.wait(request("a"), LogIndex(5));
        reads.begin_round(0, 5);
        reads.handle_echo(MemberId(2), &9_u64.to_le_bytes());
        reads.handle_echo(MemberId(2), b"other");
        assert_eq!(reads.take_confirmed(&voters()), []);
    }

    #[test]
    fn both_halves_of_a_joint_configuration_confirm() {
        let mut reads = ReadIndex::new(MemberId(1), false);
        let outgoing = [MemberId(1), MemberId(4), MemberId(5)].into_iter().collect();
        let joint = Joint { outgoing, ..voters() };
        reads.wait(request("a"), LogIndex(5));
        let round = reads.begin_round(0, 5);
        reads.handle_echo(MemberId(2), &round);
        assert_eq!(reads.take_confirmed(&joint), []);
        reads.handle_echo(MemberId(5), &round);
        assert_eq!(reads.take_confirmed(&joint).len(), 1);
    }

    #[test]
    fn a_lease_lasts_from_the_begin_of_the_round_that_is_confirmed() {
        let mut reads = ReadIndex::new(MemberId(1), true);
        let early = reads.begin_round(10, 5);
        reads.begin_round(12, 5);
        assert!(!reads.has_lease(12, 5));
        reads.handle_echo(MemberId(2), &early);
        reads.take_confirmed(&voters());
        assert!(reads.has_lease(14, 5));
        assert!(!reads.has_lease(15, 5));
    }
}
