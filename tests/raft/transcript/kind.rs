//! What a transcript is about.

use super::parse::Step;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Changes of a configuration, and the progress of its members.
    ConfChange,
    /// A cluster that exchanges messages.
    Interaction,
    /// Votes and commit indexes of majorities.
    Quorum,
}

/// Why a file has no kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoKind {
    /// It has no command.
    Empty,
    /// Commands of two kinds.
    Mixed {
        line: usize,
    },
    Unknown {
        line: usize,
        name: String,
    },
}

impl Kind {
    pub(super) fn of(steps: &[Step]) -> Result<Self, NoKind> {
        let mut kind = None;
        for step in steps {
            let (line, name) = (step.command.line, &step.command.name);
            let Some(of) = Self::ALL.into_iter().find(|it| it.commands().contains(&name.as_str())) else {
                return Err(NoKind::Unknown { line, name: name.clone() });
            };
            if kind.is_some_and(|kind| kind != of) {
                return Err(NoKind::Mixed { line });
            }
            kind = Some(of);
        }
        kind.ok_or(NoKind::Empty)
    }

    /// Their names, in order.
    pub(crate) const fn commands(self) -> &'static [&'static str] {
        match self {
            Self::ConfChange => &["enter-joint", "leave-joint", "simple"],
            Self::Interaction => &[
                "_breakpoint",
                "add-nodes",
                "campaign",
                "compact",
                "deliver-msgs",
                "forget-leader",
                "log-level",
                "process-append-thread",
                "process-apply-thread",
                "process-ready",
                "propose",
                "propose-conf-change",
                "raft-log",
                "raft-state",
                "read-index",
                "report-snapshot",
                "report-unreachable",
                "send-snapshot",
                "set-randomized-election-timeout",
                "stabilize",
                "status",
                "tick-election",
                "tick-heartbeat",
                "transfer-leadership",
            ],
            Self::Quorum => &["committed", "vote"],
        }
    }

    const ALL: [Self; 3] = [Self::ConfChange, Self::Interaction, Self::Quorum];
}
