//! What somebody might try to get out, before a real etcd.

use bytes::Bytes;
use etcdlet::proto::etcdserverpb as pb;
use etcdlet::proto::{v3electionpb as election, v3lockpb as lock};
use http::{HeaderMap, Method};
use prost::Message as _;

use super::{RANGE, SOON, TXN, WATCH, all, connect, put};
use crate::http1::client::Connection;
use crate::support::etcd::{Etcd, installed_lines};
use crate::support::grpc::{Answer, Channel, End, Event, frame, metadata};
use crate::support::sidecar::Sidecar;

struct Scene {
    /// Held until the end.
    _etcd: Etcd,
    sidecar: Sidecar,
    direct: Channel,
    inside: Channel,
}

impl Scene {
    async fn start() -> Self {
        Self::with(Etcd::start(), true).await
    }

    async fn with(etcd: Etcd, coalesce: bool) -> Self {
        let sidecar = Sidecar::with_config(&format!(
            "
listen: [{{url: 'http://{{listen}}', namespace: /a/, coalesce: {coalesce}}}]
upstream: {{endpoints: ['{}']}}
admin: {{url: 'http://{{admin}}'}}
",
            etcd.endpoint()
        ));
        let (direct, inside) = (connect(&etcd.endpoint()).await, connect(&sidecar.url()).await);
        put(&direct, "secret", "of others").await;
        Self { _etcd: etcd, sidecar, direct, inside }
    }

    async fn raw(&self, path: &str, headers: HeaderMap, body: Bytes) -> Answer {
        let mut stream = self.inside.stream(path, headers).await.unwrap();
        stream.send_raw(body);
        stream.half_close();
        stream.answer(SOON).await
    }
}

fn range(key: &'static str, range_end: &'static str) -> Vec<u8> {
    pb::RangeRequest { key: key.into(), range_end: range_end.into(), ..Default::default() }.encode_to_vec()
}

/// Up to 3.6 a later piece of an operation replaces the one before, since 3.7 they are merged.
#[tokio::test]
async fn fields_twice_and_messages_in_pieces_stay_inside() {
    for line in installed_lines() {
        for coalesce in [true, false] {
            let scene = Scene::with(Etcd::start_version(&line), coalesce).await;
            pieces_of_requests(&scene).await;
            pieces_of_watches(&scene).await;
        }
    }
}

async fn pieces_of_requests(scene: &Scene) {
    put(&scene.inside, "mine", "1").await;
    let everything = range("\0", "\0");
    for (what, message, expected) in [
        ("twice", [range("a", "b"), everything.clone()].concat(), vec!["mine"]),
        ("an empty key behind", [everything.clone(), b"\x0a\x00".to_vec()].concat(), vec![]),
        ("an empty end behind", [range("secret", "\0"), b"\x12\x00".to_vec()].concat(), vec![]),
        ("a group around", [b"\x0b".to_vec(), everything.clone(), b"\x0c".to_vec()].concat(), vec![]),
        ("an unknown group", [everything.clone(), b"\x7b\x7c".to_vec()].concat(), vec![]),
        ("no key", b"\x12\x01\0".to_vec(), vec![]),
    ] {
        let answer = scene.raw(RANGE, HeaderMap::new(), frame(0, &message)).await;
        let found: Vec<String> = answer
            .messages
            .iter()
            .flat_map(|message| message.decode::<pb::RangeResponse>().kvs)
            .map(|kv| super::text(&kv.key))
            .collect();
        assert_eq!(found, expected, "{what}: {answer:?}");
    }
    // Operations of a transaction in pieces, of which one or the other counts.
    let op = |message: &[u8]| {
        let mut op = Vec::new();
        prost::encoding::bytes::encode(1, &message.to_vec(), &mut op);
        op
    };
    let mut txn = Vec::new();
    prost::encoding::bytes::encode(2, &[op(&range("x", "")), op(&everything)].concat(), &mut txn);
    let answer = scene.raw(TXN, HeaderMap::new(), frame(0, &txn)).await;
    assert!(!format!("{answer:?}").contains("secret"), "{answer:?}");
    assert_eq!(answer.messages.len(), 1, "{answer:?}");
}

async fn pieces_of_watches(scene: &Scene) {
    // Everything, in a message without a key; in pieces, of which the last one counts.
    for request in [b"\x0a\x03\x12\x01\0".to_vec(), b"\x0a\x03\x0a\x01x\x0a\x03\x12\x01\0".to_vec()] {
        let mut stream = scene.inside.stream(WATCH, HeaderMap::new()).await.unwrap();
        stream.send(&request);
        let created: pb::WatchResponse = stream.next_message(SOON).await;
        assert!(created.created && !created.canceled, "{created:?}");
        put(&scene.direct, "\0", "others'").await;
        put(&scene.direct, "secret", "still others'").await;
        put(&scene.inside, "y", "1").await;
        assert_eq!(super::events(&mut stream, 1).await, ["y"]);
    }
}

