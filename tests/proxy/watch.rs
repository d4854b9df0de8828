//! What a client of a watch or of a keep-alive can see, which must be what etcd shows, however many of them share what.
//!
//! The known defects of etcd's own proxy (`etcd grpc-proxy start`, 3.5.30) are claims here. Where they show there
//! quickly and surely, the same claim is tried there as well and must fail, so that the list stays an honest one.
//!
//! | | defect | claim | there |
//! |---|---|---|---|
//! | W1 | a watch that ended swallows later ones of its range | `refused::a_watcher_that_compaction_…` | fails |
//! | W2 | a watch that ends without compaction is not told | `auth::who_comes_behind_…` | fails |
//! | W3 | events are lost while a watcher catches up | `starts::a_long_history_…` | not run: a race, lost by chance |
//! | W4 | a half-close ends the stream | `stream::a_half_closed_stream_…` | fails |
//! | W5 | no progress on request | `progress::progress_is_told_on_request` | fails |
//! | W6 | `watch_id`, `fragment` ignored | `created::a_watch_id_…`, `options::a_large_response_…` | fail |
//! | W7 | `hasleader` ignored | `leader::who_asks_for_a_leader_…` | fails |
//! | W8 | a slow reader loses its stream | `slow::a_stream_that_is_not_read_for_a_while_…` | fails |
//! | W9 | a created reply is made up | `created::a_late_joiner_…` | fails |
//! | W10 | watches from now are not shared | `crowd::thousands_of_watchers_…` | not run: costs, but shows all |
//! | W11 | clients that go away block the rest | `stream::clients_that_go_away_…` | not run: a race, lost by chance |
//! | W12 | an empty range is refused without a reason | `refused::an_empty_range_…` | fails |
//! | A1 | reads are answered to whom may not read | `auth::a_serializable_read_…` | fails |
//! | A2 | all watches carry the first one's token | `auth::who_comes_behind_…` | fails |
//! | A3 | its own watches carry no token | none: only its log shows it | |
//! | A4 | keep-alives carry no token | `lease::keep_alives_carry_…` | fails |
//! | A5 | `Observe` carries no token | `auth::an_election_is_observed_…` | fails |
//! | L1 | leases are renewed in their client's stead | `lease::a_lease_lives_no_longer_…` | fails, in the long run |
//! | L2 | a keep-alive waits for another one's clock | `lease::every_keep_alive_…` | fails |
//! | L3 | a half-close loses the reply | `lease::a_keep_alive_and_a_half_close_…` | fails |
//! | L4 | errors become CANCELLED | `lease::who_may_not_renew_…` | not run: hidden by A4 |
//! | L5 | a TTL of -1 for a lease that is gone | `lease::a_lease_that_is_gone_…` | fails |
//! | L6 | a loop without end after a restart | none: shows after years, in processor time | |
//! | L7 | one stream to any member for all leases | none: costs only | |
//!
//! `ETCDLET_LONG=1` runs what takes long too.

mod auth;
mod client;
mod created;
mod crowd;
mod leader;
mod lease;
mod mark;
mod model;
mod operators;
mod options;
mod progress;
mod read_your_writes;
mod refused;
mod slow;
mod spread;
mod starts;
mod stream;
mod subject;
mod threads;
mod users;

fn long() -> bool {
    crate::bad_input::length() > 1
}
