//! The normalisation rule: what is put in place of which value before two answers are compared.
//!
//! 1. A value that a cluster gave a name to ([`Known`]: cluster and member id, URLs, member name, lease ids that the
//!    server chose, auth tokens) becomes that name, wherever it stands.
//! 2. The raft term of a header becomes `<term>` if it is the cluster's.
//! 3. [`ERASED`] fields become `<n>`: they tell of disk pages and raft entries, of which two clusters with one history
//!    may have different numbers.
//! 4. The remaining time of a lease becomes `<remaining>` if it is at most [`LEASE_LAG_MAX`] below the granted time.
//! 5. The members of an answer of the Cluster service are compared in sorted order: etcd sorts them by their ids.
//! 6. The chunks of a snapshot are compared by what they promise (`Step::Snapshot`).
//! 7. The end of a call whose own deadline passed becomes `past its deadline` (`Step::Deadline`), whether it is a
//!    reset with CANCEL or a status DEADLINE_EXCEEDED or CANCELLED: two timers race for it inside of etcd.
//!
//! Everything else is compared byte by byte, revisions and hashes of keys included. The order of the header names
//! among each other has no meaning in HTTP and is not compared.

use std::fmt::Write as _;

use super::known::Known;
use crate::support::grpc::hex;

/// A lossless picture of a protobuf message without its schema, so that unknown fields, repeated fields and the order
/// of fields are compared too: `{1:{3:5} 2:"text" 3:0xff00}`.
pub(crate) fn picture(method: &str, message: &[u8], known: &Known) -> String {
    let context = Context { method: method.rsplit('/').next().unwrap_or(method), known };
    let mut text = String::new();
    match fields(message) {
        Some(fields) => context.draw(&fields, &mut Vec::new(), &mut text),
        None => write!(text, "0x{}", hex(message)).expect("a string takes everything"),
    }
    text
}

/// The first value at a path of field numbers.
pub(crate) fn find<'a>(message: &'a [u8], path: &[u32]) -> Option<Value<'a>> {
    let (first, rest) = path.split_first()?;
    let field = fields(message)?.into_iter().find(|field| field.number == *first)?;
    match field.value {
        Value::Bytes(inner) if !rest.is_empty() => find(inner, rest),
        value if rest.is_empty() => Some(value),
        _ => None,
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Bytes(&'a [u8]),
    Fixed32(u32),
    Fixed64(u64),
    /// `padded`: written with more bytes than it needs.
    Varint {
        value: u64,
        padded: bool,
    },
}

struct Field<'a> {
    number: u32,
    value: Value<'a>,
}

struct Context<'a> {
    method: &'a str,
    known: &'a Known,
}

