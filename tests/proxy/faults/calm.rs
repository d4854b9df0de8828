//! Nothing breaks: what the load shows then is the measure for all that it shows otherwise.

use std::thread::sleep;
use std::time::Duration;

use super::ALONE;
use crate::support::etcd::Cluster;
use crate::support::load::{Class, Load, audit};
use crate::support::sidecar::Sidecar;

#[test]
fn without_a_fault_no_call_fails_or_stalls() {
    let _alone = ALONE.blocking_lock();
    let cluster = Cluster::start(3);
    let sidecar = Sidecar::start(&cluster.endpoints());
    for (what, url) in
        [("directly at a member", cluster.members[0].endpoint()), ("by the sidecar", sidecar.url())]
    {
        let load = Load::start(&url);
        sleep(Duration::from_secs(3));
        let report = load.stop();
        println!("\n{what}\n{report}");
        assert_eq!(audit(&cluster.members[1].endpoint(), &report), [""; 0], "{what}");
        for class in Class::ALL {
            let summary = report.of(class);
            assert!(summary.failed == 0 && summary.stall() < STALL_MAX, "{what}: {summary:?}");
        }
    }
}

/// A machine that holds up calls for longer cannot measure elections.
const STALL_MAX: Duration = Duration::from_millis(250);
