//! Leases: granted, kept alive, left to expire, revoked.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::program::Program;
use crate::watches::assert_goes_on;
use crate::{Client, Stage};

pub(crate) fn everyday(client: &'static Client) {
    let stage = Stage::start();
    let program = Program::open(client, &stage.sidecar.url());
    let put =
        |key: &str, lease: &Value| program.call("put", json!({"key": key, "value": "", "lease": lease}));
    let is_there = |key: &str| program.call("get", json!({"key": key}))["count"] == 1;

    let long = program.call("grant", json!({"ttl": 600}));
    assert_eq!(long["ttl"], 600);
    for key in ["lease/a", "lease/b"] {
        put(key, &long["lease"]);
    }
    assert_eq!(program.call("get", json!({"key": "lease/a"}))["kvs"][0]["lease"], long["lease"]);
    assert_eq!(program.call("keep_alive", json!({"lease": long["lease"]}))["ttl"], 600);
    let state = program.call("time_to_live", json!({"lease": long["lease"]}));
    assert_eq!(state["granted"], 600);
    // In no order.
    let keys: BTreeSet<&str> =
        state["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
    assert_eq!(keys, ["lease/a", "lease/b"].into());
    assert!((590..=600).contains(&state["ttl"].as_i64().unwrap()), "{state}");
    program.call("revoke", json!({"lease": long["lease"]}));
    assert!(!is_there("lease/a") && !is_there("lease/b"), "they go with their lease");
    assert_eq!(program.call("time_to_live", json!({"lease": long["lease"]}))["ttl"], -1);

    // The shortest that etcd grants are of two seconds. One is kept while the other expires.
    let keeping = program.ask("grant", json!({"ttl": SHORT, "keep": true}));
    let kept = program.answer(keeping).unwrap();
    let left = program.call("grant", json!({"ttl": SHORT}));
    put("lease/kept", &kept["lease"]);
    let watch = program.watch(json!({"key": "lease/left"}));
    put("lease/left", &left["lease"]);
    let events = program.news(watch, "event", 2);
    assert_eq!(events[1]["kind"], "delete", "it expires: {events:?}");
    let alive = program.news(keeping, "alive", 6);
    assert!(alive.iter().all(|ttl| *ttl == SHORT), "{alive:?}");
    assert!(is_there("lease/kept"));
    assert_goes_on(&program, keeping);
    program.finish();
}

const SHORT: i64 = 3;
