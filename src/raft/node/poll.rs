//! What is to be done, gathered when it is asked for.

use super::Node;
use crate::raft::message::Message;
use crate::raft::output::{Apply, ApplyAck, HardState, Output, Persist, PersistAck};
use crate::raft::storage::Storage;

/// What follows when everything that was given out is done.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// To this node itself.
    responses: Vec<Message>,
    persisted: Option<PersistAck>,
    applied: Option<ApplyAck>,
}

impl<S: Storage> Node<S> {
    pub(super) fn has_news(&self) -> bool {
        let outbox = &self.replica.outbox;
        !outbox.messages.is_empty()
            || !outbox.after_persist.is_empty()
            || !outbox.reads.is_empty()
            || self.soft_state() != self.given_soft_state
            || self.replica.hard_state() != self.given_hard_state
            || self.replica.log.has_unpersisted()
            || self.replica.log.has_appliable(!self.replica.config.asynchronous_storage)
    }

    /// Messages come first, so that others work while this node writes.
    pub(super) fn gather(&mut self) {
        let soft_state = self.soft_state();
        if soft_state != self.given_soft_state {
            self.given_soft_state = soft_state;
            self.outputs.push_back(Output::State(soft_state));
        }
        let outbox = &mut self.replica.outbox;
        self.outputs.extend(outbox.reads.drain(..).map(Output::Read));
        self.outputs.extend(outbox.messages.drain(..).map(Output::Send));
        // What is appliable is judged before what is unstable is handed out, as nothing becomes
        // durable by that.
        let unstable_too = !self.replica.config.asynchronous_storage;
        let persist = self.take_persist();
        let appliable = self.replica.log.take_appliable(unstable_too);
        let mut batch = Batch::default();
        if let Some(mut persist) = persist {
            if unstable_too {
                let own = self.replica.id();
                batch.responses = persist.responses.extract_if(.., |response| response.to == own).collect();
                batch.persisted = persist.ack.take();
            }
            if !persist.is_empty() {
                self.outputs.push_back(Output::Persist(persist));
            }
        }
        if let Some((entries, ack)) = appliable {
            let mut ack = Some(ack);
            if unstable_too {
                batch.applied = ack.take();
            }
            self.outputs.push_back(Output::Apply(Apply { entries, ack }));
        }
        if unstable_too && (!self.outputs.is_empty() || !batch.is_empty()) {
            self.batch = Some(batch);
        }
    }

    fn take_persist(&mut self) -> Option<Persist> {
        let given = self.given_hard_state;
        let hard_state = self.replica.hard_state();
        let news = hard_state != given;
        let responses = std::mem::take(&mut self.replica.outbox.after_persist);
        if !news && responses.is_empty() && !self.replica.log.has_unpersisted() {
            return None;
        }
        let (snapshot, entries) = self.replica.log.take_unpersisted();
        let HardState { term, vote, commit: _ } = hard_state;
        let must_sync = !entries.is_empty() || (term, vote) != (given.term, given.vote);
        let last = self.replica.log.unstable_last();
        let written = snapshot.as_ref().map(|snapshot| snapshot.last.index);
        let ack =
            (last.is_some() || written.is_some()).then_some(PersistAck { term, last, snapshot: written });
        self.given_hard_state = hard_state;
        let hard_state = news.then_some(hard_state);
        Some(Persist { hard_state, snapshot, entries, must_sync, responses, ack })
    }

    pub(super) fn handle_batch(&mut self, batch: Batch) {
        let Batch { responses, persisted, applied } = batch;
        for response in responses {
            // Of a node that is no longer a member they count for nothing.
            drop(self.handle_message(response));
        }
        if let Some(ack) = persisted {
            self.handle_persisted(&ack);
        }
        if let Some(ack) = applied {
            self.handle_applied(&ack);
        }
    }
}

impl Batch {
    const fn is_empty(&self) -> bool {
        self.responses.is_empty() && self.persisted.is_none() && self.applied.is_none()
    }
}