#[tokio::test]
async fn locks_and_elections_without_a_name_stay_inside() {
    let scene = Scene::start().await;
    let Scene { inside, direct, .. } = &scene;
    let inside_or_others =
        |keys: &[String]| keys.iter().all(|key| key == "secret" || key.starts_with("/a//"));
    let lock = lock::LockRequest::default();
    let locked: lock::LockResponse = inside.call("/v3lockpb.Lock/Lock", &lock).await.unwrap();
    assert!(locked.key.starts_with(b"/"), "{locked:?}");
    let stored = all(direct).await;
    assert!(stored.len() == 2 && inside_or_others(&stored), "{stored:?}");
    let unlock = lock::UnlockRequest { key: locked.key };
    let _unlocked: lock::UnlockResponse = inside.call("/v3lockpb.Lock/Unlock", &unlock).await.unwrap();
    assert_eq!(all(direct).await, ["secret"]);
    let campaign = election::CampaignRequest { value: "v".into(), ..Default::default() };
    let elected: election::CampaignResponse =
        inside.call("/v3electionpb.Election/Campaign", &campaign).await.unwrap();
    let leader = elected.leader.unwrap();
    assert!(leader.name.is_empty() && leader.key.starts_with(b"/"), "{leader:?}");
    let stored = all(direct).await;
    assert!(stored.len() == 2 && inside_or_others(&stored), "{stored:?}");
    let nothing = lock::UnlockRequest::default();
    let refused =
        inside.call::<_, lock::UnlockResponse>("/v3lockpb.Lock/Unlock", &nothing).await.unwrap_err();
    assert_eq!(refused.message, "etcdserver: key is not provided");
}

#[tokio::test]
async fn what_cannot_be_edited_is_refused_by_name() {
    let scene = Scene::start().await;
    let gzip = metadata(&[("grpc-encoding", "gzip")]);
    for (what, path, headers, body) in [
        ("compressed", RANGE, gzip.clone(), frame(1, b"anything")),
        ("compressed answers", RANGE, gzip, frame(0, &range("secret", ""))),
        ("a flag alone", RANGE, HeaderMap::new(), frame(1, &range("secret", ""))),
        ("an unknown method", "/etcdserverpb.KV/Future", HeaderMap::new(), frame(0, b"")),
        ("an unknown service", "/etcdserverpb.Future/Range", HeaderMap::new(), frame(0, b"")),
        ("an encoded path", "/etcdserverpb.KV/R%61nge", HeaderMap::new(), frame(0, &range("secret", ""))),
    ] {
        let status = scene.raw(path, headers, body).await.status();
        assert_eq!(status.code, Some(12), "{what}: {status:?}");
        assert!(status.message.starts_with("etcdlet: "), "{what}: {status:?}");
    }
    let long = scene.raw(RANGE, HeaderMap::new(), Bytes::from_static(b"\0\0\x20\0\x01")).await.status();
    assert_eq!(long.code, Some(8));
    assert_eq!(long.message, "grpc: received message larger than max (2097153 vs. 2097152)");
    let metrics = scene.sidecar.metrics();
    for (reason, count) in [("compressed", 3), ("unknown-method", 3), ("too-long", 1)] {
        let line = format!("etcdlet_namespace_refused_total{{reason=\"{reason}\"}} {count}");
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn of_several_content_types_none_leads_out() {
    let scene = Scene::start().await;
    put(&scene.direct, "/a/inside", "mine").await;
    // etcd takes the second one for gRPC.
    let headers = metadata(&[("content-type", "text/plain"), ("content-type", "application/grpc")]);
    for (key, keys) in [("inside", 1), ("secret", 0)] {
        let mut stream = scene.inside.open(Method::POST, RANGE, headers.clone(), false).await.unwrap();
        stream.send_raw(frame(0, &range(key, "")));
        stream.half_close();
        let answer = stream.answer(SOON).await;
        assert!(!format!("{answer:?}").contains("others"), "{answer:?}");
        let found = pb::RangeResponse::decode(answer.messages[0].bytes.clone()).unwrap();
        assert_eq!(found.kvs.len(), keys, "{found:?}");
    }
}

#[tokio::test]
async fn a_stream_that_becomes_bad_ends_and_is_told_why() {
    let scene = Scene::start().await;
    let mut stream = super::watch(&scene.inside, b"k", b"").await;
    stream.send(b"\xff\xff\xff");
    let Event::End(End::Trailers(trailers)) = stream.next(SOON).await else { panic!("no trailers") };
    assert_eq!(trailers["grpc-status"], "13");
}

#[tokio::test]
async fn json_is_refused_and_what_a_member_says_of_itself_passes() {
    let scene = Scene::start().await;
    let url = scene.sidecar.url();
    for path in ["/v3/kv/range", "/v3beta/kv/range", "/v3alpha/watch", "/%763/kv/range", "//v3/kv/range"] {
        let answer = Connection::open(&url).await.get(path).await;
        assert_eq!(answer.status, 501, "{path}");
        let body: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
        assert_eq!(body["code"], 12, "{path}: {body}");
        assert!(body["message"].as_str().unwrap().contains("namespace"), "{path}: {body}");
    }
    for path in ["/health", "/version", "/metrics"] {
        assert_eq!(Connection::open(&url).await.get(path).await.status, 200, "{path}");
    }
}
