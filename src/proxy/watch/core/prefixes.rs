//! What is configured for the watches below a prefix.

use super::Range;
use crate::proxy::watch::config::Prefix;

/// Those that do not share.
pub(super) struct Prefixes {
    /// Longer ones first. They are few.
    entries: Vec<(Range, bool)>,
}

impl Prefixes {
    pub fn new(prefixes: &[Prefix]) -> Self {
        let mut entries: Vec<&Prefix> = prefixes.iter().collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.prefix.len()));
        let entries = entries.into_iter().map(|entry| (Range::of_prefix(&entry.prefix), entry.coalesce));
        Self { entries: entries.collect() }
    }

    /// Whether a watch of this range shares its feed: as the longest prefix around it says, if any.
    pub fn coalesce(&self, range: &Range) -> bool {
        self.entries.iter().find(|(around, _)| around.contains(range)).is_none_or(|(_, coalesce)| *coalesce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_around_the_whole_range_counts() {
        let entry = |prefix: &str, coalesce| Prefix { coalesce, ..Prefix::of(prefix.as_bytes()) };
        let prefixes = Prefixes::new(&[entry("/a/", false), entry("/a/b/", true), entry("/a/b/c", false)]);
        let coalesce = |key: &str, end: &str| {
            prefixes.coalesce(&Range::try_new(key.as_bytes(), end.as_bytes()).unwrap())
        };
        assert!(coalesce("/b", ""));
        assert!(!coalesce("/a/", "/a0"));
        assert!(coalesce("/a/b/", "/a/b0"));
        assert!(coalesce("/a/b/b", "/a/b/d"), "not wholly inside the longest");
        assert!(!coalesce("/a/b/c", ""));
        assert!(coalesce("/", "/a/z"), "not wholly inside any");
        assert!(!Prefixes::new(&[entry("", false)]).coalesce(&Range::try_new(b"", b"\0").unwrap()));
    }
}
