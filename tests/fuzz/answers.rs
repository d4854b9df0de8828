//! The revisions that pass by in answers, in gRPC and in JSON.

use super::engine::Target;
use crate::proxy::peek::{self, Headers, json};

#[test]
fn the_headers_of_a_stream_do_not_depend_on_how_it_is_cut() {
    let target = Target {
        name: "answers",
        words: &[b"\0\0\0\0\x08", b"\x08\x01\x10\x02\x18\x03", b"\"revision\":\"7\""],
    };
    target.run(|input| {
        let of = |pieces: &[&[u8]]| {
            let (mut headers, mut found) = (Headers::new(), Vec::new());
            pieces.iter().for_each(|piece| headers.on_data(piece, |header| found.push(header)));
            found
        };
        let whole = of(&[input]);
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(of(&bytes), whole, "byte by byte");
        for at in [1, input.len() / 2, input.len().saturating_sub(1)] {
            let (first, second) = input.split_at(at.min(input.len()));
            assert_eq!(of(&[first, second]), whole, "cut at {at}");
        }
        if let Some(first) = peek::header(input) {
            assert_eq!(whole.first(), Some(&first));
        }
        let revision = |header: peek::Header| header.revision;
        (
            whole.len(),
            whole.first().copied().map(revision),
            json::header(input).map(revision),
            peek::kept_alive(input),
        )
    });
}
