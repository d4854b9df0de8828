//! The admin port.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::sidecar::Sidecar;

#[test]
fn metrics_are_text_for_prometheus() {
    let sidecar = Sidecar::start(&["http://127.0.0.1:1"]);
    let answer = ask(&sidecar, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(head.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(body.starts_with("# HELP "), "{body}");
}

#[test]
fn another_path_is_not_found_and_another_method_not_allowed() {
    let sidecar = Sidecar::start(&["http://127.0.0.1:1"]);
    for path in ["/", "/metrics/", "/health", "/debug/pprof", "/v3/kv/range"] {
        assert_eq!(sidecar.admin_get(path).0, 404, "{path}");
    }
    let answer = ask(&sidecar, "DELETE /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
}

#[test]
fn what_is_no_http_harms_nobody_else() {
    let sidecar = Sidecar::start(&["http://127.0.0.1:1"]);
    for garbage in ["\0\0\0\0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET"] {
        let mut stream = TcpStream::connect(sidecar.admin_addr()).unwrap();
        stream.write_all(garbage.as_bytes()).unwrap();
        sidecar.metrics();
    }
}

fn ask(sidecar: &Sidecar, request: &str) -> String {
    let mut stream = TcpStream::connect(sidecar.admin_addr()).expect("the admin port accepts");
    stream.write_all(request.as_bytes()).expect("the admin port reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the admin port answers in text");
    answer
}
