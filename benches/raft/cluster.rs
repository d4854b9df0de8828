use etcdlet::raft::{ConfState, Config, MemoryStorage, Message, Node, Output, Persist, Storage};
use etcdlet::types::ids::MemberId;

/// Nodes whose messages arrive at once and whose disks take no time.
pub(crate) struct Cluster {
    /// By id, from 1 on; the first of them leads.
    pub(crate) nodes: Vec<Node<MemoryStorage>>,
    under_way: Vec<Message>,
    pub(crate) delivered: u64,
    /// By all nodes together.
    pub(crate) applied: u64,
}

impl Cluster {
    /// The first node is elected.
    pub(crate) fn new(size: u64, election_ticks: u32) -> Self {
        let voters: Vec<MemberId> = (1..=size).map(MemberId).collect();
        let conf_state = ConfState { voters: voters.clone(), ..ConfState::default() };
        let node = |id: MemberId| {
            let config = Config { election_ticks, ..Config::new(id) };
            Node::try_new(config, MemoryStorage::new(conf_state.clone()), id.0)
                .expect("the configuration is legal")
        };
        let nodes = voters.into_iter().map(node).collect();
        let mut cluster = Self { nodes, under_way: Vec::new(), delivered: 0, applied: 0 };
        cluster.nodes[0].campaign();
        cluster.settle();
        assert_eq!(cluster.nodes[0].status().soft_state.leader, Some(MemberId(1)));
        cluster
    }

    /// Until nobody has anything to do.
    pub(crate) fn settle(&mut self) {
        while self.work() {
            for message in self.under_way.drain(..) {
                self.delivered += 1;
                let receiver = usize::try_from(message.to.0 - 1).expect("ids are small");
                self.nodes[receiver].step(message).expect("no message is illegal");
            }
        }
    }

    /// Every node does what it wants done. Gives whether there was anything.
    fn work(&mut self) -> bool {
        let mut worked = false;
        for node in &mut self.nodes {
            while node.has_output() {
                worked = true;
                while let Some(output) = node.poll_output() {
                    match output {
                        Output::Apply(apply) => self.applied += apply.entries.len() as u64,
                        Output::Persist(persist) => write(node, persist, &mut self.under_way),
                        Output::Read(_) | Output::State(_) => {}
                        Output::Send(message) => self.under_way.push(message),
                    }
                }
                node.advance();
            }
        }
        worked
    }

    /// Forgets the log, all of which is applied when nobody has anything to do.
    pub(crate) fn compact(&mut self) {
        for node in &mut self.nodes {
            let last = node.storage().last_index();
            node.storage_mut().compact(last).expect("it was not compacted up to here before");
        }
    }
}

fn write(node: &mut Node<MemoryStorage>, mut persist: Persist, under_way: &mut Vec<Message>) {
    node.storage_mut().persist(&persist);
    under_way.append(&mut persist.responses);
}
