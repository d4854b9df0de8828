//! gRPC's frame around a message: a flag for its compression and four bytes of its length.

use bytes::Bytes;

/// The message of a request that is one uncompressed gRPC frame.
pub(crate) fn message(body: &[u8]) -> Option<&[u8]> {
    let (header, message) = body.split_first_chunk::<5>()?;
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
    (header[0] == 0 && message.len() == length as usize).then_some(message)
}

/// The frame of a message with `more` behind its fields.
pub(super) fn extended(message: &[u8], more: &[u8]) -> Option<Bytes> {
    let length = u32::try_from(message.len() + more.len()).ok()?;
    Some([&[0], &length.to_be_bytes()[..], message, more].concat().into())
}

/// The length of the first gRPC frame, its header included, once that is there.
pub(crate) fn frame_length(body: &[u8]) -> Option<usize> {
    let header = body.first_chunk::<5>()?;
    Some(header.len() + u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_exactly_one_plain_frame() {
        assert_eq!(message(&[0, 0, 0, 0, 2, 8, 1]), Some([8, 1].as_slice()));
        assert_eq!(message(&[1, 0, 0, 0, 2, 8, 1]), None, "compressed");
        assert_eq!(message(&[0, 0, 0, 0, 2, 8]), None, "short");
        assert_eq!(message(&[0, 0, 0, 0, 1, 8, 1]), None, "more than one frame");
        assert_eq!(frame_length(&[0, 0, 1, 0, 0]), Some(65541));
        assert_eq!(frame_length(&[0, 0, 1]), None);
    }
}
