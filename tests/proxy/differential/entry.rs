//! The language in which the table of calls is written.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use prost::Message;

use super::known::Known;
use crate::support::grpc::{Answer, frame, grpc_headers, header};

/// One line of the table: steps over one connection, all of whose answers are compared.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
}

pub(crate) enum Step {
    /// The same call many times at once on the one connection; its answers are compared in sorted order.
    Burst(usize, Call),
    /// Compares everything up to the end of the stream, which the client's own deadline brings.
    Deadline,
    /// Compares everything up to the end of the stream.
    End,
    /// That many events of a watch, however they are spread over messages.
    Events(usize),
    HalfClose,
    /// Gives a name to an id in the last message.
    LearnId(&'static str, &'static [u32]),
    /// Gives a name to the lease whose id in hexadecimal ends a key in the last message.
    LearnLeaseOfKey(&'static str, &'static [u32]),
    LearnText(&'static str, &'static [u32]),
    /// Makes an earlier stream the current one again; they are counted from 0.
    On(usize),
    /// Opens a stream, which becomes the current one.
    Open(Call),
    /// Nothing comes for a while.
    Quiet,
    Raw(Bytes),
    /// That many messages in that order.
    Receive(usize),
    /// That many messages, of which etcd leaves the order open.
    ReceiveUnordered(usize),
    /// Keeps a number of the last message for a later request, without giving it a name.
    Remember(&'static str, &'static [u32]),
    Reset,
    Send(Make),
    /// A snapshot, compared by what its chunks promise.
    Snapshot(Call),
    /// A call from its start to its end.
    Unary(Call),
    /// Calls until the answer fits, and compares that one.
    Until(Call, fn(&Answer) -> bool),
}

pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) headers: Vec<(HeaderName, MakeValue)>,
    pub(crate) frames: Vec<Make>,
    pub(crate) close: Close,
}

/// How a call's request ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    /// With an empty DATA frame.
    Data,
    /// With its headers, so that it has no DATA frame at all.
    Headers,
    Never,
}

/// Bytes that may contain what a side knows. For [`Step::Send`] they are a message, in [`Call::frames`] whole frames.
pub(crate) type Make = Box<dyn Fn(&Known) -> Bytes + Send + Sync>;
pub(crate) type MakeValue = Box<dyn Fn(&Known) -> HeaderValue + Send + Sync>;

pub(crate) fn entry(name: impl Into<String>) -> Entry {
    Entry { name: name.into(), steps: Vec::new() }
}

/// An entry of a single unary call.
pub(crate) fn call(name: impl Into<String>, path: &'static str, message: impl Message + 'static) -> Entry {
    entry(name).unary(path, message)
}

impl Entry {
    pub(crate) fn unary(self, path: &'static str, message: impl Message + 'static) -> Self {
        self.step(Step::Unary(Call::new(path).message(message)))
    }

    pub(crate) fn unary_with<M: Message>(
        self,
        path: &'static str,
        make: impl Fn(&Known) -> M + Send + Sync + 'static,
    ) -> Self {
        let make = move |known: &Known| frame(0, &make(known).encode_to_vec());
        self.step(Step::Unary(Call::new(path).frame(Box::new(make))))
    }

    pub(crate) fn until(
        self,
        path: &'static str,
        message: impl Message + 'static,
        fits: fn(&Answer) -> bool,
    ) -> Self {
        self.step(Step::Until(Call::new(path).message(message), fits))
    }

    /// Opens a bidirectional stream.
    pub(crate) fn open(self, path: &'static str) -> Self {
        let call = Call { close: Close::Never, ..Call::new(path) };
        self.step(Step::Open(call))
    }

    /// Opens a stream that takes one message from the client.
    pub(crate) fn open_unary(self, path: &'static str, message: impl Message + 'static) -> Self {
        self.step(Step::Open(Call::new(path).message(message)))
    }

    pub(crate) fn send(self, message: impl Message + 'static) -> Self {
        self.step(Step::Send(Box::new(move |_| message.encode_to_vec().into())))
    }

