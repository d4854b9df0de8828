//! An etcd whose users are told apart, with an etcdlet in front, and what its users see of both.

use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb as pb;
use etcdlet::proto::mvccpb::Event;
use tempfile::NamedTempFile;
use tokio::time::sleep;

use crate::observability::value;
use crate::support::etcd::{Etcd, Options};
use crate::support::grpc::PATIENCE;
use crate::support::sidecar::Sidecar;
use crate::watch::client::{Client, Seen, Watch, claim, modified};

/// An etcd whose users are to be told apart, and an etcdlet that lets them share.
///
/// `a` may read below `/a/` and `/shared/`, `b` below `/b/` and `/shared/`, `writer` everything below `/`; their
/// passwords are their names.
pub(super) struct Office {
    // Dropped first.
    pub(super) sidecar: Sidecar,
    pub(super) etcd: Etcd,
}

/// What `watch.share` says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Share {
    Token,
    Users,
}

/// One watch, directly and through the sidecar, under the same token.
pub(super) struct Pair {
    pub(super) client: Client,
    pub(super) direct: Watch,
    pub(super) through: Watch,
    pub(super) range: pb::WatchCreateRequest,
}

impl Office {
    pub(super) fn open(line: &str, share: Share) -> Self {
        Self::with(Options::default().version(line), share, "/")
    }

    /// Etcdlet's own user may read below `own`.
    pub(super) fn with(options: Options, share: Share, own: &str) -> Self {
        Self::signing_in_with(options, share, own, SECRET)
    }

    pub(super) fn signing_in_with(options: Options, share: Share, own: &str, password: &str) -> Self {
        let etcd = cheap(options).start();
        guard(&etcd, own);
        Self { sidecar: sidecar(&etcd.endpoints(), share, password), etcd }
    }

    pub(super) async fn client(&self, user: &str) -> Client {
        Client::connect(&self.sidecar.url(), PATIENCE).await.signed_in(user).await
    }

    pub(super) async fn direct(&self, client: &Client) -> Client {
        let metadata = client.metadata.clone();
        Client { metadata, ..Client::connect(&self.etcd.endpoint(), PATIENCE).await }
    }

    /// The watch of a user, under a token of its own.
    pub(super) async fn pair(&self, user: &str, range: pb::WatchCreateRequest) -> Seen<Pair> {
        self.pair_of(&self.client(user).await, range).await
    }

    pub(super) async fn pair_of(&self, client: &Client, range: pb::WatchCreateRequest) -> Seen<Pair> {
        let mut pair = self.streams(client, range).await;
        pair.through.created(pair.range.clone()).await?;
        pair.direct.created(pair.range.clone()).await?;
        Ok(pair)
    }

    /// For a watch that is not created yet.
    pub(super) async fn streams(&self, client: &Client, range: pb::WatchCreateRequest) -> Pair {
        let direct = self.direct(client).await.watch().await;
        Pair { client: client.clone(), direct, through: client.watch().await, range }
    }

    /// Watches that the member has.
    pub(super) fn upstream_watches(&self) -> usize {
        value(&self.etcd.metrics(), "etcd_debugging_mvcc_watcher_total") as usize
    }

