//! Which reads wait for which call. Pure.
//!
//! ```text
//!   the first two of a kind ─> flights ──> land; whoever waits by then becomes the next flight
//!   others ─> joined (takes the answer of one), or open (waits for the next)
//! ```
//!
//! Invariants: of equal reads two are under way, apart from those that were overtaken, so that only
//! a crowd waits; whoever is open when a flight begins is its member, and nobody else is; nothing
//! is sent for those who have left.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::mem;
use std::time::{Duration, Instant};

/// Somebody who waits, and may leave.
pub(super) trait Waits {
    fn is_here(&self) -> bool;
}

pub(super) struct Table<K, W> {
    entries: HashMap<u64, Entry<K, W>, BuildHasherDefault<Hashed>>,
    /// Hashes of reads whose answers are long, and until when that is believed.
    long: HashMap<u64, Instant, BuildHasherDefault<Hashed>>,
    made: u64,
}

/// A call under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Flight {
    hash: u64,
    number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// It shares nothing: another read has the same hash, or answers to such ones are long.
    Alone,
    /// It is sent, and others may join it.
    First(Flight),
    /// Enough are under way, this one and perhaps others.
    Under(Flight),
}

/// Whom a call that has ended is about.
#[derive(Debug)]
pub(super) struct Landed<W> {
    /// For whom it was sent.
    pub members: Vec<W>,
    /// Who joined it on its way.
    pub joined: Vec<W>,
    /// Who has waited for it and need not wait for another: answers of this kind are not shared.
    pub released: Vec<W>,
    /// To be sent now.
    pub next: Option<Flight>,
}

struct Entry<K, W> {
    key: K,
    /// Under way, in the order in which they were sent.
    calls: Vec<Call<W>>,
    open: Vec<W>,
}

struct Call<W> {
    number: u64,
    members: Vec<W>,
    joined: Vec<W>,
    /// It took long, and nobody waits for its end.
    overtaken: bool,
}

impl<K, W> Default for Table<K, W> {
    fn default() -> Self {
        Self { entries: HashMap::default(), long: HashMap::default(), made: 0 }
    }
}

impl<K: PartialEq, W: Waits> Table<K, W> {
    /// `joins` where an answer under way will do.
    pub fn enter(&mut self, hash: u64, key: K, joins: bool, now: Instant) -> Entered {
        if self.is_long(hash, now) {
            return Entered::Alone;
        }
        let number = self.number();
        let Some(entry) = self.entries.get_mut(&hash) else {
            let calls = vec![Call::new(number, Vec::new())];
            self.entries.insert(hash, Entry { key, calls, open: Vec::new() });
            return Entered::First(Flight { hash, number });
        };
        if entry.key != key {
            return Entered::Alone;
        }
        match entry.newest() {
            Some(newest) if joins || !entry.has_room() => Entered::Under(Flight { hash, number: newest }),
            _ => {
                entry.calls.push(Call::new(number, Vec::new()));
                Entered::First(Flight { hash, number })
            }
        }
    }

    /// Joins the call, or waits for the next one. The call is that of `enter` just before.
    pub fn wait(&mut self, flight: Flight, joins: bool, waiter: W) {
        let Some(entry) = self.entries.get_mut(&flight.hash) else { return };
        match entry.calls.iter_mut().find(|call| call.number == flight.number) {
            Some(call) if joins => call.joined.push(waiter),
            _ => entry.open.push(waiter),
        }
    }

    /// For whom the call is sent.
    pub fn members(&mut self, flight: Flight) -> &mut [W] {
        self.call(flight).map_or(&mut [], |call| &mut call.members)
    }

    /// Who waits for the call.
    pub fn waiters(&mut self, flight: Flight) -> impl Iterator<Item = &mut W> {
        self.call(flight).into_iter().flat_map(|call| call.members.iter_mut().chain(&mut call.joined))
    }

    /// The call has ended. `whole` says whether answers of its kind can be shared.
    pub fn land(&mut self, flight: Flight, whole: bool, now: Instant) -> Landed<W> {
        let Some(Call { members, joined, .. }) = self.take(flight) else {
            return Landed { members: Vec::new(), joined: Vec::new(), released: Vec::new(), next: None };
        };
        let mut released = Vec::new();
        if !whole {
            self.on_long(flight.hash, now);
            if let Some(entry) = self.entries.get_mut(&flight.hash) {
                released = mem::take(&mut entry.open);
            }
        }
        Landed { members, joined, released, next: self.depart(flight.hash) }
    }

