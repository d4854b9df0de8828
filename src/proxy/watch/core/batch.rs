//! Events as they came, in whole revisions, and parts of them as they go.

use std::sync::Arc;

use bytes::Bytes;

/// Events in the order of their revisions. Once assembled, each of its revisions is whole.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Messages that the events stand in.
    pieces: Vec<Bytes>,
    events: Vec<Event>,
}

/// Where an event stands in its batch.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub revision: i64,
    pub kind: Kind,
    pub(super) piece: u32,
    /// With tag and length, as it stands in a `WatchResponse`.
    pub(super) raw: (u32, u32),
    pub(super) key: (u32, u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Delete,
    Put,
}

/// The encoded events of one response. Cheap to clone: all watchers share the same bytes.
#[derive(Clone, Debug, Default)]
pub enum Events {
    Many(Arc<[Bytes]>),
    #[default]
    None,
    One(Bytes),
}

impl Batch {
    pub(super) fn new(message: Bytes, events: Vec<Event>) -> Self {
        Self { pieces: vec![message], events }
    }

    pub fn events(&self) -> &[Event] {
        &self.events
    }

    pub fn key(&self, event: &Event) -> &[u8] {
        &self.pieces[event.piece as usize][event.key.0 as usize..event.key.1 as usize]
    }

    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn last_revision(&self) -> i64 {
        self.events.last().map_or(0, |event| event.revision)
    }

    pub(super) fn is_in_order(&self) -> bool {
        self.events.is_sorted_by_key(|event| event.revision)
    }

    /// What it takes to keep it.
    pub(super) fn size(&self) -> usize {
        let pieces: usize = self.pieces.iter().map(Bytes::len).sum();
        pieces + self.events.len() * size_of::<Event>() + OVERHEAD
    }

    /// Drops what is older.
    pub(super) fn retain_from(&mut self, revision: i64) {
        let old = self.events.partition_point(|event| event.revision < revision);
        self.events.drain(..old);
    }

    /// Takes the last revision out.
    pub(super) fn split_last_revision(&mut self) -> Self {
        let last = self.last_revision();
        let at = self.events.partition_point(|event| event.revision < last);
        let mut events = self.events.split_off(at);
        // The messages before would be kept in memory for nothing.
        let unused = events.first().map_or(0, |event| event.piece);
        for event in &mut events {
            event.piece -= unused;
        }
        Self { pieces: self.pieces[unused as usize..].to_vec(), events }
    }

    pub(super) fn append(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        let moved = u32::try_from(self.pieces.len()).expect("fewer pieces than events");
        self.pieces.extend(other.pieces);
        let events = other.events.into_iter();
        self.events.extend(events.map(|event| Event { piece: event.piece + moved, ..event }));
    }

    fn raw(&self, event: &Event) -> Bytes {
        self.pieces[event.piece as usize].slice(event.raw.0 as usize..event.raw.1 as usize)
    }

    #[cfg(test)]
    pub(super) fn bytes_of(&self, chosen: &[u32]) -> Events {
        Events::gather(chosen.iter().map(|at| (self, &self.events[*at as usize])))
    }
}

impl Event {
    /// Bytes that it takes in a response.
    pub(super) fn len(&self) -> usize {
        (self.raw.1 - self.raw.0) as usize
    }

    fn continues(&self, before: &Self) -> bool {
        self.piece == before.piece && self.raw.0 == before.raw.1
    }
}

impl Events {
    /// Neighbours on the wire stay one piece.
    pub(super) fn gather<'a>(chosen: impl Iterator<Item = (&'a Batch, &'a Event)>) -> Self {
        let mut whole = Vec::new();
        let mut run: Option<(&Batch, Event)> = None;
        for (batch, event) in chosen {
            match &mut run {
                Some((before, run)) if std::ptr::eq(*before, batch) && event.continues(run) => {
                    run.raw.1 = event.raw.1;
                }
                run => {
                    if let Some((batch, event)) = run.replace((batch, *event)) {
                        whole.push(batch.raw(&event));
                    }
                }
            }
        }
        let Some((batch, event)) = run else { return Self::None };
        let last = batch.raw(&event);
        if whole.is_empty() {
            return Self::One(last);
        }
        whole.push(last);
        Self::Many(whole.into())
    }

    /// Bytes of all of them.
    pub fn len(&self) -> usize {
        self.iter().map(Bytes::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        matches!(self, Self::None)
    }

    /// One after the other they are the end of the message.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        match self {
            Self::Many(pieces) => &pieces[..],
            Self::None => &[],
            Self::One(piece) => std::slice::from_ref(piece),
        }
        .iter()
    }

    #[cfg(test)]
    pub(in crate::proxy::watch) fn concat(&self) -> Vec<u8> {
        self.iter().flat_map(|piece| piece.iter().copied()).collect()
    }
}

/// The parts of a batch that comes in fragments, of which the last revision may be torn.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    torn: Batch,
}

impl Assembly {
    /// The whole revisions that there are now, which may be none.
    pub fn add(&mut self, batch: Batch, fragment: bool) -> Batch {
        let mut whole = std::mem::take(&mut self.torn);
        whole.append(batch);
        if fragment {
            self.torn = whole.split_last_revision();
        }
        whole
    }

    pub fn is_empty(&self) -> bool {
        self.torn.is_empty()
    }
}

/// Of a batch, for its own fields and its place in a ring.
const OVERHEAD: usize = 160;
