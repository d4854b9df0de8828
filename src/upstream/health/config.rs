//! How closely the members are watched.

use std::time::Duration;

use crate::net::address::Address;
use crate::types::ids::ClusterId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Between two probes of a member while nothing is wrong.
    pub idle_interval: Duration,
    /// A silence of this length makes everybody be asked.
    pub suspicion_after: Duration,
    /// Between two probes of a member while something is wrong.
    pub suspicion_interval: Duration,
    /// A probe unanswered for so long, while others are answered, puts a member out.
    pub silent_after: Duration,
    /// A member that has applied so many entries less than another is out.
    pub lag_entries_max: u64,
    /// Members that the cluster lists are used as well.
    pub sync_members: bool,
    pub sync_interval: Duration,
    /// Of members that are to get more calls than the others, or fewer.
    pub weights: Vec<Weight>,
    /// Set by hand: no other cluster is ever taken for it.
    pub cluster_id: Option<ClusterId>,
}

/// How many calls a member gets beside the others, all else being equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weight {
    pub host: String,
    /// Every port where there is none.
    pub port: Option<u16>,
    pub weight: u16,
}

impl Weight {
    pub fn applies_to(&self, address: &Address) -> bool {
        self.host == address.host && self.port.is_none_or(|port| port == address.port)
    }
}
