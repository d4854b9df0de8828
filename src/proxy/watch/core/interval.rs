//! How often members send progress notifications, as far as can be seen.

use std::collections::VecDeque;
use std::time::Duration;

/// A member sends them at an interval that only its operator knows, and only while a watch has begun
/// and has no events. The shortest that was seen is taken over, because clients count on it.
pub(super) struct Interval {
    current: Duration,
    is_known: bool,
    /// Between two notifications of one feed, the last few of all feeds.
    gaps: VecDeque<Duration>,
}

impl Interval {
    pub fn new(default: Duration) -> Self {
        Self { current: default, is_known: false, gaps: VecDeque::with_capacity(GAPS) }
    }

    pub fn get(&self) -> Duration {
        self.current
    }

    /// Whether members have shown one, be it the default.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// Returns whether the interval is shorter now.
    pub fn on_gap(&mut self, gap: Duration) -> bool {
        if gap < MIN {
            return false;
        }
        // Responses that waited come faster than they were sent: only what comes twice is believed.
        // Not twice in a row, because events that come between notifications make gaps longer.
        let alike = |other: &Duration| {
            let ratio = gap.as_secs_f64() / other.as_secs_f64();
            (1.0 - ALIKE..1.0 + ALIKE).contains(&ratio)
        };
        let again = self.gaps.iter().any(alike);
        self.is_known |= again;
        if self.gaps.len() == GAPS {
            self.gaps.pop_front();
        }
        self.gaps.push_back(gap);
        let is_shorter = gap.as_secs_f64() < self.current.as_secs_f64() * SHORTER;
        if again && is_shorter {
            self.current = gap;
        }
        again && is_shorter
    }
}

/// The least that etcd allows.
const MIN: Duration = Duration::from_millis(100);

/// Two gaps differ by no more: a member's own jitter is a tenth.
const ALIKE: f64 = 0.15;

/// Of the interval before: a member's own jitter is a tenth.
const SHORTER: f64 = 0.8;

/// Of two gaps that belong together, a few others may come between.
const GAPS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn after(gaps: &[u64]) -> u64 {
        let mut interval = Interval::new(Duration::from_secs(600));
        for gap in gaps {
            interval.on_gap(Duration::from_millis(*gap));
        }
        interval.get().as_millis() as u64
    }

    #[test]
    fn a_gap_that_comes_twice_is_the_interval() {
        assert_eq!(after(&[]), 600_000);
        assert_eq!(after(&[100]), 600_000);
        assert_eq!(after(&[105, 100]), 100);
        assert_eq!(after(&[1000, 1080, 1020]), 1080, "its own jitter changes nothing");
    }

    #[test]
    fn events_between_notifications_hide_no_interval() {
        assert_eq!(after(&[100, 350, 108]), 108);
        assert_eq!(after(&[100, 310, 420, 290, 380, 104]), 104, "the shortest of what came twice");
    }

    #[test]
    fn the_default_is_known_too_when_it_was_seen() {
        let mut interval = Interval::new(Duration::from_secs(600));
        let known = [610, 30, 620].map(|gap| {
            interval.on_gap(Duration::from_secs(gap));
            interval.is_known()
        });
        assert_eq!((known, interval.get()), ([false, false, true], Duration::from_secs(600)));
    }

    #[test]
    fn what_waited_on_its_way_is_no_interval() {
        assert_eq!(after(&[3, 3, 3]), 600_000);
        assert_eq!(after(&[10_000, 400, 9_700, 10_100]), 9_700);
        let old = [&[200][..], &[601_000; GAPS], &[200]].concat();
        assert_eq!(after(&old), 600_000, "too long ago");
    }
}
