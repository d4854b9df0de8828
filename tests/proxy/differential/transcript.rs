//! What one side answered to one entry, as lines that can be compared and read.

use std::io::Write as _;
use std::process::{Command, Stdio};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::known::Known;
use super::normalise::picture;
use super::readable::readable;
use crate::support::grpc::{Answer, End, Message, hex};

/// What came, kept as it is until the entry is over: a later message may give a name to an id in an earlier one.
pub(crate) enum Record {
    End(End),
    Head(StatusCode, HeaderMap),
    Leftover(Bytes),
    Message(&'static str, Message),
    Note(String),
    /// Records of which etcd leaves the order open.
    Unordered(Vec<Vec<Record>>),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Transcript {
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
struct Line {
    /// What is compared.
    text: String,
    /// The same for a human, as it came.
    readable: Option<String>,
}

/// The records of one whole answer.
pub(crate) fn records_of(method: &'static str, answer: &Answer) -> Vec<Record> {
    let head = answer.http.map(|http| Record::Head(http, answer.headers.clone()));
    let leftover = (!answer.leftover.is_empty()).then(|| Record::Leftover(answer.leftover.clone()));
    let messages = answer.messages.iter().map(|message| Record::Message(method, message.clone()));
    head.into_iter().chain(messages).chain(leftover).chain([Record::End(answer.end.clone())]).collect()
}

impl Transcript {
    pub(crate) fn new(records: &[Record], known: &Known) -> Self {
        let mut transcript = Self::default();
        for record in records {
            transcript.add(record, known);
        }
        transcript
    }

    /// The same transcript with some lines replaced.
    pub(crate) fn map(&self, replace: impl Fn(&str) -> Option<String>) -> Self {
        let replaced = self.lines.iter().map(|line| match replace(&line.text) {
            Some(text) => Line { text, readable: None },
            None => line.clone(),
        });
        Self { lines: replaced.collect() }
    }

    fn add(&mut self, record: &Record, known: &Known) {
        match record {
            Record::End(end) => self.end(end, known),
            Record::Head(http, headers) => {
                self.note(format!("http status {}", http.as_u16()));
                self.fields("header", headers, known);
            }
            Record::Leftover(bytes) => self.note(format!("bytes of a broken message: {}", hex(bytes))),
            Record::Message(method, message) => self.message(method, message, known),
            Record::Note(text) => self.note(text.as_str()),
            Record::Unordered(parts) => {
                let mut parts: Vec<Self> = parts.iter().map(|records| Self::new(records, known)).collect();
                parts.sort_by_cached_key(|part| {
                    part.lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>()
                });
                self.lines.extend(parts.into_iter().flat_map(|part| part.lines));
            }
        }
    }

    fn note(&mut self, text: impl Into<String>) {
        self.lines.push(Line { text: text.into(), readable: None });
    }

    fn message(&mut self, method: &str, message: &Message, known: &Known) {
        // Two compressors may pack the same message differently.
        let (label, bytes) = if message.compressed {
            ("compressed message", gunzip(&message.bytes))
        } else {
            ("message", message.bytes.to_vec())
        };
        self.lines.push(Line {
            text: shorten(&format!("{label} {}", picture(method, &bytes, known))),
            readable: readable(method, &bytes).map(|text| shorten(&text)),
        });
    }

    fn end(&mut self, end: &End, known: &Known) {
        match end {
            End::Broken(cause) => self.note(format!("connection broken: {cause}")),
            End::GoAway(reason) => self.note(format!("end: GOAWAY {reason:?}")),
            End::Missing => self.note("end: no trailers"),
            End::Reset(reason) => self.note(format!("end: RST_STREAM {reason:?}")),
            End::Silence => self.note("end: none within the time limit"),
            End::Trailers(trailers) => {
                self.note("end: trailers");
                self.fields("trailer", trailers, known);
            }
            End::TrailersOnly => self.note("end: trailers only"),
        }
    }

    fn fields(&mut self, label: &str, fields: &HeaderMap, known: &Known) {
        let mut names: Vec<_> = fields.keys().collect();
        names.sort_by_key(|name| name.as_str());
        for name in names {
            for value in fields.get_all(name) {
                let value = value.as_bytes().escape_ascii().to_string();
                self.note(format!("{label} {name}: {}", known.rewrite(&value)));
            }
        }
    }
}

impl PartialEq for Transcript {
    fn eq(&self, other: &Self) -> bool {
        self.lines.iter().map(|line| &line.text).eq(other.lines.iter().map(|line| &line.text))
    }
}

/// A diff of two transcripts: `-` only the direct answer has the line, `+` only the one through the sidecar.
pub(crate) fn diff(direct: &Transcript, through: &Transcript) -> String {
    let (left, right) = (&direct.lines, &through.lines);
    let mut common = vec![vec![0usize; right.len() + 1]; left.len() + 1];
    for i in (0..left.len()).rev() {
        for j in (0..right.len()).rev() {
            common[i][j] = if left[i].text == right[j].text {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut text) = (0, 0, Vec::new());
    let mut only = |sign: char, line: &Line| {
        text.push(format!("    {sign} {}", line.text));
        text.extend(line.readable.iter().map(|readable| format!("    {sign}   as it came: {readable}")));
    };
    while i < left.len() || j < right.len() {
        if i < left.len() && j < right.len() && left[i].text == right[j].text {
            only(' ', &Line { text: left[i].text.clone(), readable: None });
            (i, j) = (i + 1, j + 1);
        } else if j == right.len() || (i < left.len() && common[i + 1][j] >= common[i][j + 1]) {
            only('-', &left[i]);
            i += 1;
        } else {
            only('+', &right[j]);
            j += 1;
        }
    }
    text.join("\n")
}

/// Long texts keep their ends and their length; the hash keeps two texts that differ in between apart.
fn shorten(text: &str) -> String {
    if text.len() <= LINE_MAX {
        return text.to_owned();
    }
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let start: String = text.chars().take(LINE_MAX / 2).collect();
    let end: String = text.chars().rev().take(100).collect::<Vec<_>>().into_iter().rev().collect();
    format!("{start} … {end} ({} bytes, fnv {hash:016x})", text.len())
}

/// The system's `gzip` decompresses: answers are compressed in a handful of entries only.
fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = Command::new("gzip")
        .args(["-d", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("gzip runs");
    // Taken, so that it is closed before the output is read; a message of a test fits into the pipe.
    let written = gzip.stdin.take().expect("it is a pipe").write_all(bytes);
    let output = gzip.wait_with_output().expect("gzip ends");
    if written.is_ok() && output.status.success() { output.stdout } else { [b"not gzip: ", bytes].concat() }
}

const LINE_MAX: usize = 2000;
