//! Tokens that are not known any longer: those of clients, and etcdlet's own.

use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb as pb;
use tokio::time::sleep;

use super::office::{Office, SECRET, Share, cheap, guard, secret, sidecar, signed};
use crate::observability::becomes;
use crate::support::etcd::{Cluster, Options};
use crate::support::grpc::PATIENCE;
use crate::watch::client::{Client, ENDED, Seen, claim, key, modified, prefix};

/// A watch goes on whose token is not known any longer, though another one could not be opened to tell its progress.
async fn expires(line: &str, share: Share, options: Options) {
    let office = Office::with(options.version(line), share, "/");
    let mut watch = office.client("a").await.watch().await;
    watch.created(prefix("/shared/")).await.expect("a may");
    // Nobody uses any token meanwhile, which would keep it alive.
    sleep(TOKEN_TTL * 2 + Duration::from_secs(2)).await;
    let writer = office.client("writer").await;
    let first = writer.put("/shared/1", "1").await.expect("the writer may");
    let outcome: Seen<()> = async {
        watch.sees(first).await?;
        let mut progress = None;
        let deadline = Instant::now() + SOON;
        while progress.is_none() && Instant::now() < deadline {
            watch.request_progress();
            progress = watch.next_within(Duration::from_millis(100)).await?;
        }
        let progress = progress.ok_or("no progress")?;
        let is_progress = progress.watch_id == -1 && progress.events.is_empty() && !progress.canceled;
        claim(is_progress, || format!("{progress:?}"))?;
        let second = writer.put("/shared/1", "2").await?;
        loop {
            let response = watch.next().await?;
            if response.watch_id != -1 {
                let is_it = response.events.iter().map(modified).eq([second]);
                return claim(is_it, || format!("not {second}: {response:?}"));
            }
        }
    }
    .await;
    assert_eq!(outcome, Ok(()), "etcd {line}: {}", office.sidecar.log());
    office.close(&[&writer]);
}

fn short_lived() -> Options {
    Options::default().flag(format!("--auth-token-ttl={}", TOKEN_TTL.as_secs()))
}

#[tokio::test]
async fn a_token_that_expires_ends_no_watch_that_lives() {
    expires("3.5", Share::Token, short_lived()).await;
}

#[tokio::test]
async fn a_token_that_expires_is_noticed_by_nobody_where_users_share() {
    expires("3.5", Share::Users, short_lived()).await;
}

#[tokio::test]
async fn a_token_that_expires_is_noticed_by_nobody_where_users_share_3_6() {
    expires("3.6", Share::Users, short_lived()).await;
}

/// Tokens that say themselves until when they are good, and that no auth change survives.
#[tokio::test]
async fn a_signed_token_that_expires_is_noticed_by_nobody_where_users_share() {
    let secret = secret();
    expires("3.5", Share::Users, signed(&secret, TOKEN_TTL)).await;
}

/// Streams to the member that were opened with the old token take no more watches.
#[tokio::test]
async fn watches_are_created_as_before_when_etcdlets_own_token_has_expired() {
    let office = Office::with(short_lived(), Share::Users, "/");
    let writer = office.client("writer").await;
    let mut watches = Vec::new();
    for wave in 0..2 {
        let client = office.client("a").await;
        for number in 0..WATCHES {
            let mut watch = client.watch().await;
            let name = format!("/a/{wave}/{number}");
            watch.created(key(name.clone())).await.expect("a may");
            watches.push((name, watch));
        }
        // All of them are open.
        office.upstream_watches_become(watches.len()).await;
        sleep(TOKEN_TTL * 2 + Duration::from_secs(2)).await;
    }
    let keys: Vec<String> = watches.iter().map(|(name, _)| name.clone()).collect();
    let writer = writer.signed_in("writer").await;
    let put = writer.put_all(&keys, "1").await.expect("the writer may");
    for (_, watch) in &mut watches {
        assert_eq!(watch.sees(put).await, Ok(()), "{}", office.sidecar.log());
    }
    office.upstream_watches_become(watches.len()).await;
    becomes(&office.sidecar, "etcdlet_watch_parted_total", 0.0).await;
    office.close(&[&writer]);
}

