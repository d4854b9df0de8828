//! Several listeners of one etcdlet, each with its namespace or none, which share watches.

use etcdlet::proto::etcdserverpb as pb;

use super::{DELETE, GRANT, PUT, TIME_TO_LIVE, all, connect, events, keys, put, text, watch};
use crate::observability::becomes;
use crate::support::etcd::Etcd;
use crate::support::grpc::{Channel, Event};
use crate::support::ports::free_port;
use crate::support::sidecar::Sidecar;

struct Scene {
    /// Held until the end.
    _etcd: Etcd,
    sidecar: Sidecar,
    direct: Channel,
    a: Channel,
    b: Channel,
    /// As `b`, with nothing shared.
    alone: Channel,
    plain: Channel,
}

impl Scene {
    async fn start() -> Self {
        let etcd = Etcd::start();
        let (b, alone, plain) = (free_port(), free_port(), free_port());
        let sidecar = Sidecar::with_config(&format!(
            "
namespace: /a/
listen:
  - {{url: 'http://{{listen}}'}}
  - {{url: 'http://127.0.0.1:{b}', namespace: /b/}}
  - {{url: 'http://127.0.0.1:{alone}', namespace: /b/, coalesce: false}}
  - {{url: 'http://127.0.0.1:{plain}', namespace: ''}}
upstream: {{endpoints: ['{}']}}
admin: {{url: 'http://{{admin}}'}}
",
            etcd.endpoint()
        ));
        Self {
            direct: connect(&etcd.endpoint()).await,
            a: connect(&sidecar.url()).await,
            b: connect(&format!("http://127.0.0.1:{b}")).await,
            alone: connect(&format!("http://127.0.0.1:{alone}")).await,
            plain: connect(&format!("http://127.0.0.1:{plain}")).await,
            _etcd: etcd,
            sidecar,
        }
    }
}

#[tokio::test]
async fn clients_of_two_namespaces_do_not_see_each_other() {
    let Scene { direct, a, b, plain, .. } = &Scene::start().await;
    // Around the namespace, and the key that is its name.
    for key in ["/a", "/a/", "/a0", "/b0", "zz"] {
        put(direct, key, "others'").await;
    }
    put(a, "k", "a").await;
    put(b, "k", "b").await;
    assert_eq!(all(a).await, ["k"]);
    assert_eq!(all(b).await, ["k"]);
    let stored = ["/a", "/a/", "/a/k", "/a0", "/b/k", "/b0", "zz"];
    assert_eq!(all(plain).await, stored);
    assert_eq!(all(direct).await, stored);
    assert_eq!(text(&put(a, "k", "again").await.prev_kv.unwrap().value), "a");
    assert_eq!(keys(a, b"k", b"\0").await, ["k"]);
    assert_eq!(keys(a, b"l", b"\0").await, [""; 0]);
    let everything = pb::DeleteRangeRequest { key: "\0".into(), range_end: "\0".into(), prev_kv: true };
    let deleted: pb::DeleteRangeResponse = a.call(DELETE, &everything).await.unwrap();
    assert_eq!((deleted.deleted, text(&deleted.prev_kvs[0].key)), (1, "k".to_owned()));
    assert_eq!(all(direct).await, ["/a", "/a/", "/a0", "/b/k", "/b0", "zz"]);
}

#[tokio::test]
async fn shared_watches_show_each_client_its_own_keys() {
    let scene = Scene::start().await;
    let Scene { direct, a, b, alone, plain, sidecar, .. } = &scene;
    let mut in_a = watch(a, b"\0", b"\0").await;
    let mut in_b = watch(b, b"\0", b"\0").await;
    let mut passed = watch(alone, b"\0", b"\0").await;
    let mut beside = watch(a, b"\0", b"\0").await;
    // The same range by its full name.
    let mut in_full = watch(plain, b"/a/\0", b"/a0").await;
    becomes(sidecar, "etcdlet_watch_watchers", 4.0).await;
    becomes(sidecar, "etcdlet_watch_feeds", 2.0).await;
    for key in ["/a", "/a/", "/a/1", "/b/1", "/a/2", "/a0", "/b/2", "/a/1"] {
        put(direct, key, "v").await;
    }
    assert_eq!(events(&mut in_a, 3).await, ["1", "2", "1"]);
    assert_eq!(events(&mut beside, 3).await, ["1", "2", "1"]);
    assert_eq!(events(&mut in_b, 2).await, ["1", "2"]);
    assert_eq!(events(&mut passed, 2).await, ["1", "2"]);
    assert_eq!(events(&mut in_full, 3).await, ["/a/1", "/a/2", "/a/1"]);
    for stream in [&mut in_a, &mut in_b, &mut passed] {
        let more = stream.next(std::time::Duration::from_millis(300)).await;
        assert!(matches!(more, Event::Silence), "{more:?}");
    }
}

#[tokio::test]
async fn of_a_lease_each_namespace_shows_its_own_keys() {
    let Scene { direct, a, b, .. } = &Scene::start().await;
    let grant = pb::LeaseGrantRequest { ttl: 600, id: 7 };
    let _granted: pb::LeaseGrantResponse = a.call(GRANT, &grant).await.unwrap();
    for (channel, key) in [(a, "x"), (b, "y"), (direct, "/a"), (direct, "/a/"), (direct, "/c/z"), (a, "w")] {
        let request = pb::PutRequest { key: key.into(), lease: 7, ..Default::default() };
        let _put: pb::PutResponse = channel.call(PUT, &request).await.unwrap();
    }
    for (channel, expected) in [(a, &["w", "x"][..]), (b, &["y"])] {
        let request = pb::LeaseTimeToLiveRequest { id: 7, keys: true };
        let told: pb::LeaseTimeToLiveResponse = channel.call(TIME_TO_LIVE, &request).await.unwrap();
        let mut keys: Vec<String> = told.keys.iter().map(|key| text(key)).collect();
        keys.sort();
        assert_eq!(keys, expected);
        assert_eq!((told.id, told.granted_ttl), (7, 600));
    }
}
