//! One call on its way: what is noted of it until its line is written.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, Uri};

use super::about::{About, Fact, Is, Message};
use super::gather::{Gather, Seen};
use super::render::cut;
use super::streams::{KeepAlives, Stream, Watches, code_in};
use super::table::{Answers, Row};
use super::tokens::Holder;
use super::{Office, failure};
use crate::proxy::peek::{Fields, Value, json};
use crate::types::client::Client;
use crate::types::ids::{EndpointId, MemberId};
use crate::types::status::Code;

/// What a call is, as far as its messages are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Grpc,
    Http,
    /// Of the JSON gateway.
    Json,
}

pub(super) struct Entry {
    pub office: Arc<Office>,
    pub kind: Kind,
    pub row: &'static Row,
    pub started: Instant,
    pub client: Arc<Client>,
    /// Before the keys of its requests.
    pub namespace: Bytes,
    pub uri: Uri,
    pub agent: Option<HeaderValue>,
    pub holder: Option<Holder>,
    /// Until its end.
    pub told: Mutex<Option<Told>>,
}

/// What the call and its answer have said so far.
pub(super) struct Told {
    requests: Gather,
    pub about: About,
    pub stream: Stream,
    pub bytes_in: u64,
    pub messages_in: u64,
    /// Of a request in JSON, until it is read.
    json: Option<Vec<u8>>,
    answers: Gather,
    pub bytes_out: u64,
    pub messages_out: u64,
    /// The beginning of an answer in JSON.
    json_answer: Vec<u8>,
    pub answer: Option<Fact>,
    pub revision: i64,
    pub member: Option<MemberId>,
    pub endpoint: Option<EndpointId>,
}

/// How a call ended.
pub(super) struct End {
    pub code: Code,
    pub error: Option<String>,
    /// Of a call that is not gRPC.
    pub http: Option<StatusCode>,
}

impl Told {
    pub fn new(kind: Kind, row: &'static Row) -> Self {
        let stream = match (kind, row.op) {
            (Kind::Grpc, "lease-keep-alive") => Stream::KeepAlive(KeepAlives::default()),
            (Kind::Grpc, "watch") => Stream::Watch(Watches::default()),
            _ => Stream::None,
        };
        let answer_bytes = if row.answer == Answers::Token { TOKEN_BYTES } else { ANSWER_BYTES };
        Self {
            requests: Gather::new(REQUEST_BYTES),
            about: About::default(),
            stream,
            bytes_in: 0,
            messages_in: 0,
            json: Some(Vec::new()),
            answers: Gather::new(answer_bytes),
            bytes_out: 0,
            messages_out: 0,
            json_answer: Vec::new(),
            answer: None,
            revision: 0,
            member: None,
            endpoint: None,
        }
    }
}

