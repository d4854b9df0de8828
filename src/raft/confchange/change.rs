//! Changes as they are proposed.

use bytes::Bytes;

use crate::types::ids::MemberId;

/// One change of one member: the older form, and the only one that etcd's server writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfChange {
    /// The proposer's request.
    pub id: u64,
    pub change: ConfChangeSingle,
    /// Opaque to the core.
    pub context: Bytes,
}

impl From<ConfChange> for ConfChangeV2 {
    fn from(change: ConfChange) -> Self {
        let ConfChange { id: _, change, context } = change;
        Self { transition: ConfChangeTransition::Auto, changes: vec![change], context }
    }
}

/// Any number of changes at once; none of them means to leave a joint configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfChangeV2 {
    pub transition: ConfChangeTransition,
    pub changes: Vec<ConfChangeSingle>,
    /// Opaque to the core.
    pub context: Bytes,
}

impl ConfChangeV2 {
    /// Whether it asks to leave a joint configuration.
    #[must_use]
    pub fn leaves_joint(&self) -> bool {
        self.transition == ConfChangeTransition::Auto && self.changes.is_empty()
    }

    /// Whether it goes through a joint configuration, and if so, whether that is left by itself.
    #[must_use]
    pub fn enters_joint(&self) -> Option<bool> {
        match self.transition {
            ConfChangeTransition::Auto if self.changes.len() <= 1 => None,
            ConfChangeTransition::Auto | ConfChangeTransition::JointImplicit => Some(true),
            ConfChangeTransition::JointExplicit => Some(false),
        }
    }
}

/// How several changes take effect; the numbers are those of the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ConfChangeTransition {
    /// Simple if it is a single change, [`JointImplicit`](Self::JointImplicit) otherwise.
    #[default]
    Auto = 0,
    /// Joint, and left by itself.
    JointImplicit = 1,
    /// Joint, and left by a change without changes.
    JointExplicit = 2,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConfChangeSingle {
    pub kind: ConfChangeType,
    /// None changes nothing: so a server voids a change that it can no longer withdraw.
    pub node: Option<MemberId>,
}

/// What becomes of a member; the numbers are those of the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ConfChangeType {
    #[default]
    AddNode = 0,
    RemoveNode = 1,
    /// Of no concern to the core: the server's data of a member changes.
    UpdateNode = 2,
    AddLearnerNode = 3,
}
