//! More than half of a set of members.

use std::collections::BTreeSet;

use super::VoteResult;
use crate::types::ids::MemberId;

/// A set of members of which more than half decide. An empty one agrees to everything, so that it
/// can stand for the half of a joint configuration that is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Majority(BTreeSet<MemberId>);

impl Majority {
    /// The highest value that a quorum has reached; who has said nothing stands at the default.
    /// None if there is nobody, and so nothing that holds it back.
    pub fn reached<T: Copy + Default + Ord>(&self, of: impl Fn(MemberId) -> Option<T>) -> Option<T> {
        let mut few = [T::default(); USUAL_MAX];
        let mut many = Vec::new();
        let values = if self.0.len() <= USUAL_MAX {
            &mut few[..self.0.len()]
        } else {
            many.resize(self.0.len(), T::default());
            &mut many[..]
        };
        for (value, id) in values.iter_mut().zip(&self.0) {
            *value = of(*id).unwrap_or_default();
        }
        values.sort_unstable();
        // As many as are needed stand at or above this place.
        let place = values.len().checked_sub(self.needed())?;
        values.get(place).copied()
    }

    pub fn vote_result(&self, of: impl Fn(MemberId) -> Option<bool>) -> VoteResult {
        let (mut granted, mut rejected) = (0, 0);
        for id in &self.0 {
            match of(*id) {
                None => {}
                Some(false) => rejected += 1,
                Some(true) => granted += 1,
            }
        }
        if self.0.is_empty() || granted >= self.needed() {
            VoteResult::Won
        } else if self.0.len() - rejected < self.needed() {
            VoteResult::Lost
        } else {
            VoteResult::Pending
        }
    }

    fn needed(&self) -> usize {
        self.0.len() / 2 + 1
    }

    #[must_use]
    pub fn contains(&self, id: MemberId) -> bool {
        self.0.contains(&id)
    }

    pub(super) fn is_only(&self, id: MemberId) -> bool {
        self.0.len() == 1 && self.contains(id)
    }

    pub fn iter(&self) -> impl Iterator<Item = MemberId> + '_ {
        self.0.iter().copied()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn insert(&mut self, id: MemberId) {
        self.0.insert(id);
    }

    pub(crate) fn remove(&mut self, id: MemberId) {
        self.0.remove(&id);
    }

    /// How many are in one of the sets but not in both.
    pub(crate) fn difference(&self, other: &Self) -> usize {
        self.0.symmetric_difference(&other.0).count()
    }
}

impl FromIterator<MemberId> for Majority {
    fn from_iter<I: IntoIterator<Item = MemberId>>(members: I) -> Self {
        Self(members.into_iter().collect())
    }
}

/// Voters up to which counting needs no memory.
const USUAL_MAX: usize = 9;
