//! Flags, environment and file: which wins, and how errors are told.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Child, refusal};
use crate::http1::client::Connection;
use crate::support::sidecar::Sidecar;

/// Each source names another endpoint, all of them nobody's; the error of a call tells which was taken.
#[tokio::test]
async fn a_flag_wins_over_the_environment_the_environment_over_the_file_the_file_over_the_default() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("etcdlet.yaml");
    std::fs::write(&file, "upstream: {endpoints: ['http://127.0.0.1:3']}\nlog: {format: text}\n").unwrap();
    let file = file.to_str().unwrap();
    let run = async |arguments: &[&str], environment: &[(&str, &str)]| {
        let running = Running::start(arguments, environment);
        let answer = Connection::open(&running.url).await.get("/version").await;
        let text = answer.text();
        let port = text.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(':').next()).map(str::to_owned);
        (port.unwrap_or(text), running.stop().contains("{\"timestamp\""))
    };
    let (flag, variable) =
        (["--endpoints", "http://127.0.0.1:1"], ("ETCDLET_ENDPOINTS", "http://127.0.0.1:2"));
    let json = ("ETCDLET_LOG_FORMAT", "json");
    let from_file = ["--config", file];
    assert_eq!(run(&[&from_file[..], &flag].concat(), &[variable, json]).await, ("1".into(), true));
    assert_eq!(run(&from_file, &[variable]).await, ("2".into(), false));
    assert_eq!(run(&from_file, &[json]).await, ("3".into(), true));
    assert_eq!(run(&[], &[("ETCDLET_CONFIG", file)]).await, ("3".into(), false));
    // The default format is JSON.
    assert_eq!(run(&flag, &[]).await, ("1".into(), true));
}

#[test]
fn the_default_listeners_are_etcds_port_and_an_admin_port_on_loopback() {
    let help = Sidecar::command().args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for flag in ["--config", "--listen-client-urls", "--endpoints", "--admin-url", "--threads", "--log-level"]
    {
        let variable = format!("ETCDLET_{}", flag[2..].to_uppercase().replace('-', "_"));
        assert!(help.contains(flag) && help.contains(&variable), "{flag}: {help}");
    }
}

#[test]
fn every_error_of_a_file_is_told_at_once_with_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("etcdlet.yaml");
    let text = "
listen: [{url: 'ftp://127.0.0.1:2379'}, {url: 'https://127.0.0.1:2380'}, {ulr: x}]
upstream: {endpoints: ['http://127.0.0.1'], conect-timeout: 1s, tls: {cert: only-half}}
limits: {connections: 0, retry-buffer-bytes: many, handshake-timeout: 5}
drain: {timeout: soon}
threads: -1
admin: {url: 'https://127.0.0.1:9379'}
log: {level: loud, format: xml}
unheard-of: 1
";
    std::fs::write(&file, text).unwrap();
    let (code, said) = refusal(Sidecar::command().args(["run", "--config"]).arg(&file));
    assert_eq!(code, Some(1), "{said}");
    for path in [
        "listen[0].url",
        "listen[1].tls",
        "listen[2].url",
        "listen[2].ulr",
        "upstream.endpoints",
        "upstream.conect-timeout",
        "upstream.tls",
        "limits.connections",
        "limits.retry-buffer-bytes",
        "limits.handshake-timeout",
        "drain.timeout",
        "threads",
        "admin.url",
        "log.level",
        "log.format",
        "unheard-of",
    ] {
        assert!(said.lines().any(|line| line.contains(&format!(" {path}"))), "{path} is missing in:\n{said}");
    }
    assert!(said.lines().all(|line| line.starts_with("etcdlet: ")), "{said}");
}

#[test]
fn a_start_that_makes_no_sense_is_refused_with_a_reason() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let missing = directory.path().join("missing.yaml").display().to_string();
    let broken = file("broken.yaml", "listen: [");
    let list = file("list.yaml", "- 1");
    let twice = file("twice.yaml", "threads: 1\nthreads: 2\n");
    for (arguments, reasons) in [
        (vec![], vec!["endpoints"]),
        (vec!["--config", &missing], vec![&*missing]),
        (vec!["--config", &broken], vec![&*broken, "line"]),
        (vec!["--config", &list], vec!["mapping"]),
        (vec!["--config", &twice], vec!["threads"]),
        (vec!["--endpoints", "nowhere"], vec!["--endpoints", "port"]),
        (vec!["--endpoints", "http://a:1/v3"], vec!["--endpoints", "path"]),
        (vec!["--endpoints", "a:1", "--log-level", "loud"], vec!["loud"]),
        (vec!["--endpoints", "a:1", "--threads", "0"], vec!["--threads"]),
        (vec!["--endpoints", "a:1", "--threads", "many"], vec!["--threads"]),
        (vec!["--endpoints", "a:1", "--no-such-flag"], vec!["--no-such-flag"]),
        (vec!["--endpoints", "a:1", "--cert", "half.pem"], vec!["--cert", "--key"]),
        (vec!["--endpoints", "a:1", "--listen-client-urls", "https://127.0.0.1:0"], vec!["certificate"]),
        (
            vec!["--endpoints", "a:1", "--listen-client-urls", "http://192.0.2.1:1"],
            vec!["http://192.0.2.1:1"],
        ),
    ] {
        let (code, said) = refusal(Sidecar::command().arg("run").args(&arguments));
        assert!(code.is_some_and(|code| code != 0), "{arguments:?}: {code:?} {said}");
        for reason in reasons {
            assert!(said.contains(reason), "{arguments:?}: no {reason:?} in {said}");
        }
    }
}

/// An etcdlet that is told all by the test.
struct Running {
    child: Child,
    url: String,
    log: tempfile::NamedTempFile,
}

impl Running {
    fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let (listen, admin) = (free_address(), free_address());
        let url = format!("http://{listen}");
        let log = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        let mut command: Command = Sidecar::command();
        command
            .args(["run", "--listen-client-urls", &url, "--admin-url", &format!("http://{admin}")])
            .args(arguments);
        let stderr = log.reopen().expect("a file can be opened twice");
        command.envs(environment.iter().copied()).stdout(Stdio::null()).stderr(stderr);
        let running = Self { child: Child::spawn(&mut command), url, log };
        for _ in 0..500 {
            if TcpStream::connect(listen).is_ok() {
                return running;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{arguments:?} does not accept: {}", running.stop());
    }

    /// Ends it and gives its log.
    fn stop(self) -> String {
        let Self { child, log, .. } = self;
        drop(child);
        std::fs::read_to_string(log.path()).expect("the log is text")
    }
}

/// Free again at once, and nobody is as quick as to take it.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
    listener.local_addr().expect("a listener has an address")
}
