//! The messages of a call with a namespace, out of data that may be cut anywhere.

use super::engine::Target;
use crate::proxy::namespace::flow::flowed;
use crate::proxy::namespace::{Config, NamespaceMetrics, Namespaces, edited_request};
use crate::telemetry::metrics::Metrics;

const PREFIX: &[u8] = b"/n/";
const LENGTH_MAX: usize = 1024;

#[test]
fn what_is_passed_on_does_not_depend_on_how_it_is_cut() {
    let words: &[&[u8]] = &[b"\0\0\0\0\x03\x0a\x01a", b"\0\0\0\0", b"\x01\0\0\0\0", b"\x0a\x03/n/"];
    let target = Target { name: "flow", words };
    let config = Config { request_bytes: LENGTH_MAX, total_bytes: usize::MAX };
    let all = Namespaces::new(&config, NamespaceMetrics::new(&Metrics::new()));
    target.run(|input| {
        let paths =
            ["KV/Range", "KV/Put", "KV/Txn", "Watch/Watch"].map(|path| format!("/etcdserverpb.{path}"));
        paths.map(|path| {
            [false, true].map(|is_answer| {
                let of = |pieces: &[&[u8]]| flowed(&all, PREFIX, &path, is_answer, pieces);
                let bytes: Vec<&[u8]> = input.chunks(1).collect();
                let apart = of(&bytes);
                for at in [0, input.len() / 2, input.len().saturating_sub(1)] {
                    let (first, second) = input.split_at(at);
                    let (passed, end) = of(&[first, second]);
                    assert_eq!(end, apart.1, "{path}, cut at {at}");
                    // Nothing of the data in which it ends is passed on.
                    assert!(apart.0.starts_with(&passed), "{path}, cut at {at}");
                    assert!(end.is_some() || passed == apart.0, "{path}, cut at {at}");
                }
                if !is_answer {
                    assert_eq!(apart.0, naive(&path, input), "{path}");
                }
                (apart.0.len(), apart.1.map(|code| code as u8))
            })
        })
    });
}

/// Message by message, up to the first that is refused.
fn naive(path: &str, mut stream: &[u8]) -> Vec<u8> {
    let mut passed = Vec::new();
    while let Some((&[flag, a, b, c, d], rest)) = stream.split_first_chunk() {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > LENGTH_MAX {
            return passed;
        }
        let Some((message, rest)) = rest.split_at_checked(length) else { break };
        let edited = edited_request(PREFIX, path, message).filter(|_| flag == 0);
        let Some(edited) = edited else { return passed };
        passed.push(0);
        passed.extend_from_slice(&(edited.len() as u32).to_be_bytes());
        passed.extend_from_slice(&edited);
        stream = rest;
    }
    passed.extend_from_slice(stream);
    passed
}
