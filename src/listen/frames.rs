//! The frames of one direction of an HTTP/2 connection, by their heads alone (RFC 9113, section 4.1):
//! nothing is decoded, nothing is kept but an unfinished head.

/// Follows the bytes of one direction.
#[derive(Debug, Default)]
pub(super) struct Walker {
    /// Bytes up to the next head: of a payload, or of the preface.
    skip: usize,
    /// The beginning of a head whose end has not come yet.
    partial: [u8; HEAD],
    partial_len: usize,
}

/// The fixed part of a frame, as far as anybody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl Walker {
    /// With so many bytes before the first frame.
    pub fn after(preface: usize) -> Self {
        Self { skip: preface, ..Self::default() }
    }

    /// Tells every head that ends in `bytes`.
    pub fn walk(&mut self, mut bytes: &[u8], mut on_head: impl FnMut(Head)) {
        loop {
            let passed = self.skip.min(bytes.len());
            self.skip -= passed;
            bytes = &bytes[passed..];
            if bytes.is_empty() {
                return;
            }
            if self.partial_len == 0
                && let Some((head, rest)) = bytes.split_first_chunk()
            {
                bytes = rest;
                on_head(self.on_head(*head));
                continue;
            }
            let taken = (HEAD - self.partial_len).min(bytes.len());
            self.partial[self.partial_len..][..taken].copy_from_slice(&bytes[..taken]);
            self.partial_len += taken;
            bytes = &bytes[taken..];
            if self.partial_len == HEAD {
                self.partial_len = 0;
                on_head(self.on_head(self.partial));
            }
        }
    }

    /// Whether a frame can begin here.
    pub fn is_between_frames(&self) -> bool {
        self.skip == 0 && self.partial_len == 0
    }

    fn on_head(&mut self, [l0, l1, l2, kind, flags, stream @ ..]: [u8; HEAD]) -> Head {
        self.skip = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        Head { kind, flags, stream: u32::from_be_bytes(stream) & STREAM_MASK }
    }
}

/// What a client sends.
#[derive(Debug)]
pub(super) struct Incoming {
    walker: Walker,
    /// Counts the beginnings of what has to end soon.
    beginnings: u64,
    state: State,
    last_stream: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A block of headers, perhaps of several frames.
    Block,
    /// Bytes of a call's body, which may take any time.
    Data,
    /// The beginning of a frame's head.
    Head,
    /// Not even the first frame has come.
    Preface,
    Other,
}

impl Incoming {
    pub fn new() -> Self {
        let walker = Walker::after(PREFACE.len());
        Self { walker, beginnings: 1, state: State::Preface, last_stream: 0 }
    }

    /// Takes what has come in, and returns how many pings are among it.
    pub fn feed(&mut self, bytes: &[u8]) -> u32 {
        let Self { walker, beginnings, state, last_stream } = self;
        let mut pings = 0;
        walker.walk(bytes, |Head { kind, flags, stream }| {
            // A head and its frame, and all frames of a block of headers, are one thing that has to end.
            if !matches!(*state, State::Block | State::Head) {
                *beginnings += 1;
            }
            *state = match kind {
                DATA => State::Data,
                HEADERS => {
                    *last_stream = (*last_stream).max(stream);
                    if flags & END_HEADERS == 0 { State::Block } else { State::Other }
                }
                CONTINUATION if flags & END_HEADERS == 0 => State::Block,
                _ => State::Other,
            };
            pings += u32::from(kind == PING && flags & ACK == 0);
        });
        if walker.partial_len > 0 && matches!(*state, State::Data | State::Other) {
            *beginnings += 1;
            *state = State::Head;
        }
        pings
    }

    /// What has begun and not ended, and has to soon: a head or a block of headers, not a body.
    /// The same number means the same thing.
    pub fn unfinished(&self) -> Option<u64> {
        let is_open = match self.state {
            State::Block | State::Head | State::Preface => true,
            State::Data => false,
            State::Other => !self.walker.is_between_frames(),
        };
        is_open.then_some(self.beginnings)
    }

