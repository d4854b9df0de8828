//! When to lose patience with a leader.

/// Counts ticks; each timeout is drawn anew, so that candidates do not collide for ever.
#[derive(Debug)]
pub(crate) struct ElectionClock {
    /// Ticks since the last sign of a leader (of a leader: since it last counted its followers).
    elapsed: u32,
    /// Between once and twice `ticks`.
    timeout: u32,
    ticks: u32,
    chance: fastrand::Rng,
}

impl ElectionClock {
    pub(crate) fn new(ticks: u32, seed: u64) -> Self {
        let mut clock = Self { elapsed: 0, timeout: ticks, ticks, chance: fastrand::Rng::with_seed(seed) };
        clock.reset();
        clock
    }

    pub(crate) fn reset(&mut self) {
        self.elapsed = 0;
        self.timeout = self.ticks + self.chance.u32(0..self.ticks);
    }

    /// A sign of life, which leaves the timeout as it is.
    pub(crate) const fn restart(&mut self) {
        self.elapsed = 0;
    }

    pub(crate) const fn tick(&mut self) {
        self.elapsed = self.elapsed.saturating_add(1);
    }

    /// Whether it is time for an election.
    pub(crate) const fn is_over(&self) -> bool {
        self.elapsed >= self.timeout
    }

    /// Whether the shortest timeout that anybody may have has passed.
    pub(crate) const fn is_past_minimum(&self) -> bool {
        self.elapsed >= self.ticks
    }

    pub(crate) const fn set_timeout(&mut self, ticks: u32) {
        self.timeout = ticks;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_lie_between_once_and_twice_the_shortest() {
        let mut clock = ElectionClock::new(10, 1);
        let drawn: std::collections::BTreeSet<u32> = std::iter::repeat_with(|| {
            clock.reset();
            clock.timeout
        })
        .take(1_000)
        .collect();
        assert_eq!(drawn, (10..20).collect());
    }

    #[test]
    fn a_sign_of_life_starts_the_time_again_and_keeps_the_timeout() {
        let mut clock = ElectionClock::new(3, 1);
        clock.set_timeout(5);
        (0..4).for_each(|_| clock.tick());
        assert!(clock.is_past_minimum() && !clock.is_over());
        clock.restart();
        (0..4).for_each(|_| clock.tick());
        assert!(!clock.is_over());
        clock.tick();
        assert!(clock.is_over());
    }
}
