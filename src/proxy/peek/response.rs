//! The header that etcd puts in front of what it answers.
//!
//! It is field 1 of every answer but a few: `Defragment`, `MoveLeader` and `Snapshot` leave it
//! out, a health check has a number there, and `RangeStream` nests it one level deeper. None of
//! these is taken for one: a header has a cluster and a member, as numbers.

use super::fields::{Fields, Value};

/// etcd's `ResponseHeader`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub cluster_id: u64,
    pub member_id: u64,
    pub revision: i64,
    pub raft_term: u64,
}

/// The header of an answer's first message, from the first bytes of its first gRPC frame, prefix
/// included, which may be cut anywhere. `None` if there is none, it is compressed or not whole.
pub(crate) fn header(frame: &[u8]) -> Option<Header> {
    match look(frame) {
        Look::Cut => None,
        Look::Seen { header, .. } => header,
    }
}

/// Follows a stream of gRPC messages through data frames that may be cut anywhere, and tells the
/// header of each message.
#[derive(Debug)]
pub(crate) struct Headers(State);

#[derive(Debug)]
enum State {
    /// The first `length` bytes of `ahead` are a frame's beginning that does not show its header
    /// yet.
    Before { ahead: [u8; AHEAD_MAX], length: usize },
    /// So many bytes of the frame are still to come.
    Behind { rest: usize },
}

impl Headers {
    pub fn new() -> Self {
        Self(State::Behind { rest: 0 })
    }

    /// Calls `found` for every header that is complete with these bytes.
    pub fn on_data(&mut self, mut bytes: &[u8], mut found: impl FnMut(Header)) {
        while !bytes.is_empty() {
            match &mut self.0 {
                State::Behind { rest: 0 } => self.begin(&mut bytes, &mut found),
                State::Behind { rest } => {
                    let skipped = bytes.len().min(*rest);
                    *rest -= skipped;
                    bytes = &bytes[skipped..];
                }
                State::Before { .. } => self.resume(&mut bytes, &mut found),
            }
        }
    }

    /// Looks at a frame where it lies.
    fn begin(&mut self, bytes: &mut &[u8], found: &mut impl FnMut(Header)) {
        match look(bytes) {
            Look::Cut => {
                let mut ahead = [0; AHEAD_MAX];
                ahead[..bytes.len()].copy_from_slice(bytes);
                self.0 = State::Before { ahead, length: bytes.len() };
                *bytes = &[];
            }
            Look::Seen { header, frame } => {
                header.into_iter().for_each(found);
                let here = bytes.len().min(frame);
                *bytes = &bytes[here..];
                self.0 = State::Behind { rest: frame - here };
            }
        }
    }

    /// Looks at the frame again whose beginning was kept, with what came since.
    fn resume(&mut self, bytes: &mut &[u8], found: &mut impl FnMut(Header)) {
        let State::Before { ahead, length } = &mut self.0 else { return };
        let before = *length;
        let more = bytes.len().min(AHEAD_MAX - before);
        ahead[before..before + more].copy_from_slice(&bytes[..more]);
        match look(&ahead[..before + more]) {
            Look::Cut => {
                *length += more;
                *bytes = &bytes[more..];
            }
            Look::Seen { header, frame } => {
                header.into_iter().for_each(found);
                // What was kept did not show the header, hence was not the whole frame.
                let rest = frame - before;
                let here = bytes.len().min(rest);
                *bytes = &bytes[here..];
                self.0 = State::Behind { rest: rest - here };
            }
        }
    }
}

enum Look {
    /// More bytes are needed; `AHEAD_MAX` always suffice.
    Cut,
    Seen {
        header: Option<Header>,
        /// Its length, prefix included.
        frame: usize,
    },
}

/// Looks at a frame that may be cut, or have others behind it.
fn look(bytes: &[u8]) -> Look {
    const PLAIN: u8 = 0;
    const HEADER_TAG: u8 = 1 << 3 | 2;
    let Some((&[flag, ref length @ ..], rest)) = bytes.split_first_chunk::<5>() else { return Look::Cut };
    let length = u32::from_be_bytes(*length) as usize;
    let none = Look::Seen { header: None, frame: PREFIX + length };
    if flag != PLAIN || length < 2 {
        return none;
    }
    // Only as the first field: etcd writes them in order, and the next may be a megabyte of keys.
    let header_length = match *rest {
        [] | [HEADER_TAG] => return Look::Cut,
        [HEADER_TAG, header_length, ..] => usize::from(header_length),
        [..] => return none,
    };
    if header_length > HEADER_MAX || length < 2 + header_length {
        return none;
    }
    match rest[2..].get(..header_length) {
        Some(header) => Look::Seen { header: read(header), frame: PREFIX + length },
        None => Look::Cut,
    }
}

