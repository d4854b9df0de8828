//! Every transcript holds: ours in `transcripts/`, and those of `RAFT_TRANSCRIPTS=DIR`, for example the
//! `testdata` of etcd-io/raft.
//!
//! `ETCDLET_REWRITE=1 cargo test --test raft` writes the outputs of ours anew; look at what that changes.
//!
//! Each of ours shows one behaviour, and says first why it must be so. Its name begins with what it is about:
//!
//! | in `transcripts/` | |
//! |---|---|
//! | `interaction/election_` `vote_` `candidate_` `term_` `campaign_` | who becomes the leader, and who must not |
//! | `interaction/prevote_` `checkquorum_` `forget_leader` | what keeps a leader in office, and frees the others from it |
//! | `interaction/replication_` `commit_` `snapshot_` `unreachable_` | how followers are supplied, and what is committed |
//! | `interaction/proposal_` `apply_` | what goes in, and comes out |
//! | `interaction/learner_` `member_` `joint_` `removed_` `demoted_` | who counts, and from when on |
//! | `interaction/read_` | which index a read must wait for |
//! | `interaction/transfer_` | handing over |
//! | `interaction/storage_` | what must be durable before what |
//! | `interaction/environment` | what of the commands is not about Raft |
//! | `confchange/` | which configurations follow from which |
//! | `quorum/` | what a majority is, or two |
//!
//! etcd-io/raft answers the same everywhere but where leases matter: the three that say so show this core to be stricter.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::confchange::ConfChangeInterpreter;
use crate::interaction::Environment;
use crate::quorum::QuorumInterpreter;
use crate::transcript::{Interpreter, Kind, Mode, failures, run_folder};

fn interpreter(kind: Kind) -> Box<dyn Interpreter> {
    match kind {
        Kind::ConfChange => Box::new(ConfChangeInterpreter::default()),
        Kind::Interaction => Box::new(Environment::default()),
        Kind::Quorum => Box::new(QuorumInterpreter),
    }
}

/// The folder beside this file; tests run where their paths begin.
fn ours() -> PathBuf {
    Path::new(file!()).with_extension("")
}

#[test]
fn transcripts_hold() {
    let mode = if env::var_os("ETCDLET_REWRITE").is_some() { Mode::Rewrite } else { Mode::Check };
    run_folder(&ours(), mode, &interpreter);
    // Only now none of ours is being written.
    assert_other_ends_fail();
    if let Some(others) = env::var_os("RAFT_TRANSCRIPTS") {
        run_folder(Path::new(&others), Mode::Check, &interpreter);
    }
}

/// Each of ours is run to its end: it fails when its last line is another one.
fn assert_other_ends_fail() {
    let wrong = tempfile::tempdir().expect("a folder can be made");
    let mut count = 0;
    for kind in ["confchange", "interaction", "quorum"] {
        for file in fs::read_dir(ours().join(kind)).expect("it is there") {
            let text = fs::read_to_string(file.expect("it is there").path()).expect("it is a text");
            let path = wrong.path().join(format!("{kind}-{count}"));
            fs::write(path, format!("{} else\n", text.trim_end())).expect("a file can be written");
            count += 1;
        }
    }
    let (_, failures) = failures(wrong.path(), Mode::Check, &interpreter);
    let is_shown =
        |failure: &String| failure.lines().any(|line| line.starts_with("- ") && line.ends_with(" else"));
    let noticed = failures.iter().filter(|it| is_shown(it)).count();
    assert_eq!(noticed, count, "{}", failures.join("\n"));
}
