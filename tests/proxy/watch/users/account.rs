//! Where etcdlet's own user may not read, is refused, or is not asked for.

use super::office::{Office, Share};
use crate::observability::becomes;
use crate::support::etcd::Options;
use crate::support::grpc::{PATIENCE, metadata};
use crate::watch::client::{Client, Seen, claim, prefix};

/// What etcdlet's own user may not read, and its clients may.
#[tokio::test]
async fn where_its_own_user_may_not_read_everybody_watches_by_his_own_token() {
    let office = Office::with(Options::default(), Share::Users, "/shared/");
    let outcome: Seen<()> = async {
        let mut pairs = Vec::new();
        for user in ["a", "a", "b"] {
            pairs.push(office.pair(user, prefix(&format!("/{user}/"))).await?);
            pairs.push(office.pair(user, prefix("/shared/")).await?);
        }
        let direct = pairs.len();
        // By each token for what is not to be shared, and one for all.
        office.upstream_watches_become(direct + 3 + 1).await;
        let writer = office.client("writer").await;
        let keys = ["/a/1", "/b/1", "/shared/1"].map(str::to_owned);
        writer.put_all(&keys, "1").await?;
        let last = writer.put_all(&keys, "2").await?;
        for pair in &mut pairs {
            pair.agree(last).await?;
        }
        Ok(())
    }
    .await;
    let log = office.sidecar.log();
    assert_eq!(outcome, Ok(()), "{log}");
    becomes(&office.sidecar, "etcdlet_watch_parted_total", 3.0).await;
    let told: Vec<&str> = log.lines().filter(|line| line.contains("may not read this range")).collect();
    assert_eq!(told.len(), 2, "once for each range: {log}");
    assert!(told.iter().all(|line| line.contains("etcdlet") && line.contains("WARN")), "{told:?}");
    assert!(told.iter().any(|line| line.contains("/a/")) && told.iter().any(|line| line.contains("/b/")));
    office.close(&[]);
}

#[tokio::test]
async fn with_a_wrong_password_everybody_watches_by_his_own_token() {
    let office = Office::signing_in_with(Options::default(), Share::Users, "/", "wrong-secret");
    let outcome: Seen<()> = async {
        let mut pairs =
            [office.pair("a", prefix("/shared/")).await?, office.pair("b", prefix("/shared/")).await?];
        let put = office.client("writer").await.put("/shared/1", "1").await?;
        for pair in &mut pairs {
            pair.agree(put).await?;
        }
        Ok(())
    }
    .await;
    let log = office.sidecar.log();
    assert_eq!(outcome, Ok(()), "{log}");
    let told = log.lines().filter(|line| line.contains("watches are shared by token only")).count();
    assert_eq!(told, 1, "{log}");
    assert!(!log.contains("wrong-secret"), "the password is told: {log}");
    office.close(&[]);
}

/// There are no tokens before, and nothing goes without them afterwards.
#[tokio::test]
async fn auth_may_be_enabled_while_watches_are_shared() {
    let office = Office::open("3.5", Share::Users);
    office.as_root("auth disable");
    let outcome: Seen<()> = async {
        let nobody = Client::connect(&office.sidecar.url(), PATIENCE).await;
        let mut before = [
            office.pair_of(&nobody, prefix("/shared/")).await?,
            office.pair_of(&nobody, prefix("/a/")).await?,
        ];
        let lie = Client { metadata: metadata(&[("token", "lie.1")]), ..nobody.clone() };
        let mut liar = office.pair_of(&lie, prefix("/shared/")).await?;
        office.upstream_watches_become(3 + 2).await;
        office.etcd.run_etcdctl(&["auth", "enable"]);
        let mut behind =
            [office.pair("a", prefix("/shared/")).await?, office.pair("b", prefix("/b/")).await?];
        let refused = before[0].create(&prefix("/shared/")).await?;
        claim(refused.is_some_and(|it| it.contains("user name is empty")), || "nobody was let in".into())?;
        // The one for all of `/shared/` is still the first, and that for `/b/` has a token.
        office.upstream_watches_become(5 + 3).await;
        let writer = office.client("writer").await;
        let keys = ["/a/1", "/b/1", "/shared/1"].map(str::to_owned);
        let put = writer.put_all(&keys, "1").await?;
        for pair in before.iter_mut().chain([&mut liar]).chain(&mut behind) {
            pair.agree(put).await?;
        }
        Ok(())
    }
    .await;
    assert_eq!(outcome, Ok(()), "{}", office.sidecar.log());
    becomes(&office.sidecar, "etcdlet_watch_parted_total", 0.0).await;
    office.close(&[]);
}
