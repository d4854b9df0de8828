//! The beginnings of gRPC messages, out of data frames that may be cut anywhere.

use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus::IntGauge;

use crate::proxy::peek;

/// Bytes of what is kept until it can be told, of all calls together.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicUsize,
    max: usize,
    gauge: IntGauge,
}

impl Budget {
    pub fn new(max: usize, gauge: IntGauge) -> Self {
        Self { used: AtomicUsize::new(0), max, gauge }
    }

    /// Whether it is exhausted, so that no more should be taken.
    pub fn take(&self, bytes: usize) -> bool {
        self.gauge.add(bytes as i64);
        self.used.fetch_add(bytes, Ordering::Relaxed) > self.max
    }

    pub fn give_back(&self, bytes: usize) {
        self.gauge.sub(bytes as i64);
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
impl Budget {
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
impl Default for Budget {
    fn default() -> Self {
        Self::new(usize::MAX, IntGauge::new("bytes", "For tests.").unwrap())
    }
}

/// A message, or its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    Compressed,
    /// More of it came, or was to come, than was kept.
    Cut(&'a [u8]),
    Whole(&'a [u8]),
}

/// Follows one direction of a call. A message that comes in one piece is looked at where it lies.
#[derive(Debug)]
pub(super) struct Gather {
    /// Bytes that are kept of one message, with its frame.
    keeps: usize,
    ahead: Vec<u8>,
    /// Of the present frame; these bytes are not kept.
    skips: usize,
}

impl Gather {
    pub fn new(keeps: usize) -> Self {
        Self { keeps, ahead: Vec::new(), skips: 0 }
    }

    /// Calls `found` for every message of which enough is here.
    pub fn on_data(&mut self, mut data: &[u8], budget: &Budget, mut found: impl FnMut(Seen<'_>)) {
        while !data.is_empty() {
            if self.skips > 0 {
                let skipped = self.skips.min(data.len());
                self.skips -= skipped;
                data = &data[skipped..];
                continue;
            }
            if self.ahead.is_empty()
                && let Some(length) = peek::frame_length(data)
                && length.min(self.keeps) <= data.len()
            {
                found(seen(&data[..length.min(data.len())], length));
                let here = length.min(data.len());
                self.skips = length - here;
                data = &data[here..];
                continue;
            }
            // First the frame's own five bytes, which tell the rest.
            let wanted = peek::frame_length(&self.ahead).map_or(PREFIX, |length| length.min(self.keeps));
            let more = (wanted - self.ahead.len()).min(data.len());
            let is_full = budget.take(more);
            self.ahead.extend_from_slice(&data[..more]);
            data = &data[more..];
            if let Some(length) = peek::frame_length(&self.ahead)
                && (self.ahead.len() >= length.min(self.keeps) || is_full)
            {
                found(seen(&self.ahead, length));
                self.skips = length - self.ahead.len();
                self.clear(budget);
            }
        }
    }

    /// What is left when nothing more comes.
    pub fn end(&mut self, budget: &Budget, found: impl FnOnce(Seen<'_>)) {
        if let Some(length) = peek::frame_length(&self.ahead) {
            found(seen(&self.ahead, length));
        }
        self.clear(budget);
    }

    fn clear(&mut self, budget: &Budget) {
        budget.give_back(self.ahead.len());
        self.ahead = Vec::new();
    }
}

fn seen(frame: &[u8], length: usize) -> Seen<'_> {
    let message = &frame[PREFIX..];
    match (frame[0], frame.len() == length) {
        (0, true) => Seen::Whole(message),
        (0, false) => Seen::Cut(message),
        _ => Seen::Compressed,
    }
}

/// gRPC's own bytes before a message.
const PREFIX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
        [&[flag], &(message.len() as u32).to_be_bytes()[..], message].concat()
    }

    fn gathered(keeps: usize, pieces: &[&[u8]]) -> Vec<String> {
        let (budget, mut gather, mut all) = (Budget::default(), Gather::new(keeps), Vec::new());
        for piece in pieces {
            gather.on_data(piece, &budget, |seen| all.push(format!("{seen:?}")));
        }
        gather.end(&budget, |seen| all.push(format!("{seen:?}")));
        assert_eq!(budget.used(), 0);
        all
    }

    #[test]
    fn messages_are_found_wherever_they_are_cut() {
        let stream = [frame(0, b"ab"), frame(0, b""), frame(1, b"zz"), frame(0, &[7; 40])].concat();
        let expected = gathered(25, &[&stream]);
        assert_eq!(expected[..3], ["Whole([97, 98])", "Whole([])", "Compressed"]);
        // Looked at where it lies, whatever its length.
        assert!(expected.len() == 4 && expected[3].starts_with("Whole([7, 7"), "{expected:?}");
        for size in 1..stream.len() {
            let pieces: Vec<&[u8]> = stream.chunks(size).collect();
            let found = gathered(25, &pieces);
            assert_eq!(found[..3], expected[..3], "{size}");
            assert!(found.len() == 4 && found[3].starts_with("Cut([7, 7"), "{size}: {found:?}");
        }
    }

    #[test]
    fn a_message_that_breaks_off_is_told_as_far_as_it_came() {
        let cut = &frame(0, b"abcdef")[..8];
        assert_eq!(gathered(100, &[cut]), ["Cut([97, 98, 99])"]);
        assert_eq!(gathered(100, &[&cut[..3]]), [] as [&str; 0]);
    }
}
