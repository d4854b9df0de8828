//! What a request is about: its keys and ids, by a look at the fields that the table names.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value as Json;

use super::render::{TEXT_MAX, cut};
use super::table::{Field, OPERATION, Says};
use crate::proxy::namespace::end_of;
use crate::proxy::peek::{Fields, Value as Wire};

/// How much of a request a line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Operations of a transaction, or leases of a stream.
    pub keys: usize,
    /// Of a key; texts have a limit of their own.
    pub key_bytes: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    pub facts: Vec<Fact>,
    /// Of a transaction, in the order of the request.
    pub ops: Vec<Op>,
    /// Beyond the limit.
    pub ops_left_out: u64,
    /// One of the operations, told or not, may change something.
    pub writes: bool,
    /// The request could not be read to its end.
    pub incomplete: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fact {
    pub name: &'static str,
    pub is: Is,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Is {
    Flag(bool),
    Hex(u64),
    Key(Key),
    Number(i64),
    Text(String),
}

/// A key, or the end of a range.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// Cut at the limit.
    pub bytes: Vec<u8>,
    /// As etcd has it.
    pub length: usize,
}

/// One operation of a transaction.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Op {
    pub kind: &'static str,
    /// Where it stands: `success`, or `success/failure` for one of a transaction inside. Empty for
    /// a comparison of the outermost.
    pub branch: String,
    pub facts: Vec<Fact>,
}

