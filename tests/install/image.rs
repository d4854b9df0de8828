//! The image of the Dockerfile, built from a binary that was made outside, and run by podman.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::etcd::Etcd;
use crate::{Running, USER, configuration, static_binary, succeed};

#[test]
fn the_image_is_built_and_runs_without_a_right() {
    let etcd = Etcd::start();
    let engine = Engine::new();
    engine.build();
    let inspected =
        engine.podman(&["image", "inspect", "--format", "{{.User}} {{len .RootFS.Layers}}", IMAGE]);
    assert_eq!(inspected, format!("{USER} 1"));

    let (text, listen) = configuration(&etcd.endpoint());
    let config = engine.directory.path().join("config");
    fs::create_dir(&config).unwrap();
    fs::write(config.join("etcdlet.yaml"), text).unwrap();
    let mount = format!("{}:/etc/etcdlet:ro", config.display());
    let mut run = engine.command(&["run", "--name", NAME, "--rm", "--read-only", "--cap-drop", "all"]);
    run.args(["--network", "host", "--cgroups", "disabled", "--volume", &mount]);
    // Below what any machine allows, so that no right is needed to set them.
    run.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", IMAGE]);
    let running = Running::start(&mut run, listen);
    running.put_and_get(&etcd);

    let status = fs::read_to_string(format!("/proc/{}/status", engine.pid())).unwrap();
    let line =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    assert_eq!(line("Uid:"), ["65532"; 4].join("\t"), "{status}");
    assert_eq!(line("CapBnd:"), "0000000000000000", "{status}");
    assert_eq!(line("NoNewPrivs:"), "0", "{status}");
    engine.podman(&["stop", "--time", "30", NAME]);
}

/// podman with a store of its own.
struct Engine {
    directory: TempDir,
}

impl Engine {
    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("image-").tempdir().expect("a directory can be made");
        fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755))
            .expect("the directory can be opened to others");
        Self { directory }
    }

    fn build(&self) {
        let context = self.directory.path().join("context");
        fs::create_dir(&context).expect("a folder can be made");
        fs::copy(static_binary(), context.join("etcdlet")).expect("the binary can be copied");
        let dockerfile = Path::new(env!("CARGO_MANIFEST_DIR")).join("Dockerfile");
        let (dockerfile, context) = (dockerfile.display().to_string(), context.display().to_string());
        let build = ["build", "--isolation", "chroot", "--target", "prebuilt", "--tag", IMAGE];
        self.podman(&[&build[..], &["--file", &dockerfile, &context]].concat());
    }

    /// Nothing of the machine's own engine is used or changed; a store of plain folders works everywhere.
    fn command(&self, arguments: &[&str]) -> Command {
        // crun refuses machines that have both versions of cgroups, of which none is used here.
        let script =
            "mount -t tmpfs tmpfs /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh", "podman", "--storage-driver", "vfs"]);
        command.args(["--runtime", "crun", "--cgroup-manager", "cgroupfs"]);
        for (option, folder) in [("--root", "store"), ("--runroot", "run"), ("--tmpdir", "tmp")] {
            command.arg(option).arg(self.directory.path().join(folder));
        }
        command.args(arguments);
        command
    }

    fn podman(&self, arguments: &[&str]) -> String {
        succeed(&mut self.command(arguments))
    }

    fn pid(&self) -> String {
        self.podman(&["inspect", "--format", "{{.State.Pid}}", NAME])
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Its monitor would outlive the test.
        let _output = self.command(&["rm", "--force", "--ignore", NAME]).output();
    }
}

const IMAGE: &str = "localhost/etcdlet:test";
const NAME: &str = "etcdlet-under-test";
