//! What becomes of one key, or of the end of a range.

use bytes::Bytes;

use super::messages::Key;

/// A prefix, and the first key behind all that begin with it.
#[derive(Clone, Debug)]
pub(super) struct Namespace {
    prefix: Bytes,
    end: Bytes,
}

/// A key in an answer that is not of the namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outside;

impl Namespace {
    pub fn new(prefix: &Bytes) -> Self {
        Self { prefix: prefix.clone(), end: end_of(prefix) }
    }

    /// The value that takes the place of this one, in two parts. `None` leaves the field out.
    pub fn edit<'a>(&'a self, key: Key, value: &'a [u8]) -> Result<Option<[&'a [u8]; 2]>, Outside> {
        let prefix = &self.prefix[..];
        Ok(Some(match (key, value) {
            // A single key, as before.
            (Key::End | Key::Refused, b"") => [b"", b""],
            (Key::End, b"\0") => [&self.end, b""],
            (Key::Or(instead), b"") => [prefix, instead],
            (Key::End | Key::Or(_) | Key::Refused, value) => [prefix, value],
            (Key::Answered, value) => match value.strip_prefix(prefix).ok_or(Outside)? {
                // As everybody writes an empty field.
                b"" => return Ok(None),
                key => [b"", key],
            },
            (Key::Listed, value) => match value.strip_prefix(prefix) {
                None | Some(b"") => return Ok(None),
                Some(key) => [b"", key],
            },
        }))
    }
}

/// The end of the range of all keys that begin with `prefix`, as etcd writes it: one zero byte
/// stands for no end. Without the bytes behind the one that is raised: `a\xff` ends at `b`, and
/// not at `b\0`, which would let the key `b` in.
pub fn end_of(prefix: &[u8]) -> Bytes {
    match prefix.iter().rposition(|byte| *byte < 0xff) {
        None => Bytes::from_static(b"\0"),
        Some(last) => {
            let mut end = prefix[..=last].to_vec();
            end[last] += 1;
            end.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(prefix: &'static [u8], key: Key, value: &[u8]) -> Result<Option<Vec<u8>>, Outside> {
        let namespace = Namespace::new(&Bytes::from_static(prefix));
        Ok(namespace.edit(key, value)?.map(|parts| parts.concat()))
    }

    #[test]
    fn ranges_become_those_of_the_namespace() {
        let request = |prefix, key, value: &[u8]| edit(prefix, key, value).unwrap().unwrap();
        assert_eq!(request(b"/a/", Key::Refused, b"k"), b"/a/k");
        assert_eq!(request(b"/a/", Key::Refused, b"\0"), b"/a/\0");
        assert_eq!(request(b"/a/", Key::Refused, b""), b"", "etcd refuses it");
        assert_eq!(request(b"/a/", Key::End, b""), b"", "a single key");
        assert_eq!(request(b"/a/", Key::End, b"l"), b"/a/l");
        assert_eq!(request(b"/a/", Key::End, b"\0\0"), b"/a/\0\0");
        assert_eq!(request(b"/a/", Key::End, b"\0"), b"/a0");
        assert_eq!(request(b"a\xff", Key::End, b"\0"), b"b");
        assert_eq!(request(b"\xfe\xff\xff", Key::End, b"\0"), b"\xff");
        assert_eq!(request(b"\xff\xff", Key::End, b"\0"), b"\0");
        assert_eq!(request(b"/a/", Key::Or(b"\0"), b""), b"/a/\0");
        assert_eq!(request(b"/a/", Key::Or(b"\0"), b"k"), b"/a/k");
        assert_eq!(request(b"/a/", Key::Or(b""), b""), b"/a/");
    }

    #[test]
    fn answers_lose_the_prefix_and_nothing_else_gets_out() {
        assert_eq!(edit(b"/a/", Key::Answered, b"/a/k"), Ok(Some(b"k".to_vec())));
        assert_eq!(edit(b"/a/", Key::Answered, b"/a/"), Ok(None));
        assert_eq!(edit(b"/a/", Key::Answered, b"/b/k"), Err(Outside));
        assert_eq!(edit(b"/a/", Key::Answered, b"/a"), Err(Outside));
        assert_eq!(edit(b"/a/", Key::Answered, b""), Err(Outside));
        assert_eq!(edit(b"/a/", Key::Listed, b"/a/k"), Ok(Some(b"k".to_vec())));
        for outside in [b"/b/k".as_slice(), b"/a", b"", b"/a/"] {
            assert_eq!(edit(b"/a/", Key::Listed, outside), Ok(None), "{outside:?}");
        }
    }

    /// Every key of the range that a client asks for is in the namespace, and it is all that would be
    /// in the range if the namespace were all there is.
    #[test]
    fn a_range_holds_the_same_keys_as_without_a_namespace() {
        let alphabet = [0, 1, b'a', 0xfe, 0xff];
        let mut random = fastrand::Rng::with_seed(1);
        let text = |random: &mut fastrand::Rng, least| -> Vec<u8> {
            (0..random.usize(least..4)).map(|_| alphabet[random.usize(..alphabet.len())]).collect()
        };
        let holds = |begin: &[u8], end: &[u8], key: &[u8]| match end {
            b"" => key == begin,
            b"\0" => key >= begin,
            end => key >= begin && key < end,
        };
        for _ in 0..100_000 {
            let prefix = text(&mut random, 1);
            let (key, end) = (text(&mut random, 1), text(&mut random, 0));
            let namespace = Namespace::new(&Bytes::from(prefix.clone()));
            let begun = namespace.edit(Key::Refused, &key).unwrap().unwrap().concat();
            let ended = namespace.edit(Key::End, &end).unwrap().unwrap().concat();
            for _ in 0..4 {
                let stored = if random.bool() { text(&mut random, 1) } else { Vec::new() };
                let stored =
                    [if random.bool() { prefix.clone() } else { text(&mut random, 0) }, stored].concat();
                let expected = match stored.strip_prefix(&prefix[..]) {
                    None | Some(b"") => false,
                    Some(inner) => holds(&key, &end, inner),
                };
                assert_eq!(holds(&begun, &ended, &stored), expected, "{prefix:?} {key:?} {end:?} {stored:?}");
            }
        }
    }
}
