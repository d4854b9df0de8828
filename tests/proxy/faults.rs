//! What clients notice when a real cluster of three members breaks under load: the limits that etcdlet promises.
//!
//! Each test prints a table of its calls; all that breaks a promise is listed at the end of it, not only the first.

mod calm;
mod freeze;
mod holds;
mod kill;
mod partition;
mod rolling;
mod scene;
mod streams;
mod subscriptions;

use std::time::Duration;

use tokio::sync::Mutex;

use crate::support::grpc::Status;

fn unavailable(message: &str) -> Status {
    Status { code: Some(14), message: message.into() }
}

/// One fault at a time: elections and stalls are measured, and each of these tests loads the whole machine.
pub(crate) static ALONE: Mutex<()> = Mutex::const_new(());

const OUTCOME_UNKNOWN: &str = "etcdlet: upstream connection lost, outcome unknown";
const NO_LEADER: &str = "etcdlet: no leader, not sent";

/// In which a sidecar learns its cluster.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long a fault outlives the election: longer than any stall that is allowed, so that the repair does not hide one
/// that is not, and long enough that the sidecar looks again at a member that it avoids.
const AFTERMATH: Duration = Duration::from_secs(5);
/// How long the load goes on when all is well again.
const CALM: Duration = Duration::from_secs(2);
