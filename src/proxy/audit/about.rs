//! What a request is about: its keys and ids, by a look at the fields that the table names.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::Value as Json;

use super::table::{Field, OPERATION, Says};
use crate::proxy::peek::{Fields, Value as Wire};

/// How much of a request a line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Operations of a transaction, or leases of a stream.
    pub keys: usize,
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
                for (name, value) in json.as_object().into_iter().flatten() {
                    let Some(field) = fields.iter().find(|field| is_called(name, field.name)) else {
                        continue;
                    };
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
            (Says::Text(name) | Says::Number(name), Value::Bytes(text)) => {
                let text =
                    String::from_utf8_lossy(&text[..text.len().min(self.limits.key_bytes)]).into_owned();
                set(facts, name, Is::Text(text));
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
        (Says::End(_) | Says::Key(_) | Says::Text(_), Wire::Bytes(bytes)) => Value::Bytes(bytes.into()),
        (Says::Hex(_) | Says::Number(_), Wire::Varint(number)) => Value::Number(number.cast_signed()),
        _ => return None,
    })
}

/// In proto3's JSON 64-bit numbers are mostly text, and bytes are base64 of either alphabet.
fn of_json<'a>(says: Says, value: &'a Json) -> Option<Value<'a>> {
    Some(match (says, value) {
        (Says::Branch(_) | Says::Inside(_) | Says::Op(..), Json::Object(_)) => {
            Value::Message(Message::Json(value))
        }
        (Says::End(_) | Says::Key(_), Json::String(text)) => {
            Value::Bytes(STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()?.into())
        }
        (Says::Text(_), Json::String(text)) => Value::Bytes(text.as_bytes().into()),
        (Says::Hex(_) | Says::Number(_), Json::Number(number)) => {
            Value::Number(number.as_i64().or_else(|| number.as_u64().map(u64::cast_signed))?)
        }
        (Says::Hex(_) | Says::Number(_), Json::String(text)) => {
            let number = text.parse().ok().or_else(|| text.parse().ok().map(u64::cast_signed));
            // Or the name of one.
            number.map_or_else(|| Value::Bytes(text.as_bytes().into()), Value::Number)
        }
        _ => return None,
    })
}

fn is_called(name: &str, field: &str) -> bool {
    let letters = |text: &'_ str| -> Vec<u8> {
        text.bytes().filter(|byte| *byte != b'_').map(|byte| byte.to_ascii_lowercase()).collect()
    };
    name == field || letters(name) == letters(field)
}

/// The end of a range below a namespace, as etcd's client makes it (`client/v3/namespace/util.go`).
fn full_end<'a>(namespace: &[u8], end: &'a [u8]) -> Cow<'a, [u8]> {
    if namespace.is_empty() || end.is_empty() {
        return end.into();
    }
    if end != b"\0" {
        return [namespace, end].concat().into();
    }
    // From a key on: to the end of the namespace.
    let Some(last) = namespace.iter().rposition(|byte| *byte < 0xff) else { return b"\0".into() };
    let mut after = namespace[..=last].to_vec();
    after[last] += 1;
    after.into()
}

/// Transactions in transactions; each takes two steps.
const DEPTH_MAX: usize = 32;