    /// The highest stream that the client has opened.
    pub fn last_stream(&self) -> u32 {
        self.last_stream
    }
}

/// A GOAWAY (RFC 9113, section 6.8).
pub(super) fn go_away(last_stream: u32, code: u32, debug_data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(8 + debug_data.len()).expect("debug data are short");
    let [_, length @ ..] = length.to_be_bytes();
    let mut frame = Vec::with_capacity(HEAD + 8 + debug_data.len());
    frame.extend(length);
    frame.extend([GO_AWAY, 0, 0, 0, 0, 0]);
    frame.extend(last_stream.to_be_bytes());
    frame.extend(code.to_be_bytes());
    frame.extend(debug_data);
    frame
}

/// RFC 9113, section 3.4.
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// RFC 9113, section 6.
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

const HEAD: usize = 9;

/// The first bit is reserved.
const STREAM_MASK: u32 = u32::MAX >> 1;

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: u8 = 4;

    fn frame(kind: u8, flags: u8, stream: u32, length: usize) -> Vec<u8> {
        let [_, head @ ..] = u32::try_from(length).unwrap().to_be_bytes();
        [&head[..], &[kind, flags], &stream.to_be_bytes(), &vec![6; length]].concat()
    }

    fn connection() -> Vec<u8> {
        [
            PREFACE.to_vec(),
            frame(SETTINGS, 0, 0, 12),
            frame(HEADERS, 0, 1, 40),
            frame(CONTINUATION, END_HEADERS, 1, 5),
            frame(DATA, 0, 1, 16_384),
            frame(PING, 0, 0, 8),
            frame(PING, ACK, 0, 8),
            frame(HEADERS, END_HEADERS, 3, 0),
            frame(PING, 0, 0, 8),
        ]
        .concat()
    }

    #[test]
    fn every_frame_is_seen_however_the_bytes_are_cut() {
        let bytes = connection();
        for size in [1, 2, 7, 9, 10, 33, 4096, bytes.len()] {
            let mut incoming = Incoming::new();
            let pings: u32 = bytes.chunks(size).map(|chunk| incoming.feed(chunk)).sum();
            assert_eq!((pings, incoming.last_stream(), incoming.unfinished()), (2, 3, None), "{size}");
            assert!(incoming.walker.is_between_frames());
        }
    }

    #[test]
    fn what_has_to_end_is_told_apart_from_bodies() {
        let mut incoming = Incoming::new();
        let mut feed = |bytes: &[u8]| {
            incoming.feed(bytes);
            incoming.unfinished()
        };
        let start = feed(PREFACE);
        assert_eq!(start, Some(1));
        let settings = frame(SETTINGS, 0, 0, 6);
        assert!(feed(&settings[..4]).is_some());
        assert_eq!(feed(&settings[4..]), None);
        // A block of headers is one thing over all its frames, until its last.
        let block = feed(&frame(HEADERS, 0, 1, 3));
        assert!(block.is_some());
        assert_eq!(feed(&frame(CONTINUATION, 0, 1, 3)), block);
        let last = frame(CONTINUATION, END_HEADERS, 1, 3);
        assert!(feed(&last[..5]).is_some());
        assert_eq!(feed(&last[5..]), None);
        // A body may be slow, a head in it may not.
        let data = frame(DATA, 0, 1, 100);
        let head = feed(&data[..8]);
        assert!(head.is_some() && head != block);
        assert_eq!(feed(&data[8..50]), None);
        assert_eq!(feed(&data[50..]), None);
        let headers = frame(HEADERS, END_HEADERS, 3, 100);
        assert!(feed(&headers[..20]).is_some());
        assert_eq!(feed(&headers[20..]), None);
    }

    #[test]
    fn a_go_away_is_a_frame() {
        let bytes = go_away(7, 11, b"too_many_pings");
        let mut heads = Vec::new();
        let mut walker = Walker::default();
        walker.walk(&bytes, |head| heads.push(head));
        assert_eq!(heads, [Head { kind: GO_AWAY, flags: 0, stream: 0 }]);
        assert!(walker.is_between_frames());
    }
}
