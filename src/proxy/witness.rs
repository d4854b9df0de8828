//! Takes note of the headers that pass by in an answer that is not gathered.

use super::peek::Header;
use super::watermark::Watermark;
use crate::types::ids::ClusterId;
use crate::types::method::Effect;
use crate::upstream::{From, Signals};

pub(super) struct Witness {
    pub from: From,
    pub watermark: Watermark,
    pub signals: Signals,
    /// Of the call.
    pub effect: Effect,
}

impl Witness {
    /// Returns the cluster that a header is of, if that is not ours and it is what was asked for: what a
    /// mutation did elsewhere, its client has to know.
    pub fn on_header(&self, header: Header) -> Option<ClusterId> {
        self.watermark.on_answer(header, self.from);
        let cluster = ClusterId(header.cluster_id);
        if !self.from.is_foreign(cluster) {
            return None;
        }
        self.signals.suspect();
        (self.effect == Effect::Read).then_some(cluster)
    }
}
