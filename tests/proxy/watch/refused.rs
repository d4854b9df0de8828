//! Watchers that end, at once or later: with the texts and the fields that etcd gives them, and never in silence.

use etcdlet::proto::etcdserverpb as pb;

use super::client::{claim, key, prefix};
use super::subject::{Mirror, unlike_grpc_proxy};

/// W12.
#[tokio::test]
async fn an_empty_range_is_refused_with_its_reason() {
    unlike_grpc_proxy("no reason", async |subject| {
        let mut watch = subject.client().await.watch().await;
        let (from, to) = (subject.key("b"), subject.key("a"));
        watch.create(pb::WatchCreateRequest { range_end: to.into(), ..key(from) });
        let refused = watch.next().await?;
        let shape = refused.created && refused.canceled && refused.watch_id == -1;
        claim(shape, || format!("not refused: {refused:?}"))?;
        claim(refused.cancel_reason == "mvcc: watcher range is empty", || {
            format!("no reason: {:?}", refused.cancel_reason)
        })
    })
    .await;
}

#[tokio::test]
async fn ranges_that_hold_nothing_are_refused_as_by_etcd_and_the_stream_goes_on() {
    let mut mirror = Mirror::start().await;
    for (from, to) in [("b", "b"), ("b", "a"), ("b", "aaaa"), ("\0", "\0"), ("", "\0")] {
        mirror.create(&pb::WatchCreateRequest { range_end: to.into(), ..key(from) });
        let answer = mirror.next().await;
        // A range that ends with a zero byte has no end.
        assert_eq!(answer.canceled, to != "\0", "{from:?}..{to:?}: {answer:?}");
    }
    mirror.create(&key("after"));
    assert_eq!(mirror.next().await.watch_id, 2);
}

#[tokio::test]
async fn a_start_below_zero_is_refused_as_by_etcd() {
    let mut mirror = Mirror::start().await;
    for start_revision in [-1, -1_000_000, i64::MIN] {
        mirror.create(&pb::WatchCreateRequest { start_revision, ..key("a") });
        let refused = mirror.next().await;
        assert!(refused.created && refused.canceled && refused.watch_id == -1, "{refused:?}");
        assert_eq!(refused.cancel_reason, "etcdserver: mvcc: required revision has been compacted");
    }
}

#[tokio::test]
async fn a_start_that_is_compacted_away_is_created_and_then_cancelled_without_a_reason() {
    let mut mirror = Mirror::start().await;
    let mut last = 0;
    for value in ["1", "2", "3", "4"] {
        last = mirror.writer.put("compacted", value).await.expect("a put succeeds");
    }
    mirror.writer.compact(last - 1).await.expect("a compaction succeeds");
    for start_revision in [1, last - 2] {
        mirror.create(&pb::WatchCreateRequest { start_revision, ..key("compacted") });
        let created = mirror.next().await;
        assert!(created.created && !created.canceled, "{created:?}");
        let canceled = mirror.next().await;
        assert_eq!((canceled.watch_id, canceled.compact_revision), (created.watch_id, last - 1));
        assert!(canceled.canceled && canceled.cancel_reason.is_empty(), "{canceled:?}");
        assert_eq!(canceled.header.expect("it has a header").revision, 0);
    }
    // The compacted revision itself is still there.
    mirror.create(&pb::WatchCreateRequest { start_revision: last - 1, ..key("compacted") });
    for watch in [&mut mirror.direct, &mut mirror.through] {
        assert!(watch.next().await.expect("it is created").created);
        let events = watch.events(2).await.expect("the history is there");
        assert_eq!(events.iter().map(super::client::modified).collect::<Vec<_>>(), [last - 1, last]);
    }
}

/// W1 and the start in W2's table: a watch that ended must not swallow those of its range that come after it.
#[tokio::test]
async fn a_watcher_that_compaction_ended_takes_no_other_with_it() {
    unlike_grpc_proxy("the watcher ", async |subject| {
        let client = subject.client().await;
        let a = subject.key("a");
        let old = client.put(&a, "1").await?;
        let mut before = client.watch().await;
        before.created(key(a.clone())).await?;
        let last = client.put(&a, "2").await?;
        before.sees(last).await?;
        client.compact(last).await?;
        let mut late = client.watch().await;
        late.created(pb::WatchCreateRequest { start_revision: old, ..key(a.clone()) }).await?;
        let canceled = late.next().await?;
        claim(canceled.canceled && canceled.compact_revision == last, || format!("{canceled:?}"))?;
        let mut after = client.watch().await;
        after.created(key(a.clone())).await.map_err(|why| format!("the watcher after: {why}"))?;
        let mut beside = client.watch().await;
        beside.created(pb::WatchCreateRequest { start_revision: last, ..key(a.clone()) }).await?;
        beside.sees(last).await.map_err(|why| format!("the watcher beside: {why}"))?;
        late.created(key(a.clone())).await?;
        let put = client.put(&a, "3").await?;
        for (who, watch) in
            [("before", &mut before), ("after", &mut after), ("beside", &mut beside), ("late", &mut late)]
        {
            watch.sees(put).await.map_err(|why| format!("the watcher {who}: {why}"))?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_watcher_is_told_so_once_and_shows_nothing_more() {
    let mut mirror = Mirror::start().await;
    for _ in 0..3 {
        mirror.create(&prefix("cancel/"));
        mirror.next().await;
    }
    mirror.writer.put("cancel/a", "1").await.expect("a put succeeds");
    mirror.all(3).await;
    // Unknown ones are passed over, and so is the second time.
    for watch_id in [99, 1, 1, -1] {
        mirror.both(|watch| watch.cancel(watch_id));
    }
    let canceled = mirror.next().await;
    assert!(canceled.canceled && canceled.watch_id == 1 && canceled.cancel_reason.is_empty(), "{canceled:?}");
    mirror.writer.put("cancel/a", "2").await.expect("a put succeeds");
    let ids: Vec<i64> = mirror.all(2).await.iter().map(|it| it.watch_id).collect();
    assert_eq!(ids, [0, 2]);
    mirror.is_silent().await;
}

#[tokio::test]
async fn a_request_of_nothing_is_passed_over() {
    let mut mirror = Mirror::start().await;
    for watch in [&mut mirror.direct, &mut mirror.through] {
        watch.stream.send_message(&pb::WatchRequest { request_union: None });
    }
    mirror.create(&key("a"));
    assert!(mirror.next().await.created);
}
