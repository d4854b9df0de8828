//! Where lines go, and what happens when they can't.

use std::io::Read;
use std::process::Command;
use std::time::{Duration, Instant};

use etcdlet::proto::etcdserverpb as pb;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Log, SOON, audited, stop, told_in};
use crate::observability::metric;
use crate::support::etcd::Etcd;
use crate::support::grpc::Channel;
use crate::support::sidecar::Sidecar;

async fn put(channel: &Channel, key: &str) {
    let request = pb::PutRequest { key: key.to_owned().into(), ..Default::default() };
    let _: pb::PutResponse = channel.call("/etcdserverpb.KV/Put", &request).await.unwrap();
}

#[tokio::test]
async fn a_file_that_was_moved_is_opened_again_at_a_hangup() {
    let etcd = Etcd::start();
    let (mut sidecar, log) = audited(&etcd.endpoints(), "writes", "");
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    put(&channel, "before").await;
    log.wait(&json!({"key": "before"})).await;
    let moved = log.path().with_extension("1");
    std::fs::rename(log.path(), &moved).unwrap();
    put(&channel, "between").await;
    sidecar.signal(Signal::HUP);
    let deadline = Instant::now() + SOON;
    while !log.path().exists() {
        assert!(Instant::now() < deadline, "no new file: {}", sidecar.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    put(&channel, "after").await;
    log.wait(&json!({"key": "after"})).await;
    let old = std::fs::read_to_string(moved).unwrap();
    assert!(old.contains("\"before\"") && old.contains("\"between\"") && !old.contains("\"after\""), "{old}");
    assert!(!log.text().contains("\"between\""));
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(log.path().metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_holds_up_no_call() {
    const CALLS: usize = 4000;
    let etcd = Etcd::start();
    let log = Log { directory: tempfile::tempdir().unwrap() };
    assert!(Command::new("mkfifo").arg(log.path()).status().unwrap().success());
    let sidecar = told_in(&log.path(), &etcd.endpoints(), "all", "");
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    let request = pb::RangeRequest { key: "k".repeat(200).into(), ..Default::default() };
    let mut slowest = Duration::ZERO;
    for _ in 0..CALLS {
        let started = Instant::now();
        let _: pb::RangeResponse = channel.call("/etcdserverpb.KV/Range", &request).await.unwrap();
        slowest = slowest.max(started.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let dropped = metric(&sidecar, "etcdlet_audit_lines_dropped_total");
    assert!(dropped > 1000.0, "{dropped}");
    assert!(metric(&sidecar, "etcdlet_audit_lines_total") >= CALLS as f64);
    // Somebody reads at last, and is told what he missed.
    let mut pipe = std::fs::File::open(log.path()).unwrap();
    let reader = tokio::task::spawn_blocking(move || {
        let (mut text, mut piece) = (String::new(), vec![0; 1 << 16]);
        loop {
            let length = pipe.read(&mut piece).unwrap();
            text.push_str(std::str::from_utf8(&piece[..length]).unwrap());
            if text.ends_with('\n') && text.contains("\"dropped\"") {
                return text;
            }
        }
    });
    let text = tokio::time::timeout(SOON, reader).await.unwrap().unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = lines.iter().find(|line| line["op"] == "dropped").unwrap();
    assert_eq!(told["lines"].as_f64(), Some(dropped), "{told}");
    assert_eq!(lines.iter().filter(|line| line["op"] == "range").count() as f64, CALLS as f64 - dropped);
}

#[tokio::test]
async fn a_process_whose_log_nobody_takes_still_ends() {
    let etcd = Etcd::start();
    let log = Log { directory: tempfile::tempdir().unwrap() };
    assert!(Command::new("mkfifo").arg(log.path()).status().unwrap().success());
    let mut sidecar = told_in(&log.path(), &etcd.endpoints(), "all", "");
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    for _ in 0..300 {
        put(&channel, &"k".repeat(200)).await;
    }
    drop(channel);
    assert!(stop(&mut sidecar).await.success());
    assert!(sidecar.log().contains("audit lines are lost"), "{}", sidecar.log());
}

#[tokio::test]
async fn lines_go_to_standard_output_by_default_and_are_all_there_at_the_end() {
    let etcd = Etcd::start();
    let mut sidecar = Sidecar::with_config(&format!(
        "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{endpoints: ['{}']}}
admin: {{url: 'http://{{admin}}'}}
audit: {{calls: writes}}
",
        etcd.endpoint()
    ));
    let channel = Channel::connect(&sidecar.url()).await.unwrap();
    for key in ["first", "last"] {
        put(&channel, key).await;
    }
    drop(channel);
    stop(&mut sidecar).await;
    let keys: Vec<String> = sidecar
        .log()
        .lines()
        .filter_map(|line| Some(serde_json::from_str::<Value>(line).ok()?.get("key")?.as_str()?.to_owned()))
        .collect();
    assert_eq!(keys, ["first", "last"]);
}

#[test]
fn a_file_that_cannot_be_written_is_named_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("etcdlet.yaml");
    std::fs::write(
        &file,
        "{upstream: {endpoints: ['a:1']}, listen: [{url: 'http://127.0.0.1:0'}], admin: {url: 'http://127.0.0.1:0'}, \
         audit: {calls: all, file: /nonexistent/audit.log}}",
    )
    .unwrap();
    let mut command = Sidecar::command();
    let (code, said) = crate::observability::refusal(command.args(["run", "--config"]).arg(&file));
    assert_eq!(code, Some(1));
    assert!(said.contains("cannot write the audit log /nonexistent/audit.log"), "{said}");
}
