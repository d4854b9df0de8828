//! Known bugs are put back, one at a time, and have to be found.

use etcdlet::raft::Bug;

use super::invariant;
use super::run::{Failure, Options, run};
use super::seed::Seed;
use super::seeds::{range, run_all};

/// Of each bug a seed that finds it, and what finds it there: the first, or one that shows an invariant that no other
/// bug violates.
const KNOWN: &[(Bug, u64, &str)] = &[
    (Bug::AcceptsBeforeSync, 0, "durability"),
    (Bug::AckOfOneCountsForAll, 0, "panic"),
    (Bug::CommitsEarlierTerm, 10, "quorum commit"),
    (Bug::CommitsUnmatched, 33, "state machine safety"),
    (Bug::DoubleConfChange, 19, "configuration safety"),
    (Bug::DoubleVote, 0, "commit monotonicity"),
    (Bug::DoubleVoteInJoint, 0, "commit monotonicity"),
    (Bug::HeartbeatCommitsUnmatched, 0, "member 7 cannot go on"),
    (Bug::IgnoresTermOfPrevious, 48, "log matching"),
    (Bug::JointHalfCommits, 19, "quorum commit"),
    (Bug::JointHalfElects, 0, "election safety"),
    (Bug::LeaderOverwrites, 0, "leader append-only"),
    (Bug::LeadsBeforeVoteIsDurable, 2, "election safety"),
    (Bug::LearnerCounts, 0, "quorum commit"),
    (Bug::LeaseAfterTransfer, 21, "read linearizability"),
    (Bug::NoStepDown, 7, "election safety"),
    (Bug::ProbeNeverResumes, 0, "liveness"),
    (Bug::ReadBeforeOwnCommit, 62, "read linearizability"),
    (Bug::ReadWithoutRound, 14, "read linearizability"),
    (Bug::SnapshotForgetsMembers, 0, "configuration safety"),
    (Bug::StaleLogWins, 3, "leader completeness"),
    (Bug::TruncatesWithoutConflict, 0, "quorum commit"),
    (Bug::VoteIsForgotten, 0, "durability"),
    (Bug::VotesBeforeSync, 0, "durability"),
];

#[test]
fn known_seeds() {
    for (bug, seed, finder) in KNOWN {
        let outcome = run(Seed(*seed), &Options { bug: Some(*bug) }).map(|report| report.digest);
        let failure = outcome.expect_err(&format!("{bug:?} is not found"));
        assert_eq!(self::finder(&failure), *finder, "{bug:?}");
    }
    for bug in Bug::ALL {
        assert!(KNOWN.iter().any(|(known, ..)| *known == bug), "{bug:?} has no seed");
    }
    for invariant in invariant::all().iter().map(|it| it.name()) {
        assert!(
            KNOWN.iter().any(|(.., finder)| *finder == invariant),
            "nothing shows that {invariant} can be violated"
        );
    }
}

/// `ETCDLET_SIM_BUG` names one, or all. Prints the lines of the table above.
#[test]
fn bugs_are_found() {
    let wanted = std::env::var("ETCDLET_SIM_BUG").unwrap_or(format!("{:?}", Bug::DoubleVote));
    let seeds = std::env::var("ETCDLET_SIM_SEEDS").map_or(0..1_000, |text| range(&text));
    let is_wanted = |bug: &Bug| wanted == "all" || wanted == format!("{bug:?}");
    let bugs: Vec<Bug> = Bug::ALL.into_iter().filter(is_wanted).collect();
    assert!(!bugs.is_empty(), "no bug is called {wanted}");
    let mut missed = Vec::new();
    for bug in bugs {
        match run_all(seeds.clone(), &Options { bug: Some(bug) }, 1).1.first() {
            Some(failure) => println!("    (Bug::{bug:?}, {}, {:?}),", failure.seed.0, finder(failure)),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// The invariant's name, or what else comes before the details.
fn finder(failure: &Failure) -> &str {
    failure.what.split(':').next().unwrap_or_default()
}
