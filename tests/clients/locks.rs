//! Locks and elections between two programs of a kind. Some clients ask etcd's own service, some use keys.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::program::Program;
use crate::{Client, Stage};

pub(crate) fn lock(client: &'static Client) {
    let stage = Stage::start();
    let [first, second] = [0, 1].map(|_| Program::open(client, &stage.sidecar.url()));
    let name = json!({"name": "lock/a"});
    let held = first.ask("lock", name.clone());
    let key = first.answer(held).unwrap()["key"].clone();
    assert_eq!(second.call("get", json!({"key": key}))["count"], 1, "who holds it has a key");
    // Another name is another lock.
    let other = second.ask("lock", json!({"name": "lock/b"}));
    second.answer(other).unwrap();

    let waiting = second.ask("lock", name.clone());
    let next = if client.lock_waits {
        sleep(AWHILE);
        assert!(!second.is_answered(waiting), "two hold the lock");
        first.call("unlock", json!({"of": held}));
        waiting
    } else {
        second.answer(waiting).expect_err("two hold the lock");
        first.call("unlock", json!({"of": held}));
        second.ask("lock", name)
    };
    second.answer(next).unwrap();
    second.call("unlock", json!({"of": next}));
    second.call("unlock", json!({"of": other}));
    assert_eq!(first.call("get", json!({"key": "lock/", "end": "lock0"}))["kvs"], json!([]));
    first.finish();
    second.finish();
}

pub(crate) fn election(client: &'static Client) {
    let stage = Stage::start();
    let [first, second] = [0, 1].map(|_| Program::open(client, &stage.sidecar.url()));
    let leader = || second.call("leader", json!({"name": "election"}))["value"].clone();
    assert_eq!(leader(), Value::Null);
    let elected = first.ask("campaign", json!({"name": "election", "value": "first"}));
    first.answer(elected).unwrap();
    assert_eq!(leader(), "first");
    let waiting = second.ask("campaign", json!({"name": "election", "value": "second"}));
    sleep(AWHILE);
    assert!(!second.is_answered(waiting), "two lead");
    assert_eq!(leader(), "first");
    first.call("resign", json!({"of": elected}));
    second.answer(waiting).unwrap();
    assert_eq!(leader(), "second");
    second.call("resign", json!({"of": waiting}));
    assert_eq!(leader(), Value::Null);
    first.finish();
    second.finish();
}

/// Longer than an answer takes.
const AWHILE: Duration = Duration::from_millis(500);
