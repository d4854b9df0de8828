//! The cluster as it is known at one moment. A call decides by one view from beginning to end.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::vitals::Vitals;
use crate::net::address::Address;
use crate::types::ids::{ClusterId, EndpointId, MemberId, Term};

#[derive(Clone, Debug, Default)]
pub struct View {
    /// Counts the clusters that stood behind the endpoints: another one begins anew.
    pub epoch: u64,
    pub cluster_id: Option<ClusterId>,
    /// Of the leader that is believed in, or was last.
    pub term: Term,
    pub leader: Leader,
    pub members: Vec<Member>,
    /// The place of the member that answers for all, where one member is meant and none named.
    pub sticky: Option<usize>,
    /// Everybody is being asked.
    pub suspicion: bool,
    /// Why there may be no members yet.
    pub discovery_error: Option<String>,
}

impl View {
    /// The place of the member with this id (hexadecimal) or name.
    pub fn named(&self, name: &str) -> Option<usize> {
        let by_name = |member: &Member| member.name.as_deref() == Some(name);
        let id = u64::from_str_radix(name, 16).ok().map(MemberId);
        let by_id = |member: &Member| id.is_some() && member.id() == id;
        self.members
            .iter()
            .position(|member| by_name(member) && member.is_healthy())
            .or_else(|| self.members.iter().position(by_name))
            .or_else(|| self.members.iter().position(by_id))
    }
}

/// Who decides on writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leader {
    /// It is there, but not reachable from here: a follower has proved its own way to it.
    Behind,
    /// At this place among the members.
    Known(usize),
    /// There is none, or it has failed and the others have not agreed on another.
    None,
    /// The members do not say, or were not asked yet.
    #[default]
    Unknown,
}

#[derive(Clone, Debug)]
pub struct Member {
    pub endpoint: Endpoint,
    pub name: Option<String>,
    pub standing: Standing,
    /// More on the reason, for people.
    pub detail: String,
    pub since: Instant,
    /// Nobody knows yet whose it is, and there is reason to doubt: it gets no call.
    pub must_prove: bool,
    /// What it last said of itself.
    pub report: Option<Report>,
    pub vitals: Arc<Vitals>,
    /// What its open calls have to expect.
    pub verdict: Verdict,
}

impl Member {
    pub fn id(&self) -> Option<MemberId> {
        self.report.as_ref().map(|report| report.member_id)
    }

    pub fn is_healthy(&self) -> bool {
        self.standing == Standing::Healthy
    }
}

/// A URL and where it is known from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub id: EndpointId,
    pub address: Address,
    /// The name in its certificate, where that is not the host of the URL.
    pub server_name: Option<String>,
    pub source: Source,
    /// The lowest that has healthy members is used.
    pub priority: u16,
    /// Its share of the calls beside the others, at least 1.
    pub weight: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Dns,
    /// The member list of the cluster itself.
    Members,
    Srv,
    Static,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "dns",
            Self::Members => "members",
            Self::Srv => "srv",
            Self::Static => "static",
        })
    }
}

/// An answer of `Maintenance.Status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub cluster_id: ClusterId,
    pub member_id: MemberId,
    pub term: Term,
    pub leader: Option<MemberId>,
    pub applied_index: u64,
    pub learner: bool,
    pub version: String,
    /// Alarms, and the lack of a leader, in etcd's words.
    pub errors: Vec<String>,
    pub sent_at: Instant,
    pub received_at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Healthy,
    Out(Reason),
    /// Not heard of yet.
    Unproven,
}

/// Why a member gets calls only when no better one is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    // In the order of preference.
    Lagging,
    /// Its own health check says no.
    NotReady,
    /// Its process runs, but it answers no reads: defragmentation, or no way to a majority.
    Stuck,
    Leaderless,
    /// It believes in a leader that the others have replaced.
    Partitioned,
    Learner,
    /// Connected, and silent: frozen, or the network swallows everything.
    Silent,
    Unreachable,
    /// It leads back here.
    Loop,
    /// The URL of one member leads to another one.
    AnotherMember,
    /// Another cluster: it never gets a call.
    ForeignCluster,
}

impl Reason {
    pub const ALL: [Self; 11] = [
        Self::Lagging,
        Self::NotReady,
        Self::Stuck,
        Self::Leaderless,
        Self::Partitioned,
        Self::Learner,
        Self::Silent,
        Self::Unreachable,
        Self::Loop,
        Self::AnotherMember,
        Self::ForeignCluster,
    ];

    pub fn text(self) -> &'static str {
        match self {
            Self::AnotherMember => "another member",
            Self::ForeignCluster => "foreign cluster",
            Self::Lagging => "lagging",
            Self::Leaderless => "leaderless",
            Self::Learner => "learner",
            Self::Loop => "loop",
            Self::NotReady => "not ready",
            Self::Partitioned => "partitioned",
            Self::Silent => "silent",
            Self::Stuck => "stuck",
            Self::Unreachable => "unreachable",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// What becomes of calls that are under way on a member; each step includes those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Stay,
    /// Reads without an answer go elsewhere.
    EvictReads,
    /// Streams end as well.
    CutStreams,
    /// Everything ends: nothing that is sent there can be answered in time.
    CutAll,
}
