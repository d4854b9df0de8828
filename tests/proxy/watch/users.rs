//! Users who share watches: each sees what it may, as if it had asked etcd itself.

mod account;
mod office;
mod rights;
mod tokens;

use office::{Office, Pair, Share};

use super::client::{Seen, claim, key, prefix};

async fn each_sees_its_own(line: &str, share: Share, watches: usize) {
    let office = Office::open(line, share);
    let outcome: Seen<()> = async {
        let mut clients = Vec::new();
        for user in ["a", "b", "a", "b", "a", "b"] {
            clients.push((user, office.client(user).await));
        }
        let ranges = |user: &str| [prefix(&format!("/{user}/")), prefix("/shared/"), key("/shared/1")];
        let mut through = Vec::new();
        for (user, client) in &clients {
            for range in ranges(user) {
                let mut watch = client.watch().await;
                watch.created(range.clone()).await?;
                through.push((client, range, watch));
            }
        }
        office.upstream_watches_become(watches).await;
        let mut pairs = Vec::new();
        for (client, range, through) in through {
            let mut direct = office.direct(client).await.watch().await;
            direct.created(range.clone()).await?;
            pairs.push(Pair { client: client.clone(), direct, through, range });
        }
        let writer = office.client("writer").await;
        let keys = ["/a/1", "/b/1", "/c/1", "/shared/1", "/shared/2"];
        for round in 0..5 {
            for key in keys {
                writer.put(key, format!("{round}")).await?;
            }
            writer.delete("/shared/1").await?;
            writer.put_all(&keys.map(str::to_owned), "all").await?;
        }
        let last = writer.put_all(&keys.map(str::to_owned), "end").await?;
        let mut counts = Vec::new();
        for pair in &mut pairs {
            counts.push(pair.agree(last).await.map_err(|why| format!("{:?}: {why}", pair.range))?.len());
        }
        claim(counts == [11, 27, 16].repeat(6), || format!("so many events: {counts:?}"))
    }
    .await;
    assert_eq!(outcome, Ok(()), "etcd {line}, {share:?}");
    office.close(&[]);
}

#[tokio::test]
async fn two_users_with_three_tokens_each_see_their_own_on_one_watch_for_all() {
    each_sees_its_own("3.5", Share::Users, 3).await;
}

#[tokio::test]
async fn two_users_with_three_tokens_each_see_their_own_on_one_watch_for_all_3_6() {
    each_sees_its_own("3.6", Share::Users, 3).await;
}

#[tokio::test]
async fn two_users_with_three_tokens_each_see_their_own_on_one_watch_a_token() {
    each_sees_its_own("3.5", Share::Token, 12).await;
}
