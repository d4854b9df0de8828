//! Whose keep-alives they are, where auth is enabled.

use etcdlet::proto::etcdserverpb as pb;
use http::HeaderMap;

use super::{GRANT, SOON, beat, beaten, connect, keep_alive};
use crate::support::etcd::{Etcd, installed_lines};
use crate::support::grpc::{Channel, Status, metadata};
use crate::support::sidecar::Sidecar;

/// A member with auth enabled and two users; `app` may write `k`. Lease 7 has the key `k`, lease 8 has none.
struct Guarded {
    etcd: Etcd,
    sidecar: Sidecar,
    direct: Channel,
    through: Channel,
    app: HeaderMap,
    other: HeaderMap,
}

impl Guarded {
    async fn start(line: &str) -> Self {
        let etcd = Etcd::start_version(line);
        for arguments in [
            "user add root:root",
            "user grant-role root root",
            "role add app",
            "role grant-permission app readwrite k",
            "user add app:app",
            "user grant-role app app",
            "user add other:other",
            "auth enable",
        ] {
            etcd.run_etcdctl(&arguments.split(' ').collect::<Vec<_>>());
        }
        let sidecar = Sidecar::start(&etcd.endpoints());
        let direct = Channel::connect(&etcd.endpoint()).await.unwrap();
        let through = connect(&sidecar).await;
        let (app, other) = (token(&through, "app").await, token(&through, "other").await);
        for id in [7, 8] {
            let request = pb::LeaseGrantRequest { id, ttl: 600 };
            let granted: Result<pb::LeaseGrantResponse, _> =
                through.call_with(GRANT, app.clone(), &request).await;
            granted.unwrap();
        }
        let put = pb::PutRequest { key: "k".into(), lease: 7, ..Default::default() };
        let put: Result<pb::PutResponse, _> =
            through.call_with("/etcdserverpb.KV/Put", app.clone(), &put).await;
        put.unwrap();
        Self { etcd, sidecar, direct, through, app, other }
    }
}

async fn token(channel: &Channel, user: &str) -> HeaderMap {
    let request = pb::AuthenticateRequest { name: user.into(), password: user.into() };
    let answer: pb::AuthenticateResponse =
        channel.call("/etcdserverpb.Auth/Authenticate", &request).await.expect("a user may sign in");
    metadata(&[("token", &answer.token)])
}

/// Beats of these leases, and how the stream ended.
async fn beats(channel: &Channel, metadata: &HeaderMap, leases: &[i64]) -> (Vec<i64>, Status) {
    let mut stream = keep_alive(channel, metadata.clone()).await;
    leases.iter().for_each(|lease| beat(&mut stream, *lease));
    stream.half_close();
    let answer = stream.answer(SOON).await;
    let beaten = answer.messages.iter().map(|message| message.decode::<pb::LeaseKeepAliveResponse>().id);
    (beaten.collect(), answer.status())
}

#[tokio::test]
async fn everybody_is_answered_as_etcd_answers_him() {
    for line in installed_lines() {
        let guarded = Guarded::start(&line).await;
        let bearer = guarded.app["token"].to_str().unwrap().to_owned();
        let users = [
            ("nobody", HeaderMap::new()),
            ("a stranger", metadata(&[("token", "stranger.1")])),
            ("app", guarded.app.clone()),
            ("app by the other header", metadata(&[("authorization", &format!("Bearer {bearer}"))])),
            ("other", guarded.other.clone()),
        ];
        for (user, metadata) in &users {
            for leases in [&[7][..], &[8], &[99], &[8, 7, 8]] {
                let direct = beats(&guarded.direct, metadata, leases).await;
                let through = beats(&guarded.through, metadata, leases).await;
                println!("{line}: {user}, leases {leases:?}: {direct:?}");
                assert_eq!(through, direct, "{line}: {user}, leases {leases:?}");
            }
        }
        let (beaten, status) = beats(&guarded.through, &guarded.app, &[7, 8]).await;
        assert_eq!((beaten, status.code), (vec![7, 8], Some(0)), "{line}: a token goes along");
    }
}

/// The error of one user is not the matter of the other, though both ask for the same leases all the time.
#[tokio::test]
async fn two_users_do_not_disturb_each_other() {
    let guarded = Guarded::start("3.5").await;
    let (direct, _) = beats(&guarded.direct, &guarded.other, &[8, 7, 8]).await;
    let mut app = keep_alive(&guarded.through, guarded.app.clone()).await;
    for round in 0..50 {
        beat(&mut app, 7);
        beat(&mut app, 8);
        let (beaten_by_other, status) = beats(&guarded.through, &guarded.other, &[8, 7, 8]).await;
        assert_eq!(beaten_by_other, direct, "round {round}: {status:?}");
        for lease in [7, 8] {
            let answer = beaten(&mut app).await;
            assert_eq!((answer.id, answer.ttl), (lease, 600), "round {round}");
        }
    }
}

/// etcd forgets a token of its own accord, and each member has its own: a client that was served and is not any longer
/// comes back with a new one, as after a break.
#[tokio::test]
async fn a_token_that_is_taken_back_ends_its_streams_only() {
    for line in installed_lines() {
        let guarded = Guarded::start(&line).await;
        let mut app = keep_alive(&guarded.through, guarded.app.clone()).await;
        let mut other = keep_alive(&guarded.through, guarded.other.clone()).await;
        for stream in [&mut app, &mut other] {
            beat(stream, 8);
            assert_eq!(beaten(stream).await.ttl, 600);
        }
        let root = ["--user", "root:root", "user", "delete", "other"];
        guarded.etcd.run_etcdctl(&root);
        beat(&mut other, 8);
        let (beaten_direct, direct) = beats(&guarded.direct, &guarded.other, &[8]).await;
        if direct.code == Some(0) {
            // Releases before the fix of CVE-2026-33413 do not look.
            assert_eq!(beaten(&mut other).await.ttl, 600, "{line}");
        } else {
            assert_eq!((beaten_direct, direct.code), (vec![], Some(16)), "{line}: {direct:?}");
            let status = other.answer(SOON).await.status();
            assert_eq!(status.code, Some(14), "{line}: {status:?}");
            assert!(status.message.ends_with(&direct.message), "{line}: {status:?}");
            // Who was never served is told the truth.
            let (_, status) = beats(&guarded.through, &guarded.other, &[8]).await;
            assert_eq!(status, direct, "{line}");
        }
        beat(&mut app, 8);
        assert_eq!(beaten(&mut app).await.ttl, 600, "{line}");
        assert!(!guarded.sidecar.log().contains("panic"));
    }
}
