//! A cluster of one member: there is nobody to compare it with, and nobody else to go to.

use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb as pb;
use futures_util::future::join_all;
use tokio::time::sleep;

use super::{ALONE, Client, SOON, settles, standing, view};
use crate::support::etcd::Etcd;
use crate::support::grpc::Event;
use crate::support::sidecar::Sidecar;

#[tokio::test]
async fn the_only_member_is_waited_for_while_it_stands_still() {
    let _alone = ALONE.lock().await;
    let mut etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    settles(&sidecar, &etcd.endpoints()).await;
    let client = Client::connect(&sidecar.url()).await;
    client.call_all(20).await;
    let mut watch = client.watch().await;
    for still in [Duration::from_secs(2), Duration::from_secs(4)] {
        etcd.freeze();
        let frozen = Instant::now();
        let calls = join_all((0..10).map(|_| async {
            let (put, linearizable, serializable) =
                tokio::join!(client.put(), client.get(super::Read::Linearizable), client.read());
            (put, linearizable, serializable, frozen.elapsed())
        }));
        let mut standings = Vec::new();
        let thaw = async {
            while frozen.elapsed() < still {
                standings.push(standing(&view(&sidecar), &etcd.endpoint()).to_owned());
                sleep(Duration::from_millis(50)).await;
            }
            etcd.thaw();
        };
        let (calls, ()) = tokio::join!(calls, thaw);
        standings.dedup();
        let longest = calls.iter().map(|(.., after)| *after).max().expect("there are some");
        println!("frozen for {still:?}: {standings:?}, the last call ended after {longest:.3?}");
        let failed: Vec<_> = calls
            .iter()
            .filter(|(put, linearizable, serializable, _)| {
                put.is_err() || linearizable.is_err() || serializable.is_err()
            })
            .collect();
        assert!(failed.is_empty(), "{failed:?}");
        assert!(
            calls.iter().all(|(.., after)| *after >= still),
            "it answered while it stood still: {calls:?}"
        );
        assert!(longest < still + Duration::from_secs(1), "{longest:?}");
        assert_eq!(standings, ["healthy"], "nobody says that it is worse than others");
        // The watch has seen every write, and goes on.
        let mut events = 0;
        while events < 10 {
            let response: pb::WatchResponse = watch.next_message(SOON).await;
            assert!(!response.canceled, "{response:?}");
            events += response.events.len();
        }
    }
    match watch.next(Duration::from_millis(200)).await {
        Event::Silence => {}
        other => panic!("the watch did not go on: {other:?}"),
    }
}
