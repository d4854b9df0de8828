//! Where a watcher begins: now, in the past, in the future.

use etcdlet::proto::etcdserverpb as pb;

use super::client::{Seen, claim, key, modified, prefix, revision};
use super::subject::{Mirror, as_etcd};

#[tokio::test]
async fn a_watch_from_now_begins_with_the_next_revision() {
    let mut mirror = Mirror::start().await;
    for _ in 0..20 {
        let before = mirror.writer.put("now", "1").await.expect("a put succeeds");
        mirror.again().await;
        mirror.create(&key("now"));
        assert_eq!(revision(mirror.next().await.header.as_ref()), before);
        let after = mirror.writer.put("now", "2").await.expect("a put succeeds");
        assert_eq!(modified(&mirror.next().await.events[0]), after);
    }
}

/// W3: etcd sends a backlog in batches of 1,000 revisions, whose headers all name the present one.
#[tokio::test]
async fn a_long_history_is_shown_whole_and_in_order_while_others_write() {
    as_etcd(async |subject| {
        let client = subject.client().await;
        let all = prefix(&subject.key("h/"));
        let mut live = client.watch().await;
        live.created(all.clone()).await?;
        let mut written = client.fill(&subject.key("h/old/"), 3_500, 2, 16).await?;
        let mut late = Vec::new();
        // On a stream each, and on one stream together.
        for place in [0, 2, 2_400, 2_402, 5_000, 6_998] {
            let mut watch = subject.client().await.watch().await;
            watch.create(pb::WatchCreateRequest { start_revision: written[place].0, ..all.clone() });
            late.push((place, watch));
        }
        written.extend(client.fill(&subject.key("h/new/"), 500, 2, 16).await?);
        live.sees_all(&written).await?;
        for (place, watch) in &mut late {
            claim(watch.next().await?.created, || "not created first".into())?;
            let seen = watch.sees_all(&written[*place..]).await;
            seen.map_err(|why| format!("from event {place} on: {why}"))?;
        }
        // And after that, all of them are live.
        let put = client.put(&subject.key("h/z"), "1").await?;
        live.sees(put).await?;
        for (_, watch) in &mut late {
            watch.sees(put).await?;
        }
        Ok(())
    })
    .await;
}

/// Each joins at another place of what the others have just seen.
#[tokio::test]
async fn whoever_joins_in_the_recent_past_sees_what_those_before_saw() {
    as_etcd(async |subject| {
        let client = subject.client().await;
        let a = subject.key("a");
        let mut first = client.watch().await;
        first.created(pb::WatchCreateRequest { prev_kv: true, ..key(a.clone()) }).await?;
        let mut revisions = Vec::new();
        for round in 0..30 {
            let change = if round % 3 == 2 { client.delete(&a).await? } else { client.put(&a, "1").await? };
            revisions.push(change);
        }
        let all = first.events(revisions.len()).await?;
        let seen: Vec<i64> = all.iter().map(modified).collect();
        claim(seen == revisions, || format!("{seen:?}, not {revisions:?}"))?;
        let mut together = client.watch().await;
        let mut watches = Vec::new();
        for (place, start_revision) in revisions.iter().copied().enumerate() {
            let request = pb::WatchCreateRequest { start_revision, prev_kv: true, ..key(a.clone()) };
            let mut watch = client.watch().await;
            watch.created(request.clone()).await?;
            let events = watch.events(revisions.len() - place).await?;
            claim(events == all[place..], || format!("from {start_revision} on: {events:?}"))?;
            watches.push(watch);
            together.create(request);
        }
        // Without the previous values, though the same range has them for others.
        let mut plain = client.watch().await;
        plain.created(pb::WatchCreateRequest { start_revision: revisions[0], ..key(a.clone()) }).await?;
        let events = plain.events(revisions.len()).await?;
        claim(events.iter().all(|event| event.prev_kv.is_none()), || format!("{events:?}"))?;
        let put = client.put(&a, "last").await?;
        for watch in watches.iter_mut().chain([&mut first, &mut plain]) {
            watch.sees(put).await?;
        }
        count_by_id(&mut together, &revisions, put).await
    })
    .await;
}

