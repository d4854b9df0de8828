//! A serializable read that is slow is asked of a second member, if the configuration says when.

use std::time::{Duration, Instant};

use super::pair::{Pair, put, range};
use crate::observability::{becomes, metric};
use crate::support::upstream::Call;

#[tokio::test]
async fn a_slow_serializable_read_is_answered_by_the_other_member() {
    let pair = Pair::start(HEDGED, even_are_slow).await;
    for round in 0..3 {
        let started = Instant::now();
        assert_eq!(pair.ask(&range(true)).await.status().code, Some(0));
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(20) && took < SLOW / 2, "round {round}: {took:?}");
    }
    let seen = pair.seen();
    assert_eq!(seen.len(), 6);
    assert!(seen.chunks(2).all(|two| two[0].member != two[1].member), "{seen:?}");
    becomes(&pair.sidecar, WON, 3.0).await;
    assert_eq!(metric(&pair.sidecar, LOST), 0.0);
}

#[tokio::test]
async fn the_first_member_may_still_be_faster() {
    let script = |number, call: Call| async move {
        tokio::time::sleep(if number == 0 { Duration::from_millis(100) } else { SLOW }).await;
        call.answer(b"").await;
    };
    let pair = Pair::start(HEDGED, script).await;
    let started = Instant::now();
    assert_eq!(pair.ask(&range(true)).await.status().code, Some(0));
    assert!(started.elapsed() < SLOW / 2, "{:?}", started.elapsed());
    pair.assert_alternating(2, "a slow read");
    assert_eq!((metric(&pair.sidecar, WON), metric(&pair.sidecar, LOST)), (0.0, 1.0));
}

#[tokio::test]
async fn no_other_call_is_asked_twice() {
    for question in [range(false), put()] {
        let pair = Pair::start(HEDGED, even_are_slow).await;
        let started = Instant::now();
        assert_eq!(pair.ask(&question).await.status().code, Some(0));
        assert!(started.elapsed() >= SLOW, "{}: {:?}", question.name, started.elapsed());
        assert_eq!(pair.seen().len(), 1, "{}", question.name);
    }
    // Nor is a fast one.
    let pair = Pair::start(HEDGED, |_, call: Call| call.answer(b"")).await;
    assert_eq!(pair.ask(&range(true)).await.status().code, Some(0));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(pair.seen().len(), 1);
}

#[tokio::test]
async fn second_questions_are_in_the_budget_of_retries() {
    let pair =
        Pair::start("retry: {hedge-after: 20ms, budget-burst: 1, budget-rate: 1}", even_are_slow).await;
    assert_eq!(pair.ask(&range(true)).await.status().code, Some(0));
    let started = Instant::now();
    assert_eq!(pair.ask(&range(true)).await.status().code, Some(0));
    assert!(started.elapsed() >= SLOW, "{:?}", started.elapsed());
    assert_eq!(pair.seen().len(), 3, "a question beyond the budget reached a member");
    assert_eq!((metric(&pair.sidecar, WON), metric(&pair.sidecar, LOST)), (1.0, 0.0));
}

/// Slow is better than not at all.
#[tokio::test]
async fn an_error_of_the_second_member_does_not_win() {
    let script = |number, call: Call| async move {
        match number {
            1 => call.refuse(14, "etcdserver: request timed out"),
            _ => {
                tokio::time::sleep(SLOW).await;
                call.answer(b"").await;
            }
        }
    };
    let pair = Pair::start(HEDGED, script).await;
    let started = Instant::now();
    assert_eq!(pair.ask(&range(true)).await.status().code, Some(0));
    assert!(started.elapsed() < SLOW * 3 / 2, "{:?}", started.elapsed());
    assert_eq!(pair.seen().len(), 2, "the first question was given up");
    assert_eq!(metric(&pair.sidecar, WON), 0.0);
}

async fn even_are_slow(number: usize, call: Call) {
    if number.is_multiple_of(2) {
        tokio::time::sleep(SLOW).await;
    }
    call.answer(b"").await;
}

const HEDGED: &str = "retry: {hedge-after: 20ms}";
/// For a member that is only slow, not yet suspicious.
const SLOW: Duration = Duration::from_millis(800);
const LOST: &str = "etcdlet_hedges_total{outcome=\"lost\"}";
const WON: &str = "etcdlet_hedges_total{outcome=\"won\"}";
