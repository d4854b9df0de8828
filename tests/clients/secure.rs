//! Users with passwords, and listeners of TLS.

use serde_json::json;

use crate::program::Program;
use crate::support::certs::Certs;
use crate::support::sidecar::Sidecar;
use crate::{Client, Stage};

pub(crate) fn password(client: &'static Client) {
    let stage = Stage::start();
    for arguments in [
        "user add root:root",
        "user grant-role root root",
        "role add shop",
        "role grant-permission shop --prefix=true readwrite shop/",
        "user add alice:her-secret",
        "user grant-role alice shop",
        "auth enable",
    ] {
        stage.cluster.members[0].run_etcdctl(&arguments.split(' ').collect::<Vec<_>>());
    }
    let url = stage.sidecar.url();
    let alice = Program::open_with(client, json!({"url": url, "user": "alice", "password": "her-secret"}));
    let watch = alice.watch(json!({"key": "shop/", "end": "shop0"}));
    alice.call("put", json!({"key": "shop/a", "value": "1"}));
    assert_eq!(alice.call("get", json!({"key": "shop/", "end": "shop0"}))["count"], 1);
    assert_eq!(alice.news(watch, "event", 1)[0]["key"], "shop/a");
    let refusal = alice.refused("put", json!({"key": "bank/a", "value": "1"}));
    assert_eq!(refusal.code, Some(7), "{refusal:?}");
    refusal.assert_says("etcdserver: permission denied");
    alice.finish();

    // Some clients sign in at once, others with their first call.
    let mallory = Program::start(client);
    let opened = mallory.ask("open", json!({"url": url, "user": "alice", "password": "guessed"}));
    let refusal = match mallory.answer(opened) {
        Err(refusal) => refusal,
        Ok(_) => mallory.refused("get", json!({"key": "shop/a"})),
    };
    refusal.assert_says("etcdserver: authentication failed, invalid user ID or password");
    mallory.finish();
}

pub(crate) fn tls(client: &'static Client) {
    let (stage, certs) = (Stage::start(), Certs::new());
    let pair = certs.server();
    let sidecar = Sidecar::https_with_args(&[
        "--endpoints",
        &stage.cluster.endpoints().join(","),
        "--cert-file",
        &pair.cert.display().to_string(),
        "--key-file",
        &pair.key.display().to_string(),
    ]);
    let url = format!("https://{}", sidecar.addr());
    let program = Program::open_with(client, json!({"url": url, "ca": certs.ca()}));
    let watch = program.watch(json!({"key": "tls"}));
    program.call("put", json!({"key": "tls", "value": "1"}));
    assert_eq!(program.call("get", json!({"key": "tls"}))["kvs"][0]["value"], "1");
    assert_eq!(program.news(watch, "event", 1)[0]["value"], "1");
    program.finish();
}
