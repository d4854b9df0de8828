//! What no client library sends: broken frames, odd headers, metadata at the edge.

use std::io::Write as _;
use std::process::{Command, Stdio};

use bytes::Bytes;
use etcdlet::proto::etcdserverpb as pb;
use etcdlet::proto::health;
use http::{HeaderMap, Method};
use prost::Message;

use super::{DEFRAGMENT, HEALTH_CHECK, LOCK, PUT, RANGE, STATUS, TXN, WATCH, every, prefix, put, range};
use crate::differential::entry::{Call, Close, Entry, Step, call, entry};
use crate::support::grpc::{frame, grpc_headers, metadata};

pub(crate) fn entries() -> Vec<Entry> {
    [paths(), frames(), compression(), messages(), headers(), timeouts(), metadata_entries(), sizes()]
        .into_iter()
        .flatten()
        .collect()
}

fn paths() -> Vec<Entry> {
    let paths = [
        "/foo.Bar/Baz",
        "/etcdserverpb.KV/Nope",
        "/etcdserverpb.KV/range",
        "/etcdserverpb.KV/",
        "/etcdserverpb.KV",
        "/etcdserverpb.KV/Range/",
        "/etcdserverpb.KV/Range?x=1",
        "//Range",
        "/",
        "/v3/kv/range",
        "/version",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ];
    paths.into_iter().map(|path| call(format!("path {path}"), path, range("a"))).collect()
}

fn frames() -> Vec<Entry> {
    let once = || frame(0, &range("a").encode_to_vec());
    let raw = |name: &str, bytes: Bytes| unary(name, Call::new(RANGE).raw(bytes));
    vec![
        raw("garbage", frame(0, b"\xff\xff\xff")),
        raw("a field cut short", frame(0, b"\x0a\x09a")),
        raw("a field of the wrong type", frame(0, b"\x08\x01")),
        raw("a group", frame(0, b"\x0b\x0c")),
        raw("a frame cut short", Bytes::from_static(b"\0\0\0\0\x0a\x0a")),
        raw("a frame's header cut short", Bytes::from_static(b"\0\0\0")),
        raw("a frame and the start of another", [once(), Bytes::from_static(b"\0\0")].concat().into()),
        raw("two messages in a unary call", [once(), once()].concat().into()),
        raw("an empty message", frame(0, b"")),
        unary("no message", Call::new(RANGE)),
        // Not so for a known method: etcd leaves such a call hanging for ever.
        unary("no message to an unknown method", Call { close: Close::Headers, ..Call::new("/foo.Bar/Baz") }),
        unary(
            "a unary call that is not half-closed",
            Call { close: Close::Never, ..Call::new(RANGE).raw(once()) },
        ),
        unary(
            "a message in many frames",
            once().iter().fold(Call::new(RANGE), |call, byte| call.raw(vec![*byte].into())),
        ),
        unary("an empty frame before the message", Call::new(RANGE).raw(Bytes::new()).raw(once())),
        entry("a put that is reset before its end leaves nothing")
            .step(Step::Open(Call {
                close: Close::Never,
                ..Call::new(PUT).raw(Bytes::from_static(b"\0\0\0\0\x0a\x0a"))
            }))
            .step(Step::Reset)
            .unary(RANGE, range("a")),
        entry("many calls at once").step(Step::Burst(100, Call::new(RANGE).message(prefix("w/")))),
    ]
}

fn compression() -> Vec<Entry> {
    let check = health::HealthCheckRequest::default().encode_to_vec();
    let with = |name: &str, encoding: &'static str, path, flag, message: &[u8]| {
        let entry = unary(name, Call::new(path).raw(frame(flag, message)));
        if encoding.is_empty() { entry } else { entry.meta("grpc-encoding", encoding) }
    };
    let put = put("gzip", "1").encode_to_vec();
    let empty_key = gzip(&range("").encode_to_vec());
    vec![
        with("compressed without an encoding", "", RANGE, 1, &gzip(&check)),
        with("compressed with the identity encoding", "identity", RANGE, 1, &gzip(&check)),
        with("compressed with an unknown encoding", "zstd", RANGE, 1, &check),
        with("plain with an unknown encoding", "zstd", RANGE, 0, &range("a").encode_to_vec()),
        with("gzip that is none", "gzip", RANGE, 1, b"none"),
        with("gzip", "gzip", HEALTH_CHECK, 1, &gzip(&check)),
        with("gzip of a put", "gzip", PUT, 1, &gzip(&put)),
        with("gzip of a range", "gzip", RANGE, 1, &gzip(&range("gzip").encode_to_vec())),
        with("gzip of a bad range", "gzip", RANGE, 1, &empty_key),
        with("plain under gzip", "gzip", PUT, 0, &put),
        with("plain under the identity encoding", "identity", PUT, 0, &put),
        with("gzip of an empty message", "gzip", DEFRAGMENT, 1, &gzip(b"")),
        with("a frame with flag 2", "", RANGE, 2, &check),
        with("a frame with flag 255", "", RANGE, 255, &check),
        call("gzip accepted", RANGE, range("gzip")).meta("grpc-accept-encoding", "gzip,identity"),
        call("an unknown encoding accepted", RANGE, range("gzip")).meta("grpc-accept-encoding", "zstd"),
        entry("gzip on a watch")
            .open(WATCH)
            .meta("grpc-encoding", "gzip")
            .step(Step::Raw(frame(1, &gzip(b"\x0a\x03\x0a\x01a"))))
            .receive(1)
            .unary(PUT, super::put("a", "1"))
            .receive(1),
    ]
}

