//! Asking for votes, or whether they would be given.

use std::collections::BTreeMap;

use crate::raft::message::{Ballot, Body, VoteRequest, VoteResponse};
use crate::raft::quorum::{Joint, VoteResult};
use crate::raft::replica::Replica;
use crate::raft::storage::Storage;
use crate::types::ids::{MemberId, Term};

/// Why and how to be elected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Campaign {
    Election,
    PreElection,
    /// The leader wished it.
    Transfer,
}

/// What was answered; of a candidate and of a pre-candidate alike.
#[derive(Debug, Default)]
pub(crate) struct Candidate {
    votes: BTreeMap<MemberId, bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Lost,
    Pending,
    Won,
}

impl Candidate {
    /// An answer is in; the first of each member counts. Invariant 2: a ballot is not won before
    /// the own vote is in, which comes when it is durable.
    pub(crate) fn handle_vote(
        &mut self,
        from: MemberId,
        granted: bool,
        own: MemberId,
        voters: &Joint,
    ) -> Verdict {
        self.votes.entry(from).or_insert(granted);
        match voters.vote_result(|id| self.votes.get(&id).copied()) {
            VoteResult::Lost => Verdict::Lost,
            VoteResult::Won if self.votes.contains_key(&own) => Verdict::Won,
            VoteResult::Pending | VoteResult::Won => Verdict::Pending,
        }
    }
}

impl<S: Storage> Replica<S> {
    /// To all voters; the own answer takes the way over the disk.
    pub(crate) fn ask_for_votes(&mut self, campaign: Campaign) {
        let (ballot, term) = match campaign {
            Campaign::Election | Campaign::Transfer => (Ballot::Election, self.term),
            Campaign::PreElection => (Ballot::PreElection, Term(self.term.0 + 1)),
        };
        let request = VoteRequest { ballot, last: self.log.last(), transfer: campaign == Campaign::Transfer };
        for id in self.membership.voters.ids() {
            let body = if id == self.id() {
                Body::VoteResponse(VoteResponse { ballot, granted: true })
            } else {
                Body::Vote(request)
            };
            self.send_in_term(id, term, body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: MemberId = MemberId(1);

    fn voters() -> Joint {
        Joint { incoming: (1..=3).map(MemberId).collect(), ..Joint::default() }
    }

    #[test]
    fn a_ballot_is_won_only_with_the_own_vote() {
        let mut candidate = Candidate::default();
        assert_eq!(candidate.handle_vote(MemberId(2), true, OWN, &voters()), Verdict::Pending);
        assert_eq!(candidate.handle_vote(MemberId(3), true, OWN, &voters()), Verdict::Pending);
        assert_eq!(candidate.handle_vote(OWN, true, OWN, &voters()), Verdict::Won);
    }

    #[test]
    fn the_first_answer_of_a_member_counts() {
        let mut candidate = Candidate::default();
        candidate.handle_vote(OWN, true, OWN, &voters());
        assert_eq!(candidate.handle_vote(MemberId(2), false, OWN, &voters()), Verdict::Pending);
        assert_eq!(candidate.handle_vote(MemberId(2), true, OWN, &voters()), Verdict::Pending);
        assert_eq!(candidate.handle_vote(MemberId(3), false, OWN, &voters()), Verdict::Lost);
    }

    #[test]
    fn who_is_no_voter_does_not_count() {
        let mut candidate = Candidate::default();
        candidate.handle_vote(OWN, true, OWN, &voters());
        assert_eq!(candidate.handle_vote(MemberId(9), true, OWN, &voters()), Verdict::Pending);
    }
}