/// A message as it came.
#[derive(Clone, Copy)]
pub(super) enum Message<'a> {
    Json(&'a Json),
    Wire(&'a [u8]),
}

enum Value<'a> {
    Bytes(Cow<'a, [u8]>),
    Message(Message<'a>),
    Number(i64),
}

impl About {
    /// Adds what a message says; of a field that is there twice, the last one counts.
    pub fn read(
        &mut self,
        message: Message<'_>,
        fields: &'static [Field],
        namespace: &[u8],
        limits: &Limits,
    ) {
        let mut facts = std::mem::take(&mut self.facts);
        let mut reader = Reader { about: self, namespace, limits };
        reader.read(message, fields, &mut facts, "", DEPTH_MAX);
        self.facts = facts;
    }

    /// That it takes while it is kept, of a message without operations.
    pub fn bytes(&self) -> usize {
        let within = self.facts.iter().map(|fact| match &fact.is {
            Is::Flag(_) | Is::Hex(_) | Is::Number(_) => 0,
            Is::Key(key) => key.bytes.len(),
            Is::Text(text) => text.len(),
        });
        size_of::<Self>() + self.facts.len() * size_of::<Fact>() + within.sum::<usize>()
    }

    pub fn fact(&self, name: &str) -> Option<&Is> {
        self.facts.iter().find(|fact| fact.name == name).map(|fact| &fact.is)
    }
}

struct Reader<'a> {
    about: &'a mut About,
    namespace: &'a [u8],
    limits: &'a Limits,
}

impl Reader<'_> {
    fn read(
        &mut self,
        message: Message<'_>,
        fields: &'static [Field],
        facts: &mut Vec<Fact>,
        branch: &str,
        depth: usize,
    ) -> usize {
        let mut known = 0;
        for field in fields {
            if let Says::Name(name, [first, ..]) = field.says
                && !facts.iter().any(|fact| fact.name == name)
            {
                // What is not said is the first.
                set(facts, name, Is::Text((*first).to_owned()));
            }
        }
        match message {
            Message::Wire(bytes) => {
                for field in Fields(bytes) {
                    let Ok((number, value)) = field else {
                        self.about.incomplete = true;
                        break;
                    };
                    let Some(field) = fields.iter().find(|field| field.number == number) else { continue };
                    known += 1;
                    match of_wire(field.says, value) {
                        Some(value) => self.take(field.says, value, facts, branch, depth),
                        None => self.about.incomplete = true,
                    }
                }
            }
            Message::Json(json) => {
                for field in fields {
                    let Some(value) = called(json, field.name) else { continue };
                    known += 1;
                    let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                    for value in values.iter().filter(|value| !value.is_null()) {
                        match of_json(field.says, value) {
                            Some(value) => self.take(field.says, value, facts, branch, depth),
                            None => self.about.incomplete = true,
                        }
                    }
                }
            }
        }
        known
    }

    fn take(&mut self, says: Says, value: Value<'_>, facts: &mut Vec<Fact>, branch: &str, depth: usize) {
        match (says, value) {
            (Says::Key(name), Value::Bytes(key)) => {
                set(facts, name, Is::Key(self.key(&[self.namespace, &key])));
            }
            (Says::End(name), Value::Bytes(end)) => {
                let end = full_end(self.namespace, &end);
                if !end.is_empty() {
                    set(facts, name, Is::Key(self.key(&[&end])));
                }
            }
            (Says::Name(name, _) | Says::Text(name), Value::Bytes(text)) => {
                set(facts, name, Is::Text(self.text(&text)));
            }
            (Says::Name(name, names), Value::Number(number)) => {
                let known = usize::try_from(number).ok().and_then(|number| names.get(number));
                let is = known.map_or(Is::Number(number), |known| Is::Text((*known).to_owned()));
                set(facts, name, is);
            }
            (Says::Texts(name), Value::Bytes(text)) => {
                let text = match facts.iter().find(|fact| fact.name == name) {
                    // It is cut already.
                    Some(Fact { is: Is::Text(before), .. }) if before.len() >= TEXT_MAX => {
                        self.about.incomplete = true;
                        return;
                    }
                    Some(Fact { is: Is::Text(before), .. }) => {
                        [before.as_bytes(), b",", &without_userinfo(&text)].concat()
                    }
                    _ => without_userinfo(&text),
                };
                set(facts, name, Is::Text(self.text(&text)));
            }
            (Says::Hex(name), Value::Number(number)) => set(facts, name, Is::Hex(number.cast_unsigned())),
            (Says::Number(name), Value::Number(number)) => set(facts, name, Is::Number(number)),
            (Says::Inside(_) | Says::Op(..) | Says::Branch(_), _) if depth == 0 => {
                self.about.incomplete = true;
            }
            (Says::Inside(fields), Value::Message(message)) => {
                self.read(message, fields, facts, branch, depth - 1);
            }
            (Says::Op(kind, fields), Value::Message(message)) => {
                self.about.writes |= matches!(kind, "put" | "delete");
                let mut op = Op { kind, branch: branch.to_owned(), facts: Vec::new() };
                self.read(message, fields, &mut op.facts, branch, depth - 1);
                if self.about.ops.len() < self.limits.keys {
                    self.about.ops.push(op);
                } else {
                    self.about.ops_left_out += 1;
                }
            }
            (Says::Branch(name), Value::Message(message)) => {
                let branch = if branch.is_empty() { name.to_owned() } else { format!("{branch}/{name}") };
                // One that is not known here may write.
                let known = self.read(message, &OPERATION, facts, &branch, depth - 1);
                self.about.writes |= known == 0;
            }
            _ => self.about.incomplete = true,
        }
    }

    /// One that can't be told as it is could be taken for another one.
    fn text(&mut self, text: &[u8]) -> String {
        let whole = std::str::from_utf8(text);
        self.about.incomplete |= whole.is_err() || text.len() > TEXT_MAX;
        match whole {
            Ok(text) => cut(text).to_owned(),
            Err(_) => text[..text.len().min(TEXT_MAX)].escape_ascii().to_string(),
        }
    }

    fn key(&self, parts: &[&[u8]]) -> Key {
        let length = parts.iter().map(|part| part.len()).sum();
        let mut bytes: Vec<u8> =
            parts.iter().flat_map(|part| *part).copied().take(self.limits.key_bytes + 1).collect();
        let mut cut = bytes.len().min(self.limits.key_bytes);
        // Not within a character.
        while cut < bytes.len() && cut > 0 && self.limits.key_bytes - cut < 3 && bytes[cut] & 0xc0 == 0x80 {
            cut -= 1;
        }
        bytes.truncate(cut);
        Key { bytes, length }
    }
}

