//! The differential test: twin clusters get the same calls in the same order, one directly and one through the
//! sidecar, and must answer alike.
//!
//! Compared are the HTTP status, the names and values of all headers and trailers, the messages byte by byte and in
//! their order, whether the answer is one of trailers only, and how a stream ends. `normalise.rs` is the rule by which
//! names that two clusters cannot share are replaced first, `deliberate.rs` lists the differences that are meant.
//!
//! The table runs from an empty store to its end, so an entry's answer depends on the entries before it. With
//! `DIFFERENTIAL_SHOW=1` every answer is printed; with `DIFFERENTIAL_DIRECT=1` no sidecar takes part and two clusters
//! are compared with each other, which shows whether the table and the rule themselves are sound.

mod deliberate;
pub(crate) mod entry;
pub(crate) mod known;
pub(crate) mod normalise;
mod readable;
mod run;
pub(crate) mod table;
mod transcript;

use crate::support::etcd::{Etcd, Options, installed_lines};
use crate::support::sidecar::Sidecar;
use entry::Entry;
use run::{Side, compare};

#[test]
fn every_call_is_answered_as_etcd_itself_does() {
    // Progress notifications come every ten minutes by default.
    let options = || Options::default().flag("--experimental-watch-progress-notify-interval=500ms");
    run("etcd, the default version", &Twins::start(options), &table::whole());
}

#[test]
fn kv_calls_are_answered_as_by_etcd_of_other_lines() {
    let installed = installed_lines();
    for (line, table) in
        [("3.4", table::kv_only()), ("3.6", table::kv_since_3_6()), ("3.7", table::kv_since_3_6())]
    {
        if installed.iter().any(|other| other == line) {
            run(&format!("etcd {line}"), &Twins::start(|| Options::default().version(line)), &table);
        } else {
            println!("not run: kv calls to etcd {line}, which is not installed");
        }
    }
}

/// Two clusters of one member each that never met.
pub(crate) struct Twins {
    pub(crate) direct: Etcd,
    pub(crate) behind: Etcd,
    /// Absent if two clusters are compared with each other.
    sidecar: Option<Sidecar>,
}

impl Twins {
    pub(crate) fn start(options: impl Fn() -> Options) -> Self {
        let (direct, behind) = (options().start(), options().start());
        let alone = std::env::var_os("DIFFERENTIAL_DIRECT").is_some();
        let sidecar = (!alone).then(|| Sidecar::start(&[behind.endpoint()]));
        Self { direct, behind, sidecar }
    }

    /// With a sidecar that puts this before every key.
    pub(crate) fn in_namespace(options: impl Fn() -> Options, namespace: &str) -> Self {
        let (direct, behind) = (options().start(), options().start());
        let sidecar = Sidecar::with_args(&["--endpoints", &behind.endpoint(), "--namespace", namespace]);
        Self { direct, behind, sidecar: Some(sidecar) }
    }

    /// What stands in front of the second cluster.
    pub(crate) fn subject(&self) -> String {
        self.sidecar.as_ref().map_or_else(|| self.behind.endpoint(), Sidecar::url)
    }
}

pub(crate) fn run(title: &str, twins: &Twins, table: &[Entry]) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        let direct = twins.direct.endpoint();
        let mut direct = Side::new(&direct, &direct).await;
        let mut through = Side::new(&twins.subject(), &twins.behind.endpoint()).await;
        compare(title, &mut direct, &mut through, table).await;
    });
}
