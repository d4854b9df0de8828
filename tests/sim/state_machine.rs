//! A key-value store that the log is applied to.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use etcdlet::raft::{Entry, EntryType, LogIndex};

use super::linearizable::{Answer, Request};
use super::seed::digest;

/// A client has at most one request under way, and numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RequestId {
    pub client: u64,
    pub sequence: u64,
}

/// What a client wants; also the payload of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    pub id: RequestId,
    pub key: String,
    pub request: Request,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StateMachine {
    applied: LogIndex,
    /// Of all entries that were ever applied to it, or to what its snapshot was taken of.
    digest: u64,
    values: BTreeMap<String, String>,
    /// Of each client the last request that was done, with its answer: none is done twice, or after a later one.
    sessions: BTreeMap<u64, (u64, Answer)>,
}

impl StateMachine {
    pub(crate) const fn applied(&self) -> LogIndex {
        self.applied
    }

    pub(crate) const fn digest(&self) -> u64 {
        self.digest
    }

    /// The next entry. Gives whom to answer, if it is a client's request.
    pub(crate) fn apply(&mut self, entry: &Entry) -> Option<(RequestId, Answer)> {
        assert_eq!(entry.index, self.applied.next(), "entries are applied in order and once");
        self.applied = entry.index;
        let place = [entry.term.0.to_le_bytes(), entry.index.0.to_le_bytes()].concat();
        self.digest = digest(self.digest, &[&place, &[entry.kind as u8], &entry.data]);
        if entry.kind != EntryType::Normal || entry.data.is_empty() {
            return None;
        }
        let Command { id, key, request } = Command::decode(&entry.data);
        match self.sessions.get(&id.client) {
            Some((sequence, _)) if *sequence > id.sequence => return None,
            Some((sequence, answer)) if *sequence == id.sequence => return Some((id, answer.clone())),
            _ => {}
        }
        let answer = self.perform(&key, request);
        self.sessions.insert(id.client, (id.sequence, answer.clone()));
        Some((id, answer))
    }

    fn perform(&mut self, key: &str, request: Request) -> Answer {
        let value = self.values.get(key).cloned();
        let (new, answer) = match request {
            Request::CompareAndSwap { expected, new } if value == expected => (new, Answer::Swapped(true)),
            Request::CompareAndSwap { .. } => return Answer::Swapped(false),
            Request::Delete => (None, Answer::Deleted(value.is_some())),
            Request::Get => return Answer::Found(value),
            Request::Put(new) => (Some(new), Answer::Put),
        };
        match new {
            Some(new) => self.values.insert(key.into(), new),
            None => self.values.remove(key),
        };
        answer
    }

    /// What a read finds now.
    pub(crate) fn value(&self, key: &str) -> Option<String> {
        self.values.get(key).cloned()
    }

    /// As if entries up to there had been applied, without effect.
    pub(crate) fn beginning_at(applied: LogIndex) -> Self {
        Self { applied, ..Self::default() }
    }

    /// All of it, as a snapshot carries it.
    pub(crate) fn to_bytes(&self) -> Bytes {
        let Self { applied, digest, values, sessions } = self;
        let mut text = format!("{applied} {digest}\n");
        for (key, value) in values {
            text.push_str(&format!("value {key} {value}\n"));
        }
        for (client, (sequence, answer)) in sessions {
            text.push_str(&format!("session {client} {sequence} {}\n", answer_words(answer)));
        }
        Bytes::from(text)
    }

    pub(crate) fn decode(data: &[u8]) -> Self {
        if data.is_empty() {
            return Self::default();
        }
        let text = std::str::from_utf8(data).expect("a snapshot is text");
        let mut lines = text.lines();
        let mut words = Words::new(lines.next().unwrap_or_default());
        let mut machine =
            Self { applied: LogIndex(words.number()), digest: words.number(), ..Self::default() };
        for line in lines {
            let mut words = Words::new(line);
            if words.word() == "value" {
                machine.values.insert(words.word().into(), words.word().into());
            } else {
                machine.sessions.insert(words.number(), (words.number(), words.answer()));
            }
        }
        machine
    }
}

impl Command {
    /// Keys and values have no spaces in them.
    pub(crate) fn to_bytes(&self) -> Bytes {
        let Self { id: RequestId { client, sequence }, key, request } = self;
        let request = match request {
            Request::CompareAndSwap { expected, new } => {
                format!("swap {} {}", optional(expected.as_ref()), optional(new.as_ref()))
            }
            Request::Delete => String::from("delete"),
            Request::Get => String::from("get"),
            Request::Put(new) => format!("put {new}"),
        };
        Bytes::from(format!("{client} {sequence} {key} {request}"))
    }

    pub(crate) fn decode(data: &[u8]) -> Self {
        let mut words = Words::new(std::str::from_utf8(data).expect("a command is text"));
        let id = RequestId { client: words.number(), sequence: words.number() };
        let key = String::from(words.word());
        let request = match words.word() {
            "delete" => Request::Delete,
            "get" => Request::Get,
            "put" => Request::Put(words.word().into()),
            _ => Request::CompareAndSwap { expected: words.optional(), new: words.optional() },
        };
        Self { id, key, request }
    }
}

impl RequestId {
    /// As the context of a read.
    pub(crate) fn to_bytes(self) -> Bytes {
        let Self { client, sequence } = self;
        Bytes::from(format!("{client} {sequence}"))
    }

    pub(crate) fn decode(data: &[u8]) -> Self {
        let mut words = Words::new(std::str::from_utf8(data).expect("a request's id is text"));
        Self { client: words.number(), sequence: words.number() }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}#{}", self.client, self.sequence)
    }
}

fn answer_words(answer: &Answer) -> String {
    match answer {
        Answer::Deleted(was_there) => format!("deleted {was_there}"),
        Answer::Found(value) => format!("found {}", optional(value.as_ref())),
        Answer::Put => String::from("put"),
        Answer::Swapped(done) => format!("swapped {done}"),
    }
}

fn optional(value: Option<&String>) -> &str {
    value.map_or("-", String::as_str)
}

struct Words<'a>(std::str::Split<'a, char>);

impl<'a> Words<'a> {
    fn new(line: &'a str) -> Self {
        Self(line.split(' '))
    }

    fn word(&mut self) -> &'a str {
        self.0.next().expect("the line goes on")
    }

    fn number(&mut self) -> u64 {
        self.word().parse().expect("a number")
    }

    fn optional(&mut self) -> Option<String> {
        Some(self.word()).filter(|word| *word != "-").map(String::from)
    }

    fn answer(&mut self) -> Answer {
        match self.word() {
            "deleted" => Answer::Deleted(self.word() == "true"),
            "found" => Answer::Found(self.optional()),
            "put" => Answer::Put,
            _ => Answer::Swapped(self.word() == "true"),
        }
    }
}
