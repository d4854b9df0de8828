//! Bodies that are no gRPC: a real etcd behind the sidecar says of them what it says without it.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use super::subject::{MIB, PUT, RANGE, assert_no_panic, settle};
use crate::support::etcd::Etcd;
use crate::support::grpc::{Answer, Channel, frame};
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn a_body_that_is_no_grpc_is_answered_as_etcd_itself_does() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    let base = sidecar.rss_bytes();
    let direct = Channel::connect(&etcd.endpoint()).await.expect("etcd accepts");
    let through = Channel::connect(&sidecar.url()).await.expect("the sidecar accepts");
    for (path, parts) in bodies() {
        let answers = [send(&direct, path, &parts).await, send(&through, path, &parts).await];
        let [direct, through] = answers.map(|answer| (answer.http, answer.status(), answer.messages.len()));
        assert_eq!(direct, through, "{path} with {parts:?}");
    }
    assert_no_panic(&sidecar, "no gRPC");
    drop(through);
    settle(&sidecar, "no gRPC", 0).await;
    let growth = sidecar.rss_bytes().saturating_sub(base);
    assert!(growth < 16 * MIB, "memory grew by {growth} bytes");
}

/// Bodies in the DATA frames in which they are sent.
fn bodies() -> Vec<(&'static str, Vec<Bytes>)> {
    let mut random = Random(1);
    let whole = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
    let mut bodies = vec![
        (RANGE, vec![whole(&[0, 0, 0])]),
        (RANGE, vec![whole(&[0, 0, 0, 0, 9, 1])]),
        (RANGE, vec![whole(&[0, 0xff, 0xff, 0xff, 0xff])]),
        (PUT, vec![whole(&[0, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3])]),
        (RANGE, vec![frame(2, b""), frame(0, b"")]),
        (PUT, vec![frame(1, b"not compressed")]),
    ];
    // Noise, and messages of noise, from a fixed seed: etcd must not store any of it under a key that it makes up.
    for _ in 0..150 {
        let noise = random.bytes();
        bodies.push((RANGE, vec![noise.clone()]));
        let (first, second) = noise.split_at(noise.len() / 2);
        bodies.push((RANGE, vec![whole(first), whole(second)]));
        bodies.push((RANGE, vec![frame(0, &noise)]));
    }
    bodies
}

async fn send(channel: &Channel, path: &str, parts: &[Bytes]) -> Answer {
    let mut stream = channel.stream(path, HeaderMap::new()).await.expect("a stream opens");
    for part in parts {
        stream.send_raw(part.clone());
    }
    stream.half_close();
    stream.answer(Duration::from_secs(5)).await
}

/// The generator of Numerical Recipes: the same bytes in every run.
struct Random(u32);

impl Random {
    fn bytes(&mut self) -> Bytes {
        let length = 1 + self.next() as usize % 40;
        (0..length).map(|_| self.next()).collect()
    }

    fn next(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 24) as u8
    }
}
