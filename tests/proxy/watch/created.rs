//! The reply to a create: whose it is, of which revision, with which id.

use std::collections::BTreeSet;

use etcdlet::proto::etcdserverpb as pb;

use super::client::{claim, key, prefix, revision};
use super::subject::{Mirror, as_etcd, unlike_grpc_proxy};

#[tokio::test]
async fn a_created_reply_names_the_cluster_the_member_the_term_and_the_revision() {
    let mut mirror = Mirror::start().await;
    let put = mirror.writer.put("created", "1").await.expect("a put succeeds");
    mirror.create(&key("created"));
    let created = mirror.next().await;
    let header = created.header.expect("it has a header");
    assert!(header.cluster_id != 0 && header.member_id != 0 && header.raft_term >= 2, "{header:?}");
    assert_eq!((header.revision, created.watch_id), (put, 0));
    // Of other ranges, other starts, with other options: the revision is always the present one.
    for request in [
        prefix("created"),
        pb::WatchCreateRequest { prev_kv: true, ..key("created") },
        pb::WatchCreateRequest { fragment: true, ..key("created") },
        pb::WatchCreateRequest { start_revision: put + 1, ..key("created") },
        pb::WatchCreateRequest { start_revision: put + 100, ..key("other") },
    ] {
        mirror.create(&request);
        assert_eq!(revision(mirror.next().await.header.as_ref()), put, "{request:?}");
    }
}

/// W9: who joins a watch that is there already gets a header that somebody made up.
#[tokio::test]
async fn a_late_joiner_gets_the_header_of_a_member_too() {
    unlike_grpc_proxy("made up", async |subject| {
        let client = subject.client().await;
        let first = client.watch().await.created(key(subject.key("a"))).await?;
        let now = revision(first.header.as_ref());
        let mut watch = client.watch().await;
        for start_revision in [now + 1, 0, now + 1] {
            let request = pb::WatchCreateRequest { start_revision, ..key(subject.key("a")) };
            let late = watch.created(request).await?;
            claim(late.header == first.header, || {
                format!("made up: {:?}, the first one had {:?}", late.header, first.header)
            })?;
        }
        Ok(())
    })
    .await;
}

/// W6.
#[tokio::test]
async fn a_watch_id_that_the_client_chose_is_used() {
    unlike_grpc_proxy("ignored", async |subject| {
        let client = subject.client().await;
        let mut watch = client.watch().await;
        let request = pb::WatchCreateRequest { watch_id: 7, ..key(subject.key("a")) };
        let created = watch.created(request).await?;
        claim(created.watch_id == 7, || format!("ignored: 7 became {}", created.watch_id))?;
        client.put(&subject.key("a"), "1").await?;
        let event = watch.next().await?;
        claim(event.watch_id == 7 && event.events.len() == 1, || format!("its event: {event:?}"))
    })
    .await;
}

#[tokio::test]
async fn ids_that_nobody_chose_count_up_from_zero_and_skip_those_in_use() {
    let mut mirror = Mirror::start().await;
    let mut ids = Vec::new();
    for watch_id in [0, 2, 0, 0, -5, 0, 1_000_000_007, 0] {
        mirror.create(&pb::WatchCreateRequest { watch_id, ..key("ids") });
        ids.push(mirror.next().await.watch_id);
    }
    println!("{ids:?}");
    mirror.writer.put("ids", "1").await.expect("a put succeeds");
    let seen: BTreeSet<i64> = mirror.all(ids.len()).await.iter().map(|it| it.watch_id).collect();
    assert_eq!(seen, ids.into_iter().collect());
    // An id is free again when its watcher is gone, and then only for whom asks for it.
    mirror.both(|watch| watch.cancel(1));
    assert!(mirror.next().await.canceled);
    for watch_id in [0, 1, 0] {
        mirror.create(&pb::WatchCreateRequest { watch_id, ..key("ids") });
        mirror.next().await;
    }
}

#[tokio::test]
async fn an_id_given_twice_on_a_stream_is_refused_and_the_first_watcher_goes_on() {
    let mut mirror = Mirror::start().await;
    let request = pb::WatchCreateRequest { watch_id: 7, ..key("twice") };
    mirror.create(&request);
    assert!(!mirror.next().await.canceled);
    for again in [request.clone(), pb::WatchCreateRequest { watch_id: 7, ..prefix("other") }] {
        mirror.create(&again);
        let refused = mirror.next().await;
        assert!(refused.created && refused.canceled && refused.watch_id == -1, "{refused:?}");
        assert_eq!(refused.cancel_reason, "mvcc: duplicate watch ID provided on the WatchStream");
    }
    mirror.writer.put("twice", "1").await.expect("a put succeeds");
    assert_eq!(mirror.next().await.watch_id, 7);
    // Another stream has its own ids.
    mirror.again().await;
    mirror.create(&request);
    assert_eq!(mirror.next().await.watch_id, 7);
}

#[tokio::test]
async fn two_hundred_creates_at_once_are_answered_in_their_order() {
    let mut mirror = Mirror::start().await;
    let creates: Vec<pb::WatchCreateRequest> = (0..200)
        .map(|number| match number % 5 {
            // A range that all have in common, one of its own, one that is empty, one of the past.
            0 => prefix("many/"),
            1 => pb::WatchCreateRequest { range_end: "many".into(), ..key("many") },
            2 => pb::WatchCreateRequest { watch_id: 1000 + number, ..key(format!("many/{number}")) },
            3 => pb::WatchCreateRequest { start_revision: -1, ..key("many/") },
            _ => key(format!("many/{number}")),
        })
        .collect();
    for request in &creates {
        mirror.create(request);
    }
    for request in &creates {
        let created = mirror.next().await;
        assert!(created.created, "{created:?}");
        if request.watch_id != 0 {
            assert_eq!(created.watch_id, request.watch_id);
        }
    }
    let put = mirror.writer.put("many/4", "1").await.expect("a put succeeds");
    // The 40 of all, and its own one.
    let seen = mirror.all(41).await;
    assert!(seen.iter().all(|it| revision(it.header.as_ref()) == put), "{seen:?}");
}

#[tokio::test]
async fn no_event_comes_before_its_watcher_was_created() {
    as_etcd(async |subject| {
        let client = subject.client().await;
        let busy = subject.key("busy");
        let first = client.put(&busy, "0").await?;
        let mut watch = client.watch().await;
        for _ in 0..50 {
            // Of the past, whose events are there at once, and of now, while others write.
            watch.create(pb::WatchCreateRequest { start_revision: first, ..key(busy.clone()) });
            watch.create(key(busy.clone()));
            client.put(&busy, "1").await?;
        }
        let (mut created, mut at_the_end) = (BTreeSet::new(), BTreeSet::new());
        let mut last = i64::MAX;
        while at_the_end.len() < 100 {
            if created.len() == 100 && last == i64::MAX {
                last = client.put(&busy, "2").await?;
            }
            let response = watch.next().await?;
            if response.created {
                let next = created.len() as i64;
                claim(response.watch_id == next, || format!("not the create of {next}: {response:?}"))?;
                created.insert(response.watch_id);
            }
            claim(created.contains(&response.watch_id), || format!("too early: {response:?}"))?;
            if response.events.iter().any(|event| super::client::modified(event) == last) {
                at_the_end.insert(response.watch_id);
            }
        }
        Ok(())
    })
    .await;
}
