//! Which of many ranges a key is in.
//!
//! A binary search tree by the start of the ranges, in which each node knows the farthest end
//! below it (Cormen et al., Introduction to Algorithms, 'interval trees'), so that a look-up costs
//! what it finds. It is kept flat as a treap: a heap by priorities that are as good as random
//! (Seidel and Aragon, Randomized search trees, 1996), and the same for the same history.

use super::range::Range;

pub(super) struct Index<V> {
    nodes: Vec<Node<V>>,
    free: Vec<u32>,
    root: u32,
    made: u64,
}

struct Node<V> {
    range: Range,
    value: V,
    priority: u64,
    left: u32,
    right: u32,
    /// The node with the farthest end of this subtree.
    farthest: u32,
}

impl<V: Copy + Ord> Index<V> {
    pub fn new() -> Self {
        Self { nodes: Vec::new(), free: Vec::new(), root: NONE, made: 0 }
    }

    /// One range may have several values.
    pub fn insert(&mut self, range: Range, value: V) {
        self.made += 1;
        let node =
            Node { range, value, priority: scattered(self.made), left: NONE, right: NONE, farthest: NONE };
        let at = if let Some(at) = self.free.pop() {
            self.nodes[at as usize] = node;
            at
        } else {
            self.nodes.push(node);
            u32::try_from(self.nodes.len() - 1).expect("memory ends before that many ranges")
        };
        let (below, above) = self.split(self.root, at);
        self.update(at);
        let below = self.merge(below, at);
        self.root = self.merge(below, above);
    }

    pub fn remove(&mut self, range: &Range, value: V) {
        self.root = self.removed(self.root, range, value);
    }

    /// Calls `found` for each range with this key.
    pub fn stab(&self, key: &[u8], mut found: impl FnMut(&Range, V)) {
        self.stab_below(self.root, key, &mut found);
    }

    /// Calls `found` for each range that is inside `outer`.
    pub fn within(&self, outer: &Range, mut found: impl FnMut(V)) {
        self.within_below(self.root, outer, &mut found);
    }

    fn stab_below(&self, at: u32, key: &[u8], found: &mut impl FnMut(&Range, V)) {
        let Some(node) = self.nodes.get(at as usize) else { return };
        if !self.nodes[node.farthest as usize].range.end().is_behind(key) {
            return;
        }
        self.stab_below(node.left, key, found);
        if node.range.start() <= key {
            if node.range.end().is_behind(key) {
                found(&node.range, node.value);
            }
            self.stab_below(node.right, key, found);
        }
    }

    fn within_below(&self, at: u32, outer: &Range, found: &mut impl FnMut(V)) {
        let Some(node) = self.nodes.get(at as usize) else { return };
        if node.range.start() >= outer.start() {
            self.within_below(node.left, outer, found);
            if outer.contains(&node.range) {
                found(node.value);
            }
        }
        if outer.end().is_behind(node.range.start()) {
            self.within_below(node.right, outer, found);
        }
    }

    /// The subtree without one of its nodes.
    fn removed(&mut self, at: u32, range: &Range, value: V) -> u32 {
        let Some(node) = self.nodes.get(at as usize) else { return NONE };
        let (left, right) = (node.left, node.right);
        match (range, value).cmp(&(&node.range, node.value)) {
            std::cmp::Ordering::Equal => {
                self.free.push(at);
                return self.merge(left, right);
            }
            std::cmp::Ordering::Less => self.nodes[at as usize].left = self.removed(left, range, value),
            std::cmp::Ordering::Greater => self.nodes[at as usize].right = self.removed(right, range, value),
        }
        self.update(at);
        at
    }

    /// What is below the node `pivot` in the order, and what is not.
    fn split(&mut self, at: u32, pivot: u32) -> (u32, u32) {
        if at == NONE {
            return (NONE, NONE);
        }
        if self.order(at) < self.order(pivot) {
            let (below, above) = self.split(self.nodes[at as usize].right, pivot);
            self.nodes[at as usize].right = below;
            self.update(at);
            (at, above)
        } else {
            let (below, above) = self.split(self.nodes[at as usize].left, pivot);
            self.nodes[at as usize].left = above;
            self.update(at);
            (below, at)
        }
    }

    /// Everything in `below` is before everything in `above`.
    fn merge(&mut self, below: u32, above: u32) -> u32 {
        match (self.nodes.get(below as usize), self.nodes.get(above as usize)) {
            (None, _) => above,
            (_, None) => below,
            (Some(left), Some(right)) => {
                if left.priority > right.priority {
                    let merged = self.merge(left.right, above);
                    self.nodes[below as usize].right = merged;
                    self.update(below);
                    below
                } else {
                    let merged = self.merge(below, right.left);
                    self.nodes[above as usize].left = merged;
                    self.update(above);
                    above
                }
            }
        }
    }

    fn update(&mut self, at: u32) {
        let node = &self.nodes[at as usize];
        let mut farthest = at;
        for child in [node.left, node.right] {
            if let Some(child) = self.nodes.get(child as usize)
                && self.nodes[child.farthest as usize].range.end() > self.nodes[farthest as usize].range.end()
            {
                farthest = child.farthest;
            }
        }
        self.nodes[at as usize].farthest = farthest;
    }

    fn order(&self, at: u32) -> (&Range, V) {
        let node = &self.nodes[at as usize];
        (&node.range, node.value)
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
fn scattered(count: u64) -> u64 {
    let mut bits = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn any_range(random: &mut fastrand::Rng) -> Range {
        let mut key = || vec![b'a' + random.u8(..4); random.usize(1..3)];
        let (key, mut end) = (key(), key());
        match random.u8(..6) {
            0 => end.clear(),
            1 => end = vec![0],
            _ => {}
        }
        Range::try_new(&key, &end).unwrap_or_else(|_| Range::try_new(&key, b"").unwrap())
    }

    #[test]
    fn the_index_finds_what_a_scan_finds() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut index, mut all) = (Index::new(), Vec::new());
            for step in 0..80 {
                if random.u8(..3) > 0 || all.is_empty() {
                    let range = any_range(&mut random);
                    index.insert(range.clone(), step);
                    all.push((range, step));
                } else {
                    let (range, value) = all.swap_remove(random.usize(..all.len()));
                    index.remove(&range, value);
                }
                let outer = any_range(&mut random);
                let key = outer.start();
                let scan = |fits: &dyn Fn(&Range) -> bool| {
                    let mut found: Vec<i32> =
                        all.iter().filter(|(range, _)| fits(range)).map(|(_, value)| *value).collect();
                    found.sort_unstable();
                    found
                };
                let (mut stabbed, mut inside) = (Vec::new(), Vec::new());
                index.stab(key, |range, value| {
                    assert!(range.includes(key));
                    stabbed.push(value);
                });
                index.within(&outer, |value| inside.push(value));
                stabbed.sort_unstable();
                inside.sort_unstable();
                assert_eq!(stabbed, scan(&|range| range.includes(key)), "seed {seed}, step {step}");
                assert_eq!(inside, scan(&|range| outer.contains(range)), "seed {seed}, step {step}");
            }
        }
    }

    #[test]
    fn the_index_stays_flat_when_ranges_come_in_order() {
        fn depth(index: &Index<u32>, at: u32) -> usize {
            let Some(node) = index.nodes.get(at as usize) else { return 0 };
            1 + depth(index, node.left).max(depth(index, node.right))
        }
        let mut index = Index::new();
        for count in 0..10_000_u32 {
            index.insert(Range::try_new(&count.to_be_bytes(), b"").unwrap(), count);
        }
        assert!(depth(&index, index.root) < 50);
    }
}
