//! Paths of the admin port.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use super::{configured, until};
use crate::http1::client::Connection;
use crate::observability::{Child, refusal};
use crate::support::certs::{Certs, Pair};
use crate::support::etcd::Etcd;
use crate::support::ports::free_port;
use crate::support::sidecar::Sidecar;

#[test]
fn readyz_says_in_etcds_form_whether_calls_should_come() {
    let mut etcd = Etcd::start();
    let sidecar = Sidecar::start(&etcd.endpoints());
    until(&sidecar, "ready", || sidecar.admin_get("/readyz") == (200, "ok\n".to_owned()));
    let all = "[+]listeners ok\n[+]not_draining ok\n[+]healthy_member ok\n[+]leader ok\nok\n";
    assert_eq!(sidecar.admin_get("/readyz?verbose"), (200, all.to_owned()));
    assert_eq!(sidecar.admin_get("/livez?verbose"), (200, "[+]data_threads ok\nok\n".to_owned()));
    assert_eq!(sidecar.admin_get("/readyz/leader"), (200, "ok\n".to_owned()));
    assert_eq!(sidecar.admin_get("/readyz/nothing").0, 404);
    etcd.kill();
    until(&sidecar, "not ready", || sidecar.admin_get("/readyz").0 == 503);
    let (_, told) = sidecar.admin_get("/readyz");
    assert!(told.contains("[+]listeners ok\n"), "{told}");
    assert!(told.contains("[-]healthy_member failed: none of 1 members is healthy\n"), "{told}");
    assert!(told.ends_with("\n\n"), "{told:?}");
    // The process itself is well: another one would not do better.
    assert_eq!(sidecar.admin_get("/livez").0, 200);
    etcd.restart();
    until(&sidecar, "ready again", || sidecar.admin_get("/readyz").0 == 200);
}

#[test]
fn the_level_of_the_log_is_shown_and_set() {
    let sidecar = Sidecar::start(&["http://127.0.0.1:1"]);
    assert_eq!(sidecar.admin_get("/log/level"), (200, "info\n".to_owned()));
    assert!(!sidecar.log().contains("\"level\":\"DEBUG\""), "{}", sidecar.log());
    assert_eq!(sidecar.admin_request("PUT", "/log/level", "debug\n"), (200, "debug\n".to_owned()));
    until(&sidecar, "a line at debug", || {
        // Whoever speaks no HTTP is one.
        TcpStream::connect(sidecar.admin_addr()).unwrap().write_all(b"\0\0\r\n\r\n").unwrap();
        sidecar.log().contains("\"level\":\"DEBUG\"")
    });
    assert_eq!(sidecar.admin_request("PUT", "/log/level", "loud").0, 400);
    assert_eq!(sidecar.admin_request("PUT", "/log/level", &"x".repeat(100)).0, 400);
    assert_eq!(sidecar.admin_get("/log/level"), (200, "debug\n".to_owned()));
}

#[test]
fn an_admin_port_that_only_shows_changes_nothing() {
    let sidecar = Sidecar::with_config(
        "
listen: [{url: 'http://{listen}'}]
upstream: {endpoints: ['http://127.0.0.1:1']}
admin: {url: 'http://{admin}', changes: false}
",
    );
    for (method, path, body) in [("POST", "/drain", ""), ("PUT", "/log/level", "debug\n")] {
        let (status, told) = sidecar.admin_request(method, path, body);
        assert!(status == 403 && told.contains("admin.changes"), "{path}: {status} {told}");
    }
    assert_eq!(sidecar.admin_get("/log/level"), (200, "info\n".to_owned()));
    assert!(sidecar.admin_get("/readyz?verbose").1.contains("[+]not_draining ok\n"));
}

#[test]
fn the_configuration_in_effect_is_shown_without_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let password = directory.path().join("password");
    std::fs::write(&password, "hush").unwrap();
    let sidecar = Sidecar::with_config(&format!(
        "
listen: [{{url: 'http://{{listen}}'}}]
upstream: {{endpoints: ['http://127.0.0.1:1'], auth: {{username: u, password-file: '{}'}}}}
admin: {{url: 'http://{{admin}}'}}
hold: {{calls: 17}}
",
        password.display()
    ));
    let (status, yaml) = sidecar.admin_get("/config");
    assert_eq!(status, 200);
    assert!(yaml.contains("calls: 17\n") && yaml.contains("timeout: 5s\n"), "{yaml}");
    assert!(yaml.contains("password-file") && !yaml.contains("hush"), "{yaml}");
    let (_, json) = sidecar.admin_get("/config?format=json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["config"]["hold"]["calls"], &json["restart_needed"]),
        (&17.into(), &serde_json::json!([]))
    );
    assert_eq!(sidecar.admin_get("/config?format=xml").0, 400);
}

