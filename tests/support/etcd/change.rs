//! What becomes of a cluster: members come and go, and all go back to a snapshot.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use super::member::{Etcd, Member, Ports};
use super::{Cluster, HEALTHY_LIMIT, POLL_INTERVAL};

impl Cluster {
    /// Adds a member and waits until it is healthy; returns its place in `members`.
    pub(crate) fn add(&mut self) -> usize {
        let index = self.spawn_new(&[]);
        self.members[index].wait_healthy();
        index
    }

    /// Adds a learner and waits until it knows that it is one: before that it answers everything.
    pub(crate) fn add_learner(&mut self) -> usize {
        let index = self.spawn_new(&["--learner"]);
        let learner = &mut self.members[index];
        let deadline = Instant::now() + HEALTHY_LIMIT;
        while !learner.status_json().is_some_and(|status| status["isLearner"] == true) {
            assert!(Instant::now() < deadline, "{}", learner.report());
            thread::sleep(POLL_INTERVAL);
        }
        index
    }

    /// Takes a member out of the cluster and waits until its process has ended, as it does by itself, and the
    /// others are healthy.
    pub(crate) fn remove(&mut self, index: usize) {
        let mut member = self.members.remove(index);
        let id = format!("{:x}", member.id());
        self.members[0].run_etcdctl(&["member", "remove", &id]);
        let deadline = Instant::now() + HEALTHY_LIMIT;
        while member.is_running() {
            assert!(Instant::now() < deadline, "{}", member.report());
            thread::sleep(POLL_INTERVAL);
        }
        self.wait_healthy();
    }

    /// Saves what member 0 has to a file in that member's directory.
    pub(crate) fn save_snapshot(&self) -> PathBuf {
        let file = self.members[0].member.directory.path().join("snapshot.db");
        let path = file.to_str().expect("the fixture's paths are text");
        self.members[0].run_etcdctl(&["snapshot", "save", path]);
        file
    }

    /// Stops all members and starts them again from a snapshot, under the same names and URLs. The cluster keeps
    /// its id, and the members theirs, unless it gets a token of its own.
    pub(crate) fn restore(&mut self, snapshot: &Path, token: Option<&str>) {
        for member in &mut self.members {
            member.kill();
        }
        for member in &mut self.members {
            fs::remove_dir_all(member.data_dir()).expect("data of a stopped member can be removed");
            member.restore_data(snapshot, token);
            member.respawn();
        }
        self.wait_healthy();
    }

    /// Makes a new member known to the others and starts it.
    fn spawn_new(&mut self, arguments: &[&str]) -> usize {
        let newest = &self.members.last().expect("a cluster has members").member;
        let number: usize = newest.name[1..].parse().expect("the fixture numbers its members");
        let (name, ports) = (format!("m{}", number + 1), Ports::free(None));
        let others = self.members.iter().map(|it| (it.name(), it.member.ports.peer_url()));
        let initial_cluster = others
            .chain([(name.as_str(), ports.peer_url())])
            .map(|(name, url)| format!("{name}={url}"))
            .collect::<Vec<_>>()
            .join(",");
        let options = newest.options.clone().flag("--initial-cluster-state=existing");
        let peer_urls = format!("--peer-urls={}", ports.peer_url());
        let add = [&["member", "add", &name, &peer_urls], arguments].concat();
        self.members[0].run_etcdctl(&add);
        let member = Member::new(name, ports, &initial_cluster, &newest.release, options);
        self.members.push(Etcd::spawn(member));
        self.members.len() - 1
    }
}

impl Etcd {
    /// Its id in the cluster.
    pub(crate) fn id(&mut self) -> u64 {
        let deadline = Instant::now() + HEALTHY_LIMIT;
        loop {
            if let Some((id, _, _)) = self.status() {
                return id;
            }
            assert!(Instant::now() < deadline, "{}", self.report());
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn restore_data(&self, snapshot: &Path, token: Option<&str>) {
        let Member { name, ports, initial_cluster, .. } = &self.member;
        let output = self
            .etcdutl()
            .args(["snapshot", "restore"])
            .arg(snapshot)
            .arg(format!("--name={name}"))
            .arg(format!("--initial-cluster={initial_cluster}"))
            .arg(format!("--initial-cluster-token={}", token.unwrap_or(initial_cluster)))
            .arg(format!("--initial-advertise-peer-urls={}", ports.peer_url()))
            .arg("--data-dir")
            .arg(self.data_dir())
            .output()
            .expect("etcdutl can be started");
        assert!(output.status.success(), "etcdutl: {}", String::from_utf8_lossy(&output.stderr));
    }
}