impl Context<'_> {
    fn draw(&self, fields: &[Field<'_>], path: &mut Vec<u32>, text: &mut String) {
        let mut parts: Vec<String> = Vec::new();
        for field in fields {
            path.push(field.number);
            let mut part = format!("{}:", field.number);
            if self.is_erased(path) {
                part.push_str("<n>");
            } else if self.is_remaining_time(path, fields) {
                part.push_str("<remaining>");
            } else {
                self.draw_value(field.value, path, &mut part);
            }
            path.pop();
            parts.push(part);
        }
        if path.is_empty() && self.method.starts_with("Member") {
            parts.sort();
        }
        write!(text, "{{{}}}", parts.join(" ")).expect("a string takes everything");
    }

    fn draw_value(&self, value: Value<'_>, path: &mut Vec<u32>, text: &mut String) {
        match value {
            Value::Varint { value, .. } if self.is_term(path, value) => text.push_str("<term>"),
            Value::Varint { value, padded } => {
                let padding = if padded { "~" } else { "" };
                match self.known.name_of(value) {
                    Some(name) => write!(text, "{padding}<{name}>"),
                    None => write!(text, "{padding}{}", value.cast_signed()),
                }
                .expect("a string takes everything");
            }
            Value::Fixed32(value) => write!(text, "{value}u32").expect("a string takes everything"),
            Value::Fixed64(value) => write!(text, "{value}u64").expect("a string takes everything"),
            Value::Bytes(bytes) => match (std::str::from_utf8(bytes), fields(bytes)) {
                (Ok(string), _) if !string.chars().any(char::is_control) => {
                    write!(text, "{:?}", self.known.rewrite(string)).expect("a string takes everything");
                }
                (_, Some(inner)) if !inner.is_empty() => self.draw(&inner, path, text),
                _ => write!(text, "0x{}", hex(bytes)).expect("a string takes everything"),
            },
        }
    }

    fn is_term(&self, path: &[u32], value: u64) -> bool {
        let place = match self.method {
            "RangeStream" => path == [1, 1, 4],
            "Status" => path == [1, 4] || path == [6],
            _ => path == [1, 4],
        };
        place && self.known.is_term(value)
    }

    fn is_erased(&self, path: &[u32]) -> bool {
        ERASED.iter().any(|(method, field)| *method == self.method && path == [*field])
    }

    fn is_remaining_time(&self, path: &[u32], fields: &[Field<'_>]) -> bool {
        let number = |wanted| {
            fields.iter().find(|field| field.number == wanted).and_then(|field| match field.value {
                Value::Varint { value, .. } => Some(value),
                _ => None,
            })
        };
        self.method == "LeaseTimeToLive"
            && path == [3]
            && matches!((number(3), number(4)), (Some(left), Some(granted))
                if left <= granted && granted - left <= LEASE_LAG_MAX)
    }
}

/// `None` if the bytes are not a protobuf message (groups, which proto3 lacks, count as not).
fn fields(mut bytes: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let (tag, padded) = varint(&mut bytes)?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0 && !padded)?;
        let value = match tag & 7 {
            0 => {
                let (value, padded) = varint(&mut bytes)?;
                Value::Varint { value, padded }
            }
            1 => Value::Fixed64(u64::from_le_bytes(take(&mut bytes, 8)?.try_into().ok()?)),
            2 => {
                let (length, padded) = varint(&mut bytes)?;
                Value::Bytes(take(&mut bytes, usize::try_from(length).ok().filter(|_| !padded)?)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(take(&mut bytes, 4)?.try_into().ok()?)),
            _ => return None,
        };
        fields.push(Field { number, value });
    }
    Some(fields)
}

fn varint(bytes: &mut &[u8]) -> Option<(u64, bool)> {
    let mut value = 0u64;
    for index in 0..10 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, byte == 0 && index > 0));
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

/// Method and field: the database's size and used size, committed and applied raft index, and the hash of the whole
/// file, which contains the member's own id.
const ERASED: &[(&str, u32)] = &[("Status", 3), ("Status", 9), ("Status", 5), ("Status", 7), ("Hash", 2)];
const LEASE_LAG_MAX: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_names_known_ids_and_shows_everything_else() {
        let mut known = Known::default();
        known.learn_id("cluster", 77_000);
        // {header: {cluster_id: 77000, revision: 5}, 2: "text", 3: 0xff00, 1000: 1}
        let message = [
            &[0x0a, 6, 0x08, 0xc8, 0xd9, 0x04, 0x18, 5][..],
            b"\x12\x04text",
            b"\x1a\x02\xff\x00",
            b"\xc0\x3e\x01",
        ];
        assert_eq!(
            picture("/x/Y", &message.concat(), &known),
            r#"{1:{1:<cluster> 3:5} 2:"text" 3:0xff00 1000:1}"#
        );
    }

    #[test]
    fn a_varint_written_with_padding_differs_from_the_plain_one() {
        let known = Known::default();
        assert_ne!(picture("/x/Y", b"\x08\x01", &known), picture("/x/Y", b"\x08\x81\x00", &known));
    }

    #[test]
    fn a_value_is_found_by_its_path() {
        let message = [0x12, 2, 0x08, 9];
        assert_eq!(find(&message, &[2, 1]), Some(Value::Varint { value: 9, padded: false }));
        assert_eq!(find(&message, &[2, 2]), None);
    }
}
