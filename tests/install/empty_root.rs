//! The static binary where there is nothing else: no libraries, no /etc, no /proc, no /dev.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::support::etcd::Etcd;
use crate::{Running, USER, configuration, static_binary};

#[test]
fn the_static_binary_needs_nothing_but_its_configuration() {
    let etcd = Etcd::start();
    let root = Root::with_binary();
    let (text, listen) = configuration(&etcd.endpoint());
    root.write("etcdlet.yaml", &text);
    let running = Running::start(&mut root.command(), listen);
    running.put_and_get(&etcd);
    drop(running);
    let left: Vec<_> = fs::read_dir(root.0.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

/// A static C library has its own reader of the hosts file and DNS, so that no module of the name service is needed.
#[test]
fn the_static_binary_finds_members_by_name() {
    let etcd = Etcd::start();
    let root = Root::with_binary();
    // What container engines put there.
    root.write("etc/hosts", "127.0.0.1 member.etcd.test\n");
    let (text, listen) = configuration(&format!("http://member.etcd.test:{}", etcd.addr().port()));
    root.write("etcdlet.yaml", &text);
    Running::start(&mut root.command(), listen).put_and_get(&etcd);
}

struct Root(TempDir);

impl Root {
    fn with_binary() -> Self {
        let directory = tempfile::Builder::new().prefix("root-").tempdir().expect("a directory can be made");
        fs::copy(static_binary(), directory.path().join("etcdlet")).expect("the binary can be copied");
        // The user that it runs as is not the one who made it.
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(directory.path(), all).expect("the directory can be opened to others");
        Self(directory)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("it is below the root")).expect("a folder can be made");
        fs::write(path, text).expect("a file can be written");
    }

    fn command(&self) -> Command {
        let mut command = Command::new("/usr/sbin/chroot");
        command.arg(format!("--userspec={USER}")).arg(self.0.path());
        command.args(["/etcdlet", "run", "--config", "/etcdlet.yaml"]).env_clear();
        command
    }
}
