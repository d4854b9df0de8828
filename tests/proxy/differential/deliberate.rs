//! The differences between etcd and the sidecar that are meant.

use super::entry::Entry;
use super::transcript::Transcript;

/// One way in which an answer through the sidecar may differ from the direct one.
struct Difference {
    what: &'static str,
    reason: &'static str,
    /// Comes and goes with timing, so that a run without it proves nothing.
    timing: bool,
    concerns: fn(&Entry) -> bool,
    /// What a line of the direct answer reads through the sidecar; `None` leaves it.
    through: fn(&str) -> Option<String>,
}

/// The differences, and which of them were seen.
#[derive(Default)]
pub(crate) struct Deliberate {
    seen: [bool; DIFFERENCES.len()],
}

impl Deliberate {
    pub(crate) fn allows(&mut self, entry: &Entry, direct: &Transcript, through: &Transcript) -> bool {
        for (difference, seen) in DIFFERENCES.iter().zip(&mut self.seen) {
            if (difference.concerns)(entry) && direct.map(difference.through) == *through {
                println!("{}: {} ({})", entry.name, difference.what, difference.reason);
                *seen = true;
                return true;
            }
        }
        false
    }

    /// A difference that no entry of the table shows, though some are of its kind, is none any more.
    pub(crate) fn unused(&self, table: &[Entry]) -> Vec<String> {
        let unused = DIFFERENCES.iter().zip(self.seen).filter(|(difference, seen)| {
            !seen && !difference.timing && table.iter().any(difference.concerns)
        });
        unused
            .map(|(difference, _)| format!("deliberate difference never seen: {}", difference.what))
            .collect()
    }
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        what: "CANCELLED or DEADLINE_EXCEEDED that is not the client's own doing becomes UNAVAILABLE",
        reason: "clients take these two for their own and send a mutation again",
        timing: true,
        concerns: |entry| !entry.has_deadline(),
        through: |line| {
            let (field, code) = line.split_once("grpc-status: ")?;
            ["1", "4"].contains(&code).then(|| format!("{field}grpc-status: 14"))
        },
    },
    Difference {
        what: "the header of a watch's history has the revision of its last event, not the present one",
        reason: "events that were received for many watches are sent again without asking for the present",
        timing: false,
        concerns: |entry| entry.name.starts_with("watch: history"),
        through: |line| {
            let (header, events) = line.split_once(" 4:<term>} 11:")?;
            let (header, _present) = header.rsplit_once(" 3:")?;
            let (_, last) = events.rsplit_once(" 3:")?;
            let last = last.split([' ', '}']).next()?;
            Some(format!("{header} 3:{last} 4:<term>}} 11:{events}"))
        },
    },
];

#[cfg(test)]
mod tests {
    use super::super::entry::{call, entry};
    use super::super::known::Known;
    use super::super::transcript::Record;
    use super::*;
    use crate::support::grpc::{End, metadata};

    fn ended(code: &str) -> Transcript {
        let end = End::Trailers(metadata(&[("grpc-status", code)]));
        Transcript::new(&[Record::End(end)], &Known::default())
    }

    #[test]
    fn a_cancellation_by_the_upstream_may_become_unavailable_and_nothing_else() {
        let mut deliberate = Deliberate::default();
        assert!(deliberate.allows(&entry("e"), &ended("1"), &ended("14")));
        assert!(!deliberate.allows(&entry("e"), &ended("1"), &ended("13")));
        assert!(!deliberate.allows(&entry("e"), &ended("5"), &ended("14")));
    }

    #[test]
    fn a_deadline_of_the_client_stays_its_own() {
        let entry = call("e", "/x/Y", ()).meta("grpc-timeout", "1S");
        assert!(!Deliberate::default().allows(&entry, &ended("4"), &ended("14")));
    }
}
