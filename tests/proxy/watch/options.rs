//! What a watcher asked for, it gets, and nobody else of its range does.

use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;
use etcdlet::proto::mvccpb::Event;
use prost::Message;
use tokio::time::Instant;

use super::client::{Client, Seen, Watch, claim, key, modified, prefix, revision};
use super::subject::{Mirror, as_etcd, as_etcd_with, unlike_grpc_proxy};
use crate::support::etcd::Options;
use crate::support::grpc::PATIENCE;

#[tokio::test]
async fn filters_and_previous_values_are_each_watchers_own() {
    let mut mirror = Mirror::start().await;
    let (no_put, no_delete) = (0, 1);
    let mut watchers = 0;
    for filters in [vec![], vec![no_put], vec![no_delete], vec![no_put, no_delete], vec![7]] {
        for prev_kv in [false, true] {
            for request in [key("o/a"), prefix("o/")] {
                mirror.create(&pb::WatchCreateRequest { filters: filters.clone(), prev_kv, ..request });
                mirror.next().await;
                watchers += 1;
            }
        }
    }
    assert_eq!(watchers, 20);
    // All but those that filter puts: 12. All but those that filter deletes: 12.
    mirror.writer.put("o/a", "1").await.expect("a put succeeds");
    mirror.all(12).await;
    mirror.writer.put("o/a", "2").await.expect("a put succeeds");
    let seen = mirror.all(12).await;
    assert_eq!(seen.iter().filter(|it| it.events[0].prev_kv.is_some()).count(), 6, "{seen:?}");
    mirror.writer.delete("o/a").await.expect("a delete succeeds");
    mirror.all(12).await;
    // Nothing to delete, nothing to see.
    mirror.writer.delete("o/a").await.expect("a delete succeeds");
    for key in ["o/c", "o/e"] {
        mirror.writer.put(key, "1").await.expect("a put succeeds");
        mirror.all(6).await;
    }
    let request = pb::TxnRequest {
        success: vec![put("o/a"), delete("o/c"), put("o/b"), delete("o/e"), put("x")],
        ..Default::default()
    };
    let _: pb::TxnResponse =
        mirror.writer.call("/etcdserverpb.KV/Txn", &request).await.expect("a transaction succeeds");
    // The key: those that show puts. The prefix: all but those that show nothing.
    let seen = mirror.all(6 + 8).await;
    let counts = |count| seen.iter().filter(|it| it.events.len() == count).count();
    assert_eq!((counts(1), counts(2), counts(4)), (6, 4, 4), "{seen:?}");
}

/// W6: a response that exceeds etcd's limit is split for those who asked for it.
#[tokio::test]
async fn a_large_response_is_split_for_whom_asked_for_it() {
    unlike_grpc_proxy("not split", async |subject| {
        let client = subject.client().await;
        let mut split = client.watch().await;
        let large = pb::WatchCreateRequest { prev_kv: true, ..prefix(&subject.key("f/")) };
        let in_parts = pb::WatchCreateRequest { fragment: true, ..large.clone() };
        split.created(in_parts.clone()).await?;
        let (first, second) = write_large(&client, &subject.key("f/")).await?;
        parts(&mut split, 4).await?;
        let live = parts(&mut split, 4).await?;
        claim(live.len() > 1, || "not split".into())?;
        let events: Vec<Event> = live.into_iter().flat_map(|it| it.events).collect();
        claim(events.iter().all(|event| modified(event) == second), || "not of one revision".into())?;
        // As a whole for whom did not, also of the past; with all that it has.
        let mut whole = client.watch().await;
        whole.created(pb::WatchCreateRequest { start_revision: second, ..large.clone() }).await?;
        let at_once = whole.next().await?;
        claim(at_once.events == events && !at_once.fragment, || "the same at once".into())?;
        let mut late = client.watch().await;
        late.created(pb::WatchCreateRequest { start_revision: first, ..in_parts }).await?;
        let history: Vec<Event> = parts(&mut late, 8).await?.into_iter().flat_map(|it| it.events).collect();
        claim(history[4..] == events, || "the same as history".into())?;
        let put = client.put(&subject.key("f/z"), "1").await?;
        for watch in [&mut split, &mut whole, &mut late] {
            watch.sees(put).await?;
        }
        Ok(())
    })
    .await;
}

