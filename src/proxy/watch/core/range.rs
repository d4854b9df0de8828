//! Which keys a watch is about.

use std::cmp::Ordering;

use bytes::Bytes;

/// A half-open interval of keys, never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Range {
    start: Bytes,
    end: End,
}

/// The first key behind a range. The order of the variants is the order of the ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum End {
    Before(Bytes),
    /// There is no such key.
    Never,
}

/// No key is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy::watch) struct EmptyRange;

impl Range {
    /// As etcd reads `key` and `range_end` of a `WatchCreateRequest`: an empty key is the zero byte,
    /// no end is one key, the zero byte as the end is none (`recvLoop` of its
    /// `server/etcdserver/api/v3rpc/watch.go`, `Watch` of `server/storage/mvcc/watcher.go`).
    pub(in crate::proxy::watch) fn try_new(key: &[u8], range_end: &[u8]) -> Result<Self, EmptyRange> {
        let key = if key.is_empty() { ZERO } else { key };
        // Copies, because a slice would keep the client's whole frame in memory.
        let start = Bytes::copy_from_slice(key);
        let end = match range_end {
            [] => End::Before([key, ZERO].concat().into()),
            ZERO => End::Never,
            end if end <= key => return Err(EmptyRange),
            end => End::Before(Bytes::copy_from_slice(end)),
        };
        Ok(Self { start, end })
    }

    /// All keys that begin so.
    pub(in crate::proxy::watch) fn of_prefix(prefix: &[u8]) -> Self {
        let start = if prefix.is_empty() { ZERO } else { prefix };
        Self { start: Bytes::copy_from_slice(start), end: behind(prefix) }
    }

    /// `key` and `range_end` of a `WatchCreateRequest` for it.
    pub fn wire(&self) -> (Bytes, Bytes) {
        let range_end = match &self.end {
            End::Before(end) if end.strip_suffix(ZERO) == Some(&self.start[..]) => Bytes::new(),
            End::Before(end) => end.clone(),
            End::Never => Bytes::from_static(ZERO),
        };
        (self.start.clone(), range_end)
    }

    /// Where it is all keys that begin so.
    pub fn prefix(&self) -> Option<&[u8]> {
        let prefix = if self.start == ZERO { &[] } else { &self.start[..] };
        (behind(prefix) == self.end).then_some(prefix)
    }

    pub fn includes(&self, key: &[u8]) -> bool {
        self.start <= key && self.end.is_behind(key)
    }

    pub fn contains(&self, other: &Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    pub(super) fn start(&self) -> &[u8] {
        &self.start
    }

    pub(super) fn end(&self) -> &End {
        &self.end
    }
}

impl End {
    pub fn is_behind(&self, key: &[u8]) -> bool {
        match self {
            Self::Before(end) => end[..].cmp(key) == Ordering::Greater,
            Self::Never => true,
        }
    }
}

/// Behind all keys that begin so: the last byte is raised that can be
/// (`GetPrefixRangeEnd` of etcd's `client/v3/op.go`).
fn behind(prefix: &[u8]) -> End {
    match prefix.iter().rposition(|byte| *byte < u8::MAX) {
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            End::Before(end.into())
        }
        None => End::Never,
    }
}

const ZERO: &[u8] = &[0];

#[cfg(test)]
mod tests {
    use super::*;

    fn range(key: &str, range_end: &str) -> Range {
        Range::try_new(key.as_bytes(), range_end.as_bytes()).unwrap()
    }

    #[test]
    fn a_range_is_read_as_etcd_does() {
        assert!(range("a", "").includes(b"a"));
        assert!(!range("a", "").includes(b"a\0"));
        assert!(!range("a", "").includes(b"b"));
        assert!(range("a", "c").includes(b"bzz"));
        assert!(!range("a", "c").includes(b"c"));
        assert!(range("a", "\0").includes(&[0xff; 9]));
        assert!(!range("b", "\0").includes(b"a"));
        assert!(range("", "\0").includes(b"\0"));
        assert!(range("", "").includes(b"\0"));
        assert!(!range("", "").includes(b"a"));
        for (key, end) in [("b", "a"), ("b", "b"), ("\0", "\0x"), ("b", "\0\0")] {
            let expected = (key != "\0").then_some(EmptyRange);
            assert_eq!(Range::try_new(key.as_bytes(), end.as_bytes()).err(), expected, "{key:?} {end:?}");
        }
    }

    #[test]
    fn a_range_is_written_as_it_was_read() {
        for (key, end) in [("a", ""), ("a", "b"), ("a", "\0"), ("a\0", ""), ("\0", "\0")] {
            assert_eq!(range(key, end).wire(), (Bytes::from(key), Bytes::from(end)));
        }
        assert_eq!(range("", "").wire(), (Bytes::from("\0"), Bytes::new()));
    }

    #[test]
    fn a_prefix_is_the_range_that_clients_make_of_it() {
        for (prefix, key, end) in [
            (&b"/a/"[..], &b"/a/"[..], &b"/a0"[..]),
            (b"a\xff", b"a\xff", b"b"),
            (b"", b"", b"\0"),
            (b"\xff", b"\xff", b"\0"),
        ] {
            let range = Range::of_prefix(prefix);
            assert_eq!(range, Range::try_new(key, end).unwrap());
            assert_eq!(range.prefix(), Some(prefix));
        }
    }

    #[test]
    fn not_every_range_is_a_prefix() {
        for (key, end) in [("a", ""), ("a", "c"), ("a", "\0"), ("", ""), ("a", "a\u{1}")] {
            assert_eq!(range(key, end).prefix(), None, "{key:?} {end:?}");
        }
    }

    #[test]
    fn a_wider_range_contains_a_narrower_one() {
        assert!(range("a", "c").contains(&range("b", "")));
        assert!(range("a", "c").contains(&range("a", "c")));
        assert!(range("a", "\0").contains(&range("b", "\0")));
        assert!(range("a", "\0").contains(&range("b", "zzz")));
        assert!(!range("a", "c").contains(&range("b", "d")));
        assert!(!range("a", "c").contains(&range("b", "\0")));
        assert!(!range("b", "c").contains(&range("a", "c")));
    }
}
