//! A cluster that answers only those who say who they are.

use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb as pb;
use tempfile::NamedTempFile;
use tokio::time::sleep;

use super::{
    Client, Read, SOON, all_are, config, gets_reads, ids, member, settles, standing, view, view_becomes,
};
use crate::support::etcd::{Cluster, Options, installed_lines};
use crate::support::grpc::metadata;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn members_that_keep_their_status_to_themselves_are_used_and_watched_3_5() {
    without_credentials("3.5").await;
}

#[tokio::test]
async fn members_that_keep_their_status_to_themselves_are_used_and_watched_3_6() {
    without_credentials("3.6").await;
}

#[tokio::test]
async fn with_credentials_the_leader_is_known_and_gets_the_writes_3_5() {
    with_credentials("3.5").await;
}

#[tokio::test]
async fn with_credentials_the_leader_is_known_and_gets_the_writes_3_6() {
    with_credentials("3.6").await;
}

#[tokio::test]
async fn with_a_wrong_password_it_serves_and_says_so() {
    let Some(Guarded { mut cluster, leader, .. }) = Guarded::start("3.5").await else { return };
    let wrong = password("wrong");
    let sidecar = Sidecar::with_config(&config(&cluster.endpoints(), &credentials("root", &wrong)));
    serves_and_notices_a_killed_follower(&mut cluster, leader, &sidecar).await;
    let log = sidecar.log();
    let told = log.lines().filter(|line| line.contains("upstream.auth is refused")).count();
    assert!((1..=6).contains(&told), "{told} times: {log}");
    assert!(log.contains("authentication failed"), "{log}");
    assert!(!log.contains("wrong"), "the password is told: {log}");
}

async fn without_credentials(line: &str) {
    let Some(Guarded { mut cluster, leader, .. }) = Guarded::start(line).await else { return };
    let sidecar = Sidecar::start(&cluster.endpoints());
    serves_and_notices_a_killed_follower(&mut cluster, leader, &sidecar).await;
    let log = sidecar.log();
    assert!(!log.contains("panic"), "{log}");
}

async fn with_credentials(line: &str) {
    let Some(Guarded { cluster, leader, ids }) = Guarded::start(line).await else { return };
    // One who may do everything, and one who may not even read the probes' own key.
    for (user, right) in [("root", "root-password"), ("app", "app-password")] {
        let right = password(right);
        let sidecar = Sidecar::with_config(&config(&cluster.endpoints(), &credentials(user, &right)));
        let client = signed_in(&cluster, &sidecar).await;
        // Later patches of 3.5 tell their status only to root.
        if user == "root" || line != "3.5" {
            settles(&sidecar, &cluster.endpoints()).await;
            let view = view(&sidecar);
            let endpoint = cluster.members[leader].endpoint();
            assert_eq!(member(&view, &endpoint).unwrap()["leader"], true, "as {user}: {view:#}");
            for number in 0..30 {
                assert_eq!(client.put().await, Ok(ids[leader]), "as {user}: put {number}");
            }
        } else {
            client.call_all(30).await;
        }
        let log = sidecar.log();
        assert!(!log.contains("refused"), "as {user}: {log}");
    }
}

