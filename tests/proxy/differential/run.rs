//! Plays the table to both sides and compares.

use std::time::Duration;

use bytes::Bytes;
use etcdlet::proto::etcdserverpb as pb;
use prost::Message as _;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use tokio::time::{Instant, sleep, timeout};

use super::deliberate::Deliberate;
use super::entry::{Call, Close, Entry, Step};
use super::known::Known;
use super::normalise::{Value, find};
use super::transcript::{Record, Transcript, diff, records_of};
use crate::support::grpc::{Answer, Channel, End, Event, Message, PATIENCE, Stream};

/// One of the two clusters, and the way to it.
pub(crate) struct Side {
    url: String,
    known: Known,
}

/// The conversation of one side about one entry.
struct Conversation<'a> {
    side: &'a mut Side,
    channel: Channel,
    streams: Vec<Open>,
    current: usize,
    last_message: Bytes,
    records: Vec<Record>,
}

struct Open {
    path: &'static str,
    stream: Stream,
    head_noted: bool,
}

impl Side {
    /// `url` is what is tested; `etcd_url` leads to the cluster's only member itself.
    pub(crate) async fn new(url: &str, etcd_url: &str) -> Self {
        Self { url: url.to_owned(), known: Known::discover(etcd_url).await }
    }

    /// `None` if nobody accepts connections any more.
    async fn play(&mut self, entry: &Entry) -> Option<Transcript> {
        // A connection of its own for each entry, so that a broken one does not reach into the next.
        let channel = Channel::connect(&self.url).await.ok()?;
        let mut conversation = Conversation {
            side: self,
            channel,
            streams: Vec::new(),
            current: 0,
            last_message: Bytes::new(),
            records: Vec::new(),
        };
        let steps = async {
            for step in &entry.steps {
                conversation.step(step).await;
            }
        };
        if timeout(ENTRY_TIME_MAX, steps).await.is_err() {
            conversation.note(format!("unfinished after {ENTRY_TIME_MAX:?}"));
        }
        Some(Transcript::new(&conversation.records, &conversation.side.known))
    }
}

/// Plays every entry to both sides and panics with all differences that are not deliberate.
pub(crate) async fn compare(title: &str, direct: &mut Side, through: &mut Side, table: &[Entry]) {
    let mut deliberate = Deliberate::default();
    let mut failures = Vec::new();
    for entry in table {
        let started = Instant::now();
        let (expected, actual) = match tokio::join!(direct.play(entry), through.play(entry)) {
            (Some(expected), Some(actual)) => (expected, actual),
            (expected, _) => {
                let gone = if expected.is_none() { &direct.url } else { &through.url };
                failures.push(format!("{}\n    {gone} is gone, perhaps since the entry before", entry.name));
                break;
            }
        };
        if std::env::var_os("DIFFERENTIAL_SHOW").is_some() {
            println!("{} ({:?})\n{}", entry.name, started.elapsed(), diff(&expected, &actual));
        }
        if expected != actual && !deliberate.allows(entry, &expected, &actual) {
            failures.push(format!("{}\n{}", entry.name, diff(&expected, &actual)));
        }
    }
    failures.extend(deliberate.unused(table));
    assert!(
        failures.is_empty(),
        "{title}: {} of {} entries differ (- direct, + through the sidecar)\n\n{}",
        failures.len(),
        table.len(),
        failures.join("\n\n")
    );
    println!("{title}: {} entries equal", table.len());
}

