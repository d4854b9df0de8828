//! Which reads wait for which call. Pure.
//!
//! ```text
//!   first of its kind ─> flight ──────────────> lands; whoever waits becomes the next flight
//!   others ─> joined (takes its answer), or open (waits for the next)
//! ```
//!
//! Invariants: of equal reads one is under way, unless it was overtaken; whoever is open when a
//! flight begins is its member, and nobody else is.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::mem;

/// `W` is somebody who waits.
pub(super) struct Table<K, W> {
    entries: HashMap<u64, Entry<K, W>, BuildHasherDefault<Hashed>>,
    next: u64,
}

/// A call under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Flight {
    hash: u64,
    number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// Another read has the same hash.
    Collides,
    /// Nobody asks for this: it is sent.
    First(Flight),
    /// This is under way.
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
    newest: Call<W>,
    /// What was overtaken and is still under way.
    older: Vec<Call<W>>,
    open: Vec<W>,
}

struct Call<W> {
    number: u64,
    members: Vec<W>,
    joined: Vec<W>,
}

impl<K, W> Default for Table<K, W> {
    fn default() -> Self {
        Self { entries: HashMap::default(), next: 0 }
    }
}

impl<K: PartialEq, W> Table<K, W> {
    pub fn enter(&mut self, hash: u64, key: K) -> Entered {
        match self.entries.get(&hash) {
            None => {
                let newest = Call::new(self.number(), Vec::new());
                let flight = Flight { hash, number: newest.number };
                self.entries.insert(hash, Entry { key, newest, older: Vec::new(), open: Vec::new() });
                Entered::First(flight)
            }
            Some(entry) if entry.key == key => Entered::Under(Flight { hash, number: entry.newest.number }),
            Some(_) => Entered::Collides,
        }
    }