impl Entry {
    fn lock(&self) -> MutexGuard<'_, Option<Told>> {
        self.told.lock().expect("nobody panics while holding what is told")
    }

    pub fn on_request(&self, data: &[u8]) {
        let lines = match &mut *self.lock() {
            Some(told) => self.read_request(told, data),
            None => return,
        };
        self.append(lines);
    }

    /// The lines that it gives.
    fn read_request(&self, told: &mut Told, data: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        let budget = &self.office.budget;
        let Told { requests, about, stream, bytes_in, messages_in, json, .. } = told;
        *bytes_in += data.len() as u64;
        match self.kind {
            Kind::Grpc if self.row.request.is_empty() => {}
            Kind::Grpc => requests.on_data(data, budget, |seen| {
                *messages_in += 1;
                lines.extend(self.on_message(seen, *messages_in, about, stream));
            }),
            Kind::Http => {}
            Kind::Json => {
                let Some(kept) = json else { return lines };
                let is_full = budget.take(data.len());
                kept.extend_from_slice(data);
                if is_full || kept.len() > JSON_BYTES {
                    self.read_json(json, about);
                    about.incomplete = true;
                }
            }
        }
        lines
    }

    /// All of the request was here. Its call may last.
    pub fn on_request_end(&self) {
        if self.kind == Kind::Json
            && let Some(Told { json, about, .. }) = &mut *self.lock()
        {
            self.read_json(json, about);
        }
    }

    /// Reads what is there of it, once.
    fn read_json(&self, json: &mut Option<Vec<u8>>, about: &mut About) {
        let Some(json) = json.take() else { return };
        let Office { budget, limits, .. } = &*self.office;
        budget.give_back(json.len());
        match first_of(&json) {
            Some((request, rest)) => {
                about.read(Message::Json(&request), self.row.request, &self.namespace, limits);
                about.incomplete |= !rest.trim_ascii().is_empty();
            }
            None => about.incomplete |= !self.row.request.is_empty(),
        }
    }

    fn on_message(&self, seen: Seen<'_>, count: u64, about: &mut About, stream: &mut Stream) -> Vec<Vec<u8>> {
        let message = match seen {
            Seen::Whole(message) => message,
            Seen::Cut(message) => {
                about.incomplete = true;
                message
            }
            Seen::Compressed => {
                about.incomplete = true;
                return Vec::new();
            }
        };
        let namespace = &self.namespace;
        let Office { budget, limits, .. } = &*self.office;
        match stream {
            Stream::KeepAlive(leases) => leases.on_request(message, limits),
            // Of one who sends more, etcd reads the first or none.
            Stream::None if count > 1 => about.incomplete = true,
            Stream::None => about.read(Message::Wire(message), self.row.request, namespace, limits),
            Stream::Watch(watches) => {
                let creates = watches.on_request(message, namespace, limits, budget);
                return creates.iter().map(|create| self.created(create, |_| {})).collect();
            }
        }
        Vec::new()
    }

    pub fn on_answerer(&self, endpoint: EndpointId) {
        if let Some(told) = &mut *self.lock() {
            told.endpoint = Some(endpoint);
        }
    }

    pub fn on_answer(&self, data: &[u8]) {
        let lines = match &mut *self.lock() {
            Some(told) => self.read_answer(told, data),
            None => return,
        };
        self.append(lines);
    }

    /// The lines that it gives.
    fn read_answer(&self, told: &mut Told, data: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        let budget = &self.office.budget;
        let Told { answers, stream, answer, revision, member, bytes_out, messages_out, json_answer, .. } =
            told;
        *bytes_out += data.len() as u64;
        match self.kind {
            Kind::Grpc => answers.on_data(data, budget, |seen| {
                *messages_out += 1;
                let (Seen::Whole(message) | Seen::Cut(message)) = seen else { return };
                if let Some((by, at)) = header(message) {
                    (*member, *revision) = (Some(by), at);
                    *answer = self.second(message);
                }
                if let Stream::Watch(watches) = stream
                    && let Some((create, response)) = watches.on_answer(message, budget)
                {
                    lines.push(self.created(&create, |line| {
                        if response.canceled {
                            line.text("code", code_in(&response.cancel_reason));
                            line.text("error", cut(&response.cancel_reason));
                        } else {
                            line.text("code", Code::Ok.name());
                            line.number("watch_id", response.watch_id);
                        }
                        line.number("revision", *revision);
                    }));
                }
            }),
            Kind::Http => {}
            Kind::Json => {
                if let Some(header) = json::header(data) {
                    (*member, *revision) = (Some(MemberId(header.member_id)), header.revision);
                }
                let more = JSON_ANSWER_BYTES.saturating_sub(json_answer.len()).min(data.len());
                json_answer.extend_from_slice(&data[..more]);
            }
        }
        lines
    }

    /// What stands behind the header of an answer.
    fn second(&self, message: &[u8]) -> Option<Fact> {
        let second = Fields(message).nth(1).and_then(Result::ok);
        let number = match second {
            Some((2, Value::Varint(number))) => number,
            _ => 0,
        };
        Some(match (self.row.answer, second) {
            (Answers::Deleted, _) => Fact { name: "deleted", is: Is::Number(number.cast_signed()) },
            (Answers::Lease, _) => Fact { name: "granted", is: Is::Hex(number) },
            (Answers::Succeeded, _) => Fact { name: "succeeded", is: Is::Flag(number != 0) },
            (Answers::Token, Some((2, Value::Bytes(token)))) => self.issued(token),
            (Answers::Nothing | Answers::Token, _) => return None,
        })
    }

    fn issued(&self, token: &[u8]) -> Fact {
        Fact { name: "issued_token_hash", is: Is::Hex(self.office.tokens.hash(token)) }
    }

    /// Writes the line. Whatever comes later is not told.
    pub fn end(&self, mut end: End) {
        let Some(mut told) = self.lock().take() else { return };
        self.conclude(&mut told, &mut end);
        let mut lines = Vec::new();
        if let Stream::Watch(watches) = &mut told.stream {
            for create in watches.give_up(&self.office.budget) {
                lines.push(self.created(&create, |line| line.end_of_call(&end)));
            }
        }
        if !self.is_left_out(&told.about) {
            lines.push(self.line(&told, &end));
        }
        self.append(lines);
    }

    /// Reads what is there to be read.
    fn conclude(&self, told: &mut Told, end: &mut End) {
        let Told { requests, answers, about, stream, messages_in, json, json_answer, answer, .. } = told;
        let Office { budget, tokens, .. } = &*self.office;
        requests.end(budget, |seen| {
            *messages_in += 1;
            self.on_message(seen, *messages_in, about, stream);
        });
        answers.end(budget, |_| {});
        if self.kind == Kind::Json {
            self.read_json(json, about);
            // What is sent on a WebSocket is not looked at.
            about.incomplete |= end.http == Some(StatusCode::SWITCHING_PROTOCOLS);
            if end.code == Code::Ok {
                *answer = serde_json::from_slice(json_answer).ok().and_then(|said| self.in_json(&said));
            } else {
                let (code, text) = failure::read(json_answer);
                (end.code, end.error) = (code.unwrap_or(end.code), end.error.take().or(text));
            }
        } else if *messages_in == 0 && !self.row.request.is_empty() && matches!(stream, Stream::None) {
            about.incomplete = true;
        }
        // What is behind the place where reading has stopped may name somebody else.
        if !about.incomplete
            && let (Some(Is::Text(user)), Some(Fact { name: "issued_token_hash", is: Is::Hex(token) })) =
                (about.fact("target_user"), answer)
        {
            tokens.learn(*token, user);
        }
    }

    fn in_json(&self, answer: &serde_json::Value) -> Option<Fact> {
        let number = |name: &str| answer.get(name)?.as_str()?.parse::<i64>().ok();
        Some(match self.row.answer {
            Answers::Deleted => Fact { name: "deleted", is: Is::Number(number("deleted").unwrap_or(0)) },
            Answers::Lease => Fact { name: "granted", is: Is::Hex(number("ID")?.cast_unsigned()) },
            Answers::Nothing => return None,
            // Left out where it is false.
            Answers::Succeeded => Fact { name: "succeeded", is: Is::Flag(answer["succeeded"] == true) },
            Answers::Token => self.issued(answer.get("token")?.as_str()?.as_bytes()),
        })
    }

    /// Whether only writes are told, and this is none after all.
    fn is_left_out(&self, about: &About) -> bool {
        !self.office.tells_reads
            && !about.incomplete
            && match self.row.op {
                "alarm" => about.fact("action") == Some(&Is::Text("GET".to_owned())),
                "txn" => !about.writes,
                _ => false,
            }
    }

    fn append(&self, lines: Vec<Vec<u8>>) {
        for line in lines {
            self.office.sink.append(&line);
        }
    }
}

