//! What happens in a world, as invariants and the trace see it.

use std::fmt;
use std::rc::Rc;

use etcdlet::raft::index::EntryId;
use etcdlet::raft::message::{AppendResponse, Body};
use etcdlet::raft::{ConfState, Entry, EntryType, HardState, LogIndex, Message, Persist, RoleName, Status};
use etcdlet::types::ids::{MemberId, Term};

use super::linearizable::Answer;
use super::state_machine::{Command, RequestId};

/// In the order in which it happens; the View that comes with it is of the moment after it.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A member answers a client that asked it.
    Answered {
        member: MemberId,
        id: RequestId,
        answer: Answer,
    },
    /// The state machine of a member took this entry; the digest is of all it took up to there, and the membership
    /// the one that the entry brought about if it did.
    Applied {
        member: MemberId,
        entry: Entry,
        digest: u64,
        membership: Option<ConfState>,
    },
    /// A client asks a member. What a refusal says comes later, as an event of its own.
    Called {
        member: MemberId,
        command: Command,
    },
    /// There will be no more faults; those that there were are over.
    Calm,
    /// An input changed a node.
    Changed {
        member: MemberId,
        before: Vitals,
        after: Vitals,
    },
    Crashed {
        member: MemberId,
    },
    /// A message arrives.
    Delivered {
        message: Rc<Message>,
    },
    /// What was asked for is durable now, as is all that was asked for before.
    Durable {
        member: MemberId,
    },
    /// Something is done to the world.
    Fault {
        what: String,
    },
    /// A node wants this written.
    Persist {
        member: MemberId,
        persist: Rc<Persist>,
    },
    /// A member knows that what the client asked for is not done and will not be.
    Refused {
        member: MemberId,
        id: RequestId,
    },
    /// The state machine of a member was replaced by a snapshot.
    Restored {
        member: MemberId,
        last: EntryId,
        digest: u64,
        membership: ConfState,
    },
    /// The message may be another's that is forwarded.
    Sent {
        from: MemberId,
        message: Rc<Message>,
    },
    /// A node begins from what its disk holds.
    Started {
        member: MemberId,
    },
}

/// What is told of a node after every input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vitals {
    pub term: Term,
    pub vote: Option<MemberId>,
    pub role: RoleName,
    pub leader: Option<MemberId>,
    pub commit: LogIndex,
    pub applied: LogIndex,
    pub last: EntryId,
}

impl From<&Status> for Vitals {
    fn from(status: &Status) -> Self {
        Self {
            term: status.hard_state.term,
            vote: status.hard_state.vote,
            role: status.soft_state.role,
            leader: status.soft_state.leader,
            commit: status.hard_state.commit,
            applied: status.applied,
            last: status.last,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { member, id, answer } => write!(f, "{member} answers {id} {answer:?}"),
            Self::Applied { member, entry, digest, membership } => {
                write!(f, "{member} applies {} {digest:016x}", Shown(entry))?;
                membership.as_ref().map_or(Ok(()), |membership| write!(f, " {membership:?}"))
            }
            Self::Called { member, command } => {
                write!(f, "{member} is asked {} {} {:?}", command.id, command.key, command.request)
            }
            Self::Calm => f.write_str("calm"),
            Self::Changed { member, before, after } => write_change(f, *member, before, after),
            Self::Crashed { member } => write!(f, "{member} crashes"),
            Self::Delivered { message } => write!(f, "{} gets {}", message.to, Told(message)),
            Self::Durable { member } => write!(f, "{member} has synced"),
            Self::Fault { what } => write!(f, "* {what}"),
            Self::Persist { member, persist } => write_persist(f, *member, persist),
            Self::Refused { member, id } => write!(f, "{member} refuses {id}"),
            Self::Restored { member, last, digest, membership } => {
                write!(f, "{member} restores {last} {digest:016x} {membership:?}")
            }
            Self::Sent { from, message } => write!(f, "{from} sends {} to {}", Told(message), message.to),
            Self::Started { member } => write!(f, "{member} starts"),
        }
    }
}

fn write_change(f: &mut fmt::Formatter<'_>, id: MemberId, before: &Vitals, after: &Vitals) -> fmt::Result {
    let Vitals { term, vote, role, leader, commit, applied, last } = after;
    write!(f, "{id} is {role:?} in {term}")?;
    if before.vote != *vote {
        write!(f, " vote {}", vote.map_or(0, |id| id.0))?;
    }
    if before.leader != *leader {
        write!(f, " leader {}", leader.map_or(0, |id| id.0))?;
    }
    write!(f, " applied {applied} commit {commit} last {last}")
}

fn write_persist(f: &mut fmt::Formatter<'_>, id: MemberId, persist: &Persist) -> fmt::Result {
    let Persist { hard_state, snapshot, entries, must_sync, responses, ack: _ } = persist;
    write!(f, "{id} writes")?;
    if let Some(snapshot) = snapshot {
        write!(f, " snapshot {}", snapshot.last)?;
    }
    for entry in entries {
        write!(f, " {}", Shown(entry))?;
    }
    if let Some(HardState { term, vote, commit }) = hard_state {
        write!(f, " term {term} vote {} commit {commit}", vote.map_or(0, |id| id.0))?;
    }
    write!(f, "{}", if *must_sync { " and syncs" } else { "" })?;
    responses.iter().try_for_each(|response| write!(f, ", then {} to {}", Told(response), response.to))
}

struct Shown<'a>(&'a Entry);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { kind, term, index, data } = self.0;
        match kind {
            EntryType::ConfChange | EntryType::ConfChangeV2 => write!(f, "{term}/{index} {kind:?} {data:?}"),
            EntryType::Normal => write!(f, "{term}/{index} '{}'", String::from_utf8_lossy(data)),
        }
    }
}

/// All but to whom.
struct Told<'a>(&'a Message);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Message { from, to: _, term, body } = self.0;
        write!(f, "{:?} of {from} in {term}", self.0.kind())?;
        match body {
            Body::Append(append) => {
                write!(f, " commit {} after {}", append.commit, append.previous)?;
                append.entries.iter().try_for_each(|entry| write!(f, " {}", Shown(entry)))
            }
            Body::AppendResponse(AppendResponse::Accepted { index }) => write!(f, " accepted {index}"),
            Body::AppendResponse(AppendResponse::Rejected { index, hint, hint_term }) => {
                write!(f, " rejected {index} hint {} {hint}", hint_term.map_or(0, |term| term.0))
            }
            Body::Heartbeat { commit, context } => write!(f, " commit {commit} {context:?}"),
            Body::Propose { entries } => entries.iter().try_for_each(|entry| write!(f, " {}", Shown(entry))),
            Body::HeartbeatResponse { context } | Body::ReadIndex { context } => write!(f, " {context:?}"),
            Body::ReadIndexResponse { index, context } => write!(f, " {index} {context:?}"),
            Body::Snapshot(snapshot) => write!(f, " {} {:?}", snapshot.last, snapshot.conf_state),
            Body::TimeoutNow | Body::TransferLeader => Ok(()),
            Body::Vote(request) => write!(f, " last {} {}", request.last, request.transfer),
            Body::VoteResponse(response) => write!(f, " {}", response.granted),
        }
    }
}