/// Four keys in one revision, and again; 1.4 MB each time, so that only with the previous values it is too large.
async fn write_large(client: &Client, prefix: &str) -> Seen<(i64, i64)> {
    let keys: Vec<String> = (0..4).map(|number| format!("{prefix}{number}")).collect();
    let first = client.put_all(&keys, vec![b'1'; 350_000]).await?;
    Ok((first, client.put_all(&keys, vec![b'2'; 350_000]).await?))
}

/// Responses with so many events, of which every part but the last says that another follows, and none is too large.
async fn parts(watch: &mut Watch, count: usize) -> Seen<Vec<pb::WatchResponse>> {
    let (mut parts, mut events): (Vec<pb::WatchResponse>, usize) = (Vec::new(), 0);
    while events < count || parts.last().is_some_and(|part| part.fragment) {
        let part = watch.next().await?;
        events += part.events.len();
        let sound = !part.events.is_empty() && part.encoded_len() <= FRAGMENT_BYTES_MAX;
        claim(sound, || format!("not split: {} events, {} bytes", part.events.len(), part.encoded_len()))?;
        if let Some(before) = parts.last().filter(|before| before.fragment) {
            let same = (before.watch_id, &before.header) == (part.watch_id, &part.header);
            claim(same, || "parts of one response with two headers".into())?;
        }
        parts.push(part);
    }
    claim(events == count, || format!("{events} events, not {count}"))?;
    Ok(parts)
}

#[tokio::test]
async fn progress_is_notified_to_whom_asked_for_it() {
    let etcd = Options::default().flag("--experimental-watch-progress-notify-interval=200ms").start();
    as_etcd_with(&etcd, async |subject| {
        let client = subject.client().await;
        let mut watch = client.watch().await;
        let asked = |key| pb::WatchCreateRequest { progress_notify: true, ..key };
        // Two who asked, one who did not, and one whose time has not come.
        watch.created(asked(key(subject.key("a")))).await?;
        watch.created(key(subject.key("a"))).await?;
        watch.created(asked(prefix(&subject.key("")))).await?;
        let future = pb::WatchCreateRequest { start_revision: i64::MAX, ..asked(key(subject.key("a"))) };
        watch.created(future).await?;
        // Elsewhere: no event tells them of it.
        let put = client.put("elsewhere", "1").await?;
        let (mut notified, deadline) = ([0; 4], Instant::now() + PATIENCE);
        while notified[0] < 3 || notified[2] < 3 {
            claim(Instant::now() < deadline, || format!("notified: {notified:?}"))?;
            let response = watch.next().await?;
            let empty = response.events.is_empty() && !response.created && !response.canceled;
            claim(empty, || format!("no progress: {response:?}"))?;
            if revision(response.header.as_ref()) >= put {
                notified[usize::try_from(response.watch_id).expect("not on request")] += 1;
            }
        }
        claim(notified[1] == 0 && notified[3] == 0, || format!("notified: {notified:?}"))
    })
    .await;
}

/// As often as its members do it from the beginning, not only when somebody has written.
#[tokio::test]
async fn progress_is_notified_where_nothing_is_written() {
    let etcd = Options::default().flag("--experimental-watch-progress-notify-interval=500ms").start();
    as_etcd_with(&etcd, async |subject| {
        let client = subject.client().await;
        let mut watch = client.watch().await;
        let asked = pb::WatchCreateRequest { progress_notify: true, ..key(subject.key("a")) };
        let created = watch.created(asked).await?;
        let progress = watch.next_within(NOTIFIED_WITHIN).await?.ok_or("no progress")?;
        let empty = progress.events.is_empty() && !progress.created && !progress.canceled;
        claim(empty && progress.watch_id == created.watch_id, || format!("no progress: {progress:?}"))?;
        let [before, now] = [&created, &progress].map(|it| revision(it.header.as_ref()));
        claim(now == before, || format!("progress {now}, created at {before}"))
    })
    .await;
}