fn messages() -> Vec<Entry> {
    let with = |name: &str, path, message: &[u8], tail: &[u8]| {
        unary(name, Call::new(path).raw(frame(0, &[message, tail].concat())))
    };
    let get = range("a").encode_to_vec();
    // Field 1000: a varint and a string; then a message in a field that the message does not have.
    let unknown = b"\xc0\x3e\x05\xc2\x3e\x02hi\xfa\x01\x02\x08\x01";
    vec![
        with("unknown fields in a range", RANGE, &get, unknown),
        with("unknown fields in a put", PUT, &put("a", "1").encode_to_vec(), unknown),
        with("unknown fields in a txn", TXN, b"", unknown),
        with("unknown fields before the known", RANGE, unknown, &get),
        with("a field given twice", RANGE, b"\x0a\x01x", &get),
        with("a flag given twice", RANGE, &get, b"\x38\x01\x38\x00"),
        with("a flag that is 2", RANGE, &get, b"\x38\x02"),
        with("a varint with padding", RANGE, &get, b"\x38\x81\x00"),
        with("a varint that is too long", RANGE, &get, b"\x38\x81\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
        with("a negative limit", RANGE, &get, b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        with("fields in reverse order", RANGE, b"\x38\x01\x12\x01b", &get),
        with("a field number of 0", RANGE, &get, b"\x00\x01"),
        with("a put and a range in one operation", TXN, b"\x12\x0a\x12\x03\x0a\x01a\x0a\x03\x0a\x01a", b""),
    ]
}

fn headers() -> Vec<Entry> {
    let with = |name: String, method: Method, headers: HeaderMap| {
        let call = Call { method, ..Call::new(RANGE) };
        unary(&name, call.only_headers(&headers).message(range("a")))
    };
    let mut table = Vec::new();
    let types = [
        "text/plain",
        "application/json",
        "application/grpc+proto",
        "application/grpc+json",
        "application/grpc;charset=utf-8",
        "application/grpcfoo",
        "application/grpc-web",
        "APPLICATION/GRPC",
        "",
    ];
    for kind in types {
        let headers = metadata(&[("content-type", kind), ("te", "trailers")]);
        table.push(with(format!("content-type {kind:?}"), Method::POST, headers));
    }
    table.push(with("no content-type".to_owned(), Method::POST, metadata(&[("te", "trailers")])));
    table.push(with("no te".to_owned(), Method::POST, metadata(&[("content-type", "application/grpc")])));
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS] {
        table.push(with(format!("method {method}"), method, grpc_headers()));
    }
    let get = Call { method: Method::GET, close: Close::Headers, ..Call::new(RANGE) };
    table.push(unary("method GET without a body", get));
    table
}

fn timeouts() -> Vec<Entry> {
    let mut table = Vec::new();
    let values = [
        "5S",
        "5000m",
        "1H",
        "99999999H",
        "99999999S",
        "100M",
        "00000005S",
        "",
        "5",
        "S",
        "5x",
        "5s",
        "-1S",
        "+5S",
        " 5S",
        "1.5S",
        "999999999S",
        "abc",
    ];
    for value in values {
        table.push(call(format!("grpc-timeout {value:?}"), RANGE, range("a")).meta("grpc-timeout", value));
    }
    // A put of a call that is over before it begins may still be done, so only a read is given no time.
    for (value, serializable) in every(&["0S", "1n", "0m"], &[false, true]) {
        let name = format!("grpc-timeout {value}, serializable {serializable}");
        let request = pb::RangeRequest { serializable, ..range("a") };
        table.push(entry(name).open_unary(RANGE, request).meta("grpc-timeout", value).deadline());
    }
    table.push(call("two timeouts", RANGE, range("a")).meta("grpc-timeout", "5S").meta("grpc-timeout", "7S"));
    table.push(
        call("a timeout of a call to an unknown method", "/foo.Bar/Baz", range("a"))
            .meta("grpc-timeout", "1S"),
    );
    table
}

fn metadata_entries() -> Vec<Entry> {
    let ask = |name: &str| call(name, RANGE, range("a"));
    let many = (0..200).fold(ask("two hundred values"), |entry, _| entry.meta("x-many", "value"));
    let mut table = vec![
        ask("binary metadata").meta("x-bin", "AP8B"),
        ask("binary metadata with padding").meta("x-bin", "AP8BAA=="),
        ask("binary metadata that is none").meta("x-bin", "!!"),
        ask("repeated metadata").meta("x-a", "1").meta("x-a", "2").meta("x-b", "3").meta("x-a", "1"),
        ask("empty metadata").meta("x-empty", ""),
        many,
        ask("metadata of 8 kB").meta("x-long", "v".repeat(8 << 10)),
        ask("metadata of 64 kB").meta("x-long", "v".repeat(64 << 10)),
        ask("metadata that is not UTF-8").meta("x-latin", b"\xe9"),
        ask("reserved metadata").meta("grpc-foo", "1"),
        ask("a host").meta("host", "example.com"),
        ask("a user agent").meta("user-agent", "test/1"),
        ask("forwarding headers").meta("x-forwarded-for", "10.1.2.3").meta("via", "1.1 x"),
        ask("a body length").meta("content-length", "8"),
        // Not a wrong one, which etcd ignores: to HTTP/2 that is no request at all (RFC 9113, 8.1.1).
        ask("expect").meta("expect", "100-continue"),
        ask("cookies").meta("cookie", "a=1").meta("cookie", "b=2"),
        ask("a leader required").meta("hasleader", "true"),
        ask("a leader not required").meta("hasleader", "false"),
        ask("a token while auth is off").meta("token", "none.1"),
        ask("a bearer while auth is off").meta("authorization", "Bearer none.1"),
        ask("gateway metadata").meta("grpcgateway-accept", "*/*"),
        ask("tracing metadata")
            .meta("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    for version in ["3.5", "3.99", "", "x"] {
        table.push(ask(&format!("client-api-version {version:?}")).meta("client-api-version", version));
    }
    table
}

/// Only for etcd from 3.6 on: older ones die of it.
pub(crate) fn broken_api_version() -> Vec<Entry> {
    let ask = call("a client-api-version that is not UTF-8", RANGE, range("a"));
    vec![ask.meta("client-api-version", b"\xff")]
}

fn sizes() -> Vec<Entry> {
    // What the put itself adds to a value; etcd limits what it writes to 1.5 MiB and what it receives to 2 MiB.
    let value = |length: usize| pb::PutRequest { value: vec![b'v'; length].into(), ..put("size", "") };
    let limit = 2 << 20;
    let overhead = value(limit - 100).encoded_len() - (limit - 100);
    let mut table = Vec::new();
    for (name, length) in [
        ("as large as etcd writes", 1_572_864 - 100),
        ("larger than etcd writes", 1_572_864),
        ("as large as etcd receives", limit - overhead),
        ("larger than etcd receives", limit - overhead + 1),
        ("much larger than etcd receives", 5 << 20),
    ] {
        table.push(call(format!("a put {name}"), PUT, value(length)));
    }
    let mut announced = vec![0, 0xff, 0xff, 0xff, 0xff];
    announced.extend_from_slice(b"short");
    table.push(unary("a frame that announces 4 GiB", Call::new(PUT).raw(announced.into())));
    let lock = etcdlet::proto::v3lockpb::LockRequest { name: vec![b'n'; 2 << 20].into(), lease: 1 };
    table.push(call("a lock larger than etcd receives", LOCK, lock));
    table.push(call("a status of unknown bytes", STATUS, value(3 << 20)));
    table.push(
        entry("a large answer many times").step(Step::Burst(8, Call::new(RANGE).message(range("size")))),
    );
    table.push(call("away with the large value", super::DELETE, super::delete("size")));
    table
}

fn unary(name: &str, call: Call) -> Entry {
    entry(name).step(Step::Unary(call))
}

/// The system's `gzip` compresses: the few requests here do not ask for a library.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = Command::new("gzip")
        .args(["-n", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip runs");
    gzip.stdin.take().expect("it is a pipe").write_all(bytes).expect("gzip reads");
    gzip.wait_with_output().expect("gzip ends").stdout
}
