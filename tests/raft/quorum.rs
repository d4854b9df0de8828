//! `committed` and `vote`: what a majority, or two at once, agree on.
//!
//! `cfg=(1, 2)` are the voters, `cfgj=(2, 3)` those of the other half (`zero`: a half without voters).
//! `idx=(5, _, 7)` and `votes=(y, _, n)` are for each voter in the order in which they are named first;
//! `_` has said nothing.

use std::collections::BTreeMap;
use std::str::FromStr;

use etcdlet::raft::quorum::Joint;
use etcdlet::types::ids::MemberId;

use crate::transcript::{Command, Interpreter};

pub(crate) struct QuorumInterpreter;

impl Interpreter for QuorumInterpreter {
    fn run(&mut self, command: &Command) -> String {
        let incoming = ids(command, "cfg");
        let outgoing = ids(command, "cfgj");
        let mut named = incoming.clone();
        named.extend(outgoing.iter().filter(|id| !incoming.contains(id)));
        let joint =
            Joint { incoming: incoming.into_iter().collect(), outgoing: outgoing.into_iter().collect() };
        match command.name.as_str() {
            "committed" => {
                command.takes_only(&["cfg", "cfgj", "idx"]);
                committed(&joint, &said(command, "idx", &named))
            }
            "vote" => {
                command.takes_only(&["cfg", "cfgj", "votes"]);
                vote(&joint, &said(command, "votes", &named))
            }
            name => unreachable!("{name} is of another kind"),
        }
    }
}

fn ids(command: &Command, key: &str) -> Vec<MemberId> {
    let words: Vec<String> = command.values(key).unwrap_or_default();
    let number = |word: &String| word.parse().unwrap_or_else(|error| panic!("{key}={word}: {error}"));
    words.iter().filter(|word| *word != "zero").map(|word| MemberId(number(word))).collect()
}

/// What each voter has said, if anything.
fn said<T: FromStr>(command: &Command, key: &str, voters: &[MemberId]) -> BTreeMap<MemberId, T> {
    let words: Vec<String> = command.values(key).unwrap_or_default();
    assert_eq!(words.len(), voters.len(), "{key} has as many values as there are voters");
    let parse = |word: &str| word.parse().unwrap_or_else(|_| panic!("{key}={word}: it makes no sense"));
    let heard = voters.iter().zip(&words).filter(|(_, word)| *word != "_");
    heard.map(|(id, word)| (*id, parse(word))).collect()
}

fn vote(joint: &Joint, votes: &BTreeMap<MemberId, Yes>) -> String {
    let result = |joint: &Joint| joint.vote_result(|id| votes.get(&id).map(|Yes(it)| *it));
    assert_eq!(result(&mirrored(joint)), result(joint), "the halves are equal");
    format!("Vote{:?}", result(joint))
}

fn committed(joint: &Joint, indexes: &BTreeMap<MemberId, u64>) -> String {
    let reached = |joint: &Joint| joint.reached(|id| indexes.get(&id).copied());
    assert_eq!(reached(&mirrored(joint)), reached(joint), "the halves are equal");
    let index = reached(joint).map_or_else(|| String::from("∞"), |index| index.to_string());
    table(&joint.ids(), indexes) + &index
}

fn mirrored(joint: &Joint) -> Joint {
    let Joint { incoming, outgoing } = joint.clone();
    Joint { incoming: outgoing, outgoing: incoming }
}

/// A bar for each voter, as long as there are voters behind it.
fn table(voters: &[MemberId], indexes: &BTreeMap<MemberId, u64>) -> String {
    if voters.is_empty() {
        return String::from("<empty majority quorum>");
    }
    let count = voters.len();
    let index = |id: &MemberId| indexes.get(id).copied().unwrap_or_default();
    let mut text = format!("{:count$}    idx\n", "");
    for id in voters {
        let behind = voters.iter().filter(|other| index(other) < index(id)).count();
        let bar = if indexes.contains_key(id) { "x".repeat(behind) + ">" } else { String::from("?") };
        text += &format!("{bar:width$} {:>5}    (id={id})\n", index(id), width = count + 1);
    }
    text
}

/// `y` or `n`.
struct Yes(bool);

impl FromStr for Yes {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "n" => Ok(Self(false)),
            "y" => Ok(Self(true)),
            _ => Err(()),
        }
    }
}
