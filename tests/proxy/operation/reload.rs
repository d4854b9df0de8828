//! A configuration that changes while calls are under way.

use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use super::{assert_undisturbed, configured, reloaded, until};
use crate::observability::metric;
use crate::support::dns::DnsServer;
use crate::support::etcd::{Cluster, Etcd};
use crate::support::load::{Load, Streams, audit};
use crate::support::sidecar::Sidecar;

#[test]
fn endpoints_move_under_load_and_nothing_fails() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader();
    let endpoints = cluster.endpoints();
    // From the leader alone to the two others: calls, watches and keep-alives all have to move.
    let others: Vec<String> = endpoints
        .iter()
        .enumerate()
        .filter(|(place, _)| *place != leader)
        .map(|(_, url)| url.clone())
        .collect();
    let quick = "reload: {interval: 200ms}";
    let mut sidecar = Sidecar::with_config(&configured(&endpoints[leader..=leader], quick));
    let load = Load::with_streams(&sidecar.url(), Streams { watches: 3, keep_alives: 3 });
    sleep(Duration::from_secs(1));
    sidecar.rewrite_config(&configured(&others, quick));
    reloaded(&sidecar, "ok", 1);
    let shows = |sidecar: &Sidecar, wanted: &[String]| {
        let (_, view) = sidecar.admin_get("/cluster");
        endpoints.iter().all(|url| view.contains(url.as_str()) == wanted.contains(url))
    };
    until(&sidecar, "the others are used", || shows(&sidecar, &others));
    sleep(Duration::from_secs(2));
    // And to all of them, by hand.
    sidecar.rewrite_config(&configured(&endpoints, "reload: {interval: 0s}"));
    sidecar.signal(Signal::HUP);
    until(&sidecar, "all are used", || shows(&sidecar, &endpoints));
    sleep(Duration::from_secs(2));
    let report = load.stop();
    println!("{report}");
    assert_undisturbed(&report, &sidecar);
    assert_eq!(audit(&endpoints[leader], &report), [] as [&str; 0]);
    assert_eq!(metric(&sidecar, "etcdlet_config_restart_needed"), 0.0);
}

#[test]
fn every_setting_that_can_change_does_so_under_load() {
    let etcd = Etcd::start();
    let quick = "reload: {interval: 200ms}";
    let sidecar = Sidecar::with_config(&configured(&etcd.endpoints(), quick));
    let load = Load::with_streams(&sidecar.url(), Streams { watches: 2, keep_alives: 2 });
    let more = [
        "log: {level: debug}",
        "limits: {retry-buffer-bytes: 1KiB, retry-buffer-total-bytes: 4KiB}",
        "route: {leader-aware: false, share-reads: true, watermark-wait: 0s}",
        "retry: {read-limit: 1s, budget-rate: 1, budget-burst: 1, hedge-after: 1ms}",
        "hold: {timeout: 1s, calls: 1}\ndrain: {timeout: 1s, stream-jitter: 1s}",
    ];
    for (count, more) in (1..).zip(more) {
        sidecar.rewrite_config(&configured(&etcd.endpoints(), &format!("{quick}\n{more}")));
        reloaded(&sidecar, "ok", count);
        sleep(Duration::from_millis(300));
    }
    let report = load.stop();
    assert_undisturbed(&report, &sidecar);
    // The level is that of the file again.
    assert_eq!(sidecar.admin_get("/log/level"), (200, "info\n".to_owned()));
    assert!(sidecar.log().contains("\"log level changed\",\"level\":\"debug\""), "{}", sidecar.log());
    let (_, shown) = sidecar.admin_get("/config");
    assert!(shown.contains("calls: 1\n") && shown.contains("budget-rate: 1000\n"), "{shown}");
}

#[test]
fn a_configuration_with_errors_changes_nothing() {
    let (etcd, other) = (Etcd::start(), Etcd::start());
    let mut sidecar = Sidecar::with_config(&configured(&etcd.endpoints(), "reload: {interval: 200ms}"));
    until(&sidecar, "ready", || sidecar.admin_get("/readyz").0 == 200);
    let load = Load::start(&sidecar.url());
    let before = sidecar.admin_get("/config");
    let broken = configured(&other.endpoints(), "hold: {calls: many}\nthreads: -1\nlog: {level: debug}");
    sidecar.rewrite_config(&broken);
    reloaded(&sidecar, "failed", 1);
    for path in ["hold.calls: expected a whole number", "threads: expected"] {
        assert!(sidecar.log().contains(path), "{path}: {}", sidecar.log());
    }
    // Neither is the file itself any use.
    sidecar.rewrite_config("listen: [");
    reloaded(&sidecar, "failed", 2);
    assert_eq!(sidecar.admin_get("/config"), before);
    assert_eq!(sidecar.admin_get("/log/level").1, "info\n");
    assert!(!sidecar.admin_get("/cluster").1.contains(&other.endpoint()));
    // It is said once a change, not all the time.
    sleep(Duration::from_millis(700));
    assert_eq!(metric(&sidecar, "etcdlet_config_reloads_total{outcome=\"failed\"}"), 2.0);
    sidecar.signal(Signal::HUP);
    reloaded(&sidecar, "failed", 3);
    assert_undisturbed(&load.stop(), &sidecar);
    // What is right again is taken over.
    sidecar.rewrite_config(&configured(&etcd.endpoints(), "log: {level: debug}"));
    reloaded(&sidecar, "ok", 1);
    assert_eq!(sidecar.admin_get("/log/level").1, "debug\n");
}

