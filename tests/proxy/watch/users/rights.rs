//! Who may not watch is refused, and a right that is taken away ends nothing: as with etcd.

use std::time::Duration;

use etcdlet::proto::etcdserverpb as pb;

use super::office::{Office, Share, secret, signed};
use crate::support::etcd::Options;
use crate::support::grpc::metadata;
use crate::watch::client::{Client, Seen, claim, key, prefix};

/// Whatever is open for others, and however the range is put.
async fn who_may_not_is_refused(line: &str) {
    let office = Office::open(line, Share::Users);
    let (a, b) = (office.client("a").await, office.client("b").await);
    let outcome: Seen<()> = async {
        let mut theirs = office.pair_of(&a, prefix("/a/")).await?;
        let mut writers = office.pair("writer", prefix("/")).await?;
        let mut ours = office.pair_of(&b, prefix("/b/")).await?;
        let denied = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
        let range = |key: &'static str, range_end: &'static str| pb::WatchCreateRequest {
            key: key.into(),
            range_end: range_end.into(),
            ..Default::default()
        };
        for refused in [
            prefix("/a/"),
            key("/a/1"),
            range("/a/", "/a/1"),
            prefix("/"),
            range("", "\0"),
            range("/b/", "/c"),
            range("/a/z", "/b/1"),
            key(""),
            prefix("/share"),
        ] {
            let reason = ours.create(&refused).await.map_err(|why| format!("{refused:?}: {why}"))?;
            claim(reason.as_deref() == Some(denied), || format!("{refused:?}: {reason:?}"))?;
        }
        for (token, reason) in [
            (Some("lie.1"), "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token"),
            (None, "rpc error: code = InvalidArgument desc = etcdserver: user name is empty"),
        ] {
            let metadata = metadata(&token.map(|token| ("token", token)).into_iter().collect::<Vec<_>>());
            let stranger = Client { metadata, ..a.clone() };
            let refused = office.streams(&stranger, prefix("/a/")).await.create(&prefix("/a/")).await?;
            claim(refused.as_deref() == Some(reason), || format!("{token:?}: {refused:?}"))?;
        }
        // Of a watch without an end, etcd 3.5 asks whether its first key may be read (GHSA-xg4h-6gfc-h4m8).
        let mut endless = b.watch().await;
        endless.create(range("/b/1", "\0"));
        let answer = endless.next().await?;
        claim(answer.canceled && answer.cancel_reason == denied, || format!("{answer:?}"))?;
        let allowed = ours.create(&prefix("/shared/")).await?;
        claim(allowed.is_none(), || format!("refused: {allowed:?}"))?;
        let writer = office.client("writer").await;
        let first = writer.put("/a/1", "1").await?;
        let second = writer.put("/b/1", "1").await?;
        theirs.agree(first).await?;
        ours.agree(second).await?;
        let seen = writers.agree(second).await?;
        claim(seen.len() == 2, || format!("{seen:?}"))?;
        ours.through.is_silent().await
    }
    .await;
    assert_eq!(outcome, Ok(()), "etcd {line}");
    office.close(&[&a, &b]);
}

#[tokio::test]
async fn who_may_not_is_refused_in_etcds_words_whatever_others_watch() {
    who_may_not_is_refused("3.5").await;
}

#[tokio::test]
async fn who_may_not_is_refused_in_etcds_words_whatever_others_watch_3_6() {
    who_may_not_is_refused("3.6").await;
}

/// What becomes of a user's rights, and what it is told then when it watches anew with the token that it has.
const REVOCATIONS: [(&[&str], &str); 5] = [
    (
        &["user revoke-role a shared"],
        "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
    ),
    (
        &["role revoke-permission shared --prefix=true /shared/"],
        "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
    ),
    (&["user delete a"], "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token"),
    (
        &["user passwd a --interactive=false"],
        "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token",
    ),
    (
        &["auth disable", "auth enable"],
        "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token",
    ),
];

/// etcd asks for the right when a watch is created, and never again.
async fn revoked(options: Options, share: Share, any: Option<&str>) {
    let mut found = Vec::new();
    for (commands, expected) in REVOCATIONS {
        let expected = any.unwrap_or(expected);
        let office = Office::with(options.clone(), share, "/");
        let outcome: Seen<()> = async {
            let mut before = office.pair("a", prefix("/shared/")).await?;
            let mut other = office.pair("b", prefix("/shared/")).await?;
            let writer = office.client("writer").await;
            let first = writer.put("/shared/1", "before").await?;
            before.agree(first).await?;
            other.agree(first).await?;
            for command in commands {
                if command.starts_with("user passwd") {
                    change_password(&office, "a").await?;
                } else {
                    office.as_root(command);
                }
            }
            // Its own token may be gone, too.
            let writer = office.client("writer").await;
            let second = writer.put("/shared/2", "behind").await?;
            before.agree(second).await.map_err(|why| format!("what ran: {why}"))?;
            other.agree(second).await?;
            let same = before.create(&prefix("/shared/")).await?;
            let anew = before.anew(&office).await.create(&key("/shared/1")).await?;
            claim(same == anew, || format!("on the same stream {same:?}, on another one {anew:?}"))?;
            claim(same.as_deref() == Some(expected), || format!("not {expected:?} but {same:?}"))?;
            let third = writer.put("/shared/3", "end").await?;
            before.agree(third).await?;
            other.agree(third).await?;
            // What was not open before.
            let mut behind = office.pair("b", prefix("/b/")).await?;
            let fourth = writer.put("/b/1", "end").await?;
            behind.agree(fourth).await?;
            Ok(())
        }
        .await;
        if let Err(defect) = outcome {
            found.push(format!("{commands:?}: {defect}"));
        }
        office.close(&[]);
    }
    assert!(found.is_empty(), "{options:?}, {share:?}: {found:#?}");
}

async fn change_password(office: &Office, user: &str) -> Seen<()> {
    let root = office.client("root").await;
    let request = pb::AuthUserChangePasswordRequest {
        name: user.into(),
        password: "other".into(),
        ..Default::default()
    };
    let _: pb::AuthUserChangePasswordResponse =
        root.call("/etcdserverpb.Auth/UserChangePassword", &request).await?;
    Ok(())
}

#[tokio::test]
async fn a_watch_outlives_the_rights_of_its_user_and_no_new_one_is_let_in() {
    revoked(Options::default().version("3.5"), Share::Users, None).await;
}

#[tokio::test]
async fn a_watch_outlives_the_rights_of_its_user_and_no_new_one_is_let_in_3_7() {
    revoked(Options::default().version("3.7"), Share::Users, None).await;
}

#[tokio::test]
async fn a_watch_outlives_the_rights_of_its_user_and_no_new_one_is_let_in_by_token() {
    revoked(Options::default().version("3.5"), Share::Token, None).await;
}

/// A signed token is as old as the rights that it was given with, and no change of anybody's is forgiven.
#[tokio::test]
async fn a_watch_outlives_its_signed_token_and_no_new_one_is_let_in_by_it() {
    let secret = secret();
    let old = "rpc error: code = InvalidArgument desc = etcdserver: revision of auth store is old";
    revoked(signed(&secret, Duration::from_secs(600)), Share::Users, Some(old)).await;
}