/// The first object in a request in JSON, which is the one that etcd's gateway reads of most, and what is
/// behind it.
fn first_of(json: &[u8]) -> Option<(serde_json::Value, &[u8])> {
    let parts = json.iter().filter(|byte| b",[{".contains(byte)).count();
    if parts > JSON_PARTS_MAX {
        return None;
    }
    let mut objects = serde_json::Deserializer::from_slice(json).into_iter::<serde_json::Value>();
    let first = objects.next()?.ok()?;
    Some((first, &json[objects.byte_offset()..]))
}

/// The member and the revision in the header of an answer.
fn header(message: &[u8]) -> Option<(MemberId, i64)> {
    let Some(Ok((1, Value::Bytes(header)))) = Fields(message).next() else { return None };
    let (mut member, mut revision) = (None, 0);
    for field in Fields(header).map_while(Result::ok) {
        match field {
            (2, Value::Varint(id)) => member = Some(MemberId(id)),
            (3, Value::Varint(number)) => revision = number.cast_signed(),
            _ => {}
        }
    }
    Some((member?, revision))
}

/// etcd takes 1.5 MiB by default.
const REQUEST_BYTES: usize = 2 << 20;

/// A header, and what is behind it of a watch's beginning.
const ANSWER_BYTES: usize = 512;

/// A web token has some hundred bytes.
const TOKEN_BYTES: usize = 16 << 10;

/// The same, whose values are in base64.
const JSON_BYTES: usize = 3 << 20;

/// As many are read in some milliseconds. etcd takes 128 operations in a transaction by default.
const JSON_PARTS_MAX: usize = 100_000;

const JSON_ANSWER_BYTES: usize = 4 << 10;
