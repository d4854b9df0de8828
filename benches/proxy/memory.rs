use std::path::Path;
use std::time::Duration;

use crate::error::Error;
use crate::etcd::Etcd;
use crate::load::Watches;
use crate::options::Options;
use crate::programs::Programs;
use crate::report::say;
use crate::results::{Metric, Results};
use crate::usage::Memory;
use crate::workload::Workload;

/// Reads the memory of a fresh process in every round: one that has served load keeps what it allocated.
pub(crate) async fn run(
    options: &Options,
    programs: &Programs,
    etcd: &Etcd,
    scratch: &Path,
    results: &mut Results,
) -> Result<(), Error> {
    for round in 0..options.rounds() {
        say(&format!("{}: round {} of {}", Workload::Memory, round + 1, options.rounds()));
        for contender in options.contenders() {
            let running = contender.start(programs, &etcd.addresses(), scratch).await?;
            let Some(process) = &running.process else {
                continue;
            };
            let mut add = |metric, figure| results.add(Workload::Memory, metric, contender, figure);
            tokio::time::sleep(SETTLE).await;
            let rest = Memory::read(process)?;
            add(Metric::RestResidentMib, rest.resident_mib);
            add(Metric::RestAnonymousMib, rest.anonymous_mib);

            let invalid = |failed: usize, first| Error::Invalid {
                workload: Workload::Memory,
                contender,
                failed: failed as u64,
                calls: WATCHES as u64,
                first,
            };
            let mut watches =
                tokio::time::timeout(OPEN_TIMEOUT, Watches::open(running.addresses[0], WATCHES))
                    .await
                    .map_err(|_| Error::Stuck {
                        workload: Workload::Memory,
                        contender,
                        limit_secs: OPEN_TIMEOUT.as_secs(),
                    })?
                    .map_err(|error| invalid(1, error))?;
            tokio::time::sleep(SETTLE).await;
            let busy = Memory::read(process)?;
            let ended = WATCHES - watches.quiet();
            if ended > 0 {
                return Err(invalid(ended, crate::load::CallError::Reply(0)));
            }
            add(Metric::WatchesResidentMib, busy.resident_mib);
            add(Metric::WatchesAnonymousMib, busy.anonymous_mib);
        }
    }
    Ok(())
}

const WATCHES: usize = 1_000;
/// Start-up allocations are freed and Go's collector has had its chance.
const SETTLE: Duration = Duration::from_secs(1);
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);