    /// The call has ended without an outcome: whoever waited for it waits for the next.
    pub fn abandon(&mut self, flight: Flight) -> Option<Flight> {
        let Call { members, joined, .. } = self.take(flight)?;
        let entry = self.entries.get_mut(&flight.hash)?;
        entry.open.extend(members.into_iter().chain(joined));
        self.depart(flight.hash)
    }

    /// The call takes long: whoever waits for its end is sent for now.
    pub fn overtake(&mut self, flight: Flight) -> Option<Flight> {
        let entry = self.entries.get_mut(&flight.hash)?;
        let call = entry.calls.iter_mut().find(|call| call.number == flight.number && !call.overtaken)?;
        call.overtaken = true;
        entry.open.append(&mut call.joined);
        self.depart(flight.hash)
    }

    /// Takes the call out. Its entry stays, for `depart` to look after.
    fn take(&mut self, flight: Flight) -> Option<Call<W>> {
        let calls = &mut self.entries.get_mut(&flight.hash)?.calls;
        let at = calls.iter().position(|call| call.number == flight.number)?;
        Some(calls.remove(at))
    }

    /// Makes a call of whoever is open, if there is room for one.
    fn depart(&mut self, hash: u64) -> Option<Flight> {
        let number = self.number();
        let entry = self.entries.get_mut(&hash)?;
        entry.open.retain(W::is_here);
        if entry.open.is_empty() {
            if entry.calls.is_empty() {
                self.entries.remove(&hash);
            }
            return None;
        }
        if !entry.has_room() {
            return None;
        }
        entry.calls.push(Call::new(number, mem::take(&mut entry.open)));
        Some(Flight { hash, number })
    }

    fn call(&mut self, flight: Flight) -> Option<&mut Call<W>> {
        let entry = self.entries.get_mut(&flight.hash)?;
        entry.calls.iter_mut().find(|call| call.number == flight.number)
    }

    fn is_long(&mut self, hash: u64, now: Instant) -> bool {
        match self.long.get(&hash) {
            Some(until) if now < *until => true,
            Some(_) => {
                self.long.remove(&hash);
                false
            }
            None => false,
        }
    }

    fn on_long(&mut self, hash: u64, now: Instant) {
        if self.long.len() >= LONG_MAX {
            self.long.clear();
        }
        self.long.insert(hash, now + LONG_FOR);
    }

    fn number(&mut self) -> u64 {
        self.made += 1;
        self.made
    }
}

impl<K, W> Entry<K, W> {
    /// Of those that are worth waiting for.
    fn newest(&self) -> Option<u64> {
        self.calls.iter().rfind(|call| !call.overtaken).map(|call| call.number)
    }

    fn has_room(&self) -> bool {
        self.calls.iter().filter(|call| !call.overtaken).count() < CALLS_MAX
    }
}

impl<W> Call<W> {
    fn new(number: u64, members: Vec<W>) -> Self {
        Self { number, members, joined: Vec::new(), overtaken: false }
    }
}

/// Under way for equal reads. With one, the second of two readers would wait for the first and
/// save nothing by it.
const CALLS_MAX: usize = 2;

/// How long after a long answer others of its kind are not waited for.
const LONG_FOR: Duration = Duration::from_secs(5);

/// So many reads with long answers are remembered.
const LONG_MAX: usize = 1024;