    /// Narrow watches are given up when a wider one is there.
    pub(super) async fn upstream_watches_become(&self, expected: usize) {
        let deadline = Instant::now() + SOON;
        while self.upstream_watches() != expected {
            assert!(Instant::now() < deadline, "{} watches, not {expected}", self.upstream_watches());
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub(super) fn as_root(&self, command: &str) {
        let arguments: Vec<&str> = ["--user=root:root"].into_iter().chain(command.split(' ')).collect();
        self.etcd.run_etcdctl(&arguments);
    }

    /// Nothing that is secret was told, and nothing went wrong.
    pub(super) fn close(self, tokens: &[&Client]) {
        let log = self.sidecar.log();
        assert!(!log.contains("panic"), "{log}");
        assert!(!log.contains(SECRET), "the password is told: {log}");
        for client in tokens {
            let token = client.metadata["token"].to_str().expect("a token is text");
            assert!(!log.contains(token), "a token is told: {log}");
        }
    }
}

impl Pair {
    /// Both have seen the same, the last of which is of this revision.
    pub(super) async fn agree(&mut self, last: i64) -> Seen<Vec<Event>> {
        let direct = until(&mut self.direct, last).await.map_err(|why| format!("directly: {why}"))?;
        let through = until(&mut self.through, last).await.map_err(|why| format!("through: {why}"))?;
        claim(direct == through, || format!("directly {direct:?}, but through the sidecar {through:?}"))?;
        Ok(direct)
    }

    /// Both are answered the same to another create; tells whether and why they were refused.
    pub(super) async fn create(&mut self, range: &pb::WatchCreateRequest) -> Seen<Option<String>> {
        let mut answers = Vec::new();
        for watch in [&mut self.direct, &mut self.through] {
            watch.create(range.clone());
            let answer = watch.next().await?;
            claim(answer.created && answer.events.is_empty(), || format!("{answer:?}"))?;
            answers.push((answer.watch_id, answer.canceled, answer.compact_revision, answer.cancel_reason));
        }
        claim(answers[0] == answers[1], || format!("directly and through the sidecar: {answers:?}"))?;
        let (_, canceled, _, reason) = answers.remove(0);
        Ok(canceled.then_some(reason))
    }

    /// The same on new streams, with the old token.
    pub(super) async fn anew(&self, office: &Office) -> Self {
        office.streams(&self.client, self.range.clone()).await
    }
}

/// Events up to this revision, which is the last that there are.
async fn until(watch: &mut Watch, last: i64) -> Seen<Vec<Event>> {
    let mut events: Vec<Event> = Vec::new();
    while events.last().map(modified) != Some(last) {
        let response = watch.next().await.map_err(|why| format!("{why} after {events:?}"))?;
        claim(!response.events.is_empty() && !response.canceled, || format!("{response:?}"))?;
        claim(modified(&response.events[0]) <= last, || format!("behind {last}: {response:?}"))?;
        events.extend(response.events);
    }
    Ok(events)
}

/// Passwords take no time.
pub(super) fn cheap(options: Options) -> Options {
    options.flag("--bcrypt-cost=4")
}

/// What members sign tokens with.
pub(super) fn secret() -> NamedTempFile {
    let secret = NamedTempFile::new().expect("a file can be made");
    std::fs::write(&secret, "what only the members know").expect("it can be written");
    secret
}

/// Tokens that nobody has to remember.
pub(super) fn signed(secret: &NamedTempFile, ttl: Duration) -> Options {
    let (path, ttl) = (secret.path().display(), ttl.as_secs());
    Options::default().flag(format!("--auth-token=jwt,sign-method=HS256,priv-key={path},ttl={ttl}s"))
}

pub(super) fn guard(etcd: &Etcd, own: &str) {
    for arguments in [
        "user add root:root",
        "user grant-role root root",
        "role add writer",
        "role grant-permission writer readwrite --prefix=true /",
        "role add a",
        "role grant-permission a read --prefix=true /a/",
        "role add b",
        "role grant-permission b read --prefix=true /b/",
        "role add shared",
        "role grant-permission shared read --prefix=true /shared/",
        "user add a:a",
        "user grant-role a a",
        "user grant-role a shared",
        "user add b:b",
        "user grant-role b b",
        "user grant-role b shared",
        "user add writer:writer",
        "user grant-role writer writer",
        "role add etcdlet",
        &format!("role grant-permission etcdlet read --prefix=true {own}"),
        &format!("user add etcdlet:{SECRET}"),
        "user grant-role etcdlet etcdlet",
        "auth enable",
    ] {
        etcd.run_etcdctl(&arguments.split(' ').collect::<Vec<_>>());
    }
}

pub(super) fn sidecar(endpoints: &[String], share: Share, password: &str) -> Sidecar {
    let file = NamedTempFile::new().expect("a file can be made");
    std::fs::write(&file, password).expect("it can be written");
    let share = match share {
        Share::Token => "token",
        Share::Users => "users",
    };
    Sidecar::with_config(&format!(
        "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{endpoints: ['{}'], auth: {{username: etcdlet, password-file: '{}'}}}}
watch: {{coalesce: true, share: {share}}}
admin: {{url: 'http://{{admin}}'}}
log: {{level: debug}}
",
        endpoints.join("', '"),
        file.path().display()
    ))
}

/// Etcdlet's own, that nobody may see.
pub(super) const SECRET: &str = "etcdlets-own-secret";
const SOON: Duration = Duration::from_secs(10);