#[tokio::test]
async fn a_restart_of_the_member_ends_the_streams_that_depend_on_its_tokens() {
    let mut office = Office::open("3.5", Share::Token);
    let mut watch = office.client("a").await.watch().await;
    watch.created(prefix("/shared/")).await.expect("a may");
    // Killed, it would apply its last entries again, and know the token still.
    office.etcd.terminate();
    office.etcd.restart();
    let ended = watch.next().await.expect_err("nobody else has a token for it");
    assert!(ended.contains(ENDED) && ended.contains(r#""grpc-status": "14""#), "{ended}");
    office.close(&[]);
}

/// Each has to take the token that another one gave.
#[tokio::test]
async fn a_cluster_whose_members_restart_one_by_one_is_watched_on_by_all() {
    let mut cluster = cheap(Options::default()).start_cluster(3);
    guard(&cluster.members[0], "/");
    let sidecar = sidecar(&cluster.endpoints(), Share::Users, SECRET);
    let connect = async |user| Client::connect(&sidecar.url(), PATIENCE).await.signed_in(user).await;
    let mut watches = Vec::new();
    for user in ["a", "b", "a", "b"] {
        let mut watch = connect(user).await.watch().await;
        watch.created(prefix("/shared/")).await.expect("they may");
        watches.push(watch);
    }
    let mut written = Vec::new();
    for round in 0..4 {
        let writer = connect("writer").await;
        is_known_to_all(&cluster, &writer).await;
        for number in 0..10 {
            let key = format!("/shared/{round}/{number}");
            written.push((writer.put(&key, "1").await.expect("the writer may"), key));
        }
        if round < 3 {
            cluster.members[round].terminate();
            cluster.members[round].restart();
            cluster.wait_healthy();
        }
    }
    for watch in &mut watches {
        assert_eq!(watch.sees_all(&written).await, Ok(()), "{}", sidecar.log());
        assert_eq!(watch.is_silent().await, Ok(()));
    }
    assert!(!sidecar.log().contains("panic"), "{}", sidecar.log());
}

/// A member takes a token when it has applied that it was given.
async fn is_known_to_all(cluster: &Cluster, client: &Client) {
    let request = pb::RangeRequest { key: "/shared/".into(), serializable: true, ..Default::default() };
    let deadline = Instant::now() + SOON;
    for member in &cluster.members {
        let direct = Client::connect(&member.endpoint(), PATIENCE).await;
        let direct = Client { metadata: client.metadata.clone(), ..direct };
        while let Err(refused) = direct.call::<_, pb::RangeResponse>(RANGE, &request).await {
            assert!(Instant::now() < deadline, "{}: {refused}", member.name());
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// With it go the tokens of everybody.
async fn restarted(line: &str) {
    let mut office = Office::open(line, Share::Users);
    let mut watches = Vec::new();
    for user in ["a", "b", "a"] {
        let mut watch = office.client(user).await.watch().await;
        watch.created(prefix("/shared/")).await.expect("they may");
        watches.push(watch);
    }
    let mut written = Vec::new();
    for round in 0..3 {
        let writer = office.client("writer").await;
        for number in 0..20 {
            let key = format!("/shared/{round}/{number}");
            written.push((writer.put(&key, "1").await.expect("the writer may"), key));
        }
        if round < 2 {
            if round == 0 {
                office.etcd.terminate();
            }
            office.etcd.restart();
        }
    }
    for watch in &mut watches {
        assert_eq!(watch.sees_all(&written).await, Ok(()), "etcd {line}: {}", office.sidecar.log());
        assert_eq!(watch.is_silent().await, Ok(()));
    }
    office.upstream_watches_become(1).await;
    office.close(&[]);
}

#[tokio::test]
async fn a_restart_of_the_member_is_noticed_by_nobody_where_users_share() {
    restarted("3.5").await;
}

#[tokio::test]
async fn a_restart_of_the_member_is_noticed_by_nobody_where_users_share_3_6() {
    restarted("3.6").await;
}

const SOON: Duration = Duration::from_secs(10);
const RANGE: &str = "/etcdserverpb.KV/Range";
const TOKEN_TTL: Duration = Duration::from_secs(1);

/// More than there are streams to a member.
const WATCHES: usize = 20;
