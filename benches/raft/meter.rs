use std::alloc::System;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

/// What this thread uses from a moment on.
pub(crate) struct Meter {
    cpu: Duration,
    allocations: Region<'static, System>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    pub(crate) cpu: Duration,
    /// Growing in place or by moving counts as one more.
    pub(crate) allocations: usize,
}

impl Meter {
    pub(crate) fn start() -> Self {
        Self { allocations: Region::new(ALLOCATOR), cpu: cpu_time() }
    }

    pub(crate) fn stop(self) -> Used {
        let Self { cpu, allocations } = self;
        let cpu = cpu_time().saturating_sub(cpu);
        let change = allocations.change();
        Used { cpu, allocations: change.allocations + change.reallocations }
    }
}

fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).expect("no thread has run for less than nothing");
    Duration::from_secs(seconds)
        + Duration::from_nanos(u64::try_from(now.tv_nsec).expect("nor for part of a second"))
}

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;