    /// Joins the call, or waits for the next one. The call is that of `enter` just before.
    pub fn wait(&mut self, flight: Flight, joins: bool, waiter: W) {
        let Some(entry) = self.entries.get_mut(&flight.hash) else { return };
        match joins {
            true => entry.newest.joined.push(waiter),
            false => entry.open.push(waiter),
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
    pub fn land(&mut self, flight: Flight, whole: bool) -> Landed<W> {
        let Some(Call { members, joined, .. }) = self.take(flight) else {
            return Landed { members: Vec::new(), joined: Vec::new(), released: Vec::new(), next: None };
        };
        let released = match self.entries.get_mut(&flight.hash) {
            Some(entry) if !whole => mem::take(&mut entry.open),
            _ => Vec::new(),
        };
        Landed { members, joined, released, next: self.depart(flight.hash, false) }
    }

    /// The call has ended without an outcome: whoever waited for it waits for the next.
    pub fn abandon(&mut self, flight: Flight) -> Option<Flight> {
        let Call { members, joined, .. } = self.take(flight)?;
        let entry = self.entries.get_mut(&flight.hash)?;
        entry.open.extend(members.into_iter().chain(joined));
        self.depart(flight.hash, false)
    }

    /// The call takes long: whoever waits for its end is sent for now, if nobody was since.
    pub fn overtake(&mut self, flight: Flight) -> Option<Flight> {
        let entry = self.entries.get_mut(&flight.hash)?;
        if entry.newest.number != flight.number {
            return None;
        }
        entry.open.append(&mut entry.newest.joined);
        self.depart(flight.hash, true)
    }

    /// Takes the call out. Its entry stays, for `depart` to look after.
    fn take(&mut self, flight: Flight) -> Option<Call<W>> {
        let entry = self.entries.get_mut(&flight.hash)?;
        if entry.newest.number == flight.number {
            return Some(mem::replace(&mut entry.newest, Call::new(LANDED, Vec::new())));
        }
        let at = entry.older.iter().position(|call| call.number == flight.number)?;
        Some(entry.older.swap_remove(at))
    }

    /// Makes a call of whoever is open, if none is under way or it is overtaken.
    fn depart(&mut self, hash: u64, overtakes: bool) -> Option<Flight> {
        let number = self.number();
        let entry = self.entries.get_mut(&hash)?;
        let is_free = entry.newest.number == LANDED;
        if entry.open.is_empty() {
            if is_free {
                match entry.older.pop() {
                    Some(call) => entry.newest = call,
                    None => drop(self.entries.remove(&hash)),
                }
            }
            return None;
        }
        if !is_free && !overtakes {
            return None;
        }
        let call = Call::new(number, mem::take(&mut entry.open));
        let before = mem::replace(&mut entry.newest, call);
        if !is_free {
            entry.older.push(before);
        }
        Some(Flight { hash, number })
    }

    fn call(&mut self, flight: Flight) -> Option<&mut Call<W>> {
        let entry = self.entries.get_mut(&flight.hash)?;
        let calls = std::iter::once(&mut entry.newest).chain(&mut entry.older);
        calls.into_iter().find(|call| call.number == flight.number)
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl<W> Call<W> {
    fn new(number: u64, members: Vec<W>) -> Self {
        Self { number, members, joined: Vec::new() }
    }
}

/// In the place of a call that has landed.
const LANDED: u64 = 0;

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

    type Reads = Table<&'static str, u32>;

    fn first(reads: &mut Reads, hash: u64, key: &'static str) -> Flight {
        match reads.enter(hash, key) {
            Entered::First(flight) => flight,
            other => panic!("{other:?}"),
        }
    }

    fn wait(reads: &mut Reads, joins: bool, waiter: u32) -> Flight {
        match reads.enter(1, "a") {
            Entered::Under(flight) => {
                reads.wait(flight, joins, waiter);
                flight
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn who_comes_while_a_call_is_under_way_waits_for_the_next() {
        let mut reads = Reads::default();
        let alone = first(&mut reads, 1, "a");
        for waiter in 0..3 {
            wait(&mut reads, false, waiter);
        }
        let landed = reads.land(alone, true);
        assert_eq!((landed.members, landed.joined, landed.released), (vec![], vec![], vec![]));
        let batch = landed.next.unwrap();
        assert_eq!(reads.members(batch), [0, 1, 2]);
        wait(&mut reads, false, 3);
        assert_eq!(reads.members(batch), [0, 1, 2], "it came after the batch was sent");
        let landed = reads.land(batch, true);
        assert_eq!(landed.members, [0, 1, 2]);
        let batch = landed.next.unwrap();
        let landed = reads.land(batch, true);
        assert_eq!((landed.members, landed.next), (vec![3], None));
        assert!(reads.entries.is_empty());
    }

    #[test]
    fn who_may_joins_the_call_that_is_under_way() {
        let mut reads = Reads::default();
        let alone = first(&mut reads, 1, "a");
        wait(&mut reads, true, 0);
        assert_eq!(reads.waiters(alone).count(), 1);
        let landed = reads.land(alone, true);
        assert_eq!((landed.joined, landed.next), (vec![0], None));
        assert!(reads.entries.is_empty());
    }

    #[test]
    fn nobody_waits_twice_for_answers_that_are_not_shared() {
        let mut reads = Reads::default();
        let alone = first(&mut reads, 1, "a");
        wait(&mut reads, false, 0);
        let landed = reads.land(alone, false);
        assert_eq!((landed.released, landed.next), (vec![0], None));
        assert!(reads.entries.is_empty());
    }

    #[test]
    fn who_waits_for_a_call_that_is_given_up_gets_another() {
        let mut reads = Reads::default();
        let alone = first(&mut reads, 1, "a");
        wait(&mut reads, true, 0);
        wait(&mut reads, false, 1);
        let batch = reads.abandon(alone).unwrap();
        let mut members = reads.members(batch).to_vec();
        members.sort_unstable();
        assert_eq!(members, [0, 1]);
        // And that one may be given up too.
        assert!(reads.abandon(batch).is_some());
    }

    #[test]
    fn a_call_that_takes_long_is_overtaken_once() {
        let mut reads = Reads::default();
        let stuck = first(&mut reads, 1, "a");
        let seen = wait(&mut reads, false, 0);
        wait(&mut reads, false, 1);
        assert_eq!(seen, stuck);
        let batch = reads.overtake(stuck).unwrap();
        assert_eq!(reads.overtake(stuck), None);
        wait(&mut reads, false, 2);
        assert_eq!(reads.land(stuck, true).next, None, "the batch is under way");
        let landed = reads.land(batch, true);
        assert_eq!(landed.members, [0, 1]);
        assert_eq!(reads.land(landed.next.unwrap(), true).members, [2]);
        assert!(reads.entries.is_empty());
    }

    #[test]
    fn who_joined_a_call_that_takes_long_leaves_it() {
        let mut reads = Reads::default();
        let stuck = first(&mut reads, 1, "a");
        wait(&mut reads, true, 0);
        let batch = reads.overtake(stuck).unwrap();
        assert_eq!(reads.members(batch), [0]);
        assert!(reads.land(stuck, true).joined.is_empty());
    }

    #[test]
    fn what_was_overtaken_may_land_last() {
        let mut reads = Reads::default();
        let stuck = first(&mut reads, 1, "a");
        wait(&mut reads, false, 0);
        let batch = reads.overtake(stuck).unwrap();
        assert_eq!(reads.land(batch, true).next, None);
        wait(&mut reads, false, 1);
        let next = reads.land(stuck, true).next.unwrap();
        assert_eq!(reads.land(next, true).members, [1]);
        assert!(reads.entries.is_empty());
    }

    #[test]
    fn reads_that_only_look_the_same_share_nothing() {
        let mut reads = Reads::default();
        let alone = first(&mut reads, 1, "a");
        assert_eq!(reads.enter(1, "b"), Entered::Collides);
        first(&mut reads, 2, "b");
        assert_eq!(reads.land(alone, true).next, None);
    }
}