/// The keys are hashes already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("the keys are numbers");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who has left has a negative number.
    impl Waits for i32 {
        fn is_here(&self) -> bool {
            *self >= 0
        }
    }

    struct Reads(Table<&'static str, i32>, Instant);

    impl Reads {
        fn new() -> Self {
            Self(Table::default(), Instant::now())
        }

        fn first(&mut self, joins: bool) -> Flight {
            match self.0.enter(1, "a", joins, self.1) {
                Entered::First(flight) => flight,
                other => panic!("{other:?}"),
            }
        }

        /// Two are under way.
        fn busy() -> (Self, Flight, Flight) {
            let mut reads = Self::new();
            let (one, other) = (reads.first(false), reads.first(false));
            (reads, one, other)
        }

        fn wait(&mut self, joins: bool, waiter: i32) -> Flight {
            match self.0.enter(1, "a", joins, self.1) {
                Entered::Under(flight) => {
                    self.0.wait(flight, joins, waiter);
                    flight
                }
                other => panic!("{other:?}"),
            }
        }

        fn land(&mut self, flight: Flight) -> Landed<i32> {
            self.0.land(flight, true, self.1)
        }

        fn is_empty(&self) -> bool {
            self.0.entries.is_empty()
        }
    }

    #[test]
    fn who_comes_while_two_are_under_way_waits_for_the_next() {
        let (mut reads, one, other) = Reads::busy();
        for waiter in 0..3 {
            assert_eq!(reads.wait(false, waiter), other);
        }
        let landed = reads.land(one);
        assert_eq!((landed.members, landed.joined, landed.released), (vec![], vec![], vec![]));
        let batch = landed.next.unwrap();
        assert_eq!(reads.0.members(batch), [0, 1, 2]);
        reads.wait(false, 3);
        assert_eq!(reads.0.members(batch), [0, 1, 2], "it came after the batch was sent");
        let next = reads.land(other).next.unwrap();
        assert_eq!(reads.land(batch).members, [0, 1, 2]);
        let landed = reads.land(next);
        assert_eq!((landed.members, landed.next), (vec![3], None));
        assert!(reads.is_empty());
    }

    #[test]
    fn who_may_joins_the_call_that_is_under_way() {
        let mut reads = Reads::new();
        let alone = reads.first(true);
        reads.wait(true, 0);
        assert_eq!(reads.0.waiters(alone).count(), 1);
        let landed = reads.land(alone);
        assert_eq!((landed.joined, landed.next), (vec![0], None));
        assert!(reads.is_empty());
    }

    #[test]
    fn nobody_waits_for_answers_that_are_not_shared() {
        let (mut reads, one, other) = Reads::busy();
        reads.wait(false, 0);
        let landed = reads.0.land(one, false, reads.1);
        assert_eq!((landed.released, landed.next), (vec![0], None));
        assert_eq!(reads.0.enter(1, "a", false, reads.1), Entered::Alone);
        reads.land(other);
        assert!(reads.is_empty());
        reads.1 += LONG_FOR;
        reads.first(false);
    }

    #[test]
    fn who_waits_for_a_call_that_is_given_up_gets_another() {
        let (mut reads, one, other) = Reads::busy();
        reads.wait(false, 0);
        reads.wait(false, 1);
        let batch = reads.0.abandon(one).unwrap();
        assert_eq!(reads.0.members(batch), [0, 1]);
        reads.land(other);
        // Who has left meanwhile is not asked for again.
        reads.0.members(batch)[0] = -1;
        let batch = reads.0.abandon(batch).unwrap();
        assert_eq!(reads.0.members(batch), [1]);
        reads.0.members(batch)[0] = -1;
        assert_eq!(reads.0.abandon(batch), None);
        assert!(reads.is_empty());
    }

    #[test]
    fn nothing_is_sent_for_those_who_have_left() {
        let (mut reads, one, other) = Reads::busy();
        reads.wait(false, -1);
        assert_eq!(reads.0.overtake(one), None);
        assert_eq!(reads.land(other).next, None);
        assert_eq!(reads.land(one).next, None);
        assert!(reads.is_empty());
    }

    #[test]
    fn a_call_that_takes_long_is_overtaken_once() {
        let (mut reads, _other, stuck) = Reads::busy();
        reads.wait(false, 0);
        assert_eq!(reads.wait(false, 1), stuck);
        let batch = reads.0.overtake(stuck).unwrap();
        assert_eq!(reads.0.overtake(stuck), None);
        reads.wait(false, 2);
        assert_eq!(reads.land(stuck).next, None, "two are under way");
        let landed = reads.land(batch);
        assert_eq!(landed.members, [0, 1]);
        assert_eq!(reads.land(landed.next.unwrap()).members, [2]);
    }

    #[test]
    fn who_comes_after_a_call_was_overtaken_does_not_wait_for_it() {
        let (mut reads, one, stuck) = Reads::busy();
        reads.wait(false, 0);
        let batch = reads.0.overtake(stuck).unwrap();
        reads.land(one);
        reads.land(batch);
        for _ in 0..3 {
            let flight = reads.first(false);
            reads.land(flight);
        }
        assert_eq!(reads.land(stuck).next, None);
        assert!(reads.is_empty());
    }

    #[test]
    fn who_joined_a_call_that_takes_long_leaves_it() {
        let mut reads = Reads::new();
        let stuck = reads.first(true);
        reads.wait(true, 0);
        let batch = reads.0.overtake(stuck).unwrap();
        assert_eq!(reads.0.members(batch), [0]);
        assert!(reads.land(stuck).joined.is_empty());
    }

    #[test]
    fn reads_that_only_look_the_same_share_nothing() {
        let mut reads = Reads::new();
        let alone = reads.first(false);
        assert_eq!(reads.0.enter(1, "b", false, reads.1), Entered::Alone);
        assert!(matches!(reads.0.enter(2, "b", false, reads.1), Entered::First(_)));
        assert_eq!(reads.land(alone).next, None);
    }
}
