//! All that waits: for the lease's beats, and for news of the others.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::ask::{Answers, ask};
use super::config::Session;
use super::core::{Core, RETRY_PAUSE, RETRY_PAUSE_MAX, Step};
use super::record::Record;
use super::roster::{PROXIES_MAX, Roster};
use super::{Parts, Register};
use crate::proto::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseRevokeRequest,
    LeaseRevokeResponse, PutRequest, PutResponse, RangeRequest, RangeResponse, WatchCreateRequest,
    WatchRequest, WatchResponse, watch_request::RequestUnion,
};
use crate::proxy::{Drain, Proxy};
use crate::types::client::{Client, Peer, Terms};

impl Register {
    /// Registers, and looks who else has, until a drain has begun and nothing is left of it.
    pub(in crate::proxy) async fn run(&self, proxy: &Arc<Proxy>, drain: &Drain) {
        let Parts { config, metrics, .. } = &*self.0;
        let Some(session) = &config.session else { return };
        let terms = Terms { namespace: config.namespace.clone(), ..Terms::default() };
        let client = Arc::new(Client { peer: Peer::Own, common_name: None, terms: Arc::new(terms) });
        let (url, name) = (config.advertise_client_url.clone(), config.name.clone());
        let lessee = Lessee { proxy, client: &client, session, record: Record { url, name } };
        let follow = async {
            tokio::select! {
                () = drain.begun() => {}
                never = self.follow(proxy, &client, session) => match never {},
            }
        };
        tokio::join!(lessee.keep(drain, &metrics.registered), follow);
    }

    async fn follow(&self, proxy: &Arc<Proxy>, client: &Arc<Client>, session: &Session) -> Infallible {
        let Parts { config, .. } = &*self.0;
        let mut roster = Roster::new(config);
        let (mut told, mut pause) = (false, RETRY_PAUSE);
        loop {
            let begun = Instant::now();
            let error = match self.look(&mut roster, proxy, client, session).await {
                Err(error) => error,
                Ok(never) => match never {},
            };
            // A watch that had lasted says nothing of what comes.
            if begun.elapsed() >= TELL_AGAIN_AFTER {
                (told, pause) = (false, RETRY_PAUSE);
            }
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(prefix = session.prefix, error, "the registered proxies cannot be watched");
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }

    /// A list, and then what changes.
    async fn look(
        &self,
        roster: &mut Roster,
        proxy: &Arc<Proxy>,
        client: &Arc<Client>,
        session: &Session,
    ) -> Result<Infallible, String> {
        let (key, range_end) = (Bytes::from(session.directory()), directory_end(&session.prefix));
        let limit = i64::try_from(PROXIES_MAX).expect("it is small");
        let range =
            RangeRequest { key: key.clone(), range_end: range_end.clone(), limit, ..RangeRequest::default() };
        let listing: RangeResponse = ask(proxy, client, RANGE, &range).await?;
        roster.handle_listing(&listing.kvs);
        self.publish(roster);
        let start_revision = listing.header.map_or(0, |header| header.revision) + 1;
        let create = WatchCreateRequest { key, range_end, start_revision, ..WatchCreateRequest::default() };
        let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let mut answers = Box::pin(Answers::to(proxy, client, WATCH, &request)).await;
        loop {
            let response: WatchResponse = answers.next().await?;
            if response.canceled {
                return Err(format!("the watch was cancelled: {}", response.cancel_reason));
            }
            for event in &response.events {
                roster.handle_event(event);
            }
            if !response.events.is_empty() {
                self.publish(roster);
            }
        }
    }

    fn publish(&self, roster: &Roster) {
        let Parts { metrics, frame, .. } = &*self.0;
        frame.store(Arc::new(roster.frame()));
        metrics.proxies.set(i64::try_from(roster.count()).unwrap_or(i64::MAX));
    }
}

struct Lessee<'a> {
    proxy: &'a Arc<Proxy>,
    client: &'a Arc<Client>,
    session: &'a Session,
    record: Record,
}

