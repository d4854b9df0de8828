//! A client that watches, and says what it saw instead of panicking: a defect has to be told apart from its absence.

use std::time::Duration;

use bytes::Bytes;
use etcdlet::proto::etcdserverpb as pb;
use etcdlet::proto::mvccpb::Event;
use futures_util::{StreamExt, TryStreamExt};
use http::HeaderMap;
use pb::request_op::Request;
use pb::watch_request::RequestUnion;

use crate::support::grpc::{self, Channel, Stream};

/// What was seen, or in what way it was not what etcd shows.
pub(super) type Seen<T> = Result<T, String>;

/// A client on one connection.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) channel: Channel,
    /// Of every call: who it is.
    pub(super) metadata: HeaderMap,
    /// How long it waits for an answer.
    pub(super) patience: Duration,
}

/// The revision of a put, and its key.
pub(super) type Written = (i64, String);

/// A stream of watchers.
pub(super) struct Watch {
    pub(super) stream: Stream,
    pub(super) patience: Duration,
}

impl Client {
    pub(super) async fn connect(url: &str, patience: Duration) -> Self {
        let channel = Channel::connect(url).await.expect("the subject accepts");
        Self { channel, metadata: HeaderMap::new(), patience }
    }

    /// Signs in as this user, whose password is the name.
    pub(super) async fn signed_in(mut self, user: &str) -> Self {
        let request = pb::AuthenticateRequest { name: user.into(), password: user.into() };
        let answer: Seen<pb::AuthenticateResponse> =
            self.call("/etcdserverpb.Auth/Authenticate", &request).await;
        self.metadata = grpc::metadata(&[("token", &answer.expect("the user may sign in").token)]);
        self
    }

    pub(super) async fn call<Req, Resp>(&self, path: &str, request: &Req) -> Seen<Resp>
    where
        Req: prost::Message,
        Resp: prost::Message + Default,
    {
        let answer = self.channel.call_with(path, self.metadata.clone(), request).await;
        answer.map_err(|status| format!("{path}: {status:?}"))
    }

    /// The revision of a put.
    pub(super) async fn put(&self, key: &str, value: impl Into<Bytes>) -> Seen<i64> {
        let request =
            pb::PutRequest { key: key.to_owned().into(), value: value.into(), ..Default::default() };
        let response: pb::PutResponse = self.call(PUT, &request).await?;
        Ok(revision(response.header.as_ref()))
    }

    pub(super) async fn delete(&self, key: &str) -> Seen<i64> {
        let request = pb::DeleteRangeRequest { key: key.to_owned().into(), ..Default::default() };
        let response: pb::DeleteRangeResponse = self.call("/etcdserverpb.KV/DeleteRange", &request).await?;
        Ok(revision(response.header.as_ref()))
    }

    /// The one revision in which all of them are put.
    pub(super) async fn put_all(&self, keys: &[String], value: impl Into<Bytes>) -> Seen<i64> {
        let value = value.into();
        let put = |key: &String| pb::RequestOp {
            request: Some(Request::RequestPut(pb::PutRequest {
                key: key.clone().into(),
                value: value.clone(),
                ..Default::default()
            })),
        };
        let request = pb::TxnRequest { success: keys.iter().map(put).collect(), ..Default::default() };
        let response: pb::TxnResponse = self.call("/etcdserverpb.KV/Txn", &request).await?;
        Ok(revision(response.header.as_ref()))
    }

    /// Many revisions below a prefix, each a transaction of so many puts, written by a few at a time. In the order of
    /// their revisions.
    pub(super) async fn fill(
        &self,
        prefix: &str,
        revisions: usize,
        each: usize,
        bytes: usize,
    ) -> Seen<Vec<Written>> {
        let value = Bytes::from(vec![b'v'; bytes]);
        let write = async |number: usize| {
            let keys: Vec<String> = (0..each).map(|key| format!("{prefix}{number:06}/{key:02}")).collect();
            let revision = self.put_all(&keys, value.clone()).await?;
            Ok(keys.into_iter().map(|key| (revision, key)).collect::<Vec<Written>>())
        };
        let written: Seen<Vec<Vec<Written>>> = futures_util::stream::iter(0..revisions)
            .map(write)
            .buffer_unordered(IN_FLIGHT)
            .try_collect()
            .await;
        let mut written = written?.concat();
        written.sort();
        Ok(written)
    }

    pub(super) async fn compact(&self, revision: i64) -> Seen<()> {
        let request = pb::CompactionRequest { revision, physical: true };
        let _: pb::CompactionResponse = self.call("/etcdserverpb.KV/Compact", &request).await?;
        Ok(())
    }

    /// A stream without a watcher.
    pub(super) async fn watch(&self) -> Watch {
        self.watch_with(&[]).await
    }

    pub(super) async fn watch_with(&self, more: &[(&str, &str)]) -> Watch {
        let mut metadata = self.metadata.clone();
        metadata.extend(grpc::metadata(more));
        let stream = self.channel.stream(WATCH, metadata).await.expect("a stream opens");
        Watch { stream, patience: self.patience }
    }
}