/// Between two notifications of progress at R and S, exactly the events of R+1 to S are shown.
#[tokio::test]
async fn notified_progress_never_goes_back_and_overtakes_no_event() {
    let etcd = Options::default().flag("--experimental-watch-progress-notify-interval=100ms").start();
    as_etcd_with(&etcd, async |subject| {
        let (client, writer) = (subject.client().await, subject.client().await);
        let mut watch = client.watch().await;
        let a = subject.key("a");
        watch.created(pb::WatchCreateRequest { progress_notify: true, ..key(a.clone()) }).await?;
        let (mut reached, mut notified) = (0, 0);
        for _ in 0..10 {
            let mut put = 0;
            for _ in 0..20 {
                put = writer.put(&a, "1").await?;
            }
            while reached < put {
                let response = watch.next().await?;
                for event in &response.events {
                    claim(modified(event) > reached, || format!("{} behind {reached}", modified(event)))?;
                    reached = modified(event);
                }
                if response.events.is_empty() {
                    let progress = revision(response.header.as_ref());
                    claim(progress >= reached, || format!("progress {progress} behind {reached}"))?;
                    (reached, notified) = (progress, notified + 1);
                }
            }
            notified += i32::from(watch.next_within(Duration::from_millis(250)).await?.is_some());
        }
        claim(notified > 0, || "no progress at all".into())
    })
    .await;
}

#[tokio::test]
async fn keys_and_ranges_of_every_form_are_watched_as_by_etcd() {
    as_etcd(async |subject| {
        let client = subject.client().await;
        let k = |name: &str| subject.key(&format!("r/{name}"));
        let range = |from: String, to: &str| pb::WatchCreateRequest { range_end: k(to).into(), ..key(from) };
        // Overlapping ones, contained ones, one of a single key, and that key itself.
        let ranges = [
            (range(k("b"), "d"), "bc"),
            (range(k("a"), "c"), "ab"),
            (range(k("a"), "z"), "abcdx"),
            (range(k("b"), "b\0"), "b"),
            (key(k("b")), "b"),
            (range(k("x"), "y"), "x"),
        ];
        let mut watches = Vec::new();
        for (request, shown) in ranges {
            let mut watch = client.watch().await;
            watch.created(request).await?;
            watches.push((watch, shown));
        }
        for name in ["a", "b", "c", "d", "x"] {
            let put = client.put(&k(name), "1").await?;
            for (watch, _) in watches.iter_mut().filter(|(_, shown)| shown.contains(name)) {
                watch.sees(put).await?;
            }
        }
        for (watch, shown) in &mut watches {
            watch.is_silent().await.map_err(|why| format!("who saw {shown}: {why}"))?;
        }
        Ok(())
    })
    .await;
}

fn put(key: &str) -> pb::RequestOp {
    let put = pb::PutRequest { key: key.to_owned().into(), ..Default::default() };
    pb::RequestOp { request: Some(pb::request_op::Request::RequestPut(put)) }
}

fn delete(key: &str) -> pb::RequestOp {
    let delete = pb::DeleteRangeRequest { key: key.to_owned().into(), ..Default::default() };
    pb::RequestOp { request: Some(pb::request_op::Request::RequestDeleteRange(delete)) }
}

/// Three notifications of a member show its interval, which then passes once more.
const NOTIFIED_WITHIN: Duration = Duration::from_secs(3);

/// etcd's `--max-request-bytes`, and the 512 KiB that it adds.
const FRAGMENT_BYTES_MAX: usize = (1 << 21) + (1 << 10);
