//! What many watches and keep-alives of the same things cost: the streams that a proxy can share.
//!
//! ```text
//!   watches     <── contender <── etcd <── puts, directly
//!   keep-alives <─> contender <─> etcd
//! ```
//!
//! Invariants:
//! - Every event is counted, and its place in the order is checked: a stream that is shown one too few,
//!   one too many or one out of order makes the run invalid.
//! - Each turn has a prefix of its own, so that nothing that a proxy still holds of an earlier turn sees
//!   the puts of a later one.

mod fan_out;
mod keep_alive;
mod many;

use std::path::Path;
use std::time::Duration;

use crate::contender::{Contender, Running};
use crate::error::Error;
use crate::etcd::Etcd;
use crate::load::CallError;
use crate::options::Options;
use crate::programs::Programs;
use crate::results::Results;
use crate::workload::Workload;

/// What all workloads of a cluster stand on.
pub(crate) struct Ground<'a> {
    pub(crate) options: &'a Options,
    pub(crate) programs: &'a Programs,
    pub(crate) etcd: &'a Etcd,
    pub(crate) scratch: &'a Path,
}

/// Nothing where the workload is not about hubs.
pub(crate) async fn run(workload: Workload, ground: &Ground<'_>, results: &mut Results) -> Result<(), Error> {
    match workload {
        Workload::KeepAlive => keep_alive::run(ground, results).await,
        Workload::Watch | Workload::WatchNested => fan_out::run(workload, ground, results).await,
        Workload::WatchMany => many::run(ground, results).await,
        _ => Ok(()),
    }
}

impl Ground<'_> {
    async fn start(&self, contender: Contender) -> Result<Running, Error> {
        contender.start(self.programs, &self.etcd.addresses(), self.scratch).await
    }

    async fn start_all(&self, workload: Workload) -> Result<Vec<Running>, Error> {
        let mut field = Vec::new();
        for contender in self.contenders(workload) {
            field.push(self.start(contender).await?);
        }
        Ok(field)
    }

    fn contenders(&self, workload: Workload) -> Vec<Contender> {
        self.options.contenders().into_iter().filter(|contender| workload.compares(*contender)).collect()
    }
}

/// The outcome of what takes one turn, of which any failure is one too many.
async fn in_time<T>(
    workload: Workload,
    contender: Contender,
    turn: impl Future<Output = Result<T, TurnError>>,
) -> Result<T, Error> {
    match tokio::time::timeout(TURN_TIMEOUT, turn).await {
        Err(_) => Err(Error::Stuck { workload, contender, limit_secs: TURN_TIMEOUT.as_secs() }),
        Ok(Err(TurnError::Call(first))) => {
            Err(Error::Invalid { workload, contender, failed: 1, calls: 1, first })
        }
        Ok(Err(TurnError::Other(error))) => Err(error),
        Ok(Ok(turn)) => Ok(turn),
    }
}

enum TurnError {
    Call(CallError),
    Other(Error),
}

impl From<CallError> for TurnError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl<E: Into<Error>> From<E> for TurnError {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// The end of the range of all keys that begin with `prefix`.
fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

const TURN_TIMEOUT: Duration = Duration::from_secs(60);
