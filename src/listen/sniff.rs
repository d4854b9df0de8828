//! What a client speaks, by its first bytes.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;

use super::frames::PREFACE;
use crate::net::transport::Transport;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    H1,
    H2,
}

/// Reads until the protocol is certain; the bytes stay readable. `None` when the client left
/// without a byte.
pub(super) async fn sniff(transport: &mut Transport) -> io::Result<Option<Protocol>> {
    let mut ahead = BytesMut::with_capacity(PREFACE.len());
    loop {
        let room = PREFACE.len() - ahead.len();
        let mut chunk = [0; PREFACE.len()];
        let count = transport.read(&mut chunk[..room]).await?;
        if count == 0 && ahead.is_empty() {
            return Ok(None);
        }
        ahead.extend_from_slice(&chunk[..count]);
        if let Some(protocol) = judge(&ahead, count == 0) {
            transport.unread(Bytes::from(ahead));
            return Ok(Some(protocol));
        }
    }
}

/// The protocol of a client that began with `ahead`, unless more bytes are needed to tell.
pub(crate) fn judge(ahead: &[u8], ended: bool) -> Option<Protocol> {
    if ahead == PREFACE {
        Some(Protocol::H2)
    } else if ended || !PREFACE.starts_with(ahead) {
        Some(Protocol::H1)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_is_waited_for_and_anything_else_is_http_1() {
        assert_eq!(judge(PREFACE, false), Some(Protocol::H2));
        assert_eq!(judge(b"PRI * HTTP/2.0\r\n", false), None);
        assert_eq!(judge(b"PRI * HTTP/2.0\r\n", true), Some(Protocol::H1));
        assert_eq!(judge(b"P", false), None);
        assert_eq!(judge(b"POST /v3/kv/range HTTP/1", false), Some(Protocol::H1));
        assert_eq!(judge(b"GET /", false), Some(Protocol::H1));
        assert_eq!(judge(b"\x16\x03\x01", false), Some(Protocol::H1));
    }
}