fn read(message: &[u8]) -> Option<Header> {
    let mut header = Header::default();
    for field in Fields(message) {
        match field.ok()? {
            (1, Value::Varint(value)) => header.cluster_id = value,
            (2, Value::Varint(value)) => header.member_id = value,
            (3, Value::Varint(value)) => header.revision = value.cast_signed(),
            (4, Value::Varint(value)) => header.raft_term = value,
            (1..=4, _) => return None,
            _ => {}
        }
    }
    (header.cluster_id != 0 && header.member_id != 0).then_some(header)
}

/// gRPC's own bytes before a message.
const PREFIX: usize = 5;

/// A header's four numbers have 44 bytes at most; the rest is for fields to come. In any case
/// below 128, which is the most that one byte of length can say.
const HEADER_MAX: usize = 64;

/// Bytes of a frame that show its header: before it are its tag and one byte of its length.
const AHEAD_MAX: usize = PREFIX + 2 + HEADER_MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::etcdserverpb::{
        PutResponse, RangeResponse, RangeStreamResponse, ResponseHeader, SnapshotResponse, WatchResponse,
    };
    use crate::proto::health::HealthCheckResponse;
    use crate::proto::mvccpb::{Event, KeyValue};
    use prost::Message;

    const HEADER: Header =
        Header { cluster_id: 0xcdf8_1818_e32b_5999, member_id: 0x8211, revision: 17, raft_term: 2 };

    fn encoded(header: Header) -> Option<ResponseHeader> {
        let Header { cluster_id, member_id, revision, raft_term } = header;
        Some(ResponseHeader { cluster_id, member_id, revision, raft_term })
    }

    fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
        [&[flag], &(message.len() as u32).to_be_bytes()[..], message].concat()
    }

    fn put(header: Header) -> Vec<u8> {
        framed(0, &PutResponse { header: encoded(header), prev_kv: None }.encode_to_vec())
    }

    /// All headers found in `stream` when it comes in pieces of these lengths, then the rest.
    fn found(stream: &[u8], pieces: impl IntoIterator<Item = usize>) -> Vec<Header> {
        let (mut headers, mut all, mut rest) = (Headers::new(), Vec::new(), stream);
        for piece in pieces.into_iter().chain([stream.len()]) {
            let (now, later) = rest.split_at(piece.min(rest.len()));
            headers.on_data(now, |header| all.push(header));
            rest = later;
        }
        all
    }

    #[test]
    fn a_header_is_seen_as_soon_as_it_is_whole() {
        let kvs = vec![KeyValue { value: vec![7; 1000].into(), ..Default::default() }];
        let message = RangeResponse { header: encoded(HEADER), kvs, more: true, count: 3 }.encode_to_vec();
        let frame = framed(0, &message);
        let whole = PREFIX + 2 + encoded(HEADER).unwrap().encoded_len();
        for length in 0..=frame.len() {
            assert_eq!(header(&frame[..length]), (length >= whole).then_some(HEADER), "{length} bytes");
        }
        assert_eq!(header(&[frame, put(Header { revision: 1, ..HEADER })].concat()), Some(HEADER));
    }

    #[test]
    fn the_widest_header_is_seen() {
        let widest =
            Header { cluster_id: u64::MAX, member_id: u64::MAX, revision: i64::MIN, raft_term: u64::MAX };
        assert_eq!(encoded(widest).unwrap().encoded_len(), 44);
        let frame = put(widest);
        assert_eq!(header(&frame), Some(widest));
        for cut in 0..frame.len() {
            assert_eq!(found(&frame, [cut]), [widest]);
        }
    }

    #[test]
    fn what_is_not_a_header_is_not_taken_for_one() {
        let serving = HealthCheckResponse { status: 1 }.encode_to_vec();
        let piece = SnapshotResponse { remaining_bytes: 9, blob: "abc".into(), ..Default::default() };
        let nested = RangeStreamResponse {
            range_response: Some(RangeResponse { header: encoded(HEADER), count: 3, ..Default::default() }),
        };
        let keys = RangeResponse { kvs: vec![KeyValue::default()], ..Default::default() };
        let chunk = RangeStreamResponse { range_response: Some(keys) };
        let numbers = RangeResponse { more: true, count: 3, ..Default::default() };
        let last_chunk = RangeStreamResponse { range_response: Some(numbers) };
        let empty = PutResponse { header: Some(ResponseHeader::default()), prev_kv: None };
        let nobody = PutResponse { header: encoded(Header { member_id: 0, ..HEADER }), prev_kv: None };
        let messages = [
            ("an empty message", vec![]),
            ("one byte", vec![0x0a]),
            ("health", serving),
            ("a snapshot", piece.encode_to_vec()),
            ("a range in pieces", nested.encode_to_vec()),
            ("a range in pieces, only keys", chunk.encode_to_vec()),
            ("a range in pieces, only numbers", last_chunk.encode_to_vec()),
            ("an empty header", empty.encode_to_vec()),
            ("a header of no member", nobody.encode_to_vec()),
            ("a header that is longer than its message", vec![0x0a, 9, 8, 1, 16, 1]),
            ("a header that is cut in a field", vec![0x0a, 5, 8, 1, 16, 1, 24]),
            ("a long text", [&[0x0a, 100][..], &[b'a'; 100]].concat()),
            ("a longer text", [&[0x0a, 0x80, 1][..], &[b'a'; 128]].concat()),
        ];
        for (what, message) in messages {
            let frame = framed(0, &message);
            assert_eq!(header(&frame), None, "{what}");
            let stream = [&frame[..], &put(HEADER)].concat();
            for cut in 0..stream.len() {
                assert_eq!(found(&stream, [cut]), [HEADER], "{what}, cut at {cut}");
            }
        }
    }

    #[test]
    fn a_compressed_message_is_passed_over() {
        let plain = put(HEADER);
        let compressed = framed(1, &plain[PREFIX..]);
        assert_eq!(header(&compressed), None);
        assert_eq!(found(&[&compressed[..], &plain, &compressed].concat(), []), [HEADER]);
    }

    #[test]
    fn fields_to_come_do_not_hide_a_header() {
        let more = [&encoded(HEADER).unwrap().encode_to_vec()[..], &[0x2a, 2, b'a', b'b', 0x30, 1]].concat();
        let message = [&[0x0a, more.len() as u8], &more[..], &[0x12, 0]].concat();
        assert_eq!(header(&framed(0, &message)), Some(HEADER));
    }

    #[test]
    fn a_stream_tells_each_header_once_however_it_is_cut() {
        let mut random = fastrand::Rng::with_seed(1);
        for round in 0..3_000 {
            let (mut stream, mut expected) = (Vec::new(), Vec::new());
            for _ in 0..random.usize(1..6) {
                let [cluster_id, member_id] = [(); 2].map(|()| random.u64(1..) >> random.u8(..32) | 1);
                let [revision, raft_term] = [random.i64(0..1 << 40), random.i64(0..9)];
                let header = Header { cluster_id, member_id, revision, raft_term: raft_term as u64 };
                let value = vec![0x0a; random.usize(..200)].into();
                let kv = Some(KeyValue { value, ..Default::default() });
                let events = vec![Event { kv, ..Default::default() }];
                let header_sent = random.u8(..4) > 0;
                let response = WatchResponse {
                    header: encoded(header).filter(|_| header_sent),
                    events: if random.bool() { events } else { vec![] },
                    ..Default::default()
                };
                let flag = u8::from(random.u8(..8) == 0);
                stream.extend(framed(flag, &response.encode_to_vec()));
                expected.extend((header_sent && flag == 0).then_some(header));
            }
            for cut in 0..stream.len() {
                assert_eq!(found(&stream, [cut]), expected, "round {round}, cut at {cut}");
            }
            let at_most = 1 + random.usize(..40);
            let pieces: Vec<usize> = (0..stream.len()).map(|_| random.usize(..=at_most)).collect();
            assert_eq!(found(&stream, pieces.clone()), expected, "round {round}, pieces {pieces:?}");
            assert_eq!(found(&stream, (0..stream.len()).map(|_| 1)), expected, "round {round}, bytes");
        }
    }

    #[test]
    fn garbage_is_looked_at_without_harm() {
        let mut random = fastrand::Rng::with_seed(2);
        let mut stream = put(HEADER);
        for _ in 0..50_000 {
            let mut headers = Headers::new();
            for _ in 0..random.usize(1..4) {
                // A header with a damaged byte, which comes further than noise does.
                let at = random.usize(..stream.len());
                let before = std::mem::replace(&mut stream[at], random.u8(..));
                let noise: Vec<u8> = (0..random.usize(..80)).map(|_| random.u8(..4)).collect();
                header(&stream);
                header(&noise);
                headers.on_data(&stream[..random.usize(..stream.len())], drop);
                headers.on_data(&noise, drop);
                stream[at] = before;
            }
        }
    }
}
