//! Which calls are sent again, where to, and how often.

use std::pin::Pin;
use std::time::{Duration, Instant};

use h2::Reason;
use http::HeaderMap;

use super::pair::{Pair, Question, keep, put, range, reads, writing_txn};
use super::{WATCH, lost, unavailable};
use crate::observability::metric;
use crate::support::grpc::{Event, PATIENCE, metadata};
use crate::support::upstream::Call;

#[tokio::test]
async fn a_read_that_is_lost_with_its_connection_is_answered_by_another_member() {
    for read in reads() {
        let pair = Pair::start("", first_is_kept).await;
        let answer = pair.asking(&read);
        pair.wait_for_calls(1).await;
        pair.members[pair.seen()[0].member].kill_connections();
        assert_eq!(answer.await.unwrap().status().code, Some(0), "{}", read.name);
        pair.assert_alternating(2, read.name);
        assert_eq!(pair.retries("lost"), 1.0, "{}", read.name);
    }
}

#[tokio::test]
async fn a_mutation_that_is_lost_with_its_connection_is_not_sent_again() {
    for mutation in [put(), writing_txn()] {
        let pair = Pair::start("", first_is_kept).await;
        let answer = pair.asking(&mutation);
        pair.wait_for_calls(1).await;
        pair.members[pair.seen()[0].member].kill_connections();
        assert_eq!(answer.await.unwrap().status(), lost(super::PUT), "{}", mutation.name);
        assert_eq!(pair.seen().len(), 1, "{}", mutation.name);
    }
}

#[tokio::test]
async fn a_call_that_was_certainly_not_processed_is_answered_by_another_member() {
    let outcome = |reason| {
        move |call: Call| match reason {
            "learner" => call.refuse(FAILED_PRECONDITION, LEARNER),
            // etcd up to 3.5.
            "learner of 3.5" => call.refuse(UNAVAILABLE, LEARNER),
            "no leader" => call.refuse(UNAVAILABLE, "etcdserver: no leader"),
            _ => call.reset(Reason::REFUSED_STREAM),
        }
    };
    for reason in ["learner", "learner of 3.5", "no leader", "refused"] {
        for asks_for_leader in [true, false] {
            if reason == "no leader" && !asks_for_leader {
                // etcd says it after the fact then: see below.
                continue;
            }
            let pair = Pair::start("", first_gets(outcome(reason))).await;
            let Question { path, message, .. } = put();
            let headers = if asks_for_leader { metadata(&[("hasleader", "true")]) } else { metadata(&[]) };
            let status = pair.channel.unary(path, headers, &message).await.status();
            assert_eq!(status.code, Some(0), "{reason}: {status:?}");
            pair.assert_alternating(2, reason);
            assert_eq!(pair.retries(reason.trim_end_matches(" of 3.5")), 1.0, "{reason}");
            for seen in pair.seen() {
                assert_eq!(seen.metadata.contains_key("hasleader"), asks_for_leader, "{reason}");
            }
        }
    }
}

#[tokio::test]
async fn a_write_that_did_not_ask_for_a_leader_is_not_sent_again_for_the_lack_of_one() {
    let pair = Pair::start("", first_gets(|call| call.refuse(UNAVAILABLE, "etcdserver: no leader"))).await;
    let status = pair.ask(&put()).await.status();
    assert_eq!((status.code, status.message.as_str()), (Some(UNAVAILABLE), "etcdserver: no leader"));
    assert_eq!(pair.seen().len(), 1);
}

#[tokio::test]
async fn what_a_member_cannot_answer_now_another_may() {
    let read = range(false);
    for (code, text) in [
        (UNAVAILABLE, "etcdserver: request timed out"),
        (CANCELLED, "context canceled"),
        (DEADLINE_EXCEEDED, "context deadline exceeded"),
    ] {
        let pair = Pair::start("", first_gets(move |call| call.refuse(code, text))).await;
        assert_eq!(pair.ask(&read).await.status().code, Some(0), "{text}");
        pair.assert_alternating(2, text);
        assert_eq!(pair.retries("unavailable"), 1.0, "{text}");
        let status = pair.ask(&put()).await.status();
        assert_eq!(status.code, Some(0));
    }
}