impl Watch {
    pub(super) fn create(&mut self, request: pb::WatchCreateRequest) {
        self.send(RequestUnion::CreateRequest(request));
    }

    pub(super) fn cancel(&mut self, watch_id: i64) {
        self.send(RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id }));
    }

    pub(super) fn request_progress(&mut self) {
        self.send(RequestUnion::ProgressRequest(pb::WatchProgressRequest {}));
    }

    pub(super) fn send(&mut self, request: RequestUnion) {
        self.stream.send_message(&pb::WatchRequest { request_union: Some(request) });
    }

    pub(super) async fn next(&mut self) -> Seen<pb::WatchResponse> {
        self.next_within(self.patience).await?.ok_or_else(|| NOTHING.into())
    }

    /// The next response; `None` if there is none before the limit.
    pub(super) async fn next_within(&mut self, limit: Duration) -> Seen<Option<pb::WatchResponse>> {
        match self.stream.next(limit).await {
            grpc::Event::Message(message) => Ok(Some(message.decode())),
            grpc::Event::Silence => Ok(None),
            grpc::Event::End(end) => Err(format!("{ENDED}: {end:?}")),
        }
    }

    /// Creates a watcher, the reply to which must be the next response.
    pub(super) async fn created(&mut self, request: pb::WatchCreateRequest) -> Seen<pb::WatchResponse> {
        self.create(request);
        let response = self.next().await?;
        let sound = response.created && !response.canceled && response.events.is_empty();
        if sound { Ok(response) } else { Err(format!("not created: {response:?}")) }
    }

    /// So many events, in responses that must be sound: whole revisions, and none that the header does not cover.
    pub(super) async fn events(&mut self, count: usize) -> Seen<Vec<Event>> {
        let mut events: Vec<Event> = Vec::new();
        while events.len() < count {
            let response = self.next().await.map_err(|why| format!("{why} after {} events", events.len()))?;
            let last = response.events.last().map_or(0, modified);
            let covered = revision(response.header.as_ref()) >= last;
            let split = response.events.first().map(modified) == events.last().map(modified);
            if response.events.is_empty() || response.canceled || response.fragment || !covered || split {
                return Err(format!("no whole revisions after {} events: {response:?}", events.len()));
            }
            events.extend(response.events);
        }
        Ok(events)
    }

    /// Exactly these events follow.
    pub(super) async fn sees_all(&mut self, written: &[Written]) -> Seen<()> {
        let events = self.events(written.len()).await?;
        let found = events.iter().zip(written).position(|(event, written)| {
            let key = &event.kv.as_ref().expect("an event has a key").key;
            (modified(event), key.as_ref()) != (written.0, written.1.as_bytes())
        });
        match found {
            Some(at) => Err(format!("event {at} is not {:?}: {:?}", written[at], events[at])),
            None => claim(events.len() == written.len(), || {
                format!("{} events too many", events.len() - written.len())
            }),
        }
    }

    /// The next response has exactly one event, a put in this revision.
    pub(super) async fn sees(&mut self, put: i64) -> Seen<()> {
        let response = self.next().await?;
        match response.events.as_slice() {
            [event] if modified(event) == put => Ok(()),
            _ => Err(format!("not the event of revision {put}: {response:?}")),
        }
    }

    /// That nothing comes for a while.
    pub(super) async fn is_silent(&mut self) -> Seen<()> {
        self.next_within(QUIET).await?.map_or(Ok(()), |it| Err(format!("not silent: {it:?}")))
    }
}

pub(super) fn key(key: impl Into<Bytes>) -> pb::WatchCreateRequest {
    pb::WatchCreateRequest { key: key.into(), ..Default::default() }
}

/// All keys that begin so.
pub(super) fn prefix(prefix: &str) -> pb::WatchCreateRequest {
    let mut end = prefix.as_bytes().to_vec();
    *end.last_mut().expect("a prefix is not empty") += 1;
    pb::WatchCreateRequest { range_end: end.into(), ..key(prefix.to_owned()) }
}

pub(super) fn revision(header: Option<&pb::ResponseHeader>) -> i64 {
    header.expect("every answer has a header").revision
}

pub(super) fn modified(event: &Event) -> i64 {
    event.kv.as_ref().expect("an event has a key").mod_revision
}

/// A claim that does not hold is what was seen instead.
pub(super) fn claim(holds: bool, otherwise: impl FnOnce() -> String) -> Seen<()> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

pub(super) const NOTHING: &str = "nothing came";
pub(super) const ENDED: &str = "the stream ended";

const PUT: &str = "/etcdserverpb.KV/Put";
const WATCH: &str = "/etcdserverpb.Watch/Watch";
const IN_FLIGHT: usize = 32;
/// Where nothing may come, and no later answer can show that nothing came before it.
const QUIET: Duration = Duration::from_millis(300);
