//! What becomes of messages.

use std::collections::BTreeSet;
use std::time::Duration;

use etcdlet::types::ids::MemberId;
use fastrand::Rng;

#[derive(Debug)]
pub(crate) struct Network {
    chance: Rng,
    delay_max: Duration,
    /// Of a thousand messages.
    lost: u32,
    doubled: u32,
    /// By which messages take longer.
    delay_factor: u32,
    /// From the first to the second nothing gets through.
    pub cut: BTreeSet<(MemberId, MemberId)>,
}

impl Network {
    pub(crate) const fn new(chance: Rng, delay_max: Duration) -> Self {
        Self { chance, delay_max, lost: 0, doubled: 0, delay_factor: 1, cut: BTreeSet::new() }
    }

    /// After which times a message arrives: once, or not at all, or twice.
    pub(crate) fn arrivals(&mut self, from: MemberId, to: MemberId) -> Vec<Duration> {
        if self.cut.contains(&(from, to)) || self.chance.u32(..1_000) < self.lost {
            return Vec::new();
        }
        let count = if self.chance.u32(..1_000) < self.doubled { 2 } else { 1 };
        (0..count).map(|_| self.delay()).collect()
    }

    pub(crate) fn delay(&mut self) -> Duration {
        let usual = self.delay_max.mul_f64(self.chance.f64()) * self.delay_factor;
        // Some arrive when both ends have been restarted since.
        let is_stray = self.delay_factor > 1 && self.chance.u8(..100) == 0;
        if is_stray { usual + Duration::from_secs(5).mul_f64(self.chance.f64()) } else { usual }
    }

    /// Whether a sender is told that its message is lost.
    pub(crate) fn is_noticed(&mut self) -> bool {
        self.chance.bool()
    }

    /// Of a thousand messages so many are lost and doubled; others are late.
    pub(crate) const fn worsen(&mut self, lost: u32, doubled: u32, delay_factor: u32) {
        (self.lost, self.doubled, self.delay_factor) = (lost, doubled, delay_factor);
    }

    pub(crate) const fn mend(&mut self) {
        self.worsen(0, 0, 1);
    }
}