#[tokio::test]
async fn an_error_of_a_mutation_is_its_answer() {
    let pair =
        Pair::start("", first_gets(|call| call.refuse(UNAVAILABLE, "etcdserver: request timed out"))).await;
    assert_eq!(pair.ask(&put()).await.status(), unavailable("etcdserver: request timed out"));
    assert_eq!(pair.seen().len(), 1);
}

/// Its answer has not begun, so that its client cannot tell the second opening from the first.
#[tokio::test]
async fn a_stream_that_is_lost_before_its_answer_is_opened_again_with_all_that_was_sent() {
    let pair = Pair::start("", first_is_kept_others_echo).await;
    let mut watch = pair.channel.stream(WATCH, HeaderMap::new()).await.unwrap();
    watch.send(b"one");
    pair.wait_for_calls(1).await;
    watch.send(b"two");
    // So that the second message is under way too.
    tokio::time::sleep(Duration::from_millis(50)).await;
    pair.members[pair.seen()[0].member].kill_connections();
    for expected in ["one", "two"] {
        let Event::Message(message) = watch.next(PATIENCE).await else { panic!("{expected} is lost") };
        assert_eq!(message.bytes, expected);
    }
    watch.send(b"three");
    let Event::Message(message) = watch.next(PATIENCE).await else { panic!("the stream does not go on") };
    assert_eq!(message.bytes, "three");
    watch.half_close();
    assert_eq!(watch.answer(PATIENCE).await.status().code, Some(0));
    pair.assert_alternating(2, "a watch");
}

#[tokio::test]
async fn a_stream_of_which_too_much_was_sent_or_that_changes_something_is_not_opened_again() {
    for (path, sent) in [(WATCH, 100 << 10), (KEEP_ALIVE, 1)] {
        let pair = Pair::start("lease: {coalesce: false}", first_is_kept_others_echo).await;
        let mut stream = pair.channel.stream(path, HeaderMap::new()).await.unwrap();
        stream.send(&vec![7; sent]);
        pair.wait_for_calls(1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        pair.members[pair.seen()[0].member].kill_connections();
        let expected = if path == WATCH { lost(path) } else { lost(super::PUT) };
        assert_eq!(stream.answer(PATIENCE).await.status(), expected, "{path}");
        assert_eq!(pair.seen().len(), 1, "{path}");
    }
}

#[tokio::test]
async fn a_stream_that_was_refused_is_opened_again_whatever_it_does() {
    let script = |number, call: Call| async move {
        match number {
            0 => call.reset(Reason::REFUSED_STREAM),
            _ => echo(call).await,
        }
    };
    for path in [KEEP_ALIVE, WATCH, "/unknown.Service/Method"] {
        let pair = Pair::start("", script).await;
        let mut stream = pair.channel.stream(path, HeaderMap::new()).await.unwrap();
        stream.send(b"one");
        let Event::Message(message) = stream.next(PATIENCE).await else { panic!("{path}: it is lost") };
        assert_eq!(message.bytes, "one");
        pair.assert_alternating(2, path);
        assert_eq!(pair.retries("refused"), 1.0, "{path}");
    }
}

/// Nothing tells that the connection is dead: the member itself has stopped answering.
#[tokio::test]
async fn a_read_on_a_member_that_falls_silent_is_answered_by_another() {
    for read in reads() {
        let pair = Pair::start("", first_is_kept).await;
        let started = Instant::now();
        let answer = pair.asking(&read);
        pair.wait_for_calls(1).await;
        pair.members[pair.seen()[0].member].ignore_probes();
        assert_eq!(answer.await.unwrap().status().code, Some(0), "{}", read.name);
        assert!(started.elapsed() < Duration::from_secs(2), "{}: {:?}", read.name, started.elapsed());
        pair.assert_alternating(2, read.name);
        assert_eq!(pair.retries("evicted"), 1.0, "{}", read.name);
    }
}

#[tokio::test]
async fn a_read_goes_from_member_to_member_until_its_time_is_over() {
    let pair = Pair::start("retry: {read-limit: 600ms}", |_, call| loses(call)).await;
    let started = Instant::now();
    assert_eq!(pair.ask(&range(false)).await.status(), lost(super::RANGE));
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(600) && took < Duration::from_millis(1500), "{took:?}");
    let seen = pair.seen();
    let each = [0, 1].map(|member| seen.iter().filter(|seen| seen.member == member).count());
    // A round of both, then a pause that grows from 25 to 200 ms.
    assert!(seen.len() < 20 && each.iter().all(|count| *count >= 3), "{each:?}");
}