#[test]
fn an_unknown_path_tells_what_there_is_and_another_method_which_is_right() {
    let sidecar = Sidecar::start(&["http://127.0.0.1:1"]);
    let (status, told) = sidecar.admin_get("/");
    assert_eq!(status, 404);
    for path in ["/livez", "/readyz", "/cluster", "/watches", "/metrics", "/config", "/log/level", "/drain"] {
        assert!(told.contains(path), "{path}: {told}");
    }
    for (method, path, allow) in
        [("POST", "/config", "GET"), ("GET", "/drain", "POST"), ("POST", "/log/level", "GET, PUT")]
    {
        let answer = ask(&sidecar, &format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.0 405"), "{answer}");
        assert!(answer.to_lowercase().contains(&format!("allow: {}\r\n", allow.to_lowercase())), "{answer}");
    }
    // A page in a browser of the node; and one whose own name has come to lead here.
    for request in [
        "POST /drain HTTP/1.0\r\nHost: localhost\r\nOrigin: http://evil",
        "GET /watches HTTP/1.0\r\nHost: evil",
    ] {
        let answer = ask(&sidecar, &format!("{request}\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.0 403"), "{answer}");
    }
    assert_eq!(sidecar.admin_get("/readyz/not_draining").0, 200);
}

#[test]
fn clients_that_hold_connections_keep_nobody_out_for_long() {
    let sidecar = Sidecar::start(&["http://127.0.0.1:1"]);
    let slow: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect(sidecar.admin_addr()).unwrap();
            // Those beyond the limit are closed at once.
            let _closed = stream.write_all(b"GET /metrics HTTP/1.1\r\nHo");
            stream
        })
        .collect();
    let begun = Instant::now();
    let answered = || {
        let stream = TcpStream::connect(sidecar.admin_addr()).ok();
        stream.is_some_and(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            let mut answer = String::new();
            let asked = stream.write_all(b"GET /livez HTTP/1.0\r\n\r\n");
            asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.contains("200 OK")
        })
    };
    while !answered() {
        assert!(begun.elapsed() < Duration::from_secs(20), "nobody else is served");
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(slow);
}

#[test]
fn an_address_that_others_reach_is_refused_unless_told_otherwise() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("etcdlet.yaml");
    let write = |more: &str, port: u16| {
        let text = format!(
            "listen: [{{url: 'http://127.0.0.1:{}'}}]\nupstream: {{endpoints: ['http://127.0.0.1:1']}}\n\
             admin: {{url: 'http://0.0.0.0:{port}'{more}}}\n",
            free_port()
        );
        std::fs::write(&file, text).unwrap();
    };
    write("", 9);
    let (code, said) = refusal(Sidecar::command().args(["run", "--config"]).arg(&file));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("admin.url: http://0.0.0.0:9 is not on loopback"), "{said}");
    write(", allow-remote: true", 9);
    let output = Sidecar::command().args(["check-config", "--config"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn the_admin_port_speaks_tls() {
    let certs = Certs::new();
    let port = free_port();
    let _process = behind_tls(&certs, &format!("https://127.0.0.1:{port}"), "");
    // curl and browsers offer HTTP/2 first.
    let offers = certs.client_config(None, &["h2", "http/1.1"]);
    let mut connection = connected(port, &offers).await;
    let answer = connection.get("/livez").await;
    assert_eq!((answer.status, answer.text()), (200, "ok\n".to_owned()));
}

#[tokio::test]
async fn others_may_reach_an_admin_port_that_demands_certificates() {
    let certs = Certs::new();
    let port = free_port();
    let trusted = format!(", trusted-ca-file: '{}'", certs.ca().display());
    let _process = behind_tls(&certs, &format!("https://0.0.0.0:{port}"), &trusted);
    let known = certs.client_config(Some(&certs.client(None)), &["http/1.1"]);
    let mut connection = connected(port, &known).await;
    assert_eq!(connection.get("/livez").await.status, 200);
    // With TLS 1.3 a client hears only when it reads that its certificate is missed.
    let url = format!("https://127.0.0.1:{port}");
    if let Ok(mut nobody) = Connection::open_tls(&url, certs.client_config(None, &["http/1.1"])).await {
        assert!(nobody.is_closed_within(Duration::from_secs(5)).await);
    }
}

/// A process whose admin port is `url`, with more in its section `tls`.
fn behind_tls(certs: &Certs, url: &str, more: &str) -> (Child, tempfile::TempDir) {
    let Pair { cert, key } = certs.server();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("etcdlet.yaml");
    let text = format!(
        "listen: [{{url: 'http://127.0.0.1:{}'}}]\nupstream: {{endpoints: ['http://127.0.0.1:1']}}\n\
         admin: {{url: '{url}', tls: {{cert-file: '{}', key-file: '{}'{more}}}}}\n",
        free_port(),
        cert.display(),
        key.display()
    );
    std::fs::write(&file, text).unwrap();
    let mut command = Sidecar::command();
    command.args(["run", "--config"]).arg(&file).stderr(Stdio::null());
    (Child::spawn(&mut command), directory)
}

async fn connected(port: u16, config: &Arc<ClientConfig>) -> Connection {
    let begun = Instant::now();
    loop {
        if let Ok(connection) =
            Connection::open_tls(&format!("https://127.0.0.1:{port}"), config.clone()).await
        {
            return connection;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "no TLS on the admin port");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn members_that_keep_their_status_to_themselves_can_be_ready() {
    let etcd = Etcd::start();
    etcd.run_etcdctl(&["user", "add", "root:root"]);
    etcd.run_etcdctl(&["user", "grant-role", "root", "root"]);
    etcd.run_etcdctl(&["auth", "enable"]);
    let sidecar = Sidecar::with_config(&configured(&etcd.endpoints(), ""));
    until(&sidecar, "ready", || sidecar.admin_get("/readyz").0 == 200);
}

fn ask(sidecar: &Sidecar, request: &str) -> String {
    let mut stream = TcpStream::connect(sidecar.admin_addr()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