impl Lessee<'_> {
    /// Until the process is about to stop and the key is gone.
    async fn keep(&self, drain: &Drain, registered: &prometheus::IntGauge) {
        let mut core = Core::new(self.session.ttl, Instant::now());
        let mut told = false;
        tokio::select! {
            () = drain.announced() => {}
            () = async { while self.step(&mut core, &mut told, registered).await {} } => {}
        }
        core.handle_leave();
        registered.set(0);
        let leave = async { while self.step(&mut core, &mut told, registered).await {} };
        // The lease ends by itself if nobody answers.
        let _left = tokio::time::timeout(LEAVE_LIMIT, leave).await;
    }

    /// Does what is to be done next. False at the end.
    async fn step(&self, core: &mut Core, told: &mut bool, registered: &prometheus::IntGauge) -> bool {
        let asked_at = Instant::now();
        match core.poll_step(asked_at) {
            Step::End => return false,
            Step::Wait(until) => tokio::time::sleep_until(until.into()).await,
            Step::Expired => expired(registered),
            Step::Grant => {
                let lease = self.grant().await.map_err(|error| self.tell(told, &error)).ok();
                core.handle_granted(lease, asked_at, Instant::now());
            }
            Step::Put(lease) => {
                let done = self.put(lease).await;
                match &done {
                    Ok(()) => {
                        *told = false;
                        registered.set(1);
                        let lease_ttl = self.session.ttl.as_secs();
                        tracing::info!(addr = self.record.url, lease_ttl, "registered session with lease");
                    }
                    Err(error) => self.tell(told, error),
                }
                core.handle_put(done.is_ok(), Instant::now());
            }
            Step::KeepAlive(lease) => {
                let ttl = self.keep_alive(lease, core.interval()).await;
                if !core.handle_kept_alive(ttl, asked_at, Instant::now()) {
                    expired(registered);
                }
            }
            Step::Revoke(lease) => {
                let request = LeaseRevokeRequest { id: lease };
                let revoked = ask::<LeaseRevokeResponse>(self.proxy, self.client, REVOKE, &request).await;
                tracing::debug!(?revoked, "lease of the registration revoked");
                core.handle_revoked(Instant::now());
            }
        }
        true
    }

    async fn grant(&self) -> Result<i64, String> {
        let ttl = i64::try_from(self.session.ttl.as_secs()).unwrap_or(i64::MAX);
        let request = LeaseGrantRequest { ttl, id: 0 };
        let granted: LeaseGrantResponse = ask(self.proxy, self.client, GRANT, &request).await?;
        if granted.error.is_empty() { Ok(granted.id) } else { Err(granted.error) }
    }

    async fn put(&self, lease: i64) -> Result<(), String> {
        let key = self.session.key(&self.record.url).into();
        let request = PutRequest { key, value: self.record.to_json().into(), lease, ..PutRequest::default() };
        let _written: PutResponse = ask(self.proxy, self.client, PUT, &request).await?;
        Ok(())
    }

    /// Gives up after `limit`, so that a beat which hangs leaves time for others before the lease is over.
    async fn keep_alive(&self, lease: i64, limit: Duration) -> Option<i64> {
        let request = LeaseKeepAliveRequest { id: lease };
        let kept = ask::<LeaseKeepAliveResponse>(self.proxy, self.client, KEEP_ALIVE, &request);
        let kept = tokio::time::timeout(limit, kept).await.ok()?;
        kept.map(|kept| kept.ttl).ok()
    }

    fn tell(&self, told: &mut bool, error: &str) {
        if !std::mem::replace(told, true) {
            tracing::warn!(prefix = self.session.prefix, error, "failed to create a session");
        }
    }
}

fn expired(registered: &prometheus::IntGauge) {
    registered.set(0);
    tracing::warn!("session expired; possible network partition or server restart");
}

/// Behind everything below `prefix`: `0` comes after `/`.
fn directory_end(prefix: &str) -> Bytes {
    format!("{prefix}0").into()
}

const GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
const KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
const PUT: &str = "/etcdserverpb.KV/Put";
const RANGE: &str = "/etcdserverpb.KV/Range";
const REVOKE: &str = "/etcdserverpb.Lease/LeaseRevoke";
const WATCH: &str = "/etcdserverpb.Watch/Watch";

/// A cluster that has a leader answers within milliseconds; a restart shall not wait for one that has not.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);

/// What went well for so long may be told when it goes wrong again.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(60);