#[test]
fn what_waits_for_a_restart_is_named_and_the_rest_taken_over() {
    let etcd = Etcd::start();
    let sidecar = Sidecar::with_config(&configured(&etcd.endpoints(), "reload: {interval: 200ms}"));
    let more = "reload: {interval: 200ms}\nthreads: 2\nwatch: {linger: 1s}\nhold: {calls: 7}\n";
    sidecar.rewrite_config(&configured(&etcd.endpoints(), more));
    reloaded(&sidecar, "ok", 1);
    until(&sidecar, "a restart is needed", || metric(&sidecar, "etcdlet_config_restart_needed") == 1.0);
    let log = sidecar.log();
    let warned: Vec<&str> = log.lines().filter(|line| line.contains("wait for a restart")).collect();
    assert!(warned.len() == 1 && warned[0].contains("watch.linger, threads"), "{warned:?}");
    let (_, shown) = sidecar.admin_get("/config");
    assert!(shown.contains("restart: watch.linger, threads\n"), "{shown}");
    assert!(shown.contains("threads: 1\n") && shown.contains("calls: 7\n"), "{shown}");
    sidecar.rewrite_config(&configured(&etcd.endpoints(), "reload: {interval: 200ms}"));
    reloaded(&sidecar, "ok", 2);
    until(&sidecar, "none is needed", || metric(&sidecar, "etcdlet_config_restart_needed") == 0.0);
}

#[test]
fn without_an_interval_only_a_signal_counts() {
    let etcd = Etcd::start();
    let off = "reload: {interval: 0s}";
    let mut sidecar = Sidecar::with_config(&configured(&etcd.endpoints(), off));
    sidecar.rewrite_config(&configured(&etcd.endpoints(), &format!("{off}\nlog: {{level: debug}}")));
    sleep(Duration::from_millis(500));
    assert_eq!(sidecar.admin_get("/log/level").1, "info\n");
    sidecar.signal(Signal::HUP);
    reloaded(&sidecar, "ok", 1);
    assert_eq!(sidecar.admin_get("/log/level").1, "debug\n");
}

#[test]
fn a_level_set_by_hand_stays_until_the_file_says_another() {
    let etcd = Etcd::start();
    let off = "reload: {interval: 0s}";
    let mut sidecar = Sidecar::with_config(&configured(&etcd.endpoints(), off));
    sidecar.admin_request("PUT", "/log/level", "debug");
    sidecar.signal(Signal::HUP);
    reloaded(&sidecar, "ok", 1);
    assert_eq!(sidecar.admin_get("/log/level").1, "debug\n");
    sidecar.rewrite_config(&configured(&etcd.endpoints(), &format!("{off}\nlog: {{level: warn}}")));
    sidecar.signal(Signal::HUP);
    reloaded(&sidecar, "ok", 2);
    assert_eq!(sidecar.admin_get("/log/level").1, "warn\n");
}

#[test]
fn a_password_that_is_put_right_is_used() {
    let etcd = Etcd::start();
    etcd.run_etcdctl(&["user", "add", "root:right"]);
    etcd.run_etcdctl(&["user", "grant-role", "root", "root"]);
    etcd.run_etcdctl(&["auth", "enable"]);
    let directory = tempfile::tempdir().unwrap();
    let password = directory.path().join("password");
    std::fs::write(&password, "wrong").unwrap();
    let sidecar = Sidecar::with_config(&format!(
        "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{endpoints: ['{}'], auth: {{username: root, password-file: '{}'}}}}
admin: {{url: 'http://{{admin}}'}}
reload: {{interval: 200ms}}
",
        etcd.endpoint(),
        password.display()
    ));
    // What is only told to users.
    let knows_status = || {
        let (_, view) = sidecar.admin_get("/cluster");
        view.contains(&format!("\"version\": \"{}\"", etcd.version()))
    };
    sleep(Duration::from_secs(1));
    assert!(!knows_status());
    std::fs::write(&password, "right").unwrap();
    reloaded(&sidecar, "ok", 1);
    until(&sidecar, "the member tells its status", knows_status);
}

#[test]
fn a_name_takes_the_place_of_a_list_once_it_leads_somewhere() {
    let (etcd, dns) = (Etcd::start(), DnsServer::start());
    let file = |upstream: &str| {
        format!(
            "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{{upstream}, sync-members: false}}
admin: {{url: 'http://{{admin}}'}}
reload: {{interval: 200ms}}
"
        )
    };
    let sidecar = Sidecar::with_config(&file(&format!("endpoints: ['{}']", etcd.endpoint())));
    let load = Load::with_streams(&sidecar.url(), Streams { watches: 2, keep_alives: 2 });
    let name = format!("dns: 'http://etcd.test:{}', nameservers: ['{}']", etcd.addr().port(), dns.addr());
    sidecar.rewrite_config(&file(&name));
    reloaded(&sidecar, "ok", 1);
    until(&sidecar, "the name is asked for", || dns.queries_for("etcd.test") > 0);
    sleep(Duration::from_secs(1));
    let source = || {
        let view: serde_json::Value = serde_json::from_str(&sidecar.admin_get("/cluster").1).unwrap();
        view["members"][0]["source"].as_str().map(str::to_owned)
    };
    assert_eq!(source().as_deref(), Some("static"), "what is known stays");
    dns.set_a("etcd.test", &[Ipv4Addr::LOCALHOST], 1);
    until(&sidecar, "the name is used", || source().as_deref() == Some("dns"));
    sleep(Duration::from_secs(1));
    assert_undisturbed(&load.stop(), &sidecar);
}