/// What holds when the members tell the sidecar nothing of themselves.
async fn serves_and_notices_a_killed_follower(cluster: &mut Cluster, leader: usize, sidecar: &Sidecar) {
    let endpoints = cluster.endpoints();
    let view = view_becomes(sidecar, SOON, "all are in rotation", |view| {
        all_are(view, &endpoints, "healthy") && view["suspicion"] == false
    })
    .await;
    assert_eq!(view["leader_state"], "unknown", "{view:#}");
    let client = signed_in(cluster, sidecar).await;
    client.call_all(20).await;
    let nobody = Client::connect(&sidecar.url()).await;
    let refused = nobody.put().await.expect_err("nobody may write");
    assert!(refused.message.contains("user name is empty"), "{refused:?}");

    let victim = (leader + 1) % 3;
    cluster.members[victim].kill();
    let killed = Instant::now();
    let mut noticed = None;
    while killed.elapsed() < Duration::from_secs(3) {
        for read in [Read::Linearizable, Read::Serializable] {
            let asked = Instant::now();
            let answer = client.get(read).await;
            assert!(answer.is_ok(), "{read:?}, {:?} after the kill: {answer:?}", killed.elapsed());
            assert!(asked.elapsed() < Duration::from_secs(1), "{read:?} took {:?}", asked.elapsed());
        }
        if noticed.is_none() && standing(&super::view(sidecar), &endpoints[victim]) == "unreachable" {
            noticed = Some(killed.elapsed());
        }
        sleep(Duration::from_millis(10)).await;
    }
    println!("unreachable after {noticed:?}");
    assert!(noticed.is_some_and(|after| after < Duration::from_secs(2)), "{noticed:?}");
    client.call_all(20).await;
    cluster.members[victim].restart();
    view_becomes(sidecar, SOON, "it is in rotation again", |view| all_are(view, &endpoints, "healthy")).await;
    // A token of this kind is forgotten in a restart.
    let client = signed_in(cluster, sidecar).await;
    let back = Client::connect(&endpoints[victim]).await;
    let back = Client { metadata: client.metadata.clone(), ..back }.read().await.expect("it answers");
    gets_reads(&client, back).await;
    view_becomes(sidecar, SOON, "the suspicion ends", |view| view["suspicion"] == false).await;
}

struct Guarded {
    cluster: Cluster,
    leader: usize,
    ids: Vec<u64>,
}

impl Guarded {
    /// With auth enabled, a root and a user `app` who may do everything below `k`; `None` where the release is not
    /// installed, which `tests/run.sh` tells.
    async fn start(line: &str) -> Option<Self> {
        if !installed_lines().iter().any(|installed| installed == line) {
            return None;
        }
        let mut cluster = Options::default().version(line).start_cluster(3);
        let (leader, ids) = (cluster.leader(), ids(&cluster).await);
        for arguments in [
            "user add root:root-password",
            "user grant-role root root",
            "user add app:app-password",
            "role add app",
            "role grant-permission app readwrite k --prefix=true",
            "user grant-role app app",
            "auth enable",
        ] {
            cluster.members[0].run_etcdctl(&arguments.split(' ').collect::<Vec<_>>());
        }
        let anonymous = Client::connect(&cluster.members[0].endpoint()).await;
        let status =
            anonymous.channel.call::<_, pb::StatusResponse>(STATUS, &pb::StatusRequest::default()).await;
        assert!(status.is_err(), "etcd {line} tells everybody its status");
        Some(Self { cluster, leader, ids })
    }
}

/// As `app`, through the sidecar. Each member takes the token once it has applied that it was given.
async fn signed_in(cluster: &Cluster, sidecar: &Sidecar) -> Client {
    let client = Client::connect(&sidecar.url()).await;
    let request = pb::AuthenticateRequest { name: "app".into(), password: "app-password".into() };
    let answer: pb::AuthenticateResponse =
        client.channel.call("/etcdserverpb.Auth/Authenticate", &request).await.expect("app may sign in");
    let client = Client { metadata: metadata(&[("token", &answer.token)]), ..client };
    for member in &cluster.members {
        let Client { channel, .. } = Client::connect(&member.endpoint()).await;
        let direct = Client { channel, ..client.clone() };
        let deadline = Instant::now() + SOON;
        while let Err(status) = direct.read().await {
            assert!(Instant::now() < deadline, "a member does not take the token: {status:?}");
            sleep(Duration::from_millis(5)).await;
        }
    }
    client
}

fn password(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a file can be made");
    std::fs::write(&file, format!("{text}\n")).expect("it can be written");
    file
}

fn credentials(username: &str, password: &NamedTempFile) -> String {
    format!("auth: {{username: {username}, password-file: '{}'}}", password.path().display())
}

const STATUS: &str = "/etcdserverpb.Maintenance/Status";