/// What is zero is not said.
fn set(facts: &mut Vec<Fact>, name: &'static str, is: Is) {
    let at = facts.iter().position(|fact| fact.name == name);
    match (at, is) {
        (Some(at), Is::Hex(0) | Is::Number(0)) => drop(facts.remove(at)),
        (None, Is::Hex(0) | Is::Number(0)) => {}
        (Some(at), is) => facts[at].is = is,
        (None, is) => facts.push(Fact { name, is }),
    }
}

fn of_wire<'a>(says: Says, value: Wire<'a>) -> Option<Value<'a>> {
    Some(match (says, value) {
        (Says::Branch(_) | Says::Inside(_) | Says::Op(..), Wire::Bytes(bytes)) => {
            Value::Message(Message::Wire(bytes))
        }
        (Says::End(_) | Says::Key(_) | Says::Text(_) | Says::Texts(_), Wire::Bytes(bytes)) => {
            Value::Bytes(bytes.into())
        }
        (Says::Hex(_) | Says::Name(..) | Says::Number(_), Wire::Varint(number)) => {
            Value::Number(number.cast_signed())
        }
        _ => return None,
    })
}

/// In proto3's JSON 64-bit numbers are mostly text, and bytes are base64 of either alphabet.
fn of_json<'a>(says: Says, value: &'a Json) -> Option<Value<'a>> {
    Some(match (says, value) {
        (Says::Branch(_) | Says::Inside(_) | Says::Op(..), Json::Object(_)) => {
            Value::Message(Message::Json(value))
        }
        (Says::End(_) | Says::Key(_), Json::String(text)) => Value::Bytes(of_base64(text)?.into()),
        (Says::Name(..) | Says::Text(_) | Says::Texts(_), Json::String(text)) => {
            Value::Bytes(text.as_bytes().into())
        }
        (Says::Hex(_) | Says::Name(..) | Says::Number(_), Json::Number(number)) => {
            Value::Number(number.as_i64().or_else(|| number.as_u64().map(u64::cast_signed))?)
        }
        (Says::Hex(_) | Says::Number(_), Json::String(text)) => {
            Value::Number(text.parse().ok().or_else(|| text.parse().ok().map(u64::cast_signed))?)
        }
        _ => return None,
    })
}

/// A URL without what stands before its host, which may be a password.
fn without_userinfo(url: &[u8]) -> Vec<u8> {
    let begin = url.windows(3).position(|at| at == b"://").map_or(0, |at| at + 3);
    let host = url[begin..].iter().rposition(|byte| *byte == b'@').map_or(begin, |at| begin + at + 1);
    [&url[..begin], &url[host..]].concat()
}

/// With padding or without, and with line ends in it: whichever a release of etcd takes.
fn of_base64(text: &str) -> Option<Vec<u8>> {
    let text: Vec<u8> = text.bytes().filter(|byte| !b"\r\n".contains(byte)).collect();
    STANDARD.decode(&text).or_else(|_| URL_SAFE.decode(&text)).ok()
}

/// What a field is, by the name that proto3's JSON makes of its own (`range_end`: `rangeEnd`), or by its
/// own. Where both are there, etcd takes the first or refuses them; other spellings it does not know.
fn called<'a>(message: &'a Json, field: &str) -> Option<&'a Json> {
    let mut words = field.split('_');
    let mut name = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at(1);
        name.extend([&first.to_ascii_uppercase(), rest]);
    }
    message.get(&name).or_else(|| message.get(field))
}

/// The end of a range as the cluster gets it.
fn full_end<'a>(namespace: &[u8], end: &'a [u8]) -> Cow<'a, [u8]> {
    match end {
        b"\0" if !namespace.is_empty() => end_of(namespace).to_vec().into(),
        b"" => end.into(),
        end => [namespace, end].concat().into(),
    }
}

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
static STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
static URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Transactions in transactions; each takes two steps.
const DEPTH_MAX: usize = 32;
