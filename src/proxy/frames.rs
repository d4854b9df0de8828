//! gRPC messages out of data frames that may be cut anywhere, and into one.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use super::peek;
use crate::types::status::{Code, Status};

/// Takes data in and gives whole frames out, prefix included.
#[derive(Debug)]
pub(crate) struct Frames {
    rest: BytesMut,
    /// Of one frame.
    length_max: usize,
}

/// A message of so many bytes, which is more than there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong(pub usize);

impl TooLong {
    /// As gRPC in Go refuses it, which takes messages of so many bytes.
    pub fn refusal(self, max: usize) -> Status {
        let text = format!("grpc: received message larger than max ({} vs. {max})", self.0);
        Status::new(Code::ResourceExhausted, text)
    }
}

impl Frames {
    pub fn new(length_max: usize) -> Self {
        Self { rest: BytesMut::new(), length_max }
    }

    pub fn on_data(&mut self, data: Bytes) {
        if self.rest.is_empty() {
            // Without a copy where the bytes are nobody else's.
            self.rest = BytesMut::from(data);
        } else {
            self.rest.extend_from_slice(&data);
        }
    }

    pub fn next(&mut self) -> Option<Result<Bytes, TooLong>> {
        let length = peek::frame_length(&self.rest)?;
        if length > self.length_max {
            return Some(Err(TooLong(length - PREFIX)));
        }
        (length <= self.rest.len()).then(|| Ok(self.rest.split_to(length).freeze()))
    }

    /// Bytes of the frame that is not whole yet.
    pub fn waiting(&self) -> usize {
        self.rest.len()
    }

    /// What was left when the data ended.
    pub fn rest(&mut self) -> Option<Bytes> {
        (!self.rest.is_empty()).then(|| self.rest.split().freeze())
    }
}

/// A message of etcdlet's own in its gRPC frame.
pub(super) fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).expect("what is put together here is small"));
    message.encode(&mut frame).expect("the buffer has room");
    frame.freeze()
}

const PREFIX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_wherever_the_data_are_cut() {
        let all = b"\0\0\0\0\x02ab\0\0\0\0\0\x01\0\0\0\x01c";
        for cut in 0..all.len() {
            let mut frames = Frames::new(64);
            let mut found = Vec::new();
            for part in [&all[..cut], &all[cut..]] {
                frames.on_data(Bytes::from_static(part));
                found.extend(std::iter::from_fn(|| frames.next()).map(Result::unwrap));
            }
            let expected: [&[u8]; 3] = [b"\0\0\0\0\x02ab", b"\0\0\0\0\0", b"\x01\0\0\0\x01c"];
            assert_eq!(found, expected, "cut at {cut}");
            assert_eq!(frames.rest(), None);
        }
    }

    #[test]
    fn a_frame_that_announces_too_much_is_not_waited_for() {
        let mut frames = Frames::new(8);
        frames.on_data(Bytes::from_static(b"\0\0\0\0\x03abc\0\0\0\0\x04"));
        assert_eq!(frames.next(), Some(Ok(Bytes::from_static(b"\0\0\0\0\x03abc"))));
        assert_eq!(frames.next(), Some(Err(TooLong(4))));
    }

    #[test]
    fn an_unfinished_frame_is_what_is_left() {
        let mut frames = Frames::new(8);
        frames.on_data(Bytes::from_static(b"\0\0\0\0\x03ab"));
        assert_eq!(frames.next(), None);
        assert_eq!(frames.rest(), Some(Bytes::from_static(b"\0\0\0\0\x03ab")));
    }
}
