//! Streams of JSON, line by line.

use bytes::Bytes;

use super::engine::Target;
use crate::proxy::in_lines;

#[test]
fn lines_are_put_together_and_nothing_is_changed() {
    let target = Target { name: "lines", words: &[b"\n", b"\n\n", b"{}\n"] };
    target.run(|input| {
        let length = usize::from(input.first().copied().unwrap_or(0) % 32) + 1;
        let parts: Vec<Bytes> = input.chunks(length).map(Bytes::copy_from_slice).collect();
        let (lines, held) = in_lines(parts.clone(), usize::MAX);
        assert_eq!(lines.concat(), input);
        assert_eq!(held, 0);
        if let Some((_, whole)) = lines.split_last() {
            assert!(whole.iter().all(|line| line.ends_with(b"\n")), "{whole:?}");
        }
        // Each as it came, but for nothing.
        let (pieces, held) = in_lines(parts.clone(), 0);
        assert_eq!((pieces, held), (parts, 0));
        lines.len()
    });
}
