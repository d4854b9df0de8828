//! Bytes that wait here, of all calls together.

use prometheus::IntGauge;

/// What one call takes of a limit, until it is dropped.
pub(super) struct Held {
    /// Of all calls.
    gauge: IntGauge,
    bytes: usize,
}

impl Held {
    pub fn new(gauge: &IntGauge) -> Self {
        Self { gauge: gauge.clone(), bytes: 0 }
    }

    /// Whether all together are within `total`; to hold less than before always is.
    pub fn set(&mut self, bytes: usize, total: usize) -> bool {
        let before = std::mem::replace(&mut self.bytes, bytes);
        self.gauge.add(bytes as i64 - before as i64);
        bytes <= before || self.gauge.get() <= i64::try_from(total).unwrap_or(i64::MAX)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gauge.sub(self.bytes as i64);
    }
}