/// The watcher with id N began at the Nth of `revisions`; each of them sees the rest and then `last`, once.
async fn count_by_id(together: &mut super::client::Watch, revisions: &[i64], last: i64) -> Seen<()> {
    let mut seen = vec![Vec::new(); revisions.len()];
    while seen.iter().any(|seen| seen.last() != Some(&last)) {
        let response = together.next().await?;
        seen[usize::try_from(response.watch_id).expect("ids count from 0")]
            .extend(response.events.iter().map(modified));
    }
    for (place, seen) in seen.iter().enumerate() {
        let rest = revisions[place..].iter().copied().chain([last]);
        claim(rest.eq(seen.iter().copied()), || format!("the watcher {place} saw {seen:?}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn a_watch_from_the_future_is_silent_until_then() {
    let mut mirror = Mirror::start().await;
    let now = mirror.writer.put("future", "0").await.expect("a put succeeds");
    // Beside one that is there already, and one that never begins.
    mirror.create(&key("future"));
    mirror.create(&pb::WatchCreateRequest { start_revision: now + 4, ..key("future") });
    mirror.create(&pb::WatchCreateRequest { start_revision: i64::MAX, ..key("future") });
    for _ in 0..3 {
        assert_eq!(revision(mirror.next().await.header.as_ref()), now);
    }
    for put in now + 1..now + 4 {
        mirror.writer.put("future", "1").await.expect("a put succeeds");
        let seen = mirror.next().await;
        assert_eq!((seen.watch_id, modified(&seen.events[0])), (0, put));
    }
    for put in now + 4..now + 7 {
        mirror.writer.put("future", "2").await.expect("a put succeeds");
        let seen = mirror.all(2).await;
        let seen: Vec<_> = seen.iter().map(|it| (it.watch_id, modified(&it.events[0]))).collect();
        assert_eq!(seen, [(0, put), (1, put)]);
    }
}

#[tokio::test]
async fn a_transaction_and_a_revoked_lease_are_each_shown_in_one_response() {
    let mut mirror = Mirror::start().await;
    mirror.create(&prefix("t/"));
    mirror.create(&key("t/b"));
    mirror.create(&pb::WatchCreateRequest { range_end: "\0".into(), ..key("t/b") });
    for _ in 0..3 {
        mirror.next().await;
    }
    let keys = ["t/c", "t/a", "t/b"].map(String::from);
    mirror.writer.put_all(&keys, "1").await.expect("a transaction succeeds");
    let counts: Vec<usize> = mirror.all(3).await.iter().map(|it| it.events.len()).collect();
    assert_eq!(counts, [3, 1, 2]);
    let grant = pb::LeaseGrantRequest { ttl: 600, id: 77 };
    let _: pb::LeaseGrantResponse =
        mirror.writer.call("/etcdserverpb.Lease/LeaseGrant", &grant).await.expect("a grant succeeds");
    for key in keys {
        let put = pb::PutRequest { key: key.into(), lease: 77, ..Default::default() };
        let _: pb::PutResponse =
            mirror.writer.call("/etcdserverpb.KV/Put", &put).await.expect("a put succeeds");
    }
    // Three of the prefix, one of the key, two of the open range.
    mirror.all(6).await;
    let revoke = pb::LeaseRevokeRequest { id: 77 };
    let _: pb::LeaseRevokeResponse =
        mirror.writer.call("/etcdserverpb.Lease/LeaseRevoke", &revoke).await.expect("a revoke succeeds");
    let counts: Vec<usize> = mirror.all(3).await.iter().map(|it| it.events.len()).collect();
    assert_eq!(counts, [3, 1, 2]);
}
