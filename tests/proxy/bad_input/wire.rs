//! HTTP/2 frame by frame, right or wrong as the test wants it (RFC 9113, section 4.1).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout, timeout_at};

/// A connection of which the test writes every byte.
pub(crate) struct Wire {
    socket: TcpStream,
    unparsed: Vec<u8>,
}

/// What came back.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) frames: Vec<Frame>,
    /// The peer closed the connection, orderly or not.
    pub(crate) closed: bool,
}

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Wire {
    /// Connects and sends nothing.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket can be made");
        // The kernel would buffer megabytes for a client that does not read.
        socket.set_recv_buffer_size(RECEIVE_BUFFER).expect("a receive buffer can be set");
        let socket = socket.connect(address).await.expect("the listener accepts");
        socket.set_nodelay(true).expect("the delay can be switched off");
        Self { socket, unparsed: Vec::new() }
    }

    /// Connects and sends the preface and these settings.
    pub(crate) async fn http2(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut wire = Self::connect(address).await;
        wire.send(&[PREFACE.to_vec(), self::settings(settings)].concat())
            .await
            .expect("a new connection takes a preface");
        wire
    }

    /// Fails if the peer has gone, or takes nothing for a long while.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(SEND_LIMIT, self.socket.write_all(bytes))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Half-closes.
    pub(crate) async fn finish(&mut self) {
        // Fails only if the peer has gone.
        drop(self.socket.shutdown().await);
    }

    /// Goes away as a process does that was killed: by a reset, whatever is under way.
    pub(crate) fn vanish(self) {
        socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)).expect("a socket may be reset");
    }

    /// All frames until the peer closes, `enough` is satisfied or the time is up.
    pub(crate) async fn hear_until(&mut self, limit: Duration, enough: impl Fn(&Frame) -> bool) -> Heard {
        let deadline = Instant::now() + limit;
        let mut heard = Heard::default();
        loop {
            while let Some(frame) = self.take_frame() {
                let enough = enough(&frame);
                heard.frames.push(frame);
                if enough {
                    return heard;
                }
            }
            match timeout_at(deadline, self.socket.read_buf(&mut self.unparsed)).await {
                Err(_elapsed) => return heard,
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) => {
                    heard.closed = true;
                    return heard;
                }
            }
        }
    }

    pub(crate) async fn hear(&mut self, limit: Duration) -> Heard {
        self.hear_until(limit, |_| false).await
    }

    /// Bytes that are no frames, until the peer closes or the time is up, and whether it closed.
    pub(crate) async fn hear_text(&mut self, limit: Duration) -> (String, bool) {
        let deadline = Instant::now() + limit;
        let closed = loop {
            match timeout_at(deadline, self.socket.read_buf(&mut self.unparsed)).await {
                Err(_elapsed) => break false,
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) => break true,
            }
        };
        (String::from_utf8_lossy(&self.unparsed).into_owned(), closed)
    }

    fn take_frame(&mut self) -> Option<Frame> {
        let [a, b, c, kind, flags, stream @ ..] = *self.unparsed.first_chunk::<9>()?;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if self.unparsed.len() < 9 + length {
            return None;
        }
        let payload = self.unparsed[9..9 + length].to_vec();
        self.unparsed.drain(..9 + length);
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }
}

impl Heard {
    /// The error code of the GOAWAY, if one came.
    pub(crate) fn go_away(&self) -> Option<u32> {
        self.frames
            .iter()
            .filter(|frame| frame.kind == GO_AWAY)
            .find_map(|frame| code(frame.payload.get(4..8)?))
    }

    /// The error code with which this stream was reset.
    pub(crate) fn reset_of(&self, stream: u32) -> Option<u32> {
        let is_reset = |frame: &&Frame| frame.kind == RST_STREAM && frame.stream == stream;
        self.frames.iter().find(is_reset).and_then(|frame| code(&frame.payload))
    }
}

fn code(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_be_bytes)
}

/// A frame with the length that its payload has.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame_of_length(payload.len(), kind, flags, stream, payload)
}

/// A frame that claims any length.
pub(crate) fn frame_of_length(length: usize, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(length).expect("24 bits").to_be_bytes();
    let mut frame = Vec::with_capacity(9 + payload.len());
    frame.extend(length);
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

pub(crate) fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = settings
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat())
        .collect();
    frame(SETTINGS, 0, 0, &payload)
}

pub(crate) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

pub(crate) fn rst_stream(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// A block of headers as HPACK literals without indexing (RFC 7541, 6.2.2).
pub(crate) fn block<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        string(&mut block, name.as_bytes());
        string(&mut block, value.as_bytes());
    }
    block
}

/// The headers of a gRPC call.
pub(crate) fn call_headers(path: &str) -> [(&str, &str); 6] {
    [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ]
}

/// A whole block of headers of a call in one HEADERS frame, which is open for a body.
pub(crate) fn open_call(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(call_headers(path)))
}

/// A call with its only message.
pub(crate) fn whole_call(stream: u32, path: &str, message: &[u8]) -> Vec<u8> {
    let body = crate::support::grpc::frame(0, message);
    [open_call(stream, path), frame(DATA, END_STREAM, stream, &body)].concat()
}

/// A string without Huffman code, its length an integer with a 7-bit prefix (RFC 7541, 5.1 and 5.2).
fn string(block: &mut Vec<u8>, text: &[u8]) {
    match u8::try_from(text.len()) {
        Ok(short @ ..127) => block.push(short),
        _ => {
            block.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                block.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            block.push(rest as u8);
        }
    }
    block.extend(text);
}

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GO_AWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;

pub(crate) const ENABLE_PUSH: u16 = 2;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(crate) const MAX_FRAME_SIZE: u16 = 5;

/// The largest window, and the largest stream id.
pub(crate) const LARGEST: u32 = (1 << 31) - 1;
pub(crate) const DEFAULT_WINDOW: u32 = 65_535;

const RECEIVE_BUFFER: u32 = 64 << 10;
const SEND_LIMIT: Duration = Duration::from_secs(5);
