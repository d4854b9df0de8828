//! Progress by transitions, and its window against a naive one.

use super::*;

const WINDOW: Window = Window { messages_max: 3, bytes_max: 100 };

fn probing(matched: u64, next: u64) -> Progress {
    let mut progress = Progress::new(LogIndex(next), true);
    progress.matched = LogIndex(matched);
    progress
}

fn replicating(matched: u64) -> Progress {
    let mut progress = probing(matched, matched + 1);
    progress.become_replicate(WINDOW);
    progress
}

#[test]
fn a_window_counts_messages_and_bytes() {
    let mut chance = fastrand::Rng::with_seed(1);
    let mut inflights = Inflights::new(WINDOW);
    let mut naive: Vec<(u64, u64)> = Vec::new();
    let mut last = 0;
    for _ in 0..20_000 {
        let full = naive.len() >= 3 || naive.iter().map(|(_, bytes)| bytes).sum::<u64>() >= 100;
        assert_eq!(inflights.is_full(), full);
        assert_eq!(inflights.count(), naive.len());
        if chance.bool() && !full {
            last += chance.u64(1..5);
            let bytes = chance.u64(0..60);
            inflights.add(LogIndex(last), bytes);
            naive.push((last, bytes));
        } else {
            let to = last.saturating_sub(chance.u64(0..8));
            inflights.free_to(LogIndex(to));
            naive.retain(|(index, _)| *index > to);
        }
    }
}

#[test]
fn a_probe_waits_for_its_answer() {
    let mut progress = probing(0, 5);
    progress.handle_sent(0, 0, LogIndex(2));
    assert!(!progress.is_paused());
    progress.handle_sent(2, 9, LogIndex(2));
    assert!(progress.is_paused());
    assert_eq!(progress.next(), LogIndex(5));
}

#[test]
fn what_is_sent_is_expected_to_arrive() {
    let mut progress = replicating(4);
    progress.handle_sent(2, 9, LogIndex(4));
    progress.handle_sent(1, 9, LogIndex(4));
    assert_eq!((progress.next(), progress.inflight_count()), (LogIndex(8), 2));
    assert!(progress.handle_accepted(LogIndex(6)));
    progress.free_inflights();
    assert_eq!((progress.matched(), progress.inflight_count()), (LogIndex(6), 1));
    assert!(!progress.handle_accepted(LogIndex(6)));
}

#[test]
fn a_full_window_lets_an_empty_message_pass_after_a_sign_of_life() {
    let mut progress = replicating(0);
    (0..3).for_each(|_| progress.handle_sent(1, 1, LogIndex(0)));
    assert!(progress.is_paused() && progress.inflight_full());
    progress.set_paused(false);
    assert!(!progress.is_paused() && progress.inflight_full());
    progress.handle_sent(0, 0, LogIndex(0));
    assert!(progress.is_paused());
}

#[test]
fn a_rejection_moves_a_probe_back_to_the_hint_but_never_behind_a_match() {
    for (matched, next, rejected, hint, expected) in [
        (0, 10, 9, 20, Some(9)),
        (0, 10, 9, 4, Some(5)),
        (0, 10, 9, 0, Some(1)),
        (6, 10, 9, 4, Some(7)),
        (0, 10, 8, 4, None),
        (0, 10, 10, 4, None),
    ] {
        let mut progress = probing(matched, next);
        progress.set_paused(true);
        let counts = progress.handle_rejected(LogIndex(rejected), LogIndex(hint));
        assert_eq!(counts, expected.is_some(), "{matched} {next} {rejected} {hint}");
        assert_eq!(progress.is_paused(), !counts);
        assert_eq!(progress.next(), LogIndex(expected.unwrap_or(next)));
    }
}

#[test]
fn a_rejection_ends_replication_unless_it_is_old() {
    let mut progress = replicating(4);
    progress.handle_sent(3, 9, LogIndex(4));
    assert!(!progress.handle_rejected(LogIndex(4), LogIndex(2)));
    assert!(progress.handle_rejected(LogIndex(7), LogIndex(2)));
    assert_eq!(*progress.state(), ProgressState::Probe { paused: false });
    assert_eq!(progress.next(), LogIndex(5));
}

#[test]
fn behind_a_snapshot_the_next_message_waits() {
    for (received, next) in [(true, 21), (false, 5)] {
        let mut progress = replicating(4);
        progress.become_snapshot(LogIndex(20));
        assert!(progress.is_paused());
        progress.handle_snapshot_status(received);
        assert_eq!(*progress.state(), ProgressState::Probe { paused: true });
        assert_eq!(progress.next(), LogIndex(next));
        progress.handle_snapshot_status(!received);
        assert_eq!(progress.next(), LogIndex(next), "a second report changes nothing");
    }
}

#[test]
fn who_is_unreachable_is_probed() {
    let mut progress = replicating(4);
    progress.handle_sent(3, 9, LogIndex(4));
    progress.handle_unreachable();
    assert_eq!(*progress.state(), ProgressState::Probe { paused: false });
    assert_eq!(progress.next(), LogIndex(5));
    let mut waiting = probing(4, 9);
    waiting.handle_unreachable();
    assert_eq!(waiting.next(), LogIndex(9));
}

#[test]
fn a_commit_index_is_worth_telling_only_if_the_follower_can_use_it() {
    let mut progress = replicating(4);
    progress.handle_sent(2, 9, LogIndex(3));
    assert!(progress.can_bump_commit(LogIndex(5)));
    assert!(!progress.can_bump_commit(LogIndex(3)));
    progress.handle_sent_commit(LogIndex(6));
    assert!(!progress.can_bump_commit(LogIndex(9)), "it has been sent no more than 6 entries");
}
