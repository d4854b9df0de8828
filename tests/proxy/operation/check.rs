//! `etcdlet check-config`.

use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use crate::support::certs::{Certs, Pair};
use crate::support::sidecar::Sidecar;

#[test]
fn what_is_right_is_described_and_nothing_is_bound() {
    let (certs, directory) = (Certs::new(), tempfile::tempdir().unwrap());
    let Pair { cert, key } = certs.server();
    let file = directory.path().join("etcdlet.yaml");
    // Nobody could listen there.
    let text = format!(
        "listen: [{{url: 'https://192.0.2.1:2379', tls: {{cert-file: '{}', key-file: '{}'}}}}]\n\
         upstream: {{endpoints: ['http://10.0.0.1:2379'], dns: 'http://etcd.test:2379'}}\n",
        cert.display(),
        key.display()
    );
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let output = check(&[file.to_str().unwrap()], &[]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    let expected = format!(
        "{}: ok\nlistens on https://192.0.2.1:2379; admin port http://127.0.0.1:9379\n\
         forwards to http://10.0.0.1:2379, the addresses of http://etcd.test:2379\n",
        file.display()
    );
    assert_eq!(said, expected);
    // Flags and the environment count as in a run.
    let flags =
        check(&[file.to_str().unwrap(), "--endpoints", "http://10.9.9.9:1"], &[("ETCDLET_THREADS", "0")]);
    assert!(!flags.status.success(), "no thread at all");
    let flags = check(&[file.to_str().unwrap(), "--endpoints", "http://10.9.9.9:1"], &[]);
    assert!(String::from_utf8(flags.stdout).unwrap().contains("forwards to http://10.9.9.9:1, "));
    // Everybody may read this key.
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = String::from_utf8(check(&[file.to_str().unwrap()], &[]).stdout).unwrap();
    assert!(said.contains(&format!("warning: {}: everybody", key.display())), "{said}");
    assert!(!said.contains(&format!("warning: {}", cert.display())), "{said}");
}

#[test]
fn all_errors_are_listed_with_their_paths() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("etcdlet.yaml");
    let text = "listen: [{url: 'ftp://a:1'}]\nupstream: {endpoints: ['a:b'], auth: {username: u, password-file: /no}}\n\
                drain: {delay: soon}\nunheard-of: 1\n";
    std::fs::write(&file, text).unwrap();
    let output = check(&[file.to_str().unwrap()], &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for path in
        ["listen[0].url", "upstream.endpoints", "upstream.auth.password-file", "drain.delay", "unheard-of"]
    {
        assert!(said.lines().any(|line| line.starts_with(&format!("etcdlet: {path}"))), "{path}: {said}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn certificates_are_read_as_a_start_would() {
    let (certs, directory) = (Certs::new(), tempfile::tempdir().unwrap());
    let (one, other) = (certs.server(), certs.server());
    let file = directory.path().join("etcdlet.yaml");
    let text = format!(
        "listen: [{{url: 'https://127.0.0.1:1', tls: {{cert-file: '{}', key-file: '{}'}}}}]\n\
         upstream: {{endpoints: ['https://10.0.0.1:2379'], tls: {{cacert: /nowhere/ca}}}}\n",
        one.cert.display(),
        other.key.display()
    );
    std::fs::write(&file, text).unwrap();
    let output = check(&[file.to_str().unwrap()], &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("{} and {}", one.cert.display(), other.key.display())), "{said}");
    assert!(said.contains("/nowhere/ca"), "{said}");
}

fn check(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Sidecar::command();
    command.args(["check-config", "--config"]).args(arguments).envs(environment.iter().copied());
    command.output().unwrap()
}