    pub(crate) fn receive(self, count: usize) -> Self {
        self.step(Step::Receive(count))
    }

    pub(crate) fn events(self, count: usize) -> Self {
        self.step(Step::Events(count))
    }

    pub(crate) fn quiet(self) -> Self {
        self.step(Step::Quiet)
    }

    pub(crate) fn half_close(self) -> Self {
        self.step(Step::HalfClose)
    }

    pub(crate) fn end(self) -> Self {
        self.step(Step::End)
    }

    pub(crate) fn deadline(self) -> Self {
        self.step(Step::Deadline)
    }

    pub(crate) fn learn_id(self, name: &'static str, path: &'static [u32]) -> Self {
        self.step(Step::LearnId(name, path))
    }

    pub(crate) fn learn_text(self, name: &'static str, path: &'static [u32]) -> Self {
        self.step(Step::LearnText(name, path))
    }

    pub(crate) fn on(self, stream: usize) -> Self {
        self.step(Step::On(stream))
    }

    pub(crate) fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Adds metadata to the last call.
    pub(crate) fn meta(self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        let (name, value) = header(name, value.as_ref());
        self.meta_with(name, Box::new(move |_| value.clone()))
    }

    /// Adds an auth token that was learned under this name to the last call.
    pub(crate) fn token(self, name: &'static str) -> Self {
        let value = |known: &Known| known.text(name).parse().expect("a token is a header value");
        self.meta_with(HeaderName::from_static("token"), Box::new(value))
    }

    /// The same token in the other place where etcd looks for it.
    pub(crate) fn bearer(self, name: &'static str) -> Self {
        let value = |known: &Known| {
            format!("Bearer {}", known.text(name)).parse().expect("a token is a header value")
        };
        self.meta_with(HeaderName::from_static("authorization"), Box::new(value))
    }

    fn meta_with(mut self, name: HeaderName, make: MakeValue) -> Self {
        match self.steps.last_mut() {
            Some(
                Step::Burst(_, call)
                | Step::Open(call)
                | Step::Snapshot(call)
                | Step::Unary(call)
                | Step::Until(call, _),
            ) => call.headers.push((name, make)),
            _ => panic!("{}: metadata belongs to a call", self.name),
        }
        self
    }

    /// Whether a call of this entry carries a deadline, so that DEADLINE_EXCEEDED is the client's own doing.
    pub(crate) fn has_deadline(&self) -> bool {
        self.steps.iter().any(|step| match step {
            Step::Burst(_, call)
            | Step::Open(call)
            | Step::Snapshot(call)
            | Step::Unary(call)
            | Step::Until(call, _) => call.headers.iter().any(|(name, _)| name == "grpc-timeout"),
            _ => false,
        })
    }
}

impl Call {
    /// A call with the usual headers and as yet no message.
    pub(crate) fn new(path: &'static str) -> Self {
        let call =
            Self { method: Method::POST, path, headers: Vec::new(), frames: Vec::new(), close: Close::Data };
        call.only_headers(&grpc_headers())
    }

    /// Replaces the usual headers too.
    pub(crate) fn only_headers(mut self, headers: &HeaderMap) -> Self {
        let make = |value: HeaderValue| Box::new(move |_: &Known| value.clone()) as MakeValue;
        self.headers = headers.iter().map(|(name, value)| (name.clone(), make(value.clone()))).collect();
        self
    }

    pub(crate) fn message(self, message: impl Message + 'static) -> Self {
        self.frame(Box::new(move |_| frame(0, &message.encode_to_vec())))
    }

    pub(crate) fn frame(mut self, make: Make) -> Self {
        self.frames.push(make);
        self
    }

    pub(crate) fn raw(self, bytes: Bytes) -> Self {
        self.frame(Box::new(move |_| bytes.clone()))
    }

    pub(crate) fn headers(&self, known: &Known) -> HeaderMap {
        self.headers.iter().map(|(name, make)| (name.clone(), make(known))).collect()
    }
}
