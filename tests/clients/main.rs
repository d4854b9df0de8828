//! The clients that applications use, unchanged, through the sidecar in front of a real cluster: the official Go client,
//! jetcd (Java), etcd3 (Node) and etcd-client (Rust). They need their own toolchains, and so are no part of the gate:
//! `.ci/run --long clients` prepares and runs them. One client alone: `tests/support/tools.sh client-go` and
//! `cargo test --test clients go::`.
//!
//! Each test is written once. What differs is a program for each client in `tests/support/clients`, a thin layer that
//! does what a line of its input says and writes what the client says. It judges nothing, repeats nothing and sets no
//! deadline: all that is done here.
//!
//! # The protocol
//!
//! Lines of JSON objects, commands on the standard input and news on the standard output; a program ends with its input.
//! Every line has an `id`, given by the command, and news carry that of the command which they are about. A command
//! starts at once, beside those before it; only `open` is finished before the next line is read. Keys and values are
//! text, ids of leases are text of a decimal number, all other numbers are numbers. What is optional may be missing.
//!
//! ```text
//! open          url, [ca], [user, password]   client                  ca: a file
//! put           key, value, [lease], [prev]   revision, [prev]        prev: asks for the value before, and is it
//! get           key, [end, limit], [revision] revision, kvs, more, count
//! delete        key, [end]                    revision, deleted
//! txn           if, then, else                revision, succeeded, answers
//! grant         ttl, [keep]                   lease, ttl              keep: goes on to keep it alive
//! keep_alive    lease                         ttl                     once
//! time_to_live  lease                         ttl, granted, keys
//! revoke        lease
//! watch         key, [end], [from, progress]                          answered when it is created
//! cancel        of                                                    of: the id of the watch
//! lock          name                          key                     in a session of its own
//! unlock        of
//! campaign      name, value                   key                     answered when it is elected
//! leader        name                          value                   null when there is none
//! resign        of
//! ```
//!
//! `then` and `else` are lists of `put`, `get` and `delete`, without ids; `if` is a list of
//! `{key, target, is, value or number}` with the targets `value`, `version`, `created` and `modified`. An answer to one
//! of a transaction's operations lacks the revision. A `kv` is `{key, value, version, created, modified, lease}`.
//!
//! ```text
//! {"id": 1, "ok": {…}}                                the answer, when it was done
//! {"id": 1, "error": {"code": 14, "message": "…"}}    the answer, when not; no code: the client itself says so
//! {"id": 1, "event": {"kind": "put", …}}              a watch's; or "delete"; else a kv
//! {"id": 1, "progress": 7}                            a watch's, up to this revision
//! {"id": 1, "alive": 10}                              a kept lease's TTL, each time that it is kept alive
//! {"id": 1, "broken": {"code": …}}                    a watch or a kept lease broke; the client tries again by itself
//! {"id": 1, "ended": {"code": …}}                     it will not go on
//! ```

#![allow(clippy::unwrap_used, reason = "in a test, what cannot go on fails")]

mod failover;
mod keys;
mod leases;
mod locks;
mod program;
mod secure;
mod watches;

#[path = "../support/mod.rs"]
mod support;

use support::etcd::{Cluster, Options};
use support::sidecar::Sidecar;

/// One of the clients, and how it differs from the others.
pub(crate) struct Client {
    /// As `tests/support/tools.sh` knows it.
    name: &'static str,
    /// Its lock waits for the one who holds it; otherwise it says no.
    lock_waits: bool,
    /// After failed calls it acts by itself: it repeats writes whose outcome is unknown, opens its streams anew and
    /// refuses calls for a while, in these words.
    circuit_breaker: Option<&'static str>,
}

const GO: Client = Client { name: "client-go", lock_waits: true, circuit_breaker: None };
const JAVA: Client = Client { name: "client-java", lock_waits: true, circuit_breaker: None };
const NODE: Client =
    Client { name: "client-node", lock_waits: false, circuit_breaker: Some("circuit breaker is open") };
const RUST: Client = Client { name: "client-rust", lock_waits: true, circuit_breaker: None };

/// Three members and the sidecar in front of them.
pub(crate) struct Stage {
    // Dropped first: it would log that the members are gone.
    sidecar: Sidecar,
    cluster: Cluster,
}

impl Stage {
    pub(crate) fn start() -> Self {
        // Progress notifications come every ten minutes by default.
        let options = Options::default().flag("--experimental-watch-progress-notify-interval=300ms");
        let cluster = options.start_cluster(3);
        Self { sidecar: Sidecar::start(&cluster.endpoints()), cluster }
    }
}

/// The same tests with each client.
macro_rules! each_client {
    ($($module:ident: $client:expr;)*) => {$(
        mod $module {
            #[test]
            fn keys_are_put_read_compared_and_deleted() {
                crate::keys::everyday(&$client);
            }

            #[test]
            fn a_range_is_read_in_pages_at_one_revision() {
                crate::keys::pages(&$client);
            }

            #[test]
            fn a_transaction_goes_one_way_or_the_other() {
                crate::keys::transactions(&$client);
            }

            #[test]
            fn what_etcd_refuses_is_refused_in_its_words() {
                crate::keys::refusals(&$client);
            }

            #[test]
            fn a_watch_shows_what_happens_from_now_on_or_since_a_revision() {
                crate::watches::everyday(&$client);
            }

            #[test]
            fn a_quiet_watch_hears_of_progress() {
                crate::watches::progress(&$client);
            }

            #[test]
            fn a_lease_lives_as_long_as_it_is_kept_and_takes_its_keys_with_it() {
                crate::leases::everyday(&$client);
            }

            #[test]
            fn a_lock_is_held_by_one_at_a_time() {
                crate::locks::lock(&$client);
            }

            #[test]
            fn an_election_has_one_leader_after_the_other() {
                crate::locks::election(&$client);
            }

            #[test]
            fn a_user_does_what_the_role_allows() {
                crate::secure::password(&$client);
            }

            #[test]
            fn a_listener_of_tls_serves_it() {
                crate::secure::tls(&$client);
            }

            #[test]
            fn members_die_and_come_back_and_it_hears_everything_once() {
                crate::failover::members_die(&$client);
            }

            #[test]
            fn members_are_restarted_in_turn_and_it_hears_everything_once() {
                crate::failover::rolling_restart(&$client);
            }
        }
    )*};
}

each_client! {
    go: crate::GO;
    java: crate::JAVA;
    node: crate::NODE;
    rust: crate::RUST;
}
