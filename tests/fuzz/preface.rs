//! What a client speaks, by its first bytes.

use super::engine::Target;
use crate::listen::sniff::judge;

#[test]
fn a_protocol_is_found_once_and_stays() {
    let target =
        Target { name: "preface", words: &[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"POST / HTTP/1.1\r\n"] };
    target.run(|input| {
        // However the bytes come: what is certain of a beginning holds for all that begins so.
        let ahead = &input[..input.len().min(24)];
        let first =
            (1..=ahead.len()).find_map(|length| judge(&ahead[..length], false).map(|it| (length, it)));
        if let Some((length, protocol)) = first {
            assert!((length..=ahead.len()).all(|longer| judge(&ahead[..longer], false) == Some(protocol)));
        } else {
            assert!(ahead.is_empty() || judge(ahead, true).is_some(), "the end decides");
        }
        first.map(|(length, protocol)| (length, format!("{protocol:?}")))
    });
}
