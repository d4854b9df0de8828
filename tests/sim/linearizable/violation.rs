//! Operations that no order explains, drawn one below the other.

use std::fmt;

use super::history::{Answer, History, Operation, Outcome, Request};
use super::register::Interval;
use super::shrink::Blamed;

/// Printed like this; time goes to the right, and an arrow is an operation without an answer.
///
/// ```text
/// key "x": no order of these operations explains their answers
///   client 1  put "a"              |--|
///   client 2  put "b"                    |--|
///   client 1  get -> "a"                       |--|
/// the others on the key make no difference (12)
/// ```
#[derive(Debug)]
pub(crate) struct Violation {
    pub key: String,
    /// No order explains these.
    pub needed: Vec<Operation>,
    /// They wrote what those have seen.
    pub written: Vec<Operation>,
    /// Operations that returned before this place may have left any value; `None`: the key was absent at first.
    pub since: Option<usize>,
    /// How many there are on the key.
    pub of: usize,
}

impl Violation {
    pub(super) fn new(history: &History, key: &str, of: usize, blamed: &Blamed) -> Self {
        let Blamed { needed, written, since } = blamed;
        let operations = |intervals: &[Interval]| {
            intervals.iter().map(|it| history.operations()[it.operation].clone()).collect()
        };
        let (needed, written) = (operations(needed), operations(written));
        Self { key: String::from(key), needed, written, since: *since, of }
    }

    /// What is shown, in the order of the calls.
    pub(super) fn shown(&self) -> Vec<&Operation> {
        let mut shown: Vec<&Operation> = self.needed.iter().chain(&self.written).collect();
        shown.sort_by_key(|it| it.called);
        shown
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operations = self.shown();
        writeln!(f, "key {:?}: no order of these operations explains their answers", self.key)?;
        let answered = operations.iter().filter_map(|it| returned(it));
        let mut events: Vec<usize> = operations.iter().map(|it| it.called).chain(answered).collect();
        events.sort_unstable();
        let column = |event| 3 * events.partition_point(|it| *it < event);
        let client_width = operations.iter().map(|it| it.client.to_string().len()).max().unwrap_or(0);
        let labels: Vec<String> = operations.iter().map(|it| label(it)).collect();
        let label_width = labels.iter().map(String::len).max().unwrap_or(0);
        for (operation, label) in operations.iter().zip(&labels) {
            let begin = column(operation.called);
            let (end, last) = returned(operation).map_or((3 * events.len(), '>'), |it| (column(it), '|'));
            let bar = format!("{}|{}{last}", " ".repeat(begin), "-".repeat(end - begin - 1));
            let client = operation.client;
            writeln!(f, "  client {client:>client_width$}  {label:<label_width$}  {bar}")?;
        }
        match self.of - operations.len() {
            0 => write!(f, "they are all there are on the key"),
            others => write!(f, "the others on the key make no difference ({others})"),
        }
    }
}

fn returned(operation: &Operation) -> Option<usize> {
    match operation.outcome {
        Outcome::Answered { at, .. } => Some(at),
        Outcome::Refused | Outcome::Unknown => None,
    }
}

fn label(operation: &Operation) -> String {
    let request = match &operation.request {
        Request::CompareAndSwap { expected, new } => format!("swap {} for {}", told(expected), told(new)),
        Request::Delete => String::from("delete"),
        Request::Get => String::from("get"),
        Request::Put(value) => format!("put {value:?}"),
    };
    let answer = match &operation.outcome {
        Outcome::Answered { answer, .. } => match answer {
            Answer::Deleted(true) | Answer::Swapped(true) => String::from(" -> done"),
            Answer::Deleted(false) => String::from(" -> nothing"),
            Answer::Found(value) => format!(" -> {}", told(value)),
            Answer::Put => String::new(),
            Answer::Swapped(false) => String::from(" -> refused"),
        },
        Outcome::Refused => String::from(" -> refused"),
        Outcome::Unknown => String::from(" -> ?"),
    };
    request + &answer
}

fn told(value: &Option<String>) -> String {
    value.as_ref().map_or_else(|| String::from("nothing"), |it| format!("{it:?}"))
}