impl Conversation<'_> {
    async fn step(&mut self, step: &Step) {
        match step {
            Step::Burst(count, call) => self.burst(*count, call).await,
            Step::Deadline => {
                self.end().await;
                if ends_by_deadline(&self.records) {
                    self.records.retain(|record| matches!(record, Record::Message(..)));
                    self.note("past its deadline");
                }
            }
            Step::End => self.end().await,
            Step::Events(count) => self.events(*count).await,
            Step::HalfClose => self.stream().half_close(),
            Step::LearnId(name, path) => self.learn_id(name, path),
            Step::LearnLeaseOfKey(name, path) => self.learn_lease_of_key(name, path),
            Step::LearnText(name, path) => self.learn_text(name, path),
            Step::On(stream) => self.current = *stream,
            Step::Open(call) => self.open(call).await,
            Step::Quiet => self.quiet().await,
            Step::Raw(bytes) => self.stream().send_raw(bytes.clone()),
            Step::Receive(count) => self.receive(*count).await,
            Step::ReceiveUnordered(count) => {
                let first = self.records.len();
                self.receive(*count).await;
                let parts = self.records.drain(first..).map(|record| vec![record]).collect();
                self.records.push(Record::Unordered(parts));
            }
            Step::Remember(name, path) => match find(&self.last_message, path) {
                Some(Value::Varint { value, .. }) => self.side.known.remember(name, value),
                other => self.note(format!("no number {name}: {other:?}")),
            },
            Step::Reset => self.stream().reset(h2::Reason::CANCEL),
            Step::Send(make) => {
                let message = make(&self.side.known);
                self.stream().send(&message);
            }
            Step::Snapshot(call) => self.snapshot(call).await,
            Step::Unary(call) => {
                let answer = self.call(call).await;
                self.note_answer(call.path, &answer);
            }
            Step::Until(call, fits) => self.until(call, *fits).await,
        }
    }

    async fn start(&self, call: &Call) -> Result<Stream, h2::Error> {
        let headers = call.headers(&self.side.known);
        let mut stream =
            self.channel.open(call.method.clone(), call.path, headers, call.close == Close::Headers).await?;
        for frame in &call.frames {
            stream.send_raw(frame(&self.side.known));
        }
        if call.close == Close::Data {
            stream.half_close();
        }
        Ok(stream)
    }

    async fn call(&self, call: &Call) -> Answer {
        match self.start(call).await {
            Ok(stream) => stream.answer(PATIENCE).await,
            Err(error) => Answer::refused(&error),
        }
    }

    async fn burst(&mut self, count: usize, call: &Call) {
        let mut streams = Vec::new();
        for _ in 0..count {
            streams.push(self.start(call).await.expect("the connection takes many streams"));
        }
        let mut answers = Vec::new();
        for stream in streams {
            answers.push(records_of(call.path, &stream.answer(PATIENCE).await));
        }
        self.records.push(Record::Unordered(answers));
    }

    async fn until(&mut self, call: &Call, fits: fn(&Answer) -> bool) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let answer = self.call(call).await;
            if fits(&answer) || Instant::now() > give_up {
                return self.note_answer(call.path, &answer);
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    async fn open(&mut self, call: &Call) {
        let stream = self.start(call).await.expect("the connection takes a stream");
        self.current = self.streams.len();
        self.streams.push(Open { path: call.path, stream, head_noted: false });
    }

    async fn receive(&mut self, count: usize) {
        for _ in 0..count {
            let open = &mut self.streams[self.current];
            let event = open.stream.next(PATIENCE).await;
            self.note_head();
            let path = self.streams[self.current].path;
            match event {
                Event::Message(message) => {
                    self.last_message = message.bytes.clone();
                    self.records.push(Record::Message(path, message));
                }
                Event::End(end) => return self.records.push(Record::End(end)),
                Event::Silence => return self.note("no message within the time limit"),
            }
        }
    }

    /// One record each, without a header: where a history is cut is for the server to choose.
    async fn events(&mut self, count: usize) {
        let mut seen = 0;
        while seen < count {
            self.receive(1).await;
            let is_message = |record: &mut Record| matches!(record, Record::Message(..));
            let Some(Record::Message(path, message)) = self.records.pop_if(is_message) else { return };
            let response: pb::WatchResponse = message.decode();
            for event in response.events {
                seen += 1;
                let alone = pb::WatchResponse {
                    watch_id: response.watch_id,
                    events: vec![event],
                    ..Default::default()
                };
                let bytes = alone.encode_to_vec().into();
                self.records.push(Record::Message(path, Message { bytes, compressed: false }));
            }
        }
    }

    async fn quiet(&mut self) {
        let path = self.streams[self.current].path;
        match self.stream().next(QUIET_TIME).await {
            Event::Silence => self.note("quiet"),
            Event::Message(message) => self.records.push(Record::Message(path, message)),
            Event::End(end) => {
                self.note_head();
                self.records.push(Record::End(end));
            }
        }
    }

    async fn end(&mut self) {
        loop {
            let path = self.streams[self.current].path;
            let event = self.stream().next(PATIENCE).await;
            self.note_head();
            match event {
                Event::Message(message) => self.records.push(Record::Message(path, message)),
                Event::End(end) => return self.records.push(Record::End(end)),
                Event::Silence => return self.records.push(Record::End(End::Silence)),
            }
        }
    }

    async fn snapshot(&mut self, call: &Call) {
        let answer = self.call(call).await;
        let mut sent = 0;
        let mut blobs = Vec::new();
        let mut versions = Vec::new();
        let mut totals = Vec::new();
        for message in &answer.messages {
            let chunk: etcdlet::proto::etcdserverpb::SnapshotResponse = message.decode();
            sent += chunk.blob.len() as u64;
            totals.push(sent + chunk.remaining_bytes);
            versions.push(chunk.version.clone());
            blobs.push(chunk.blob.to_vec());
        }
        versions.dedup();
        let checksum = blobs.pop().unwrap_or_default();
        // The last chunk is the checksum, which the announced size does not count.
        totals.pop();
        totals.dedup();
        let file = blobs.concat();
        self.note(format!("snapshot: storage versions {versions:?}"));
        self.note(format!("snapshot: every chunk announces the size: {}", totals == [file.len() as u64]));
        self.note(format!("snapshot: whole pages: {}", !file.is_empty() && file.len().is_multiple_of(512)));
        self.note(format!("snapshot: the checksum fits: {}", checksum == sha256(&file)));
        self.note_answer(call.path, &Answer { messages: Vec::new(), ..answer });
    }

    fn note(&mut self, text: impl Into<String>) {
        self.records.push(Record::Note(text.into()));
    }

    fn note_answer(&mut self, path: &'static str, answer: &Answer) {
        self.records.extend(records_of(path, answer));
        if let Some(message) = answer.messages.last() {
            self.last_message = message.bytes.clone();
        }
    }

    fn note_head(&mut self) {
        let open = &mut self.streams[self.current];
        if let Some((http, headers)) = open.stream.head.as_ref().filter(|_| !open.head_noted) {
            open.head_noted = true;
            self.records.push(Record::Head(*http, headers.clone()));
        }
    }

    fn stream(&mut self) -> &mut Stream {
        &mut self.streams[self.current].stream
    }

    fn learn_id(&mut self, name: &str, path: &[u32]) {
        match find(&self.last_message, path) {
            Some(Value::Varint { value, .. }) => self.side.known.learn_id(name, value),
            other => self.note(format!("no id {name}: {other:?}")),
        }
    }

    fn learn_text(&mut self, name: &str, path: &[u32]) {
        match find(&self.last_message, path) {
            Some(Value::Bytes(bytes)) => {
                self.side.known.learn_text(name, &String::from_utf8_lossy(bytes));
            }
            other => self.note(format!("no text {name}: {other:?}")),
        }
    }

    fn learn_lease_of_key(&mut self, name: &str, path: &[u32]) {
        let lease = match find(&self.last_message, path) {
            Some(Value::Bytes(key)) => {
                let key = String::from_utf8_lossy(key);
                key.rsplit('/').next().and_then(|hex| u64::from_str_radix(hex, 16).ok())
            }
            _ => None,
        };
        match lease {
            Some(lease) => self.side.known.learn_id(name, lease),
            None => self.note(format!("no lease {name} in a key")),
        }
    }
}

/// Which of these it is, and whether the headers came before, is a race between two timers inside of etcd.
fn ends_by_deadline(records: &[Record]) -> bool {
    let status = match records.last() {
        Some(Record::End(End::Reset(reason))) => return *reason == h2::Reason::CANCEL,
        Some(Record::End(End::Trailers(trailers))) => trailers.get("grpc-status"),
        Some(Record::End(End::TrailersOnly)) => records.iter().rev().find_map(|record| match record {
            Record::Head(_, headers) => headers.get("grpc-status"),
            _ => None,
        }),
        _ => None,
    };
    status.is_some_and(|code| code == "4" || code == "1")
}

/// SHA-256 of the crypto library that TLS uses anyway.
fn sha256(bytes: &[u8]) -> Vec<u8> {
    let suite = TLS13_AES_128_GCM_SHA256.tls13().expect("it is a suite of TLS 1.3");
    suite.common.hash_provider.hash(bytes).as_ref().to_vec()
}

const ENTRY_TIME_MAX: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// A late event would come within a few milliseconds on the loopback.
const QUIET_TIME: Duration = Duration::from_millis(300);