#[tokio::test]
async fn the_next_attempt_has_the_time_that_is_left() {
    let script = |number, call: Call| async move {
        if number == 0 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            return call.reset(Reason::INTERNAL_ERROR);
        }
        call.answer(b"").await;
    };
    let pair = Pair::start("", script).await;
    let Question { path, message, .. } = range(false);
    let answer = pair.channel.unary(path, metadata(&[("grpc-timeout", "2S")]), &message).await;
    assert_eq!(answer.status().code, Some(0));
    let timeouts: Vec<String> = pair
        .seen()
        .iter()
        .map(|seen| seen.metadata["grpc-timeout"].to_str().expect("a timeout is text").to_owned())
        .collect();
    let [first, second] = timeouts.try_into().expect("two attempts");
    assert_eq!(first, "2S");
    let left: u64 = second.strip_suffix('m').and_then(|digits| digits.parse().ok()).expect("milliseconds");
    assert!((500..=1500).contains(&left), "{left} ms");
}

#[tokio::test]
async fn no_attempt_is_made_beyond_the_deadline() {
    let pair = Pair::start("", |_, call| loses(call)).await;
    let Question { path, message, .. } = range(false);
    let started = Instant::now();
    let status = pair.channel.unary(path, metadata(&[("grpc-timeout", "300m")]), &message).await.status();
    let took = started.elapsed();
    assert_eq!(
        (status.code, status.message.as_str()),
        (Some(DEADLINE_EXCEEDED), "context deadline exceeded")
    );
    assert!(took >= Duration::from_millis(300) && took < Duration::from_millis(900), "{took:?}");
    let attempts = pair.seen().len();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(pair.seen().len(), attempts, "attempts go on");
}

#[tokio::test]
async fn without_budget_a_failed_read_fails() {
    let script = |number, call: Call| async move {
        match number % 2 {
            0 => call.reset(Reason::INTERNAL_ERROR),
            _ => call.answer(b"").await,
        }
    };
    let pair = Pair::start("retry: {budget-burst: 1, budget-rate: 1}", script).await;
    assert_eq!(pair.ask(&range(false)).await.status().code, Some(0));
    assert_eq!(metric(&pair.sidecar, EXHAUSTED), 0.0);
    assert_eq!(pair.ask(&range(false)).await.status(), lost(super::RANGE));
    assert_eq!(metric(&pair.sidecar, EXHAUSTED), 1.0);
    assert_eq!((pair.seen().len(), pair.retries("lost")), (3, 1.0));
    // The budget fills again.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(pair.ask(&range(false)).await.status().code, Some(0), "an odd number: it is answered at once");
    assert_eq!(pair.ask(&range(false)).await.status().code, Some(0));
    assert_eq!(pair.retries("lost"), 2.0);
}

/// The first call gets this, all others are answered.
fn first_gets(
    outcome: impl Fn(Call) + Clone + Send + Sync + 'static,
) -> impl Fn(usize, Call) -> Pin<Box<dyn Future<Output = ()> + Send>> + Clone + Send + Sync + 'static {
    move |number: usize, mut call: Call| {
        let outcome = outcome.clone();
        Box::pin(async move {
            if number == 0 {
                call.body().await;
                return outcome(call);
            }
            call.answer(b"").await;
        })
    }
}

async fn first_is_kept(number: usize, call: Call) {
    match number {
        0 => keep(call).await,
        _ => call.answer(b"").await,
    }
}

async fn first_is_kept_others_echo(number: usize, call: Call) {
    match number {
        0 => keep(call).await,
        _ => echo(call).await,
    }
}

/// Sends back what comes, as it comes.
async fn echo(mut call: Call) {
    let mut answering = call.begin().expect("the call is alive");
    while let Some(Ok(data)) = call.request.body_mut().data().await {
        answering.send(data);
    }
    answering.finish(0, "");
}

async fn loses(mut call: Call) {
    call.body().await;
    call.reset(Reason::INTERNAL_ERROR);
}

const KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
const LEARNER: &str = "etcdserver: rpc not supported for learner";
const EXHAUSTED: &str = "etcdlet_retry_budget_exhausted_total";

const CANCELLED: u32 = 1;
const DEADLINE_EXCEEDED: u32 = 4;
const FAILED_PRECONDITION: u32 = 9;
const UNAVAILABLE: u32 = 14;
